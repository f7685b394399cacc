"""Mass-change alarms: a run that finds far less than the one before it says so, and nothing old is removed for it.

What a run finds may be a mistake, or an attack: a script that deletes items, a layer that was emptied, an account that
sees less than it did. Backups go on as ever; but until somebody says that the change was meant, the alarm *stands*, and
every backup of its scope up to the one that raised it is pinned: `prune` removes none of them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from agolkit.errors import NoSuchBackup, StoreDamaged
from agolkit.kinds.feature_service.definition import SERVICE, layers_by_id, load_definition, saved_rows
from agolkit.manifest import read_outcomes
from agolkit.model import Blob, Outcome, Result, counted, to_stamp
from agolkit.options import BackupOptions
from agolkit.store import Draft, Store

log = logging.getLogger(__name__)

UNPINNED = "unpinned.json"
"""File beside `backup.json` that says when somebody ended the alarms of a backup."""

LEAST_ITEMS = 5
"""Fewer items than this are never many."""
LEAST_ROWS = 20
"""A layer that had fewer rows than this is not looked at: tests and lists of choices change all the time."""
NAMED = 3
"""Items that an alarm names."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """The mass-change alarms of one backup, which stand."""

    backup: str
    scope: str
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([f"{self.backup}, scope {self.scope!r}:", *(f"  {sentence}" for sentence in self.sentences)])


def find_alarms(
    store: Store, outcomes: Sequence[Outcome], *, options: BackupOptions, privileges: Collection[str]
) -> list[str]:
    """What changed on a suspicious scale since the last complete backup of the scope, in plain words, the worst first.

    For a run that has reached its end and has not written `backup.json` yet. A backup before it that is damaged is
    passed over with a warning in the log: to tell is for `verify`, and this run must come to its end.

    Parameters
    ----------
    outcomes
        Every item of the run, those left out included.
    privileges
        Those of the account of the run.
    """
    try:
        name = store.resolve("latest", scope=options.scope_name)
        before = read_outcomes(store, name)
        account = store.summary(name).get("account") or {}
        return [
            *_of_items(name, before, outcomes, most=options.alarm_items),
            *_of_rows(store, name, before, outcomes, most=options.alarm_rows),
            *_of_privileges(name, account.get("privileges") or (), privileges),
        ]
    except NoSuchBackup:
        return []
    except (StoreDamaged, ValueError, KeyError, TypeError) as error:
        log.warning("No mass-change alarm could be looked for: %s", error)
        return []


def _of_items(name: str, before: Sequence[Outcome], now: Sequence[Outcome], *, most: float) -> Iterator[str]:
    results = {outcome.item.id: outcome.result for outcome in now}
    held = [outcome for outcome in before if outcome.result is not Result.EXCLUDED]
    missing = [each for each in held if results.get(each.item.id, Result.EXCLUDED) is Result.EXCLUDED]
    if len(missing) >= LEAST_ITEMS and len(missing) > most * len(held):
        left_out = sum(outcome.item.id in results for outcome in missing)
        examples = ", ".join(_named(outcome) for outcome in missing[:NAMED])
        yield (
            f"{len(missing):,} of the {counted(len(held), 'item')} that the backup {name} covers are not covered any "
            f"more: {len(missing) - left_out:,} were not found, {left_out:,} are left out; among them {examples}."
        )


def _of_rows(
    store: Store, name: str, before: Sequence[Outcome], now: Sequence[Outcome], *, most: float
) -> Iterator[str]:
    after = {outcome.item.id: outcome for outcome in now}
    for outcome in before:
        same = after.get(outcome.item.id)
        blobs = _definition(outcome), same and _definition(same)
        if same is None or None in blobs or blobs[0] == blobs[1]:  # the numbers of rows are in the definition
            continue
        old, new = load_definition(store, outcome.parts), load_definition(store, same.parts)
        rows, there = saved_rows(new), layers_by_id(new)
        for layer, had in saved_rows(old).items():
            if layer not in rows and (layer in there or not there):
                continue  # not saved this time, which the item's own message tells
            has = rows.get(layer, 0)
            if had >= LEAST_ROWS and had - has > most * had:
                now_has = f"Layer {layer} of {_named(outcome)} has {counted(has, 'row')}"
                yield f"{now_has}; in the backup {name} it had {had:,}."


def _of_privileges(name: str, before: Collection[str], now: Collection[str]) -> Iterator[str]:
    lost = sorted(set(before) - set(now))
    if lost:
        yield (
            f"The account has lost {counted(len(lost), 'privilege')} since the backup {name}, and may see less than "
            f"it did: {', '.join(lost)}."
        )


def _definition(outcome: Outcome) -> Blob | None:
    return next((part.blob for part in outcome.parts if part.path == SERVICE), None)


def _named(outcome: Outcome) -> str:
    # Without its title: the sentence stays in `backup.json` when the item is forgotten.
    return f"{outcome.item.type} {outcome.item.id}"


def standing_alarms(store: Store, backup: str | None = None) -> list[Alarm]:
    """The backups whose alarms nobody has ended yet, oldest first; or that one backup, if its alarms stand."""
    found = []
    for name in [store.resolve(backup)] if backup else store.backup_names():
        try:
            facts = store.summary(name)
        except StoreDamaged:  # `plan_prune` keeps it, and `verify` tells
            continue
        if alarm_stands(store, facts):
            found.append(Alarm(name, str(facts["scope"]), tuple(map(str, facts["alarms"]))))
    return found


def standing_in(store: Store, scope: str) -> list[str]:
    """The backups of a scope whose alarms nobody has ended yet, oldest first."""
    return [alarm.backup for alarm in standing_alarms(store) if alarm.scope == scope]


def alarm_stands(store: Store, facts: Mapping[str, object]) -> bool:
    """Whether what is known of a backup has an alarm that nobody has ended."""
    return bool(facts.get("alarms")) and store.find(f"backups/{facts['name']}/{UNPINNED}") is None


def unpin(store: Store, backup: str | None = None) -> list[Alarm]:
    """End the alarms that stand, or those of one backup: the change was meant. Which they were.

    From then on the rules of `prune` alone say which backups stay.

    Raises
    ------
    NoSuchBackup
        There is no such backup. Final.
    """
    ended = standing_alarms(store, backup)
    for alarm in ended:
        content = json.dumps({"unpinned": to_stamp(datetime.now(UTC))}, indent=1).encode() + b"\n"
        Draft(store, alarm.backup).write(UNPINNED, content)
    return ended
