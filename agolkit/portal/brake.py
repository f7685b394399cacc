"""The brake: how many requests of a portal may be under way at once, and when none may begin.

One for all threads of a portal. It finds the pace that the server sustains: each accepted request lets a little more go
at once, each wave of trouble less, and a 429 holds everybody until the time that the portal named.

A refusal with 429 is the portal's word to all, so it is no attempt of the request that happened to meet it: that one
waits with the others and is sent again. It counts as an attempt only where the portal, after the wait, let others pass
and refused it again. Where nothing at all was accepted through ten minutes of such waits, the brake gives up.

Other runs on the same organization hear the same "Retry after 60 sec" at the same moment. Each waits a little longer
than it was told, at random, so that they do not all come back at once.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from agolkit.errors import ConnectionTrouble, PortalError, RateLimited, ServerTrouble, Throttled
from agolkit.progress import TimedOut, beat, pause
from agolkit.trace import tell

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE = 1.0
"""Seconds of a pause for which the portal named no time; each further one in a row is twice as long."""
LONGEST_GUESS = 60.0
LONGEST_PAUSE = 300.0
"""No pause is longer, whatever the portal asks; what it says after that is heard then."""
SPREAD = 0.1
"""The share of a pause by which it is longer at most, at random."""
PATIENCE = 600.0
"""Seconds of pauses in a row, with no request accepted between them, after which the brake gives up."""
NEAR = 0.9
"""The share of the request units of a minute above which requests go one by one."""
MINUTE = 60.0
LOOK = 0.25
"""Seconds between two signs of life of a job that waits."""

_UNITS = "x-esri-org-request-units-per-min"
_USAGE = re.compile(r"usage=(\d+);\s*max=([1-9]\d*)")


class Turn:
    """One request's leave to go; its `accept` says as early as possible that the portal serves it."""

    def __init__(self, number: int, accept: Callable[[Turn], None]) -> None:
        self.number = number
        self.is_asking = True
        """Whether the portal has not yet said what becomes of the request."""
        self._accept = accept

    def accept(self) -> None:
        """The answer has begun, and is no refusal: what follows is a transfer, which holds up nobody."""
        if self.is_asking:
            self._accept(self)


