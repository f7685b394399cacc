"""Blobs: their names, and what a store knows of each without reading it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from agolkit.store.tiers import Thaw

BLOB_NAME = re.compile(r"([0-9a-f]{64})(\.\d+)?")


class Stored(NamedTuple):
    """A blob as it lies in a store."""

    sha256: str
    size: int
    tier: str = ""
    """The class of storage, as S3 names it (`STANDARD`, `DEEP_ARCHIVE`); empty where there are none."""
    written: datetime | None = None
    """When it was written, or moved to its class; `None` where that is not known."""
    thaw: Thaw = Thaw()
    """How far it has been asked back, where it is archived."""


def blob_key(sha256: str, number: int = 1) -> str:
    """The key of a blob; from `number` 2 on, of a copy that takes the links for which the blob has no room."""
    return f"blobs/{sha256[:2]}/{sha256}" + (f".{number}" if number > 1 else "")
