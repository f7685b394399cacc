"""Who may change one key of a folder at this moment: a file beside it, `<key>.next`, that one process alone can make.

A process that is killed leaves its claim behind. The claim of a process that is known to have ended on this computer is
removed at once, any other when it is ten minutes old. Two that find the same claim must not both remove it: the second
would remove the claim that the first has made since. So whoever removes one first takes the operating system's own lock
on that very file, which ends with its process; where there are no such locks, only age counts.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO

from agolkit.store.flushing import private
from agolkit.store.holder import Holder, lives, process_space, read_facts

if sys.platform != "win32":
    import fcntl

LEFT_OVER_AFTER = 600.0
"""Seconds after which a claim is left over, whoever made it: a claim is held for the blink of an eye."""


def claim_of(path: Path) -> Path:
    """The claim on a file."""
    return path.with_name(path.name + ".next")


def take(claim: Path, age: Callable[[], float | None]) -> bytes | None:
    """What this process has written into a claim of its own; `None` where somebody else has the claim.

    `age` tells how many seconds old the claim is that is there.
    """
    facts = {"host": socket.gethostname(), "pid": os.getpid(), "process_space": process_space(), "id": uuid.uuid4().hex}
    content = json.dumps(facts).encode()
    for is_last in (False, True):
        is_made = False
        try:
            with open(claim, "xb", opener=private) as file:
                is_made = True
                file.write(content)
            return content
        except FileExistsError:
            if is_last or not remove_left(claim, age):
                return None
        except OSError:
            if is_made:  # the disk is full: nobody could tell later whose this empty claim was
                claim.unlink(missing_ok=True)
            raise
    return None


def holds(claim: Path, content: bytes) -> bool:
    """Whether a claim is still the one that this process has written: it may have slept for ten minutes."""
    try:
        return claim.read_bytes() == content
    except FileNotFoundError:
        return False


def find_claimer(claim: Path, age: Callable[[], float | None]) -> Holder | None:
    """Who has made a claim; `None` where there is none."""
    try:
        facts = read_facts(claim.read_bytes())
    except FileNotFoundError:
        return None
    return Holder(facts, age() or 0.0, lives(facts))


def remove_left(claim: Path, age: Callable[[], float | None], left_over_after: float = LEFT_OVER_AFTER) -> bool:
    """Remove a claim that a killed process has left; whether there is none now, or `False` where it may be in use.

    Race-free among the processes of one computer, where it has file locks.
    """
    try:
        file = claim.open("r+b")
    except FileNotFoundError:
        return True
    with file:
        alone = _lock(file)
        is_dead = lives(read_facts(file.read())) is False and alone
        if alone is False or not (is_dead or (age() or 0.0) > left_over_after):
            return False
        try:
            if os.fstat(file.fileno()).st_ino != claim.stat().st_ino:
                return False  # somebody else has removed it, and a third has made a new one
            if sys.platform == "win32":
                file.close()  # no open file can be removed there
            claim.unlink()
        except FileNotFoundError:
            pass
        return True


def _lock(file: IO[bytes]) -> bool | None:
    """Whether no other process of this computer removes this file; `None` where that cannot be known."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # not every network share has locks
        return None
    return True
