"""Fingerprints: stamps that tell, at the price of one request or none, whether an item is still what was saved.

A stamp is made of what the portal says, without what it says anew at each look (views, ratings, its own version).
What moves no stamp is found by a run that fetches everything again (`full`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from agolkit.model import Item
from agolkit.portal import Received

COUNTED = frozenset(("numViews", "lastViewed", "numComments", "numRatings", "avgRating", "scoreCompleteness"))
"""Fields of an item that others move by looking at it, or the portal by judging it."""
OF_THE_ACCOUNT = frozenset(("itemControl",))
DESCRIBING = frozenset(("access", "contentStatus", "groupDesignations", "owner", "ownerFolder", "protected"))
"""Fields that say where an item stands and who sees it; they move without the item's content."""
OF_THE_SERVER = frozenset(("currentVersion", "cimVersion"))
"""An update of the portal's software is no edit."""


def content_stamp(item: Item, *, modified: object = None) -> str:
    """What the listing says of an item's content: texts, names, size, and when it was modified.

    `modified` takes the place of the listed one: of a service whose own export has moved it.
    """
    raw = {name: value for name, value in item.raw.items() if name not in COUNTED | OF_THE_ACCOUNT | DESCRIBING}
    return digest(raw | ({} if modified is None else {"modified": modified}))


def description_stamp(item: Item, *, saved: Item | None = None) -> str:
    """What the listing says of where an item stands and who sees it; where `saved` says otherwise, that."""
    raw = item.raw if saved is None else {**item.raw, **saved.raw}
    return digest([item.folder, {name: raw[name] for name in DESCRIBING if name in item.raw}])


def resources_stamp(listed: Iterable[Mapping[str, Any]]) -> str:
    """Which resources an item has, how large they are, and when they were put there."""
    return digest(sorted(f"{each.get('resource')} {each.get('size')} {each.get('created')}" for each in listed))


def file_stamp(received: Received) -> str | None:
    """What a server says of a file without sending it; `None` where it states no length."""
    return None if received.stated is None else digest([received.stated, received.tag])


def service_stamp(root: Mapping[str, Any]) -> str:
    """What a service, or one of its layers, says of itself."""
    return digest({name: each for name, each in root.items() if name not in OF_THE_SERVER})


def digest(value: object) -> str:
    """Any JSON as a short text that is another for another value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]
