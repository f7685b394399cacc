"""Pruning that is cut off at any step: nothing that stays is harmed, nothing half removed looks like a backup."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dated import begin, save

import agolkit as ak
from agolkit.store import Lease, LocalStore

STEPS = ("unlink", "rmdir", "replace")
"""Everything by which pruning changes a folder."""
KEEP = ak.Keep(last=1, tree_keep=0)


class PowerCut(BaseException):
    """Nothing catches it, as nothing survives a power cut."""


class Power:
    """Lets so many steps happen, and no more; counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lasts: float) -> None:
        self.steps = 0
        self.lasts = lasts
        for name in STEPS:
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            if self.steps >= self.lasts:
                raise PowerCut
            self.steps += 1
            return step(*args, **named)

        return counted


def made(folder: Path) -> LocalStore:
    """Two backups that may go, one killed and one complete, and two that stay, one of them without its tree."""
    store = LocalStore(folder)
    begin(store, 0, {"a": "same", "b": "killed"}, tree="auto")
    save(store, 1, {"a": "same", "b": "once"}, tree="auto")
    save(store, 2, {"a": "same", "c": "only here"}, tree="auto")
    save(store, 3, {"a": "same", "b": "now", "c": ""}, tree="auto")
    return store


def prune(store: LocalStore) -> None:
    ak.prune(store, ak.plan_prune(store, KEEP))


def left(store: LocalStore) -> set[str]:
    """Every file of the store but the lock."""
    paths = (path.relative_to(store.root).as_posix() for path in store.root.rglob("*"))
    return {path for path in paths if not path.startswith("lock")}


def gone(store: LocalStore, name: str) -> bool:
    """Whether an empty folder is all that is left of a backup."""
    return store.names(f"backups/{name}") == []


@pytest.mark.slow
def test_it_may_be_cut_off_at_any_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each number of steps what stays is whole, and pruning again ends as if nothing had been."""
    template = made(tmp_path / "template")
    names = template.backup_names()
    states = {name: template.summary(name)["state"] for name in names}
    undisturbed = LocalStore(tmp_path / "undisturbed")
    shutil.copytree(template.root, undisturbed.root)
    with monkeypatch.context() as patch:
        power = Power(patch, float("inf"))
        prune(undisturbed)
    expected = left(undisturbed)
    assert undisturbed.backup_names() == names[2:]
    assert power.steps > 50
    for lasts in range(power.steps):
        root = tmp_path / f"cut after {lasts}"
        shutil.copytree(template.root, root)
        with monkeypatch.context() as patch:
            Power(patch, lasts)
            with pytest.raises(PowerCut):
                prune(LocalStore(root))
        store = LocalStore(root)
        for claim in root.rglob("*.next"):  # it ends by itself after ten minutes, as the lease does
            claim.unlink()
        with Lease(store, "nobody", "the test", stale_after=0):
            pass
        assert store.resolve("latest") == names[3]
        assert set(names[2:]) <= set(store.backup_names())
        for name in store.backup_names():
            assert ak.verify(store, name, deep=True).damages == (), f"{name}, cut after {lasts} steps"
            assert name in names[2:] or store.summary(name)["state"] in (states[name], "removed") or gone(store, name)
        prune(store)
        assert left(store) == expected, f"cut after {lasts} steps"
        shutil.rmtree(root)
