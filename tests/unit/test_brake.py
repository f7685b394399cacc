"""The brake: the pace by itself, with a clock that only its own sleep moves."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise

import pytest

from agolkit.errors import (
    AgolkitError,
    ConnectionTrouble,
    NotFound,
    RateLimited,
    ServerTrouble,
    Stopped,
    Throttled,
)
from agolkit.portal.brake import FIRST_PAUSE, LONGEST_PAUSE, Brake, Turn
from agolkit.progress import Pulse, TimedOut, pulse_of_job

UNITS = "x-esri-org-request-units-per-min"


class Clock:
    """A time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def brake(clock: Clock) -> Brake:
    return Brake(16, sleep=clock.sleep, clock=clock, jitter=lambda: 0.0)


def send(brake: Brake, error: AgolkitError | None = None) -> None:
    """One request that ends with `error`, or well."""
    with suppress(AgolkitError), brake.turn():
        if error:
            raise error


def send_at_once(brake: Brake, error: AgolkitError, count: int) -> None:
    """So many requests under way at once, all of which end with `error`."""
    turns = [brake.turn() for _ in range(count)]
    for turn in turns:
        turn.__enter__()
    for turn in turns:
        assert not turn.__exit__(type(error), error, None)


@pytest.mark.parametrize(
    ("error", "width"),
    [
        (None, 16),
        (NotFound("no"), 16),
        (ServerTrouble("a defect", code=500), 16),
        (ServerTrouble("busy", code=503), 12),
        (ServerTrouble("busy", code=504), 12),
        (ConnectionTrouble("silence"), 12),
        (TimedOut("given up"), 16),
        (Stopped("stopped"), 16),
        (RateLimited("slow down", code=429), 1),
    ],
)
def test_what_an_answer_does_to_the_pace(brake: Brake, error: AgolkitError | None, width: int) -> None:
    """Trouble of the server lowers it gently, a 429 to the one request that goes first; other answers leave it."""
    send(brake, error)
    assert brake.width == width


def test_a_wave_of_trouble_counts_once(brake: Brake) -> None:
    """Sixteen requests that meet the same outage lower the pace once; the next outage lowers it again."""
    send_at_once(brake, ServerTrouble("busy", code=503), 16)
    assert brake.width == 12
    send(brake, ServerTrouble("busy", code=503))
    assert brake.width == 9


def test_the_pace_comes_back_by_itself(brake: Brake) -> None:
    """After a 429 one request goes first, then half as many as before, then one more for each round of answers."""
    send(brake, RateLimited("slow down"))
    widths = []
    for _ in range(200):
        widths.append(brake.width)
        send(brake)
    assert widths[:2] == [1, 8]
    assert widths == sorted(widths)
    assert widths[-1] == 16
    assert widths.index(9) > 5


def test_the_pace_is_never_less_than_one_request(brake: Brake) -> None:
    """Whatever happens, one request may go."""
    for _ in range(50):
        send(brake, ServerTrouble("busy", code=503))
        send(brake, RateLimited("slow down"))
    assert brake.width == 1
    send(brake)
    assert brake.width == 2


@pytest.mark.parametrize(
    ("asked", "waited"), [(60.0, 60.0), (7.5, 7.5), (86_400.0, LONGEST_PAUSE), (None, FIRST_PAUSE), (0.0, FIRST_PAUSE)]
)
def test_how_long_a_pause_is(brake: Brake, clock: Clock, asked: float | None, waited: float) -> None:
    """As long as the portal asks, five minutes at most, and a second where it names no time."""
    send(brake, RateLimited("slow down", retry_after=asked))
    began = clock.now
    send(brake)
    assert clock.now - began == waited


def test_runs_that_were_refused_together_come_back_one_by_one() -> None:
    """Of twenty runs that are all told to wait a minute none is early, none is very late, and no two are together."""
    chance = random.Random(7)
    ends = []
    for _ in range(20):
        clock = Clock()
        brake = Brake(16, sleep=clock.sleep, clock=clock, jitter=chance.random)
        began = clock.now
        send(brake, RateLimited("slow down", retry_after=60))
        send(brake)
        ends.append(clock.now - began)
    assert min(ends) >= 60
    assert max(ends) <= 66
    assert len({round(end, 2) for end in ends}) == 20
    assert max(ends) - min(ends) > 4


def test_each_pause_in_a_row_is_longer_where_no_time_is_named(brake: Brake, clock: Clock) -> None:
    """1, 2, 4 … seconds, a minute at most, until something is accepted; then it begins anew."""
    begun = []

    def refused(_: Turn) -> None:
        begun.append(clock.now)
        if len(begun) < 9:
            raise RateLimited("slow down", code=429)

    brake.patiently(refused)
    assert [later - earlier for earlier, later in pairwise(begun)] == [1, 2, 4, 8, 16, 32, 60, 60]
    begun.clear()
    begun.extend([0.0] * 7)
    at = clock.now
    brake.patiently(refused)
    assert clock.now - at == 1


