"""Retention applied to a store: the plan, which changes nothing, and `prune`, which does exactly what the plan says.

Backups go first, then the blobs that none of the others needs; of these others, some move to an archive class. What a
killed `prune` left half done the next one finishes.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agolkit.errors import StoreError, UsageError
from agolkit.holdings import Holdings
from agolkit.model import counted, in_bytes
from agolkit.retention import ZIP, Candidate, Keep, ZipCandidate, reasons_to_keep, reasons_to_keep_zips
from agolkit.store import Lease, Store
from agolkit.store.blobs import blob_key
from agolkit.store.holder import user_name
from agolkit.store.removal import begin_removal, drop_tree, finish_removals, tree_folders
from agolkit.store.tiers import side_by_side
from agolkit.tiering import Archive, Tiering, plan_tiers, zips_to_archive
from agolkit.unneeded import find_needed, remove_unneeded
from agolkit.zips import PublishedZip, read_zips, remove_zips

if TYPE_CHECKING:
    import pandas

    from agolkit.portal import Portal

CLOCKS_DIFFER = timedelta(minutes=10)
"""More than this between two clocks is no difference of seconds, and one of them is wrong."""

_TEXTS = ("name", "scope", "state", "label")


@dataclass(frozen=True, slots=True)
class Pruned:
    """What `prune` has done; `str()` says it in a sentence."""

    removed: tuple[str, ...]
    """Names of the backups that are gone."""
    trees: tuple[str, ...]
    """Names of the backups whose tree is gone."""
    blobs: int
    """Blobs that no backup needed any more."""
    freed_bytes: int
    """Of these blobs."""
    zips: tuple[str, ...] = ()
    """Names of the zips that are gone."""
    zip_bytes: int = 0
    """Of these zips."""
    moved: int = 0
    """Blobs that lie in the archive now."""
    moved_bytes: int = 0
    moved_zips: tuple[str, ...] = ()
    """Names of the zips that lie in the archive now."""

    def __str__(self) -> str:
        trees = f", and {counted(len(self.trees), 'tree')}" if self.trees else ""
        zips = f" {counted(len(self.zips), 'zip')} removed, {in_bytes(self.zip_bytes)}." if self.zips else ""
        moved = f" Moved to the archive: {counted(self.moved, 'file')}, {in_bytes(self.moved_bytes)}."
        zips_moved = f" Moved to the archive: {counted(len(self.moved_zips), 'zip')}."
        return (
            f"{counted(len(self.removed), 'backup')} removed{trees}; "
            f"{counted(self.blobs, 'file')} that no other backup needs, {in_bytes(self.freed_bytes)}.{zips}"
            f"{moved if self.moved else ''}"
            f"{zips_moved if self.moved_zips else ''}"
        )


def plan_prune(
    store: Store, keep: Keep, *, scope: str | None = None, archive: Archive | None = None
) -> pandas.DataFrame:
    """Which backups stay and which go, and why; it changes nothing.

    The rules count the backups of each scope by themselves. What stays whatever they say is listed at
    `agolkit.retention.reasons_to_keep`.

    Parameters
    ----------
    scope
        Only the backups of this scope may go; all others stay.
    archive
        In a bucket, which blobs move to an archive class; without it none does.

    Returns
    -------
    pandas.DataFrame
        One row per backup, oldest first. Columns: `name`, `scope`, `state`, `label`, `started` (UTC), `keep` (boolean),
        `reasons` (a list of texts; empty where it goes), `drop_tree` (boolean: it stays, and its tree goes),
        `freed_bytes` (`Int64`: blobs that go with it, each counted with the last backup that needs it). With a rule for
        zips, one row per published zip follows, of the state `zip`; `freed_bytes` is its size where it goes. With
        `archive`, `attrs["tiering"]` is the `Tiering`: what moves, what stays and why, and what that costs.

    Raises
    ------
    UsageError
        The store has no backup of that scope; or an archive is asked for, and the store is in no bucket. Final.
    StoreError
        The clock of this computer and that of the store, or the newest backup, contradict each other.
    """
    if archive and not store.has_classes():
        raise UsageError(f"The store {store.location} has no archive class; only stores in a bucket (s3://…) have.")
    now = datetime.now(UTC)
    holdings = Holdings(store)
    candidates = holdings.candidates
    _check_clock(store, candidates, now)
    scopes = sorted({each.scope for each in candidates})
    if scope is not None and scope not in scopes:
        raise UsageError(f"The store has no backup of the scope {scope!r}; it has {', '.join(map(repr, scopes))}.")
    reasons = reasons_to_keep(candidates, keep, now=now)
    for each in candidates:
        if scope not in (None, each.scope):
            reasons[each.name].append("of another scope")
    kept = [each for each in candidates if reasons[each.name]]
    trees = _trees_to_drop(store, kept, keep, scope)
    going = {each.name for each in candidates} - {each.name for each in kept}
    freed = holdings.freed_with(going)
    published = [] if keep.keeps_all_zips and not (archive and archive.zips_after) else read_zips(store)
    zips = list(_plan_zips(published, candidates, keep, scope))
    rows = [
        {
            **{name: getattr(each, name) for name in (*_TEXTS, "started")},
            "keep": each in kept,
            "reasons": reasons[each.name],
            "drop_tree": each.name in trees,
            "freed_bytes": freed.get(each.name, 0),
        }
        for each in candidates
    ]
    plan = _frame([*rows, *zips])
    if archive:
        tiering = _tiering(store, holdings, going, keep, archive, now)
        staying = {row["name"] for row in zips if row["keep"] and scope in (None, row["scope"])}
        kept_zips = [each for each in published if each.name in staying]
        plan.attrs["tiering"] = replace(tiering, zips=_zips_that_move(store, kept_zips, archive, now))
    return plan


def prune(store: Store, plan: pandas.DataFrame, *, portal: Portal | None = None) -> Pruned:
    """Do what a plan of `plan_prune` says: remove backups, trees and zips, and blobs that nothing needs any more.

    It holds the store meanwhile, so that it never meets a run. It may be killed at any moment, and then be run again.

    Parameters
    ----------
    portal
        Compare the clock of this computer with the portal's as well.

    Raises
    ------
    UsageError
        The store is not as it was planned: a backup is new, gone, went on, was pinned; or the plan removes what must
        stay. Nothing was removed; make the plan again.
    StoreBusy
        A run holds the store. Trying again helps when it has ended.
    StoreDamaged
        A backup cannot be read, so that nobody knows what it needs. Nothing was removed. Trying again helps when it is
        repaired, or moved out of the store.
    StoreError
        A clock is wrong, or these credentials may not delete (`MayNotRemove`), and nothing was removed; or the store
        cannot be used.
    """
    with store.lock(uuid.uuid4().hex[:12], user_name()) as lease:
        now = datetime.now(UTC)
        holdings = Holdings(store)
        candidates = holdings.candidates
        _check_clock(store, candidates, now)
        if portal is not None and (theirs := portal.clock()):
            _check_same("the portal", theirs, datetime.now(UTC))
        is_zip = plan["state"] == ZIP
        zips = read_zips(store) if is_zip.any() else []
        going = _agreed(plan[~is_zip], candidates, now)
        going_zips = _agreed_zips(plan[is_zip], zips, candidates)
        trees = [str(name) for name in plan["name"][plan["keep"] & plan["drop_tree"]]]
        find_needed(store)  # a backup that cannot be read would keep all blobs: that is said before anything is gone
        if going or trees or going_zips:
            store.check_removable()
        for name in going:
            lease.check()
            begin_removal(store, name)
        finish_removals(store, lease)
        for name in trees:
            lease.check()
            drop_tree(store, name)
        lease.check()
        remove_zips(store, going_zips)
        unneeded = remove_unneeded(store, lease)
        zip_bytes = sum(each.bytes for each in zips if each.name in going_zips)
        tiering = plan.attrs.get("tiering")
        moved = _move(store, lease, tiering, holdings, set(going), now)
        moved_zips = _move_zips(store, lease, tiering, now)
        return Pruned(
            tuple(going), tuple(trees), unneeded.blobs, unneeded.bytes, tuple(going_zips), zip_bytes, *moved, moved_zips
        )


def _tiering(
    store: Store, holdings: Holdings, going: Collection[str], keep: Keep, archive: Archive, now: datetime
) -> Tiering:
    return plan_tiers(store.stored(), holdings.needed, holdings.candidates, going, keep, archive, now=now)


def _move(
    store: Store, lease: Lease, planned: Tiering | None, holdings: Holdings, going: set[str], now: datetime
) -> tuple[int, int]:
    """Move what was planned, of it only what may still move: how many blobs, and their bytes."""
    if planned is None:
        return 0, 0
    due = _tiering(store, holdings, going, planned.keep, planned.archive, now).moves & planned.moves

    def move(sha256: str) -> int:
        lease.check()  # each time: where this computer slept, a run may need the blob by now
        store.set_class(blob_key(sha256), planned.archive.storage_class)
        return holdings.needed[sha256][0]

    sizes = list(side_by_side(move, sorted(due)))
    return len(sizes), sum(sizes)


def _zips_that_move(store: Store, zips: Sequence[PublishedZip], archive: Archive, now: datetime) -> dict[str, int]:
    """Bytes of the zips that the rule moves to the archive now, by name."""
    if not archive.zips_after:
        return {}
    moving = zips_to_archive(_zip_candidates(zips), store.classes_below("zips"), archive, now=now)
    return {each.name: each.bytes for each in zips if each.name in moving}


def _move_zips(store: Store, lease: Lease, planned: Tiering | None, now: datetime) -> tuple[str, ...]:
    """Move the zips that were planned, as far as they are still there and old enough; their names."""
    if planned is None or not planned.zips:
        return ()
    due = sorted(_zips_that_move(store, read_zips(store), planned.archive, now).keys() & planned.zips.keys())
    for name in due:
        lease.check()
        store.set_class(f"zips/{name}", planned.archive.storage_class)
    return tuple(due)


def _agreed(plan: pandas.DataFrame, candidates: Sequence[Candidate], now: datetime) -> list[str]:
    """The names of the backups to remove, oldest first; `UsageError` where the plan does not fit the store."""
    planned = set(plan[["name", "state", "label"]].itertuples(index=False, name=None))
    found = {(each.name, each.state, each.label) for each in candidates}
    if planned != found:
        differ = sorted({str(row[0]) for row in planned ^ found})
        raise UsageError(
            f"The store has changed since the plan was made ({', '.join(differ[:3])}). Make the plan again."
        )
    going = [str(name) for name in plan["name"][~plan["keep"]]]
    held = reasons_to_keep(candidates, None, now=now)
    for name in going:
        if held[name]:
            raise UsageError(f"The backup {name} must stay: {'; '.join(held[name])}. Make the plan again.")
    return going


def _plan_zips(
    zips: Sequence[PublishedZip], backups: Sequence[Candidate], keep: Keep, scope: str | None
) -> Iterator[Mapping[str, Any]]:
    """A row of the plan for each zip, the oldest first."""
    reasons = reasons_to_keep_zips(_zip_candidates(zips), backups, keep)
    for each in zips:
        why = reasons[each.name] + (["of another scope"] if scope not in (None, each.scope) else [])
        yield {
            "name": each.name,
            "scope": each.scope,
            "state": ZIP,
            "label": "",
            "started": each.started,
            "keep": bool(why),
            "reasons": why,
            "drop_tree": False,
            "freed_bytes": 0 if why else each.bytes,
        }


def _agreed_zips(plan: pandas.DataFrame, zips: Sequence[PublishedZip], backups: Sequence[Candidate]) -> list[str]:
    """The names of the zips to remove, oldest first; `UsageError` where one is gone already or must stay by now."""
    held = reasons_to_keep_zips(_zip_candidates(zips), backups, None)
    going = [str(name) for name in plan["name"][~plan["keep"]]]
    for name in going:
        if name not in held:
            raise UsageError(f"The zip {name} is gone since the plan was made. Make the plan again.")
        if held[name]:
            raise UsageError(f"The zip {name} must stay: {'; '.join(held[name])}. Make the plan again.")
    return going


def _zip_candidates(zips: Iterable[PublishedZip]) -> list[ZipCandidate]:
    return [ZipCandidate(each.name, each.scope, each.started) for each in zips]


def _trees_to_drop(store: Store, kept: Sequence[Candidate], keep: Keep, scope: str | None) -> set[str]:
    """The backups that stay and have more tree than the rules allow them."""
    if keep.tree_keep is None:
        return set()
    newest: dict[str, int] = {}
    drop = set()
    for each in reversed(kept):
        newest[each.scope] = newest.get(each.scope, 0) + 1
        is_old = newest[each.scope] > keep.tree_keep and scope in (None, each.scope)
        if is_old and each.state in ("complete", "stopped") and tree_folders(store, each.name):
            drop.add(each.name)
    return drop


def _check_clock(store: Store, candidates: Iterable[Candidate], now: datetime) -> None:
    """Raise `StoreError` where the time cannot be right: what may be removed depends on it."""
    newest = max((each.started for each in candidates), default=now)
    if newest > now + CLOCKS_DIFFER:
        raise StoreError(
            f"The clock of this computer says {now:%Y-%m-%d %H:%M} UTC, but the newest backup began at "
            f"{newest:%Y-%m-%d %H:%M} UTC. Nothing is removed: set the clock right."
        )
    _check_same("the store", store.now(), now)


def _check_same(whose: str, theirs: datetime, now: datetime) -> None:
    if abs(theirs - now) > CLOCKS_DIFFER:
        raise StoreError(
            f"The clock of this computer says {now:%Y-%m-%d %H:%M} UTC, but that of {whose} says "
            f"{theirs:%Y-%m-%d %H:%M} UTC. Nothing is removed: set the clock right."
        )


def _frame(rows: Iterable[Mapping[str, Any]]) -> pandas.DataFrame:
    import pandas

    listed = list(rows)
    dtypes: dict[str, Any] = {
        **dict.fromkeys(_TEXTS, str),
        "started": "datetime64[us, UTC]",
        "keep": bool,
        "reasons": object,
        "drop_tree": bool,
        "freed_bytes": "Int64",
    }
    return pandas.DataFrame(
        {name: pandas.Series([row[name] for row in listed], dtype=dtype) for name, dtype in dtypes.items()}
    )
