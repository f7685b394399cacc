"""Blobs that are missing or not what they were: their content from wherever else it is, or their place made free.

A blob whose content is not what its name says is taken out of `blobs/`, so that no run relies on it and the next one
that meets the content saves it anew. What it held goes to `damaged/`, for a person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from agolkit.layout import tree_path
from agolkit.model import Blob
from agolkit.repair.findings import Action, Finding, Mend
from agolkit.repair.lists import Content
from agolkit.store import Draft, Spool, Store
from agolkit.store.blobs import blob_key
from agolkit.store.spool import CHUNK, copy_hashed

THREADS = 8
ASIDE = "damaged"
"""The folder for what was taken out of `blobs/`."""

SAVED_ANEW = "the next backup saves it anew, if the portal still has it"
_MOVE_AWAY = "repair again when it can be, or bring the store to another disk with `agolkit copy`"


class Use(NamedTuple):
    """Where a damaged blob is needed."""

    backup: str
    tree: str
    item_id: str
    title: str
    path: str
    """Of the part."""
    tree_path: str

    @property
    def key(self) -> str:
        """Of the file in the tree."""
        return f"backups/{self.backup}/{self.tree_path}"


@dataclass(frozen=True)
class Bad:
    """A blob that is not what backups need."""

    blob: Blob
    what: str
    uses: list[Use]


def find_bad(store: Store, contents: Sequence[Content], *, deep: bool) -> dict[str, Bad]:
    """The blobs that backups need and that are not as they should be, by hash; with `deep` each is read."""
    needed = {part.blob.sha256: part.blob for each in contents for outcome in each.outcomes() for part in outcome.parts}
    held = {each.sha256: each for each in store.stored()}

    def look(blob: Blob) -> str:
        found = held.get(blob.sha256)
        if found is None:
            return "it is missing"
        if found.size != blob.size:
            return f"it has {found.size:,} bytes instead of {blob.size:,}"
        is_archived = found.tier and not store.at_hand(blob)
        return _changed(store, blob) if deep and not is_archived else ""

    with ThreadPoolExecutor(THREADS) as pool:
        troubles = zip(needed.values(), pool.map(look, needed.values()), strict=True)
        bad = {blob.sha256: Bad(blob, what, []) for blob, what in troubles if what}
    for content in contents if bad else ():
        for outcome in content.outcomes():
            for part in outcome.parts:
                if part.blob.sha256 in bad:
                    item, shown = outcome.item, tree_path(outcome.item, part)
                    use = Use(content.name, content.tree, item.id, item.title, part.path, shown)
                    bad[part.blob.sha256].uses.append(use)
    return bad


def mend_blobs(store: Store, bad: Mapping[str, Bad], other: Store | None) -> Iterator[Mend]:
    """A step for each of these blobs."""
    for each in bad.values():
        key = _key_of_content(store, each)
        if key:
            yield Mend(_findings(each, "restore", f"from {key}"), partial(_restore, store, each, store, key))
        elif other and other.at_hand(each.blob):
            key, how = blob_key(each.blob.sha256), f"from {other.location}"
            yield Mend(_findings(each, "restore", how), partial(_restore, store, each, other, key))
        elif store.blob_size(each.blob.sha256) is None:
            yield Mend(_findings(each, "lost", SAVED_ANEW))
        else:
            how = f"moved to {ASIDE}/{each.blob.sha256}; {SAVED_ANEW}"
            yield Mend(_findings(each, "set aside", how), partial(_set_aside, store, each))


def _findings(bad: Bad, action: Action, how: str) -> tuple[Finding, ...]:
    """One for each item that needs the blob."""
    found = []
    for item_id in dict.fromkeys(use.item_id for use in bad.uses):
        uses = [use for use in bad.uses if use.item_id == item_id]
        paths = list(dict.fromkeys(use.path for use in uses))
        what = f"{bad.what} (part{'s' if len(paths) > 1 else ''} {', '.join(paths)})"
        backups = tuple(dict.fromkeys(use.backup for use in uses))
        found.append(Finding(blob_key(bad.blob.sha256), what, action, how, backups, item_id, uses[-1].title))
    return tuple(found)


def _key_of_content(store: Store, bad: Bad) -> str:
    """The key of a file of the store that still has the content; empty where there is none."""
    number = 2
    while store.size(key := blob_key(bad.blob.sha256, number)) is not None:
        if holds(store, key, bad.blob):
            return key
        number += 1
    for use in bad.uses:
        # A link to the damaged blob itself is as damaged.
        is_there = store.size(use.key) == bad.blob.size and not store.is_linked(bad.blob.sha256, use.key)
        if is_there and holds(store, use.key, bad.blob):
            return use.key
    return ""


def _restore(store: Store, bad: Bad, source: Store, key: str) -> tuple[Action, str] | None:
    """Put the content back in its place; links to what was there before are made anew."""
    with Spool() as spool:
        try:
            with source.open(key) as stream:
                found, _ = copy_hashed(stream, spool)
        except OSError:
            found = ""
        if found != bad.blob.sha256:  # it was there with its size, and that of another store is read only now
            instead = _set_aside(store, bad) if store.blob_size(bad.blob.sha256) is not None else None
            return instead or ("lost", f"{key} in {source.location} is damaged too; {SAVED_ANEW}")
        store.keep(blob_key(bad.blob.sha256), spool, read_only=True)
    store.flush()
    for use in bad.uses:
        if use.tree != "none" and not store.is_linked(bad.blob.sha256, use.key):
            show(store, use.backup, use.tree, use.tree_path, bad.blob)
    store.flush()
    return None


def _set_aside(store: Store, bad: Bad) -> tuple[Action, str] | None:
    """Move a blob to where nothing looks for it, and take it out of the trees that show it.

    It is read once more. One that is whole then, or that cannot be read to its end, stays where it is: a lost network
    share or a loose cable looks like damage, and no copy of it could be made.
    """
    sha256 = bad.blob.sha256
    with Spool() as spool:
        try:
            with store.open_blob(sha256) as stream:
                found, _ = copy_hashed(stream, spool)
        except OSError as error:
            return "lost", f"left in its place, because it cannot be read ({error.strerror}); {_MOVE_AWAY}"
        if found == sha256:
            return "restore", "left in its place, because it is whole when it is read again; the disk may be failing"
        store.keep(f"{ASIDE}/{sha256}", spool)
    store.flush()
    for use in bad.uses:
        if store.is_linked(sha256, use.key):
            store.remove(use.key)
    store.remove_blobs([sha256])
    store.flush()
    return None


def show(store: Store, backup: str, tree: str, path: str, blob: Blob) -> None:
    """Show a blob in a tree, in the place of what is there."""
    store.remove(f"backups/{backup}/{path}")
    Draft(store, backup, tree="copy" if tree == "copy" else "links").link(path, blob)


def _changed(store: Store, blob: Blob) -> str:
    try:
        return "" if _digest(store, blob_key(blob.sha256)) == blob.sha256 else "its content was changed"
    except OSError as error:
        return f"it cannot be read ({error.strerror}); the disk may be failing"


def holds(store: Store, key: str, blob: Blob) -> bool:
    """Whether the content of a key can be read and is that of a blob."""
    try:
        return _digest(store, key) == blob.sha256
    except OSError:
        return False


def _digest(store: Store, key: str) -> str:
    digest = hashlib.sha256()
    with store.open(key) as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
