"""Fetch: a backup as an ordinary folder or zip file, whole and with the portal's own names, or an honest error."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from saved import MAP, RESOURCES, SERVICE, STARTED, files_below, save_part, save_sample

from agolkit.errors import NoSuchBackup, StoreDamaged, StoreError, UsageError
from agolkit.fetch import fetch
from agolkit.journal import Journal
from agolkit.layout import exact_path, item_folder, tree_path
from agolkit.model import Outcome, Result
from agolkit.store import LocalStore

OWN_FILES = {"AllItems.csv", "SHA256SUMS", "manifest.jsonl.gz", "organization.json"}


def content_of(store: LocalStore, outcomes: list[Outcome]) -> dict[str, bytes]:
    """Content of each part by its path in the tree."""
    return {
        tree_path(outcome.item, part): store.copied(part.blob.sha256).read()
        for outcome in outcomes
        for part in outcome.parts
    }


@pytest.mark.parametrize("tree", ["auto", "none"])
def test_a_folder_holds_every_file_of_the_backup(store: LocalStore, tmp_path: Path, tree: str) -> None:
    """With or without a tree in the store, every part comes out with its bytes, private and writable."""
    name, saved = save_sample(store, tree=tree)
    done = fetch(store, "latest", tmp_path / "new" / "folder")
    found = files_below(tmp_path / "new" / "folder")
    wanted = content_of(store, saved)
    assert sorted(found.values()) == sorted([*wanted.values(), *(found[path] for path in OWN_FILES)])
    assert set(found) >= OWN_FILES
    assert found["AllItems.csv"] == store.read(name, "AllItems.csv")
    assert found["manifest.jsonl.gz"] == store.read(name, "manifest.jsonl.gz")
    assert (done.backup, done.items, done.files) == (name, 3, len(wanted))
    assert done.bytes == sum(map(len, wanted.values()))
    if os.name != "nt":
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "new").rglob("*") if path.is_file()} == {0o600}


def test_resources_get_their_own_names_back_where_that_is_safe(store: LocalStore, tmp_path: Path) -> None:
    """Exact names come back if the file system takes them; what would lead outside or collide keeps its safe name."""
    _, saved = save_sample(store)
    fetch(store, "latest", tmp_path / "out")
    folder = tmp_path / "out" / item_folder(MAP) / "resources"
    found = files_below(folder)
    assert found["images/a.png" if "images/a.png" in found else "images/A.png"] in (b"a", b"A")
    assert found["plain/b.json"] == b"{}"
    if os.name != "nt":
        assert found["CON.txt"] == b"device"
    assert b"no way out" in {content for path, content in found.items() if path.startswith("r/")}
    assert sorted(found.values()) == sorted(RESOURCES.values())
    assert not list(tmp_path.rglob("escape.txt"))
    assert {path.parts[0] for path in (p.relative_to(tmp_path) for p in tmp_path.rglob("*"))} == {"store", "out"}
    assert any(exact_path(part).endswith("escape.txt") for part in saved[0].parts)


@pytest.mark.parametrize("to", ["out", "out.zip"])
def test_a_name_that_is_another_files_folder_keeps_its_safe_name(store: LocalStore, tmp_path: Path, to: str) -> None:
    """Safe names have their place first; an exact name never takes it, nor needs a file as its folder."""
    store.bind("0123456789abcdef", "Smallville")
    parts = (
        save_part(store, "resource", "resources/r/000000000001", b"1", "a"),
        save_part(store, "resource", "resources/r/000000000002.png", b"2", "a/b.png/c.png"),
        save_part(store, "resource", "resources/a/b.png", b"3"),
        save_part(store, "resource", "resources/r/000000000003.png", b"4", "A/B.png"),
    )
    draft = store.begin(STARTED, "default")
    journal = Journal(draft)
    journal.add(Outcome(MAP, Result.VERIFIED, STARTED, parts=parts))
    journal.close()
    fetch(store, draft.name, tmp_path / to)
    if to.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / to) as archive:
            archive.extractall(tmp_path / "out")  # made a line above
    assert files_below(tmp_path / "out" / item_folder(MAP) / "resources") == {
        "r/000000000001": b"1",
        "r/000000000002.png": b"2",
        "a/b.png": b"3",
        "r/000000000003.png": b"4",
    }


def test_a_zip_file_holds_the_same_as_the_folder(store: LocalStore, tmp_path: Path) -> None:
    """One ordinary file, well-formed, with names that every system can unpack."""
    save_sample(store)
    fetch(store, "latest", tmp_path / "out.zip")
    fetch(store, "latest", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.testzip() is None
        packed = {name: archive.read(name) for name in archive.namelist()}
        assert len(packed) == len(archive.namelist())
    folder = files_below(tmp_path / "out")
    assert sorted(packed[name] for name in packed if name != "SHA256SUMS") == sorted(
        folder[name] for name in folder if name != "SHA256SUMS"
    )
    assert not any("CON.txt" in name or ".." in name for name in packed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.zip", "store"]


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum")
def test_what_was_fetched_can_be_checked_with_sha256sum(store: LocalStore, tmp_path: Path) -> None:
    """SHA256SUMS in the folder names the files as they are there."""
    save_sample(store)
    fetch(store, "latest", tmp_path / "out")
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=tmp_path / "out", check=True)


@pytest.mark.parametrize("to", ["out", "out.zip"])
def test_single_items_can_be_fetched(store: LocalStore, tmp_path: Path, to: str) -> None:
    """Only the items that were asked for, with an AllItems.csv of these."""
    save_sample(store)
    done = fetch(store, "latest", tmp_path / to, items=[SERVICE.id])
    assert (done.items, done.files) == (1, 2)
    if to == "out":
        found = files_below(tmp_path / to)
        assert {path.split("/")[0] for path in found} == {"AllItems.csv", "SHA256SUMS", "Feature Service"}
        assert found["AllItems.csv"].count(b"\r\n") == 2


def test_an_unknown_item_is_said_before_anything_is_written(store: LocalStore, tmp_path: Path) -> None:
    """Ids that the backup does not hold end the command with nothing done."""
    save_sample(store)
    with pytest.raises(NoSuchBackup, match="has no item ffff"):
        fetch(store, "latest", tmp_path / "out", items=[MAP.id, "f" * 32])
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(store: LocalStore, tmp_path: Path) -> None:
    """Whatever is there already is refused and left as it is; an empty folder is taken."""
    save_sample(store)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").write_bytes(b"important")
    (tmp_path / "old.zip").write_bytes(b"old")
    for to in ("full", "full/thesis.doc", "old.zip"):
        with pytest.raises(UsageError, match="Name a new"):
            fetch(store, "latest", tmp_path / to)
    assert files_below(tmp_path / "full") == {"thesis.doc": b"important"}
    assert (tmp_path / "old.zip").read_bytes() == b"old"
    (tmp_path / "empty").mkdir()
    fetch(store, "latest", tmp_path / "empty")


@pytest.mark.parametrize("to", ["", "out", "backups/out.zip", "blobs/../backups/new/out"])
def test_nothing_is_fetched_into_a_store(store: LocalStore, to: str) -> None:
    """A store holds what agolkit writes and nothing else: another place has to be named."""
    save_sample(store)
    before = files_below(store.root)
    with pytest.raises(UsageError, match=r"lies in the store .* outside of it"):
        fetch(store, "latest", store.root / to)
    assert files_below(store.root) == before


@pytest.mark.parametrize("to", ["full/thesis.doc/out", "full/thesis.doc/out.zip"])
def test_a_place_that_cannot_be_written_is_said(store: LocalStore, tmp_path: Path, to: str) -> None:
    """The operating system's refusal names the place."""
    save_sample(store)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").write_bytes(b"important")
    with pytest.raises(StoreError, match="cannot be written"):
        fetch(store, "latest", tmp_path / to)


