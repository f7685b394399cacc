"""What the backups before this one hold: what was proven then need not be asked for again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from agolkit.errors import StoreError
from agolkit.kinds.under_way import noted_outcomes
from agolkit.layout import backup_name
from agolkit.manifest import LOOK_BACK, read_outcomes
from agolkit.model import Item, Outcome, Part, Result
from agolkit.store import Store

USEFUL = ("definition", "rows", "attachments", "attachment")
"""Parts of which earlier copies are of use."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was saved of an item before."""

    item: Item
    parts: tuple[Part, ...]
    fetched: frozenset[str] = frozenset()
    """Paths of what was fetched for the very backup that this run goes on with."""


class EarlierBackups:
    """The backups that a run may take proven parts from, the newest first. Safe to use from many threads.

    They are read when they are first needed. One that is damaged is passed over: to tell is for `verify`.

    Parameters
    ----------
    taken_up
        The name of the backup that this run goes on with.
    """

    def __init__(self, store: Store, names: Sequence[str], *, taken_up: str = "") -> None:
        self._store = store
        self._taken_up = taken_up
        self._unread = deque(names[: -LOOK_BACK - 1 : -1])
        self._found: dict[tuple[str, str], Earlier] = {}
        self._lock = threading.Lock()

    def with_part(self, item: Item, path: str) -> Earlier | None:
        """What the newest of them says of an item that has this part: the rows, or the list of attachments, of a layer.

        Also an item that its run had not finished has a list: as far as it had come, if that layer had been begun.
        """
        oldest = backup_name(item.created) if item.created else ""
        with self._lock:
            while (item.id, path) not in self._found and self._unread and self._unread[0] >= oldest:
                self._read(self._unread.popleft())
            return self._found.get((item.id, path))

    def _read(self, name: str) -> None:
        with suppress(StoreError, KeyError, TypeError, ValueError):  # also a journal that somebody has edited
            told = [*self._told(name)]
            for outcome, fetched in sorted(told, key=lambda each: each[0].observed, reverse=True):
                parts = tuple(part for part in outcome.parts if part.name in USEFUL)
                earlier = Earlier(outcome.item, parts, fetched if name == self._taken_up else frozenset())
                # Without its definition nothing is known of the time: the run gave the item up before its end.
                if any(part.name == "definition" for part in parts):
                    for part in parts:
                        is_whole = part.name == "rows" and outcome.result is Result.VERIFIED
                        if part.name == "attachments" or is_whole:
                            self._found.setdefault((outcome.item.id, part.path), earlier)

    def _told(self, name: str) -> Iterator[tuple[Outcome, frozenset[str]]]:
        outcomes = read_outcomes(self._store, name)
        yield from ((outcome, frozenset()) for outcome in outcomes)
        is_complete = self._store.summary(name)["state"] == "complete"
        if not is_complete or any(outcome.result is Result.PARTIAL for outcome in outcomes):
            yield from noted_outcomes(self._store, name)
