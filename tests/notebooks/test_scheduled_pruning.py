"""The scheduled run that removes older backups after its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import agolkit as ak
from agolkit import schedule
from agolkit.errors import UsageError
from agolkit.sandbox import Sandbox

MAPS = {"store": "store", "types": ["Web Map"], "scope_name": "maps"}


def scheduled(**parameters: Any) -> tuple[schedule.ScheduledRun, list[str]]:
    """A run with these parameters, and what it said."""
    said: list[str] = []
    return schedule.run({**MAPS, **parameters}, say=said.append), said


def save(count: int, scope: str) -> list[str]:
    store, portal = ak.open_store("store"), ak.connect()
    return [
        ak.backup(portal, store, ak.BackupOptions(types=["Web Map"], scope_name=scope)).backup for _ in range(count)
    ]


@pytest.mark.slow
def test_older_backups_go_after_a_complete_run(signed_in: Sandbox) -> None:  # noqa: ARG001
    """Only those of its own scope; the summary has the numbers, the log a sentence."""
    others, old = save(2, "others"), save(2, "maps")
    done, said = scheduled(prune={"last": 1})
    name = done.summary["backup"]
    assert ak.open_store("store").backup_names() == [*others, name]
    assert done.summary["pruned"]["removed"] == tuple(old)
    assert said[-1].startswith("2 backups removed; ")
    assert done.exit_code == 0


@pytest.mark.slow
def test_trouble_with_older_backups_does_not_undo_the_run(signed_in: Sandbox) -> None:  # noqa: ARG001
    """A damaged old backup is said, and is the exit code; the new backup is as good as ever."""
    (old,) = save(1, "maps")
    Path("store", "backups", old, "manifest.jsonl.gz").unlink()
    done, said = scheduled(prune={"last": 1})
    assert said[-1].startswith(f"No older backup was removed, or not all: The backup {old} in ")
    assert (done.exit_code, done.summary["state"]) == (4, "complete")
    assert ak.verify(ak.open_store("store"), str(done.summary["backup"]), deep=True).ok
    assert Path(done.notebook).is_file()


def test_wrong_rules_are_refused_before_anything_starts(tmp_path: Path) -> None:
    """A run whose rules nobody can follow makes no backup."""
    store = str(tmp_path / "store")
    with pytest.raises(UsageError, match=r"There is no rule 'dayly'\. Did you mean 'daily'"):
        schedule.run({"store": store, "prune": {"dayly": 3}})
    with pytest.raises(UsageError, match="Say what to keep"):
        schedule.run({"store": store, "prune": {}})
    assert list(tmp_path.iterdir()) == []
