"""One rule for trying again: only what may help, only a few times, never in a storm.

A retry wraps the smallest repeatable step: a single idempotent request, or one export job. Retries never nest.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

import tenacity

from agolkit.errors import AgolkitError, PortalError
from agolkit.progress import note_attempt, pause
from agolkit.trace import tell_retry

T = TypeVar("T")

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
LONGEST_RETRY_AFTER = 300.0


def with_retries(
    step: Callable[[], T],
    *,
    attempts: int,
    on: type[AgolkitError] | tuple[type[AgolkitError], ...] = AgolkitError,
    sleep: Callable[[float], None] = pause,
    jitter: Callable[[], float] = random.random,
) -> T:
    """The result of `step`, tried at most `attempts` times.

    Only errors whose class says `transient` are tried again; `on` narrows them further, so that a step made of
    requests, each with retries of its own, is not repeated for what they have already tried. The wait doubles from
    half a second up to 30 s, each between half and all of that at random; where the server said Retry-After, that
    long at least (300 s at most). The last error is raised as it is.
    """

    def wait(state: tenacity.RetryCallState) -> float:
        backoff = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (state.attempt_number - 1)) * (0.5 + jitter() / 2)
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, PortalError) else None
        return max(backoff, min(asked or 0.0, LONGEST_RETRY_AFTER))

    def say(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        tell_retry(state.attempt_number, error, state.next_action.sleep if state.next_action else 0.0)

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=wait,
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, on) and error.transient),
        before=lambda state: note_attempt(state.attempt_number),
        before_sleep=say,
        sleep=sleep,
        reraise=True,
    )
    return retrying(step)
