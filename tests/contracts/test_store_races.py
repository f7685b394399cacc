"""Many processes that change one key of a store at the same time, and are killed while they do."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from agolkit.store import open_store
from agolkit.store.holder import process_space

WRITERS, KILLS = 6, 30
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["agolkit.store"])


def write_lines(place: str, name: str, last_touch: int) -> None:
    """Add lines to one key for ever, noting each that was added; the process kills itself at a touch of the store."""
    store = open_store(f"{place}/store")
    touches = 0

    def watch(event: str, args: tuple[Any, ...]) -> None:
        nonlocal touches
        if event in ("open", "os.rename", "os.remove") and "store" in str(args[0]):
            touches += 1
            if touches == last_touch:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    with Path(place, name).open("w", buffering=1) as noted:
        for number in range(1_000_000):
            before = store.find("lock")
            line = f"{name}-{number}\n"
            if store.swap("lock", before, (before or b"") + line.encode()):
                noted.write(line)


@pytest.mark.slow
@pytest.mark.skipif(not process_space(), reason="elsewhere a claim of a killed process ends after ten minutes")
def test_no_line_is_lost_however_many_writers_are_killed(tmp_path: Path) -> None:
    """Six processes write and are killed at any moment, others take their places: each success is there in the end."""
    chance = random.Random(4)
    running: list[Any] = []
    for number in range(KILLS):
        writer = processes.Process(target=write_lines, args=(str(tmp_path), f"w{number}", chance.randrange(20, 300)))
        writer.start()
        running.append(writer)
        if len(running) == WRITERS:
            running.pop(0).join()
    for writer in running:
        writer.join()
    written = open_store(tmp_path / "store").get("lock").decode().splitlines()
    noted = [line for path in tmp_path.glob("w*") for line in path.read_text().splitlines()]
    assert len(noted) > KILLS
    assert len(set(written)) == len(written)
    assert set(noted) <= set(written)
    assert len(written) <= len(noted) + KILLS
