"""What the backups before this one hold: what was proven then need not be asked for again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from agolkit.errors import StoreError
from agolkit.layout import backup_name
from agolkit.manifest import read_outcomes
from agolkit.model import Item, Outcome
from agolkit.store import Store

LOOK_BACK = 50
"""Backups that are looked into; scopes may take turns, so that the newest need not have the item."""
USEFUL = ("definition", "attachments", "attachment")
"""Parts of which earlier copies are of use."""


class EarlierBackups:
    """The backups that a run may take proven parts from, the newest first. Safe to use from many threads.

    They are read when they are first needed. One that is damaged is passed over: to tell is for `verify`.
    """

    def __init__(self, store: Store, names: Sequence[str]) -> None:
        self._store = store
        self._unread = deque(names[: -LOOK_BACK - 1 : -1])
        self._found: dict[str, Outcome] = {}
        self._lock = threading.Lock()

    def with_attachments(self, item: Item) -> Outcome | None:
        """What the newest of them that has attachments of the item's layers as files says of it."""
        oldest = backup_name(item.created) if item.created else ""
        with self._lock:
            while item.id not in self._found and self._unread and self._unread[0] >= oldest:
                self._read(self._unread.popleft())
            return self._found.get(item.id)

    def _read(self, name: str) -> None:
        with suppress(StoreError, KeyError, TypeError, ValueError):  # also a journal that somebody has edited
            for outcome in read_outcomes(self._store, name):
                if any(part.name == "attachments" for part in outcome.parts):
                    parts = tuple(part for part in outcome.parts if part.name in USEFUL)
                    self._found.setdefault(outcome.item.id, replace(outcome, parts=parts))
