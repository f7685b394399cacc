"""What other services than the portal keep of an item, and the groups that a site is made of: said, where not saved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from agolkit.kinds.saving import Saving
from agolkit.kinds.types import known_type
from agolkit.model import plain

DOMAIN = "its domain is registered with ArcGIS Hub and is not saved"

_ID = re.compile("[0-9a-f]{32}")
_NAMES_GROUPS = re.compile("groups?(id)?$", re.I)


def note_elsewhere(saving: Saving, document: Any) -> None:
    """Note what a backup of the portal cannot hold of this item; `document` is its data."""
    item_type, known_as = plain(saving.item.type), known_type(saving.item.type)
    if known_as is not None and known_as.elsewhere:
        saving.missing.append(known_as.elsewhere)
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
