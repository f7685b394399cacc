"""Deleting items, for good or into the recycle bin, and taking them out of it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.routing import Route

from agolkit.sandbox.access import find_owner
from agolkit.sandbox.answers import Json, ServiceError, no_item
from agolkit.sandbox.call import Call, route
from agolkit.sandbox.organization import Item, User
from agolkit.sandbox.state import State

_PRIVILEGE = "portal:admin:deleteItems"


def routes(state: State) -> list[Route]:
    """Return the routes of deletion."""
    owner = "/portal/sharing/rest/content/users/{owner}"
    return [
        route(state, owner + "/items/{item_id}/delete", delete),
        route(state, owner + "/{folder}/items/{item_id}/delete", delete),
        route(state, owner + "/items/{item_id}/canDelete", can_delete),
        route(state, owner + "/{folder}/items/{item_id}/canDelete", can_delete),
        route(state, owner + "/items/{item_id}/restore", restore),
        route(state, owner + "/deleteItems", delete_items),
    ]


async def delete(call: Call) -> Mapping[str, Any]:
    """Delete one item."""
    _only_post(call)
    owner = find_owner(call, _PRIVILEGE)
    item = _owned(call, owner, call.part("item_id"))
    _remove(call, item)
    return {"success": True, "itemId": item.id}


async def delete_items(call: Call) -> Mapping[str, Any]:
    """Delete several items."""
    _only_post(call)
    owner = find_owner(call, _PRIVILEGE)
    results: list[Json] = []
    for item_id in filter(None, call.params.get("items", "").split(",")):
        try:
            _remove(call, _owned(call, owner, item_id.strip()))
            results.append({"itemId": item_id, "success": True})
        except ServiceError as error:
            results.append({"itemId": item_id, "success": False, **error.envelope})
    return {"results": results}


async def can_delete(call: Call) -> Mapping[str, Any]:
    """Whether an item could be deleted now."""
    owner = find_owner(call, _PRIVILEGE)
    item = _owned(call, owner, call.part("item_id"))
    _refuse_protected(item)
    return {"success": True, "itemId": item.id}


async def restore(call: Call) -> Mapping[str, Any]:
    """Take an item out of the recycle bin; it is then shared with nobody."""
    _only_post(call)
    owner = find_owner(call, _PRIVILEGE)
    item = call.org.recycle_bin.get(call.part("item_id"))
    if item is None or item.owner != owner.username:
        raise no_item()
    del call.org.recycle_bin[item.id]
    item.folder, item.access, item.groups = call.params.get("folder") or None, "private", []
    call.org.items[item.id] = item
    return {"success": True, "itemId": item.id}


def _only_post(call: Call) -> None:
    if call.request.method != "POST":
        raise ServiceError(405, "Method not allowed.")


def _owned(call: Call, owner: User, item_id: str) -> Item:
    item = call.org.items.get(item_id) or call.org.recycle_bin.get(item_id)
    if item is None or item.owner != owner.username:
        raise no_item()
    return item


def _refuse_protected(item: Item) -> None:
    if item.protected:
        raise ServiceError(400, f"Unable to delete item. This item has delete protection: {item.id}", "CONT_0048")


def _remove(call: Call, item: Item) -> None:
    """Into the recycle bin where there is one; for good when asked to, or when it lies there already."""
    _refuse_protected(item)
    org = call.org
    was_in_bin = org.recycle_bin.pop(item.id, None) is not None
    org.items.pop(item.id, None)
    if org.recycle_bin_enabled and not was_in_bin and not call.flag("permanentDelete"):
        org.recycle_bin[item.id] = item
    else:
        if item.service:
            org.services.pop(item.service, None)
        call.state.forget(item)
