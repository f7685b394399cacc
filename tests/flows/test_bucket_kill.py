"""Runs on a bucket that are killed at any request to it, before it arrives or after it was done."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from buckets import new_bucket, sign_in
from dated import save
from forwarder import LOSE_ANSWER, LOSE_REQUEST, Forwarder, Request, forwarding, no_fault
from interrupted import content, town
from killed import finished, knows_processes, processes, run, without_how

import agolkit as ak
from agolkit.sandbox import Sandbox, Settings

KILLS = 8


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(town(12), Settings(latency=0.002, export_seconds=0.1)) as sandbox:
        yield sandbox


@pytest.fixture
def way(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forwarder]:
    with forwarding(moto) as way:
        sign_in(way.url, monkeypatch)
        yield way


class Killer:
    """Counts the requests of a run, and kills its process at the one of this number."""

    def __init__(self, way: Forwarder, number: int = 0, fault: int = LOSE_REQUEST) -> None:
        self.seen = 0
        self._way = way
        self._number = number
        self._fault = fault
        way.fault = self._watch

    def started(self, kill: Callable[[], None]) -> None:
        self._way.lost = kill

    def _watch(self, _: Request) -> int | None:
        self.seen += 1
        return self._fault if self.seen == self._number else None


@knows_processes
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_runs_that_are_killed_at_a_request_to_the_bucket_end_as_an_undisturbed_one(
    sandbox: Sandbox, way: Forwarder, seed: int
) -> None:
    """After each kill every backup is sound; nothing proven is fetched again; the end is the same."""
    here = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    undisturbed, place = f"s3://{new_bucket()}/x", f"s3://{new_bucket()}/y"
    counter = Killer(way)
    run(sandbox, undisturbed, environment=here)
    chance = random.Random(seed)
    for _ in range(KILLS):
        way.fault = no_fault
        done = finished(place)
        killer = Killer(way, chance.randint(1, counter.seen), chance.choice([LOSE_REQUEST, LOSE_ANSWER]))
        ended = run(sandbox, place, environment=here, started=killer.started)
        assert not ended.fetched & done
    way.fault = no_fault
    run(sandbox, place, environment=here)
    store = ak.open_store(place)
    assert {facts["state"] for facts in map(store.summary, store.backup_names()) if "scope" in facts} == {"complete"}
    assert without_how(content(store)) == without_how(content(ak.open_store(undisturbed)))
    assert ak.verify(store, deep=True).ok
    assert not sandbox.org.recycle_bin


def copy(source: str, target: str, environment: Mapping[str, str]) -> None:
    """A whole copy; the process may be killed at any moment."""
    os.environ.update(environment)
    ak.copy(ak.open_store(source), ak.open_store(target))


@knows_processes
@pytest.mark.slow
@pytest.mark.parametrize("fault", [LOSE_REQUEST, LOSE_ANSWER])
def test_a_copy_that_is_killed_at_a_request_to_the_bucket_is_gone_on_with(
    way: Forwarder, tmp_path: Path, fault: int
) -> None:
    """Whatever is complete in the copy after a kill is sound, and the next copy ends it."""
    here = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    source, target = ak.open_store(tmp_path / "store"), f"s3://{new_bucket()}/copy"
    for day in range(3):
        save(source, day, {"a": "same", "b": f"night {day}"}, tree="auto")
    for number in (*range(3, 60, 6), 0):
        killer = Killer(way, number, fault)
        process = processes.Process(target=copy, args=(str(source.location), target, here))
        process.start()
        killer.started(process.kill)
        process.join()
        way.fault = no_fault
        copied = ak.open_store(target)
        for name in copied.backup_names():
            if copied.summary(name)["state"] == "complete":
                assert ak.verify(copied, name, deep=True).ok
    assert process.exitcode == 0
    assert copied.backup_names() == source.backup_names()
    assert sorted(copied.blobs()) == sorted(source.blobs())
