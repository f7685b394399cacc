"""Old backups go as planned, all that must stay stays, and what is left is whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pandas
import pytest
from dated import FIRST, begin, save
from hand_built import small_organization
from portals import connect
from saved import files_below

import agolkit as ak
from agolkit.errors import StoreBusy, StoreDamaged, StoreError, UsageError
from agolkit.resume import find_interrupted
from agolkit.sandbox import Sandbox
from agolkit.store import LocalStore
from agolkit.store.removal import begin_removal

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


def five_days(store: LocalStore, **begun: object) -> list[str]:
    """Five nights; `a` never changes, `b` changes each night, `c` was there on the second night alone."""
    maps = [{"a": "same", "b": f"night {day}"} | ({"c": "once"} if day == 1 else {}) for day in range(5)]
    return [save(store, day, maps[day], **begun) for day in range(5)]


def blobs(store: LocalStore) -> int:
    return len([path for path in (store.root / "blobs").rglob("*") if path.is_file()])


def whole(store: LocalStore) -> bool:
    """Every backup of the store is unharmed to the last byte."""
    return not any(ak.verify(store, name, deep=True).damages for name in store.backup_names())


def test_the_plan_says_what_goes_and_why_the_rest_stays(store: LocalStore) -> None:
    """One row a backup, oldest first, with reasons; planning changes nothing."""
    names = five_days(store)
    before = files_below(store.root)
    plan = ak.plan_prune(store, ak.Keep(last=2))
    assert files_below(store.root) == before
    assert list(plan.columns) == [
        "name", "scope", "state", "label", "started", "keep", "reasons", "drop_tree", "freed_bytes"
    ]  # fmt: skip
    assert list(plan["name"]) == names
    assert list(plan["keep"]) == [False, False, False, True, True]
    assert plan["reasons"][0] == []
    assert plan["reasons"][3] == ["one of the last 2"]
    assert plan["reasons"][4] == [
        "newest complete backup of the scope 'default'",
        "one of the last 2",
        "holds the last verified copy of 2 items still in the organization",
    ]
    once = len('"once"') + len(json.dumps({"id": "c" * 32}))
    night = len('"night 0"')
    assert list(plan["freed_bytes"]) == [night, night + once, night, 0, 0]
    assert plan["started"][0] == pandas.Timestamp(FIRST)


def test_pruning_does_what_the_plan_says(store: LocalStore) -> None:
    """The planned backups and their blobs are gone, the others are whole, and a second plan is empty."""
    names = five_days(store)
    plan = ak.plan_prune(store, ak.Keep(last=2))
    held = blobs(store)
    done = ak.prune(store, plan)
    assert astuple(done) == (tuple(names[:3]), (), 5, int(plan["freed_bytes"].sum()), (), 0, 0, 0, ())
    assert str(done) == f"3 backups removed; 5 files that no other backup needs, {done.freed_bytes} B."
    assert store.names("backups") == store.backup_names() == names[3:]
    assert blobs(store) == held - 5
    assert whole(store)
    again = ak.plan_prune(store, ak.Keep(last=2))
    assert again["keep"].all()
    assert astuple(ak.prune(store, again)) == ((), (), 0, 0, (), 0, 0, 0, ())


def test_one_scope_may_be_pruned_by_itself(store: LocalStore) -> None:
    """With a scope, its backups alone may go; one that nobody has is refused with those that there are."""
    names = five_days(store)
    other = [save(store, 10 + day, {"d": f"night {day}"}, scope="surveys") for day in range(3)]
    plan = ak.plan_prune(store, ak.Keep(last=1), scope="surveys")
    assert list(plan["name"][~plan["keep"]]) == other[:2]
    assert plan["reasons"][0] == ["of another scope"]
    ak.prune(store, plan)
    assert store.backup_names() == [*names, other[2]]
    with pytest.raises(UsageError, match="no backup of the scope 'survey'; it has 'default', 'surveys'"):
        ak.plan_prune(store, ak.Keep(last=1), scope="survey")


def test_the_last_verified_copy_of_a_failing_item_stays(store: LocalStore) -> None:
    """An item that fails since the second night holds the backup of the second night."""
    names = [save(store, day, {"a": "same", "b": "whole" if day < 2 else ""}) for day in range(6)]
    plan = ak.plan_prune(store, ak.Keep(last=1))
    assert list(plan["name"][plan["keep"]]) == [names[1], names[5]]
    assert plan["reasons"][1] == ["holds the last verified copy of 1 item still in the organization"]
    ak.prune(store, plan)
    assert whole(store)


def test_an_interrupted_backup_goes_once_a_complete_one_has_followed(store: LocalStore) -> None:
    """Killed and stopped runs stay until then, and while they may still be taken up."""
    killed = begin(store, 0, {"a": "old"}).name
    stopped = save(store, 1, {"a": "old"}, state="stopped")
    assert ak.plan_prune(store, ak.Keep(last=1))["keep"].all()
    complete = save(store, 2, {"a": "new"})
    young = (datetime.now(UTC) - FIRST - timedelta(hours=1)) / timedelta(days=1)
    fresh = begin(store, young, {"a": "newer"}).name  # type: ignore[arg-type]  # days may have a fraction
    plan = ak.plan_prune(store, ak.Keep(last=1))
    assert list(plan["name"][~plan["keep"]]) == [killed, stopped]
    assert plan["reasons"][3][0].startswith("unfinished, and may be taken up until ")
    ak.prune(store, plan)
    assert store.backup_names() == [complete, fresh]
    interrupted = find_interrupted(store, ak.BackupOptions(), datetime.now(UTC))
    assert interrupted is None, "it was begun without the options that decide what is saved"


def test_an_alarm_pins_until_it_is_ended(store: LocalStore) -> None:
    """What came before the alarm stays, a plan from before the alarm is refused, and `unpin` frees all."""
    names = five_days(store)
    early = ak.plan_prune(store, ak.Keep(last=1))
    shrunk = save(store, 5, {"a": "same"}, alarms=["Half is gone."])
    with pytest.raises(UsageError, match=f"The store has changed since the plan was made \\({shrunk}\\)"):
        ak.prune(store, early)
    save(store, 6, {"a": "same"})
    plan = ak.plan_prune(store, ak.Keep(last=1))
    assert plan["keep"].all()
    assert plan["reasons"][0] == [f"pinned by the alarm of {shrunk}"]
    assert [alarm.backup for alarm in ak.unpin(store)] == [shrunk]
    described = json.loads((SCHEMAS / "unpinned.json").read_text("utf-8"))
    jsonschema.validate(json.loads(store.read(shrunk, "unpinned.json")), described)
    plan = ak.plan_prune(store, ak.Keep(last=1))
    assert list(plan["name"][~plan["keep"]]) == [*names, shrunk]
    ak.prune(store, plan)
    assert whole(store)


def test_a_plan_that_does_not_fit_the_store_is_refused(store: LocalStore) -> None:
    """A backup that is new, gone or another one by now; a plan that was edited to remove what must stay."""
    five_days(store)
    plan = ak.plan_prune(store, ak.Keep(last=2))
    with pytest.raises(UsageError, match="The store has changed since the plan was made"):
        ak.prune(store, plan.drop(index=0))
    with pytest.raises(UsageError, match="The store has changed since the plan was made"):
        ak.prune(store, plan.replace({"state": "complete"}, "unfinished"))
    with pytest.raises(UsageError, match="must stay: newest complete backup of the scope 'default'"):
        ak.prune(store, plan.assign(keep=False))
    assert len(store.backup_names()) == 5
    ak.prune(store, plan.sample(frac=1, random_state=1))
    with pytest.raises(UsageError, match="The store has changed since the plan was made"):
        ak.prune(store, plan)


def test_a_run_under_way_is_never_met(store: LocalStore) -> None:
    """While a run holds the store nothing is removed."""
    five_days(store)
    plan = ak.plan_prune(store, ak.Keep(last=1))
    with store.lock("run-1", "ann"), pytest.raises(StoreBusy):
        ak.prune(store, plan)
    assert len(store.backup_names()) == 5


def test_a_damaged_backup_stops_it_before_anything_is_gone(store: LocalStore) -> None:
    """Nobody knows what a backup without a manifest needs: it stays, and so does everything else."""
    names = five_days(store)
    store.remove(f"backups/{names[0]}/manifest.jsonl.gz")
    plan = ak.plan_prune(store, ak.Keep(last=1))
    assert plan["reasons"][0][0].startswith("cannot be read, so nobody knows what it holds: ")
    assert list(plan["keep"]) == [True, False, False, False, True]
    with pytest.raises(StoreDamaged, match="has no manifest"):
        ak.prune(store, plan)
    assert store.backup_names() == names


class LateStore(LocalStore):
    """A store on a file server whose clock is an hour late."""

    def now(self) -> datetime:
        return super().now() - timedelta(hours=1)


class LatePortal(ak.Portal):
    """A portal whose clock is an hour late."""

    def clock(self) -> datetime:
        theirs = super().clock()
        assert theirs
        return theirs - timedelta(hours=1)


def test_a_wrong_clock_is_noticed(store: LocalStore, open_sandbox: Callable[..., Sandbox]) -> None:
    """Nothing is removed where this computer's clock contradicts the newest backup, the store's or the portal's."""
    five_days(store)
    plan = ak.plan_prune(store, ak.Keep(last=1))
    with pytest.raises(StoreError, match="but that of the store says"):
        ak.plan_prune(LateStore(store.root), ak.Keep(last=1))
    with pytest.raises(StoreError, match="but that of the store says"):
        ak.prune(LateStore(store.root), plan)
    portal = connect(open_sandbox(small_organization()))
    late = LatePortal.__new__(LatePortal)
    late.__dict__.update(portal.__dict__)
    with pytest.raises(StoreError, match="but that of the portal says"):
        ak.prune(store, plan, portal=late)
    tomorrow = (datetime.now(UTC) - FIRST) / timedelta(days=1) + 1
    save(store, tomorrow, {"a": "same"})  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="but the newest backup began at"):
        ak.plan_prune(store, ak.Keep(last=1))
    with pytest.raises(StoreError, match="but the newest backup began at"):
        ak.prune(store, plan)
    assert len(store.backup_names()) == 6
    store.clear(f"backups/{store.backup_names()[-1]}")
    assert len(ak.prune(store, plan, portal=portal).removed) == 4


