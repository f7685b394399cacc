"""What the operating system's errors mean for a store, in words for people."""

from __future__ import annotations

import errno
from pathlib import Path

from agolkit.errors import StoreError, StoreFull

FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
NO_FOLDER = (errno.ENOTDIR, errno.EEXIST)
LOST = (errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENODEV, errno.ENXIO)
"""What a share gives whose server is gone, or a disk that was pulled out."""


def in_words(error: OSError, root: Path) -> StoreError:
    """The error to raise for what happened to the store in the folder `root`."""
    if error.errno in FULL:
        return StoreFull(
            f"The disk of the store {root} is full. What is saved stays readable; make room and run again."
        )
    where = error.filename or root
    if error.errno in CLOSED:
        advice = f"{where} may not be read or written by this account. Grant it that, or name another folder."
    elif error.errno in NO_FOLDER:
        advice = f"{where} is a file, and not a folder. Name another folder."
    elif error.errno == errno.ENOENT:
        advice = f"{where} has vanished. Is the disk still there, or does something else clear the folder?"
    elif error.errno in LOST:
        advice = f"{where}: {error.strerror}. The disk or network share is gone; connect it again, and run again."
    else:
        advice = f"{where}: {error.strerror}."
    return StoreError(f"The store {root} cannot be used: {advice}")
