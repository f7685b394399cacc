"""`agolkit prune` and `agolkit unpin`: the plan first, and nothing without `--yes`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from dated import save

from agolkit.cli import main
from agolkit.store import LocalStore

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def agolkit(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: its exit code, and all that it says."""

    def run(*args: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out + said.err

    return run


def nights(store: LocalStore, count: int, **told: Any) -> list[str]:
    return [save(store, day, {"a": f"night {day}"}, **told) for day in range(count)]


def test_the_plan_is_shown_and_nothing_done(store: LocalStore, agolkit: Run) -> None:
    """Each backup with what becomes of it and why, then what would be gained; the store stays as it is."""
    names = nights(store, 4)
    code, said = agolkit("prune", store.root, "--keep-daily", 2, "--tree-keep", 1)
    lines = said.splitlines()
    assert code == 0
    assert [line.split()[:4] for line in lines[1:5]] == [
        [names[0], "default", "complete", "remove"],
        [names[1], "default", "complete", "remove"],
        [names[2], "default", "complete", "keep"],
        [names[3], "default", "complete", "keep"],
    ]
    assert "daily 2025-01-03" in lines[3]
    assert lines[-1] == "2 backups would go: 18 B that no other backup needs. Nothing is removed yet; --yes does it."
    assert store.backup_names() == names


def test_with_yes_it_is_done(store: LocalStore, agolkit: Run) -> None:
    """What was planned is removed, and said in numbers."""
    names = nights(store, 4)
    code, said = agolkit("prune", store.root, "--keep-last", 1, "--yes")
    assert code == 0
    assert said.splitlines()[-1] == "3 backups removed; 3 files that no other backup needs, 27 B."
    assert store.backup_names() == names[3:]


def test_machines_get_the_plan_and_what_was_done(store: LocalStore, agolkit: Run) -> None:
    """With `--json` the whole plan, and the removal where there was one."""
    names = nights(store, 2)
    told = json.loads(agolkit("prune", store.root, "--keep-last", 1, "--json")[1])
    assert told["done"] is None
    assert [(row["name"], row["keep"], row["reasons"][:0]) for row in told["plan"]] == [
        (names[0], False, []), (names[1], True, [])
    ]  # fmt: skip
    told = json.loads(agolkit("prune", store.root, "--keep-last", 1, "--json", "--yes")[1])
    done = {"removed": names[:1], "trees": [], "blobs": 1, "freed_bytes": 9, "zips": [], "zip_bytes": 0}
    assert told["done"] == {**done, "moved": 0, "moved_bytes": 0, "moved_zips": []}


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (["--keep-last", 2], 2),
        (["--keep-hourly", 3], 3),
        (["--keep-daily", 2], 2),
        (["--keep-weekly", 1], 1),
        (["--keep-monthly", 1], 1),
        (["--keep-yearly", 1], 1),
        (["--keep-within", "2d"], 3),
        (["--keep-label", "keep me", "--keep-label", "me too"], 4),
        (["--tree-keep", 2], 5),
    ],
)
def test_every_rule_is_an_option(store: LocalStore, agolkit: Run, rule: list[object], left: int) -> None:
    """Each rule of `Keep` can be given, and does what its name says."""
    for day, label in enumerate(["keep me", "", "me too", "keep me", "nightly"]):
        save(store, day, {"a": "same"}, label=label)
    code, said = agolkit("prune", store.root, *rule, "--yes")
    assert (code, len(store.backup_names())) == (0, left), said


def test_without_a_rule_it_is_refused(store: LocalStore, agolkit: Run) -> None:
    """Nobody removes everything by leaving something out; what is wrong ends with 2, a missing store with 10."""
    nights(store, 2)
    assert agolkit("prune", store.root, "--yes") == (
        2,
        "agolkit: Say what to keep, such as the last 7 or one of each of the last 14 days.\n",
    )
    assert agolkit("prune", store.root, "--keep-last", -1, "--yes")[0] == 2
    assert agolkit("prune", store.root, "--keep-last", 1, "--scope", "none")[0] == 2
    assert agolkit("prune", store.root / "elsewhere", "--keep-last", 1)[0] == 10
    assert len(store.backup_names()) == 2


def test_an_alarm_is_shown_and_ended(store: LocalStore, agolkit: Run) -> None:
    """`unpin` says which alarms stand and why; with `--yes` they are ended, and pruning goes on."""
    nights(store, 3)
    assert agolkit("unpin", store.root) == (0, f"No alarm stands in the store {store.root}.\n")
    name = save(store, 5, {"a": "new"}, alarms=["Half is gone."])
    shown = f"{name}, scope 'default':\n  Half is gone.\n"
    assert agolkit("unpin", store.root) == (0, f"{shown}If the change was meant, end the alarm with --yes.\n")
    assert json.loads(agolkit("unpin", store.root, "--json")[1]) == {
        "alarms": [{"backup": name, "scope": "default", "sentences": ["Half is gone."]}],
        "ended": False,
    }
    agolkit("prune", store.root, "--keep-last", 1, "--yes")
    assert len(store.backup_names()) == 4
    assert agolkit("unpin", store.root, name, "--yes") == (0, f"{shown}The alarm is ended.\n")
    agolkit("prune", store.root, "--keep-last", 1, "--yes")
    assert store.backup_names() == [name]
