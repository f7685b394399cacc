"""The lease that keeps two runs from writing to one store.

The key `lock` says who holds the store. It is renewed while the run lives and is stale when it has not been renewed
for ten minutes, by the store's own clock: the clocks of two computers may differ by more. Nothing is ever deleted: a
lease is released and taken over by overwriting it, each time only if it still is what was read.
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
from agolkit.model import to_stamp

if TYPE_CHECKING:
    from agolkit.store.base import Store

LOCK = "lock"
INTERVAL = 30.0
STALE_AFTER = 600.0


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
        self._facts: dict[str, Any] = {"run_id": run_id, "who": who, "host": socket.gethostname(), "pid": os.getpid()}
        self._renewing = threading.Thread(target=self._keep_renewing, name="agolkit-lease", daemon=True)

    def __enter__(self) -> Lease:
        self._facts["since"] = to_stamp(self._clock())
        held = self._store.find(LOCK)
        if not self._may_take(held) or not self._store.swap(LOCK, held, self._content("held")):
            raise StoreBusy(self._busy())
        self._store.tidy()
        self._renewing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._renewing.join()
        with contextlib.suppress(StoreError):  # a lease that cannot be released goes stale; the run's own news counts
            self._overwrite("released")

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

    def _overwrite(self, state: str) -> None:
        held = self._store.find(LOCK)
        if self._is_ours(held):
            self._store.swap(LOCK, held, self._content(state))

    def _content(self, state: str) -> bytes:
        facts = {"state": state, **self._facts, "renewed": to_stamp(self._clock())}
        return json.dumps(facts, indent=1).encode() + b"\n"

    def _is_ours(self, held: bytes | None) -> bool:
        facts = _read(held)
        return facts.get("state") == "held" and facts.get("run_id") == self.run_id

    def _may_take(self, held: bytes | None) -> bool:
        if held is None or _read(held).get("state") == "released":
            return True
        age = self._store.age(LOCK)
        return age is None or age >= self._stale_after

    def _busy(self) -> str:
        facts = {"who": "somebody", "host": "a computer", "pid": "?", "since": "?"} | _read(self._store.find(LOCK))
        return (
            f"Another run ({facts['who']} on {facts['host']}, process {facts['pid']}, since {facts['since']}) holds "
            f"the store {self._store.location}. Wait until it has ended; if it was killed, its hold ends ten minutes "
            "after its last sign of life."
        )


def _read(content: bytes | None) -> dict[str, Any]:
    """The facts of a lock; none where it is absent or was torn by a crash."""
    try:
        facts = json.loads(content or b"{}")
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
