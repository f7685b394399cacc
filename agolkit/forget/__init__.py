"""The end of one item's data in all backups and zips of a store, with a note of what was removed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from agolkit.errors import NoSuchBackup, UsageError
from agolkit.forget.rewriting import rewrite, seal
from agolkit.forget.traces import Trace, ZipTrace, find_in_zips, find_traces
from agolkit.model import counted, to_stamp
from agolkit.store import Store
from agolkit.store.holder import user_name
from agolkit.store.removal import finish_removals
from agolkit.unneeded import find_needed, remove_unneeded, sound_backups, sound_summary
from agolkit.zips import remove_zips

if TYPE_CHECKING:
    import pandas

__all__ = ["Forgotten", "forget", "plan_forget"]

Note = Mapping[str, str]

_TEXTS = ("backup", "item_id", "title", "type", "owner")
_NUMBERS = ("parts", "shared", "bytes")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was forgotten. `str()` and `repr()` say it in plain words, without a title."""

    store: str
    items: tuple[str, ...]
    """Ids."""
    backups: tuple[str, ...]
    """Those that held one of the items."""
    blobs: int
    """Files that were deleted, because no backup needs them any more."""
    bytes: int
    shared: int
    """Files of the items that stay, because other items have the same content."""
    zips: tuple[str, ...] = ()
    """Published zips that held one of the items, and were removed."""
    unread_zips: tuple[str, ...] = ()
    """Published zips that cannot be read: they may hold the items, and stay."""

    def __str__(self) -> str:
        lines = [
            f"{counted(len(self.items), 'item')} removed from {counted(len(self.backups), 'backup')} of {self.store}: "
            f"{counted(self.blobs, 'file')} deleted, {self.bytes:,} bytes. backup.json of each has a note of it."
        ]
        if self.shared:
            lines.append(f"Kept, because other items have the same content: {counted(self.shared, 'file')}.")
        if self.zips:
            lines.append(
                f"Removed, because they held them: {', '.join(self.zips)}. `agolkit zip` publishes a backup that is "
                "still there again, without them."
            )
        if self.unread_zips:
            lines.append(unread_advice(self.unread_zips))
        return "\n".join([*lines, _ADVICE])

    __repr__ = __str__


def unread_advice(zips: Iterable[str]) -> str:
    """What is to be said of zips that cannot be read."""
    return (
        f"These zips cannot be read now, may hold the item, and stay: {', '.join(zips)}. Make them readable (thaw what "
        "is in an archive) and do it again, or delete them."
    )


_ADVICE = (
    "An item that is still in the portal is saved again by the next backup: delete it there, or name it in the option "
    "exclude_ids. Copies elsewhere (fetched folders and zips, downloads, copies of the store) are not touched."
)


def plan_forget(store: Store, item_ids: Iterable[str]) -> pandas.DataFrame:
    """What `forget` would remove: one row per backup and item, the oldest backup first, and then one per published zip
    and item. Changes nothing.

    Columns: `backup`, `item_id`, `title`, `type`, `owner`, `parts`, `shared` (how many of its files stay, because
    other items have the same content), `bytes` (those of the files that would be deleted; of a file that several
    backups hold, in the first of its rows, so that the sum is what is gained). The numbers are `Int64`. Items of a
    removal that has not come to its end are listed too. In the rows of zips `backup` is where the zip is (`zips/…`),
    and `bytes` its size. One that cannot be read may hold the items, and stays: it has a row without any.

    Raises
    ------
    NoSuchBackup
        No backup and no zip has one of the items. Final.
    StoreDamaged
        A backup cannot be read. Trying again helps when it is repaired, or moved out of the store.
    """
    import pandas

    traces, _, zips = _look(store, item_ids)
    needed = find_needed(store, without={trace.item_id for trace in traces})
    rows: list[tuple[str | int | None, ...]] = []
    told = set[bytes]()
    for trace in traces:
        going = trace.blobs - needed
        size = sum(store.blob_size(digest.hex()) or 0 for digest in going - told)
        told |= going
        about = trace.backup, trace.item_id, trace.title, trace.type, trace.owner
        rows.append((*about, trace.parts, len(trace.blobs & needed), size))
    for each in zips:
        if not each.is_known:
            rows.append((each.zip.key, "", "", "", "", None, None, None))
        for number, item_id in enumerate(sorted(each.items)):
            size = 0 if number else each.zip.bytes
            rows.append((each.zip.key, item_id, "", "", "", each.items[item_id], 0, size))
    table = pandas.DataFrame(rows, columns=[*_TEXTS, *_NUMBERS])
    return table.astype(dict.fromkeys(_TEXTS, str) | dict.fromkeys(_NUMBERS, "Int64"))


