"""How much room the backups of a store take, in which class of storage, and when a limit is reached."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from agolkit.holdings import Holdings
from agolkit.model import in_bytes
from agolkit.store import Store

if TYPE_CHECKING:
    import pandas

LIMIT = 2_000_000_000_000
"""Bytes: 2 TB."""
ON_DISK = "disk"
"""The class of storage where there are none."""
HORIZON = timedelta(days=3650)

_TEXTS = ("name", "scope", "state")
_SUMS = ("objects", "bytes", "new_objects", "new_bytes", "last_bytes")


def list_sizes(store: Store) -> pandas.DataFrame:
    """How much of a store each backup takes in each class of storage, oldest first; nothing but lists is read.

    Returns
    -------
    pandas.DataFrame
        One row per backup and class. Columns: `name`, `scope`, `state`, `started` (UTC), `tier` (such as `STANDARD` or
        `DEEP_ARCHIVE`; `disk` in a folder; empty where the backup needs no blob), `objects` and `bytes` (blobs that the
        backup needs), `new_objects` and `new_bytes` (of these, what no older backup needs), `last_bytes` (what no newer
        backup needs, so that it goes with this one). What no backup needs has rows without a name at the end: so the
        sum of `new_bytes` is that of all blobs. What a backup says of itself (lists, log, tree) is not counted.
    """
    import pandas

    holdings = Holdings(store)
    nobody = 1 << len(holdings.candidates)
    alike: dict[tuple[int, str], tuple[int, int]] = {}  # by who needs them and where they lie: few, beside the blobs
    for blob in store.stored():
        kind = holdings.needed.get(blob.sha256, (0, 0))[1] or nobody, blob.tier or ON_DISK
        objects, size = alike.get(kind, (0, 0))
        alike[kind] = objects + 1, size + blob.size
    rows: list[dict[str, Any]] = []
    for place, each in enumerate([*holdings.candidates, None]):
        told = {name: getattr(each, name) if each else "" for name in _TEXTS} | {"started": each and each.started}
        found: dict[str, list[int]] = {} if each is None else {"": [0] * len(_SUMS)}
        for (holders, tier), (objects, size) in sorted(alike.items()):
            if holders >> place & 1:
                is_first, is_last = not holders & ((1 << place) - 1), holders >> place == 1
                own = [objects, size, objects * is_first, size * is_first, size * is_last]
                found.pop("", None)
                found[tier] = [a + b for a, b in zip(found.get(tier, [0] * len(_SUMS)), own, strict=True)]
        rows += [{**told, "tier": tier, **dict(zip(_SUMS, sums, strict=True))} for tier, sums in found.items()]
    dtypes: dict[str, Any] = {**dict.fromkeys(_TEXTS, str), "started": "datetime64[us, UTC]", "tier": str}
    dtypes |= dict.fromkeys(_SUMS, "Int64")
    return pandas.DataFrame(
        {name: pandas.Series([row[name] for row in rows], dtype=dtype) for name, dtype in dtypes.items()}
    )


@dataclass(frozen=True, slots=True)
class Projection:
    """How full a store is, and will be if everything goes on as it does; `str()` says it in plain words."""

    bytes: int
    limit: int
    added_a_day: float
    """Bytes, new with each day's backups."""
    leaving_a_day: float
    """Bytes that go each day, if for each new backup an old one goes."""
    full: datetime | None
    """When the limit is reached if old backups go as new ones come; `None`: not within ten years."""
    full_without_pruning: datetime | None
    """When it is reached if nothing is removed."""

    def __str__(self) -> str:
        share = f"{in_bytes(self.bytes)}, {self.bytes / self.limit:.1%} of {in_bytes(self.limit)}."
        pace = f"{in_bytes(self.added_a_day)} are added a day, {in_bytes(self.leaving_a_day)} go as old backups go."
        if self.bytes >= self.limit:
            return f"{share} The limit is reached.\n{pace}"
        kept = f"reached on {self.full:%Y-%m-%d}" if self.full else "not reached within ten years"
        all_kept = f"{self.full_without_pruning:%Y-%m-%d}" if self.full_without_pruning else "not within ten years"
        return f"{share}\n{pace} At that pace the limit is {kept}; if nothing is removed: {all_kept}."


def project(sizes: pandas.DataFrame, limit: int = LIMIT) -> Projection:
    """When the backups that `list_sizes` lists reach a limit, as far as the past tells: an estimate by straight lines.

    The pace is that between the oldest and the newest backup, taken for a day at least; the first one of all
    is no growth.
    """
    total = int(sizes["new_bytes"].sum())
    backups = (
        sizes[sizes["name"] != ""].groupby("name").agg({"started": "first", "new_bytes": "sum", "last_bytes": "sum"})
    )
    if len(backups) < 2:
        return Projection(total, limit, 0.0, 0.0, None, None)
    newest: datetime = backups["started"].max().to_pydatetime()
    days = max(1.0, (newest - backups["started"].min()) / timedelta(days=1))
    added = float(backups["new_bytes"].iloc[1:].sum()) / days
    leaving = float(backups["last_bytes"].iloc[:-1].sum()) / days

    def reached(pace: float) -> datetime | None:
        if total >= limit:
            return newest
        room = timedelta(days=(limit - total) / pace) if pace > (limit - total) / HORIZON.days else None
        return newest + room if room else None

    return Projection(total, limit, added, leaving, reached(added - leaving), reached(added))
