"""What the steps of a run tell its log, without knowing who keeps it.

A step says what has happened with `tell`. Whoever runs it has said, with `telling`, who listens and what it is about;
where nobody listens, nothing happens. Threads that a step starts belong to it if they run in a copy of its context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

Listener = Callable[[dict[str, Any]], object]
"""Called with `event` and what else there is to say of it, from any thread."""


@dataclass(slots=True)
class Step:
    """What has been told of a step so far."""

    attempts: int = 1
    """The most attempts that one request or job in it has begun."""
    inner_bytes: int = 0
    """Bytes that steps inside it have told as theirs."""


@dataclass(frozen=True, slots=True)
class _Place:
    listener: Listener
    about: dict[str, str]
    step: Step


_place: ContextVar[_Place | None] = ContextVar("agolkit_trace", default=None)


@contextmanager
def telling(listener: Listener, **about: str) -> Iterator[None]:
    """Within the block, `listener` hears what this thread tells, each time with `about` (such as `item_id`)."""
    token = _place.set(_Place(listener, about, Step()))
    try:
        yield
    finally:
        _place.reset(token)


@contextmanager
def step_of(part: str) -> Iterator[Step]:
    """Within the block, what is told is about this part of the item."""
    outer = _place.get()
    step = Step()
    if outer is None:
        yield step
        return
    token = _place.set(replace(outer, about={**outer.about, "part": part}, step=step))
    try:
        yield step
    finally:
        _place.reset(token)
        outer.step.attempts = max(outer.step.attempts, step.attempts)


def tell(event: str, **facts: Any) -> None:
    """Say what has happened; see `docs/format.md` for the events and their fields."""
    place = _place.get()
    if place is not None:
        place.listener({"event": event, **place.about, **facts})


def tell_part(step: Step, part: str, size: int, **facts: Any) -> None:
    """Say how a step ended that saved `size` bytes, of which some may have been told by steps inside it."""
    tell("part", part=part, bytes=size - step.inner_bytes, attempt=step.attempts, **facts)
    place = _place.get()
    if place is not None:
        place.step.inner_bytes += size


def tell_retry(attempt: int, error: BaseException | None, seconds: float) -> None:
    """Say that an attempt failed and the next one begins after so many seconds."""
    place = _place.get()
    if place is not None:
        place.step.attempts = max(place.step.attempts, attempt + 1)
        tell("retry", attempt=attempt, seconds=round(seconds, 3), message=str(error))
