"""Every item in scope, read from the listings to the last page and proven complete against a second count.

An administrator's inventory walks all users, their root and each of their folders: the portal's own listing, which
has no limit. The search index tells a second time, owner by owner, which items there are (of an owner with more than
it shows: how many). The index may lag behind (a new item is not in it yet, a deleted one still is), so the rule is
one-sided: an item that the index knows and the listing does not is looked for, first in the listing again, then by
itself; only where it exists is the listing wrong, and that is an error.

Where an earlier backup has proven a whole organization already, the total count, and a look at each item that it knew
and the listing does not, tell the same at a fraction of the requests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import nullcontext
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from agolkit.addresses import without_secrets
from agolkit.errors import CheckFailed, Forbidden, NotAnAnswer, NotFound, UsageError
from agolkit.model import Folder, Inventory, Item, shown
from agolkit.options import BackupOptions, nearest
from agolkit.portal.client import LOOKS, Portal
from agolkit.progress import Event, Progress, Pulse, beat, pulse_of_job
from agolkit.scope import EXPORT_TAG, apply_scope, narrowed_by

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")
R = TypeVar("R")

MOST_GONE = 50
"""Items known before and not listed now that are looked for one by one; of more, the whole index is read."""
LOOK_EVERY = 0.25
"""Seconds between two looks at whether the run was stopped."""


@dataclass(slots=True)
class _Listing:
    """What the listing of one owner holds."""

    folders: list[Folder]
    items: dict[str, Item]


def take_inventory(
    portal: Portal,
    options: BackupOptions,
    *,
    known: AbstractSet[str] = frozenset(),
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Inventory:
    """Every item in scope, and those that an exclusion leaves out with the reason.

    An administrator lists everybody's items, anybody else the own ones. Items that `folders`, `owners`, `groups`,
    `types` or `query` do not take in are not in scope and appear nowhere. `known` are the ids of items that an earlier
    backup has proven: with them the proof costs less.

    Raises
    ------
    UsageError
        An owner, folder, group or item type of the options does not exist, or the scope is empty. Final.
    CheckFailed, NotAnAnswer
        A listing stayed incomplete though it was read again. Trying again may help.
    Stopped
        `cancel` was set.
    """
    with pulse_of_job(Pulse(cancel)) if cancel else nullcontext():
        return _take(portal, options, known, progress or _say_nothing)


def _take(portal: Portal, options: BackupOptions, known: AbstractSet[str], say: Progress) -> Inventory:
    before = portal.requests
    owners = _owners(portal, options)
    who = f"{len(owners):,} {'owner' if len(owners) == 1 else 'owners'}"
    if not portal.can_see_all:
        who = f"{portal.username} only, because this account is no administrator"
    say(Event("inventory", f"Listing the items of {who}."))
    listings = _list_all(portal, owners, options.workers, say)
    whole = portal.can_see_all and not options.owners
    if whole and _agrees(portal, listings, known):
        counted = f"{_number(listings):,} items listed, and as many counted by search"
    else:
        counted = _prove(portal, listings, options, whole=whole)
    everything = {item.id: item for listing in listings.values() for item in listing.items.values()}
    folders = {owner: listing.folders for owner, listing in listings.items()}
    items, excluded = apply_scope(portal, options, folders, everything.values())
    if not items and not excluded:
        raise UsageError(
            f"Nothing is in scope: none of the {len(everything):,} items matches {narrowed_by(options)}."
            if everything
            else f"Nothing is in scope: {portal.username or 'this account'} sees no items in {portal.org_name!r}."
        )
    say(Event("inventory", f"{counted}; {len(items):,} in scope, {len(excluded):,} excluded.", total=len(items)))
    return Inventory(
        items=tuple(sorted(items, key=_age)),
        excluded=tuple(sorted(excluded, key=lambda pair: _age(pair[0]))),
        exports=tuple(item for item in everything.values() if EXPORT_TAG in item.tags),
        owners=len(listings),
        folders=tuple(folder for own in folders.values() for folder in own),
        requests=portal.requests - before,
        counted=counted,
    )


def list_items(portal: Portal, options: BackupOptions | None = None) -> pandas.DataFrame:
    """One row for each item in scope.

    Columns `item_id`, `title`, `type`, `owner`, `folder` (empty: root), `access`, `url` (texts; `url` without passwords
    and tokens), `tags` (a list of texts), `created`, `modified` (UTC), `size_bytes` (`Int64`; missing where the portal
    does not say).
    """
    import pandas as pd

    items = take_inventory(portal, options or BackupOptions()).items
    table = pd.DataFrame(
        {
            "item_id": [item.id for item in items],
            "title": [shown(item.title) for item in items],
            "type": [shown(item.type) for item in items],
            "owner": [item.owner for item in items],
            "folder": [shown(item.folder) for item in items],
            "access": [item.access for item in items],
            "tags": pd.Series([[shown(tag) for tag in item.tags] for item in items], dtype=object),
            "created": pd.Series([item.created for item in items], dtype="datetime64[ms, UTC]"),
            "modified": pd.Series([item.modified for item in items], dtype="datetime64[ms, UTC]"),
            "size_bytes": pd.Series([item.size for item in items], dtype="Int64"),
            "url": [without_secrets(item.url) for item in items],
        }
    )
    texts = ["item_id", "title", "type", "owner", "folder", "access", "url"]
    return table.astype(dict.fromkeys(texts, "str"))


# -- listing


def _owners(portal: Portal, options: BackupOptions) -> list[str]:
    """The user names to list, as the portal spells them."""
    if portal.can_see_all:
        known = [str(user["username"]) for user in portal.users()]
    else:
        known = [portal.username] if portal.username else []
    if not options.owners:
        return known
    by_name = {name.casefold(): name for name in known}
    for name in options.owners:
        if name.casefold() not in by_name:
            why = (
                "" if portal.can_see_all else f" {portal.username} is not an administrator and sees only its own items."
            )
            raise UsageError(f"There is no owner {name!r} to back up.{why}{nearest(name, known)}")
    return [by_name[name] for name in dict.fromkeys(name.casefold() for name in options.owners)]


def _list_all(
    portal: Portal, owners: list[str], workers: int, say: Progress, *, looks: int = LOOKS
) -> dict[str, _Listing]:
    """The listing of each owner: all roots first, then all folders. Owners whose folders vanish are listed again."""
    listings: dict[str, _Listing] = {}
    folders: list[Folder] = []
    roots = _in_threads(partial(_root, portal), owners, workers)
    for done, (owner, (own_folders, rows)) in enumerate(zip(owners, roots, strict=True), start=1):
        made = [Folder(str(folder["id"]), _title(folder), owner) for folder in own_folders]
        listings[owner] = _Listing(made, _items(rows, ""))
        folders += made
        if done % 25 == 0 or done == len(owners):
            say(Event("inventory", done=done, total=len(owners)))
    again: dict[str, None] = {}
    contents = _in_threads(partial(_content, portal, may_be_gone=looks > 1), folders, workers)
    for folder, held in zip(folders, contents, strict=True):
        if held is None:
            again[folder.owner] = None
        else:
            listings[folder.owner].items |= _items(held, folder.title)
    if again:
        listings |= _list_all(portal, list(again), workers, _say_nothing, looks=looks - 1)
    return listings


def _root(portal: Portal, owner: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(folders, items) of an owner's root; nothing of one who was deleted since the users were listed."""
    try:
        return portal.content(owner)
    except NotFound:
        if any(user["username"] == owner for user in portal.users()):
            raise
        return [], []


