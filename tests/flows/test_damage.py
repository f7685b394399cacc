"""Damage: whatever happens to any kind of file of a backup, `verify` finds it and names the file and the items."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from damaged import HARMS, OWN_FILES, PARTS, SEEN_BY_SIZE, harmed, small_town
from portals import connect
from saved import STARTED, save_part, zipped

import agolkit as ak
from agolkit.manifest import backup_facts, close_backup, read_outcomes, write_manifest
from agolkit.model import Outcome, Part
from agolkit.options import BackupOptions
from agolkit.progress import Event
from agolkit.sandbox import Sandbox
from agolkit.store import Draft, Store
from agolkit.store.blobs import blob_key
from agolkit.store.seal import sealed
from agolkit.verify import verify

Lines = list[dict[str, Any]]
Change = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Saved:
    """A backup of a small town."""

    store: Store
    root: Path
    name: str
    outcomes: list[Outcome]

    @property
    def folder(self) -> Path:
        return self.root / "backups" / self.name

    def part(self, name: str) -> tuple[Outcome, Part]:
        return next((each, part) for each in self.outcomes for part in each.parts if part.name == name)

    def users_of(self, part: Part) -> set[str]:
        """Ids of the items that need the blob of a part."""
        digest = part.blob.sha256
        return {each.item.id for each in self.outcomes for other in each.parts if other.blob.sha256 == digest}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Every case mends what it has damaged, so one store is enough."""
    root = tmp_path_factory.mktemp("damage") / "store"
    with Sandbox(small_town()) as sandbox:
        store = ak.open_store(root)
        name = ak.backup(connect(sandbox), store).backup
    return Saved(store, root, name, read_outcomes(store, name))


def test_the_backup_has_every_kind_of_part_and_file(saved: Saved) -> None:
    """What is damaged below is all that a backup can have, and is unharmed before."""
    assert {part.name for outcome in saved.outcomes for part in outcome.parts} >= set(PARTS)
    assert {path.name for path in saved.folder.iterdir() if path.is_file()} == set(OWN_FILES)
    report = verify(saved.store, saved.name, deep=True)
    assert report.damages == ()


@contextmanager
def content_of(path: Path, content: bytes | None) -> Iterator[None]:
    """A file with other content, or without it, for a while: under all its names, for they are hard links."""
    before, aside = path.read_bytes(), path.with_name(f"{path.name}.aside")
    mode = path.stat().st_mode
    if content is None:
        path.rename(aside)
    else:
        os.chmod(path, 0o600)
        path.write_bytes(content)
    try:
        yield
    finally:
        if content is None:
            aside.rename(path)
        else:
            path.write_bytes(before)
            os.chmod(path, mode)


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", PARTS)
def test_a_damaged_part_is_named_with_its_item(saved: Saved, name: str, harm: str) -> None:
    """The blob is named once for each item that needs it; what changes the size is seen without reading."""
    _, part = saved.part(name)
    _, other = saved.part("data" if name != "data" else "item")
    path = saved.root / blob_key(part.blob.sha256)
    changed = harmed(harm, path.read_bytes(), saved.store.get(blob_key(other.blob.sha256)))
    with content_of(path, changed):
        for deep in (True, False) if harm in SEEN_BY_SIZE else (True,):
            report = verify(saved.store, saved.name, deep=deep)
            assert {damage.path for damage in report.damages} == {blob_key(part.blob.sha256)}
            assert sorted(damage.item_id for damage in report.damages) == sorted(saved.users_of(part))
            assert report.exit_code == 4
    assert verify(saved.store, saved.name).ok


@pytest.mark.parametrize(("one", "two"), list(zip(PARTS, (*PARTS[1:], PARTS[0]), strict=True)))
def test_two_blobs_that_were_swapped_are_both_named(saved: Saved, one: str, two: str) -> None:
    """Each has the content of the other, which is sound by itself."""
    parts = [saved.part(name)[1] for name in (one, two)]
    paths = [saved.root / blob_key(part.blob.sha256) for part in parts]
    contents = [path.read_bytes() for path in paths]
    with ExitStack() as stack:
        for path, content in zip(paths, reversed(contents), strict=True):
            stack.enter_context(content_of(path, content))
        report = verify(saved.store, saved.name, deep=True)
    assert {damage.path for damage in report.damages} == {blob_key(part.blob.sha256) for part in parts}
    assert {damage.item_id for damage in report.damages} == saved.users_of(parts[0]) | saved.users_of(parts[1])


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", OWN_FILES)
def test_a_damaged_file_of_the_backup_itself_is_named(saved: Saved, name: str, harm: str) -> None:
    """It is named, once, and no other file is; no item is."""
    path = saved.folder / name
    other = saved.folder / ("report.html" if name != "report.html" else "AllItems.csv")
    with content_of(path, harmed(harm, path.read_bytes(), other.read_bytes())):
        for deep in (True, False) if harm in SEEN_BY_SIZE else (True,):
            report = verify(saved.store, saved.name, deep=deep)
            assert [(damage.path, damage.item_id) for damage in report.damages] == [(name, "")]
            assert report.exit_code == 4
    assert verify(saved.store, saved.name).ok


