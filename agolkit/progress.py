"""What a run says while it works, and how it is told to stop.

Two small things that every floor may use: `Event`, handed to the `progress` callback, and the *pulse* of the job in
work. Whatever makes progress on an item calls `beat`; whatever waits calls `pause`. Both raise when the user has
stopped the run or the job's time is up, so that no job needs to be killed.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from agolkit.errors import ConnectionTrouble, Stopped
from agolkit.model import Outcome, Result, in_bytes, one_line


@dataclass(frozen=True, slots=True)
class Event:
    """One small piece of news from a run."""

    stage: str
    """`inventory`, `plan`, `items`, `finish` or `zip`."""
    text: str = ""
    """A sentence for the log, in plain words; may be empty."""
    done: int = 0
    total: int = 0
    """Items finished and in scope, as far as known."""
    outcome: Outcome | None = None
    """The item that has just been finished."""


Progress = Callable[[Event], None]

MOST_TROUBLES = 100
"""Items that are not protected of which each is said while a run works."""


class TimedOut(ConnectionTrouble):
    """A job made no progress within its time; the run goes on without it."""

    transient = False


@dataclass
class Pulse:
    """The sign of life of one job, shared by the job and whoever watches it.

    In another process or on another machine a job has a pulse of its own, whose beats nobody hears.
    """

    cancel: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], float] = time.monotonic
    last: float | None = None
    """When the job last got on, by `clock`; `None` before it has begun."""
    expired: bool = False
    attempts: int = 1
    """The most attempts that one request or job of this item has taken."""

    def __reduce__(self) -> tuple[type[Pulse], tuple[()]]:
        return Pulse, ()

    def check(self) -> None:
        """Raise `Stopped` or `TimedOut` where the job is to end."""
        if self.cancel.is_set():
            raise Stopped("The run was stopped.")
        if self.expired:
            raise TimedOut("No progress within the time allowed.")


_pulse: ContextVar[Pulse | None] = ContextVar("agolkit_pulse", default=None)


@contextmanager
def pulse_of_job(pulse: Pulse) -> Iterator[Pulse]:
    """Make `pulse` the one that `beat` and `pause` of this thread belong to."""
    token = _pulse.set(pulse)
    try:
        yield pulse
    finally:
        _pulse.reset(token)


def beat() -> None:
    """Say that the job in work is getting on. Raises `Stopped` or `TimedOut` where it is to end."""
    pulse = _pulse.get()
    if pulse is not None:
        pulse.check()
        pulse.last = pulse.clock()


def pause(seconds: float) -> None:
    """Wait, but end at once with `Stopped` when the run is stopped. Waiting is not progress."""
    pulse = _pulse.get()
    if pulse is None:
        time.sleep(seconds)
        return
    pulse.cancel.wait(seconds)
    pulse.check()


def attempts_noted() -> int:
    """The most attempts that a step of the job in work has needed so far."""
    pulse = _pulse.get()
    return pulse.attempts if pulse is not None else 1


def note_attempt(number: int) -> None:
    """Keep the highest number of attempts that a step of the job in work has needed."""
    pulse = _pulse.get()
    if pulse is not None:
        pulse.attempts = max(pulse.attempts, number)


@contextmanager
def shielded() -> Iterator[None]:
    """Let a clean-up finish although the run was stopped: `beat` and `pause` do not raise inside."""
    token = _pulse.set(None)
    try:
        yield
    finally:
        _pulse.reset(token)


def cancel_on_interrupt(*signals: signal.Signals) -> threading.Event:
    """An event that the next interrupt (Ctrl+C, a notebook's stop button) sets instead of breaking in.

    Give it to `backup` as `cancel`: the run then ends in good order. The interrupt after that breaks in as ever.
    In a notebook this holds for the rest of the cell. `signals` are those listened to, `SIGINT` where none is named.
    """
    cancel = threading.Event()
    before = {each: signal.getsignal(each) for each in signals or (signal.SIGINT,)}

    def stop(*_: object) -> None:
        for each, handler in before.items():
            signal.signal(each, handler)
        cancel.set()

    for each in before:
        signal.signal(each, stop)
    return cancel


class Narrator:
    """Says in plain words how a run goes on; give it to `backup` as `progress`.

    Every sentence is said at once, and so are the first hundred items that are not protected. How far it is is said
    when `every` seconds have passed and another hundredth is done, or six times as many seconds: a mail of a night's
    run can still be read.
    """

    def __init__(
        self,
        say: Callable[[str], object] = print,
        *,
        every: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._every = every
        self._clock = clock
        self._last = clock()
        self._percent = 0
        self._troubles = 0
        self._bytes = 0
        self._first: tuple[float, int] | None = None
        """When the first item was in work, and how many were done with before."""

    def __call__(self, event: Event) -> None:
        if event.text:
            self._say(one_line(event.text.partition("\n")[0]))  # what follows in a summary has been said item by item
        outcome = event.outcome
        if outcome is None:
            return
        self._bytes += outcome.saved_bytes
        if self._first is None and outcome.result is not Result.EXCLUDED:
            self._first = self._clock() - outcome.seconds, event.done - 1
        if outcome.result in (Result.PARTIAL, Result.FAILED):
            self._troubles += 1
            if self._troubles <= MOST_TROUBLES:
                self._say(one_line(f"{outcome.result}: {outcome.item.title} ({outcome.item.type}): {outcome.message}"))
            elif self._troubles == MOST_TROUBLES + 1:
                self._say("More items are not protected; report.html will list them all.")
        silent, percent = self._clock() - self._last, 100 * event.done // max(event.total, 1)
        is_due = silent >= self._every and (percent > self._percent or silent >= 6 * self._every)
        if event.done == event.total or is_due:
            self._last, self._percent = self._clock(), percent
            self._say(self._how_far(event, percent))

    def _how_far(self, event: Event, percent: int) -> str:
        said = f"{event.done:,} of {event.total:,} items ({percent} %), {in_bytes(self._bytes)} saved"
        if self._troubles:
            said += f", {self._troubles:,} not fully protected"
        begun, before = self._first or (self._clock(), event.done)
        seconds = self._clock() - begun
        if event.done < event.total and event.done > before and seconds > self._every:
            left = seconds / (event.done - before) * (event.total - event.done)
            said += f", about {left / 60:,.0f} min left" if left > 90 else f", about {left:,.0f} s left"
        return said