def _content(portal: Portal, folder: Folder, *, may_be_gone: bool) -> list[dict[str, Any]] | None:
    """The items of a folder; `None` where it was deleted since its owner's root was listed."""
    try:
        return portal.content(folder.owner, folder.id)[1]
    except NotFound:
        if may_be_gone:
            return None
        raise


def _age(item: Item) -> tuple[float, str]:
    return (item.created.timestamp() if item.created else 0.0, item.id)


def _say_nothing(_: Event) -> None:
    """For whoever does not want to know."""


def _items(rows: Iterable[Mapping[str, Any]], folder: str) -> dict[str, Item]:
    return {row["id"]: Item.from_json(row, folder=folder) for row in rows}


def _title(folder: Mapping[str, Any]) -> str:
    return str(folder.get("title") or folder["id"])


def _in_threads(function: Callable[[T], R], values: Iterable[T], workers: int) -> Iterable[R]:
    """The results in order, worked out by `workers` threads; each knows the pulse of the job that called."""
    threads = ThreadPoolExecutor(workers, thread_name_prefix="inventory")
    try:
        for future in [threads.submit(copy_context().run, function, value) for value in values]:
            while not wait([future], LOOK_EVERY).done:
                beat()  # it may be waiting for a silent server; a stop does not
            yield future.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


