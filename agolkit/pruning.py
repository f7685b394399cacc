"""Retention applied to a store: the plan, which changes nothing, and `prune`, which does exactly what the plan says.

Backups go first, then the blobs that none of the others needs. What a killed `prune` left half done the next one
finishes.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agolkit.alarms import alarm_stands
from agolkit.errors import StoreDamaged, StoreError, UsageError
from agolkit.layout import backup_moment
from agolkit.manifest import read_outcomes
from agolkit.model import Blob, Result, counted, in_bytes
from agolkit.options import BackupOptions
from agolkit.retention import ZIP, Candidate, Keep, ZipCandidate, reasons_to_keep, reasons_to_keep_zips
from agolkit.store import Store
from agolkit.store.holder import user_name
from agolkit.store.removal import begin_removal, drop_tree, finish_removals, half_removed, tree_folders
from agolkit.unneeded import find_needed, remove_unneeded
from agolkit.zips import PublishedZip, read_zips, remove_zips

if TYPE_CHECKING:
    import pandas

    from agolkit.portal import Portal

CLOCKS_DIFFER = timedelta(minutes=10)
"""More than this between two clocks is no difference of seconds, and one of them is wrong."""

_NARROWS = ("folders", "owners", "groups", "types", "query")
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

    def __str__(self) -> str:
        trees = f", and {counted(len(self.trees), 'tree')}" if self.trees else ""
        zips = f" {counted(len(self.zips), 'zip')} removed, {in_bytes(self.zip_bytes)}." if self.zips else ""
        return (
            f"{counted(len(self.removed), 'backup')} removed{trees}; "
            f"{counted(self.blobs, 'file')} that no other backup needs, {in_bytes(self.freed_bytes)}.{zips}"
        )


def plan_prune(store: Store, keep: Keep, *, scope: str | None = None) -> pandas.DataFrame:
    """Which backups stay and which go, and why; it changes nothing.

    The rules count the backups of each scope by themselves. What stays whatever they say is listed at
    `agolkit.retention.reasons_to_keep`.

    Parameters
    ----------
    scope
        Only the backups of this scope may go; all others stay.

    Returns
    -------
    pandas.DataFrame
        One row per backup, oldest first. Columns: `name`, `scope`, `state`, `label`, `started` (UTC), `keep` (boolean),
        `reasons` (a list of texts; empty where it goes), `drop_tree` (boolean: it stays, and its tree goes),
        `freed_bytes` (`Int64`: blobs that go with it, each counted with the last backup that needs it). With a rule for
        zips, one row per published zip follows, of the state `zip`; `freed_bytes` is its size where it goes.

    Raises
    ------
    UsageError
        The store has no backup of that scope. Final.
    StoreError
        The clock of this computer and that of the store, or the newest backup, contradict each other.
    """
    now = datetime.now(UTC)
    contents = _Contents(store)
    _check_clock(store, contents.candidates, now)
    candidates = contents.candidates
    scopes = sorted({each.scope for each in candidates})
    if scope is not None and scope not in scopes:
        raise UsageError(f"The store has no backup of the scope {scope!r}; it has {', '.join(map(repr, scopes))}.")
    reasons = reasons_to_keep(candidates, keep, now=now)
    for each in candidates:
        if scope not in (None, each.scope):
            reasons[each.name].append("of another scope")
    kept = [each for each in candidates if reasons[each.name]]
    trees = _trees_to_drop(store, kept, keep, scope)
    freed = contents.freed_with({each.name for each in candidates} - {each.name for each in kept})
    zips = [] if keep.keeps_all_zips else _plan_zips(read_zips(store), candidates, keep, scope)
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
    return _frame([*rows, *zips])


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
        A clock is wrong, and nothing was removed; or the store cannot be used.
    """
    with store.lock(uuid.uuid4().hex[:12], user_name()) as lease:
        now = datetime.now(UTC)
        candidates = _Contents(store).candidates
        _check_clock(store, candidates, now)
        if portal is not None and (theirs := portal.clock()):
            _check_same("the portal", theirs, datetime.now(UTC))
        is_zip = plan["state"] == ZIP
        zips = read_zips(store) if is_zip.any() else []
        going = _agreed(plan[~is_zip], candidates, now)
        going_zips = _agreed_zips(plan[is_zip], zips, candidates)
        trees = [str(name) for name in plan["name"][plan["keep"] & plan["drop_tree"]]]
        find_needed(store)  # a backup that cannot be read would keep all blobs: that is said before anything is gone
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
        return Pruned(tuple(going), tuple(trees), unneeded.blobs, unneeded.bytes, tuple(going_zips), zip_bytes)


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


class _Contents:
    """What the backups of a store hold, read once: candidates for the rules, and which blobs each of them needs."""

    def __init__(self, store: Store) -> None:
        self._needed: dict[str, tuple[int, int]] = {}
        """Of each blob its size, and the backups that need it as the bits of a number."""
        with store.reading_once():
            self._names = sorted(set(store.backup_names()) - set(half_removed(store)))
            self.candidates = [self._read(store, name, 1 << bit) for bit, name in enumerate(self._names)]

    def _read(self, store: Store, name: str, bit: int) -> Candidate:
        try:
            facts = store.summary(name)
            outcomes = read_outcomes(store, name)
            for outcome in outcomes:
                for part in outcome.parts:
                    self._need(part.blob, bit)
            account, options = facts.get("account") or {}, facts.get("options") or {}
            return Candidate(
                name=name,
                scope=str(facts.get("scope") or ""),
                state=str(facts["state"]),
                started=datetime.fromisoformat(facts["started"]),
                label=str(facts.get("label") or ""),
                verified=frozenset(each.item.id for each in outcomes if each.result is Result.VERIFIED),
                listed=frozenset(each.item.id for each in outcomes),
                narrowed=_narrowed(options),
                account=str(account.get("username") or ""),
                privileges=frozenset(account.get("privileges") or ()),
                alarms=alarm_stands(store, facts),
                resume_within=timedelta(seconds=options.get("resume_within", BackupOptions.resume_within)),
            )
        except (StoreDamaged, ValueError, KeyError, TypeError, AttributeError) as error:
            return Candidate(name, "", "damaged", backup_moment(name), unreadable=str(error))

    def _need(self, blob: Blob, bit: int) -> None:
        size, holders = self._needed.get(blob.sha256, (blob.size, 0))
        self._needed[blob.sha256] = size, holders | bit

    def freed_with(self, going: set[str]) -> dict[str, int]:
        """Bytes of the blobs that only backups which go need, by the newest of these."""
        staying = sum(1 << bit for bit, name in enumerate(self._names) if name not in going)
        freed: dict[str, int] = {}
        for size, holders in self._needed.values():
            if not holders & staying:
                name = self._names[holders.bit_length() - 1]
                freed[name] = freed.get(name, 0) + size
        return freed


def _narrowed(options: Mapping[str, Any]) -> str:
    """What narrows a scope, so that the same choice is the same text; empty where nothing does."""
    if not options:
        return "unknown"
    chosen = {name: options[name] for name in _NARROWS if options.get(name)}
    plain = {
        name: sorted(map(str.casefold, value)) if isinstance(value, list) else value for name, value in chosen.items()
    }
    return json.dumps(plain, sort_keys=True) if plain else ""


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
