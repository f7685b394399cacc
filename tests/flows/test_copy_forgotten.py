"""What was forgotten in one of two stores does not come back from the other, with a backup or a zip."""

from __future__ import annotations

from pathlib import Path

import pytest
from buckets import new_bucket, sign_in
from dated import save

import agolkit as ak
from agolkit.store import LocalStore, Store, open_store

A, B = "a" * 32, "b" * 32


@pytest.fixture(params=["local", "moto", pytest.param("ceph", marks=pytest.mark.ceph)])
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "local":
        return open_store(tmp_path / "copy")
    sign_in(request.getfixturevalue(request.param), monkeypatch)
    return open_store(f"s3://{new_bucket()}/second")


def test_a_zip_does_not_bring_back_what_was_forgotten_there(store: LocalStore, target: Store) -> None:
    """A zip with the item stays where it is, also when its backup is gone there; one without it comes."""
    names = [save(store, day, {"a": "same", "b": f"night {day}"}) for day in range(2)]
    names.append(save(store, 2, {"a": "same"}))
    ak.copy(store, target)
    first, second, third = (ak.publish_zip(store, name) for name in names)
    ak.forget(target, [B])
    ak.prune(target, ak.plan_prune(target, ak.Keep(last=2)))
    assert names[0] not in target.backup_names()
    done = ak.copy(store, target, names[1:], zips=True)
    assert {first.key, second.key} <= done.left_out.keys()
    assert "would come back" in done.left_out[first.key]
    assert (done.zips, done.exit_code, target.names("zips")) == (1, 0, [third.name])


def test_an_item_that_was_saved_again_since_may_come(store: LocalStore, target: Store) -> None:
    """A backup that began after the item was forgotten holds it because somebody let it be saved again."""
    save(store, 0, {"a": "same"})
    ak.copy(store, target)
    ak.forget(target, [A])
    published = ak.publish_zip(store, save(store, 30_000, {"a": "same"}))
    assert ak.copy(store, target, zips=True).zips == 1
    assert target.names("zips") == [published.name]


def test_a_backup_that_was_not_there_brings_nothing_forgotten(store: LocalStore, target: Store) -> None:
    """It is not copied until the item is gone from it, or was let be saved again."""
    save(store, 0, {"a": "same", "b": "other"})
    ak.copy(store, target)
    ak.forget(target, [B])
    with_b, without = save(store, 1, {"a": "same", "b": "new"}), save(store, 2, {"a": "new"})
    again = save(store, 30_000, {"b": "wanted"})
    done = ak.copy(store, target)
    assert (done.backups, done.exit_code) == ((without, again), 3)
    assert f"agolkit forget {store.root} --item {B}" in done.differing[with_b]
    ak.forget(store, [B])
    assert with_b in ak.copy(store, target).backups


def test_a_zip_that_is_there_with_a_forgotten_item_is_named(store: LocalStore, target: Store) -> None:
    """A copy removes no zip: a person does, with the command that is said. Zips without the item are not named."""
    names = [save(store, 0, {"a": "same", "b": "other"}), save(store, 1, {"a": "same"})]
    for name in names:
        ak.publish_zip(store, name)
    ak.copy(store, target, zips=True)
    ak.forget(store, [B])
    done = ak.copy(store, target, zips=True)
    ((key, said),) = done.differing.items()
    assert (key, done.exit_code) == (f"zips/smallville_{names[0]}.zip", 3)
    assert f"agolkit forget {target.location} --item {B}" in said
    ak.forget(target, [B])
    assert ak.copy(store, target, zips=True).exit_code == 0
