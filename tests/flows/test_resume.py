"""A backup that was interrupted is taken up by the next run, which fetches only what is missing or may have changed."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from interrupted import back_up, content, fetched, town, tree, verified
from portals import connect

import agolkit as ak
from agolkit.journal import read_announcements
from agolkit.layout import tree_path
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome
from agolkit.sandbox import Fault, Sandbox
from agolkit.sandbox.organization import Bytes, Item
from agolkit.scope import EXPORT_TAG
from agolkit.store import Store


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(town()) as sandbox:
        yield sandbox


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return ak.open_store(tmp_path / "store")


def of_type(sandbox: Sandbox, ids: set[str], item_type: str) -> Item:
    """The first of these items that has this type."""
    return next(item for item in sandbox.org.items.values() if item.id in ids and item.type == item_type)


def outcome_of(store: Store, item_id: str, backup: str = "latest") -> Outcome:
    return next(each for each in read_outcomes(store, backup) if each.item.id == item_id)


def test_only_the_rest_is_fetched_and_the_end_is_the_same(sandbox: Sandbox, store: Store, tmp_path: Path) -> None:
    """A stopped run taken up ends as an undisturbed one: the same items, parts, proofs, files and tree."""
    stopped = back_up(sandbox, store, stop_after=12)
    done = verified(store, stopped.backup)
    assert 12 <= len(done) < 20
    assert any(sandbox.org.items[item_id].type == "Feature Service" for item_id in done)

    summary = back_up(sandbox, store)
    assert fetched(sandbox) == set(sandbox.org.items) - done
    assert (summary.backup, summary.state, summary.kept) == (stopped.backup, "complete", len(done))
    assert f"{len(done)} items kept" in str(summary)
    assert store.backups()["state"].tolist() == ["complete"]

    undisturbed = ak.open_store(tmp_path / "undisturbed")
    other = back_up(sandbox, undisturbed)
    assert other.kept is None
    assert content(store) == content(undisturbed)
    assert tree(store, summary.backup) == tree(undisturbed, other.backup)
    assert ak.verify(store, deep=True).ok
    assert ak.verify(store, deep=True).files == ak.verify(undisturbed, deep=True).files


def test_what_was_fetched_is_counted_for_the_run_that_did_it(sandbox: Sandbox, store: Store) -> None:
    """The bytes of kept items are no transfer of the second run."""
    stopped = back_up(sandbox, store, stop_after=12)
    kept = [each for each in read_outcomes(store, stopped.backup) if each.parts]
    summary = back_up(sandbox, store)
    facts = store.summary(summary.backup)
    assert summary.fetched_bytes == facts["saved_bytes"] - sum(each.saved_bytes for each in kept)
    assert facts["fetched_bytes"] == summary.fetched_bytes
    assert facts["resumed"] > facts["started"]
    assert "Taken up" in store.read(summary.backup, "report.html").decode()


def test_the_journal_goes_on(sandbox: Sandbox, store: Store) -> None:
    """The segments of the second run follow those of the first, and one line says where."""
    name = back_up(sandbox, store, stop_after=12).backup
    before = store.names(f"backups/{name}/journal")
    back_up(sandbox, store)
    after = store.names(f"backups/{name}/journal")
    assert after[: len(before)] == before
    assert after == [f"{number:06}.jsonl" for number in range(len(after))]
    line = json.loads(store.read(name, f"journal/{after[len(before)]}"))
    assert set(line["resumed"]) == {"run_id", "started"}


def edit(item: Item) -> None:
    item.data = Bytes(b'{"edited": true}')
    item.modified += 1000


def rename(item: Item) -> None:
    item.title += " (new)"
    item.modified += 1000


def add_resource(item: Item) -> None:
    item.resources["images/new.png"] = b"new"


@pytest.mark.parametrize("change", [edit, rename, add_resource])
def test_what_was_changed_meanwhile_is_fetched_again(
    sandbox: Sandbox, store: Store, tmp_path: Path, change: Callable[[Item], None]
) -> None:
    """An item that was edited, renamed, or got a resource is saved as it is now; nothing old stays in the tree."""
    done = verified(store, back_up(sandbox, store, stop_after=15).backup)
    item = of_type(sandbox, done, "Web Map")
    change(item)
    summary = back_up(sandbox, store)
    assert fetched(sandbox) == set(sandbox.org.items) - (done - {item.id})
    undisturbed = ak.open_store(tmp_path / "undisturbed")
    other = back_up(sandbox, undisturbed)
    assert content(store) == content(undisturbed)
    assert tree(store, summary.backup) == tree(undisturbed, other.backup)


@pytest.mark.parametrize("later", [0, 1])
def test_a_resource_that_may_have_been_replaced_is_fetched_again(sandbox: Sandbox, store: Store, later: int) -> None:
    """A resource may be replaced by one as long: it is kept only if it was put there before the item was modified."""
    done = verified(store, back_up(sandbox, store, stop_after=18).backup)
    item = next(each for each in sandbox.org.items.values() if each.id in done and each.resources)
    listed = [
        {"resource": path, "size": len(content), "created": item.modified + later}
        for path, content in item.resources.items()
    ]
    answer = {"total": len(listed), "start": 1, "num": len(listed), "nextStart": -1, "resources": listed}
    sandbox.faults.add(Fault(path=rf"{item.id}/resources$", body=answer))
    back_up(sandbox, store)
    assert (item.id in fetched(sandbox)) is bool(later)


def test_a_change_of_sharing_needs_no_transfer(sandbox: Sandbox, store: Store) -> None:
    """Groups are asked for anew, so that a kept item is shared with those of today."""
    done = verified(store, back_up(sandbox, store, stop_after=15).backup)
    item = next(each for each in sandbox.org.items.values() if each.id in done and each.groups)
    item.groups = []
    back_up(sandbox, store)
    assert item.id not in fetched(sandbox)
    outcome = outcome_of(store, item.id)
    assert outcome.groups == ()
    shared = next(part for part in outcome.parts if part.name == "sharing")
    with store.open_blob(shared.blob.sha256) as stream:
        assert json.load(stream)["groups"] == []


def test_edited_rows_are_fetched_again(sandbox: Sandbox, store: Store) -> None:
    """A hosted layer is kept only while the service says that its rows are those that were saved."""
    done = verified(store, back_up(sandbox, store, stop_after=15).backup)
    item = of_type(sandbox, done, "Feature Service")
    layer = sandbox.org.services[item.service or ""].layers[0]
    layer.last_edit += 1
    back_up(sandbox, store)
    assert fetched(sandbox) & done == {item.id}


def test_a_service_that_does_not_say_when_it_was_edited_is_fetched_again(sandbox: Sandbox, store: Store) -> None:
    """Without edit stamps nothing is certain."""
    for service in sandbox.org.services.values():
        for layer in service.all():
            layer.last_edit = 0
    done = verified(store, back_up(sandbox, store, stop_after=15).backup)
    item = of_type(sandbox, done, "Feature Service")
    back_up(sandbox, store)
    assert item.id in fetched(sandbox)


def test_items_come_and_go(sandbox: Sandbox, store: Store) -> None:
    """The inventory is made anew: what was deleted is not in the backup, and what is new is."""
    name = back_up(sandbox, store, stop_after=15).backup
    gone = of_type(sandbox, verified(store, name), "Web Map")
    shown = {tree_path(each.item, part) for each in [outcome_of(store, gone.id, name)] for part in each.parts}
    assert shown <= tree(store, name)
    del sandbox.org.items[gone.id]
    new = Item("ab" * 16, gone.owner, "Web Map", "New", data=Bytes(b"{}"), created=gone.created, modified=gone.modified)
    sandbox.org.add(new)
    back_up(sandbox, store)
    assert set(content(store)) == set(sandbox.org.items)
    assert not shown & tree(store, name)


@pytest.mark.parametrize("damage", ["missing", "shorter"])
def test_a_damaged_file_is_fetched_again(sandbox: Sandbox, store: Store, damage: str) -> None:
    """An item counts as finished only while its files are in the store, with their sizes."""
    done = verified(store, back_up(sandbox, store, stop_after=15).backup)
    item = of_type(sandbox, done, "Web Map")
    blob = next(part.blob for part in outcome_of(store, item.id, store.backup_names()[0]).parts if part.name == "data")
    path = Path(store.location, "blobs", blob.sha256[:2], blob.sha256)
    path.unlink()
    if damage == "shorter":
        path.write_bytes(b"{")
    back_up(sandbox, store)
    assert item.id in fetched(sandbox)
    assert ak.verify(store, deep=True).ok


@pytest.mark.parametrize(
    "options",
    [{"scope_name": "other"}, {"feature_format": "rows"}, {"attachments": False}, {"resume_within": 0}],
    ids=lambda options: next(iter(options)),
)
def test_another_backup_is_begun(sandbox: Sandbox, store: Store, options: dict[str, Any]) -> None:
    """Another scope, other parts to save, or too old: the interrupted backup stays as it is, and nothing is kept."""
    name = back_up(sandbox, store, stop_after=5).backup
    before = store.read(name, "backup.json")
    summary = back_up(sandbox, store, **options)
    assert summary.kept is None
    assert fetched(sandbox) == set(sandbox.org.items)
    assert store.read(name, "backup.json") == before
    assert sorted(store.backups()["state"]) == ["complete", "stopped"]


def test_only_the_newest_backup_of_the_scope_is_taken_up(sandbox: Sandbox, store: Store) -> None:
    """An interrupted backup that a finished one has followed is left alone."""
    back_up(sandbox, store, stop_after=5)
    back_up(sandbox, store, resume_within=0)
    assert back_up(sandbox, store).kept is None
    assert len(store.backups()) == 3


def test_options_that_change_no_part_may_differ(sandbox: Sandbox, store: Store) -> None:
    """The scope may be narrower, the speed another: what both want is kept, the rest is not in the backup."""
    name = back_up(sandbox, store, stop_after=15).backup
    maps = {item.id for item in sandbox.org.items.values() if item.type == "Web Map"}
    done = verified(store, name) & maps
    summary = back_up(sandbox, store, types=["Web Map"], workers=4, tree="none", label="only maps")
    assert (summary.backup, summary.kept) == (name, len(done))
    assert set(content(store)) == maps
    assert not tree(store, name)
    assert store.summary(name)["label"] == "only maps"


def test_a_backup_may_be_interrupted_again_and_again(sandbox: Sandbox, store: Store, tmp_path: Path) -> None:
    """Each run goes on where the one before it ended."""
    names = {back_up(sandbox, store, stop_after=number).backup for number in (6, 12, 18)}
    summary = back_up(sandbox, store)
    assert names == {summary.backup}
    assert len(fetched(sandbox)) <= 2
    undisturbed = ak.open_store(tmp_path / "undisturbed")
    back_up(sandbox, undisturbed)
    assert content(store) == content(undisturbed)


def test_a_run_that_is_stopped_at_once_loses_nothing(sandbox: Sandbox, store: Store) -> None:
    """What the second run did not reach stays as the first one saved it; the third one checks it."""
    name = back_up(sandbox, store, stop_after=15).backup
    done = verified(store, name)
    second = back_up(sandbox, store, stop_after=2)
    assert (second.state, second.exit_code) == ("stopped", 130)
    assert verified(store, name) == done
    assert ak.verify(store, name, deep=True).ok
    third = back_up(sandbox, store)
    assert (third.state, third.kept) == ("complete", len(done))
    assert fetched(sandbox) == set(sandbox.org.items) - done


def test_a_stop_before_the_last_checks_is_a_stop(sandbox: Sandbox, store: Store) -> None:
    """A backup is complete only when every kept item was looked at again, also where nothing is left to fetch."""
    name = back_up(sandbox, store).backup
    Path(store.location, "backups", name, "backup.json").unlink()
    assert back_up(sandbox, store, stop_after=2).state == "stopped"
    assert verified(store, name) == set(sandbox.org.items)
    assert back_up(sandbox, store).state == "complete"
    assert not fetched(sandbox)


def test_a_backup_that_is_taken_up_is_unfinished_until_it_ends(sandbox: Sandbox, store: Store) -> None:
    """Between taking a stopped backup up and its end, its journal counts, and it verifies."""
    name = back_up(sandbox, store, stop_after=12).backup
    done = verified(store, name)
    with store.lock("another-run", "somebody"):
        store.resume(name, ak.load_items(store, name)["observed"].max().to_pydatetime())
    assert store.summary(name)["state"] == "unfinished"
    assert verified(store, name) == done
    assert ak.verify(store, name, deep=True).ok
    assert back_up(sandbox, store).kept == len(done)


@pytest.mark.parametrize("state", ["unfinished", "complete"])
def test_what_a_killed_run_left_in_the_portal_is_removed(sandbox: Sandbox, store: Store, state: str) -> None:
    """An export item of the killed run is deleted, also one that appears after another run has ended its backup; it is
    nobody's content, so it is not in the backup."""
    name = back_up(sandbox, store, stop_after=12).backup
    Path(store.location, "backups", name, "backup.json").unlink()
    held = set(sandbox.org.items)
    if state == "complete":
        assert back_up(sandbox, store).state == state
    line = read_announcements(store, name)[0]
    left = Item("ef" * 16, line["owner"], "File Geodatabase", line["title"], tags=[EXPORT_TAG])
    sandbox.org.add(left)
    back_up(sandbox, store)
    assert set(sandbox.org.items) == held == set(content(store))
    assert not sandbox.org.recycle_bin


