"""What is new in a backup: what got worse, what is gone and what is well again since the one before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from agolkit.errors import StoreError
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, Result
from agolkit.store.base import Store

CHOOSING = ("folders", "owners", "groups", "types", "query")
"""Options that choose the items of a backup; what they do not choose appears nowhere in it."""

_FAILING = (Result.FAILED, Result.PARTIAL)
_WELL = (Result.VERIFIED, Result.DESCRIBED)


@dataclass(frozen=True, slots=True)
class News:
    """What a backup says that the last complete one of its scope did not. Each list is ordered by type and title."""

    compared_with: str = ""
    """Name of the earlier backup; empty: there is none, and all failures are new."""
    failures: tuple[Outcome, ...] = ()
    """Failed or partial items that are not accepted, and were not so before; or were partial, and are failed now."""
    known: tuple[Outcome, ...] = ()
    """Failed or partial items that are not accepted, and were so before."""
    vanished: tuple[Outcome, ...] = ()
    """Items that are neither in scope nor left out any more, as they were before."""
    recovered: tuple[Outcome, ...] = ()
    """Items that were failed or partial before, and are not any more."""
    accepted: int = 0
    """Failed or partial items that are accepted: no news, and no failures."""
    added: int = 0
    """Items that were not there before."""
    is_same_choice: bool = True
    """Whether both backups chose their items alike; else it is not known what has vanished."""


def what_is_new(
    before: Sequence[Outcome] | None,
    now: Sequence[Outcome],
    *,
    accept: Mapping[str, str],
    compared_with: str = "",
    is_same_choice: bool = True,
) -> News:
    """What `now` says that `before` did not; `None` where there is nothing to compare with.

    An item that `accept` takes as it is (by id or type) is no failure. One that was left out, and is gone, is not news.
    """
    was = {outcome.item.id: outcome for outcome in before or ()}
    ids = {outcome.item.id for outcome in now}
    incomplete = [each for each in now if each.result in _FAILING]
    failing = [each for each in incomplete if each.accepted(accept) is None]
    known = {each.item.id for each in failing if _is_known(was.get(each.item.id), each)}
    gone = [each for each in was.values() if each.item.id not in ids and each.result is not Result.EXCLUDED]
    return News(
        compared_with=compared_with,
        failures=_ordered(each for each in failing if each.item.id not in known),
        known=_ordered(each for each in failing if each.item.id in known),
        vanished=_ordered(gone) if is_same_choice else (),
        recovered=_ordered(
            each
            for each in now
            if each.result in _WELL and each.item.id in was and was[each.item.id].result in _FAILING
        ),
        accepted=len(incomplete) - len(failing),
        added=0 if before is None else len(ids - was.keys()),
        is_same_choice=is_same_choice,
    )


def find_news(store: Store, facts: Mapping[str, Any], outcomes: Sequence[Outcome]) -> News:
    """What is new in a backup of this store since the last complete one of its scope.

    `facts` is what `backup.json` says of it. An earlier backup that cannot be read is passed over: to tell is for
    `verify`.
    """
    options = facts.get("options", {})
    for name in reversed([name for name in store.backup_names() if name < facts["name"]]):
        with suppress(StoreError, KeyError, TypeError, ValueError):
            earlier = store.summary(name)
            if earlier["state"] == "complete" and earlier["scope"] == facts["scope"]:
                chose = earlier["options"]
                return what_is_new(
                    read_outcomes(store, name),
                    outcomes,
                    accept=options.get("accept", {}),
                    compared_with=name,
                    is_same_choice=all(chose.get(each) == options.get(each) for each in CHOOSING),
                )
    return what_is_new(None, outcomes, accept=options.get("accept", {}))


def _is_known(before: Outcome | None, now: Outcome) -> bool:
    if before is None or before.result not in _FAILING:
        return False
    return before.result is Result.FAILED or now.result is Result.PARTIAL


def _ordered(outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
    return tuple(sorted(outcomes, key=lambda each: (each.item.type, each.item.title, each.item.id)))
