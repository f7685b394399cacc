"""Copying a store: what arrives is the same, only what is missing travels, and what cannot be copied is named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from buckets import new_bucket, sign_in
from dated import begin, save
from saved import files_below

import agolkit as ak
from agolkit.cli import main
from agolkit.errors import NoSuchBackup, StoreBusy, StoreError, UsageError
from agolkit.manifest import read_outcomes
from agolkit.store import Draft, Lease, LocalStore, Store, open_store
from agolkit.store.blobs import blob_key
from agolkit.store.removal import begin_removal, drop_tree

KINDS = ["local", "moto", pytest.param("ceph", marks=pytest.mark.ceph)]
"""The kinds of store that are copied to; every one passes these tests."""


@pytest.fixture(params=KINDS)
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param == "local":
        return open_store(tmp_path / "copy")
    sign_in(request.getfixturevalue(request.param), monkeypatch)
    return open_store(f"s3://{new_bucket()}/second")


def nights(store: LocalStore) -> list[str]:
    """Three complete backups with trees: one map stays as it is, one changes each night."""
    return [save(store, day, {"a": "same", "b": f"night {day}"}, tree="auto") for day in range(3)]


def own_files(store: Store, name: str) -> dict[str, bytes]:
    """The files of a backup beside its tree and `backup.json`."""
    folder = f"backups/{name}"
    paths = [each for each in store.names(folder) if store.size(f"{folder}/{each}") is not None]
    paths += [f"journal/{each}" for each in store.names(f"{folder}/journal")]
    return {path: store.get(f"{folder}/{path}") for path in paths if path != "backup.json"}


def assert_sound(store: Store) -> None:
    for name in store.backup_names():
        assert ak.verify(store, name, deep=True).damages == (), name


def spoil(store: LocalStore, sha256: str) -> None:
    """Give a blob, and every link to it, other content of the same size."""
    path = store.root / blob_key(sha256)
    os.chmod(path, 0o600)
    path.write_bytes(bytes(path.stat().st_size))


def data_of(store: Store, name: str, letter: str) -> str:
    """The hash of what a map of a backup holds."""
    outcome = next(each for each in read_outcomes(store, name) if each.item.id == letter * 32)
    return next(part.blob.sha256 for part in outcome.parts if part.name == "data")


def test_a_copy_is_the_same_store(store: LocalStore, target: Store) -> None:
    """Every backup arrives with all its files and is proven to the last byte; the source is as it was."""
    names = nights(store)
    Draft(store, names[0]).write("unpinned.json", b'{"unpinned": "2026-11-23T02:00:00Z"}\n')
    before = files_below(store.root / "backups")
    done = ak.copy(store, target)
    assert (done.backups, done.same, done.exit_code) == (tuple(names), 0, 0)
    assert (target.portal_id, target.portal_name) == (store.portal_id, store.portal_name)
    assert sorted(target.blobs()) == sorted(store.blobs())
    for name in names:
        assert own_files(target, name) == own_files(store, name)
    assert_sound(target)
    assert files_below(store.root / "backups") == before


def test_only_what_is_missing_is_copied(store: LocalStore, target: Store) -> None:
    """After another night its new blobs travel and nothing else; after none, nothing does."""
    names = nights(store)
    assert ak.copy(store, target).blobs == len(list(store.blobs()))
    names.append(save(store, 3, {"a": "same", "b": "night 3"}, tree="auto"))
    plan = ak.plan_copy(store, target)
    assert list(plan["action"]) == ["same", "same", "same", "copy"]
    assert list(plan["blobs"]) == [0, 0, 0, 1]
    assert plan["bytes"].sum() == len('"night 3"')
    done = ak.copy(store, target)
    assert (done.backups, done.same, done.blobs, done.bytes) == ((names[3],), 3, 1, len('"night 3"'))
    again = ak.copy(store, target)
    assert (again.backups, again.same, again.blobs) == ((), 4, 0)


def test_a_plan_changes_nothing(store: LocalStore, target: Store) -> None:
    """What would be copied is told without a trace in either store."""
    nights(store)
    before = files_below(store.root)
    assert list(ak.plan_copy(store, target)["action"]) == ["copy"] * 3
    assert files_below(store.root) == before
    assert target.names("") == []


def test_chosen_backups_are_copied_alone(store: LocalStore, target: Store) -> None:
    """Those that are named, by a beginning or as the latest one; a name that is unknown is refused."""
    names = nights(store)
    assert ak.copy(store, target, "latest").backups == (names[2],)
    assert ak.copy(store, target, ["latest", names[2], names[0][:10]]).backups == (names[0],)
    assert target.backup_names() == [names[0], names[2]]
    assert_sound(target)
    with pytest.raises(NoSuchBackup):
        ak.copy(store, target, ["1999"])


def test_what_is_not_finished_is_left_out_and_named(store: LocalStore, target: Store) -> None:
    """A killed run is not copied, nor what a removal has left."""
    names = nights(store)
    killed = begin(store, 5, {"a": "same"}).name
    begin_removal(store, names[0])
    done = ak.copy(store, target)
    assert target.backup_names() == names[1:]
    assert set(done.left_out) == {killed, names[0]}
    assert killed in str(done)
    assert done.exit_code == 0


def test_a_stopped_backup_is_replaced_when_it_was_finished(store: LocalStore, target: Store) -> None:
    """It is copied as it is; what the run that took it up made of it comes with the next copy."""
    name = save(store, 0, {"a": "same"}, state="stopped", tree="auto")
    assert ak.copy(store, target).backups == (name,)
    facts = store.summary(name)
    later = {**facts, "state": "complete", "resumed": "2025-01-01T05:00:00Z", "finished": "2025-01-01T06:00:00Z"}
    reseal(store, name, later)
    assert ak.plan_copy(store, target)["reason"][0] == "it was taken up since"
    assert ak.copy(store, target).backups == (name,)
    assert target.summary(name)["state"] == "complete"
    assert ak.copy(target, store).left_out == {}
    reseal(store, name, facts)
    assert set(ak.copy(store, target).left_out) == {name}
    assert target.summary(name)["state"] == "complete"


def reseal(store: Store, name: str, facts: dict[str, object]) -> None:
    from agolkit.store.seal import sealed

    store.put(f"backups/{name}/backup.json", sealed({k: v for k, v in facts.items() if k != "own_sha256"}))


def ended(store: Store, name: str) -> dict[str, bytes]:
    """The file that says that somebody has ended the alarms of a backup."""
    return {path: each for path, each in own_files(store, name).items() if path == "unpinned.json"}


def test_what_was_forgotten_leaves_the_copy_too(store: LocalStore, target: Store) -> None:
    """Lists, tree and notebooks lose the item, the note comes with them, and the next removal there deletes its files;
    that alarms were ended there stands."""
    names = nights(store)
    ak.copy(store, target)
    Draft(target, names[0]).write("unpinned.json", b"{}\n")
    Draft(target, names[1]).write("backup.ipynb", b"{}\n")
    secret = data_of(store, names[0], "b")
    ak.forget(store, ["b" * 32], reason="asked")
    done = ak.copy(store, target)
    assert done.backups == tuple(names)
    for name in names:
        assert [note["reason"] for note in target.summary(name)["forgotten"]] == ["asked"]
        assert own_files(target, name) == own_files(store, name) | ended(target, name)
    assert ended(target, names[0])
    assert_sound(target)
    ak.prune(target, ak.plan_prune(target, ak.Keep(last=9)))
    assert target.blob_size(secret) is None


def test_what_was_forgotten_there_does_not_come_back(store: LocalStore, target: Store) -> None:
    """The target is ahead: its backups stay, and none of the item's files is copied again."""
    names = nights(store)
    ak.copy(store, target)
    ak.forget(target, ["b" * 32])
    done = ak.copy(store, target)
    assert set(done.left_out) == set(names)
    assert (done.blobs, done.exit_code) == (0, 0)
    ak.forget(store, ["a" * 32])
    done = ak.copy(store, target)
    assert set(done.differing) == set(names)
    assert done.exit_code == 3
    assert f"--item {'a' * 32}" in str(done)
    assert "b" * 32 not in {each.item.id for name in names for each in read_outcomes(target, name)}


