"""Every item in scope, read from the listings to the last page and proven complete against a second count.

An administrator's inventory walks all users, their root and each of their folders: the portal's own listing, which
has no limit. The search index counts a second time, owner by owner. The index may lag behind (a new item is not in it
yet, a deleted one still is), so the rule is one-sided: an item that the index knows and the listing does not is looked
for, first in the listing again, then by itself; only where it exists is the listing wrong, and that is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from agolkit.errors import CheckFailed, NotFound, UsageError
from agolkit.model import Folder, Inventory, Item, shown
from agolkit.options import BackupOptions, nearest
from agolkit.portal.client import SEARCH_WINDOW, Portal
from agolkit.progress import Event, Progress

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")
R = TypeVar("R")

EXPORT_TAG = "agolkit-export"
"""Tag of the temporary items that an export makes."""
LOOKS = 3


@dataclass(slots=True)
class _Listing:
    """What the listing of one owner holds."""

    folders: list[Folder]
    items: dict[str, Item]


def take_inventory(portal: Portal, options: BackupOptions, *, progress: Progress | None = None) -> Inventory:
    """Every item in scope, and those that an exclusion leaves out with the reason.

    An administrator lists everybody's items, anybody else the own ones. Items that `folders`, `owners`, `groups`,
    `types` or `query` do not take in are not in scope and appear nowhere.

    Raises
    ------
    UsageError
        An owner, folder, group or item type of the options does not exist, or the scope is empty. Final.
    CheckFailed
        A listing stayed incomplete though it was read again. Trying again may help.
    """
    before = portal.requests
    say = progress or _say_nothing
    owners = _owners(portal, options)
    say(Event("inventory", f"Listing the items of {len(owners):,} {'owner' if len(owners) == 1 else 'owners'}."))
    listings = _list_all(portal, owners, options.workers, say)
    counted = _prove(portal, listings, options, whole=portal.can_see_all and not options.owners)
    everything = {item.id: item for listing in listings.values() for item in listing.items.values()}
    items, excluded = _apply_scope(portal, options, listings, everything)
    if not items and not excluded:
        raise UsageError(
            f"Nothing is in scope: none of the {len(everything):,} items matches {_said(options)}."
            if everything
            else f"Nothing is in scope: {portal.username or 'this account'} sees no items in {portal.org_name!r}."
        )
    say(Event("inventory", f"{counted}; {len(items):,} in scope, {len(excluded):,} excluded.", total=len(items)))
    return Inventory(
        items=tuple(sorted(items, key=_age)),
        excluded=tuple(sorted(excluded, key=lambda pair: _age(pair[0]))),
        owners=len(listings),
        folders=tuple(folder for listing in listings.values() for folder in listing.folders),
        requests=portal.requests - before,
        counted=counted,
    )


def list_items(portal: Portal, options: BackupOptions | None = None) -> pandas.DataFrame:
    """One row for each item in scope.

    Columns `item_id`, `title`, `type`, `owner`, `folder` (empty: root), `access`, `url` (texts), `tags` (a list of
    texts), `created`, `modified` (UTC), `size_bytes` (`Int64`; missing where the portal does not say).
    """
    import pandas as pd

    items = take_inventory(portal, options or BackupOptions()).items
    table = pd.DataFrame(
        {
            "item_id": [item.id for item in items],
            "title": [shown(item.title) for item in items],
            "type": [item.type for item in items],
            "owner": [item.owner for item in items],
            "folder": [shown(item.folder) for item in items],
            "access": [item.access for item in items],
            "tags": pd.Series([list(item.tags) for item in items], dtype=object),
            "created": pd.Series([item.created for item in items], dtype="datetime64[ms, UTC]"),
            "modified": pd.Series([item.modified for item in items], dtype="datetime64[ms, UTC]"),
            "size_bytes": pd.Series([item.size for item in items], dtype="Int64"),
            "url": [item.url for item in items],
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


def _list_all(portal: Portal, owners: list[str], workers: int, say: Progress) -> dict[str, _Listing]:
    """The listing of each owner: all roots first, then all folders."""
    listings: dict[str, _Listing] = {}
    folders: list[Folder] = []
    roots = _in_threads(portal.content, owners, workers)
    for done, (owner, (own_folders, rows)) in enumerate(zip(owners, roots, strict=True), start=1):
        made = [Folder(str(folder["id"]), _title(folder), owner) for folder in own_folders]
        listings[owner] = _Listing(made, _items(rows, ""))
        folders += made
        if done % 25 == 0 or done == len(owners):
            say(Event("inventory", done=done, total=len(owners)))
    contents = _in_threads(lambda folder: portal.content(folder.owner, folder.id)[1], folders, workers)
    for folder, rows in zip(folders, contents, strict=True):
        listings[folder.owner].items |= _items(rows, folder.title)
    return listings


def _list_owner(portal: Portal, owner: str) -> _Listing:
    return _list_all(portal, [owner], 1, _say_nothing)[owner]


def _say_nothing(_: Event) -> None:
    """For whoever does not want to know."""


def _items(rows: Iterable[Mapping[str, Any]], folder: str) -> dict[str, Item]:
    return {row["id"]: Item.from_json(row, folder=folder) for row in rows}


def _title(folder: Mapping[str, Any]) -> str:
    return str(folder.get("title") or folder["id"])


def _in_threads(function: Callable[[T], R], values: Iterable[T], workers: int) -> Iterable[R]:
    """The results in order, worked out by `workers` threads; each knows the pulse of the job that called."""
    with ThreadPoolExecutor(workers, thread_name_prefix="inventory") as threads:
        futures = [threads.submit(copy_context().run, function, value) for value in values]
        try:
            for future in futures:
                yield future.result()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


# -- the proof


def _prove(portal: Portal, listings: dict[str, _Listing], options: BackupOptions, *, whole: bool) -> str:
    """Compare the listings with the search index, owner by owner; the sentence that says so. Adds what was missed."""
    counts = dict(
        zip(listings, _in_threads(lambda name: portal.count(_by(name)), listings, options.workers), strict=True)
    )
    for owner, count in counts.items():
        if count > len(listings[owner].items):
            counts[owner] = _look_again(portal, listings, owner, count)
    counted = sum(counts.values())
    if whole and portal.count() > counted:
        counted += _look_for_owners(portal, listings, counted)
    listed = len({item for listing in listings.values() for item in listing.items})
    said = f"{listed:,} items listed, {counted:,} counted by search"
    return said if listed <= counted else f"{said} ({listed - counted:,} are not in the search index yet)"


def _look_again(portal: Portal, listings: dict[str, _Listing], owner: str, count: int) -> int:
    """List an owner again whose listing is shorter than the index; the final count, without what is no longer there."""
    for _ in range(LOOKS):
        again = _list_owner(portal, owner)
        listings[owner] = _Listing(again.folders, listings[owner].items | again.items)
        count = portal.count(_by(owner))
        if count <= len(listings[owner].items):
            return count
        if count > SEARCH_WINDOW:
            continue  # the ids cannot be asked for
        known = {item for listing in listings.values() for item in listing.items}
        # What the index still knows but is deleted, or belongs to somebody else by now, is no hole in the listing.
        unlisted = [row["id"] for row in portal.search(_by(owner)) if row["id"] not in known]
        if not any(_is_of(portal, item_id, owner) for item_id in unlisted):
            return count - len(unlisted)
    raise CheckFailed(
        f"The listing of {owner!r} is incomplete: {len(listings[owner].items):,} items listed, {count:,} counted by "
        f"search, after {LOOKS} more looks. Run it again; if that does not help, tell the portal's support."
    )


def _look_for_owners(portal: Portal, listings: dict[str, _Listing], counted: int) -> int:
    """List owners that joined since the walk began; how many more items that makes."""
    for _ in range(LOOKS):
        for owner in (str(user["username"]) for user in portal.users()):
            if owner not in listings:
                listings[owner] = _list_owner(portal, owner)
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


def _is_of(portal: Portal, item_id: str, owner: str) -> bool:
    """Whether an item exists and belongs to `owner`."""
    try:
        return str(portal.item(item_id).get("owner", "")).casefold() == owner.casefold()
    except NotFound:
        return False


# -- the scope


def _apply_scope(
    portal: Portal, options: BackupOptions, listings: Mapping[str, _Listing], everything: Mapping[str, Item]
) -> tuple[list[Item], list[tuple[Item, str]]]:
    """(in scope, [(excluded, reason)])."""
    folders = _known_folders(options, listings)
    types = _known_types(options, everything.values())
    ids: set[str] | None = None
    if options.groups:
        ids = {row["id"] for group in _known_groups(portal, options) for row in portal.group_items(group)}
    if options.query.strip():
        found = {row["id"] for row in portal.search(options.query)}
        ids = found if ids is None else ids & found
    items: list[Item] = []
    excluded: list[tuple[Item, str]] = []
    for item in everything.values():
        if folders and folders.isdisjoint(_names_of_folder(item.owner, item.folder)):
            continue
        if (types and _plain_type(item.type) not in types) or (ids is not None and item.id not in ids):
            continue
        reason = _exclusion(item, options)
        if reason:
            excluded.append((item, reason))
        else:
            items.append(item)
    return items, excluded


def _exclusion(item: Item, options: BackupOptions) -> str:
    """Why an exclusion leaves an item out, in plain words; empty where none does."""
    tags = {tag.casefold(): tag for tag in item.tags}
    if EXPORT_TAG in tags:
        return "temporary export item of a backup run"
    if item.id.casefold() in _lower(options.exclude_ids):
        return "its id is in exclude_ids"
    for tag in options.exclude_tags:
        if tag.casefold() in tags:
            return f"tag {tags[tag.casefold()]!r} is in exclude_tags"
    if _plain_type(item.type) in {_plain_type(name) for name in options.exclude_types}:
        return f"type {item.type!r} is in exclude_types"
    if item.owner.casefold() in _lower(options.exclude_owners):
        return f"owner {item.owner!r} is in exclude_owners"
    if _names_of_folder(item.owner, item.folder) & _lower(options.exclude_folders):
        return f"folder {item.folder!r} is in exclude_folders"
    return ""


def _known_folders(options: BackupOptions, listings: Mapping[str, _Listing]) -> set[str]:
    """The folders of the options in comparable form; each must exist."""
    known: dict[str, str] = {}
    for owner, listing in listings.items():
        for folder in ("", *(each.title for each in listing.folders)):
            known |= dict.fromkeys(_names_of_folder(owner, folder), folder or f"{owner}/")
            if folder:
                known[f"{owner}/{folder}".casefold()] = f"{owner}/{folder}"
    for name in options.folders:
        if name.casefold() not in known:
            choice = list(dict.fromkeys(known.values()))
            raise UsageError(f"There is no folder {name!r}.{nearest(name, choice)}")
    return _lower(options.folders)


def _names_of_folder(owner: str, folder: str) -> set[str]:
    """What a folder may be called in the options: `title` or `owner/title`; the root is `/` or `owner/`."""
    return {(folder or "/").casefold(), f"{owner}/{folder}".casefold()}


def _known_types(options: BackupOptions, items: Iterable[Item]) -> set[str]:
    """The item types of the options in comparable form; the portal must hold an item of each."""
    known = {_plain_type(item.type): item.type for item in items}
    for name in options.types:
        if _plain_type(name) not in known:
            raise UsageError(f"There is no item of type {name!r}.{nearest(name, list(known.values()))}")
    return {_plain_type(name) for name in options.types}


def _known_groups(portal: Portal, options: BackupOptions) -> list[str]:
    """The ids of the groups of the options, which are ids or titles; a title takes every group of that title."""
    groups = portal.groups()
    found: dict[str, None] = {}
    for name in options.groups:
        wanted = name.casefold()
        ids = [str(group["id"]) for group in groups if wanted in (group["id"].casefold(), _title(group).casefold())]
        if not ids:
            raise UsageError(f"There is no group {name!r}.{nearest(name, [_title(group) for group in groups])}")
        found |= dict.fromkeys(ids)
    return list(found)


def _plain_type(name: str) -> str:
    """An item type in comparable form: lists of types disagree in case and blanks."""
    return "".join(name.split()).casefold()


def _lower(names: Iterable[str]) -> set[str]:
    return {name.casefold() for name in names}


def _age(item: Item) -> tuple[float, str]:
    return (item.created.timestamp() if item.created else 0.0, item.id)


def _said(options: BackupOptions) -> str:
    """The options that narrow the scope, for a message."""
    chosen = {name: getattr(options, name) for name in ("folders", "owners", "groups", "types", "query")}
    return ", ".join(f"{name}={value!r}" for name, value in chosen.items() if value) or "the options"
