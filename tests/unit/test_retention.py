"""The rules of retention: what stays, why, and what holds for any backups and any rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agolkit.errors import UsageError
from agolkit.layout import backup_name
from agolkit.retention import SEES_ALL, Candidate, Keep, ZipCandidate, reasons_to_keep, reasons_to_keep_zips

FIRST = datetime(2025, 1, 1, 2, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALL = SEES_ALL


def backup(day: int, scope: str = "nightly", state: str = "complete", **facts: Any) -> Candidate:
    """A backup that began at two o'clock on the day of that number, 0 being New Year's Day of 2025."""
    started = FIRST + timedelta(days=day)
    return Candidate(backup_name(started), scope, state, started, **{"privileges": ALL, **facts})


def survivors(backups: list[Candidate], keep: Keep | None, now: datetime = NOW) -> list[Candidate]:
    """The backups that have a reason to stay."""
    reasons = reasons_to_keep(backups, keep, now=now)
    return [each for each in backups if reasons[each.name]]


def days(backups: list[Candidate]) -> list[str]:
    return [f"{each.started:%m-%d}" for each in backups]


MONTH_ENDS = ["01-31", "02-28", "03-31", "04-30", "05-31", "06-30", "07-31", "08-31", "09-30", "10-31", "11-30"]
LAST_WEEK = ["12-25", "12-26", "12-27", "12-28", "12-29", "12-30", "12-31"]
YEAR = [
    ({"last": 3}, ["12-29", "12-30", "12-31"]),
    ({"daily": 7}, LAST_WEEK),
    ({"weekly": 5}, ["12-07", "12-14", "12-21", "12-28", "12-31"]),
    ({"monthly": 12}, [*MONTH_ENDS, "12-31"]),
    ({"monthly": 3, "yearly": 3}, ["10-31", "11-30", "12-31"]),
    ({"hourly": 2}, ["12-30", "12-31"]),
    ({"within": "2d"}, ["12-29", "12-30", "12-31"]),
    ({"within": "1w36h"}, ["12-23", "12-24", *LAST_WEEK]),
    ({"labels": ["before the migration"]}, ["05-17", "12-31"]),
    ({"daily": 7, "weekly": 4, "monthly": 12, "yearly": 3}, [*MONTH_ENDS, "12-14", "12-21", *LAST_WEEK]),
]


def a_year() -> list[Candidate]:
    """A backup for each day of 2025."""
    return [replace(backup(day), label="before the migration" if day == 136 else "nightly") for day in range(365)]


@pytest.mark.parametrize(("rules", "expected"), YEAR)
def test_of_a_year_of_nights_the_rules_keep(rules: dict[str, Any], expected: list[str]) -> None:
    """Of a year of daily backups exactly those survive that somebody would count on a calendar."""
    assert days(survivors(a_year(), Keep(**rules))) == expected


@pytest.mark.parametrize(("rules", "expected"), [YEAR[1], YEAR[2], YEAR[3], YEAR[-1]])
def test_pruning_each_night_ends_as_pruning_once(rules: dict[str, Any], expected: list[str]) -> None:
    """A store that was pruned after every backup of the year holds the same in the end."""
    kept: list[Candidate] = []
    for each in a_year():
        kept = survivors([*kept, each], Keep(**rules), now=each.started)
    assert days(kept) == expected


def test_every_reason_is_said() -> None:
    """A backup that several rules keep says each of them."""
    reasons = reasons_to_keep(a_year(), Keep(last=1, daily=1, weekly=1, monthly=1, yearly=1, hourly=1), now=NOW)
    assert reasons[backup(364).name] == [
        "newest complete backup of the scope 'nightly'",
        "one of the last 1",
        "hourly 2025-12-31 02:00",
        "daily 2025-12-31",
        "weekly 2026-W01",
        "monthly 2025-12",
        "yearly 2025",
    ]
    assert reasons[backup(363).name] == []


def test_scopes_are_counted_by_themselves() -> None:
    """The backups of one scope take no place of another's."""
    backups = [backup(day, scope) for day in range(5) for scope in ("city", "surveys")]
    backups = [replace(each, name=f"{each.name}-{number}") for number, each in enumerate(backups)]
    kept = survivors(backups, Keep(last=2))
    assert sorted((each.scope, each.started.day) for each in kept) == [
        ("city", 4), ("city", 5), ("surveys", 4), ("surveys", 5)
    ]  # fmt: skip


def test_a_gap_uses_up_no_day() -> None:
    """Days without a backup do not count: after a month without any, the last three days that have one stay."""
    backups = [backup(day) for day in (0, 1, 2, 3, 40)]
    assert survivors(backups, Keep(daily=3)) == [backup(2), backup(3), backup(40)]
    assert survivors(backups, Keep(within="37d")) == [backup(3), backup(40)], "counted from the newest, not from today"


