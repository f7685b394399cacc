"""Which items of an inventory are in scope, and why the others that an exclusion names are not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from agolkit.errors import UsageError
from agolkit.model import Folder, Item, plain
from agolkit.options import BackupOptions, nearest
from agolkit.portal import Portal

EXPORT_TAG = "agolkit-export"
"""Tag of the temporary items that an export makes."""


def apply_scope(
    portal: Portal, options: BackupOptions, folders: Mapping[str, Sequence[Folder]], everything: Collection[Item]
) -> tuple[list[Item], list[tuple[Item, str]]]:
    """(in scope, [(excluded, reason)])."""
    chosen = _known_folders(options, folders)
    types = _known_types(options, everything)
    ids: set[str] | None = None
    if options.groups:
        ids = {row["id"] for group in _known_groups(portal, options) for row in portal.group_items(group)}
    if options.query.strip():
        found = {row["id"] for row in portal.search(options.query)}
        ids = found if ids is None else ids & found
    items: list[Item] = []
    excluded: list[tuple[Item, str]] = []
    for item in everything:
        if chosen and chosen.isdisjoint(_names_of_folder(item.owner, item.folder)):
            continue
        if (types and plain(item.type) not in types) or (ids is not None and item.id not in ids):
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
    if plain(item.type) in {plain(name) for name in options.exclude_types}:
        by_default = plain(item.type) in {plain(name) for name in BackupOptions().exclude_types}
        how = " by default; give a list without it to save such items" if by_default else ""
        return f"type {item.type!r} is in exclude_types{how}"
    if item.owner.casefold() in _lower(options.exclude_owners):
        return f"owner {item.owner!r} is in exclude_owners"
    if _names_of_folder(item.owner, item.folder) & _lower(options.exclude_folders):
        return f"folder {item.folder!r} is in exclude_folders"
    return ""


def _known_folders(options: BackupOptions, folders: Mapping[str, Sequence[Folder]]) -> set[str]:
    """The folders of the options in comparable form; each must exist."""
    known: dict[str, str] = {}
    for owner, own in folders.items():
        for folder in ("", *(each.title for each in own)):
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
    known = {plain(item.type): item.type for item in items}
    for name in options.types:
        if plain(name) not in known:
            raise UsageError(f"There is no item of type {name!r}.{nearest(name, list(known.values()))}")
    return {plain(name) for name in options.types}


def _known_groups(portal: Portal, options: BackupOptions) -> list[str]:
    """The ids of the groups of the options, which are ids or titles; a title takes every group of that title."""
    titles = {str(group["id"]): str(group.get("title") or group["id"]) for group in portal.groups()}
    found: dict[str, None] = {}
    for name in options.groups:
        wanted = name.casefold()
        ids = [each for each, title in titles.items() if wanted in (each.casefold(), title.casefold())]
        if not ids:
            raise UsageError(f"There is no group {name!r}.{nearest(name, list(titles.values()))}")
        found |= dict.fromkeys(ids)
    return list(found)


def _lower(names: Iterable[str]) -> set[str]:
    return {name.casefold() for name in names}


def narrowed_by(options: BackupOptions) -> str:
    """The options that narrow the scope, for a message."""
    chosen = {name: getattr(options, name) for name in ("folders", "owners", "groups", "types", "query")}
    return ", ".join(f"{name}={value!r}" for name, value in chosen.items() if value) or "the options"
