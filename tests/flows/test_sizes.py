"""How much room the backups of a store take, and when a limit is reached."""

from __future__ import annotations

import json
from datetime import timedelta

import pandas
import pytest
from buckets import new_bucket, sign_in
from dated import FIRST, save
from nights_in_a_bucket import archive, save_nights, size_of

import agolkit as ak
from agolkit.cli import main
from agolkit.cli.thawing import read_size
from agolkit.errors import UsageError
from agolkit.sizes import list_sizes, project
from agolkit.store import LocalStore, Store, open_store


@pytest.fixture
def bucket(moto: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Five nights, of which the first three have their large map in the archive."""
    sign_in(moto, monkeypatch)
    store = open_store(f"s3://{new_bucket()}")
    save_nights(store)
    archive(store)
    return store


def row(sizes: pandas.DataFrame, name: str, tier: str) -> list[int]:
    found = sizes[(sizes["name"] == name) & (sizes["tier"] == tier)]
    return [int(found[column].iloc[0]) for column in ("objects", "bytes", "new_objects", "new_bytes", "last_bytes")]


def test_what_each_backup_needs_has_added_and_leaves(store: LocalStore) -> None:
    """A blob is new with the first backup that needs it, and goes with the last."""
    first = save(store, 0, {"a": "x" * 98, "b": "y" * 998})
    second = save(store, 1, {"a": "x" * 98, "c": "z" * 9998})
    empty = save(store, 2, {"a": ""})
    small = len(json.dumps({"id": "a" * 32}))  # what an item says of itself
    sizes = list_sizes(store)
    assert list(sizes["tier"]) == ["disk", "disk", "", "disk"]
    assert row(sizes, first, "disk") == [4, 1100 + 2 * small, 4, 1100 + 2 * small, 1000 + small]
    assert row(sizes, second, "disk") == [4, 10_100 + 2 * small, 2, 10_000 + small, 10_100 + 2 * small]
    assert row(sizes, empty, "") == [0, 0, 0, 0, 0]
    assert [str(each) for each in sizes["started"][:3]] == [str(FIRST + timedelta(days=day)) for day in range(3)]


def test_classes_of_storage_are_told_apart(bucket: Store) -> None:
    """A row for each that a backup needs; all rows together have every blob once."""
    names = bucket.backup_names()
    sizes = list_sizes(bucket)
    assert [len(sizes[sizes["name"] == name]) for name in names] == [2, 2, 2, 1, 1]
    large = size_of("40 days ago")
    assert row(sizes, names[0], "DEEP_ARCHIVE") == [1, large, 1, large, large]
    assert sizes["new_bytes"].sum() == sum(each.size for each in bucket.stored())
    assert sizes["new_objects"].sum() == len(list(bucket.stored()))


def test_what_no_backup_needs_is_told_at_the_end(store: LocalStore) -> None:
    """Until the next `prune` it takes room as well."""
    save(store, 0, {"a": "x" * 98})
    kept = sum(each.size for each in store.stored())
    from saved import save_part

    save_part(store, "data", "data.json", b"z" * 1000)
    sizes = list_sizes(store)
    assert (list(sizes["name"])[1:], row(sizes, "", "disk")) == ([""], [1, 1000, 1, 1000, 1000])
    assert project(sizes).bytes == kept + 1000


def test_the_projection_goes_on_as_it_was(store: LocalStore) -> None:
    """10 KB are added each day; with as many going, only what is not removed reaches the limit."""
    for day in range(11):
        save(store, day, {"a": "x" * 98, "b": f"{day:02}" * 4999})
    sizes = list_sizes(store)
    held = int(sizes["new_bytes"].sum())
    found = project(sizes, held + 100_000)
    assert found.added_a_day == found.leaving_a_day == 10_000
    assert found.full is None
    assert found.full_without_pruning == FIRST + timedelta(days=10 + 10)
    assert str(found).endswith("the limit is not reached within ten years; if nothing is removed: 2025-01-21.")
    assert project(sizes, held).full == FIRST + timedelta(days=10)
    assert "The limit is reached." in str(project(sizes, held))


def test_growth_that_pruning_does_not_hold_reaches_the_limit(store: LocalStore) -> None:
    """Where more is added than goes, the date is that of the difference."""
    maps = {}
    for day in range(11):
        maps[chr(ord("a") + day)] = f"{day:02}" * 4999
        save(store, day, maps)
    sizes = list_sizes(store)
    found = project(sizes, int(sizes["new_bytes"].sum()) + 100_000)
    assert found.leaving_a_day == 0
    assert found.full == found.full_without_pruning
    assert found.full is not None
    assert timedelta(days=19.9) < found.full - FIRST < timedelta(days=20.1)


def test_backups_of_one_day_are_the_growth_of_a_day(store: LocalStore) -> None:
    """Two runs within minutes, as on the first day, do not make an alarming pace."""
    first = save(store, 0, {"a": "x" * 98})
    second = save(store, 0, {"a": "x" * 98, "b": "y" * 9998})
    sizes = list_sizes(store)
    assert set(sizes["name"]) == {first, second}
    assert project(sizes).added_a_day == row(sizes, second, "disk")[3]


@pytest.mark.parametrize("count", [0, 1])
def test_one_backup_tells_of_no_growth(store: LocalStore, count: int) -> None:
    """Nothing is made up where nothing is known."""
    for day in range(count):
        save(store, day, {"a": "x"})
    store.bind("0123456789abcdef", "Smallville")
    found = project(list_sizes(store))
    assert (found.added_a_day, found.full, found.full_without_pruning) == (0, None, None)


def test_the_command(bucket: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """For people a table, the classes and the limit; for machines all of it."""

    def shown(*args: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["show", bucket.location, "--sizes", *args])
        assert ended.value.code == 0
        return capsys.readouterr().out

    said = shown()
    assert said.splitlines()[0].split() == ["name", "scope", "tier", "objects", "bytes", "new_bytes", "last_bytes"]
    assert f"\nDEEP_ARCHIVE: 3 files, {3 * size_of('40 days ago') // 1000} KB\nSTANDARD: " in said
    assert "0.0% of 2.0 TB." in said
    told = json.loads(shown("--limit", "1.5 MB", "--json"))
    assert set(told["sizes"][0]) == set(ak.list_sizes(bucket).columns)
    assert told["projection"]["limit"] == 1_500_000
    assert told["projection"]["full_without_pruning"] is not None


def test_limits_are_sizes() -> None:
    """In powers of 1,000, as all sizes here."""
    assert [read_size(text) for text in ("2TB", "1.5 gb", "10 B")] == [2 * 10**12, 1_500_000_000, 10]
    for wrong in ("much", "2", "0TB", "-1GB", "2 TiB"):
        with pytest.raises(UsageError, match="A limit is a size such as 500GB or 2TB"):
            read_size(wrong)
