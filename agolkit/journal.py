"""What a run has done so far: written while a backup is made, read when the run did not come to its end."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from agolkit.entries import entry_line, outcome_to_json
from agolkit.errors import StoreDamaged
from agolkit.model import Outcome
from agolkit.packed import unpacked
from agolkit.store.base import Store
from agolkit.store.draft import Draft

SEGMENT_ITEMS = 100
SEGMENT_SECONDS = 10.0
LONG_SEGMENT = 128 * 1024
"""Bytes above which a segment of the journal is compressed: an item may have ten thousand attachments."""


class Journal:
    """What a run has done so far, item by item, in segments written every 100 items or 10 seconds. Safe in threads.

    A segment is written when everything it refers to survives a power cut, and survives one itself.
    """

    def __init__(self, draft: Draft, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._draft = draft
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._segment = len(_segments(draft.store, draft.name)) - 1
        self._is_closed = False
        self._due = clock() + SEGMENT_SECONDS

    def add(self, outcome: Outcome) -> None:
        """Note a finished item."""
        with self._lock:
            self._lines.append(entry_line(outcome_to_json(outcome)))
            if len(self._lines) >= SEGMENT_ITEMS:
                self._write()
        self.tick()

    def announce(self, facts: Mapping[str, str]) -> None:
        """Note something that is about to be made in the portal, durably, before it is made."""
        self._add_now({"announced": dict(facts)})

    def resumed(self, facts: Mapping[str, str]) -> None:
        """Note that another run has taken the backup up, before it adds anything."""
        self._add_now({"resumed": dict(facts)})

    def under_way(self, facts: Mapping[str, Any]) -> None:
        """Note, durably, what is saved of an item that is not finished; nothing once the journal is closed."""
        self._add_now(facts, late=False)

    def tick(self) -> None:
        """Write what has waited for 10 seconds. Call it now and then while nothing is added."""
        with self._lock:
            if self._clock() >= self._due:
                self._write()

    def close(self) -> None:
        """Write what is left."""
        with self._lock:
            self._write()
            self._is_closed = True

    def _add_now(self, facts: Mapping[str, Any], *, late: bool = True) -> None:
        with self._lock:
            if self._is_closed and not late:
                return  # a job that was given up must not write into a backup that another run may have taken up
            self._lines.append(entry_line(facts))
            self._write()

    def _write(self) -> None:
        if self._lines:
            self._segment += 1
            self._draft.flush()
            name, content = f"journal/{self._segment:06}.jsonl", b"".join(self._lines)
            if len(content) > LONG_SEGMENT:
                name, content = f"{name}.gz", gzip.compress(content, compresslevel=6, mtime=0)
            self._draft.write(name, content)
            self._lines = []
        self._due = self._clock() + SEGMENT_SECONDS


def read_announcements(store: Store, backup: str) -> list[dict[str, str]]:
    """What a run announced before it made it in the portal, in order; it may have been removed since."""
    return [line["announced"] for line in journal_lines(store, store.resolve(backup)) if "announced" in line]


def journal_lines(store: Store, name: str) -> list[dict[str, Any]]:
    """The lines of a journal. The last line of a run that was torn by a crash is left out; other damage is said."""
    folder = f"backups/{name}/journal"
    lines: list[dict[str, Any]] = []
    torn = ""
    for segment in _segments(store, name):
        content = store.get(f"{folder}/{segment}")
        try:
            texts = (unpacked(content) if segment.endswith(".gz") else content).splitlines()
        except ValueError as error:
            raise StoreDamaged(f"The journal of the backup {name} is damaged: {segment}.") from error
        for number, text in enumerate(texts, 1):
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                line, torn = None, torn or f"{segment}, line {number}"
                if number == len(texts):
                    continue
            if torn and not (line and "resumed" in line):
                raise StoreDamaged(f"The journal of the backup {name} is damaged: {torn}.")
            torn = ""
            lines.append(line)
    return lines


def _segments(store: Store, name: str) -> list[str]:
    return [each for each in store.names(f"backups/{name}/journal") if each.endswith((".jsonl", ".jsonl.gz"))]
