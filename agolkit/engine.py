"""Runs jobs on any `concurrent.futures.Executor`: bounded, watched, stoppable. It knows nothing of ArcGIS.

A job that fails is an outcome like any other; it never ends the run. A job that makes no progress is given up, and the
run goes on without it: its thread cannot be killed, but its next `beat` or `pause` raises, and every request it can
hang in has a time-out of its own.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeVar

from agolkit.errors import Stopped
from agolkit.progress import Pulse, TimedOut, beat, pulse_of_job

J = TypeVar("J")
V = TypeVar("V")

LOOK_EVERY = 0.25
"""Seconds between two looks at the pulses and at `cancel`."""

GRACE = 5.0
"""Seconds that jobs in work get to end by themselves after a stop."""


@dataclass(frozen=True, slots=True)
class Finished(Generic[J, V]):
    """A job and what came of it: a value, or the error that ended it (`Stopped`, `TimedOut` or its own)."""

    job: J
    value: V | None = None
    error: BaseException | None = None


def run_jobs(
    jobs: Iterable[J],
    work: Callable[[J], V],
    *,
    executor: Executor,
    limit: int,
    lane: Callable[[J], str] = lambda _job: "",
    lanes: Mapping[str, int] = MappingProxyType({}),
    idle_timeout: float,
    cancel: threading.Event,
    meanwhile: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Finished[J, V]]:
    """Yield each job with its outcome as it finishes, every job exactly once.

    At most `limit` jobs are in work at once; the executor may be wider, so that a hung job does not hold up the next.
    Jobs of a `lane` named in `lanes` are limited further, without holding up those of other lanes.
    A job without a `beat` for `idle_timeout` seconds is given up. (Beats are not heard from other processes: there the
    time counts from the job's beginning.) Once `cancel` is set, no new job begins, those in work get five seconds, and
    the rest are yielded as `Stopped`. `meanwhile` is called a few times a second, for what must not wait for a job.
    """
    waiting = _Queue(jobs, lane, lanes)
    in_work: dict[Future[V], tuple[J, Pulse]] = {}
    stop_at: float | None = None
    while waiting or in_work:
        if cancel.is_set():
            stop_at = clock() + GRACE if stop_at is None else stop_at
            for job in waiting.emptied():
                yield Finished(job, error=Stopped("The run was stopped before this was reached."))
        while len(in_work) < limit and (found := waiting.next_beside(job for job, _ in in_work.values())):
            job = found[0]
            pulse = Pulse(cancel, clock)
            in_work[executor.submit(_work, work, job, pulse)] = job, pulse
        meanwhile()
        done, _ = wait(in_work, timeout=LOOK_EVERY, return_when=FIRST_COMPLETED)
        for future in done:
            job, _ = in_work.pop(future)
            error = future.exception()
            yield Finished(job, error=error) if error else Finished(job, value=future.result())
        for future in [future for future, (_, pulse) in in_work.items() if _overdue(future, pulse, idle_timeout)]:
            job, pulse = in_work.pop(future)
            pulse.expired = True
            yield Finished(job, error=TimedOut(f"No progress for {idle_timeout:,.0f} seconds; given up."))
        if stop_at is not None and clock() >= stop_at:
            for future, (job, _) in in_work.items():
                future.cancel()
                yield Finished(job, error=Stopped("The run was stopped while this was in work."))
            return


class _Queue(Generic[J]):
    """Jobs that have not begun, a line for each lane."""

    def __init__(self, jobs: Iterable[J], lane: Callable[[J], str], lanes: Mapping[str, int]) -> None:
        self._lane = lane
        self._limits = lanes
        self._lines: dict[str, deque[J]] = {}
        for job in jobs:
            self._lines.setdefault(lane(job), deque()).append(job)

    def __bool__(self) -> bool:
        return any(self._lines.values())

    def next_beside(self, in_work: Iterable[J]) -> tuple[J] | None:
        """The next job that may begin beside those in work; `None`: none may."""
        busy = Counter(map(self._lane, in_work))
        for name, line in self._lines.items():
            if line and busy[name] < self._limits.get(name, busy[name] + 1):
                return (line.popleft(),)
        return None

    def emptied(self) -> Iterator[J]:
        """Take out every job."""
        for line in self._lines.values():
            while line:
                yield line.popleft()


def _work(work: Callable[[J], V], job: J, pulse: Pulse) -> V:
    with pulse_of_job(pulse):
        beat()
        return work(job)


def _overdue(future: Future[V], pulse: Pulse, idle_timeout: float) -> bool:
    if pulse.last is None:
        if future.running():
            pulse.last = pulse.clock()
        return False
    return pulse.clock() - pulse.last > idle_timeout
