"""The lease that keeps two runs from writing to one store.

The key `lock` says who holds the store. It is renewed while the run lives and is stale when it has not been renewed
for ten minutes, by the store's own clock: the clocks of two computers may differ by more. A process that is known to
have ended on this computer holds nothing. Nothing is ever deleted: a lease is released and taken over by overwriting
it, each time only if it still is what was read.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from agolkit.errors import StoreBusy, StoreError
from agolkit.model import counted, to_stamp
from agolkit.store.holder import Holder, lives, process_space, read_facts

if TYPE_CHECKING:
    from agolkit.store.base import Store

LOCK = "lock"
INTERVAL = 30.0
STALE_AFTER = 600.0
QUIET = 60.0
"""Seconds without a sign of life, after which a person may release a lease: two renewals were missed."""


def utc_now() -> datetime:
    """The time, aware of its zone."""
    return datetime.now(UTC)


class Lease:
    """The right to write to a store, held from `with` to the end of its block.

    Raises
    ------
    StoreBusy
        Another run holds the store; the message says who, where and since when. Trying again helps when it has ended.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        who: str,
        *,
        interval: float = INTERVAL,
        stale_after: float = STALE_AFTER,
        clock: Callable[[], datetime] = utc_now,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        self.run_id = run_id
        self._store = store
        self._interval = interval
        self._stale_after = stale_after
        self._clock = clock
        self._wait = wait
        self._over = threading.Event()
        self._held = contextlib.ExitStack()
        self._facts: dict[str, Any] = {"run_id": run_id, "who": who, "host": socket.gethostname(), "pid": os.getpid()}
        self._facts["process_space"] = process_space()
        self._renewing = threading.Thread(target=self._keep_renewing, name="agolkit-lease", daemon=True)

    def __enter__(self) -> Lease:
        self._facts["since"] = to_stamp(self._clock())
        held = self._store.find(LOCK)
        if not self._may_take(held) or not self._store.swap(LOCK, held, self._content("held")):
            raise StoreBusy(self._busy())
        try:
            self._store.tidy()
        except BaseException:  # nobody would renew it, and this process lives: others had to wait until it is stale
            self._release()
            raise
        self._held.enter_context(self._store.reading_once())
        self._renewing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._renewing.join()
        self._held.close()
        self._release()

    def check(self) -> None:
        """Raise `StoreBusy` if the lease is no longer ours: this computer slept so long that another run took over."""
        if not self._is_ours(self._store.find(LOCK)):
            raise StoreBusy(f"This run has lost its hold on the store. {self._busy()}")

    def renew(self) -> None:
        """Say that the run lives. Done by a thread every 30 seconds."""
        self._overwrite("held")

    def _keep_renewing(self) -> None:
        while not self._wait(self._over, self._interval):
            with contextlib.suppress(StoreError):  # a network share may be away for a minute; the next time is soon
                self.renew()

    def _release(self) -> None:
        with contextlib.suppress(StoreError):  # a lease that cannot be released goes stale; the run's own news counts
            self._overwrite("released")

    def _overwrite(self, state: str) -> None:
        held = self._store.find(LOCK)
        if self._is_ours(held):
            self._store.swap(LOCK, held, self._content(state))

    def _content(self, state: str) -> bytes:
        facts = {"state": state, **self._facts, "renewed": to_stamp(self._clock())}
        return json.dumps(facts, indent=1).encode() + b"\n"

    def _is_ours(self, held: bytes | None) -> bool:
        facts = read_facts(held)
        return facts.get("state") == "held" and facts.get("run_id") == self.run_id

    def _may_take(self, held: bytes | None) -> bool:
        holder = _holder(self._store, held)
        return holder is None or holder.lives is False or holder.silent >= self._stale_after

    def _busy(self) -> str:
        holder = self._store.holder()
        if holder is None:
            return f"Somebody has released the store {self._store.location} meanwhile."
        return f"The store {self._store.location} is held by {holder}. {_ADVICE}"


_ADVICE = (
    "Wait until that run has ended; if it was killed, its hold ends ten minutes after its last sign of life. "
    "`agolkit unlock` shows and releases it."
)


def find_holder(store: Store) -> Holder | None:
    """The run that holds a store; `None` where none does."""
    return _holder(store, store.find(LOCK))


def release(store: Store) -> Holder | None:
    """End the hold of a run that was killed, by overwriting its lease; whose it was, `None` where nobody held it.

    Raises
    ------
    StoreBusy
        The run has shown life within the last minute. Trying again helps when it has ended.
    """
    held = store.find(LOCK)
    holder = _holder(store, held)
    if holder is None:
        return None
    is_quiet = holder.lives is False or holder.silent >= QUIET
    released = json.dumps({**holder.facts, "state": "released"}, indent=1).encode() + b"\n"
    if not is_quiet or not store.swap(LOCK, held, released):
        raise not_released(store, holder)
    return holder


def not_released(store: Store, holder: Holder) -> StoreBusy:
    """What a person is told who wants to end the hold of a run that may live."""
    return StoreBusy(
        f"The store {store.location} is held by {holder}. It is not released: end that run first, and try again "
        f"when it has given no sign of life for {counted(round(QUIET), 'second')}."
    )


def _holder(store: Store, held: bytes | None) -> Holder | None:
    facts = read_facts(held)
    if held is None or facts.pop("state", None) == "released":
        return None
    return Holder(facts, store.age(LOCK) or 0.0, lives(facts))
