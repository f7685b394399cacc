"""Reading an object of a bucket as a file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from agolkit.errors import StoreDamaged, StoreError
from agolkit.progress import beat
from agolkit.store.bucket import Bucket

if TYPE_CHECKING:
    from obstore.store import S3Store

PIECE = 1 << 20
NEAR = 1 << 20
"""Bytes that are rather read and thrown away than asked for by another request."""
TRIES = 5


class Reader(io.RawIOBase):
    """A seekable stream over one object, as it was when it was opened. It holds a piece of it at a time."""

    def __init__(self, bucket: Bucket, objects: S3Store, key: str) -> None:
        import obstore

        self._bucket = bucket
        self._objects = objects
        self._key = key
        self._position = 0
        self._left = memoryview(b"")
        self._left_at = 0
        with bucket.trouble(key):
            answer = obstore.get(objects, key)
        self._size = answer.meta["size"]
        self._tag = answer.meta["e_tag"]
        self._pieces: Iterator[Any] | None = iter(answer.stream(min_chunk_size=PIECE))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, target: Any) -> int:
        view = memoryview(target).cast("B")
        if not len(view) or self._position >= self._size:
            return 0
        self._reach()
        begin = self._position - self._left_at
        found = self._left[begin : begin + len(view)]
        view[: len(found)] = found
        self._position += len(found)
        return len(found)

    def close(self) -> None:
        self._pieces, self._left = None, memoryview(b"")
        super().close()

    def _reach(self) -> None:
        """Hold the piece in which the position lies."""
        if not self._left_at <= self._position <= self._left_at + len(self._left) + NEAR:
            self._go_to(self._position)
        while self._position >= self._left_at + len(self._left):
            beat()
            self._left_at += len(self._left)
            self._left = memoryview(self._next())

    def _next(self) -> bytes:
        """The piece that follows; an answer that breaks off is asked for again from there."""
        from obstore.exceptions import BaseError

        for _ in range(TRIES):
            if self._pieces is None:
                with self._bucket.trouble(self._key):
                    self._pieces = self._from(self._left_at)
            try:
                piece: bytes | None = next(self._pieces, None)
            except BaseError:
                piece = None
            if piece:
                return piece
            self._pieces = None
        raise StoreError(f"{self._key} in {self._bucket.location} cannot be read: its answer breaks off every time.")

    def _go_to(self, position: int) -> None:
        self._pieces, self._left, self._left_at = None, memoryview(b""), position

    def _from(self, position: int) -> Iterator[Any]:
        import obstore

        answer = obstore.get(self._objects, self._key, options={"range": {"offset": position}})
        if answer.meta["e_tag"] != self._tag:
            raise StoreDamaged(f"{self._key} in {self._bucket.location} was changed while it was read.")
        return iter(answer.stream(min_chunk_size=PIECE))
