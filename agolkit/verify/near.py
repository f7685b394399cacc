"""The blobs of one item at a time, brought near: of a far store, what is looked into is read once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import IO, NamedTuple

from agolkit.errors import StoreError
from agolkit.model import Blob, Outcome
from agolkit.store.ahead import SMALL
from agolkit.store.base import Store
from agolkit.store.spool import Spool
from agolkit.verify.contents import OPAQUE

READERS = 16
ITEMS = 16
"""Items whose blobs are on their way at once, as long as they are small."""
ROOM = 1 << 30
"""Bytes of one item in the scratch folder; what has no room is read from the store each time."""
LISTS = frozenset(["rows", "attachments"])
"""Parts that are looked at with their service, and so are read more than once too."""


class _Begun(NamedTuple):
    """An item whose blobs are on their way."""

    outcome: Outcome
    under_way: dict[Blob, Future[Spool | None]]

    @property
    def size(self) -> int:
        return sum(blob.size for blob in self.under_way)

    def copies(self) -> dict[str, Spool]:
        """By hash, when all have come."""
        found = {blob.sha256: copy.result() for blob, copy in self.under_way.items()}
        return {sha256: copy for sha256, copy in found.items() if copy}

    def close(self) -> None:
        for copy in self.under_way.values():
            with suppress(CancelledError):
                if held := copy.result():
                    held.close()


class Near:
    """Reads blobs of a store as it does itself, but those that were brought near from their copies."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._copies: dict[str, Spool] = {}

    def each(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """The outcomes, one after the other, each while its blobs are near; those of the next are on their way."""
        begun: deque[_Begun] = deque()
        with ThreadPoolExecutor(READERS, thread_name_prefix="agolkit-near") as executor:
            coming = (_Begun(outcome, self._begin(executor, outcome)) for outcome in outcomes)
            try:
                while True:
                    while len(begun) < ITEMS and sum(each.size for each in begun) <= ROOM // 4:
                        if (following := next(coming, None)) is None:
                            break
                        begun.append(following)
                    if not begun:
                        return
                    self._copies = begun[0].copies()
                    yield begun[0].outcome
                    begun.popleft().close()
                    self._copies = {}
            finally:
                executor.shutdown(cancel_futures=True)
                for each in begun:
                    each.close()

    def holds(self, sha256: str) -> bool:
        """Whether a blob is near, so that its hash is proven."""
        return sha256 in self._copies

    def open_blob(self, sha256: str) -> IO[bytes]:
        """As `Store.open_blob`."""
        copy = self._copies.get(sha256)
        return copy.open() if copy else self._store.open_blob(sha256)

    def copied(self, sha256: str) -> Spool:
        """As `Store.copied`; whoever asks closes it, and it is not near any more."""
        return self._copies.pop(sha256, None) or self._store.copied(sha256)

    def _worth_it(self, outcome: Outcome) -> Iterator[Blob]:
        """The blobs that are read more than once, or in less time than their answer needs, as far as there is room."""
        room, seen = ROOM, set()
        for part in outcome.parts:
            blob = part.blob
            pays = part.name not in OPAQUE or part.name in LISTS or blob.size <= SMALL
            if pays and blob.sha256 not in seen and blob.size <= room and self._store.at_hand(blob):
                seen.add(blob.sha256)
                room -= blob.size
                yield blob

    def _begin(self, executor: ThreadPoolExecutor, outcome: Outcome) -> dict[Blob, Future[Spool | None]]:
        wanted = self._worth_it(outcome) if self._store.is_far else ()
        return {blob: executor.submit(self._copy, blob) for blob in wanted}

    def _copy(self, blob: Blob) -> Spool | None:
        with suppress(StoreError):  # what is wrong with it, or with the scratch folder, shows when it is read as ever
            return self._store.copied(blob.sha256)
        return None