def test_an_unfinished_backup_stays_while_it_may_be_taken_up() -> None:
    """The newest of its scope stays until its time is over; after that only while nothing complete has followed it."""
    old, killed = backup(0), backup(1, state="unfinished")
    keep = Keep(last=5)
    soon, later = killed.started + timedelta(hours=23), killed.started + timedelta(hours=25)
    assert reasons_to_keep([old, killed], keep, now=soon)[killed.name] == [
        "unfinished, and may be taken up until 2025-01-03 02:00 UTC"
    ]
    assert reasons_to_keep([old, killed], keep, now=later)[killed.name] == [
        "unfinished, and no newer backup of its scope is complete"
    ]
    followed = reasons_to_keep([old, killed, replace(backup(2), name="b")], keep, now=soon)
    assert followed[killed.name] == [], "only the newest can be taken up, and it does not count as one of the last"


def test_a_stopped_backup_takes_no_day_from_a_complete_one() -> None:
    """On a day with a complete and a later stopped backup, the complete one is the day's."""
    morning, evening = backup(0), replace(backup(0, state="stopped"), name="2025-01-01T200000Z")
    evening = replace(evening, started=evening.started + timedelta(hours=18))
    assert survivors([morning, evening, backup(1)], Keep(daily=2)) == [morning, backup(1)]


def test_the_last_verified_copy_of_an_item_stays() -> None:
    """An item that has been failing since holds the newest backup that has it verified."""
    backups = [backup(day, verified=frozenset("ab"), listed=frozenset("abc")) for day in range(3)]
    backups += [backup(day, verified=frozenset("a"), listed=frozenset("abc")) for day in range(3, 9)]
    reasons = reasons_to_keep(backups, Keep(last=1), now=NOW)
    assert reasons[backups[2].name] == ["holds the last verified copy of 1 item still in the organization"]
    assert [name for name in reasons if reasons[name]] == [backups[2].name, backups[-1].name]


A, AB = frozenset("a"), frozenset("ab")
PLAIN = frozenset(["portal:user:viewOrgItems"])
GONE = [
    ("the same scope does not list it", backup(9, listed=A), False),
    ("the same scope lists it as left out", backup(9, listed=AB), True),
    ("another scope of the same store lists it", backup(9, "other", listed=AB), True),
    ("another scope covers everything and does not list it", backup(9, "other", listed=A), False),
    ("another scope is narrowed", backup(9, "other", narrowed="folders", listed=A), True),
    ("another scope's account does not see all", backup(9, "other", privileges=PLAIN, listed=A), True),
    ("the scope is narrowed now", backup(9, narrowed="folders", privileges=PLAIN, listed=A), True),
    ("the account lost privileges", backup(9, privileges=PLAIN, listed=A), True),
    ("the backup without it is no complete one", backup(9, state="stopped", listed=A), True),
]


@pytest.mark.parametrize(("newest", "stays"), [row[1:] for row in GONE], ids=[row[0] for row in GONE])
def test_an_item_counts_as_gone_only_by_proof(newest: Candidate, stays: bool) -> None:
    """The last copy of `b` goes where a newer backup would have seen it and did not; otherwise it stays."""
    copy = backup(0, verified=AB, listed=AB, account="ann")
    newest = replace(newest, verified=A, account=newest.account or "ann")
    same_scope = [] if newest.scope == "nightly" else [backup(1, verified=A, listed=AB, account="ann", narrowed="?")]
    assert (copy in survivors([copy, *same_scope, newest], Keep(last=1))) is stays


@pytest.mark.parametrize(
    ("change", "stays"),
    [({}, False), ({"account": "bob"}, True), ({"narrowed": "types"}, True), ({"privileges": frozenset()}, True)],
)
def test_an_account_that_sees_little_knows_what_it_has_deleted(change: dict[str, Any], stays: bool) -> None:
    """A scope of an account that sees only its own items knows which of these are gone, as long as it is the same."""
    few = {"account": "ann", "privileges": PLAIN, "narrowed": "folders"}
    copy, newest = backup(0, verified=AB, listed=AB, **few), backup(9, verified=A, listed=A, **{**few, **change})
    assert (copy in survivors([copy, newest], Keep(last=1))) is stays


def test_the_newest_proof_counts() -> None:
    """A scope that nobody runs any more lists the item for ever; a newer one that covers all knows better."""
    copy = backup(3, verified=AB, listed=AB)
    abandoned = backup(2, "abandoned", verified=frozenset(), listed=AB)
    newest = backup(9, verified=A, listed=A)
    assert copy not in survivors([abandoned, copy, newest], Keep(last=1))
    recent = backup(10, "abandoned", narrowed="types", listed=AB)
    assert copy in survivors([recent, copy, newest], Keep(last=1))


