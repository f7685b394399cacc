"""Forget: an item leaves all backups of a store for good; nothing else does, at whatever moment it is interrupted."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import jsonschema
import pytest
from interrupted import back_up, town
from kept import FIRST, State, item_id, needed, places_of, save, title
from saved import files_below

import agolkit as ak
from agolkit.cli import main
from agolkit.errors import NoSuchBackup, StoreBusy, StoreDamaged, StoreError, UsageError
from agolkit.forget import forget, plan_forget
from agolkit.manifest import read_outcomes
from agolkit.sandbox import Sandbox
from agolkit.store import LocalStore, Spool, Store
from agolkit.verify import verify

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schemas" / "backup.json").read_text("utf-8"))
STATES: tuple[State, ...] = ("complete", "stopped", "killed", "taken up")
NAMES = ["2026-11-01T020000Z", "2026-11-02T020000Z", "2026-11-03T020000Z", "2026-11-04T020000Z"]


def several(store: Store, tree: str = "copy") -> None:
    """A backup of each state; item 1 shares a file with item 2, and changes each day."""
    for day, state in enumerate(STATES):
        contents = {1: ["shared", "always", f"only on day {day}"], 2: ["shared", "two"], 3: [f"three {day}"]}
        save(store, day, contents, state=state, tree=tree)


def ids(store: Store, backup: str) -> set[str]:
    return {outcome.item.id for outcome in read_outcomes(store, backup)}


# What is removed, and what stays


@pytest.mark.parametrize("tree", ["auto", "copy", "none"])
def test_nothing_of_the_item_is_left(store: LocalStore, tree: str) -> None:
    """Neither its title nor its files stand anywhere in the store, in no list, log, report, notebook, journal or tree;
    its id stands in the notes alone."""
    several(store, tree)
    assert len(places_of(store.root, title(1).encode())) > 10
    done = forget(store, [item_id(1)], reason="asked for on 3 November")
    assert places_of(store.root, title(1).encode()) == set()
    assert places_of(store.root, b"always") == places_of(store.root, b"only on day") == set()
    assert places_of(store.root, item_id(1).encode()) == {f"backups/{name}/backup.json" for name in NAMES}
    assert (done.items, done.backups, done.shared) == ((item_id(1),), tuple(NAMES), 1)
    assert "1 item removed from 4 backups" in str(done)
    assert "exclude_ids" in str(done)
    assert "1 file stay" in str(done)
    assert title(1) not in str(done)


@pytest.mark.parametrize("tree", ["auto", "copy", "none"])
def test_all_other_items_stay_as_they_were(store: LocalStore, tree: str) -> None:
    """Their lines and files are the same, every byte is verified again, and their content is not called damage."""
    several(store, tree)
    before = {name: [each for each in read_outcomes(store, name) if each.item.id != item_id(1)] for name in NAMES}
    forget(store, [item_id(1)])
    for name in NAMES:
        assert read_outcomes(store, name) == before[name]
        report = verify(store, name, deep=True)
        assert report.ok, report
        assert report.forgotten == 1
        assert "Removed from it on purpose: 1 item" in str(report)
    assert set(store.blobs()) == needed(store)
    assert title(2) in store.read(NAMES[0], "AllItems.csv").decode("utf-8-sig")
    assert "2 of 2 verified" in store.read(NAMES[0], "report.html").decode()
    assert title(2) in store.read(NAMES[0], "log.jsonl").decode()


def test_each_backup_has_a_note_of_what_was_removed(store: LocalStore) -> None:
    """Which item, when, by whom and why, without a title; a further removal adds its own."""
    several(store)
    forget(store, [item_id(1)], reason="asked for")
    forget(store, [item_id(3)])
    for name in NAMES:
        facts = json.loads(store.read(name, "backup.json"))
        jsonschema.validate(facts, SCHEMA)
        assert [(note["item_id"], note["reason"]) for note in facts["forgotten"]] == [
            (item_id(1), "asked for"),
            (item_id(3), ""),
        ]
        assert all(set(note) == {"item_id", "when", "who", "reason"} for note in facts["forgotten"])
        assert facts["state"] == ("unfinished" if name > NAMES[1] else "complete" if name == NAMES[0] else "stopped")


def test_a_backup_without_the_item_is_not_touched(store: LocalStore) -> None:
    """Not a byte of it changes."""
    several(store)
    other = save(store, 9, {2: ["shared", "two"]}, tree="auto")
    before = files_below(store.root / "backups" / other)
    forget(store, [item_id(1)])
    assert files_below(store.root / "backups" / other) == before


def test_what_a_killed_run_had_only_shown_goes_too(store: LocalStore) -> None:
    """A run shows an item in the tree before it says so in its journal; it is found there."""
    save(store, 0, {2: ["two"]})
    draft = store.resume(save(store, 1, {2: ["two"]}, state="killed"), FIRST, tree="copy")
    with Spool() as spool:
        spool.write(b"a photo")
        blob, _ = store.add_blob(spool)
    draft.link(f"Web Map/an older title~{item_id(1)}/resources/photo.jpg", blob)
    assert list(plan_forget(store, [item_id(1)])["backup"]) == [draft.name]
    done = forget(store, [item_id(1)])
    assert (done.blobs, done.bytes) == (1, len(b"a photo"))
    assert places_of(store.root, b"a photo") == set()
    assert store.names(f"backups/{draft.name}/Web Map") == []


def test_a_file_that_never_arrived_goes_too(store: LocalStore) -> None:
    """A killed run may have left half a transfer."""
    several(store)
    (store.root / "incoming").mkdir(exist_ok=True)
    (store.root / "incoming" / "0f").write_bytes(b"half a photo")
    forget(store, [item_id(1)])
    assert places_of(store.root, b"half a photo") == set()


# The plan


def test_the_plan_says_what_would_go_and_changes_nothing(store: LocalStore) -> None:
    """One row for each backup and item; the bytes add up to those that the removal deletes."""
    several(store)
    before = files_below(store.root)
    plan = plan_forget(store, [item_id(3), item_id(1)])
    assert files_below(store.root) == before
    assert list(plan["backup"]) == [name for name in NAMES for _ in range(2)]
    assert list(plan["item_id"]) == [item_id(1), item_id(3)] * 4
    assert list(plan["title"]) == [title(1), title(3)] * 4
    assert list(plan["parts"]) == [4, 2] * 4
    assert list(plan["shared"]) == [1, 0] * 4
    assert (plan.loc[2, "bytes"], plan.loc[3, "bytes"]) == (len("only on day 1"), len("three 1"))
    assert forget(store, [item_id(1), item_id(3)]).bytes == plan["bytes"].sum()


def test_an_item_that_no_backup_has_is_said(store: LocalStore) -> None:
    """Nothing is removed where one of the ids is unknown; of one that was forgotten before, it is said when."""
    with pytest.raises(NoSuchBackup, match="has no backup"):
        forget(store, [item_id(1)])
    assert not store.root.exists()
    several(store)
    before = needed(store)
    for call in (plan_forget, forget):
        with pytest.raises(NoSuchBackup, match=item_id(7)):
            call(store, [item_id(1), item_id(7)])  # type: ignore[operator]
        with pytest.raises(UsageError, match="by their ids"):
            call(store, [])  # type: ignore[operator]
    assert needed(store) == before
    forget(store, item_id(1))
    with pytest.raises(NoSuchBackup, match=f"{item_id(1)} was forgotten on 20"):
        forget(store, [item_id(1)])
    forget(store, [item_id(1), item_id(2)])
    assert set(store.blobs()) == needed(store)


# When it is refused


def test_a_store_that_a_run_holds_is_left_alone(store: LocalStore) -> None:
    """Both would write to it."""
    several(store)
    with store.lock("run-1", "ann"), pytest.raises(StoreBusy, match="ann"):
        forget(LocalStore(store.root), [item_id(1)])
    assert item_id(1) in ids(store, NAMES[0])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a manifest that was changed": lambda backups: (backups / NAMES[0] / "manifest.jsonl.gz").write_bytes(b"x"),
    "a manifest that is missing": lambda backups: (backups / NAMES[1] / "manifest.jsonl.gz").unlink(),
    "a backup.json that was edited": lambda backups: change(
        backups / NAMES[0] / "backup.json", b"complete", b"stopped"
    ),
    "a backup.json that is none": lambda backups: (backups / NAMES[1] / "backup.json").write_bytes(b"{"),
    "a journal that was cut": lambda backups: (backups / NAMES[2] / "journal" / "000000.jsonl").unlink(),
    "a journal that is none": lambda backups: change(backups / NAMES[3] / "journal" / "000001.jsonl", b"{", b"["),
    "a backup under another name": lambda backups: (backups / NAMES[0]).rename(backups / "before the update"),
    "a backup in a folder": lambda backups: (
        (backups / "old").mkdir(),
        (backups / NAMES[0]).rename(backups / "old" / NAMES[0]),
    ),
}


def change(path: Path, old: bytes, new: bytes) -> None:
    path.write_bytes(path.read_bytes().replace(old, new, 1))


@pytest.mark.parametrize("damage", DAMAGES)
def test_beside_a_backup_that_cannot_be_read_nothing_is_deleted(store: LocalStore, damage: str) -> None:
    """It may need any blob; the error names it and what to do, and not a byte of the store changes."""
    several(store)
    forget(store, [item_id(3)])  # so that the lock is there
    DAMAGES[damage](store.root / "backups")
    before = {path: content for path, content in files_below(store.root).items() if path != "lock"}
    with pytest.raises(StoreDamaged, match=r"nothing was deleted.*out\s+of the store"):
        forget(store, [item_id(1)])
    assert {path: content for path, content in files_below(store.root).items() if path != "lock"} == before


# Interruptions


class Killed(BaseException):
    """The end of a process, which nothing handles."""


class Dying(LocalStore):
    """A store whose process is killed at its n-th change; only the lock can be written after that."""

    left = 0

    def _step(self, key: str) -> bool:
        """Count one change. Whether it is the last one, and is to be done by half."""
        if key == "lock":
            return False
        self.left -= 1
        if self.left < 0:
            raise Killed
        return self.left == 0

    def keep(self, key: str, spool: Spool, *, read_only: bool = False) -> None:
        self._step(key)
        super().keep(key, spool, read_only=read_only)

    def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        self._step(key)
        return super().swap(key, old, new)

    def remove(self, key: str) -> None:
        self._step(key)
        super().remove(key)

    def clear(self, prefix: str) -> None:
        if self._step(prefix):
            first = min(path for path in (self.root / prefix).rglob("*") if path.is_file())
            super().remove(first.relative_to(self.root).as_posix())
            raise Killed
        super().clear(prefix)


@pytest.mark.slow
def test_killed_at_any_step_the_store_stays_readable_and_the_next_call_finishes(tmp_path: Path) -> None:
    """After each of its changes: all other items verify, every backup can be read, and the same call ends the same."""
    whole = LocalStore(tmp_path / "whole")
    several(whole, "auto")
    before = {name: [each for each in read_outcomes(whole, name) if each.item.id != item_id(1)] for name in NAMES}
    for steps in count(1):
        shutil.copytree(whole.root, tmp_path / str(steps), copy_function=os.link)
        store = Dying(tmp_path / str(steps))
        store.left = steps
        try:
            forget(store, [item_id(1)], reason="the first call")
        except Killed:
            after = LocalStore(store.root)
        else:
            break
        cut_short = 0
        for name in NAMES:
            if content := after.find(f"backups/{name}/backup.json"):
                jsonschema.validate(json.loads(content), SCHEMA)
            outcomes = [each for each in read_outcomes(after, name) if each.item.id != item_id(1)]
            assert outcomes == before[name], (steps, name)
            damages = [each for each in verify(after, name, deep=True).damages if each.item_id != item_id(1)]
            assert all(item_id(1) in each.what and each.path == "backup.json" for each in damages), (steps, damages)
            cut_short += len(damages)
        assert cut_short or steps == 1, "nobody is told that the removal was cut short"
        forget(after, [item_id(1)], reason="the second call")
        assert places_of(after.root, title(1).encode()) == places_of(after.root, b"only on day") == set()
        assert set(after.blobs()) == needed(after)
        for name in NAMES:
            assert verify(after, name, deep=True).ok, (steps, name)
            assert [note["item_id"] for note in after.summary(name)["forgotten"]] == [item_id(1)]
    assert steps > 40


def test_a_removal_that_was_cut_short_is_finished_with_the_next_one(tmp_path: Path) -> None:
    """Whatever item the next call names: it says so in its plan, and keeps the note of the first."""
    store = Dying(tmp_path)
    store.left = 10_000
    several(store)
    store.left = 5
    with pytest.raises(Killed):
        forget(store, [item_id(1)], reason="the first call")
    after = LocalStore(store.root)
    assert set(plan_forget(after, [item_id(3)])["item_id"]) == {item_id(1), item_id(3)}
    done = forget(after, [item_id(3)], reason="the second call")
    assert done.items == (item_id(1), item_id(3))
    assert places_of(after.root, title(1).encode()) == set()
    assert after.summary(NAMES[0])["forgotten"][0]["reason"] == "the first call"


def test_where_the_disk_is_full_the_next_call_finishes(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the storage ends the removal with that error; room is made, and the same call goes on."""
    several(store)
    keep, calls = LocalStore.keep, count()

    def full(self: LocalStore, key: str, spool: Spool, *, read_only: bool = False) -> None:
        if next(calls) == 12:
            raise StoreError("The disk is full.")
        keep(self, key, spool, read_only=read_only)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "keep", full)
        with pytest.raises(StoreError, match="full"):
            forget(store, [item_id(1)])
    forget(store, [item_id(1)])
    assert places_of(store.root, title(1).encode()) == set()
    assert all(verify(store, name, deep=True).ok for name in NAMES)


