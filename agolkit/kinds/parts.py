"""The parts that an item of any kind may have: description, sharing, pictures, metadata, resources, relations."""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from urllib.parse import quote

from agolkit.errors import CheckFailed, NotFound
from agolkit.kinds.fingerprint import resources_stamp
from agolkit.kinds.metadata import save_metadata
from agolkit.kinds.picture import has_its_end, picture_ending
from agolkit.kinds.relations import relation_types
from agolkit.kinds.resource_content import has_content_in_resources
from agolkit.kinds.saving import Saving
from agolkit.layout import extension, safe_paths
from agolkit.model import Item, Reach
from agolkit.portal import Received
from agolkit.store import Spool

EMPTY = b"{}"
HEAD = 512
"""Bytes at the beginning of a file that tell what it is."""
LARGEST_JSON = 64 << 20
"""Bytes of a document that is parsed: it takes up to thirty times as many in memory."""
INFO_FILES = {"Form": ("form.json", "forminfo.json")}
"""What item types keep below `info/` beside pictures and metadata."""


def save_parts(saving: Saving) -> None:
    """Save everything but the payload and the description."""
    raw = saving.item.raw
    if raw.get("thumbnail"):
        saving.part("thumbnail", partial(save_picture, saving, "thumbnail", str(raw["thumbnail"])))
    named = (*(raw.get("screenshots") or ()), raw.get("largeThumbnail"), raw.get("banner"))
    for name, place in safe_paths([str(name) for name in named if name], "info/").items():
        saving.part(f"picture {name}", partial(save_picture, saving, "picture", name, *place))
    for name in INFO_FILES.get(saving.item.type, ()):
        saving.part(name, partial(save_info_file, saving, name))
    saving.part("metadata", partial(save_metadata, saving))
    saving.part("resources", partial(save_resources, saving))
    saving.part("relations", partial(save_relations, saving))


def save_description(saving: Saving) -> None:
    """Save the item JSON as its owner or an administrator sees it, and with whom it is shared.

    It is read last: when it is not of the moment at which the item was listed, the other parts may be older.
    """
    item = saving.item
    answer = saving.portal.owner_view(item.owner, item.id)
    saving.item = Item.from_json(answer["item"], folder=item.folder)
    sharing = answer["sharing"]
    groups = [str(group) for group in sharing.get("groups") or ()]
    saving.stamps["groups"] = sorted(groups)
    titles = saving.context.group_titles
    saving.groups = tuple(titles.get(group, group) for group in groups)
    saving.keep_json("item", "item.json", answer["item"])
    named = [{"id": group, "title": titles.get(group)} for group in groups]
    saving.keep_json("sharing", "sharing.json", {"access": sharing.get("access", item.access), "groups": named})


def save_picture(saving: Saving, part: str, name: str, path: str | None = None, exact_name: str | None = None) -> None:
    """Save a picture that the item JSON names, as `path`, or else by the name of the part and its own ending.

    The portal states no size for it. One without its end is believed only where it comes the same a second time.
    """
    address = f"info/{quote(name)}"
    with saving.context.spool() as spool:
        received = fetch(saving, address, spool)
        if not has_its_end(spool.read()):
            first = spool.sha256
            received = fetch(saving, address, spool)
            if spool.sha256 != first and not has_its_end(spool.read()):
                raise CheckFailed("the picture that the portal sent is cut off.")
        ending = picture_ending(_head(spool))
        if not ending:
            raise CheckFailed("what the portal sent is not a picture. Let the item's owner upload it again.")
        place = path or f"{part}{ending}"
        saving.keep(part, spool, place, length_reach(received), exact_name=exact_name)


def save_info_file(saving: Saving, name: str) -> None:
    """Save one JSON file below `info/`, if there is one."""
    with saving.context.spool() as spool:
        try:
            fetch(saving, f"info/{name}", spool)
        except NotFound:  # a form that was never published has none
            return
        if json_in(spool) is None:
            raise CheckFailed("what the portal sent is not JSON. Let the item's owner publish the form again.")
        saving.keep("info", spool, f"info/{name}", Reach.PARSED)