def _with_result(lines: Lines) -> None:
    lines[0]["result"] = "partial" if lines[0]["result"] == "verified" else "verified"


def _without_part(lines: Lines) -> None:
    lines[0]["parts"].pop()


def _with_hash(lines: Lines) -> None:
    lines[0]["parts"][0]["sha256"] = "ab" * 32


def _without_line(lines: Lines) -> None:
    lines.pop()


def _with_line(lines: Lines) -> None:
    lines.append({**lines[0], "item": {**lines[0]["item"], "id": "ab" * 16, "title": "Smuggled in"}})


@pytest.mark.parametrize("edit", [_with_result, _without_part, _with_hash, _without_line, _with_line])
@pytest.mark.parametrize("is_covered_up", [False, True])
@pytest.mark.parametrize("deep", [False, True])
def test_an_edited_manifest_is_found(
    saved: Saved,
    edit: Callable[[Lines], None],
    is_covered_up: bool,
    deep: bool,
) -> None:
    """By its hash; and where backup.json was made to fit, by the other files, which say something else."""
    manifest, whole = saved.folder / "manifest.jsonl.gz", saved.folder / "backup.json"
    lines = [json.loads(line) for line in gzip.decompress(manifest.read_bytes()).splitlines()]
    edit(lines)
    changed = gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    facts = json.loads(whole.read_bytes())
    facts["files"]["manifest.jsonl.gz"] = {"sha256": hashlib.sha256(changed).hexdigest(), "size": len(changed)}
    del facts["own_sha256"]
    with ExitStack() as stack:
        stack.enter_context(content_of(manifest, changed))
        if is_covered_up:
            stack.enter_context(content_of(whole, sealed(facts)))
        report = verify(saved.store, saved.name, deep=deep)
    own = {damage.path for damage in report.damages if not damage.item_id}
    expected = {
        _with_result: {"AllItems.csv", "backup.json"},
        _without_part: {"SHA256SUMS", "backup.json"},
        _with_hash: {"SHA256SUMS"},
        _without_line: {"SHA256SUMS", "AllItems.csv", "backup.json"},
        _with_line: {"SHA256SUMS", "AllItems.csv", "backup.json"},
    }
    assert own == (expected[edit] if is_covered_up else {"manifest.jsonl.gz"})


def test_a_backup_that_was_never_finished_is_proven_from_its_journal(saved: Saved) -> None:
    """Its parts are opened again as those of a finished one, and a damaged one is named."""
    _, part = saved.part("geodatabase")
    with ExitStack() as stack:
        for name in ("backup.json", "report.html", "manifest.jsonl.gz"):
            stack.enter_context(content_of(saved.folder / name, None))
        whole = verify(saved.store, saved.name, deep=True)
        stack.enter_context(content_of(saved.root / blob_key(part.blob.sha256), bytes(part.blob.size)))
        damaged = verify(saved.store, saved.name, deep=True)
    assert (whole.state, whole.damages) == ("unfinished", ())
    assert {damage.item_id for damage in damaged.damages} == saved.users_of(part)


@pytest.mark.parametrize("tree", ["copy", "none"])
def test_a_stopped_backup_is_proven_with_any_tree(tmp_path: Path, tree: str) -> None:
    """Of a run that was ended by the user, all that it has saved is proven, in the tree as well."""
    cancel = threading.Event()
    with Sandbox(small_town()) as sandbox:
        store = ak.open_store(tmp_path / "store")
        options = BackupOptions(workers=1, tree=tree)  # type: ignore[arg-type]
        name = ak.backup(connect(sandbox), store, options, progress=_stop_after(5, cancel), cancel=cancel).backup
    whole = verify(store, name, deep=True)
    assert (whole.state, whole.damages) == ("stopped", ())
    copies = list((tmp_path / "store" / "backups" / name).rglob("item.json"))
    assert bool(copies) == (tree == "copy")
    for path in copies[:1]:
        with content_of(path, bytes(path.stat().st_size)):
            (damage,) = verify(store, name, deep=True).damages
        assert (damage.path, damage.item_id) == (
            path.relative_to(tmp_path / "store" / "backups" / name).as_posix(),
            path.parent.name.rpartition("~")[2],
        )


def _stop_after(items: int, cancel: threading.Event) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if event.stage == "items" and event.done >= items:
            cancel.set()

    return listen


def _json_with(**facts: object) -> Change:
    return lambda content: json.dumps({**json.loads(content), **facts}).encode()


def _geodatabase_with(**facts: object) -> Change:
    def change(content: bytes) -> bytes:
        definition = json.loads(content)
        definition["geodatabase"][0] |= facts
        return json.dumps(definition).encode()

    return change


GEODATABASE_LAYER = {"id": 0, "layer": "Lost", "rows": 0, "attachments": 0}


def _without_last_line(content: bytes) -> bytes:
    return b"".join(content.splitlines(keepends=True)[:-1])


def _last_line_with(**facts: object) -> Change:
    def change(content: bytes) -> bytes:
        *before, last = content.splitlines()
        return b"\n".join([*before, json.dumps({**json.loads(last), **facts}).encode()])

    return change