def test_an_alarm_pins_what_came_before_it() -> None:
    """All backups of the scope up to the one with the alarm stay, whatever their state; others do not."""
    backups = [
        backup(0),
        backup(1, state="stopped"),
        replace(backup(1, "other"), name="o1"),
        backup(2, alarms=True),
        backup(3),
        backup(4),
        replace(backup(4, "other"), name="o4"),
    ]
    reasons = reasons_to_keep(backups, Keep(last=1), now=NOW)
    assert reasons[backups[0].name] == reasons[backups[1].name] == [f"pinned by the alarm of {backups[3].name}"]
    assert reasons[backups[3].name] == ["its alarm stands"]
    assert reasons["o1"] == reasons[backups[4].name] == []


def test_what_cannot_be_read_stays_and_counts_for_nothing() -> None:
    """A damaged backup is not the last good one, and nobody removes it unseen."""
    broken = backup(5, unreadable="it has no manifest")
    reasons = reasons_to_keep([backup(0), backup(1), broken], Keep(last=1), now=NOW)
    assert reasons[broken.name] == ["cannot be read, so nobody knows what it holds: it has no manifest"]
    assert reasons[backup(1).name][0] == "newest complete backup of the scope 'nightly'"


def test_without_a_rule_for_backups_all_stay() -> None:
    """Rules that are about trees alone remove no backup."""
    assert survivors(a_year(), Keep(tree_keep=7)) == a_year()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "Say what to keep"),
        ({"last": 0}, "Say what to keep"),
        ({"daily": -1}, "daily must be a whole number, 0 or greater, not -1"),
        ({"daily": True}, "daily must be a whole number"),
        ({"weekly": "4"}, "weekly must be a whole number, 0 or greater, not '4'"),
        ({"within": "14"}, "within must be a duration such as 36h, 14d, 8w or 1w3d, not '14'"),
        ({"within": 14}, "within must be a duration"),
        ({"within": "9" * 20 + "d"}, "within must be shorter"),
        ({"within": timedelta(days=-1)}, "within must not be negative"),
        ({"zips_within": "120"}, "zips_within must be a duration"),
        ({"zips_within": timedelta(days=-1)}, "zips_within must not be negative"),
        ({"zips_last": -1}, "zips_last must be a whole number"),
        ({"labels": "release"}, "labels must be a list of texts, not 'release'"),
        ({"labels": [1]}, "labels must be a list of texts"),
        ({"last": 1, "tree_keep": -1}, "tree_keep must be a whole number"),
        ({"dayly": 7}, "There is no rule 'dayly'. Did you mean 'daily'"),
        ([7], "What to keep must be a mapping such as {daily: 14, weekly: 8}"),
    ],
)
def test_a_wrong_rule_is_refused_with_what_is_allowed(values: Any, sentence: str) -> None:
    """Each wrong value ends in a sentence that names the rule and what it takes."""
    with pytest.raises(UsageError) as raised:
        Keep.from_mapping(values)
    assert sentence in str(raised.value)


IDS = st.frozensets(st.sampled_from("abcdef"))
COUNTS = st.integers(0, 4)
RULES = st.builds(
    Keep,
    last=st.integers(1, 4),
    hourly=COUNTS,
    daily=COUNTS,
    weekly=COUNTS,
    monthly=COUNTS,
    yearly=COUNTS,
    within=st.sampled_from(["", "36h", "10d", "8w"]),
    labels=st.lists(st.sampled_from(["x", "y"])),
)


@st.composite
def stores(draw: st.DrawFn) -> list[Candidate]:
    """Backups of two scopes, of every state, at any hour of a year."""
    hours = draw(st.lists(st.integers(0, 365 * 24), unique=True, max_size=14))
    backups = []
    for hour in hours:
        started = FIRST + timedelta(hours=hour)
        listed = draw(IDS)
        backups.append(
            Candidate(
                backup_name(started),
                draw(st.sampled_from(["city", "surveys"])),
                draw(st.sampled_from(["complete", "complete", "stopped", "unfinished"])),
                started,
                label=draw(st.sampled_from(["", "x", "y"])),
                listed=listed,
                verified=frozenset(draw(st.sets(st.sampled_from(sorted(listed))))) if listed else listed,
                narrowed=draw(st.sampled_from(["", "folders"])),
                account=draw(st.sampled_from(["ann", "bob"])),
                privileges=draw(st.sampled_from([ALL, PLAIN])),
                alarms=draw(st.integers(0, 9)) == 0,
                unreadable="damaged" if draw(st.integers(0, 9)) == 0 else "",
            )
        )
    return backups


NOWS = st.integers(0, 370 * 24).map(lambda hours: FIRST + timedelta(hours=hours))