def test_a_backup_of_another_run_is_not_replaced(store: LocalStore, target: Store) -> None:
    """Two runs of the same second in two stores: neither is lost."""
    target.bind("0123456789abcdef", "Smallville")
    (name,) = [save(store, 0, {"a": "here"})]
    facts = store.summary(name)
    ak.copy(store, target)
    reseal(target, name, {**target.summary(name), "started": "2025-01-01T02:00:00.5Z"})
    done = ak.copy(store, target)
    assert "another backup of this name" in done.differing[name]
    assert target.summary(name)["started"] != facts["started"]


def test_each_store_shows_what_it_can(store: LocalStore, tmp_path: Path) -> None:
    """Links where there are links, nothing where there are none, which backup.json says; a dropped tree stays so."""

    def no_links(_from: Path, _to: Path) -> None:
        raise OSError(1, "no links here")

    names = nights(store)
    drop_tree(store, names[0])
    linked = LocalStore(tmp_path / "linked")
    ak.copy(store, linked)
    assert [linked.summary(name)["tree"] for name in names] == ["none", "links", "links"]
    assert linked.is_linked(data_of(linked, names[1], "a"), f"backups/{names[1]}/Web Map/Map a~{'a' * 32}/data.json")
    flat = LocalStore(tmp_path / "flat", make_link=no_links)
    ak.copy(linked, flat)
    assert [flat.summary(name)["tree"] for name in names] == ["none"] * 3
    back = LocalStore(tmp_path / "back")
    ak.copy(flat, back)
    assert [back.summary(name)["tree"] for name in names] == ["links"] * 3
    for each in (linked, flat, back):
        assert_sound(each)
    assert ak.copy(flat, linked).same == 3


