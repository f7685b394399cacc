"""Which blobs of a bucket lie better in an archive class, and why: pure rules, which touch no store.

What is estimated, and how:

- How long a blob is needed is how long the rules go on keeping a backup that needs it, if nobody changes them and
  backups go on as often as they did: a week's newest backup, of which so many are kept, for so many weeks. What is
  kept for its label, by an alarm or as the last copy of an item counts as kept for ten years.
- Where nothing says how long a backup of another scope is kept, its blobs stay where they are.
- How long a blob lies in its class is counted from when it was last written. That a rule of the bucket moved it since
  is not seen, nor what it costs where a bucket keeps what was overwritten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from agolkit.errors import UsageError
from agolkit.model import counted, in_bytes
from agolkit.prices import DAYS_A_MONTH, Prices, in_dollars
from agolkit.retention import PERIODS, Candidate, Keep, ZipCandidate, duration, reasons_to_keep
from agolkit.store.blobs import Stored
from agolkit.store.bucket import ARCHIVED

DAY = timedelta(days=1)
FOREVER = 3650 * DAY
"""What counts as the end of what no rule ends."""

_LENGTHS = {"hourly": 1 / 24, "daily": 1.0, "weekly": 7.0, "monthly": 30.4, "yearly": 365.25}
"""Days of a period of each rule."""


@dataclass(frozen=True, slots=True)
class Archive:
    """When blobs move to an archive class.

    Raises
    ------
    UsageError
        A value is of the wrong type or out of range. Trying again does not help.
    """

    after: str | timedelta
    """What backups that began so long ago or later need stays where it can be read at once: `15d`, `2w`."""
    storage_class: str = "DEEP_ARCHIVE"
    """`DEEP_ARCHIVE` or `GLACIER`."""
    smallest: int = 128 * 1024
    """Bytes; smaller blobs stay, whatever they cost."""
    prices: Prices = field(default_factory=Prices)
    zips_after: str | timedelta = ""
    """Published zips whose backup began so long ago move too, but for the newest of each scope; empty: none does."""

    def __post_init__(self) -> None:
        if self.storage_class not in ARCHIVED:
            raise UsageError(
                f"{self.storage_class!r} is no archive class; there are {', '.join(sorted(ARCHIVED))}. "
                "Other classes can be read at once: AGOLKIT_S3_STORAGE_CLASS sets that of new blobs."
            )
        if not isinstance(self.smallest, int) or isinstance(self.smallest, bool) or self.smallest < 0:
            raise UsageError(f"smallest must be a number of bytes, 0 or greater, not {self.smallest!r}.")
        if self.wait <= timedelta():
            raise UsageError(f"archive_after must be a duration such as 15d, not {self.after!r}.")
        if self.zips_after and self.zips_wait <= timedelta():
            raise UsageError(f"zips_archive_after must be a duration such as 15d, not {self.zips_after!r}.")

    @property
    def wait(self) -> timedelta:
        """`after` as a duration."""
        return duration(self.after, "archive_after")

    @property
    def zips_wait(self) -> timedelta:
        """`zips_after` as a duration."""
        return duration(self.zips_after, "zips_archive_after")


ARCHIVE_RULES = ("archive_after", "archive_class", "zips_archive_after")
"""The rules of `Archive` as they are named beside those of `Keep`."""


def read_rules(values: Mapping[str, Any]) -> tuple[Keep, Archive | None]:
    """What to keep and what to archive, from names and values; `UsageError` where they are not these."""
    if not isinstance(values, Mapping):
        return Keep.from_mapping(values), None
    keep = Keep.from_mapping({name: value for name, value in values.items() if name not in ARCHIVE_RULES})
    after, *others = (values.get(name) for name in ARCHIVE_RULES)
    given = {field: value for field, value in zip(("storage_class", "zips_after"), others, strict=True) if value}
    if after is None and given:
        raise UsageError(
            "archive_class and zips_archive_after need archive_after: after which time to archive, such as 15d."
        )
    return keep, None if after is None else Archive(after, **given)


class Fate(StrEnum):
    """What becomes of a blob, and why."""

    MOVES = "Moves to the archive"
    ARCHIVED = "Is in the archive"
    RECENT = "Stays, because a recent backup needs it"
    CURRENT = "Stays, because the newest complete backup needs it, or one that may be taken up"
    SMALL = "Stays, because it is small"
    DEARER = "Stays, because the archive would cost more for as long as it is needed"


@dataclass(frozen=True, slots=True)
class Share:
    """The blobs of one fate."""

    blobs: int = 0
    bytes: int = 0
    month: float = 0.0
    """What they cost a month when all is done, in dollars."""

    def __add__(self, other: Share) -> Share:
        return Share(self.blobs + other.blobs, self.bytes + other.bytes, self.month + other.month)


@dataclass(frozen=True, slots=True)
class Tiering:
    """What becomes of the blobs that a store goes on needing; `str()` says it in plain words."""

    keep: Keep
    archive: Archive
    shares: Mapping[Fate, Share]
    moves: frozenset[str]
    """Hashes of the blobs that move."""
    move_cost: float
    """Dollars, once, for the requests that move them."""
    saved: float
    """Dollars less for as long as these blobs are needed, all costs counted."""
    billed_until: datetime | None
    """The end of what is billed at least, for those that move now; `None` where none does."""
    early: Share
    """Of the blobs in the archive, those that go with this plan before the end of what is billed at least; `month` is
    what their early end costs, once."""
    zips: Mapping[str, int] = field(default_factory=dict)
    """Bytes of the zips that move, by name."""

    def to_json(self) -> dict[str, Any]:
        """The plan for machines."""
        return {
            "storage_class": self.archive.storage_class,
            "shares": [
                {"fate": fate.name.lower(), "blobs": each.blobs, "bytes": each.bytes, "month": round(each.month, 4)}
                for fate, each in self.shares.items()
            ],
            "move_cost": round(self.move_cost, 4),
            "saved": round(self.saved, 4),
            "billed_until": self.billed_until.isoformat() if self.billed_until else None,
            "zips": sorted(self.zips),
            "early": {"blobs": self.early.blobs, "bytes": self.early.bytes, "cost": round(self.early.month, 4)},
        }

    def __str__(self) -> str:
        lines = []
        for fate, share in self.shares.items():
            if share.blobs:
                files = f"{counted(share.blobs, 'file')}, {in_bytes(share.bytes)}"
                lines.append(f"{fate}: {files}, {in_dollars(share.month)} a month.")
        if self.billed_until:
            lines.append(
                f"To move it to {self.archive.storage_class} costs {in_dollars(self.move_cost)} once; it is "
                f"billed there until {self.billed_until:%Y-%m-%d} at least. It saves {in_dollars(self.saved)} in all."
            )
        if self.early.blobs:
            lines.append(
                f"Goes from the archive before the end of what is billed at least: "
                f"{counted(self.early.blobs, 'file')}, {in_dollars(self.early.month)} for the rest."
            )
        if self.zips:
            lines.append(
                f"Move to the archive as well: {counted(len(self.zips), 'zip')}, {in_bytes(sum(self.zips.values()))}."
            )
        return "\n".join(lines)


def zips_to_archive(
    zips: Iterable[ZipCandidate], tiers: Mapping[str, str], archive: Archive, *, now: datetime
) -> set[str]:
    """The names of the zips that move: those that are old enough, but for the newest of each scope and those that are
    there already. `tiers` has the class of each file in `zips/`."""
    if not archive.zips_after:
        return set()
    listed = sorted(zips, key=lambda each: each.started)
    newest = {each.scope: each.name for each in listed}
    return {
        each.name
        for each in listed
        if each.started < now - archive.zips_wait
        and each.name not in newest.values()
        and tiers.get(each.name, "") not in ARCHIVED
    }


def plan_tiers(
    stored: Iterable[Stored],
    needed: Mapping[str, tuple[int, int]],
    backups: Sequence[Candidate],
    going: Collection[str],
    keep: Keep,
    archive: Archive,
    *,
    now: datetime,
) -> Tiering:
    """What becomes of each blob once the backups that go are gone.

    Parameters
    ----------
    needed
        Of each blob its size, and the backups that need it as the bits of a number: bit 0 is the first of `backups`.
    going
        Names of the backups that go now.
    """
    prices, to = archive.prices, archive.storage_class
    ends = kept_until(backups, keep, now=now)
    staying = {1 << bit: each for bit, each in enumerate(backups) if each.name not in going}
    recent = sum(bit for bit, each in staying.items() if each.started >= now - archive.wait)
    newest = _newest(staying.values())
    current = sum(bit for bit, each in staying.items() if each.name in newest or not each.is_good)

    @cache  # many blobs are needed by the same backups
    def days_needed(holders: int) -> float | None:
        last = max((ends[each.name] for bit, each in staying.items() if holders & bit), default=None)
        return max(0.0, (last - now) / DAY) if last else None

    shares = dict.fromkeys(Fate, Share())
    moves, saved, early = set(), 0.0, Share()
    for blob in stored:
        holders = needed.get(blob.sha256, (0, 0))[1]
        days = days_needed(holders)
        age = (now - blob.written) / DAY if blob.written else 0.0
        month = prices.month(blob.tier, blob.size, archived=blob.tier in ARCHIVED)
        if days is None:  # nothing that stays needs it
            left = prices.of(blob.tier).days - age
            if blob.tier in ARCHIVED and left > 0:
                early += Share(1, blob.size, month * left / DAYS_A_MONTH)
            continue
        stay, move = prices.staying(blob.tier, blob.size, days, age=age), 0.0
        if blob.tier in ARCHIVED:
            fate = Fate.ARCHIVED
        elif holders & recent:
            fate = Fate.RECENT
        elif holders & current:
            fate = Fate.CURRENT
        elif blob.size < archive.smallest:
            fate = Fate.SMALL
        elif (move := prices.moving(blob.tier, blob.size, days, to, age=age)) >= stay:
            fate = Fate.DEARER
        else:
            fate = Fate.MOVES
            moves.add(blob.sha256)
            saved += stay - move
            month = prices.month(to, blob.size, archived=True)
        shares[fate] += Share(1, blob.size, month)
    until = now + timedelta(days=prices.of(to).days) if moves else None
    return Tiering(keep, archive, shares, frozenset(moves), len(moves) * prices.of(to).move, saved, until, early)


def kept_until(backups: Sequence[Candidate], keep: Keep, *, now: datetime) -> dict[str, datetime]:
    """Until when each backup is kept at most, by its name, as far as the rules tell."""
    scopes: dict[str, list[Candidate]] = {}
    for each in sorted(backups, key=lambda each: each.moment, reverse=True):
        scopes.setdefault(each.scope, []).append(each)
    held = reasons_to_keep(backups, None, now=now)
    ends = {each.name: now for each in backups}
    for each in backups:
        if held[each.name] or keep.keeps_all or each.label in keep.labels:
            ends[each.name] = now + FOREVER
    for scope in scopes.values():
        for name, end in _ends_by_rule([each for each in scope if each.is_good], keep, now):
            ends[name] = max(ends[name], end)
    return ends


def _ends_by_rule(good: Sequence[Candidate], keep: Keep, now: datetime) -> Iterable[tuple[str, datetime]]:
    """Of the complete backups of one scope, the newest first: until when each rule keeps them."""
    if not good:
        return
    pause = (good[0].started - good[-1].started) / max(1, len(good) - 1)
    for place, each in enumerate(good[: keep.last]):
        yield each.name, now + (keep.last - place) * pause
    for each in good:
        yield each.name, each.started + keep.window
    for rule, period_of in PERIODS.items():
        newest = {period_of(each.started): each for each in reversed(good)}
        for each in newest.values():
            yield each.name, each.started + timedelta(days=getattr(keep, rule) * _LENGTHS[rule])


def _newest(backups: Iterable[Candidate]) -> set[str]:
    """The names of the newest complete backup of each scope."""
    newest: dict[str, Candidate] = {}
    for each in backups:
        if each.is_good and (each.scope not in newest or each.moment > newest[each.scope].moment):
            newest[each.scope] = each
    return {each.name for each in newest.values()}