# With a portal


def test_a_backup_that_is_taken_up_goes_on_without_the_item(store: LocalStore) -> None:
    """What was forgotten is fetched again only because the portal still has it; the note stays, and `exclude_ids`
    keeps the item out."""
    with Sandbox(town()) as sandbox:
        stopped = back_up(sandbox, store, stop_after=12)
        assert stopped.state == "stopped"
        first, second = sorted(each.item.id for each in read_outcomes(store, stopped.backup) if each.parts)[:2]
        forget(store, [first, second], reason="asked for")
        assert verify(store, stopped.backup, deep=True).ok
        run = back_up(sandbox, store, exclude_ids=[first])
    assert (run.backup, run.state) == (stopped.backup, "complete")
    found = {each.item.id: each for each in read_outcomes(store, run.backup)}
    assert (found[first].result, found[first].parts) == (ak.Result.EXCLUDED, ())
    assert found[second].how == "fetched"
    assert [note["item_id"] for note in store.summary(run.backup)["forgotten"]] == [first, second]
    assert ak.show_report(store, run.backup)
    assert verify(store, run.backup, deep=True).ok


# The command line


@pytest.fixture
def agolkit(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process: `(exit code, stdout, stderr)`."""

    def run(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, said.err

    return run


def test_the_command_shows_first_and_removes_with_yes(
    store: LocalStore, agolkit: Callable[..., tuple[int, str, str]]
) -> None:
    """Without --yes nothing changes; with it the item goes and the note has the reason; then there is no such item."""
    several(store)
    before = files_below(store.root)
    code, said, _ = agolkit("forget", store.root, "--item", item_id(1))
    assert code == 0
    assert title(1) in said
    assert "Nothing was removed. With --yes" in said
    assert files_below(store.root) == before
    code, said, _ = agolkit("forget", store.root, "--item", item_id(1), "--json")
    assert (code, len(json.loads(said))) == (0, 4)
    code, said, _ = agolkit("forget", store.root, "--item", item_id(1), "--reason", "asked for", "--yes")
    assert (code, "1 item removed from 4 backups" in said) == (0, True)
    assert store.summary(NAMES[0])["forgotten"][0]["reason"] == "asked for"
    code, _, said = agolkit("forget", store.root, "--item", item_id(1))
    assert (code, "was forgotten on" in said) == (10, True)
    code, said, _ = agolkit("forget", store.root, "--item", item_id(2), "--yes", "--json")
    assert (code, json.loads(said)["items"]) == (0, [item_id(2)])
    with store.lock("run-1", "ann"):
        assert agolkit("forget", store.root, "--item", item_id(3), "--yes")[0] == 11
