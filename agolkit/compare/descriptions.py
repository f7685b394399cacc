"""What differs between two descriptions of an item, and what is no change although it differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agolkit.compare.difference import MISSING, Difference, difference
from agolkit.compare.documents import document_differences
from agolkit.model import Item

NO_CHANGE = frozenset(
    [
        # counted by the portal
        *("avgRating", "lastViewed", "numComments", "numRatings", "numViews", "scoreCompleteness", "size", "uploaded"),
        "modified",  # moves with every save, also with one that saves the same again
        *("itemControl", "isOrgItem", "contentOrigin"),  # who is asking, not what the item is
        *("access", "owner", "ownerFolder", "sharing", "title", "groupCategories"),  # compared by themselves
        *("thumbnail", "largeThumbnail"),  # names of files that are compared
    ]
)
"""Fields of an item's JSON that are no change of the item, or are told elsewhere."""

NO_CHANGE_OF_SERVICES = frozenset(
    [
        *("rows", "geodatabase"),  # what was saved; the rows themselves are compared
        *("editingInfo", "changeTrackingInfo", "extent", "fullExtent", "initialExtent", "size"),  # move with the rows
        *("currentVersion", "fullVersion", "serverVersion"),  # of the server's software
        *("serviceItemId", "_ssl"),
    ]
)
"""Keys of `service.json` that are no change of its definition."""

_WORDS = {
    "accessInformation": "credits",
    "licenseInfo": "terms of use",
    "snippet": "summary",
    "typeKeywords": "type keywords",
}


def item_differences(before: Item, after: Item) -> Iterator[Difference]:
    """What the manifest alone tells: title, type, owner, folder, address; access and groups are `sharing`."""
    for name in ("title", "type", "owner", "folder", "url"):
        yield from document_differences("item", {name: getattr(before, name)}, {name: getattr(after, name)})


def description_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """What differs between two `item.json`, in the words of the item page."""
    ignored = NO_CHANGE | {"type", "url"}  # as the manifest tells them
    old, new = ({_WORDS.get(key, key): each[key] for key in each if key not in ignored} for each in (before, after))
    yield from document_differences("item", old, new, ordered=False)


def sharing_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """With whom an item is shared; a group that got another title is the same group."""
    if before.get("access") != after.get("access"):
        yield difference("sharing", ["access"], before.get("access"), after.get("access"))
    old, new = ({each["id"]: each.get("title") or each["id"] for each in some["groups"]} for some in (before, after))
    for group in sorted(old.keys() ^ new.keys()):
        yield difference("sharing", ["groups"], old.get(group, MISSING), new.get(group, MISSING))


def definition_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """What differs between two `service.json`: layers, fields, domains, symbols, capabilities, the sources of a view.

    The service, its layers and its administrator's definition repeat each other; what differs is told once.
    """
    told: set[tuple[str, str, str]] = set()
    for key in ("layers", "contingent_values", "view", "root", "admin"):
        for each in document_differences("definition", before.get(key), after.get(key), ignored=NO_CHANGE_OF_SERVICES):
            what = each.where.rsplit(" / ", 1)[-1], each.before, each.after
            if what not in told:
                told.add(what)
                yield each
