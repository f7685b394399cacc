"""A run that is killed at any moment: the store stays whole, and the runs that follow end as if nothing had been."""

from __future__ import annotations

import copy
import multiprocessing
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from interrupted import back_up, child, content, fetched, town, tree, verified

import agolkit as ak
from agolkit.sandbox import Sandbox, Settings
from agolkit.store import Lease, Store

STORES, KILLS = 5, 6
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["agolkit.backup", "arcgis.gis", "interrupted"])


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(town(), Settings(latency=0.005, export_seconds=0.1)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def undisturbed(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = ak.open_store(tmp_path_factory.mktemp("undisturbed") / "store")
    back_up(sandbox, store)
    return store


def run_until(sandbox: Sandbox, place: Path, requests: int, seconds: float) -> bool:
    """Begin a backup, and kill it some time after so many requests; whether it was killed before it ended."""
    sandbox.log.clear()
    account = sandbox.url, sandbox.username, sandbox.password, str(sandbox.ca_bundle)
    process = processes.Process(target=child, args=(*account, str(place)))
    process.start()
    while process.is_alive() and len(sandbox.log.entries) < requests:
        process.join(0.002)
    process.join(seconds)
    process.kill()
    process.join()
    if process.exitcode != 0:
        assert process.exitcode == -9
    return process.exitcode != 0


def release(place: Path) -> None:
    """Let the next run in, as ten minutes would: nobody renews the lease of a killed one, nor ends what it began."""
    for claim in place.glob("*.next"):
        claim.unlink()
    with Lease(ak.open_store(place), "nobody", "the test", stale_after=0):
        pass


def finished(place: Path) -> set[str]:
    """The items that the next run need not fetch: proven by the newest backup, unless that one is complete."""
    done: set[str] = set()
    store = ak.open_store(place)
    for name in store.backup_names():
        report = ak.verify(store, name, deep=True)
        # Between its last file and backup.json a run leaves what looks as if somebody had removed that.
        assert all(damage.path == "backup.json" and "was killed" in damage.what for damage in report.damages), report
        facts = store.summary(name)
        if "scope" in facts:  # a run may be killed when its folder has a name and nothing else
            done = verified(store, name) if facts["state"] == "unfinished" else set()
    return done


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(STORES))
def test_killed_runs_end_as_an_undisturbed_one(sandbox: Sandbox, undisturbed: Store, tmp_path: Path, seed: int) -> None:
    """After each kill the store is whole; each run fetches only what is missing; the end is the same, and clean."""
    chance = random.Random(seed)
    place = tmp_path / "store"
    held = copy.deepcopy(sandbox.org.items)
    back_up(sandbox, ak.open_store(tmp_path / "measure"))
    whole = len(sandbox.log.entries)
    killed = 0
    while killed < KILLS:
        done = finished(place)
        missing = len(held) - len(done)
        requests = chance.randrange(whole * (missing + 2) // (len(held) + 2))
        killed += run_until(sandbox, place, requests, chance.random() * 0.05)
        assert not fetched(sandbox) & done
        release(place)
    store, done = ak.open_store(place), finished(place)
    back_up(sandbox, store)
    assert not fetched(sandbox) & done
    assert {facts["state"] for facts in map(store.summary, store.backup_names()) if "scope" in facts} == {"complete"}
    assert content(store) == content(undisturbed)
    assert tree(store, store.resolve("latest")) == tree(undisturbed, undisturbed.resolve("latest"))
    assert ak.verify(store, deep=True).ok
    assert sandbox.org.items == held
    assert not sandbox.org.recycle_bin
