"""What becomes of zips: rules of their own, and the end of those that hold what is to be forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dated import save
from kept import item_id
from kept import save as save_kept

import agolkit as ak
from agolkit.cli import main
from agolkit.errors import NoSuchBackup, StoreError, UsageError
from agolkit.forget import forget, plan_forget
from agolkit.pruning import Pruned
from agolkit.store import LocalStore
from agolkit.zips import publish_zip, read_zips


def nights(store: LocalStore, days: int, *, scope: str = "default", first: int = 0) -> list[str]:
    """The names of the backups of so many nights, each published."""
    names = [save(store, day, {"a": "same", "b": f"{scope} {day}"}, scope=scope) for day in range(first, first + days)]
    for name in names:
        publish_zip(store, name)
    return names


def zipped(store: LocalStore) -> list[str]:
    """The backups that have a zip."""
    return [each.backup for each in read_zips(store)]


def do(store: LocalStore, **rules: object) -> Pruned:
    return ak.prune(store, ak.plan_prune(store, ak.Keep(**rules)))  # type: ignore[arg-type]


# Rules


def test_without_a_rule_for_zips_none_is_touched(store: LocalStore) -> None:
    """Zips outlive their backups, and a plan does not speak of them."""
    names = nights(store, 4)
    plan = ak.plan_prune(store, ak.Keep(last=1))
    assert set(plan["state"]) == {"complete"}
    ak.prune(store, plan)
    assert store.backup_names() == names[-1:]
    assert zipped(store) == names
    assert len(store.names("zips")) == 4


def test_zips_and_backups_have_rules_of_their_own(store: LocalStore) -> None:
    """The managed service's: backups of some days, zips of many; each row of the plan says why."""
    names = nights(store, 6)
    sizes = {each.backup: each.bytes for each in read_zips(store)}
    plan = ak.plan_prune(store, ak.Keep(within="1d", zips_within="3d"))
    rows = plan[plan["state"] == "zip"]
    assert list(rows["name"]) == [f"smallville_{name}.zip" for name in names]
    assert list(rows["keep"]) == [False, False, True, True, True, True]
    assert list(rows["reasons"])[-2:] == [["recent"], ["newest zip of the scope 'default'", "recent"]]
    assert list(rows["freed_bytes"]) == [sizes[names[0]], sizes[names[1]], 0, 0, 0, 0]
    done = ak.prune(store, plan)
    assert (store.backup_names(), zipped(store)) == (names[-2:], names[2:])
    assert store.names("zips") == [f"smallville_{name}.zip" for name in names[2:]]
    assert (done.zips, done.zip_bytes) == (tuple(rows["name"][:2]), sizes[names[0]] + sizes[names[1]])
    assert "2 zips removed" in str(done)


def test_a_rule_for_zips_alone_keeps_all_backups(store: LocalStore) -> None:
    """The newest N of each scope stay, also those whose backups are gone."""
    names = nights(store, 3)
    others = nights(store, 2, scope="surveys", first=10)
    do(store, last=1)
    do(store, zips_last=2)
    assert store.backup_names() == [names[-1], others[-1]]
    assert zipped(store) == [*names[1:], *others]
    do(store, zips_last=1)
    assert zipped(store) == [names[-1], others[-1]]


def test_only_zips_of_the_named_scope_go(store: LocalStore) -> None:
    """A schedule that prunes its own scope leaves the zips of the others."""
    names = nights(store, 2)
    others = nights(store, 2, scope="surveys", first=10)
    plan = ak.plan_prune(store, ak.Keep(zips_last=1), scope="surveys")
    ak.prune(store, plan)
    assert zipped(store) == [*names, others[-1]]


def test_an_alarm_pins_the_zips_before_it(store: LocalStore) -> None:
    """While nobody has said that it was meant, no zip of the scope goes, up to that of the alarm."""
    names = nights(store, 2)
    alarming = save(store, 2, {"a": "same"}, alarms=["Half of the items are gone."])
    later = nights(store, 2, first=3)
    do(store, zips_last=1)
    assert zipped(store) == [*names, later[-1]]
    ak.unpin(store, alarming)
    do(store, zips_last=1)
    assert zipped(store) == later[-1:]


def test_a_plan_that_does_not_fit_any_more_is_refused(store: LocalStore) -> None:
    """A zip that is gone, and one that must stay by now, end it before anything is removed."""
    names = nights(store, 3)
    plan = ak.plan_prune(store, ak.Keep(last=1, zips_last=1))
    store.remove(read_zips(store)[0].key)
    with pytest.raises(UsageError, match="is gone since the plan was made"):
        ak.prune(store, plan)
    for each in read_zips(store)[1:]:
        store.remove(each.key)
    with pytest.raises(UsageError, match="must stay: newest zip of the scope"):
        ak.prune(store, plan[~plan["name"].str.contains(names[0]) | (plan["state"] != "zip")])
    assert store.backup_names() == names


