"""Items and folders: everything about them that is JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from starlette.routing import Route

from agolkit.sandbox.access import can_see, find_item, find_owner
from agolkit.sandbox.answers import Json, ServiceError, no_item, page
from agolkit.sandbox.call import Call, route
from agolkit.sandbox.describe import describe_folder, describe_item, describe_item_groups, item_size
from agolkit.sandbox.organization import Folder, Item
from agolkit.sandbox.state import State


def routes(state: State) -> list[Route]:
    """Return the routes of items and folders."""
    item = "/portal/sharing/rest/content/items/{item_id}"
    owner = "/portal/sharing/rest/content/users/{owner}"
    return [
        route(state, item, one_item),
        route(state, item + "/groups", item_groups),
        route(state, item + "/relatedItems", related_items),
        route(state, item + "/resources", resources),
        route(state, item + "/dependencies", dependencies),
        route(state, item + "/dependencies/listDependentsTo", dependencies),
        route(state, owner, user_content),
        route(state, owner + "/items/{item_id}", own_item),
        route(state, owner + "/{folder}/items/{item_id}", own_item),
        route(state, owner + "/items/{item_id}/relatedItems", related_items),
        route(state, owner + "/items/{item_id}/resources", resources),
        route(state, owner + "/{folder}", user_content),
    ]


async def one_item(call: Call) -> Mapping[str, Any]:
    """One item's JSON."""
    return describe_item(call.state, find_item(call), call.user)


async def own_item(call: Call) -> Mapping[str, Any]:
    """One item's JSON together with its sharing, for its owner and administrators."""
    item = find_own_item(call)
    return {
        "item": describe_item(call.state, item, call.user),
        "sharing": {"access": item.access, "groups": list(item.groups)},
    }


def find_own_item(call: Call, privilege: str = "portal:admin:viewItems") -> Item:
    """Return the item that a path below `content/users/` names, if it is that user's and the caller may."""
    owner = find_owner(call, privilege)
    item = call.org.items.get(call.part("item_id"))
    if item is None or item.owner != owner.username:
        raise no_item()
    return item


async def user_content(call: Call) -> Mapping[str, Any]:
    """The items in a folder of a user, page by page; in the root also the list of folders."""
    owner = find_owner(call, "portal:admin:viewItems").username
    folder = _folder(call, owner)
    found: Iterable[Item]
    if call.flag("inRecycleBin"):
        found = [item for item in call.org.recycle_bin.values() if item.owner == owner]
    elif call.flag("foldersContent") and folder is None:
        found = call.org.items_owned(owner)
    else:
        found = call.org.items_of(owner, folder.id if folder else None)
    if types := call.params.get("types"):
        wanted = {name.strip().lower() for name in types.split(",")}
        found = [item for item in found if item.type.lower() in wanted]
    rows, numbers = page(_sorted(call, found), call.number("start", 1), call.number("num", 10))
    answer: Json = {
        "username": owner,
        **numbers,
        "currentFolder": describe_folder(folder) if folder else None,
        "items": [describe_item(call.state, item, call.user) for item in rows],
    }
    if folder is None:
        answer["folders"] = [describe_folder(one) for one in call.org.folders_of(owner)]
    return answer


def _folder(call: Call, owner: str) -> Folder | None:
    folder_id = call.request.path_params.get("folder")
    if folder_id is None or folder_id == "/":
        return None
    folder = call.org.folders.get(folder_id)
    if folder is None or folder.owner != owner:
        raise ServiceError(400, "User folder does not exist.", "CONT_0004")
    return folder


def _sorted(call: Call, items: Iterable[Item]) -> list[Item]:
    field = call.params.get("sortField", "").lower()
    reverse = call.params.get("sortOrder", "asc").lower() == "desc"
    if field in ("title", "type", "owner"):
        return sorted(items, key=lambda item: str(getattr(item, field)).lower(), reverse=reverse)
    if field in ("created", "modified"):
        return sorted(items, key=lambda item: int(getattr(item, field)), reverse=reverse)
    if field == "size":
        return sorted(items, key=item_size, reverse=reverse)
    return list(items)


async def item_groups(call: Call) -> Mapping[str, Any]:
    """The groups that an item is shared with."""
    item = find_item(call)
    call.signed_in()
    return describe_item_groups(call.org, item, call.user)


async def related_items(call: Call) -> Mapping[str, Any]:
    """The items that an item is related to, of the types and in the direction asked for."""
    item = find_item(call)
    named = call.params.get("relationshipTypes") or call.params.get("relationshipType", "")
    wanted = {name.strip() for name in named.split(",") if name.strip()}
    if not wanted:
        raise ServiceError(400, "'relationshipType' must be specified.")
    pairs: list[tuple[str, str]]
    if call.params.get("direction", "forward") == "reverse":
        pairs = [(kind, other.id) for other in call.org.items.values() for kind, to in other.relations if to == item.id]
    else:
        pairs = item.relations
    ids = dict.fromkeys(other_id for kind, other_id in pairs if kind in wanted)
    others = [
        other for other_id in ids if (other := call.org.items.get(other_id)) and can_see(call.org, call.user, other)
    ]
    rows, numbers = page(others, call.number("start", 1), call.number("num", 100))
    return {
        "total": numbers["total"],
        "start": numbers["start"],
        "num": numbers["num"],
        "nextKey": None if numbers["nextStart"] == -1 else numbers["nextStart"],
        "relatedItems": [describe_item(call.state, other, call.user) for other in rows],
    }


async def resources(call: Call) -> Mapping[str, Any]:
    """The list of an item's resources; this list alone has pages of up to 500."""
    item = find_item(call)
    start, num = call.number("start", 1), max(0, min(call.number("num", 10), 500))
    paths = list(item.resources)
    end = start - 1 + num
    rows = paths[start - 1 : end] if start >= 1 else []
    return {
        "total": len(paths),
        "start": start,
        "num": len(rows),
        "nextStart": end + 1 if start >= 1 and num and end < len(paths) else -1,
        "resources": [
            {
                "resource": path,
                "created": item.modified,
                "size": len(item.resources[path]),
                "access": "inherit",
            }
            for path in rows
        ],
    }


async def dependencies(call: Call) -> Mapping[str, Any]:
    """The dependencies of an item that the portal knows of: none."""
    find_item(call)
    return {"total": 0, "start": 1, "num": 0, "nextStart": -1, "list": []}
