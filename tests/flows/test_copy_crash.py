"""A copy that is cut off at any step leaves a sound store, and copying again ends as if nothing had been."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import IO

import pytest
from cut_off import Failing, PowerCut
from dated import save
from saved import files_below

import agolkit as ak
from agolkit.errors import StoreBusy
from agolkit.manifest import read_outcomes
from agolkit.store import Lease, LocalStore
from agolkit.unneeded import find_needed


def content(store: LocalStore) -> dict[str, bytes]:
    """Every file of a store, but for who held it when."""
    files = files_below(store.root)
    facts = json.loads(files.pop("store.json"))
    return {key: files[key] for key in files if not key.startswith("lock")} | {"whose": facts["portal_id"].encode()}


def assert_sound(store: LocalStore) -> None:
    """All finished backups are whole, all others can be read, and what every one needs is known."""
    for name in store.backup_names():
        if store.summary(name)["state"] == "unfinished":
            parts = [part for outcome in read_outcomes(store, name) for part in outcome.parts]
            assert all(store.holds(part.blob) for part in parts)
        else:
            assert ak.verify(store, name, deep=True).damages == ()
    find_needed(store)


@pytest.mark.slow
def test_it_may_be_cut_off_at_any_step(tmp_path: Path) -> None:
    """While a backup is brought for the first time, and while a forgotten item leaves one that was brought before."""
    source = LocalStore(tmp_path / "source")
    names = [save(source, day, {"a": "same", "b": f"night {day}"}, tree="auto") for day in range(2)]
    before = LocalStore(tmp_path / "before")
    ak.copy(source, before, [names[0]])
    ak.forget(source, ["b" * 32])
    source.stream("zips/small.zip", iter([b"PK"]))
    undisturbed = Failing(shutil.copytree(before.root, tmp_path / "undisturbed"))
    undisturbed.inspect(create=False)
    assert ak.copy(source, undisturbed, zips=True).backups == tuple(names)
    assert undisturbed.changes > 20
    for lasts in range(undisturbed.changes - 1):  # the last one releases the lease
        root = shutil.copytree(before.root, tmp_path / f"cut after {lasts}")
        failing = Failing(root, lasts)
        failing.inspect(create=False)
        with pytest.raises(PowerCut):
            ak.copy(source, failing, zips=True)
        store = LocalStore(root)
        store.inspect(create=False)
        with Lease(store, "nobody", "the test", stale_after=0):
            assert_sound(store)
        ak.copy(source, store, zips=True)
        assert_sound(store)
        assert content(store) == content(undisturbed), f"cut after {lasts} changes"
        shutil.rmtree(root)


def test_the_first_copy_may_be_cut_off_at_any_step(tmp_path: Path) -> None:
    """Also before the target is a store at all."""
    source = LocalStore(tmp_path / "source")
    save(source, 0, {"a": "same"})
    undisturbed = Failing(tmp_path / "undisturbed")
    ak.copy(source, undisturbed)
    for lasts in range(undisturbed.changes - 1):
        root = tmp_path / f"cut after {lasts}"
        with pytest.raises(PowerCut):
            ak.copy(source, Failing(root, lasts))
        store = ak.open_store(root)
        assert isinstance(store, LocalStore)
        with Lease(store, "nobody", "the test", stale_after=0):
            assert_sound(store)
        ak.copy(source, store)
        assert content(store) == content(undisturbed), f"cut after {lasts} changes"


def test_a_copy_that_lost_its_hold_completes_no_backup(tmp_path: Path) -> None:
    """While this computer slept, another run may have removed the files that nothing in the target named yet."""
    store, target = LocalStore(tmp_path / "source"), LocalStore(tmp_path / "target")
    name = save(store, 0, {"a": "same"})

    class Slept(LocalStore):
        def open(self, key: str) -> IO[bytes]:
            if key.endswith("report.html"):
                with Lease(LocalStore(target.root), "another", "somebody", stale_after=0):
                    pass
            return super().open(key)

    source = Slept(store.root)
    source.inspect(create=False)
    with pytest.raises(StoreBusy, match="lost its hold"):
        ak.copy(source, target)
    assert target.summary(name)["state"] == "unfinished"
    assert ak.copy(store, target).backups == (name,)