def test_a_tree_of_copies_is_made_anew(sandbox: Sandbox, store: Store) -> None:
    """Where the tree holds copies, those of the interrupted run make room for those of today."""
    name = back_up(sandbox, store, stop_after=12, tree="copy").backup
    item = of_type(sandbox, verified(store, name), "Web Map")
    rename(item)
    back_up(sandbox, store, tree="copy")
    parts = [(each.item, part) for each in read_outcomes(store, name) for part in each.parts]
    assert tree(store, name) == {tree_path(*pair) for pair in parts}
    assert ak.verify(store, name, deep=True).ok


def test_the_plan_says_what_would_be_kept(sandbox: Sandbox, store: Store) -> None:
    """`keep`, with the name of the backup, for what a run takes over; nothing is changed by asking."""
    name = back_up(sandbox, store, stop_after=12).backup
    done = verified(store, name)
    plan = ak.plan_backup(connect(sandbox), store, ak.BackupOptions())
    kept = plan[plan["action"] == "keep"]
    assert set(kept["item_id"]) == done
    assert kept["reason"].str.startswith(f"saved by the backup {name} that was interrupted, and unchanged").all()
    assert store.summary(name)["state"] == "stopped"


def test_a_torn_line_does_not_hide_what_follows(sandbox: Sandbox, store: Store) -> None:
    """The last line of a killed run may be cut off; the run that takes the backup up goes on behind it."""
    name = back_up(sandbox, store, stop_after=12).backup
    folder = Path(store.location, "backups", name)
    for own in ("backup.json", "manifest.jsonl.gz", "report.html", "SHA256SUMS", "AllItems.csv"):
        (folder / own).unlink()
    last = max((folder / "journal").iterdir())
    last.write_bytes(last.read_bytes()[:-10])
    first = back_up(sandbox, store, stop_after=16)
    assert first.backup == name
    os.unlink(folder / "backup.json")
    assert len(verified(store, name)) >= 16
    assert back_up(sandbox, store).state == "complete"


def test_an_unreadable_journal_is_left_alone(sandbox: Sandbox, store: Store) -> None:
    """A journal that is damaged is for `verify` to tell; the run begins a new backup."""
    name = back_up(sandbox, store, stop_after=12).backup
    folder = Path(store.location, "backups", name)
    (folder / "backup.json").unlink()
    middle = folder / "journal" / "000001.jsonl"
    middle.write_bytes(b"{" + middle.read_bytes())
    (folder / "journal" / "000009.jsonl.gz").write_bytes(gzip.compress(b"{}")[:-4])
    assert back_up(sandbox, store).kept is None
