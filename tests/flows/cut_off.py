"""A store that is cut off after so many changes, as by a kill or a power cut."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from agolkit.store import LocalStore, Spool


class PowerCut(BaseException):
    """Nothing catches it, as nothing survives a power cut."""


class Failing(LocalStore):
    """A store that can be changed so many times, and then never again; it counts."""

    def __init__(self, root: Path, lasts: float = float("inf")) -> None:
        super().__init__(root)
        self.changes = 0
        self._lasts = lasts
        self._counting = threading.Lock()

    def _count(self) -> None:
        with self._counting:
            if self.changes >= self._lasts:
                raise PowerCut
            self.changes += 1

    def keep(self, key: str, spool: Spool, *, read_only: bool = False) -> None:
        self._count()
        super().keep(key, spool, read_only=read_only)

    def stream(self, key: str, pieces: Iterable[bytes]) -> None:
        self._count()
        super().stream(key, pieces)

    def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        self._count()
        return super().swap(key, old, new)

    def link(self, sha256: str, key: str) -> None:
        self._count()
        super().link(sha256, key)

    def remove(self, key: str) -> None:
        self._count()
        super().remove(key)

    def clear(self, prefix: str) -> None:
        self._count()
        super().clear(prefix)