def test_people_are_told_once_a_pause(brake: Brake) -> None:
    """Sixteen refusals of one moment are one pause and one sentence."""
    told: list[object] = []
    brake.say = told.append
    send_at_once(brake, RateLimited("slow down", retry_after=60), 16)
    assert told == ["The portal asks for fewer requests; waiting 60 s."]
    send(brake, RateLimited("slow down", retry_after=5))
    assert told[1:] == ["The portal asks for fewer requests; waiting 5 s."]


def test_a_general_refusal_uses_up_no_attempt(brake: Brake) -> None:
    """A request that is refused with all others is sent again until the portal accepts something."""
    answers = [RateLimited("slow down", retry_after=60)] * 9

    def step(_: Turn) -> str:
        if answers:
            raise answers.pop()
        return "done"

    assert brake.patiently(step) == "done"


def test_a_request_that_alone_is_refused_has_failed(brake: Brake) -> None:
    """Where others are served after the wait, the second refusal is the request's own: one attempt."""
    sent = 0

    def step(_: Turn) -> None:
        nonlocal sent
        sent += 1
        raise RateLimited("not you", code=429, retry_after=5)

    def others_first(seconds: float) -> None:
        if sent == 1 and not served:
            served.append(seconds)
            threads.submit(send, brake).result(timeout=10)

    served: list[float] = []
    with ThreadPoolExecutor(1) as threads:
        brake._sleep = lambda seconds: others_first(seconds) if threading.current_thread() is main else None
        main = threading.current_thread()
        with pytest.raises(RateLimited, match="not you") as caught:
            brake.patiently(step)
    assert sent == 2
    assert caught.value.retry_after is None


@pytest.mark.parametrize("asked", [60.0, 86_400.0, None])
def test_a_portal_that_refuses_for_ever_is_given_up(brake: Brake, clock: Clock, asked: float | None) -> None:
    """After about ten minutes the portal's words are the answer; the next request is sent once, without a wait."""

    def step(_: Turn) -> None:
        raise RateLimited("The portal says: quota exceeded.", code=429, retry_after=asked)

    began = clock.now
    with pytest.raises(Throttled, match=r"quota exceeded.*refused every request for 10 minutes"):
        brake.patiently(step)
    assert 600 <= clock.now - began < 660
    later = clock.now
    with pytest.raises(Throttled):
        brake.patiently(step)
    assert clock.now == later
    send(brake)
    assert brake.gave_up is None


def test_request_units_near_the_limit_let_one_go_at_a_time(brake: Brake, clock: Clock) -> None:
    """From nine tenths on, until an answer shows that a new minute has begun, or a minute is over."""
    brake.read_units({UNITS: "usage=8999;max=10000"})
    assert brake.width == 16
    brake.read_units({UNITS: "usage=9000;max=10000"})
    send(brake)
    assert brake.width == 1
    brake.read_units({})
    assert brake.width == 1
    brake.read_units({UNITS: "usage=97;max=10000"})
    assert brake.width == 8
    brake.read_units({UNITS: "usage=10000;max=10000"})
    assert brake.width == 1
    clock.now += 60
    assert brake.width == 4


@pytest.mark.parametrize("words", ["", "usage=;max=", "usage=5;max=0", "97", "usage=-1;max=-1"])
def test_request_units_that_say_nothing_change_nothing(brake: Brake, words: str) -> None:
    """A header that cannot be read is as none."""
    brake.read_units({UNITS: words})
    assert brake.width == 16


def test_a_transfer_holds_up_nobody(brake: Brake) -> None:
    """A download whose answer has begun leaves its place in the pace to others; only `most` counts it."""
    send(brake, RateLimited("slow down"))
    with brake.turn() as download:
        download.accept()
        brake.most = 2
        send(brake, ServerTrouble("busy", code=503))
        assert brake.width == 1
        send(brake)


def test_a_stop_ends_a_pause_at_once() -> None:
    """Who waits for the brake is told within a moment that the run was stopped."""
    brake = Brake(4)
    send(brake, RateLimited("slow down", retry_after=60))
    pulse = Pulse()

    def wait() -> None:
        with pulse_of_job(pulse), brake.turn():
            pytest.fail("a request began during the pause")

    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(wait) for _ in range(4)]
        began = time.monotonic()
        pulse.cancel.set()
        for each in waiting:
            with pytest.raises(Stopped):
                each.result(timeout=10)
    assert time.monotonic() - began < 1


def test_a_job_that_waits_for_the_brake_is_alive(brake: Brake, clock: Clock) -> None:
    """It beats several times a second, so that `item_timeout` does not count the pause."""
    send(brake, RateLimited("slow down", retry_after=60))
    silences = []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        silences.append(clock.now - (pulse.last or 0.0))

    brake._sleep = sleep
    with pulse_of_job(Pulse(clock=clock)) as pulse, brake.turn():
        pass
    assert len(silences) >= 240
    assert max(silences) < 1