def save_resources(saving: Saving) -> None:
    """Save every resource under its full path; each counts, and each has its own check."""
    told = saving.portal.resources(saving.item.id)
    if told:
        saving.stamps["resources"] = resources_stamp(told)
    listed = {str(resource["resource"]): resource.get("size") for resource in told}
    saving.resources = {name: max(0, stated) if isinstance(stated, int) else 0 for name, stated in listed.items()}
    paths = safe_paths(listed, "resources/")
    for name, stated in listed.items():
        saving.part(f"resource {name}", partial(save_resource, saving, name, stated, *paths[name]))


def save_resource(saving: Saving, name: str, stated: object, path: str, exact_name: str | None) -> None:
    """Save one resource; it is as long as the portal lists it, where it lists that."""
    with saving.context.spool() as spool:
        received = fetch(saving, f"resources/{quote(name)}", spool)
        if isinstance(stated, int) and stated >= 0 and stated != received.size:
            raise CheckFailed(
                f"{received.size:,} bytes came, the portal lists {stated:,}. Run again; if it stays so, let the item's "
                "owner save it again in its app, which writes its resources anew."
            )
        saving.keep("resource", spool, path, length_reach(received), exact_name=exact_name)


def save_relations(saving: Saving) -> None:
    """Save which items this one is related to, by relationship type and direction.

    All types are asked for at once; only where there is an answer each type is asked for by itself, because the
    answer does not say which relationship an item came by.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for direction, types in relation_types(saving.item.type).items():
        if types and saving.portal.related(saving.item.id, types, direction):
            for each in types:
                related = saving.portal.related(saving.item.id, [each], direction)
                if related:
                    found.setdefault(direction, {})[each] = [str(other["id"]) for other in related]
    if found:
        saving.keep_json("relations", "relations.json", found)


def length_reach(received: Received) -> Reach:
    """How far a transfer alone is proven: by its stated length, or only by having come to its end."""
    return Reach.LENGTH if received.stated is not None else Reach.PARSED


def fetch(saving: Saving, path: str, spool: Spool) -> Received:
    """Stream one file of the item into `spool`. Asking for JSON changes no file; it makes errors readable."""
    return saving.portal.download(f"content/items/{saving.item.id}/{path}", spool, params={"f": "json"})


def fetch_data(saving: Saving, spool: Spool) -> Received:
    """The payload of the item in `spool`. An empty one is asked for twice before it is believed.

    Raises
    ------
    CheckFailed
        Nothing, or an empty document, came although the portal states more than the resources have. Fetching it again
        may help. An item whose content is in its resources is believed.
    """
    received = fetch(saving, "data", spool)
    if received.size == 0:
        received = fetch(saving, "data", spool)
    in_resources = sum((saving.resources or {}).values())
    states_more = received.size + in_resources < (saving.item.size or 0)
    if received.size <= len(EMPTY) and states_more and not has_content_in_resources(saving):
        content = spool.read()
        if not content.strip() or content.strip() in (EMPTY, b"[]"):
            raise CheckFailed(
                f"the portal sent {'an empty document' if content else 'nothing'}, although it states "
                f"{saving.item.size:,} bytes. Run again; if it stays so, look whether the item still opens in the "
                "portal, and for its content in an earlier backup."
            )
    return received


def json_in(spool: Spool) -> dict[str, Any] | list[Any] | None:
    """The whole content as one JSON object or list; `None` where it is no such thing, or too large to be looked at."""
    if spool.size > LARGEST_JSON or _head(spool).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
        return None
    try:
        with spool.open() as stream:
            content: dict[str, Any] | list[Any] = json.load(stream)
    except (ValueError, RecursionError):
        return None
    return content


def extension_of(received: Received, item: Item) -> str:
    """The ending of the payload's file name: the item's own name, else what the portal called the file."""
    return extension(str(item.raw.get("name") or "")) or extension(received.file_name or "")


def _head(spool: Spool) -> bytes:
    with spool.open() as stream:
        return stream.read(HEAD)
