"""Where one transfer waits until it is complete and hashed."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO

from agolkit.errors import StoreError, StoreFull, TooLarge
from agolkit.model import in_bytes

CHUNK = 1 << 20
IN_MEMORY = 1 << 20
RESERVE = 64 << 20
"""Bytes of a disk that are left free: of the scratch folder's, because it may be the system's; of the store's, so that
a run that finds no room can still say in the journal what it has saved."""
CHECK_EVERY = 4 << 20
"""Bytes between two looks at the disk: sixteen transfers at once write no more than the reserve between them."""
ADVICE = "What is saved stays readable; make room there, or name another folder with the option scratch."
SHARE = 20
"""The reserve is no more than this part of a disk, which may be a small one."""


def room_on(folder: Path) -> int | None:
    """Bytes that may be written to the disk of `folder` before its reserve begins; `None` where it does not say."""
    total, _used, free = shutil.disk_usage(folder)
    return free - min(RESERVE, total // SHARE) if total else None


class Spool:
    """The bytes of one file on their way into a store: a `Sink` that counts and hashes what is written.

    Up to 1 MiB stays in memory; more goes to a file in `scratch` that only the owner can read, and that is gone when
    the spool is closed. One thread at a time.

    Raises
    ------
    StoreFull
        The disk of the scratch folder is full or nearly so. Trying again helps once there is room.
    """

    def __init__(
        self, scratch: Path | None = None, *, in_memory: int = IN_MEMORY, room: Callable[[Path], int | None] = room_on
    ) -> None:
        self._scratch = scratch or Path(tempfile.gettempdir())
        self._in_memory = in_memory
        self._room = room
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._path: Path | None = None
        self._is_ours = False
        self._hash = hashlib.sha256()
        self._room_until = 0
        self.size = 0
        """Bytes written so far."""

    @classmethod
    def over(cls, path: Path) -> Spool:
        """A spool whose content is a file that is there already; the file is the spool's from now on."""
        spool = cls(path.parent)
        with spool._scratch_trouble(), path.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                spool._hash.update(chunk)
                spool.size += len(chunk)
        spool._path, spool._is_ours = path, True
        return spool

    @property
    def sha256(self) -> str:
        """SHA-256 of what was written so far, in hexadecimal."""
        return self._hash.hexdigest()

    def write(self, chunk: bytes, /) -> int:
        """Add bytes at the end."""
        with self._scratch_trouble():
            if self._path is None and self.size + len(chunk) > self._in_memory:
                self._go_to_disk()
            if self._file is not None:
                self._check_room(len(chunk))
                self._file.write(chunk)
            else:
                self._memory += chunk
        self._hash.update(chunk)
        self.size += len(chunk)
        return len(chunk)

    def expect(self, size: int) -> None:
        """Look now whether there is room for so many bytes, rather than when the disk is full of them.

        Raises
        ------
        TooLarge
            There is not, although the disk is not nearly full: other content has room.
        """
        if size <= self._in_memory:
            return
        with self._scratch_trouble():
            self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
            room = self._room(self._scratch)
        if room is not None and room < size:
            raise (TooLarge if room > RESERVE else StoreFull)(self._no_room(size, room))

    def restart(self) -> None:
        """Forget everything written: the transfer begins again."""
        self.close()
        self._memory = bytearray()
        self._hash = hashlib.sha256()
        self._room_until = 0
        self.size = 0

    def read(self) -> bytes:
        """All of it. For small content; use `open` for anything else."""
        with self.open() as stream:
            return stream.read()

    def open(self) -> IO[bytes]:
        """A stream over what was written; writing is over."""
        path = self.on_disk()
        return io.BytesIO(self._memory) if path is None else path.open("rb")

    def path(self) -> Path:
        """A real file with the content, for readers that need one (zipfile, GDAL); writing is over."""
        with self._scratch_trouble():
            if self._path is None:
                self._go_to_disk()
        path = self.on_disk()
        assert path is not None
        return path

    def on_disk(self) -> Path | None:
        """The file, complete, if the content went to one; writing is over."""
        if self._file is not None:
            with self._scratch_trouble():
                self._file.close()
            self._file = None
        return self._path

    def moved(self, path: Path) -> None:
        """Note that the store has taken the file and keeps it at `path`; reading goes on from there."""
        self._path = path
        self._is_ours = False

    def close(self) -> None:
        """Remove the file, unless a store has taken it."""
        if self._file is not None:
            self._file.close()
        if self._path is not None and self._is_ours:
            self._path.unlink(missing_ok=True)
        self._file = self._path = None

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _go_to_disk(self) -> None:
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix="agolkit-", dir=self._scratch)
        self._file = os.fdopen(handle, "wb")
        self._path = Path(name)
        self._is_ours = True
        self._check_room(len(self._memory))
        self._file.write(self._memory)
        self._memory = bytearray()

    def _check_room(self, coming: int) -> None:
        if self.size + coming <= self._room_until:
            return
        room = self._room(self._scratch)
        if room is not None and room < coming:
            raise StoreFull(self._no_room(coming, room))
        self._room_until = self.size + coming + CHECK_EVERY

    def _no_room(self, size: int, room: int) -> str:
        return (
            f"The scratch folder {self._scratch} has no room for {in_bytes(size)}: {in_bytes(max(0, room))} of its "
            f"disk may be used, the rest is left free. {ADVICE}"
        )

    @contextmanager
    def _scratch_trouble(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            what = "is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"cannot be used ({error.strerror})"
            trouble = StoreFull if what == "is full" else StoreError
            raise trouble(f"The scratch folder {self._scratch} {what}. {ADVICE}") from error


def copy_hashed(source: IO[bytes], target: IO[bytes] | Spool) -> tuple[str, int]:
    """Copy a stream to its end; the SHA-256 and the number of the bytes that went through."""
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK):
        target.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size
