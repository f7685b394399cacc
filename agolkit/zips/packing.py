"""A backup as the bytes of one zip, in pieces and in order, although a member's size and hash stand at its beginning.

`zipfile` comes back to the beginning of a member when that is complete, and never further. So the member in work waits
in a temporary file, and all before it may be on its way already. Written to a stream that cannot be sought, a zip would
have these numbers behind each member, and the Windows Explorer does not open such members above 4 GB.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from agolkit.errors import StoreDamaged, StoreError
from agolkit.fetch.destination import Zip, own_files
from agolkit.layout import tree_path
from agolkit.model import Outcome, in_bytes
from agolkit.store import Store
from agolkit.store.ahead import Ahead
from agolkit.store.spool import CHUNK

SAY_EVERY = 10.0
"""Seconds between two sentences on how far it is."""


class Member(NamedTuple):
    """A file of a zip as the zip's own list has it."""

    path: str
    crc: int
    size: int
    packed: int
    at: int

    @classmethod
    def of(cls, info: zipfile.ZipInfo) -> Member:
        return cls(info.filename, info.CRC, info.file_size, info.compress_size, info.header_offset)


class Packing:
    """The zip of one backup while it is made. `pieces` are its bytes, once; the numbers are true after the last one."""

    def __init__(
        self,
        store: Store,
        backup: str,
        outcomes: Sequence[Outcome],
        scratch: Path,
        *,
        check: Callable[[], None],
        say: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._backup = backup
        self._outcomes = outcomes
        self._scratch = scratch
        self._check = check
        self._say = say
        self._clock = clock
        self._said = clock()
        self._total = sum(outcome.saved_bytes for outcome in outcomes)
        self._hash = hashlib.sha256()
        self.bytes = 0
        self.members: list[Member] = []

    @property
    def sha256(self) -> str:
        """Of the pieces so far."""
        return self._hash.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """The bytes of the zip.

        Raises `StoreDamaged` where a file of the backup is missing or not what it was, `StoreError` where the scratch
        folder cannot hold the member in work, and what `check` raises: the zip is of no use then.
        """
        for piece in self._pieces():
            self._hash.update(piece)
            self.bytes += len(piece)
            yield piece

    def _pieces(self) -> Iterator[bytes]:
        with tempfile.SpooledTemporaryFile(max_size=CHUNK, dir=str(self._scratch)) as file:
            tail = _Tail(file, self._scratch)
            blobs = (part.blob for outcome in self._outcomes for part in outcome.parts)
            with zipfile.ZipFile(tail, "w") as archive, Ahead(self._store, blobs, self._scratch) as ahead:
                destination = Zip(self._scratch, archive, check=self._check)
                for outcome in self._outcomes:
                    destination.reserve(tree_path(outcome.item, part) for part in outcome.parts)
                    for part in outcome.parts:
                        if copy := ahead.take(part.blob.sha256):
                            with copy:
                                destination.add_part(outcome.item, part, copy, outcome.observed)
                        else:
                            destination.add_blob(self._store, outcome.item, part, outcome.observed)
                        yield from tail.finished()
                        self._tell(destination.bytes)
                for path, content in own_files(self._store, self._backup):
                    if content is None:
                        raise StoreDamaged(f"{path} of the backup {self._backup} is missing or was changed.")
                    destination.add_text(path, content)
                    yield from tail.finished()
                destination.add_lists(self._outcomes)
                self.members = [Member.of(info) for info in archive.infolist()]
            yield from tail.finished()

    def _tell(self, done: int) -> None:
        if self._clock() - self._said >= SAY_EVERY:
            self._said = self._clock()
            self._say(f"{in_bytes(done)} of {in_bytes(self._total)} are in the zip.")


class _Tail:
    """The file that `zipfile` writes to, of which only the end is there: what was handed on is gone."""

    def __init__(self, file: IO[bytes], scratch: Path) -> None:
        self._file = file
        self._scratch = scratch
        self._begin = 0

    def tell(self) -> int:
        return self._begin + self._file.tell()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        assert whence == 0
        self._file.seek(offset - self._begin)
        return offset

    def write(self, content: bytes, /) -> int:
        try:
            return self._file.write(content)
        except OSError as error:
            raise StoreError(
                f"The scratch folder {self._scratch} cannot hold the largest file of the zip: {error.strerror}. Make "
                "room there, or name another folder with the option scratch."
            ) from error

    def flush(self) -> None:
        """Nothing waits that could be needed."""

    def close(self) -> None:
        """Remove what is left."""
        self._file.close()

    def finished(self) -> Iterator[bytes]:
        """All that was written since the last call, which is the end of it."""
        end = self._file.tell()
        self._file.seek(0)
        while piece := self._file.read(CHUNK):
            yield piece
        self._begin += end
        self._file.seek(0)
        self._file.truncate()
