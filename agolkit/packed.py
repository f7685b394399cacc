"""Gzip, read with bounds: a few kilobytes of it can hold gigabytes, and a line of text can have no end."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

LONGEST_LINE = 256 << 20
"""Bytes of one line, such as the row of a layer with all its vertices."""
MOST_TIMES = 100
"""What lists hashes and ids does not shrink to a hundredth: a list that unpacks to more is none."""
CHUNK = 1 << 20
SMALL = 64 << 20
"""Bytes that are unpacked whatever they are packed in."""


def unpacked(content: bytes, *, most: int | None = None) -> bytes:
    """What is packed in `content`: at most `most` bytes, or else a hundred times what it is packed in.

    Raises
    ------
    ValueError
        It is no whole gzip, or holds more than that. Final.
    """
    limit = _most(content) if most is None else most
    found = io.BytesIO()
    with _in_one_word(), gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
        while chunk := stream.read(CHUNK):  # asked for all at once, it would take the room of `limit` bytes first
            found.write(chunk)
            _check_most(found.tell(), limit)
    return found.getvalue()


def unpacked_list(content: bytes) -> Iterator[bytes]:
    """The lines of a packed list of a backup, one in memory at a time; bounds and errors are those of `unpacked`."""
    limit, size = _most(content), 0
    for line in unpacked_lines(io.BytesIO(content), longest=SMALL):
        size += len(line)
        _check_most(size, limit)
        yield line


def unpacked_lines(packed: IO[bytes], *, longest: int | None = None) -> Iterator[bytes]:
    """The lines of a packed text, one in memory at a time.

    Raises
    ------
    ValueError
        It is no whole gzip, or has a line of more than `longest` bytes (256 MiB, unless said). Final.
    """
    longest = longest or LONGEST_LINE
    with _in_one_word(), gzip.GzipFile(fileobj=packed) as stream:
        while line := stream.readline(longest + 1):
            if len(line) > longest:
                raise ValueError(f"it has a line of more than {longest:,} bytes")
            yield line


def _most(content: bytes) -> int:
    return max(SMALL, MOST_TIMES * len(content))


def _check_most(size: int, most: int) -> None:
    if size > most:
        raise ValueError(f"it unpacks to more than {most:,} bytes")


@contextmanager
def _in_one_word() -> Iterator[None]:
    """One error for the three that `gzip` has for what is damaged."""
    try:
        yield
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"it is no whole gzip ({error})") from error
