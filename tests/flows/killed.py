"""Backups in processes of their own that are killed, and what must hold after each kill and at the end."""

from __future__ import annotations

import copy
import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import pytest
from interrupted import content, fetched, tree, verified

import agolkit as ak
from agolkit import journal
from agolkit.kinds.feature_service import bookmark, stretches
from agolkit.sandbox import Sandbox
from agolkit.store import Store
from agolkit.store.holder import process_space

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["agolkit.backup", "arcgis.gis", "killed"])

knows_processes = pytest.mark.skipif(not process_space(), reason="only Linux says at once that a process has ended")

TOUCHES = {"open", "os.link", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.chmod"}
"""What Python says of a program's dealings with files, before they happen."""
OPTIONS = {"workers": 4, "exports": 2}


@dataclass(frozen=True)
class Moment:
    """When a run is killed: by us after so many requests and seconds, or by itself at a touch of the store."""

    requests: int = 0
    seconds: float = 0.0
    touch: int = 0

    def __str__(self) -> str:
        if self.touch:
            return f"at touch {self.touch}"
        return f"{self.seconds * 1000:.0f} ms after request {self.requests}"


@dataclass
class Ended:
    """A run in a process of its own that has ended."""

    was_killed: bool
    requests: int
    sent: int
    """Bytes that the portal has sent."""
    touches: int
    fetched: set[str] = field(default_factory=set)


@dataclass
class Figures:
    """What a row of killed runs cost, all together and undisturbed."""

    kills: int = 0
    runs: int = 0
    requests: int = 0
    sent: int = 0
    undisturbed: Ended | None = None

    def add(self, run: Ended) -> None:
        self.kills += run.was_killed
        self.runs += 1
        self.requests += run.requests
        self.sent += run.sent

    def __str__(self) -> str:
        alone = self.undisturbed
        assert alone
        return (
            f"{self.kills} kills in {self.runs} runs: {self.requests:,} requests, {self.sent:,} bytes; "
            f"one undisturbed run: {alone.requests:,} requests, {alone.sent:,} bytes, {alone.touches:,} touches"
        )


def child(
    url: str,
    username: str,
    password: str,
    ca_bundle: str,
    place: str,
    options: Mapping[str, Any],
    touches: Synchronized[int],
    last_touch: int,
    environment: Mapping[str, str],
) -> None:
    """A whole backup, and a notebook put beside it as a scheduled run does; the process may be killed at any moment.

    The journal is written every three items, and what is under way is noted at once: a run of thousands of items, or of
    many gigabytes, has as many segments.
    """
    os.environ.update(environment)
    journal.SEGMENT_ITEMS = 3
    bookmark.SEGMENT_SECONDS = 0.1
    stretches.LONG = 1

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if event in TOUCHES and any(str(arg).startswith(place) for arg in args[:2]):
            touches.value += 1
            if touches.value == last_touch:
                os.kill(os.getpid(), signal.SIGKILL)

    portal = ak.connect(url, username=username, password=password, ca_bundle=ca_bundle)
    sys.addaudithook(watch)
    store = ak.open_store(place)
    summary = ak.backup(portal, store, ak.BackupOptions.from_mapping(options))
    ak.open_store(place).put(f"backups/{summary.backup}/backup.ipynb", b'{"cells": []}' * 1000)


def run(
    sandbox: Sandbox,
    place: Path | str,
    moment: Moment | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    started: Callable[[Callable[[], None]], object] = lambda kill: kill,
) -> Ended:
    """A backup in a process of its own, killed at a moment; `None`: never, but by what `started` was given."""
    sandbox.log.clear()
    account = sandbox.url, sandbox.username, sandbox.password, str(sandbox.ca_bundle)
    touches = processes.Value("q", 0)
    last_touch = moment.touch if moment else 0
    given = str(place), options or OPTIONS, touches, last_touch, dict(environment or {})
    process = processes.Process(target=child, args=(*account, *given))
    process.start()
    started(process.kill)
    if moment and not moment.touch:
        while process.is_alive() and len(sandbox.log.entries) < moment.requests:
            process.join(0.002)
        process.join(moment.seconds)
        process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    entries = sandbox.log.entries
    return Ended(
        process.exitcode != 0, len(entries), sum(each.bytes_out for each in entries), touches.value, fetched(sandbox)
    )


def finished(place: Path | str) -> set[str]:
    """The items that the next run need not fetch: proven by the newest backup, unless that one is complete.

    Every backup is proven again first: a run may be killed when its folder has a name and nothing else, and between its
    last file and `backup.json`, but nothing that is there may be damaged.
    """
    done: set[str] = set()
    store = ak.open_store(place)
    for name in store.backup_names():
        report = ak.verify(store, name, deep=True)
        assert all(damage.path == "backup.json" and "was killed" in damage.what for damage in report.damages), report
        facts = store.summary(name)
        if "scope" in facts:
            done = verified(store, name) if facts["state"] == "unfinished" else set()
    return done


def without_how(items: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a backup, whether fetched or taken from the backup before: a run may end before it is killed."""
    return {item_id: {name: value for name, value in line.items() if name != "how"} for item_id, line in items.items()}


def kill_again_and_again(
    sandbox: Sandbox,
    place: Path,
    undisturbed: Store,
    alone: Ended,
    seed: int,
    kills: int,
    *,
    saved_anew: Set[str] = frozenset(),
    say: Callable[[str], object] = print,
) -> Figures:
    """Kill so many runs at random moments, let the last one end, and compare what comes of them all with `undisturbed`.

    Half of the moments are touches of the store, so that the short time in which a backup is described is not missed.
    Of the items in `saved_anew` the portal cannot say that they are unchanged.
    """
    chance = random.Random(seed)
    held = copy.deepcopy(sandbox.org.items)
    figures = Figures(undisturbed=alone)
    while True:
        done = finished(place) - saved_anew
        left = max(0.3, (len(held) - len(done)) / len(held))
        moment = Moment(int(chance.random() * alone.requests * left), chance.random() * 0.05)
        if chance.random() < 0.5:
            moment = Moment(touch=1 + int(chance.random() * alone.touches * left))
        is_last = figures.kills == kills
        ended = run(sandbox, place, None if is_last else moment)
        figures.add(ended)
        became = "killed" if ended.was_killed else "came to its end"
        say(f"seed {seed}, {len(done)} of {len(held)} finished, {'undisturbed' if is_last else moment}: {became}")
        assert not ended.fetched & done
        if is_last:
            break
    store = ak.open_store(place)
    assert {facts["state"] for facts in map(store.summary, store.backup_names()) if "scope" in facts} == {"complete"}
    assert without_how(content(store)) == without_how(content(undisturbed))
    assert tree(store, store.resolve("latest")) == tree(undisturbed, undisturbed.resolve("latest"))
    assert ak.verify(store, deep=True).ok
    assert sandbox.org.items == held
    assert not sandbox.org.recycle_bin
    return figures
