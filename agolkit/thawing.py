"""Asking archived blobs back, so that they can be read for some days: a thaw."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from agolkit.errors import Archived, NoSuchBackup, UsageError
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, counted, in_bytes
from agolkit.prices import Prices, in_dollars
from agolkit.store import Store
from agolkit.store.blobs import Stored, blob_key
from agolkit.store.tiers import side_by_side

LOOK_EVERY = 900.0
"""Seconds between two looks at how far a thaw has come."""
DAYS = 7
MOST_DAYS = 365


@dataclass(frozen=True, slots=True)
class Thaw:
    """How far the thaw of a backup has come; `str()` says it in plain words."""

    backup: str
    tier: str
    days: int
    frozen: int
    """Blobs that lie in the archive and were not asked back before."""
    frozen_bytes: int
    asked: int
    """Of these, how many are asked back now."""
    ongoing: int
    """Blobs that were asked back before, and cannot be read yet."""
    ready: int
    """Archived blobs that can be read."""
    until: datetime | None
    """The first moment at which one of these cannot be read any more."""
    hours: tuple[int, int]
    """How long it takes from the asking, from and to; both 0 where nothing is frozen."""
    cost: float
    """What the thaw of what is frozen costs, roughly, in US dollars."""

    @property
    def is_ready(self) -> bool:
        """Whether everything can be read."""
        return not (self.frozen or self.ongoing)

    def to_json(self) -> dict[str, Any]:
        """The state for machines."""
        until = self.until.isoformat() if self.until else None
        return {"is_ready": self.is_ready, **asdict(self), "until": until, "cost": round(self.cost, 4)}

    def __str__(self) -> str:
        if self.is_ready and not self.ready:
            return f"Nothing of this in the backup {self.backup} lies in the archive: it can be read."
        lines = []
        if self.frozen:
            are = "is" if self.frozen == 1 else "are"
            done = f"{are} asked back" if self.asked else "would be asked back"
            what = f"{counted(self.frozen, 'file')}, {in_bytes(self.frozen_bytes)}"
            hours = f"{self.hours[0]} to {self.hours[1]} hours"
            lines.append(
                f"{what}, {done} for {counted(self.days, 'day')}: ready in {hours}, for {in_dollars(self.cost)}."
            )
        if self.ongoing:
            lines.append(f"{counted(self.ongoing, 'file')} asked back before, and not ready yet.")
        if self.ready:
            lines.append(f"{counted(self.ready, 'file')} ready, until {self.until:%Y-%m-%d %H:%M} UTC at least.")
        if self.is_ready:
            lines.append(f"The backup {self.backup} can be read now.")
        return "\n".join(lines)


def thaw(
    store: Store,
    backup: str,
    items: Iterable[str] = (),
    *,
    tier: Literal["bulk", "standard"] = "bulk",
    days: int = DAYS,
    dry_run: bool = False,
    wait: bool = False,
    prices: Prices | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Thaw:
    """Ask back exactly those archived blobs that a backup, or some of its items, needs; and how far that has come.

    It can be called again and again: what was asked back before is not asked twice. Nothing in the store is changed;
    after `days` the blobs lie in the archive as before.

    Parameters
    ----------
    items
        Ids; without any, the whole backup.
    tier
        `bulk` is cheap: within 48 hours from DEEP_ARCHIVE, within 12 from GLACIER. `standard`: within 12, or 5.
    days
        How long the blobs can be read.
    dry_run
        Only say what would be asked, how long it would take and what it would cost.
    wait
        Come back when all can be read, or when Ctrl+C ends the waiting: the thaw goes on.

    Raises
    ------
    UsageError
        There is no such tier, or the days are too few or too many. Final.
    NoSuchBackup
        There is no such backup or item.
    StoreError
        These credentials may not ask for a thaw, or the server has none.
    """
    if tier not in ("bulk", "standard"):
        raise UsageError(f"{tier!r} is no tier of a thaw; there are bulk and standard.")
    if not 1 <= days <= MOST_DAYS:
        raise UsageError(f"A thaw lasts from 1 to {MOST_DAYS} days, not {days}.")
    name, wanted = store.resolve(backup), set(items)
    outcomes = read_outcomes(store, name, only=wanted)
    if unknown := wanted - {outcome.item.id for outcome in outcomes}:
        raise NoSuchBackup(f"The backup {name} has no item {', '.join(sorted(unknown))}.")
    needed = hashes_of(outcomes)
    archived = store.archived(needed)
    frozen = [each for each in archived if not each.thaw.asked]
    asked = 0
    if not dry_run:
        asked = sum(1 for _ in side_by_side(lambda each: store.ask_back(blob_key(each.sha256), tier, days), frozen))
    state = _state(name, archived, asked, tier, days, prices or Prices())
    with suppress(KeyboardInterrupt):
        while wait and not dry_run and not state.is_ready:
            sleep(LOOK_EVERY)
            state = _state(name, store.archived(needed), 0, tier, days, prices or Prices())
    return state


def hashes_of(outcomes: Iterable[Outcome]) -> set[str]:
    """The hashes of all blobs that these items need."""
    return {part.blob.sha256 for outcome in outcomes for part in outcome.parts}


def frozen_blobs(store: Store, wanted: Collection[str]) -> dict[str, int]:
    """Of these blobs, by their hashes, those that cannot be read before a thaw, with their sizes."""
    return {each.sha256: each.size for each in store.archived(wanted) if each.thaw.until is None}


def check_thawed(store: Store, backup: str, outcomes: Iterable[Outcome], items: Sequence[str] = ()) -> None:
    """Raise `Archived` where something that these items need cannot be read before a thaw; it says how to ask."""
    if frozen := frozen_blobs(store, hashes_of(outcomes)):
        command = ["agolkit", "thaw", store.location, backup, *(word for each in items for word in ("--item", each))]
        raise Archived(
            f"{counted(len(frozen), 'file')} of the backup {backup}, {in_bytes(sum(frozen.values()))}, in the archive "
            f"cannot be read now. Ask for a thaw, and try again when it is done: {shlex.join(command)}"
        )


def _state(name: str, archived: Sequence[Stored], asked: int, tier: str, days: int, prices: Prices) -> Thaw:
    frozen = [each for each in archived if not each.thaw.asked]
    ready = [each.thaw.until for each in archived if each.thaw.until]
    returns = [prices.returns[each, tier] for each in {each.tier for each in frozen}]
    return Thaw(
        backup=name,
        tier=tier,
        days=days,
        frozen=len(frozen),
        frozen_bytes=sum(each.size for each in frozen),
        asked=asked,
        ongoing=len(archived) - len(frozen) - len(ready),
        ready=len(ready),
        until=min(ready, default=None),
        hours=(
            max((each.hours[0] for each in returns), default=0),
            max((each.hours[1] for each in returns), default=0),
        ),
        cost=sum(prices.thawing(each.tier, each.size, tier, days) for each in frozen),
    )
