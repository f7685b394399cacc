"""Zip archives, read with bounds: who uploads one does not decide how much memory and time that takes."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from agolkit.errors import CheckFailed
from agolkit.progress import beat
from agolkit.store import Spool

ZIP = b"PK\x03\x04"
UNPACKED, MOST_TIMES = 10 << 30, 100
"""A zip that unpacks to more bytes than this, and to more times its own size, is not unpacked: it would take days."""
LONGEST_LIST = 64 << 20
"""Bytes of an archive's list of files, which is in memory as a whole: half a million files or more."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The compression that every zip tool writes. Of the others Python unpacks a piece whole, which may have gigabytes."""
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)
"""What comes up where the bytes of an archive are not what they should be."""


@contextmanager
def open_archive(stream: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    """The archive in a stream, in which nothing is larger or stranger than can be read.

    Raises
    ------
    NotImplementedError
        It is sound as far as one can see, but larger, or made in another way, than what is unpacked here. Final.
    zipfile.BadZipFile, ValueError
        It is no archive, or is damaged.
    """
    with zipfile.ZipFile(_Listed(stream)) as archive:
        members = archive.infolist()
        if strange := next((each for each in members if each.compress_type not in METHODS), None):
            raise NotImplementedError(f"{strange.filename} is compressed by method {strange.compress_type}")
        unpacked, packed = sum(each.file_size for each in members), stream.seek(0, 2)
        if unpacked > max(UNPACKED, MOST_TIMES * packed):
            raise NotImplementedError(f"it would unpack to {unpacked:,} bytes")
        yield archive


def is_zip(spool: Spool) -> bool:
    """Whether the content begins like a zip."""
    with spool.open() as stream:
        return stream.read(4) == ZIP


def proven_members(spool: Spool) -> int:
    """Number of files in the zip, after the check sum of each was compared with its bytes.

    Raises
    ------
    CheckFailed
        The zip is cut off, a member is damaged or cannot be read without a password, or it unpacks to far more than
        any data would. Fetching it again may help.
    """
    try:
        with spool.open() as stream, open_archive(stream) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            for info in members:
                with archive.open(info) as member:
                    while member.read(1 << 20):
                        beat()
            return len(members)
    except NotImplementedError as error:
        raise CheckFailed(f"the zip cannot be tested ({error}).") from None
    except (*DAMAGED, OSError, ValueError, RuntimeError) as error:
        raise CheckFailed(f"the zip is damaged or encrypted ({error}).") from None


def read_member(archive: zipfile.ZipFile, name: str, *, most: int) -> bytes:
    """One file of the archive.

    Raises
    ------
    CheckFailed
        It has more than `most` bytes. Fetching it again does not help.
    """
    with archive.open(name) as member:
        content = member.read(most + 1)
    if len(content) > most:
        raise CheckFailed(f"{name} in the package has more than {most:,} bytes.")
    return content


class _Listed:
    """The stream of an archive whose list of files is not too long: it is the one thing that is read in one piece."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1) -> bytes:
        if size > LONGEST_LIST:
            raise NotImplementedError(f"its list of files has {size:,} bytes")
        return self._stream.read(size)