@pytest.mark.parametrize("tree", ["auto", "copy"])
def test_trees_go_earlier_than_backups(store: LocalStore, tree: str, tmp_path: Path) -> None:
    """Beyond `tree_keep` the item folders are gone; the backup is whole, can be read and fetched, and says so."""
    names = five_days(store, tree=tree)
    plan = ak.plan_prune(store, ak.Keep(last=4, tree_keep=2))
    assert list(plan["drop_tree"]) == [False, True, True, False, False]
    done = ak.prune(store, plan)
    assert done.trees == (names[1], names[2])
    assert str(done).startswith("1 backup removed, and 2 trees; ")
    assert "Web Map" not in store.names(f"backups/{names[2]}")
    assert "Web Map" in store.names(f"backups/{names[3]}")
    assert [store.summary(name)["tree"] == "none" for name in names[1:]] == [True, True, False, False]
    assert whole(store)
    assert store.read(names[1], "report.html") == b"<p>fine</p>"
    ak.fetch(store, names[1], str(tmp_path / "out"))
    assert len(list((tmp_path / "out").rglob("data.json"))) == 3
    assert not ak.plan_prune(store, ak.Keep(last=4, tree_keep=2))["drop_tree"].any()


def test_a_half_removed_backup_is_none(store: LocalStore) -> None:
    """It is listed as removed and nothing else takes it for a backup; the next `prune`, or `forget`, finishes it."""
    names = five_days(store)
    for name in names[1:]:
        begin_removal(store, name)
    described = json.loads((SCHEMAS / "backup.json").read_text("utf-8"))
    jsonschema.validate(json.loads(store.read(names[4], "backup.json")), described)
    assert list(store.backups()["state"]) == ["complete", *["removed"] * 4]
    assert store.resolve("latest") == names[0]
    assert len(ak.load_items(store, names[4])) == 0
    assert find_interrupted(store, ak.BackupOptions(), FIRST + timedelta(days=4, hours=1)) is None
    assert whole(store)
    (store.root / "backups" / "2025-02-01T020000Z" / "journal").mkdir(parents=True)
    plan = ak.plan_prune(store, ak.Keep(last=1))
    assert list(plan["name"]) == names[:1]
    assert ak.prune(store, plan).blobs == 6
    assert store.names("backups") == names[:1]
    save(store, 7, {"a": "same", "z": "personal"})
    begin_removal(store, save(store, 8, {"a": "same", "z": "personal"}))
    ak.forget(store, ["z" * 32])
    assert len(store.names("backups")) == 2
