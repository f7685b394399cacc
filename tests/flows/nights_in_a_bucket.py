"""Backups of some nights in a bucket, old enough that what only they need belongs into the archive."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime

from dated import FIRST, save

import agolkit as ak
from agolkit.manifest import read_outcomes
from agolkit.store import Store

LARGE = 200_000
TODAY = (datetime.now(UTC) - FIRST).days
KEEP = ak.Keep(within="3650d")
"""So long that the archive is cheaper for small files too: tests need not move gigabytes."""
ARCHIVE = ak.Archive("15d")
DAYS_AGO = (40, 30, 20, 10, 0)


def text(name: str) -> str:
    """A text that is large enough for the archive, another one for each name."""
    return name * (LARGE // len(name) + 1)


def save_nights(store: Store) -> list[str]:
    """Five nights: `a` never changes, `b` is another large one each night, `c` another small one; their names."""
    return [
        save(store, TODAY - ago, {"a": text("same"), "b": text(f"{ago} days ago"), "c": f"{ago}"}) for ago in DAYS_AGO
    ]


def data_of(store: Store, backup: str, letter: str) -> str:
    """The hash of what an item of a backup holds."""
    (outcome,) = read_outcomes(store, backup, only=[letter * 32])
    return next(part.blob.sha256 for part in outcome.parts if part.name == "data")


def tiers(store: Store) -> Counter[str]:
    """How many blobs lie in each class of storage."""
    return Counter(each.tier for each in store.stored())


def archive(store: Store) -> None:
    """Move what belongs into the archive."""
    ak.prune(store, ak.plan_prune(store, KEEP, archive=ARCHIVE))


def size_of(name: str) -> int:
    return len(json.dumps(text(name)))
