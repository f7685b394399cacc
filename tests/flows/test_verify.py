"""Verify: whatever is missing or changed in a backup is found and named, and a whole one is left alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from layers_by_hand import save_service
from saved import MAP, SERVICE, STARTED, begin_sample, files_below, save_part, save_sample, zipped

from agolkit.errors import NoSuchBackup
from agolkit.layout import tree_path
from agolkit.manifest import backup_facts, close_backup, write_manifest
from agolkit.model import Outcome, Part, Reach, Result
from agolkit.options import BackupOptions
from agolkit.store import LocalStore
from agolkit.verify import VerifyReport, verify

Break = Callable[[Path, Path], None]
"""Does harm to a store; gets the store's folder and the backup's."""


def blob_of(outcomes: list[Outcome], path: str) -> Part:
    return next(part for outcome in outcomes for part in outcome.parts if part.path == path)


def overwrite(path: Path, content: bytes) -> None:
    """Change a read-only file as somebody determined would."""
    os.chmod(path, 0o600)
    path.write_bytes(content)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("tree", ["auto", "copy", "none"])
@pytest.mark.parametrize("state", ["complete", "stopped"])
def test_a_whole_backup_is_unharmed(store: LocalStore, tree: str, state: str, deep: bool) -> None:
    """Nothing is found in a backup that is as it was saved, and nothing is changed by looking."""
    name, _ = save_sample(store, tree=tree, state=state)
    before = files_below(store.root)
    report = verify(store, name, deep=deep)
    assert report.ok
    assert report.damages == ()
    assert (report.backup, report.state, report.exit_code) == (name, state, 0)
    assert "is unharmed" in str(report)
    assert report.files > 12
    assert files_below(store.root) == before


@pytest.mark.parametrize("deep", [False, True])
def test_a_killed_run_is_verified_as_far_as_it_came(store: LocalStore, deep: bool) -> None:
    """Without backup.json, the blobs that the journal names are looked at."""
    draft, saved = begin_sample(store)
    assert verify(store, draft.name, deep=deep).ok
    part = blob_of(saved, "data.json")
    (store.root / "blobs" / part.blob.sha256[:2] / part.blob.sha256).unlink()
    report = verify(store, draft.name, deep=deep)
    assert report.state == "unfinished"
    assert [(damage.item_id, damage.title) for damage in report.damages] == [(MAP.id, MAP.title)]
    assert "it is missing (part data.json)" in str(report)


def test_a_missing_blob_names_every_item_that_needs_it(store: LocalStore) -> None:
    """The report says which items are affected, and ends with exit code 4."""
    name, saved = save_sample(store, tree="none")
    geodatabase = blob_of(saved, "layers.gdb.zip").blob.sha256
    (store.root / "blobs" / geodatabase[:2] / geodatabase).unlink()
    report = verify(store, name)
    (damage,) = report.damages
    assert damage.item_id == SERVICE.id
    assert damage.path == f"blobs/{geodatabase[:2]}/{geodatabase}"
    assert report.exit_code == 4
    assert not report.ok
    assert str(report) == (
        f"Backup {name} (complete) is damaged in 1 place, of {report.files:,} files, {report.bytes:,} bytes:\n"
        f"  {damage.path} of ../.. ({SERVICE.id}): it is missing (part layers.gdb.zip)"
    )
    assert json.loads(json.dumps(report.to_json()))["damages"][0]["item_id"] == SERVICE.id


def test_a_blob_that_parts_share_is_named_once_with_all_of_them(store: LocalStore) -> None:
    """One damage, one blob, every part of the item that it was the content of."""
    parts = [save_part(store, "resource", f"resources/{name}.bin", b"the same") for name in "abc"]
    save_service(store, {}, parts)
    digest = parts[0].blob.sha256
    (store.root / "blobs" / digest[:2] / digest).unlink()
    (damage,) = verify(store, store.backup_names()[-1]).damages
    assert damage.what == "it is missing (parts resources/a.bin, resources/b.bin, resources/c.bin)"


@pytest.mark.parametrize("tree", ["auto", "copy", "none"])
def test_a_cut_off_blob_is_found_without_reading(store: LocalStore, tree: str) -> None:
    """A wrong size is seen at once."""
    name, saved = save_sample(store, tree=tree)
    digest = blob_of(saved, "data.json").blob.sha256
    overwrite(store.root / "blobs" / digest[:2] / digest, b"{")
    (damage,) = verify(store, name).damages
    assert "it has 1 bytes instead of 24" in damage.what


@pytest.mark.parametrize("tree", ["auto", "copy", "none"])
def test_a_flipped_bit_is_found_by_reading(store: LocalStore, tree: str) -> None:
    """Content of the right size and the wrong hash is found by a deep verify."""
    name, saved = save_sample(store, tree=tree)
    digest = blob_of(saved, "data.json").blob.sha256
    overwrite(store.root / "blobs" / digest[:2] / digest, b'{"operationalLayers":{}}')
    assert verify(store, name).ok
    (damage,) = verify(store, name, deep=True).damages
    assert "its content was changed" in damage.what


@pytest.mark.parametrize(
    ("harm", "path", "deep"),
    [
        (lambda backup: (backup / "AllItems.csv").unlink(), "AllItems.csv", False),
        (lambda backup: (backup / "organization.json").write_bytes(b"{ }"), "organization.json", False),
        (lambda backup: (backup / "organization.json").write_bytes(b"[]"), "organization.json", True),
        (lambda backup: (backup / "SHA256SUMS").unlink(), "SHA256SUMS", False),
        (lambda backup: _turn(backup / "SHA256SUMS"), "SHA256SUMS", False),
        (lambda backup: _turn(backup / "manifest.jsonl.gz"), "manifest.jsonl.gz", False),
        (lambda backup: (backup / "backup.json").write_bytes(b"{"), "backup.json", False),
        (lambda backup: (backup / "backup.json").write_bytes(b"{}"), "backup.json", False),
        (lambda backup: (backup / "backup.json").write_bytes(b"[1]"), "backup.json", False),
    ],
)
def test_a_changed_file_of_the_backup_itself_is_found(
    store: LocalStore, harm: Callable[[Path], object], path: str, deep: bool
) -> None:
    """Each of the backup's own files is looked at."""
    name, _ = save_sample(store)
    harm(store.root / "backups" / name)
    report = verify(store, name, deep=deep)
    assert [damage.path for damage in report.damages] == [path]
    assert report.damages[0].item_id == ""


