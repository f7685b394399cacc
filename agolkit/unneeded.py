"""Which blobs no backup of a store needs any more, and their end. Nothing else deletes a blob.

A blob is needed while any backup of any scope refers to it: finished, stopped, killed, taken up by another run. Every
list of every backup is read before the first blob goes. One that cannot be read may refer to anything: then all stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from agolkit.errors import StoreDamaged
from agolkit.journal import journal_lines
from agolkit.layout import OWN_NAMES, is_backup_name
from agolkit.manifest import manifest_lines
from agolkit.store import Lease, Store
from agolkit.store.seal import is_sealed

# Whatever looks like a hash keeps its blob, also in a field that only a later version of the format has.
_HASH = re.compile('"([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True)
class Removed:
    """What was deleted of a store."""

    blobs: int
    bytes: int


def remove_unneeded(store: Store, lease: Lease) -> Removed:
    """Delete every blob that no backup needs; how many there were.

    What referred to them must be gone before. A crash leaves blobs that the next call deletes, and nothing else.

    Raises
    ------
    StoreDamaged
        A backup cannot be read, so that nobody knows what it needs; nothing was deleted. Trying again helps when that
        is repaired, or moved out of the store.
    StoreBusy
        The lease was lost; no blob was deleted after that.
    """
    store.flush()  # a power cut must not bring back what refers to a blob that is gone
    needed = find_needed(store)
    unneeded = [sha256 for sha256 in store.blobs() if bytes.fromhex(sha256) not in needed]
    size = 0
    for start in range(0, len(unneeded), store.removed_together):
        lease.check()  # each time: where this computer slept, another run may rely on the blobs by now
        size += store.remove_blobs(unneeded[start : start + store.removed_together])
    store.flush()
    return Removed(len(unneeded), size)


def find_needed(store: Store, *, without: Collection[str] = ()) -> set[bytes]:
    """The hashes, as 32 bytes each, of all blobs that any backup refers to; `without` the items of these ids.

    Raises `StoreDamaged` where a backup cannot be read.
    """
    needed: set[bytes] = set()
    for name in sound_backups(store):
        for line in lines_of(store, name):
            if not (without and tells_of(line, without)):
                needed.update(hashes_in(line))
    return needed


def sound_backups(store: Store) -> list[str]:
    """The names of all backups, oldest first; `StoreDamaged` where something beside them may be one too."""
    for name in store.names("backups"):
        if is_backup_name(name) or store.size(f"backups/{name}") is not None:
            continue
        if any(is_backup_name(each) or each.casefold() in OWN_NAMES for each in store.names(f"backups/{name}")):
            raise StoreDamaged(
                f"backups/{name} holds a backup, and its name is none that a backup has: what it needs is not known, "
                "and nothing was deleted. Put it back in its place (its name is in its backup.json), or move it out "
                f"of the store {store.location}."
            )
    return store.backup_names()


def sound_summary(store: Store, name: str) -> dict[str, Any]:
    """What is known of a backup as a whole; `StoreDamaged` where that is not what was written."""
    with _advice(store, name):
        content = store.find(f"backups/{name}/backup.json")
        if content and not is_sealed(content):
            raise StoreDamaged(f"The backup {name} has a backup.json that was changed.")
        facts = store.summary(name)
        if facts["state"] == "unfinished" and _has_lost_its_beginning(store, name):
            raise StoreDamaged(f"The backup {name} has lost the beginning of its journal.")
        return facts


def lines_of(store: Store, name: str) -> Iterator[str]:
    """Every line of the manifest and of the journal of a backup that counts; `StoreDamaged` where one is not whole."""
    facts = sound_summary(store, name)
    if facts["state"] == "removed":
        return
    with _advice(store, name):
        if facts["state"] != "complete":  # the next run may go on with a stopped one, and reads its journal
            yield from map(json.dumps, journal_lines(store, name))
        if facts["state"] != "unfinished":
            yield from (line.decode() for line in manifest_lines(store, facts))


def tells_of(line: str, item_ids: Collection[str]) -> bool:
    """Whether a line of a manifest or a journal is about one of these items."""
    if not any(json.dumps(item_id) in line for item_id in item_ids):
        return False
    facts: Mapping[str, Any] = json.loads(line)
    if "item" in facts:
        return facts["item"]["id"] in item_ids
    # How a run began may name an item to leave out, and what it announced must still be removed from the portal.
    return not facts.keys() & {"run", "resumed", "announced"}


def hashes_in(line: str) -> Iterator[bytes]:
    """The hashes, as 32 bytes each, of the blobs that a line refers to."""
    return map(bytes.fromhex, _HASH.findall(line))


def _has_lost_its_beginning(store: Store, name: str) -> bool:
    """A run writes the first line of its journal before anything else; a crash leaves that, or an empty folder."""
    has_more = set(store.names(f"backups/{name}")) - {"journal"}
    return bool(has_more) and store.size(f"backups/{name}/journal/000000.jsonl") is None


@contextmanager
def _advice(store: Store, name: str) -> Iterator[None]:
    """Say of a backup that cannot be read what follows from it, and what to do."""
    try:
        yield
    except (StoreDamaged, OSError, ValueError) as error:
        what = str(error) if isinstance(error, StoreDamaged) else f"The backup {name} cannot be read ({error})."
        raise StoreDamaged(
            f"{what} What it needs is not known, and nothing was deleted. `agolkit verify {store.location} {name}` "
            f"says what is damaged: take its files from a copy of the store, or move backups/{name} out of the store."
        ) from error
