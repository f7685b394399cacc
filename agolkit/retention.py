"""Which backups of a store stay, and why: pure rules, which touch no store.

Rules that keep so many of a period work as administrators know them from other tools: of each period that has complete
backups the newest stays, periods without one do not count, and the rules do not take from each other. Periods are those
of UTC, so that the plan is the same on every computer; weeks begin on Monday. Each scope is looked at by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

from agolkit.errors import UsageError
from agolkit.model import counted
from agolkit.options import nearest

PERIODS: Mapping[str, Callable[[datetime], str]] = {
    "hourly": lambda moment: f"{moment:%Y-%m-%d %H}:00",
    "daily": lambda moment: f"{moment:%Y-%m-%d}",
    "weekly": lambda moment: f"{moment:%G-W%V}",
    "monthly": lambda moment: f"{moment:%Y-%m}",
    "yearly": lambda moment: f"{moment:%Y}",
}
"""What the backups of one period have in common, for each rule."""

SEES_ALL = frozenset(["portal:admin:viewUsers", "portal:admin:viewItems"])
"""Privileges of an account to which every item of the organization is shown."""

ZIP = "zip"
"""State of a row of a plan that is a published zip, and no backup."""

_UNITS = {"h": 1, "d": 24, "w": 7 * 24}
_DURATION = re.compile(r"(\d+[hdw])+")


@dataclass(frozen=True, kw_only=True)
class Keep:
    """Which backups of each scope to keep; what no rule keeps may go. Only complete backups count.

    Without any rule but `tree_keep` and those for zips every backup stays.

    Raises
    ------
    UsageError
        A value is of the wrong type or out of range, or there is no rule at all. Trying again does not help.
    """

    last: int = 0
    """The newest so many."""
    hourly: int = 0
    """The newest of each of the last so many hours that have one."""
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: str | timedelta = ""
    """All that began so long before the newest complete one of the scope, or later: `36h`, `14d`, `8w`, `1w3d`."""
    labels: Sequence[str] = field(default_factory=list)
    """All with one of these labels, finished or not."""
    tree_keep: int | None = None
    """So many of the newest keep their tree, older ones only what it shows; `None`: all keep it."""
    zips_last: int = 0
    """Of the published zips the newest so many. Without a rule for zips all stay, whatever becomes of their backups."""
    zips_within: str | timedelta = ""
    """Of the zips all whose backup began so long before that of the newest one, or later."""

    def __post_init__(self) -> None:
        for name in ("last", *PERIODS, "tree_keep", "zips_last"):
            value = getattr(self, name)
            if value is None and name == "tree_keep":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise UsageError(f"{name} must be a whole number, 0 or greater, not {value!r}.")
        if isinstance(self.labels, str) or not all(isinstance(label, str) and label for label in self.labels):
            raise UsageError(f"labels must be a list of texts, not {self.labels!r}.")
        for name, window in (("within", self.window), ("zips_within", self.zips_window)):
            if window < timedelta():
                raise UsageError(f"{name} must not be negative, not {getattr(self, name)!r}.")
        if self.keeps_all and self.tree_keep is None and self.keeps_all_zips:
            raise UsageError("Say what to keep, such as the last 7 or one of each of the last 14 days.")

    @property
    def window(self) -> timedelta:
        """`within` as a duration."""
        return duration(self.within, "within")

    @property
    def zips_window(self) -> timedelta:
        """`zips_within` as a duration."""
        return duration(self.zips_within, "zips_within")

    @property
    def keeps_all(self) -> bool:
        """Whether no rule says which backups stay, so that all do."""
        return not (any(getattr(self, name) for name in ("last", *PERIODS)) or self.window or self.labels)

    @property
    def keeps_all_zips(self) -> bool:
        """Whether no rule says which zips stay, so that all do."""
        return not (self.zips_last or self.zips_window)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Keep:
        """Rules from names and values; an unknown name is a `UsageError` that suggests the nearest known one."""
        if not isinstance(values, Mapping):
            raise UsageError(f"What to keep must be a mapping such as {{daily: 14, weekly: 8}}, not {values!r}.")
        known = [each.name for each in fields(cls)]
        for name in values:
            if name not in known:
                raise UsageError(f"There is no rule {name!r}." + nearest(str(name), known))
        return cls(**values)


def duration(value: object, name: str) -> timedelta:
    """What a text such as `36h`, `14d`, `8w` or `1w3d` says, the empty one nothing; `UsageError` where it is none."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not (value == "" or _DURATION.fullmatch(value)):
        raise UsageError(f"{name} must be a duration such as 36h, 14d, 8w or 1w3d, not {value!r}.")
    try:
        return timedelta(hours=sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([hdw])", value)))
    except OverflowError:
        raise UsageError(f"{name} must be shorter than {value!r}.") from None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A backup as the rules see it."""

    name: str
    scope: str
    state: str
    """`complete`, `stopped` or `unfinished`."""
    started: datetime
    label: str = ""
    verified: frozenset[str] = frozenset()
    """Ids of the items that it holds verified."""
    listed: frozenset[str] = frozenset()
    """Ids of all items that it found in the portal, those that were left out included."""
    narrowed: str = ""
    """What narrowed its scope, in comparable form; empty: nothing did."""
    account: str = ""
    privileges: frozenset[str] = frozenset()
    alarms: bool = False
    """Whether a mass-change alarm of it stands."""
    resume_within: timedelta = timedelta(days=1)
    unreadable: str = ""
    """Why nobody knows what it holds; empty where it can be read."""

    @property
    def moment(self) -> tuple[datetime, str]:
        """What backups are ordered by."""
        return self.started, self.name

    @property
    def is_good(self) -> bool:
        return self.state == "complete" and not self.unreadable


def reasons_to_keep(backups: Collection[Candidate], keep: Keep | None, *, now: datetime) -> dict[str, list[str]]:
    """For each backup, by name, why it stays; a backup without a reason goes. The order of `backups` is of no matter.

    Without `keep`, only the reasons that no rule can override:

    - it is the newest complete backup of its scope;
    - it holds the last verified copy of an item that is still in the organization;
    - it is stopped or unfinished, and may be taken up, or no newer one of its scope is complete;
    - a mass-change alarm of it, or of a newer one of its scope, stands;
    - it cannot be read, so that nobody knows what it holds.

    An item is still in the organization unless it is proven gone. Asked are the newest complete backups of all scopes,
    and the newest proof counts. One that lists the item, even as left out, proves that it is there. One that does not
    proves that it is gone, if it is newer than the copy and would have seen the item: nothing narrowed its scope and
    its account sees all items, or it is of the copy's scope, narrowed the same, and of the same account with no fewer
    privileges.
    """
    newest_first = sorted(backups, key=lambda each: each.moment, reverse=True)
    scopes: dict[str, list[Candidate]] = {}
    for each in newest_first:
        scopes.setdefault(each.scope, []).append(each)
    reasons: dict[str, list[str]] = {each.name: [] for each in backups}
    for scope in scopes.values():
        for name, reason in (*_held(scope, now), *(_chosen(scope, keep) if keep else ())):
            reasons[name].append(reason)
    for name, count in _last_copies(newest_first, scopes.values()).items():
        reasons[name].append(f"holds the last verified copy of {counted(count, 'item')} still in the organization")
    return reasons


@dataclass(frozen=True, slots=True)
class ZipCandidate:
    """A published zip as the rules see it; its backup may be gone."""

    name: str
    scope: str
    started: datetime
    """When its backup began."""


def reasons_to_keep_zips(
    zips: Collection[ZipCandidate], backups: Collection[Candidate], keep: Keep | None
) -> dict[str, list[str]]:
    """For each zip, by name, why it stays; a zip without a reason goes. Whether its backup stays is of no matter.

    Without `keep`, only the reasons that no rule can override: it is the newest zip of its scope, or a mass-change
    alarm stands of a backup of its scope that is no older than its own.
    """
    alarms = {each.scope: each for each in sorted(backups, key=lambda each: each.moment) if each.alarms}
    reasons: dict[str, list[str]] = {}
    scopes: dict[str, list[ZipCandidate]] = {}
    for each in sorted(zips, key=lambda each: (each.started, each.name), reverse=True):
        newer = scopes.setdefault(each.scope, [])
        reasons[each.name] = why = [] if newer else [f"newest zip of the scope {each.scope!r}"]
        newer.append(each)
        alarm = alarms.get(each.scope)
        if alarm and each.started <= alarm.started:
            why.append(f"pinned by the alarm of {alarm.name}")
        if keep and keep.keeps_all_zips:
            why.append("no rule removes zips")
        if keep and len(newer) <= keep.zips_last:
            why.append(f"one of the last {counted(keep.zips_last, 'zip')}")
        if keep and keep.zips_window and each.started >= newer[0].started - keep.zips_window:
            why.append("recent")
    return reasons


def _held(scope: Sequence[Candidate], now: datetime) -> Iterator[tuple[str, str]]:
    """Of the backups of one scope, the newest first: what holds some of them whatever the rules say."""
    good = next((each for each in scope if each.is_good), None)
    alarm = next((each for each in scope if each.alarms), None)
    for each in scope:
        if each.unreadable:
            yield each.name, f"cannot be read, so nobody knows what it holds: {each.unreadable}"
        elif each is good:
            yield each.name, f"newest complete backup of the scope {each.scope!r}"
        elif each.state != "complete":
            until = each.started + each.resume_within
            if each is scope[0] and now < until:
                yield each.name, f"{each.state}, and may be taken up until {until:%Y-%m-%d %H:%M} UTC"
            elif good is None or good.moment < each.moment:
                yield each.name, f"{each.state}, and no newer backup of its scope is complete"
        if alarm and each.moment <= alarm.moment:
            yield each.name, "its alarm stands" if each.alarms else f"pinned by the alarm of {alarm.name}"


def _chosen(scope: Sequence[Candidate], keep: Keep) -> Iterator[tuple[str, str]]:
    """Of the backups of one scope, the newest first: what the rules keep."""
    good = [each for each in scope if each.is_good]
    if keep.keeps_all:
        yield from ((each.name, "no rule removes backups") for each in scope)
    yield from ((each.name, f"one of the last {keep.last}") for each in good[: keep.last])
    for rule, period_of in PERIODS.items():
        newest: dict[str, str] = {}
        for each in good:
            newest.setdefault(period_of(each.started), each.name)
        for period, name in list(newest.items())[: getattr(keep, rule)]:
            yield name, f"{rule} {period}"
    if keep.window:
        yield from ((each.name, "recent") for each in good if each.started >= good[0].started - keep.window)
    yield from ((each.name, f"labelled {each.label!r}") for each in scope if each.label in keep.labels)


def _last_copies(newest_first: Sequence[Candidate], scopes: Iterable[Sequence[Candidate]]) -> dict[str, int]:
    """How many items each backup alone holds in their last verified copy, of those still in the organization."""
    witnesses = sorted(
        (good for scope in scopes if (good := next((each for each in scope if each.is_good), None))),
        key=lambda each: each.moment,
        reverse=True,
    )
    seen: set[str] = set()
    found: dict[str, int] = {}
    for holder in newest_first:
        unknown = holder.verified - seen
        seen |= unknown
        present: frozenset[str] = frozenset()
        for witness in witnesses:
            present |= unknown & witness.listed
            unknown -= witness.listed
            if witness.moment > holder.moment and _covers(witness, holder):
                unknown = frozenset()
        if present or unknown:
            found[holder.name] = len(present) + len(unknown)
    return found


def _covers(witness: Candidate, holder: Candidate) -> bool:
    """Whether a backup would have seen every item that an older one saw."""
    if not witness.narrowed and witness.privileges >= SEES_ALL:
        return True
    return (witness.scope, witness.narrowed, witness.account) == (
        holder.scope,
        holder.narrowed,
        holder.account,
    ) and witness.privileges >= holder.privileges
