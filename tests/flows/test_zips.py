"""Zips: a complete backup as one ordinary file that every program opens, or nothing, and the reason."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest
from city_run import Run
from interrupted import town
from killed import knows_processes
from portals import connect
from saved import MAP, STARTED, files_below, finish, save_part, save_sample

import agolkit as ak
from agolkit.cli import main
from agolkit.errors import CheckFailed, Stopped, StoreDamaged, StoreError, UsageError
from agolkit.fetch import fetch
from agolkit.layout import item_folder, safe_paths
from agolkit.model import Outcome, Result
from agolkit.progress import Event
from agolkit.sandbox import Sandbox
from agolkit.store import LocalStore
from agolkit.verify import verify
from agolkit.zips import publish_zip, read_zips

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schemas" / "zips.json").read_text("utf-8"))
DATA_DESCRIPTOR = 0x08
ZIP_OF_SAMPLE = "smallville_2026-11-23T020000Z.zip"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(town()) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def springfield(run: Run, tmp_path_factory: pytest.TempPathFactory) -> ak.Store:
    """A copy of the city's store, whose backup is published."""
    place = tmp_path_factory.mktemp("zipped") / "store"
    shutil.copytree(run.store.location, place)
    store = ak.open_store(place)
    publish_zip(store)
    return store


def packed(path: Path) -> dict[str, bytes]:
    """Every file of a zip by its path, each check sum proven."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert len(set(archive.namelist())) == len(archive.namelist())
        return {name: archive.read(name) for name in archive.namelist()}


def damage(store: LocalStore, sha256: str) -> None:
    """Change a blob, its size as it was."""
    path = store.root / "blobs" / sha256[:2] / sha256
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_run_publishes_its_backup(sandbox: Sandbox, store: LocalStore, tmp_path: Path) -> None:
    """The zip has the name of the organization's address and of the backup; list, summary and file agree."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    said: list[str] = []
    options = ak.BackupOptions(zip=True, scope_name="nights", scratch=str(scratch))
    run = ak.backup(connect(sandbox), store, options, progress=lambda event: said.append(event.text))
    [published] = read_zips(store)
    content = store.get(run.zip)
    assert run.zip == published.key == f"zips/{sandbox.org.url_key}_{run.backup}.zip"
    assert (run.state, run.exit_code, run.not_zipped) == ("complete", 0, "")
    assert f"published as {run.zip}" in str(run)
    assert run.to_json()["zip"] == run.zip
    assert (published.backup, published.scope) == (run.backup, "nights")
    assert (published.bytes, published.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert published.files == len(packed(store.root / run.zip))
    assert f"Published as {published}" in said
    jsonschema.validate(json.loads(store.get("zips.json")), SCHEMA)
    assert list(scratch.iterdir()) == []
    assert list(ak.list_zips(store)["name"]) == [published.name]


def test_without_the_option_nothing_is_published(sandbox: Sandbox, store: LocalStore) -> None:
    """A plain run makes neither the folder nor the list."""
    run = ak.backup(connect(sandbox), store)
    assert (run.zip, run.not_zipped) == ("", "")
    assert not {"zips", "zips.json"} & set(store.names(""))
    assert ak.list_zips(store).empty


def test_the_zip_holds_what_fetch_gives(springfield: ak.Store, tmp_path: Path) -> None:
    """Every file of a whole city, byte for byte: as the zip that `fetch` makes, and as its folder."""
    [published] = read_zips(springfield)
    found = packed(Path(springfield.location, published.key))
    fetch(springfield, "latest", tmp_path / "out.zip")
    fetch(springfield, "latest", tmp_path / "out")
    folder = files_below(tmp_path / "out")
    assert found == packed(tmp_path / "out.zip")
    assert sorted(found[path] for path in found if path != "SHA256SUMS") == sorted(
        folder[path] for path in folder if path != "SHA256SUMS"
    )
    assert found.keys() >= {"AllItems.csv", "SHA256SUMS", "report.html", "organization.json", "manifest.jsonl.gz"}
    assert len(found.keys() & folder.keys()) > 0.9 * len(folder)


def test_its_files_are_as_every_system_takes_them(springfield: ak.Store) -> None:
    """Short paths, and sizes before each file, not behind it."""
    [published] = read_zips(springfield)
    with zipfile.ZipFile(Path(springfield.location, published.key)) as archive:
        for info in archive.infolist():
            assert len(info.filename.encode("utf-16-le")) // 2 < 150
            assert not info.flag_bits & DATA_DESCRIPTOR


def test_a_long_name_of_the_portal_is_not_restored(store: LocalStore) -> None:
    """A resource whose own name would make a path of 150 characters or more keeps its short one."""
    store.bind("0123456789abcdef", "Smallville")
    names = ["pictures/" + letter * length + ".png" for letter, length in (("a", 50), ("b", 60))]
    paths = safe_paths(names, "resources/")
    parts = tuple(save_part(store, "resource", paths[name][0], name.encode(), name) for name in names)
    draft = store.begin(STARTED, "default")
    finish(draft, [Outcome(MAP, Result.VERIFIED, STARTED, parts=parts)])
    found = packed(store.root / publish_zip(store).key)
    assert found[f"{item_folder(MAP)}/resources/{names[0]}"] == names[0].encode()
    assert found[f"{item_folder(MAP)}/{parts[1].path}"] == names[1].encode()


@pytest.mark.parametrize("program", [["unzip", "-tq"], ["7z", "t", "-bd"]], ids=["unzip", "7z"])
def test_other_programs_open_it(springfield: ak.Store, program: list[str]) -> None:
    """Programs that nobody here wrote find no fault in it."""
    if not shutil.which(program[0]):
        pytest.skip(f"{program[0]} is not installed")
    [published] = read_zips(springfield)
    tested = subprocess.run(
        [*program, Path(springfield.location, published.key)], check=True, capture_output=True, text=True
    )
    assert "Warning" not in tested.stdout + tested.stderr


@pytest.mark.skipif(not shutil.which("unzip") or not shutil.which("sha256sum"), reason="needs unzip and sha256sum")
def test_what_was_unpacked_can_be_checked(springfield: ak.Store, tmp_path: Path) -> None:
    """SHA256SUMS in the zip names the files as they are unpacked."""
    [published] = read_zips(springfield)
    subprocess.run(["unzip", "-q", Path(springfield.location, published.key), "-d", tmp_path], check=True)
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=tmp_path, check=True)