def forget(store: Store, item_ids: Iterable[str], *, reason: str = "") -> Forgotten:
    """Remove everything that a store holds of some items, from all backups, and leave a note with the `reason`.

    Published zips that hold one of the items are removed; those that cannot be read are named in what is returned.

    Lists, logs, reports, trees and journals lose the items; executed notebooks lose their outputs; then every blob goes
    that no backup needs. All other items stay as they were saved. A removal that was interrupted is finished by the
    next call, whatever items that names. It needs the right to delete in the store.

    Raises
    ------
    NoSuchBackup
        No backup has one of the items. Nothing was changed. Final.
    StoreDamaged
        A backup cannot be read, so that nobody knows what it needs. Nothing was deleted. Trying again helps when it is
        repaired, or moved out of the store.
    StoreBusy
        A run holds the store. Trying again helps when it has ended.
    StoreError
        The store cannot be written. Trying again, with the rights or the room that it lacks, finishes the removal.
    """
    asked = _named(item_ids)
    if not store.backup_names():
        raise NoSuchBackup(f"The store {store.location} has no backup.")
    who = user_name()
    with store.lock(uuid.uuid4().hex[:12], who) as lease:
        finish_removals(store, lease)  # what is left of a backup may hold the items too
        traces, pending, zips = _look(store, asked)
        lease.check()
        gone = [each.zip for each in zips if each.is_known]
        remove_zips(store, [each.name for each in gone])  # first: what is left to do is then known from the backups
        items = {trace.item_id for trace in traces}
        shared = len(set[bytes]().union(*(trace.blobs for trace in traces)) & find_needed(store, without=items))
        now = to_stamp(datetime.now(UTC).replace(microsecond=0))
        left: list[dict[str, Any]] = []
        for backup, about in groupby(traces, key=lambda trace: trace.backup):
            lease.check()
            begun = {note["item_id"]: note for note in pending.get(backup, ())}
            notes = [
                begun.get(each.item_id, {"item_id": each.item_id, "when": now, "who": who, "reason": reason})
                for each in about
            ]
            left.append(rewrite(store, backup, notes))
        removed = remove_unneeded(store, lease)
        for facts in left:
            lease.check()
            seal(store, facts)
    backups = tuple(facts["name"] for facts in left)
    return Forgotten(
        store.location,
        tuple(sorted(items.union(*(each.items for each in zips)))),
        backups,
        removed.blobs,
        removed.bytes,
        shared,
        tuple(each.key for each in gone),
        tuple(each.zip.key for each in zips if not each.is_known),
    )


def _look(store: Store, item_ids: Iterable[str]) -> tuple[list[Trace], dict[str, list[Note]], list[ZipTrace]]:
    """What the backups hold of the items, and of those whose removal has not come to its end; the notes of the latter,
    by backup; what the zips hold of all these."""
    asked = _named(item_ids)
    pending: dict[str, list[Note]] = {}
    done: dict[str, str] = {}
    for name in sound_backups(store):
        facts = sound_summary(store, name)
        done |= {note["item_id"]: note["when"] for note in facts.get("forgotten", ())}
        if "forgetting" in facts:
            pending[name] = facts["forgetting"]["items"]
    begun = {(name, note["item_id"]): Trace(name, note["item_id"]) for name in pending for note in pending[name]}
    wanted = asked | {item_id for _, item_id in begun}
    found = begun | {(trace.backup, trace.item_id): trace for trace in find_traces(store, wanted)}
    zips = find_in_zips(store, wanted, found.values())
    missing = sorted(asked - {item_id for _, item_id in found} - {item_id for each in zips for item_id in each.items})
    if not (found or any(each.items for each in zips)) or not done.keys() >= set(missing):
        before = [f" {each} was forgotten on {done[each]}." for each in missing if each in done]
        raise NoSuchBackup(f"No backup in {store.location} has the item {', '.join(missing)}.{''.join(before)}")
    return [found[key] for key in sorted(found)], pending, zips


def _named(item_ids: Iterable[str]) -> set[str]:
    asked = {item_ids} if isinstance(item_ids, str) else set(item_ids)
    if not asked or "" in asked:
        raise UsageError("Name the items to forget, by their ids.")
    return asked