def _with_another_line(content: bytes) -> bytes:
    return content + json.dumps({"path": "attachments/0/9999-1.jpg", "size": 5}).encode() + b"\n"


@pytest.mark.parametrize(
    ("name", "change", "named", "words"),
    [
        ("item", _json_with(id="ab" * 16), "item", "it does not describe this item"),
        ("item", lambda _: b"{", "item", "it is not well-formed"),
        ("sharing", lambda _: b"{", "sharing", "it is not well-formed"),
        ("relations", lambda _: b"", "relations", "it is not well-formed"),
        ("info", lambda _: b"<html>", "info", "it is not well-formed"),
        ("overrides", lambda _: b"[", "overrides", "it is not well-formed"),
        ("definition", lambda _: b"{", "definition", "it is not well-formed"),
        ("thumbnail", lambda _: b"<html>", "thumbnail", "it is not a picture"),
        ("picture", lambda _: b"", "picture", "it is not a picture"),
        ("metadata", lambda _: b"<metadata>", "metadata", "it is not well-formed"),
        ("source", lambda content: content[:-30], "source", "it is not well-formed"),
        ("geodatabase", lambda _: b"PK", "geodatabase", "it is not well-formed"),
        ("geodatabase", lambda _: zipped({"a.txt": b""}), "geodatabase", "it cannot be opened"),
        ("geodatabase", lambda _: zipped({"a.gdb/gdb": b""}), "geodatabase", "it cannot be opened"),
        ("definition", _geodatabase_with(rows=99_999), "geodatabase", "rows instead of 99,999"),
        ("definition", _geodatabase_with(attachments=7), "geodatabase", "0 attachments instead of 7"),
        ("definition", _geodatabase_with(layer="Lost"), "geodatabase", "it has no layer 'Lost'"),
        ("definition", _json_with(rows=[{"id": 77, "rows": 1}]), "definition", "it names rows/77.jsonl.gz"),
        ("definition", _json_with(geodatabase=[GEODATABASE_LAYER]), "definition", "it names layers.gdb.zip"),
        ("rows", _without_last_line, "rows", "rows instead of"),
        ("rows", lambda content: content + b"{}\n", "rows", "it is not well-formed"),
        ("rows", lambda content: content[:-5], "rows", "it is not well-formed"),
        ("attachments", _without_last_line, "attachment", "it is not named in attachments/"),
        ("attachments", _last_line_with(size=3), "attachment", "bytes, and 3 in attachments/"),
        ("attachments", _with_another_line, "attachments", "it names attachments/0/9999-1.jpg"),
        ("attachments", lambda _: b"[]\n", "attachments", "it is not well-formed"),
    ],
)
def test_what_was_proven_is_proven_again(saved: Saved, name: str, change: Change, named: str, words: str) -> None:
    """Where every hash fits and a part is still not what was proven, deep looks inside, and names it once."""
    outcome, part = next(
        (each, part)
        for each in saved.outcomes
        for part in each.parts
        if part.name == name and (named != "geodatabase" or any(other.name == named for other in each.parts))
    )
    content = saved.store.get(blob_key(part.blob.sha256))
    is_packed = part.path.endswith(".gz")
    changed = change(gzip.decompress(content) if is_packed else content)
    other = save_part(saved.store, part.name, part.path, gzip.compress(changed) if is_packed else changed)
    wrong = replace(
        outcome, parts=tuple(replace(part, blob=other.blob) if each is part else each for each in outcome.parts)
    )
    draft = saved.store.begin(STARTED, "default", tree="none")
    write_manifest(draft, [wrong])
    close_backup(draft, _facts(draft, [wrong]))
    assert verify(saved.store, draft.name).ok
    (damage,) = verify(saved.store, draft.name, deep=True).damages
    assert words in damage.what
    paths = {each.path for each in wrong.parts if each.name == named}
    assert damage.what.rpartition("(part ")[2].removesuffix(")") in paths
    assert (damage.item_id, damage.title) == (outcome.item.id, outcome.item.title)


@pytest.mark.parametrize(("path", "content"), [("organization.json", b"{"), ("log.jsonl", b"{}\n{\n")])
def test_own_files_are_opened_again(saved: Saved, path: str, content: bytes) -> None:
    """A file of the backup itself that is as it was written, but was written wrong, is named."""
    draft = saved.store.begin(STARTED, "default", tree="none")
    draft.write(path, content)
    write_manifest(draft, saved.outcomes)
    close_backup(draft, _facts(draft, saved.outcomes))
    assert verify(saved.store, draft.name).ok
    (damage,) = verify(saved.store, draft.name, deep=True).damages
    assert (damage.path, damage.item_id) == (path, "")
    assert "it is not well-formed" in damage.what


def _facts(draft: Draft, outcomes: list[Outcome]) -> dict[str, Any]:
    return backup_facts(
        draft,
        outcomes,
        state="complete",
        finished=STARTED,
        options=BackupOptions(),
        new_bytes=0,
        portal_url="https://example.org",
    )