def test_a_zip_that_is_there_stays_as_it_is(store: LocalStore) -> None:
    """A second publishing writes nothing, whatever became of the backup since; each backup has its own."""
    name, saved = save_sample(store)
    first = publish_zip(store)
    before = {key: store.get(key) for key in (first.key, "zips.json")}
    damage(store, saved[0].parts[0].blob.sha256)
    assert publish_zip(store, name) == first
    assert {key: store.get(key) for key in before} == before


def test_each_backup_has_a_zip_of_its_own(store: LocalStore) -> None:
    """The list is in the order of the backups, in whichever they were published."""
    names = [save_sample(store, started=STARTED.replace(hour=hour))[0] for hour in (1, 2, 3)]
    for name in (names[2], names[0], names[1]):
        publish_zip(store, name)
    assert [each.backup for each in read_zips(store)] == names


@pytest.mark.parametrize("state", ["stopped", "unfinished"])
def test_only_complete_backups_are_published(store: LocalStore, state: str) -> None:
    """What a run left before its end is refused, and nothing appears."""
    name, _ = save_sample(store, state=state)
    with pytest.raises(UsageError, match=f"is {state}; only a complete one"):
        publish_zip(store, name)
    assert "zips" not in store.names("")


def test_a_damaged_file_is_not_published(store: LocalStore) -> None:
    """The path of a changed blob, a missing blob, or a changed file of the backup is said, and no zip appears."""
    name, saved = save_sample(store)
    damage(store, saved[1].parts[1].blob.sha256)
    with pytest.raises(StoreDamaged, match=r"layers\.gdb\.zip: blob .* is not what it was"):
        publish_zip(store)
    gone = saved[1].parts[1].blob.sha256
    (store.root / "blobs" / gone[:2] / gone).unlink()
    with pytest.raises(StoreDamaged, match="is missing"):
        publish_zip(store)
    assert store.names("zips") == read_zips(store) == []
    other, _ = save_sample(store, started=STARTED.replace(hour=5))
    (store.root / "backups" / other / "organization.json").write_bytes(b"[]")
    with pytest.raises(StoreDamaged, match=r"organization\.json of the backup .* missing or was changed"):
        publish_zip(store, other)
    assert store.names("zips") == read_zips(store) == []
    assert name != other


