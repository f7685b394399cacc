"""The sign of life of a job, and what is said of a run."""

from __future__ import annotations

import threading

import pytest
from saved import MAP, STARTED

from agolkit.errors import Stopped
from agolkit.model import Blob, Outcome, Part, Reach, Result
from agolkit.progress import Event, Narrator, Pulse, TimedOut, beat, note_attempt, pause, pulse_of_job


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


def narrated(total: int, *, seconds: float, failing: bool = False) -> list[str]:
    """What is said of a run of so many items, one each so many seconds."""
    now = 0.0
    said: list[str] = []
    narrator = Narrator(said.append, clock=lambda: now)
    result = Result.FAILED if failing else Result.VERIFIED
    blob = Blob("0" * 64, 1_000_000)
    for number in range(1, total + 1):
        now += seconds
        outcome = Outcome(MAP, result, STARTED, parts=(Part("data", "d", blob, Reach.LENGTH),), message="why")
        narrator(Event("items", done=number, total=total, outcome=outcome))
    return said


def test_how_far_a_run_is_is_said_now_and_then() -> None:
    """A quick run says it every ten seconds, a long one with each hundredth or each minute, and at the end."""
    quick = narrated(1000, seconds=0.125)
    assert quick[0] == "80 of 1,000 items (8 %), 80 MB saved"
    assert quick[1] == "160 of 1,000 items (16 %), 160 MB saved, about 2 min left"
    assert quick[-1] == "1,000 of 1,000 items (100 %), 1.0 GB saved"
    assert len(quick) == 13
    assert len(narrated(12_000, seconds=0.5)) == 100
    assert len(narrated(12_000, seconds=2)) == 400


def test_each_failure_is_said_but_not_thousands() -> None:
    """The first hundred items that are not protected are said as they fail; of more, only that there are."""
    said = narrated(500, seconds=0, failing=True)
    assert sum(line.startswith(f"failed: {MAP.title} ({MAP.type}): why") for line in said) == 100
    assert said[100:] == [
        "More items are not protected; report.html will list them all.",
        "500 of 500 items (100 %), 500 MB saved, 500 not fully protected",
    ]
