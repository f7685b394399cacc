"""One rule for trying again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agolkit.errors import AgolkitError, ConnectionTrouble, NotFound, RateLimited, ServerTrouble
from agolkit.progress import Pulse, pulse_of_job
from agolkit.retry import LONGEST_RETRY_AFTER, LONGEST_WAIT, with_retries


def failing(*errors: Exception, result: str = "done") -> Callable[[], str]:
    """A step that raises one error after the other, then answers."""
    queue = list(errors)

    def step() -> str:
        if queue:
            raise queue.pop(0)
        return result

    return step


def test_a_transient_error_is_tried_again() -> None:
    """A step that fails twice in a transient way succeeds at the third attempt."""
    waits: list[float] = []
    step = failing(ServerTrouble("no"), ConnectionTrouble("no"))
    assert with_retries(step, attempts=3, sleep=waits.append, jitter=lambda: 1.0) == "done"
    assert waits == [0.5, 1.0]


def test_a_final_error_is_not_tried_again() -> None:
    """An error whose class says that trying again is no use is raised at once."""
    waits: list[float] = []
    with pytest.raises(NotFound):
        with_retries(failing(NotFound("gone")), attempts=3, sleep=waits.append)
    assert waits == []


def test_errors_of_others_are_not_tried_again() -> None:
    """A bug is not retried."""
    with pytest.raises(ZeroDivisionError):
        with_retries(failing(ZeroDivisionError()), attempts=3, sleep=pytest.fail)


def test_the_last_error_is_raised_as_it_is() -> None:
    """After the last attempt the caller sees the error itself, not a wrapper."""
    errors = [ServerTrouble("first"), ServerTrouble("second")]
    with pytest.raises(ServerTrouble, match="second"):
        with_retries(failing(*errors), attempts=2, sleep=lambda _: None)


@pytest.mark.parametrize(("asked", "waited"), [(60.0, 60.0), (0.1, 0.5), (9999.0, LONGEST_RETRY_AFTER)])
def test_what_the_server_asks_is_waited_for(asked: float, waited: float) -> None:
    """Retry-After is a lower limit, and no server makes a run wait for more than five minutes."""
    waits: list[float] = []
    error: AgolkitError = RateLimited("slow down", retry_after=asked)
    with_retries(failing(error), attempts=2, sleep=waits.append, jitter=lambda: 1.0)
    assert waits == [waited]


def test_waits_are_spread_and_bounded() -> None:
    """The wait is between half and all of a doubling time that never passes the longest."""
    waits: list[float] = []
    errors = [ServerTrouble("no")] * 9
    with_retries(failing(*errors), attempts=10, sleep=waits.append, jitter=lambda: 0.0)
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, LONGEST_WAIT / 2, LONGEST_WAIT / 2, LONGEST_WAIT / 2]


def test_the_number_of_attempts_is_noted() -> None:
    """The job in work remembers the most attempts that one of its steps has needed."""
    with pulse_of_job(Pulse()) as pulse:
        with_retries(failing(ServerTrouble("no"), ServerTrouble("no")), attempts=3, sleep=lambda _: None)
        with_retries(failing(), attempts=3, sleep=lambda _: None)
    assert pulse.attempts == 3
