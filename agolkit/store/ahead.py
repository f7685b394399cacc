"""The next blobs of a far store, on their way while the one before them is looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from agolkit.errors import StoreError
from agolkit.model import Blob
from agolkit.store.base import Store
from agolkit.store.spool import Spool

SMALL = 16 << 20
"""Bytes; of a larger blob the transfer counts, and not the wait for its beginning."""
WAITING = 32
"""Blobs that are fetched ahead, at most."""
READERS = 16


class Ahead:
    """For a `with` block: copies of small blobs, begun in the order in which they will be asked for.

    Of a store that is near, nothing is copied ahead.
    """

    def __init__(self, store: Store, blobs: Iterable[Blob], scratch: Path | None = None) -> None:
        self._store = store
        self._coming = (blob for blob in blobs if blob.size <= SMALL) if store.is_far else iter(())
        self._scratch = scratch
        self._waiting: deque[tuple[str, Future[Spool]]] = deque()
        self._executor = ThreadPoolExecutor(READERS, thread_name_prefix="agolkit-ahead")

    def take(self, sha256: str) -> Spool | None:
        """The copy of the next blob, its hash checked; `None` where it is not the one that was fetched ahead.

        Whoever asks closes it. Raises what `Store.copied` raises.
        """
        self._fill()
        if not self._waiting or self._waiting[0][0] != sha256:
            return None
        _, copy = self._waiting.popleft()
        self._fill()
        return copy.result()

    def __enter__(self) -> Ahead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(cancel_futures=True)
        for _, copy in self._waiting:
            with suppress(StoreError, CancelledError):
                copy.result().close()

    def _fill(self) -> None:
        while len(self._waiting) < WAITING and (blob := next(self._coming, None)):
            self._waiting.append((blob.sha256, self._executor.submit(self._store.copied, blob.sha256, self._scratch)))
