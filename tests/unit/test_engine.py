"""The engine: bounded, watched, stoppable, on any executor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from agolkit.engine import Finished, run_jobs
from agolkit.errors import AgolkitError, Stopped
from agolkit.progress import TimedOut, beat, pause


class AtOnce(Executor):
    """Runs each job in the caller's thread, as a third executor that nobody here had in mind."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


def square(number: int) -> int:
    beat()
    if number == 3:
        raise AgolkitError("three is refused")
    return number * number


@pytest.fixture(params=["threads", "processes", "at once"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "threads":
        made: Executor = ThreadPoolExecutor(4)
    elif request.param == "processes":
        made = ProcessPoolExecutor(2, mp_context=get_context("spawn"))
    else:
        made = AtOnce()
    with made:
        yield made


def outcomes(
    jobs: list[int], work: Callable[[int], int], executor: Executor, **settings: Any
) -> list[Finished[int, int]]:
    usual: dict[str, Any] = {"limit": 4, "idle_timeout": 60, "cancel": threading.Event()}
    return list(run_jobs(jobs, work, executor=executor, **{**usual, **settings}))


def test_every_job_is_finished_exactly_once_on_any_executor(executor: Executor) -> None:
    """Each job comes back once, with its value, or with its own error, and a failing job ends nothing."""
    found = {finished.job: finished for finished in outcomes(list(range(10)), square, executor)}
    assert sorted(found) == list(range(10))
    assert {job: finished.value for job, finished in found.items() if job != 3} == {
        n: n * n for n in range(10) if n != 3
    }
    assert str(found[3].error) == "three is refused"


def test_no_more_jobs_are_in_work_than_the_limit() -> None:
    """The engine keeps to its limit even where the executor is wider."""
    lock, now, most = threading.Lock(), [0], [0]

    def work(number: int) -> int:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        pause(0.01)
        with lock:
            now[0] -= 1
        return number

    with ThreadPoolExecutor(16) as executor:
        assert len(outcomes(list(range(40)), work, executor, limit=3)) == 40
    assert most[0] == 3


def test_a_job_without_progress_is_given_up_and_the_others_finish() -> None:
    """A hung job is timed out by the clock of its beats; its thread ends at its next beat."""
    ended: list[str] = []
    hung = threading.Event()
    now = [0.0]

    def work(number: int) -> int:
        if number == 0:
            hung.wait(30)
            try:
                beat()
            except TimedOut:
                ended.append("the hung job")
                raise
        else:
            now[0] += 100
        return number

    with ThreadPoolExecutor(4) as executor:
        found = {each.job: each for each in outcomes([0, 1, 2], work, executor, idle_timeout=150, clock=lambda: now[0])}
        hung.set()
    assert isinstance(found[0].error, TimedOut)
    assert (found[1].value, found[2].value) == (1, 2)
    assert ended == ["the hung job"]


def test_a_stop_begins_nothing_new_and_ends_what_waits() -> None:
    """After a cancel the jobs in work end at their next pause, and the others are never begun."""
    cancel, begun = threading.Event(), []

    def work(number: int) -> int:
        begun.append(number)
        cancel.set()
        pause(30)
        return number

    with ThreadPoolExecutor(2) as executor:
        found = outcomes(list(range(50)), work, executor, limit=2, cancel=cancel)
    assert sorted(each.job for each in found) == list(range(50))
    assert all(isinstance(each.error, Stopped) for each in found)
    assert len(begun) <= 2


def test_a_job_that_ignores_the_stop_is_left_behind_after_the_grace() -> None:
    """The run ends although a job does not, once its five seconds are over."""
    cancel, release = threading.Event(), threading.Event()
    now = [0.0]

    def clock() -> float:
        now[0] += 1
        return now[0]

    def work(number: int) -> int:
        cancel.set()
        release.wait(30)
        return number

    with ThreadPoolExecutor(1) as executor:
        found = outcomes([7], work, executor, cancel=cancel, clock=clock, idle_timeout=10_000)
        release.set()
    assert isinstance(found[0].error, Stopped)


def test_a_lane_is_limited_without_holding_up_the_others() -> None:
    """Jobs of a full lane wait; jobs of other lanes go past them."""
    lock, now, most, order = threading.Lock(), [0], [0], []

    def work(number: int) -> int:
        if number < 0:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            pause(0.05)
            with lock:
                now[0] -= 1
        order.append(number)
        return number

    jobs = [-1, -2, -3, -4, -5, *range(20)]
    with ThreadPoolExecutor(8) as executor:
        found = outcomes(jobs, work, executor, limit=4, lane=lambda job: "slow" if job < 0 else "", lanes={"slow": 2})
    assert sorted(each.job for each in found) == sorted(jobs)
    assert most[0] == 2
    assert order.index(-5) > order.index(10)
