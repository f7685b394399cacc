"""Search for items: `search` and `content/groups/{id}/search`."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any

from starlette.routing import Route

from agolkit.sandbox.access import visible
from agolkit.sandbox.answers import ServiceError
from agolkit.sandbox.call import Call, route
from agolkit.sandbox.community import find_group
from agolkit.sandbox.describe import describe_item, item_size
from agolkit.sandbox.language import compile_query, owner_in
from agolkit.sandbox.organization import Item
from agolkit.sandbox.state import State, now

_WORDS = ("title", "tags", "snippet", "description", "type", "typekeywords", "owner")
_SORT: dict[str, Callable[[Item], Any]] = {
    "title": lambda item: item.title.lower(),
    "created": lambda item: item.created,
    "modified": lambda item: item.modified,
    "owner": lambda item: item.owner.lower(),
    "type": lambda item: item.type.lower(),
    "size": item_size,
}


def routes(state: State) -> list[Route]:
    """Return the routes of search."""
    base = "/portal/sharing/rest"
    return [
        route(state, base + "/search", search),
        route(state, base + "/content/groups/{group_id}/search", search_group),
        route(state, base + "/content/groups/{group_id}", group_content),
    ]


async def search(call: Call) -> Mapping[str, Any]:
    """The items that a query finds, page by page."""
    return _search(call, None)


async def search_group(call: Call) -> Mapping[str, Any]:
    """The items of a group that a query finds, page by page."""
    return _search(call, find_group(call).id)


async def group_content(call: Call) -> Mapping[str, Any]:
    """The items of a group."""
    answer = dict(_search(call, find_group(call).id))
    answer["items"] = answer.pop("results")
    return answer


def _search(call: Call, group_id: str | None) -> Mapping[str, Any]:
    query, start = call.params.get("q", ""), call.number("start", 1)
    num = max(0, min(call.number("num", 10), 100))
    if len(query) > 10_240:
        raise ServiceError(400, "'q' parameter is too long.")
    window = call.settings.search_window
    if start - 1 + num > window:
        raise ServiceError(
            400, f"Only the first {window} results of a search can be returned: 'start' + 'num' is past them."
        )
    ties = _found(call, query, group_id, anew=start <= 1)
    total = sum(len(tie) for tie in ties)
    end = start - 1 + num
    ids = _cut(ties, start - 1, end, call.settings.shuffle_ties) if start >= 1 else []
    items = [call.org.items[one] for one in ids if one in call.org.items]
    return {
        "query": query,
        "total": total,
        "start": start,
        "num": num,
        "nextStart": end + 1 if start >= 1 and num and end < min(total, window) else -1,
        "results": [describe_item(call.state, item, call.user) for item in items],
    }


def _found(call: Call, query: str, group_id: str | None, *, anew: bool) -> list[list[str]]:
    """The ids found, in order, as groups that the sort field does not tell apart.

    A search is worked out at its first page; the pages that follow are cut from what was found then.
    """
    field, order = call.params.get("sortField", "").lower(), call.params.get("sortOrder", "asc").lower()
    extra = call.params.get("filter", "")
    key = (query, extra, field, order, group_id or "", call.user.username if call.user else "")
    searches = call.state.searches
    if not anew and key in searches:
        return searches[key]
    matches, matches_too = compile_query(query, _WORDS), compile_query(extra, _WORDS)
    owner = owner_in(query) or ""
    items = call.org.items_owned(owner) if owner in call.org.users else call.org.items.values()
    newest = now() - int(call.settings.index_lag * 1000) if call.settings.index_lag else None
    found: list[Item] = []
    fields = _Fields(call.org.id)
    for item in visible(call.org, call.user, items):
        if (group_id and group_id not in item.groups) or (newest is not None and item.created > newest):
            continue
        fields.item = item
        if matches(fields) and matches_too(fields):
            found.append(item)
    if field in _SORT:
        found.sort(key=_SORT[field], reverse=order == "desc")
        ties = [[item.id for item in tie] for _, tie in groupby(found, key=_SORT[field])]
    else:
        ties = [[item.id for item in found]]
    if len(searches) >= 32:
        searches.pop(next(iter(searches)))
    searches[key] = ties
    return ties


def _cut(ties: list[list[str]], begin: int, end: int, shuffle: bool) -> list[str]:
    """Return the ids from `begin` to `end`; those of equal rank start at another one each time."""
    ids: list[str] = []
    at = 0
    for tie in ties:
        if at >= end:
            break
        size = len(tie)
        if at + size > begin:
            first, last = max(begin - at, 0), min(end - at, size)
            turn = random.randrange(size) if shuffle and size > 1 else 0
            ids += [tie[(place + turn) % size] for place in range(first, last)]
        at += size
    return ids


class _Fields:
    """An item's fields under the names that the search language gives them, looked up only when a query asks."""

    _NAMES: Mapping[str, Callable[[Item], Any]] = {
        "id": lambda item: item.id,
        "owner": lambda item: item.owner,
        "title": lambda item: item.title,
        "type": lambda item: item.type,
        "typekeywords": lambda item: item.type_keywords,
        "tags": lambda item: item.tags,
        "snippet": lambda item: item.snippet,
        "description": lambda item: item.description,
        "access": lambda item: item.access,
        "group": lambda item: item.groups,
        "created": lambda item: item.created,
        "modified": lambda item: item.modified,
        "uploaded": lambda item: item.created,
        "name": lambda item: item.name,
        "url": lambda item: item.url,
        "categories": lambda item: item.categories,
        "ownerfolder": lambda item: item.folder,
        "size": item_size,
    }

    item: Item

    def __init__(self, org_id: str) -> None:
        self.org_id = org_id

    def get(self, name: str, /) -> Any:
        look_up = self._NAMES.get(name)
        if look_up:
            return look_up(self.item)
        return self.org_id if name in ("orgid", "accountid") else None
