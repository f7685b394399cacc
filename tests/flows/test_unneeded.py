"""Blobs that no backup needs are deleted, and never another one."""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kept import State, item_id, needed, save
from saved import STARTED, begin_sample, save_sample

from agolkit.errors import StoreBusy, StoreDamaged
from agolkit.forget import forget, plan_forget
from agolkit.manifest import MANIFEST, read_outcomes
from agolkit.model import Blob
from agolkit.store import Draft, Lease, LocalStore, Spool, Store
from agolkit.store.seal import sealed
from agolkit.unneeded import Removed, find_needed, remove_unneeded
from agolkit.verify import verify

states = st.sampled_from(State.__args__)
contents = st.dictionaries(st.integers(1, 4), st.lists(st.sampled_from("abcdef"), max_size=3), max_size=4)


def add(store: Store, content: bytes) -> Blob:
    with Spool() as spool:
        spool.write(content)
        return store.add_blob(spool)[0]


def clean(store: Store) -> Removed:
    with store.lock("run-1", "ann") as lease:
        return remove_unneeded(store, lease)


@settings(max_examples=25, deadline=None)
@given(
    backups=st.lists(st.tuples(contents, states, st.sampled_from(["auto", "copy", "none"])), min_size=1, max_size=4),
    chosen=st.sets(st.integers(1, 4), min_size=1, max_size=2),
)
def test_exactly_what_is_referred_to_stays(
    backups: list[tuple[dict[int, list[str]], State, str]], chosen: set[int]
) -> None:
    """Whatever several backups share, and however they ended: items are forgotten, the plan tells the bytes, and then
    the store holds the blobs that its lists name and no other; all other items are verified."""
    with tempfile.TemporaryDirectory() as folder:
        store = LocalStore(Path(folder, "store"))
        names = [save(store, day, saved, state=state, tree=tree) for day, (saved, state, tree) in enumerate(backups)]
        wanted = {item_id(number) for number in chosen if any(number in saved for saved, _, _ in backups)}
        before = [[each for each in read_outcomes(store, name) if each.item.id not in wanted] for name in names]
        clean(store)
        assert set(store.blobs()) == needed(store)
        if wanted:
            planned = plan_forget(store, wanted)["bytes"].sum()
            assert forget(store, wanted).bytes == planned
        assert [read_outcomes(store, name) for name in names] == before
        assert set(store.blobs()) == needed(store) == {digest.hex() for digest in find_needed(store)}
        assert all(verify(store, name, deep=True).ok for name in names)


def test_what_a_killed_run_saved_and_never_told_goes(store: LocalStore) -> None:
    """Nobody would ever find it; what its journal names stays."""
    name, _ = save_sample(store)
    begin_sample(store, started=STARTED.replace(day=24))
    kept = set(store.blobs())
    blob = add(store, b"never told")
    assert clean(store) == Removed(1, blob.size)
    assert set(store.blobs()) == kept
    assert clean(store) == Removed(0, 0)
    assert verify(store, name, deep=True).ok


def test_a_field_that_only_a_later_version_knows_keeps_its_blob(store: LocalStore) -> None:
    """Of the same major version; a reader ignores what it does not know, but it does not delete for that."""
    name, _ = save_sample(store)
    blob = add(store, b"from the future")
    lines = gzip.decompress(store.read(name, MANIFEST)).splitlines()
    lines[0] = json.dumps(json.loads(lines[0]) | {"new": {"kept": [blob.sha256]}}).encode()
    manifest = gzip.compress(b"\n".join(lines))
    named = {"sha256": hashlib.sha256(manifest).hexdigest(), "size": len(manifest)}
    facts = store.summary(name)
    facts["files"][MANIFEST] = named
    del facts["own_sha256"]
    Draft(store, name).write(MANIFEST, manifest)
    Draft(store, name).write("backup.json", sealed(facts))
    assert clean(store) == Removed(0, 0)


def test_a_backup_that_is_only_a_folder_needs_nothing(store: LocalStore) -> None:
    """A run may be killed before its first line; that must not keep every blob for ever."""
    save_sample(store)
    (store.root / "backups" / "2026-11-24T020000Z" / "journal").mkdir(parents=True)
    add(store, b"never told")
    assert clean(store).blobs == 1


def test_after_the_lease_is_lost_nothing_more_is_deleted(store: LocalStore) -> None:
    """Another run may rely on what nobody needed a moment ago."""
    save_sample(store)
    blob = add(store, b"needed again")
    other = Lease(LocalStore(store.root), "run-2", "bob", stale_after=0)
    with store.lock("run-1", "ann") as lease, other, pytest.raises(StoreBusy, match="lost its hold"):
        remove_unneeded(store, lease)
    assert store.blob_size(blob.sha256) == blob.size


def test_one_damaged_backup_keeps_all_blobs(store: LocalStore) -> None:
    """It is named, with what to do."""
    name, _ = save_sample(store)
    broken, _ = save_sample(store, started=STARTED.replace(day=24))
    blob = add(store, b"never told")
    manifest = store.root / "backups" / broken / MANIFEST
    content = manifest.read_bytes()
    manifest.write_bytes(content[:-1])
    with pytest.raises(StoreDamaged, match=rf"{broken}.*agolkit verify .* {broken}.*move backups/{broken} out"):
        clean(store)
    assert store.blob_size(blob.sha256) == blob.size
    manifest.write_bytes(content)
    assert clean(store).blobs == 1
    assert verify(store, name).ok


@pytest.mark.slow
def test_half_a_million_blobs_take_little_memory(store: LocalStore) -> None:
    """What a backup of half a million files refers to is held as 32 bytes each, beside its compressed manifest."""
    name, _ = save_sample(store)
    lines = gzip.decompress(store.read(name, MANIFEST)).splitlines()
    line = json.loads(lines[0])
    part = line["parts"][0]
    made = (hashlib.sha256(number.to_bytes(4)).hexdigest() for number in range(500_000))
    with gzip.open(store.root / "manifest", "wt", compresslevel=1) as packed:
        for _ in range(500):
            line["parts"] = [{**part, "sha256": next(made)} for _ in range(1000)]
            packed.write(json.dumps(line) + "\n")
    manifest = (store.root / "manifest").read_bytes()
    (store.root / "manifest").unlink()
    facts = store.summary(name)
    facts["files"][MANIFEST] = {"sha256": hashlib.sha256(manifest).hexdigest(), "size": len(manifest)}
    del facts["own_sha256"]
    Draft(store, name).write(MANIFEST, manifest)
    Draft(store, name).write("backup.json", sealed(facts))
    tracemalloc.start()
    try:
        found = len(find_needed(store))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    print(f"{found:,} blobs: {most / 1e6:.0f} MB at most, of which the manifest {len(manifest) / 1e6:.0f} MB")
    assert found == 500_000
    assert most < 150e6
