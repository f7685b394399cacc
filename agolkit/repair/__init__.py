"""A damaged store made whole again from what is there, from another store, and for the rest from the next backup."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

from agolkit.errors import NoSuchBackup, StoreError
from agolkit.repair.blobs import find_bad, mend_blobs
from agolkit.repair.findings import Finding, Mend, Repaired, frame
from agolkit.repair.lists import Content, look_at_lists
from agolkit.repair.trees import mend_trees
from agolkit.store import Store
from agolkit.store.holder import user_name
from agolkit.store.readme import README
from agolkit.store.seal import is_sealed

if TYPE_CHECKING:
    import pandas

__all__ = ["Finding", "Repaired", "plan_repair", "repair"]


def plan_repair(store: Store, *, deep: bool = False, other: Store | None = None) -> pandas.DataFrame:
    """What is damaged in a store and what `repair` would do about it: one row a finding. Changes nothing.

    Looked at is what all backups need: their lists, blobs and trees. With `deep` every byte is read; without, a file of
    the right size counts as whole, but for manifests. Blobs that no backup needs are not looked at.

    Columns: `where` (a key of the store), `backups` (a list of those that need it), `item_id`, `title`, `what` (is
    wrong), `action`, `how`. The action is `rebuild` (made of what says the same), `restore` (the same bytes are in a
    tree, a copy or `other`), `show` (in the tree, as the blobs have it), `set aside` (moved to `damaged/`, so that the
    next backup saves it anew) or `lost`.

    Parameters
    ----------
    store
        Opened with `damaged=True`, it may be one whose `store.json` is lost.
    other
        A store of the same organization to take from what is lost here.

    Raises
    ------
    NoSuchBackup
        The store has no backup. Final.
    StoreError
        `store.json` is lost and nothing says whose store this is, or `other` is another organization's. Final.
    """
    return frame(_steps(store, deep, other))


def repair(store: Store, *, deep: bool = False, other: Store | None = None) -> Repaired:
    """Mend what `plan_repair` finds, and say what is lost.

    It holds the store meanwhile. It may be interrupted at any moment, and then be called again. No item gets a better
    result than it had. It needs the right to delete where a damaged blob is set aside.

    Raises
    ------
    NoSuchBackup, StoreError
        As `plan_repair`; and where the store is held by a run (`StoreBusy`), full, or may not be written.
    """
    _portal(store, other)  # a folder that is no store gets no lease
    with store.lock(uuid.uuid4().hex[:12], user_name()) as lease:
        found: list[Finding] = []
        for mend in list(_steps(store, deep, other)):
            lease.check()
            found += mend.done()
    lost = [each for each in found if each.action in ("lost", "set aside")]
    return Repaired(store.location, tuple(each for each in found if each not in lost), tuple(lost))


def _steps(store: Store, deep: bool, other: Store | None) -> Iterator[Mend]:
    """All that is to be done, in order: each step needs those before it, and is found again where it was cut short."""
    portal = _portal(store, other)
    if not store.portal_id:
        how = f"made of backups of {portal['name']}"
        what = "it is missing" if store.size("store.json") is None else "it cannot be read"

        def bind() -> None:
            store.remove("store.json")
            store.bind(portal["id"], portal["name"])

        yield Mend((Finding("store.json", what, "rebuild", how),), bind)
    if store.size("README.txt") is None:

        def explain() -> None:
            store.swap("README.txt", None, README.encode())

        yield Mend((Finding("README.txt", "it is missing", "rebuild", "written anew"),), explain)
    contents: list[Content] = []
    for name in store.backup_names():
        content, mends = look_at_lists(store, name, deep=deep, other=other, portal=portal)
        contents += [content] if content else []
        yield from mends
    store.survey()  # it may have been open for weeks
    bad = find_bad(store, contents, deep=deep)
    if bad and other:
        other.survey()
    yield from mend_blobs(store, bad, other)
    yield from mend_trees(store, contents, deep=deep, bad=bad.keys())


def _portal(store: Store, other: Store | None) -> dict[str, str]:
    """Whose store it is: address, id and name, as far as known."""
    names = store.backup_names()
    if not names:
        raise NoSuchBackup(f"The store {store.location} has no backup.")
    if other and store.portal_id:
        other.check_owner(store.portal_id, store.portal_name)
    portal = {"url": "", "id": store.portal_id, "name": store.portal_name}
    for name in reversed(names):
        content = store.find(f"backups/{name}/backup.json")
        if content and is_sealed(content) and (told := json.loads(content).get("portal")):
            portal = {**portal, **told} if told["id"] == store.portal_id or not store.portal_id else portal
            break
    if not portal["id"]:
        raise StoreError(
            f"{store.location} has no store.json that can be read, and no backup in it says whose store it is. Copy "
            "store.json from a copy of the store, or from another store of the same organization."
        )
    if other:
        other.check_owner(portal["id"], portal["name"])
    return portal
