"""A run that is killed at any moment: the store stays whole, and the runs that follow end as if nothing had been."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from interrupted import town
from killed import Ended, kill_again_and_again, knows_processes, run

import agolkit as ak
from agolkit.sandbox import Sandbox, Settings
from agolkit.store import Store

STORES, KILLS = 5, 6


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(town(), Settings(latency=0.005, export_seconds=0.1)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def undisturbed(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Ended]:
    """A store with a backup that nobody disturbed, and what that backup took."""
    place = tmp_path_factory.mktemp("undisturbed") / "store"
    alone = run(sandbox, place)
    return ak.open_store(place), alone


@knows_processes
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(STORES))
def test_killed_runs_end_as_an_undisturbed_one(
    sandbox: Sandbox, undisturbed: tuple[Store, Ended], tmp_path: Path, seed: int
) -> None:
    """After each kill the store is whole; each run fetches only what is missing; the end is the same, and clean."""
    figures = kill_again_and_again(sandbox, tmp_path / "store", *undisturbed, seed, KILLS)
    assert figures.kills == KILLS