@pytest.mark.parametrize("to", ["out", "out.zip"])
def test_damage_is_said_after_all_else_was_fetched(store: LocalStore, tmp_path: Path, to: str) -> None:
    """A missing and a changed blob are left out and named; no file under a final name is half or wrong."""
    name, saved = save_sample(store)
    gone, changed = (part.blob.sha256 for part in saved[0].parts[:2])
    (store.root / "blobs" / gone[:2] / gone).unlink()
    path = store.root / "blobs" / changed[:2] / changed
    path.chmod(0o600)
    path.write_bytes(b"changed")
    (store.root / "backups" / name / "organization.json").write_bytes(b"changed")
    with pytest.raises(StoreDamaged, match=r"3 files .* are damaged .*item\.json.*data\.json.*organization\.json"):
        fetch(store, "latest", tmp_path / to)
    if to.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / to) as archive:
            found = {name: archive.read(name) for name in archive.namelist()}
    else:
        found = files_below(tmp_path / to)
    assert not {tree_path(MAP, part) for part in saved[0].parts[:2]} & set(found)
    assert "organization.json" not in found
    assert b"changed" not in found.values()
    assert tree_path(SERVICE, saved[1].parts[1]) in found


def test_an_interrupted_zip_gets_no_name(store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends the fetch leaves neither the zip file nor a part of it."""
    save_sample(store)
    opened: list[object] = []
    open_member = zipfile.ZipFile.open

    def interrupt(archive: zipfile.ZipFile, *arguments: Any, **options: Any) -> object:
        opened.append(archive)
        if len(opened) == 3:
            raise KeyboardInterrupt
        return open_member(archive, *arguments, **options)

    monkeypatch.setattr(zipfile.ZipFile, "open", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(store, "latest", tmp_path / "out.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