def test_a_file_that_is_not_listed_is_left_alone(store: LocalStore) -> None:
    """Nobody knows whose it is."""
    nights(store, 2)
    store.put("zips/holiday.zip", b"not ours")
    do(store, zips_last=1)
    assert len(store.names("zips")) == 2


def test_the_command_takes_the_rules(store: LocalStore, capsys: pytest.CaptureFixture[str]) -> None:
    """It counts backups and zips apart, and does both with `--yes`."""
    names = nights(store, 3)
    rules = ["--keep-last", "2", "--zips-within", "0h", "--zips-last", "1"]
    with pytest.raises(SystemExit):
        main(["prune", str(store.root), *rules])
    said = capsys.readouterr().out
    assert "1 backup would go: " in said
    assert "2 zips would go, " in said
    with pytest.raises(SystemExit):
        main(["prune", str(store.root), *rules, "--yes"])
    assert "2 zips removed" in capsys.readouterr().out
    assert zipped(store) == names[-1:]


# What is forgotten


def test_zips_with_a_forgotten_item_go(store: LocalStore) -> None:
    """Those of backups that are gone too; zips without the item stay, and a new one does not hold it."""
    with_item = [save_kept(store, day, {1: [f"one {day}"], 2: ["two"]}) for day in range(2)]
    without = save_kept(store, 2, {2: ["two"]})
    for name in (*with_item, without):
        publish_zip(store, name)
    ak.prune(store, ak.plan_prune(store, ak.Keep(last=1)).assign(keep=[False, True, True]))
    keys = [f"zips/smallville_{name}.zip" for name in with_item]
    sizes = [len(store.get(key)) for key in keys]
    plan = plan_forget(store, [item_id(1)])
    assert list(plan["backup"]) == [with_item[1], *keys]
    assert list(plan["bytes"][1:]) == sizes
    assert list(plan["parts"]) == [2, 2, 2]
    done = forget(store, [item_id(1)])
    assert (done.backups, done.zips, done.unread_zips) == ((with_item[1],), tuple(keys), ())
    assert all(key in str(done) for key in keys)
    assert zipped(store) == [without]
    again = publish_zip(store, with_item[1])
    assert list(plan_forget(store, [item_id(2)])["backup"])[-2:] == [again.key, f"zips/smallville_{without}.zip"]
    with pytest.raises(NoSuchBackup, match="was forgotten on"):
        plan_forget(store, [item_id(1)])


def test_an_item_that_only_a_zip_holds_is_forgotten(store: LocalStore) -> None:
    """Its backups are gone, and the zip alone has it."""
    old = save_kept(store, 0, {1: ["one"], 2: ["two"]})
    publish_zip(store, old)
    save_kept(store, 1, {2: ["two"]})
    ak.prune(store, ak.plan_prune(store, ak.Keep(last=1)).assign(keep=[False, True]))
    done = forget(store, [item_id(1)])
    assert (done.items, done.backups, done.zips) == ((item_id(1),), (), (f"zips/smallville_{old}.zip",))
    assert store.names("zips") == []


def test_zips_that_cannot_be_read_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One whose backup shows that it has the item goes; one of which nobody can say stays, and is named."""

    class Archived(LocalStore):
        def open(self, key: str) -> object:  # type: ignore[override]
            if key.startswith("zips/") and self.is_far:
                raise StoreError(f"{key} is in an archive.")
            return super().open(key)

        is_far = False

    store = Archived(tmp_path / "store")
    names = [save_kept(store, day, {1: [f"one {day}"], 2: ["two"]}) for day in range(2)]
    for name in names:
        publish_zip(store, name)
    ak.prune(store, ak.plan_prune(store, ak.Keep(last=1)).assign(keep=[False, True]))
    store.is_far = True
    gone, unread = (f"zips/smallville_{name}.zip" for name in reversed(names))
    plan = plan_forget(store, [item_id(1)])
    assert list(plan["backup"]) == [names[1], unread, gone]
    assert list(plan["item_id"]) == [item_id(1), "", item_id(1)]
    done = forget(store, [item_id(1)])
    assert (done.zips, done.unread_zips) == ((gone,), (unread,))
    assert f"may hold the item, and stay: {unread}" in str(done)
    store.put(unread, b"damaged")
    with pytest.raises(SystemExit):
        main(["forget", str(store.root), "--item", item_id(2)])
    assert f"may hold the item, and stay: {unread}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["forget", str(store.root), "--item", item_id(2), "--yes", "--json"])
    assert json.loads(capsys.readouterr().out)["unread_zips"] == [unread]
