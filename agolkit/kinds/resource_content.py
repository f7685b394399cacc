"""Items whose content, or a draft of it, is in resources: which ones they are, and what is said where they lack."""

from __future__ import annotations

from typing import Any

from agolkit.kinds.saving import Saving
from agolkit.model import Item, plain

STYLE_RESOURCE = "styles/root.json"
EXPERIENCE = "Web Experience"
STYLE_KEYWORD = "Vector Tile Style Editor"
DRAFT_KEYWORD = "smdraftresourceid:"
"""A story's draft is in the resource that this type keyword names."""
NOT_PUBLISHED = "__not_publish"
"""All that the data of an experience holds until it is published."""

DRAFTS = frozenset(["smstatusdraft", "status: Draft"])
"""Type keywords of stories and experiences that were never published: all there is of them is in resources."""
PUBLISHED = frozenset(["smstatuspublished", "smstatusunpublishedchanges", "status: Published", "status: Changed"])
"""Type keywords of those that must have data."""
CAPTURE = "QuickCapture Project"

_RESOURCES = {plain(EXPERIENCE): "config/config.json", plain(CAPTURE): "qc.project.json"}


def content_resources(item: Item) -> list[str]:
    """The resources that hold the content of an item, or a draft of it."""
    names = [word.removeprefix(DRAFT_KEYWORD) for word in item.type_keywords if word.startswith(DRAFT_KEYWORD)]
    if plain(item.type) in _RESOURCES:
        names.append(_RESOURCES[plain(item.type)])
    if STYLE_KEYWORD in item.type_keywords:
        names.append(STYLE_RESOURCE)
    return names


def has_content_in_resources(saving: Saving) -> bool:
    """Whether all that there is of the item is in its resources, and the portal lists them: its data may be empty."""
    item = saving.item
    names = content_resources(item)
    in_resources_only = plain(item.type) == plain(CAPTURE) or DRAFTS & set(item.type_keywords)
    return bool(in_resources_only and names and set(names) <= set(saving.resources or ()))


def note_absent_content(saving: Saving, document: Any = None) -> None:
    """Note as missing what an item must have in its data or its resources, but the portal does not answer.

    `document` is its data. An experience that is published has its content there.
    """
    item, has_data = saving.item, _has_content(document)
    if PUBLISHED & set(item.type_keywords) and not has_data:
        saving.missing.append(
            f"data: the {item.type} is published, but the portal holds nothing in its data. Let its owner publish "
            "it again"
        )
    if saving.resources is None or (plain(item.type) == plain(EXPERIENCE) and has_data):
        return  # a list of resources that could not be had has been noted already
    saving.missing += [
        f"resource {name}: it holds content of the {item.type}, but the portal does not list it. Let its owner open it "
        "in its app and save it"
        for name in content_resources(item)
        if name not in saving.resources
    ]


def _has_content(document: Any) -> bool:
    return bool(document) and not (isinstance(document, dict) and document.get(NOT_PUBLISHED))
