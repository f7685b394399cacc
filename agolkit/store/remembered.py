"""What describes the backups of a bucket, read once: a small memory for as long as nobody else may change it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from agolkit.layout import is_backup_name

READERS = 16
"""Files `backup.json` that are read at once: a store has one for each night of some months."""
MOST = 32 << 20
"""Bytes of manifests that are remembered, those that are read first: these are the newest."""

BACKUPS = "backups"
_ONE_OF_THEM = re.compile(rf"{BACKUPS}/[^/]+/(backup\.json|manifest\.jsonl\.gz)")


class Remembered:
    """The names of the backups, their `backup.json` and manifests, while a block of `kept` lasts. Safe in threads.

    Outside such a block everything is read each time. What this process writes is not remembered, and read again.
    """

    def __init__(self, find: Callable[[str], bytes | None], names: Callable[[str], list[str]]) -> None:
        self._find = find
        self._list = names
        self._lock = threading.RLock()
        self._blocks = 0
        self._names: list[str] | None = None
        self._contents: dict[str, bytes | None] = {}
        self._has_all = False
        self._room = MOST

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Remember for a `with` block; the outermost one counts."""
        with self._lock:
            self._blocks += 1
        try:
            yield
        finally:
            with self._lock:
                self._blocks -= 1
                if not self._blocks:
                    self._end()

    @contextmanager
    def changing(self, key: str) -> Iterator[None]:
        """Forget what was under a key, or below it, when it has been written or removed in a `with` block."""
        try:
            yield
        finally:
            with self._lock:
                if key.startswith(BACKUPS):
                    self._names = None
                for each in [each for each in self._contents if f"{each}/".startswith(f"{key}/")]:
                    self._room += _weight(each, self._contents.pop(each))

    def names(self) -> list[str]:
        """The names below `backups`."""
        with self._lock:
            found = self._list(BACKUPS) if self._names is None else self._names
            self._names = found if self._blocks else None
            return list(found)

    def find(self, key: str) -> bytes | None:
        """What is under a key; the first `backup.json` that is asked for brings all of them, side by side."""
        if not _ONE_OF_THEM.fullmatch(key):
            return self._find(key)
        with self._lock:
            if not self._blocks:
                return self._find(key)
            if not self._has_all and key.endswith("/backup.json"):
                self._read_all()
            if key not in self._contents:
                content = self._find(key)
                if _weight(key, content) > self._room:
                    return content
                self._room -= _weight(key, content)
                self._contents[key] = content
            return self._contents[key]

    def _read_all(self) -> None:
        keys = [f"{BACKUPS}/{name}/backup.json" for name in self.names() if is_backup_name(name)]
        with ThreadPoolExecutor(READERS, thread_name_prefix="agolkit-reading") as executor:
            self._contents.update(zip(keys, executor.map(self._find, keys), strict=True))
        self._has_all = True

    def _end(self) -> None:
        self._names, self._contents, self._has_all, self._room = None, {}, False, MOST


def _weight(key: str, content: bytes | None) -> int:
    """Bytes that count: each `backup.json` is small."""
    return 0 if content is None or key.endswith("/backup.json") else len(content)