def test_a_damaged_blob_costs_nothing_else(store: LocalStore, target: Store) -> None:
    """The backups that need it are copied without it, it is named with its item, and comes when it is mended."""
    names = nights(store)
    sha256 = data_of(store, names[1], "b")
    content = store.get(blob_key(sha256))
    spoil(store, sha256)
    done = ak.copy(store, target)
    assert (done.backups, done.exit_code) == (tuple(names), 4)
    (damage,) = done.damages
    assert blob_key(sha256) in damage
    assert f"Map b ({'b' * 32}) in 1 backup, the newest {names[1]}" in damage
    assert target.blob_size(sha256) is None
    assert {path.path for path in ak.verify(target, names[1]).damages if path.path.startswith("blobs")} == {
        blob_key(sha256)
    }
    assert ak.verify(target, names[0], deep=True).ok
    assert ak.copy(store, target).exit_code == 4
    (store.root / blob_key(sha256)).write_bytes(content)
    done = ak.copy(store, target)
    assert (done.blobs, done.exit_code) == (1, 0)
    assert target.blob_size(sha256) == len(content)


def test_a_backup_whose_lists_are_damaged_is_not_copied(store: LocalStore, target: Store) -> None:
    """Nobody knows what it needs; the others are copied."""
    names = nights(store)
    for name, file in zip(names, ("manifest.jsonl.gz", "backup.json"), strict=False):
        path = store.root / "backups" / name / file
        path.write_bytes(path.read_bytes()[:-9])
    done = ak.copy(store, target)
    assert done.backups == (names[2],)
    assert [name in said for name, said in zip(names, done.damages, strict=False)] == [True, True]
    assert done.exit_code == 4
    (store.root / "backups" / names[2] / "AllItems.csv").write_bytes(b"nothing")
    other = LocalStore(store.root.with_name("other"))
    assert [f"backups/{names[2]}/AllItems.csv: its content was changed." in ak.copy(store, other).damages] == [True]


@pytest.mark.parametrize("left", [None, b"", b"{}"])
def test_a_finished_backup_that_lost_its_backup_json_is_damaged(store: LocalStore, target: Store, left: bytes) -> None:
    """It is not taken for one that a run is still making: nobody should rely on a copy without it."""
    names = nights(store)
    path = store.root / "backups" / names[1] / "backup.json"
    whole = path.read_bytes()
    path.unlink()
    if left is not None:
        path.write_bytes(left)
    done = ak.copy(store, target)
    assert (done.backups, done.left_out, done.exit_code) == ((names[0], names[2]), {}, 4)
    assert [names[1] in said for said in done.damages] == [True]
    path.write_bytes(whole)
    assert ak.copy(store, target).backups == (names[1],)


def test_what_is_put_beside_a_backup_later_is_carried(store: LocalStore, target: Store) -> None:
    """An alarm that was ended is ended in the copy too, and the notebook of a scheduled run is there."""
    names = nights(store)
    ak.copy(store, target)
    Draft(store, names[0]).write("unpinned.json", b"{}\n")
    Draft(store, names[1]).write("backup.ipynb", b"{}\n")
    ak.copy(store, target)
    assert target.get(f"backups/{names[0]}/unpinned.json") == b"{}\n"
    assert target.get(f"backups/{names[1]}/backup.ipynb") == b"{}\n"


