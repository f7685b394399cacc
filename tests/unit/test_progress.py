"""The sign of life of a job."""

from __future__ import annotations

import threading

import pytest

from agolkit.errors import Stopped
from agolkit.progress import Pulse, TimedOut, beat, note_attempt, pause, pulse_of_job


def test_without_a_job_nothing_happens() -> None:
    """Outside of a job, `beat`, `pause` and `note_attempt` do no harm."""
    beat()
    note_attempt(7)
    pause(0)


def test_a_beat_is_remembered() -> None:
    """The time of the last progress is the clock's at the last beat."""
    with pulse_of_job(Pulse(clock=lambda: 5.0)) as pulse:
        assert pulse.last is None
        beat()
    assert pulse.last == 5.0


def test_a_stopped_run_ends_at_the_next_beat() -> None:
    """When the user stops the run, the job in work ends with `Stopped`."""
    cancel = threading.Event()
    with pulse_of_job(Pulse(cancel=cancel)):
        beat()
        cancel.set()
        with pytest.raises(Stopped):
            beat()


def test_a_pause_ends_at_once_when_the_run_is_stopped() -> None:
    """Nobody waits for a wait: a long pause of a stopped run raises immediately."""
    cancel = threading.Event()
    cancel.set()
    with pulse_of_job(Pulse(cancel=cancel)), pytest.raises(Stopped):
        pause(3600)


def test_a_pause_is_not_progress() -> None:
    """Waiting does not count as a sign of life."""
    with pulse_of_job(Pulse()) as pulse:
        pause(0)
    assert pulse.last is None


def test_a_job_whose_time_is_up_ends() -> None:
    """A job that the engine has given up ends with `TimedOut` at its next beat, and is not tried again."""
    with pulse_of_job(Pulse()) as pulse:
        pulse.expired = True
        with pytest.raises(TimedOut) as caught:
            beat()
    assert not caught.value.transient


def test_jobs_in_threads_have_their_own_pulse() -> None:
    """What one job notes is not seen by another."""
    seen: list[int] = []

    def work(attempts: int) -> None:
        with pulse_of_job(Pulse()) as pulse:
            note_attempt(attempts)
            seen.append(pulse.attempts)

    threads = [threading.Thread(target=work, args=(number,)) for number in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [2, 3]
