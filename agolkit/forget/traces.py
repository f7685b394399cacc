"""What the backups and the zips of a store hold of some items."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agolkit.errors import StoreError
from agolkit.layout import OWN_NAMES, folder_ending
from agolkit.store import Store
from agolkit.unneeded import hashes_in, lines_of, sound_backups, tells_of
from agolkit.zips import PublishedZip, items_in_zip, read_zips


@dataclass(slots=True)
class Trace:
    """What one backup holds of one item."""

    backup: str
    item_id: str
    title: str = ""
    type: str = ""
    owner: str = ""
    parts: int = 0
    blobs: set[bytes] = field(default_factory=set)
    """Of all that its lists say of the item, those that a run took up included."""


@dataclass(frozen=True, slots=True)
class ZipTrace:
    """What one published zip holds of some items."""

    zip: PublishedZip
    items: Mapping[str, int | None]
    """Ids, each with the number of its files; `None` where only the backup says that the zip has it."""
    is_known: bool = True
    """Otherwise the zip cannot be read, and may hold any item."""


def find_in_zips(store: Store, item_ids: Collection[str], traces: Collection[Trace]) -> list[ZipTrace]:
    """The zips that hold some of these items, and those of which nobody can say; `traces` is what the backups hold."""
    found = []
    for each in read_zips(store):
        try:
            found.append(ZipTrace(each, items_in_zip(store, each.name, item_ids)))
        except StoreError:
            items = {trace.item_id: None for trace in traces if trace.backup == each.backup}
            found.append(ZipTrace(each, items, is_known=bool(items)))
    return [each for each in found if each.items or not each.is_known]


def find_traces(store: Store, item_ids: Collection[str]) -> Iterator[Trace]:
    """What each backup holds of each of these items, the oldest first; nothing where it holds nothing.

    Raises `StoreDamaged` where a backup cannot be read.
    """
    for name in sound_backups(store):
        found: dict[str, Trace] = {}
        for line in lines_of(store, name):
            if tells_of(line, item_ids):
                _note(found, name, line, item_ids)
        for item_id in item_ids:
            if item_id not in found and next(tree_folders(store, name, [item_id]), None):
                found[item_id] = Trace(name, item_id)  # shown by a run that was killed before it said so
        yield from (found[item_id] for item_id in sorted(found))


def tree_folders(store: Store, backup: str, item_ids: Collection[str]) -> Iterator[str]:
    """The keys of the folders that a tree has of these items, whatever they were called."""
    endings = tuple(map(folder_ending, item_ids))
    for kind in store.names(f"backups/{backup}"):
        key = f"backups/{backup}/{kind}"
        if kind.casefold() not in OWN_NAMES and store.size(key) is None:
            yield from (f"{key}/{name}" for name in store.names(key) if name.endswith(endings))


def _note(found: dict[str, Trace], backup: str, line: str, item_ids: Collection[str]) -> None:
    facts: dict[str, Any] = json.loads(line)
    item = facts.get("item")
    for item_id in [item["id"]] if item else [each for each in item_ids if json.dumps(each) in line]:
        trace = found.setdefault(item_id, Trace(backup, item_id))
        trace.blobs.update(hashes_in(line))
        if item:
            trace.title, trace.type, trace.owner = item["title"], item["type"], item["owner"]
            trace.parts = len(facts["parts"])
