"""Which blobs move to an archive class, and why: tables, and what holds whatever the backups are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agolkit.errors import UsageError
from agolkit.prices import GB, Prices
from agolkit.retention import Candidate, Keep
from agolkit.store.blobs import Stored
from agolkit.tiering import FOREVER, Archive, Fate, Tiering, kept_until, plan_tiers, read_rules

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
DAY = timedelta(days=1)
FIFTEEN = Archive("15d")
WITHIN = Keep(within="120d")
LARGE = 500_000_000


def backup(days_ago: float, scope: str = "default", **facts: Any) -> Candidate:
    started = NOW - days_ago * DAY
    return Candidate(
        **{"name": f"{days_ago:07.2f} {scope}", "state": "complete", **facts, "scope": scope, "started": started}
    )


def blob(name: str, size: int = LARGE, tier: str = "STANDARD", days_old: float = 100.0) -> Stored:
    return Stored(name, size, tier, NOW - days_old * DAY)


def fates(tiering: Tiering) -> dict[Fate, int]:
    return {fate: share.blobs for fate, share in tiering.shares.items() if share.blobs}


def fate_of(
    one: Stored, backups: list[Candidate], holders: int, keep: Keep = WITHIN, archive: Archive = FIFTEEN
) -> Fate:
    """What becomes of one blob that these backups need, as bits."""
    found = plan_tiers([one], {one.sha256: (one.size, holders)}, backups, (), keep, archive, now=NOW)
    (fate,) = fates(found)
    assert found.moves == ({one.sha256} if fate is Fate.MOVES else set())
    return fate


def test_what_becomes_of_a_blob_and_why() -> None:
    """What only old backups need moves; what a recent or the newest one needs, what is small or dearer stays."""
    backups = [backup(60), backup(20), backup(14), backup(1)]
    assert fate_of(blob("a"), backups, 0b0001) is Fate.MOVES
    assert fate_of(blob("a"), backups, 0b0011) is Fate.MOVES
    assert fate_of(blob("a"), backups, 0b0100) is Fate.RECENT
    assert fate_of(blob("a"), backups, 0b1011) is Fate.RECENT
    assert fate_of(blob("a", 128 * 1024 - 1), backups, 0b0001) is Fate.SMALL
    assert fate_of(blob("a", 128 * 1024), backups, 0b0001) is Fate.DEARER
    for tier in ("GLACIER", "DEEP_ARCHIVE"):
        assert fate_of(blob("a", tier=tier), backups, 0b1111) is Fate.ARCHIVED


def test_the_newest_complete_backup_never_needs_a_thaw() -> None:
    """Of each scope, however old it is; and what may be taken up does not either."""
    backups = [backup(60, "yearly"), backup(59, "yearly", state="stopped"), backup(90), backup(40)]
    assert fate_of(blob("a"), backups, 0b0001) is Fate.CURRENT
    assert fate_of(blob("a"), backups, 0b0010) is Fate.CURRENT
    assert fate_of(blob("a"), backups, 0b0100) is Fate.MOVES
    assert fate_of(blob("a"), backups, 0b1000) is Fate.CURRENT


def test_what_nothing_needs_any_more_is_not_moved() -> None:
    """It is removed; what is in the archive and goes before its time is counted with what that costs."""
    backups = [backup(60), backup(1)]
    stored = [blob("gone"), blob("early", GB, "DEEP_ARCHIVE", 30), blob("late", GB, "DEEP_ARCHIVE", 181), blob("old")]
    needed = {"gone": (1, 0b01), "early": (1, 0b01), "late": (1, 0b01)}
    found = plan_tiers(stored, needed, backups, {backups[0].name}, WITHIN, FIFTEEN, now=NOW)
    assert (fates(found), found.moves, found.billed_until) == ({}, frozenset(), None)
    assert (found.early.blobs, found.early.bytes) == (1, GB)
    assert found.early.month == pytest.approx(0.00099 * 150 / 30.4375, rel=1e-3)


def test_the_archive_must_be_cheaper_for_the_rest() -> None:
    """180 days are billed whatever happens: what is needed for a week more stays, what for a season moves."""
    backups = [backup(113), backup(60), backup(1)]
    assert fate_of(blob("a"), backups, 0b001) is Fate.DEARER
    assert fate_of(blob("a"), backups, 0b010) is Fate.MOVES
    assert fate_of(blob("a"), backups, 0b001, archive=Archive("15d", "GLACIER")) is Fate.DEARER
    assert fate_of(blob("a"), backups, 0b001, keep=Keep(within="400d")) is Fate.MOVES
    # Leaving the class for what is rarely read before its 30 days are over is billed too.
    infrequent = blob("a", tier="STANDARD_IA", days_old=1)
    assert fate_of(infrequent, [backup(105), backup(1)], 0b01, keep=Keep(within="130d")) is Fate.DEARER
    assert (
        fate_of(infrequent._replace(tier="STANDARD"), [backup(105), backup(1)], 0b01, keep=Keep(within="130d"))
        is Fate.MOVES
    )


def test_what_it_costs() -> None:
    """By hand: 1 GB in the archive for half a year, with its overhead and the request, against 100 days as it is."""
    prices = Prices()
    assert prices.staying("STANDARD", GB, 100) == pytest.approx(0.023 * 100 / 30.4375)
    overhead = (32 * 0.00099 + 8 * 0.023) / (1 << 20)
    assert prices.moving("STANDARD", GB, 100, "DEEP_ARCHIVE") == pytest.approx(
        0.00005 + (0.00099 + overhead) * 180 / 30.4375
    )
    assert prices.thawing("DEEP_ARCHIVE", GB, "bulk", 7) == pytest.approx(0.0025 + 0.000025 + 0.023 * 7 / 30.4375)
    found = plan_tiers([blob("a", GB)], {"a": (GB, 1)}, [backup(20), backup(1)], (), WITHIN, FIFTEEN, now=NOW)
    assert found.move_cost == 0.00005
    assert found.saved == pytest.approx(
        prices.staying("STANDARD", GB, 100) - prices.moving("STANDARD", GB, 100, "DEEP_ARCHIVE")
    )
    assert found.billed_until == NOW + 180 * DAY
    assert found.shares[Fate.MOVES].month == pytest.approx(0.00099 + overhead)


@pytest.mark.parametrize(
    ("keep", "days_ago", "days"),
    [
        (Keep(within="30d"), 20, 10),
        (Keep(daily=30), 20, 10),
        (Keep(weekly=8), 22, 8 * 7 - 22),
        (Keep(monthly=12), 23, 12 * 30.4 - 23),
        (Keep(last=5), 3, 2),
        (Keep(last=1, labels=["gold"]), 20, FOREVER / DAY),
        (Keep(tree_keep=1), 20, FOREVER / DAY),
        (Keep(last=1), 20, 0),
    ],
)
def test_how_long_a_backup_is_kept(keep: Keep, days_ago: int, days: float) -> None:
    """By each rule, as if backups went on each night; 23 November 2026 is a Monday."""
    backups = [backup(each, label="gold" if each == 20 else "") for each in range(40)]
    ends = kept_until(backups, keep, now=NOW)
    assert (ends[backups[days_ago].name] - NOW) / DAY == pytest.approx(days, abs=0.01)


def test_rules_from_a_schedule() -> None:
    """What is archived stands beside what is kept; what is wrong is said."""
    assert read_rules({"within": "120d"}) == (WITHIN, None)
    assert read_rules({"within": "120d", "archive_after": "15d"}) == (WITHIN, Archive("15d"))
    chosen = {"within": "120d", "archive_after": "2w", "archive_class": "GLACIER"}
    assert read_rules(chosen) == (WITHIN, Archive("2w", "GLACIER"))
    for wrong, said in [
        ({"within": "120d", "archive_class": "GLACIER"}, "need archive_after"),
        ({"within": "120d", "archive_after": "soon"}, "archive_after must be a duration such as"),
        ({"within": "120d", "archive_after": 15}, "archive_after must be a duration such as"),
        ({"within": "120d", "archive_after": "0d"}, "archive_after must be a duration such as"),
        ({"within": "120d", "archive_after": "1d", "archive_class": "GLACIER_IR"}, "'GLACIER_IR' is no archive class"),
        ({"archive_after": "15d"}, "Say what to keep"),
        (["daily"], "must be a mapping"),
    ]:
        with pytest.raises(UsageError, match=said):
            read_rules(wrong)  # type: ignore[arg-type]


STATES = st.sampled_from(["complete", "complete", "complete", "stopped"])
BACKUPS = st.lists(st.tuples(st.floats(0, 400), st.sampled_from(["a", "b"]), STATES), min_size=1, max_size=12)
TIERS = st.sampled_from(["STANDARD", "STANDARD_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE", "SOME_POOL"])
BLOBS = st.lists(
    st.tuples(st.integers(0, 10**10), TIERS, st.floats(0, 500), st.integers(0, 4095)), min_size=1, max_size=20
)
KEEPS = st.builds(
    Keep, last=st.integers(1, 5), daily=st.integers(0, 9), monthly=st.integers(0, 9), within=st.just("120d")
)


@given(
    BACKUPS,
    BLOBS,
    KEEPS,
    st.sampled_from(["1d", "15d", "90d"]),
    st.sampled_from(["GLACIER", "DEEP_ARCHIVE"]),
    st.data(),
)
def test_whatever_the_backups_are(
    made: list[tuple[float, str, str]],
    blobs: list[tuple[int, str, float, int]],
    keep: Keep,
    after: str,
    storage_class: str,
    data: st.DataObject,
) -> None:
    """Nothing that a recent or a newest backup needs moves, nothing small, nothing dearer; every blob counts."""
    backups = [
        Candidate(f"{number:02}", scope, state, NOW - days * DAY) for number, (days, scope, state) in enumerate(made)
    ]
    going = data.draw(st.sets(st.sampled_from([each.name for each in backups])))
    stored = [blob(f"{number}", size, tier, age) for number, (size, tier, age, _) in enumerate(blobs)]
    needed = {each.sha256: (each.size, own[3] % (1 << len(made))) for each, own in zip(stored, blobs, strict=True)}
    archive = Archive(after, storage_class)
    found = plan_tiers(stored, needed, backups, going, keep, archive, now=NOW)
    ends = kept_until(backups, keep, now=NOW)
    staying = [(1 << bit, each) for bit, each in enumerate(backups) if each.name not in going]
    newest = {each.scope: each for _, each in sorted(staying, key=lambda pair: pair[1].moment) if each.is_good}
    is_needed = [each for each in stored if any(needed[each.sha256][1] & bit for bit, _ in staying)]
    assert sum(share.blobs for share in found.shares.values()) == len(is_needed)
    assert sum(share.bytes for share in found.shares.values()) == sum(each.size for each in is_needed)
    assert found.shares[Fate.MOVES].blobs == len(found.moves)
    assert found.saved >= 0
    for each in (each for each in stored if each.sha256 in found.moves):
        holders = [holder for bit, holder in staying if needed[each.sha256][1] & bit]
        assert holders
        assert each.tier not in ("GLACIER", "DEEP_ARCHIVE")
        assert each.size >= archive.smallest
        assert all(holder.started < NOW - archive.wait and holder.state == "complete" for holder in holders)
        assert not any(holder in newest.values() for holder in holders)
        days = max((ends[holder.name] - NOW) / DAY for holder in holders)
        age = (NOW - each.written) / DAY if each.written else 0
        stay = archive.prices.staying(each.tier, each.size, days, age=age)
        assert archive.prices.moving(each.tier, each.size, days, storage_class, age=age) < stay