@given(stores(), RULES, NOWS)
def test_planning_again_removes_nothing_more(backups: list[Candidate], keep: Keep, now: datetime) -> None:
    """What a plan has kept, the same rules keep again."""
    once = survivors(backups, keep, now)
    assert survivors(once, keep, now) == once


@given(stores(), RULES, RULES, NOWS)
def test_keeping_more_never_removes_more(backups: list[Candidate], a: Keep, b: Keep, now: datetime) -> None:
    """Rules that are each at least as generous keep at least the same."""
    more = Keep(
        **{name: max(getattr(a, name), getattr(b, name)) for name in ("last", "hourly", "daily", "weekly")},
        **{name: max(getattr(a, name), getattr(b, name)) for name in ("monthly", "yearly")},
        within=max(a.window, b.window),
        labels=[*a.labels, *b.labels],
    )
    kept = survivors(backups, more, now)
    assert all(each in kept for each in survivors(backups, a, now))


@given(stores(), RULES, NOWS)
def test_the_last_good_backup_of_each_scope_always_stays(backups: list[Candidate], keep: Keep, now: datetime) -> None:
    """Whatever the rules say, each scope that had a complete backup still has its newest."""
    kept = survivors(backups, keep, now)
    for scope in ("city", "surveys"):
        good = [each for each in backups if each.scope == scope and each.is_good]
        assert not good or max(good, key=lambda each: each.started) in kept


@given(stores(), RULES, NOWS)
def test_a_verified_copy_of_every_item_that_is_there_always_stays(
    backups: list[Candidate], keep: Keep, now: datetime
) -> None:
    """Of each item that the newest complete backup of all lists, the newest verified copy stays."""
    kept = survivors(backups, keep, now)
    good = [each for each in backups if each.is_good]
    for item in max(good, key=lambda each: each.started).listed if good else ():
        holders = [each for each in backups if item in each.verified]
        assert not holders or max(holders, key=lambda each: each.started) in kept


@given(stores(), RULES, NOWS, st.randoms())
def test_the_order_of_the_backups_is_of_no_matter(
    backups: list[Candidate], keep: Keep, now: datetime, random: Any
) -> None:
    """The same backups in any order get the same reasons."""
    shuffled = random.sample(backups, len(backups))
    assert reasons_to_keep(shuffled, keep, now=now) == reasons_to_keep(backups, keep, now=now)


@given(stores(), RULES, NOWS)
def test_rules_add_to_what_must_stay(backups: list[Candidate], keep: Keep, now: datetime) -> None:
    """What no rule can override has its reason with and without rules."""
    must, may = reasons_to_keep(backups, None, now=now), reasons_to_keep(backups, keep, now=now)
    assert all(set(must[name]) <= set(may[name]) for name in must)


# Zips


def zip_of(day: int, scope: str = "nightly") -> ZipCandidate:
    """The zip of the backup of that day."""
    return ZipCandidate(f"city_{backup(day).name}.zip", scope, backup(day).started)


@pytest.mark.parametrize(
    ("rules", "first_kept"),
    [
        ({"zips_last": 3}, 197),
        ({"zips_within": "120d"}, 79),
        ({"zips_last": 3, "zips_within": "120d"}, 79),
        ({"zips_within": "1h"}, 199),
        ({"last": 1}, 0),
        ({"tree_keep": 1}, 0),
    ],
)
def test_of_two_hundred_daily_zips_the_rules_keep(rules: dict[str, Any], first_kept: int) -> None:
    """The newest ones, counted from the newest of all; rules for backups and trees remove no zip."""
    reasons = reasons_to_keep_zips([zip_of(day) for day in range(200)], [], Keep(**rules))
    assert [bool(reasons[zip_of(day).name]) for day in range(200)] == [day >= first_kept for day in range(200)]


def test_the_newest_zip_of_each_scope_stays_without_any_rule() -> None:
    """However old it is, and only that one."""
    zips = [zip_of(1), zip_of(2), zip_of(100, "surveys"), zip_of(101, "surveys")]
    reasons = reasons_to_keep_zips(zips, [], None)
    assert [reasons[each.name] for each in zips] == [
        [],
        ["newest zip of the scope 'nightly'"],
        [],
        ["newest zip of the scope 'surveys'"],
    ]


def test_the_newest_alarm_of_the_scope_pins_the_zips_up_to_it() -> None:
    """Alarms of other scopes, and zips that came later, have nothing to do with it."""
    backups = [backup(2, alarms=True), backup(4, alarms=True), backup(9, "surveys", alarms=True)]
    reasons = reasons_to_keep_zips([zip_of(day) for day in range(8)], backups, None)
    pinned = [f"pinned by the alarm of {backup(4).name}"]
    assert [reasons[zip_of(day).name] for day in range(7)] == [pinned] * 5 + [[], []]
