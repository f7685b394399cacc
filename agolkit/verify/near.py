"""The blobs of one item at a time, brought near: of a far store, what is looked into is read once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import IO

from agolkit.errors import StoreError
from agolkit.model import Blob, Outcome
from agolkit.store.base import Store
from agolkit.store.spool import Spool
from agolkit.verify.contents import OPAQUE

READERS = 16
ROOM = 1 << 30
"""Bytes of one item in the scratch folder; what has no room is read from the store each time."""
LISTS = frozenset(["rows", "attachments"])
"""Parts that are looked at with their service, and so are read more than once too."""


class Near:
    """Reads blobs of a store as it does itself, but those that were brought near from their copies."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._copies: dict[str, Spool] = {}

    def each(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """The outcomes, one after the other, each while its blobs are near."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="agolkit-near") as executor:
            for outcome in outcomes:
                wanted = list(self._worth_it(outcome)) if self._store.is_far else []
                with ExitStack() as copies:
                    for blob, copy in zip(wanted, executor.map(self._copy, wanted), strict=True):
                        if copy is not None:
                            self._copies[blob.sha256] = copies.enter_context(copy)
                    yield outcome
                    self._copies.clear()

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
        """The blobs that are read more than once, as far as there is room for them."""
        room, seen = ROOM, set()
        for part in outcome.parts:
            blob, is_looked_into = part.blob, part.name not in OPAQUE or part.name in LISTS
            if is_looked_into and blob.sha256 not in seen and blob.size <= room and self._store.at_hand(blob):
                seen.add(blob.sha256)
                room -= blob.size
                yield blob

    def _copy(self, blob: Blob) -> Spool | None:
        with suppress(StoreError):  # what is wrong with it, or with the scratch folder, shows when it is read as ever
            return self._store.copied(blob.sha256)
        return None