@pytest.mark.parametrize("grown", [b"", b"more"])
def test_a_file_of_another_length_is_not_published(store: LocalStore, grown: bytes) -> None:
    """A blob that lost or gained bytes is damage, and is read no further than the length it had."""
    _, saved = save_sample(store)
    path = store.root / "blobs" / saved[0].parts[0].blob.sha256[:2] / saved[0].parts[0].blob.sha256
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + grown if grown else b"")
    with pytest.raises(StoreDamaged, match="is not what it was"):
        publish_zip(store)
    assert store.names("zips") == []


def test_a_run_whose_zip_fails_is_complete(sandbox: Sandbox, store: LocalStore) -> None:
    """The backup stays complete and whole to read; the summary says why, and how to publish; the exit code is 3."""
    broken: list[str] = []

    def break_a_blob(event: Event) -> None:
        if event.stage == "zip" and not broken:
            broken.append(next(store.blobs()))
            damage(store, broken[0])

    run = ak.backup(connect(sandbox), store, ak.BackupOptions(zip=True), progress=break_a_blob)
    assert (run.state, run.exit_code, run.zip) == ("complete", 3, "")
    assert f"blob {broken[0]} is not what it was" in run.not_zipped
    assert f"`agolkit zip {store.location} {run.backup}`" in str(run)
    assert store.names("zips") == read_zips(store) == []
    damage(store, broken[0])  # the same bit again
    assert verify(store, run.backup, deep=True).ok
    assert publish_zip(store).backup == run.backup


def test_a_stop_while_the_zip_is_made_ends_it(sandbox: Sandbox, store: LocalStore) -> None:
    """The stop button is obeyed: nothing is published, and the backup stays complete."""
    cancel = threading.Event()

    def stop(event: Event) -> None:
        if event.stage == "zip":
            cancel.set()

    run = ak.backup(connect(sandbox), store, ak.BackupOptions(zip=True), progress=stop, cancel=cancel)
    assert (run.state, run.exit_code, run.zip) == ("complete", 3, "")
    assert "The run was stopped before the zip" in run.not_zipped
    assert store.names("zips") == read_zips(store) == []
    assert store.resolve("latest") == run.backup
    with pytest.raises(Stopped):
        publish_zip(store, cancel=cancel)