def test_a_file_that_the_copy_has_lost_comes_again(store: LocalStore, target: Store) -> None:
    """A list or a blob that is missing in the target is brought by the next copy."""
    names = nights(store)
    ak.copy(store, target)
    sha256 = data_of(store, names[0], "b")
    target.remove_blobs([sha256])
    target.remove(f"backups/{names[1]}/manifest.jsonl.gz")
    done = ak.copy(store, target)
    assert (done.backups, done.blobs) == ((names[1],), 1)
    assert ak.verify(target, names[1], deep=True).ok
    assert target.blob_size(sha256)


def test_zips_are_copied_when_asked_for(store: LocalStore, target: Store) -> None:
    """They hold nothing that is not in the backups, and are large; one that is damaged is named and not copied."""
    names = nights(store)
    whole, damaged = (ak.publish_zip(store, name) for name in names[:2])
    path = store.root / damaged.key
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert ak.copy(store, target).zips == 0
    assert target.names("zips") == []
    done = ak.copy(store, target, zips=True)
    assert (done.zips, done.exit_code) == (1, 4)
    assert [damaged.key in said for said in done.damages] == [True]
    assert list(ak.list_zips(target)["name"]) == target.names("zips") == [whole.name]
    assert target.get(whole.key) == store.get(whole.key)
    assert ak.copy(store, target, zips=True).zips == 0


class ReadOnly(LocalStore):
    """A store that this account may only read."""

    def swap(self, key: str, old: bytes | None, new: bytes) -> bool:  # noqa: ARG002
        raise StoreError("it may not be written by this account")

    def can_link(self) -> bool:
        raise StoreError("it may not be written by this account")


def test_a_source_that_may_only_be_read_is_copied(store: LocalStore, target: Store) -> None:
    """It is not locked, and what vanishes meanwhile is said."""
    names = nights(store)
    source = ReadOnly(store.root)
    source.inspect(create=False)
    assert ak.copy(source, target).backups == tuple(names)
    assert_sound(target)


def test_a_backup_that_vanishes_meanwhile_is_said(store: LocalStore, target: Store) -> None:
    """Where the source cannot be locked, somebody may remove what is being copied; it does not count as copied."""
    (name,) = [save(store, 0, {"a": "same"})]

    class Vanishing(ReadOnly):
        def open(self, key: str):  # type: ignore[no-untyped-def]
            if key.endswith("report.html"):
                raise FileNotFoundError(key)
            return super().open(key)

    source = Vanishing(store.root)
    source.inspect(create=False)
    with pytest.raises(StoreError, match=r"report.html has vanished .* Copy again"):
        ak.copy(source, target)
    assert target.summary(name)["state"] == "unfinished"
    assert ak.copy(store, target).backups == (name,)
    assert_sound(target)


def test_both_stores_are_held(store: LocalStore, target: Store) -> None:
    """Neither a run nor a removal may be at work on one of them meanwhile."""
    nights(store)
    for held in (store, target):
        with Lease(held, "another", "somebody"), pytest.raises(StoreBusy):
            ak.copy(store, target)
    assert target.backup_names() == []


def test_what_cannot_be_copied_is_refused(store: LocalStore, target: Store) -> None:
    """A store without a backup, onto itself, or into that of another organization."""
    with pytest.raises(NoSuchBackup):
        ak.copy(store, target)
    nights(store)
    with pytest.raises(UsageError):
        ak.copy(store, store)
    target.bind("f" * 16, "Shelbyville")
    for refused in (ak.copy, ak.plan_copy):
        with pytest.raises(StoreError, match="belongs to Shelbyville"):
            refused(store, target)
    assert target.backup_names() == []


def test_the_command_copies_and_says_so(store: LocalStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At once, because nothing can be lost; with `--dry-run` it shows the plan, with `--json` values."""
    names = nights(store)
    other = tmp_path / "other"

    def agolkit(*args: object) -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        return ended.value.code, capsys.readouterr().out

    code, said = agolkit("copy", store.root, other, "--dry-run")
    assert (code, said.count("it is not there"), other.exists()) == (0, 3, False)
    code, said = agolkit("copy", store.root, other)
    assert code == 0
    assert said.startswith(f"3 backups copied from {store.root} to {other}: 6 files that were missing there")
    told = json.loads(agolkit("copy", store.root, other, "--json")[1])
    assert (told["same"], told["backups"], told["exit_code"]) == (3, [], 0)
    spoil(store, data_of(store, names[0], "b"))
    assert agolkit("copy", store.root, tmp_path / "third")[0] == 4
