"""Files and names that survive a power cut."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def private(path: str, flags: int) -> int:
    """Opens a file that only its owner can read: for the argument `opener` of `open`."""
    return os.open(path, flags, 0o600)


def write_new(path: Path, content: bytes) -> None:
    """Make a file that must not be there yet; its content survives a power cut."""
    with open(path, "xb", opener=private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_file(path: Path) -> None:
    """Return when the content of a file survives a power cut."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Return when the names in a folder survive a power cut."""
    if os.name == "nt":
        return  # Windows has no call for it; NTFS keeps names in its own journal
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems flush files only
            raise
    finally:
        os.close(handle)