# -- the proof


def _agrees(portal: Portal, listings: Mapping[str, _Listing], known: AbstractSet[str]) -> bool:
    """Whether search counts as many items as are listed, and those that were known before and are not listed are gone.

    An item that is both new and missing in the listing could hide only behind another that was deleted just now and
    is still counted; the next run that fetches everything reads the whole index again.
    """
    listed = {item for listing in listings.values() for item in listing.items}
    gone = known - listed
    if not known or len(gone) > MOST_GONE or portal.count() != len(listed):
        return False
    try:
        return not any(_owner_of(portal, item_id) for item_id in gone)
    except Forbidden:  # whether it exists is not for this account to know; the index says what it may see
        return False


def _number(listings: Mapping[str, _Listing]) -> int:
    return len({item for listing in listings.values() for item in listing.items})


def _prove(portal: Portal, listings: dict[str, _Listing], options: BackupOptions, *, whole: bool) -> str:
    """Compare the listings with the search index, owner by owner; the sentence that says so. Adds what was missed."""
    indexed = dict(zip(listings, _in_threads(partial(_look_up, portal), listings, options.workers), strict=True))
    counted = 0
    for owner, (count, ids) in indexed.items():
        known = listings[owner].items
        is_whole = ids <= known.keys() and count <= len(known)
        counted += count if is_whole else _look_again(portal, listings, owner, ids)
    if whole and portal.count() > counted:
        counted += _look_for_owners(portal, listings, counted)
    listed = _number(listings)
    said = f"{listed:,} items listed, {counted:,} counted by search"
    return said if listed <= counted else f"{said} ({listed - counted:,} are not in the search index yet)"


def _look_up(portal: Portal, owner: str) -> tuple[int, set[str]]:
    """How many items of an owner the search index knows, and which; of more than it shows, only how many."""
    try:
        ids = {str(row["id"]) for row in portal.search(_by(owner))}
    except (UsageError, NotAnAnswer):
        return portal.count(_by(owner)), set()
    return len(ids), ids


def _look_again(portal: Portal, listings: dict[str, _Listing], owner: str, ids: set[str]) -> int:
    """List an owner again whose listing lacks what the index knew; the count now, without what is no longer there."""
    owners = {owner}
    for _ in range(LOOKS):
        for each in owners:
            again = _list_all(portal, [each], 1, _say_nothing)[each]
            listings[each] = _Listing(again.folders, listings[each].items | again.items)
        count, known = _look_up(portal, owner)
        unlisted = (ids | known).difference(*(listing.items for listing in listings.values()))
        if not unlisted and (known or count <= len(listings[owner].items)):
            return count
        # What is deleted, or belongs to somebody out of scope by now, is no hole in the listing.
        owners = {_owner_of(portal, item_id) for item_id in unlisted} & listings.keys()
        if unlisted and not owners:
            return count - len(known & unlisted)
        owners = owners or {owner}
    raise CheckFailed(
        f"The listing of {owner!r} is incomplete: {len(listings[owner].items):,} items listed, {count:,} counted by "
        f"search, after {LOOKS} more looks. Run it again; if that does not help, tell the portal's support."
    )


def _look_for_owners(portal: Portal, listings: dict[str, _Listing], counted: int) -> int:
    """List owners that joined since the walk began; how many more items that makes."""
    for _ in range(LOOKS):
        for owner in (str(user["username"]) for user in portal.users()):
            if owner not in listings:
                listings |= _list_all(portal, [owner], 1, _say_nothing)
        more = sum(portal.count(_by(owner)) for owner in listings) - counted
        total = portal.count()
        if total <= counted + more:
            return more
    raise CheckFailed(
        f"The list of users is incomplete: search counts {total:,} items in the organization, and {counted + more:,} "
        f"with the {len(listings):,} users listed, after {LOOKS} more looks. Run it again."
    )


def _by(owner: str) -> str:
    return f'owner:"{owner}"'


def _owner_of(portal: Portal, item_id: str) -> str:
    """Who an item belongs to; empty where it does not exist."""
    try:
        return str(portal.item(item_id).get("owner", ""))
    except NotFound:
        return ""
