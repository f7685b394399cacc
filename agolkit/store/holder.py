"""Who holds a store: what its lock says of the run, and whether that run still lives."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agolkit.model import counted


@dataclass(frozen=True, slots=True)
class Holder:
    """The run that holds a store, and whether it shows life."""

    facts: Mapping[str, Any]
    """What the lock says: `run_id`, `who`, `host`, `pid`, `since`, `renewed`; nothing where a crash tore it."""
    silent: float
    """Seconds since its last sign of life, by the store's own clock."""
    lives: bool | None
    """Whether its process lives on this computer; `None` where that cannot be known from here."""

    def __str__(self) -> str:
        said = {"who": "somebody", "host": "a computer", "pid": "?", "since": "?"} | dict(self.facts)
        process = {True: "it still lives", False: "it has ended", None: "whether it lives cannot be told from here"}
        return (
            f"a run of {said['who']} on {said['host']}, process {said['pid']}, since {said['since']}; "
            f"last sign of life {counted(round(self.silent), 'second')} ago, {process[self.lives]}"
        )


def user_name() -> str:
    """Who runs this, for those who find the store locked."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"user {os.getuid()}"


def read_facts(lock: bytes | None) -> dict[str, Any]:
    """The facts of a lock; none where it is absent or was torn by a crash."""
    try:
        facts = json.loads(lock or b"{}")
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def process_space() -> str:
    """Where the ids of processes that we see count: this start of this system, and of a container this container.

    Two containers may have one host name, and a host name outlives a restart: only where both are known (Linux) can it
    be said of another process that it has ended. Elsewhere empty.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except (OSError, ValueError):
        return ""


def lives(facts: Mapping[str, Any]) -> bool | None:
    """Whether the process of a lock lives; `None` where that cannot be known from here.

    An id that another process has been given since counts as living: then the hold ends when it is stale.
    """
    here, pid = process_space(), facts.get("pid")
    if not here or facts.get("process_space") != here or not isinstance(pid, int) or pid <= 0:
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there, but somebody else's
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended, and only its parent has not asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except (OSError, IndexError, ValueError):
        return False