class Brake:
    """The pace of all requests to one portal; safe to use from many threads.

    Parameters
    ----------
    most
        Requests in flight, transfers included, that are never exceeded.
    jitter
        A number from 0 to 1, another one each time.
    """

    def __init__(
        self,
        most: int,
        *,
        sleep: Callable[[float], None] = pause,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.say: Callable[[str], object] = log.warning
        """Told once a pause, in one sentence for people."""
        self.gave_up: Throttled | None = None
        """The portal's last words, since it has refused everything for too long."""
        self._sleep = sleep
        self._clock = clock
        self._jitter = jitter
        self._changed = threading.Condition()
        self._most = most
        self._width = float(most)
        self._begun = 0
        self._asking = 0
        self._in_flight = 0
        self._new = 0  # requests that wait and have not been refused yet
        self._accepted = 0  # the latest turn that was accepted
        self._held = 0  # turns begun when the last pause began: a refusal of these is the same refusal
        self._eased = 0  # the same for other trouble
        self._pauses = 0  # in a row, nothing accepted between them
        self._waited = 0.0
        self._pause_end = 0.0
        self._probing = False  # after a pause one request goes first
        self._near_until = 0.0

    @property
    def width(self) -> int:
        """How many requests may wait for an answer at once, by now."""
        if self._probing or self._clock() < self._near_until:
            return 1
        return int(self._width)

    @property
    def most(self) -> int:
        """How many requests may be in flight at once, however well it goes."""
        return self._most

    @most.setter
    def most(self, most: int) -> None:
        with self._changed:
            self._most = most
            self._width = float(most)
            self._changed.notify_all()

    def patiently(self, step: Callable[[Turn], T]) -> T:
        """The result of `step`, which is begun again where a 429 was meant for everybody.

        Raises
        ------
        RateLimited
            The portal serves others and refuses this request: one attempt has failed.
        Throttled
            The portal has refused everything for too long.
        """
        refused = 0  # turns begun when this request was refused
        while True:
            try:
                with self.turn(is_new=not refused) as turn:
                    return step(turn)
            except RateLimited as refusal:
                if self.gave_up is not None:
                    raise self.gave_up.with_traceback(None) from refusal
                if refused and self._accepted > refused:
                    refusal.retry_after = None  # the brake waits that long, and everybody with it
                    raise
                refused = self._begun

    @contextmanager
    def turn(self, *, is_new: bool = True) -> Iterator[Turn]:
        """Leave to send one request, once the pace allows it; how the block ends tells the brake how it went."""
        turn = self._begin(is_new)
        try:
            yield turn
        except RateLimited as refusal:
            self._refuse(turn, refusal)
            raise
        except TimedOut:
            raise
        except (ServerTrouble, ConnectionTrouble) as trouble:
            # 500 is about the one request. All else says that the server, or the way to it, has too much to do.
            if isinstance(trouble, ConnectionTrouble) or trouble.code != 500:
                self._ease(turn)
            raise
        except PortalError:
            turn.accept()  # an answer, although not the one hoped for
            raise
        else:
            turn.accept()
        finally:
            with self._changed:
                self._in_flight -= 1
                self._asking -= turn.is_asking
                self._changed.notify_all()

    def read_units(self, headers: Mapping[str, str]) -> None:
        """Go one by one until the minute is over where the answer says that its request units are nearly used up."""
        match = _USAGE.search(headers.get(_UNITS, ""))
        if match is None:
            return
        is_near = int(match[1]) >= NEAR * int(match[2])
        with self._changed:
            if not is_near:
                self._near_until = 0.0
            elif self._clock() >= self._near_until:
                log.info("The request units of this minute are nearly used up (%s of %s).", match[1], match[2])
                self._near_until = self._clock() + MINUTE
                self._width = max(1.0, self._width / 2)
            self._changed.notify_all()

    def _begin(self, is_new: bool) -> Turn:
        """Wait until the pace allows one more request. A job that waits here is alive; a stop ends the wait."""
        waited_for = 0.0  # the end of the pause that this request has waited for
        with self._changed:
            self._new += is_new
        try:
            while True:
                beat()
                with self._changed:
                    end = self._pause_end
                    if waited_for >= end or self._clock() >= end:
                        if self._has_room(is_new):
                            self._begun += 1
                            self._asking += 1
                            self._in_flight += 1
                            return Turn(self._begun, self._note_accepted)
                        self._changed.wait(LOOK)
                        continue
                left = end - self._clock()
                while left > 0:  # counted, and not asked of the clock again: `sleep` may be one that does not wait
                    self._sleep(min(left, LOOK))
                    left -= LOOK
                    beat()
                waited_for = end
        finally:
            with self._changed:
                self._new -= is_new

    def _has_room(self, is_new: bool) -> bool:
        if self._probing and self._new and not is_new:
            return False  # one that the portal refuses in any case must not be the one that goes first for ever
        return self._asking < self.width and self._in_flight < self._most

    def _note_accepted(self, turn: Turn) -> None:
        with self._changed:
            turn.is_asking = False
            self._asking -= 1
            self._accepted = max(self._accepted, turn.number)
            if turn.number > self._held:  # others began before the trouble, and do not tell that it is over
                self.gave_up = None
                self._probing = False
                self._pauses, self._waited = 0, 0.0
            if turn.number > max(self._held, self._eased) and self._clock() >= self._near_until:
                self._width = min(self._most, self._width + 1 / self._width)
            self._changed.notify_all()

    def _ease(self, turn: Turn) -> None:
        """A little less at once, once for all requests that meet the same trouble."""
        with self._changed:
            if turn.number > self._eased:
                self._eased = self._begun
                self._width = max(1.0, self._width * 0.75)

    def _refuse(self, turn: Turn, refusal: RateLimited) -> None:
        """Hold everybody: until the time that the portal named, else for a time that doubles."""
        with self._changed:
            now = self._clock()
            if turn.number <= self._held:  # refused together with the one that began this pause
                if now < self._pause_end:
                    self._pause_end = max(self._pause_end, now + min(refusal.retry_after or 0.0, LONGEST_PAUSE))
                return
            self._held = self._begun
            self._probing = True
            if self._waited >= PATIENCE:
                self.gave_up = Throttled(
                    f"{refusal} The portal has refused every request for {self._waited / 60:,.0f} minutes. Try again "
                    "later, or with fewer workers.",
                    code=refusal.code,
                    words=refusal.words,
                )
                return
            guess = min(LONGEST_GUESS, FIRST_PAUSE * 2.0**self._pauses)
            asked = min(refusal.retry_after or guess, LONGEST_PAUSE)
            seconds = asked * (1 + SPREAD * self._jitter())
            if not self._pauses:
                self._width = max(1.0, self._width / 2)
            self._pauses += 1
            self._waited += asked
            self._pause_end = now + seconds
        tell("brake", seconds=round(seconds, 3), message=str(refusal))
        self.say(f"The portal asks for fewer requests; waiting {seconds:,.0f} s.")
