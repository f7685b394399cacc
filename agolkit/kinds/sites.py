"""Sites, pages and initiatives of ArcGIS Hub: what belongs to one and stands outside its item."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from agolkit.kinds.saving import Saving
from agolkit.model import plain

DOMAIN = "its domain is registered with ArcGIS Hub and is not saved"

_ID = re.compile("[0-9a-f]{32}")
_NAMES_GROUPS = re.compile("groups?(id)?$", re.I)


def note_site(saving: Saving, document: Any) -> None:
    """Note, if the item is of a site, what of it is not saved with the backup; `document` is its data."""
    item_type = plain(saving.item.type)
    if item_type == plain("Hub Site Application"):
        saving.notes.append(DOMAIN)
    if item_type.startswith(("hub", "site")):
        known = saving.context.group_titles
        saving.notes += [
            f"it names the group {group}, which this account cannot see; organization.json does not have it"
            for group in site_groups(saving.item.raw.get("properties"), document)
            if group not in known
        ]


def site_groups(properties: Any, document: Any) -> list[str]:
    """Ids of the groups that a site, page or initiative names in its properties and in the catalog of its data."""
    catalogs = [document.get(name) for name in ("catalog", "catalogV2")] if isinstance(document, Mapping) else []
    return list(dict.fromkeys(each for value in (properties, *catalogs) for each in _groups(value)))


def _groups(value: Any, name: str = "") -> Iterator[str]:
    """The ids below keys that speak of a group: `contentGroupId`, `groups`, `group`."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _groups(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _groups(inner, name)
    elif isinstance(value, str) and _NAMES_GROUPS.search(name) and _ID.fullmatch(value):
        yield value
