"""What a run goes on from: the backup that was interrupted, and the complete ones whose items may still stand."""

from __future__ import annotations

import time
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from agolkit.errors import StoreDamaged
from agolkit.kinds.registry import save_item
from agolkit.kinds.saving import RunContext
from agolkit.manifest import read_outcomes
from agolkit.model import Item, Outcome, Result
from agolkit.options import BackupOptions
from agolkit.progress import attempts_noted
from agolkit.store import Store
from agolkit.store.version import agolkit_version
from agolkit.unchanged import find_proven, is_listed_alike, is_proven, runs_since_full, saved_alike, stand


@dataclass(frozen=True)
class Interrupted:
    """A backup that a run left unfinished or stopped. Safe to use from many threads."""

    name: str
    proven: Mapping[str, Outcome]
    """Its finished items, by id, that are kept where they are still the same."""
    since_full: int
    """How many runs it is since one fetched everything; 0: the run that was interrupted did."""
    kept: set[str] = field(default_factory=set)
    """Ids of the items that this run has kept so far."""
    unchecked: set[str] = field(default_factory=set)
    """Ids of the items that stand as they were, because this run was stopped before it had looked at them."""

    def known(self, context: RunContext, outcome: Outcome) -> Outcome:
        """The outcome, or what is known already of an item that a stopped run has not reached; it is checked later."""
        item, before = outcome.item, self.proven.get(outcome.item.id)
        if outcome.result is not Result.STOPPED or before is None or not is_listed_alike(context.store, before, item):
            return outcome
        self.unchecked.add(item.id)
        context.reused_bytes.add(before.saved_bytes)
        return before


@dataclass(frozen=True)
class Known:
    """What a run knows before it begins, and therefore need not fetch. Safe to use from many threads."""

    interrupted: Interrupted | None
    """The backup that it takes up."""
    proven: Mapping[str, Outcome]
    """What the newest complete backups have proven, by item id."""
    since_full: int
    """How many runs it is since one fetched all of that again; 0: this one does."""

    def save(self, context: RunContext, item: Item) -> Outcome:
        """The outcome of one item, kept, reused or saved anew: the job that the engine runs for each item."""
        began = time.monotonic()
        before = self.of(item.id)
        outcome = stand(context, before, item) if before else None
        if outcome is None:
            return save_item(context, item)
        if self.interrupted and item.id in self.interrupted.proven:
            self.interrupted.kept.add(item.id)
            return outcome
        return replace(outcome, how="reused", attempts=attempts_noted(), seconds=time.monotonic() - began)

    @property
    def is_full(self) -> bool:
        """Whether it fetches all of that again."""
        return self.since_full == 0

    @property
    def ids(self) -> Set[str]:
        """Ids of the items that earlier backups have; none where everything is looked at anew."""
        return frozenset() if self.is_full else self.proven.keys()

    def backups(self, store: Store) -> list[str]:
        """The backups that single parts may be taken from: none but its own, where everything is fetched again."""
        if not self.is_full:
            return store.backup_names()
        return [self.interrupted.name] if self.interrupted else []

    def of(self, item_id: str) -> Outcome | None:
        """What an item is compared with: the interrupted backup's copy, else the newest complete one's."""
        if self.interrupted and item_id in self.interrupted.proven:
            return self.interrupted.proven[item_id]
        return None if self.is_full else self.proven.get(item_id)


def look_back(store: Store, options: BackupOptions, now: datetime) -> Known:
    """What a run that begins `now` goes on from."""
    interrupted = find_interrupted(store, options, now)
    since_full = interrupted.since_full if interrupted else runs_since_full(store, options)
    return Known(interrupted, find_proven(store, options), since_full)


def find_interrupted(store: Store, options: BackupOptions, now: datetime) -> Interrupted | None:
    """The backup that a run with these options takes up; `None`: it begins a new one.

    Only the newest of the scope can be: an older one would end with a date before that of a backup which it follows.
    """
    for name in reversed(store.backup_names()):
        try:
            facts = store.summary(name)
            if facts.get("scope") != options.scope_name:
                continue
            if not may_be_resumed(facts, options, now):
                return None
            outcomes = read_outcomes(store, name)
        except (StoreDamaged, KeyError, TypeError, ValueError):  # to tell is for `verify`; this run must go on
            return None
        return Interrupted(name, {each.item.id: each for each in outcomes if is_proven(each)}, facts["since_full"])
    return None


def may_be_resumed(facts: Mapping[str, Any], options: BackupOptions, now: datetime) -> bool:
    """Whether what is known of a backup of the same scope says that a run with these options may take it up."""
    if facts["state"] == "complete" or now - datetime.fromisoformat(facts["started"]) >= timedelta(
        seconds=options.resume_within
    ):
        return False
    if options.full and not facts.get("full"):  # it may have reused what is now to be fetched
        return False
    # Another version may save and check differently.
    return saved_alike(facts.get("options", {}), options) and facts.get("agolkit") == agolkit_version()