def _turn(path: Path) -> None:
    """The same size, another content."""
    path.write_bytes(path.read_bytes()[::-1])


@pytest.mark.parametrize("tree", ["auto", "copy"])
def test_a_changed_tree_is_found_though_the_blobs_are_whole(store: LocalStore, tree: str) -> None:
    """A file that is missing from the tree, has another size, or another content is named."""
    name, saved = save_sample(store, tree=tree)
    folder = store.root / "backups" / name
    gone, longer, other = (
        tree_path(MAP, blob_of(saved, path)) for path in ("item.json", "data.json", "resources/plain/b.json")
    )
    for path in (gone, longer, other):
        (folder / path).unlink()
    (folder / longer).write_bytes(b"longer than it was, by far")
    (folder / other).write_bytes(b"[]")
    assert {damage.path for damage in verify(store, name).damages} == {gone, longer}
    deep = verify(store, name, deep=True)
    assert {damage.path for damage in deep.damages} == {gone, longer, other}
    assert all("fetch takes the blob instead" in damage.what for damage in deep.damages)


def test_archives_and_json_are_opened_again(store: LocalStore) -> None:
    """What was proven well-formed must still be so; what was proven by its length alone may be anything."""
    good = zipped({"x.gdb/gdb": b"\0" * 100})
    bad = good.replace(b"\0" * 100, b"\1" * 100)
    save_sample(store)
    parts = [
        save_part(store, "geodatabase", "layers.gdb.zip", bad),
        save_part(store, "data", "data.json", b"{"),
        save_part(store, "rows", "rows/0.jsonl", b"{}\n{"),
        save_part(store, "data", "good.zip", good),
        save_part(store, "data", "number.json", b"[" + b"1" * 5000 + b"]"),
        save_part(store, "data", "nested.json", b"[" * 50_000 + b"]" * 50_000),
        save_part(store, "data", "data.zip", b"PK no archive", reach=Reach.LENGTH),
        save_part(store, "resource", "resources/odd.json", b"no JSON"),
    ]
    draft = store.begin(STARTED, "default")
    outcomes = [Outcome(MAP, Result.VERIFIED, datetime.now(UTC), parts=tuple(parts))]
    for part in parts:
        draft.link(tree_path(MAP, part), part.blob)
    write_manifest(draft, outcomes)
    facts = backup_facts(
        draft,
        outcomes,
        state="complete",
        finished=STARTED,
        options=BackupOptions(),
        new_bytes=0,
        portal_url="https://x",
    )
    close_backup(draft, facts)
    assert verify(store, draft.name).ok
    found = verify(store, draft.name, deep=True)
    assert [damage.what.split(" (part ")[1] for damage in found.damages] == [
        "layers.gdb.zip)",
        "data.json)",
        "rows/0.jsonl)",
    ]


def test_no_such_backup_is_no_damage(store: LocalStore) -> None:
    """A name that does not exist is an error of its own."""
    with pytest.raises(NoSuchBackup):
        verify(store, "latest")


def test_a_report_is_read_only() -> None:
    """A verdict cannot be changed afterwards."""
    report = VerifyReport(backup="x", state="complete", deep=False, files=0, bytes=0, damages=())
    with pytest.raises(AttributeError):
        report.files = 1  # type: ignore[misc]