@pytest.mark.parametrize("change", [lambda content: content[: len(content) // 2], lambda content: b"x" + content])
def test_what_the_store_changes_is_not_listed(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    """A store that keeps other bytes than it was given is found out by the zip's own list of files."""

    class Lossy(LocalStore):
        def stream(self, key: str, pieces: object) -> None:
            super().stream(key, [change(b"".join(pieces))])  # type: ignore[call-overload]

    store = Lossy(tmp_path / "store")
    save_sample(store)
    with pytest.raises(CheckFailed, match="is not what was written"):
        publish_zip(store)
    assert store.names("zips") == read_zips(store) == []


def test_no_right_to_delete_is_needed(tmp_path: Path) -> None:
    """Publishing only adds, and replaces what an interrupted one left."""

    class AddOnly(LocalStore):
        def remove(self, key: str) -> None:
            raise StoreError(f"{key} may not be deleted.")

        def clear(self, prefix: str) -> None:
            raise StoreError(f"{prefix} may not be deleted.")

    store = AddOnly(tmp_path / "store")
    save_sample(store)
    store.put(f"zips/{ZIP_OF_SAMPLE}", b"left by somebody")
    assert read_zips(store) == []
    published = publish_zip(store)
    assert store.names("zips") == [published.name] == [ZIP_OF_SAMPLE]
    assert published.bytes == len(store.get(published.key))


KILLED = """
import os, signal, sys
from agolkit.zips import publish_zip
import agolkit as ak
touches, last, place = 0, int(sys.argv[2]), sys.argv[1]
def watch(event, args):
    global touches
    if event in ("open", "os.rename", "os.mkdir") and any(str(arg).startswith(place) for arg in args[:2]):
        touches += 1
        if touches == last:
            os.kill(os.getpid(), signal.SIGKILL)
store = ak.open_store(place)
sys.addaudithook(watch)
publish_zip(store)
print(touches)
"""


@knows_processes
@pytest.mark.slow
def test_a_killed_publishing_leaves_no_half_zip(tmp_path: Path) -> None:
    """Killed before any touch of the store: the zip is whole or not there, and the next call publishes it."""

    def publish(place: Path, last: int) -> subprocess.CompletedProcess[str]:
        script = [sys.executable, "-c", KILLED, str(place), str(last)]
        return subprocess.run(script, capture_output=True, text=True, check=False)

    save_sample(LocalStore(tmp_path / "undisturbed"))
    touches = int(publish(tmp_path / "undisturbed", 0).stdout)
    assert touches > 20
    listed = 0
    for last in range(1, touches + 1):
        store = LocalStore(tmp_path / str(last))
        save_sample(store)
        assert publish(store.root, last).returncode < 0
        again = ak.open_store(store.root)
        for name in again.names("zips"):
            packed(store.root / "zips" / name)
        listed += len(read_zips(again))
        published = publish_zip(again)
        assert again.names("zips") == [published.name]
        assert again.names("incoming") == []
        assert len(packed(store.root / published.key)) == published.files
    assert listed < touches


def test_a_scratch_folder_that_cannot_be_used_is_said(store: LocalStore, tmp_path: Path) -> None:
    """The folder is named, and nothing is published."""
    save_sample(store)
    with pytest.raises(StoreError, match="nowhere' cannot be used"):
        publish_zip(store, scratch=tmp_path / "nowhere")
    assert "zips" not in store.names("")


def test_a_list_that_cannot_be_read_is_said(store: LocalStore) -> None:
    """No zip is written or removed by a guess."""
    save_sample(store)
    publish_zip(store)
    store.put("zips.json", b"[]")
    with pytest.raises(StoreDamaged, match=r"zips\.json cannot be read"):
        publish_zip(store)
    assert store.names("zips") == [ZIP_OF_SAMPLE]


def test_the_command_publishes_and_lists(store: LocalStore, capsys: pytest.CaptureFixture[str]) -> None:
    """`agolkit zip` says where the zip is, also when it is there already; `list --zips` lists it."""
    name, _ = save_sample(store)
    for args in (["zip", str(store.root), name], ["zip", str(store.root)]):
        with pytest.raises(SystemExit) as ended:
            main(args)
        assert ended.value.code == 0
        assert f"{store.root}/zips/{ZIP_OF_SAMPLE}, the backup {name} in one zip: " in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["list", str(store.root), "--zips"])
    assert ZIP_OF_SAMPLE in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["list", str(store.root), "--zips", "--json"])
    [listed] = json.loads(capsys.readouterr().out)
    assert listed["sha256"] == hashlib.sha256(store.get(f"zips/{ZIP_OF_SAMPLE}")).hexdigest()
