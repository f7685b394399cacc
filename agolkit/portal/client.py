"""`Portal`: every call of the Sharing REST API that agolkit makes.

A call answers what the portal answered, complete to the last page, or raises one of our errors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from agolkit.errors import Forbidden, NotAnAnswer, NotFound, UsageError
from agolkit.portal.check import Finding, findings
from agolkit.portal.exchange import Exchange
from agolkit.portal.session import PortalSession
from agolkit.progress import pause

PAGE = 100
SEARCH_WINDOW = 10_000
"""The portal pages no further than this into the results of one search."""


@dataclass(frozen=True, slots=True)
class ExportJob:
    """A server-side export under way: the item that it makes, and the job to ask about."""

    export_item_id: str
    job_id: str


class Portal(Exchange):
    """A signed-in portal: who, where, and every REST call. Made by `connect`; safe to use from many threads."""

    def __init__(
        self,
        session: PortalSession,
        rest_url: str,
        *,
        attempts: int = 3,
        sleep: Callable[[float], None] = pause,
    ) -> None:
        super().__init__(session, rest_url, attempts=attempts, sleep=sleep)
        self.about: Mapping[str, Any] = {}
        """The portal's own description of itself and of the signed-in user (`portals/self`)."""

    def __repr__(self) -> str:
        who = f"an application of {self.username}" if "appInfo" in self.about else self.username
        role = ", administrator" if self.is_admin else ""
        return f"<Portal {self.org_name!r} ({self.org_id}) at {self.url}, signed in as {who}{role}>"

    @property
    def url(self) -> str:
        return self.rest_url.removesuffix("/sharing/rest")

    @property
    def org_id(self) -> str:
        return str(self.about.get("id") or "")

    @property
    def org_name(self) -> str:
        return str(self.about.get("name") or "")

    @property
    def is_online(self) -> bool:
        """ArcGIS Online, as opposed to an ArcGIS Enterprise portal."""
        return self.about.get("portalName") == "ArcGIS Online" and self.about.get("portalMode") == "multitenant"

    @property
    def _account(self) -> Mapping[str, Any]:
        return self.about.get("user") or self.about.get("appInfo") or {}

    @property
    def username(self) -> str:
        """Who is signed in; for an application, who owns it."""
        return str(self._account.get("username") or self._account.get("appOwner") or "")

    @property
    def privileges(self) -> frozenset[str]:
        return frozenset(self._account.get("privileges") or ())

    @property
    def is_admin(self) -> bool:
        return self._account.get("role") == "org_admin" or self.can_see_all

    @property
    def can_see_all(self) -> bool:
        """Whether this account lists everybody's content, private items included."""
        return {"portal:admin:viewUsers", "portal:admin:viewItems"} <= self.privileges

    @cached_property
    def gis(self) -> Any:
        """The signed-in `arcgis.gis.GIS`, on our session. Made at first use: importing `arcgis` takes seconds."""
        from agolkit.portal.gis import make_gis

        return make_gis(self.url, self._session, attempts=self._attempts, sleep=self.sleep)

    def check(self) -> list[Finding]:
        """What this account can and cannot back up, in plain words, and which privilege is missing."""
        return findings(self)

    # -- inventory

    def users(self) -> list[dict[str, Any]]:
        """Every user of the organization, system users included."""
        params = {"sortField": "username", "sortOrder": "asc", "excludeSystemUsers": "false"}
        return _distinct(self._pages("portals/self/users", "users", params), key="username")

    def content(self, owner: str, folder_id: str | None = None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """(folders, items) of a user's root, or of one folder: the raw listing, not the search index."""
        address = f"content/users/{quote(owner, safe='')}" + (f"/{folder_id}" if folder_id else "")
        folders: list[dict[str, Any]] = []
        items: list[dict[str, Any]] = []
        # The order of creation: what is made while we page comes at the end and moves nothing.
        for page in self._answers(address, "items", {"sortField": "created", "sortOrder": "asc"}):
            folders += page.get("folders") or []
            items += page["items"]
        return _distinct(folders), _distinct(items)

    def search(self, query: str) -> list[dict[str, Any]]:
        """Every item of the organization that a portal search finds.

        Raises
        ------
        UsageError
            There are more than 10,000: the portal shows no further ones. Narrow the query.
        NotAnAnswer
            The pages did not add up to the total, even when read again.
        """
        return self._found("search", "results", {"q": self._within(query)}, f"The search {query!r}")

    def count(self, query: str = "") -> int:
        """How many items of the organization a portal search counts (it is not limited to 10,000)."""
        answer = self.get_json("search", {"q": self._within(query), "start": 1, "num": 1})
        if not isinstance(answer.get("total"), int):
            raise NotAnAnswer(f"search: the answer to {query!r} holds no total.")
        return int(answer["total"])

    def groups(self) -> list[dict[str, Any]]:
        """Every group of the organization that this account may see."""
        params = {"q": self._within(""), "sortField": "created", "sortOrder": "asc"}
        return _distinct(self._pages("community/groups", "results", params))

    def group_items(self, group_id: str) -> list[dict[str, Any]]:
        """Every item of the organization that is shared with a group."""
        return self.search(f'group:"{group_id}"')

    # -- the organization itself

    def organization(self) -> dict[str, Any]:
        """The portal's description of itself as it is now (`portals/self`); it names the signed-in user too."""
        return self.get_json("portals/self")

    def settings(self) -> dict[str, Any]:
        """What is set for the organization beyond its description: banners, access notice, redirect addresses."""
        return self.get_json("portals/self/settings")

    def roles(self) -> list[dict[str, Any]]:
        """Every role that is not built in; with its `privileges` where the portal lists them to this account."""
        return _distinct(self._pages("portals/self/roles", "roles", {"returnPrivileges": "true"}))

    def role_privileges(self, role_id: str) -> list[str]:
        """What one role allows."""
        address = f"portals/self/roles/{role_id}/privileges"
        return [str(privilege) for privilege in _list_in(self.get_json(address), "privileges", address)]

    def category_schema(self) -> list[dict[str, Any]]:
        """The content categories, as a tree; empty where the organization has none."""
        return _list_in(self.get_json("portals/self/categorySchema"), "categorySchema", "portals/self/categorySchema")

    def group_members(self, group_id: str) -> dict[str, Any]:
        """`{"owner": name, "admins": [names], "users": [names]}`; the owner is not among the admins."""
        address = f"community/groups/{group_id}/userList"
        owner, names = "", dict[str, str]()
        for page in self._answers(address, "users", {"sortField": "username", "sortOrder": "asc"}):
            owner = str((page.get("owner") or {}).get("username") or "")
            names |= {str(user["username"]): str(user.get("memberType")) for user in page["users"]}
        names.pop(owner, None)
        admins = [name for name, member_type in names.items() if member_type == "admin"]
        return {"owner": owner, "admins": admins, "users": [name for name in names if name not in admins]}

    def group_content(self, group_id: str) -> list[dict[str, Any]]:
        """Every item that is shared with a group, those of other organizations included."""
        return self._found(f"content/groups/{group_id}", "items", {}, f"The content of the group {group_id}")

    # -- one item

    def item(self, item_id: str, *, owner: str | None = None) -> dict[str, Any]:
        """A fresh item description; as its owner sees it (with folder, sharing and protection) where we may."""
        if owner:
            try:
                view = self.owner_view(owner, item_id)
                return dict(view["item"])
            except (NotFound, Forbidden):
                pass  # moved to another owner, or not ours to see: the plain description says more
        return self.get_json(f"content/items/{item_id}")

    def owner_view(self, owner: str, item_id: str) -> dict[str, Any]:
        """`{"item": …, "sharing": …}` as the owner and administrators see it."""
        address = f"content/users/{quote(owner, safe='')}/items/{item_id}"
        view = self.get_json(address)
        if not isinstance(view.get("item"), dict):
            raise NotAnAnswer(f"{address}: the answer holds no item.")
        return view

    def item_groups(self, item_id: str) -> dict[str, Any]:
        """The groups that an item is shared with: `{"admin": […], "member": […], "other": […]}`."""
        return self.get_json(f"content/items/{item_id}/groups")

    def related(self, item_id: str, types: Sequence[str], direction: str) -> list[dict[str, Any]]:
        """The items related to one by any of the relationship `types`; `direction` is `forward` or `reverse`."""
        params: dict[str, Any] = {"relationshipTypes": ",".join(types), "direction": direction, "num": PAGE}
        found: list[dict[str, Any]] = []
        while True:
            answer = self.get_json(f"content/items/{item_id}/relatedItems", params)
            found += _list_in(answer, "relatedItems", "relatedItems")
            if not answer.get("nextKey") or answer["nextKey"] == params.get("start"):
                return _distinct(found)
            params["start"] = answer["nextKey"]

    def resources(self, item_id: str) -> list[dict[str, Any]]:
        """Every resource of an item: `{"resource": path, "size": …}`."""
        return _distinct(self._pages(f"content/items/{item_id}/resources", "resources", {}), key="resource")

    # -- export jobs

    def start_export(
        self,
        owner: str,
        item_id: str,
        *,
        title: str,
        tags: str | Sequence[str],
        format: str = "File Geodatabase",
    ) -> ExportJob:
        """Ask the portal to export a hosted item to a new item of `owner`. Sent once, never blindly repeated.

        After an error that is `transient` the export may run nevertheless: look with `find_by_title` before trying
        again. `title` must be unique for that.
        """
        address = f"content/users/{quote(owner, safe='')}/export"
        tag_text = tags if isinstance(tags, str) else ",".join(tags)
        answer = self.act(address, {"itemId": item_id, "title": title, "exportFormat": format, "tags": tag_text})
        if not answer.get("exportItemId"):
            raise NotAnAnswer(f"{address}: the answer names no export item.")
        return ExportJob(str(answer["exportItemId"]), str(answer.get("jobId") or ""))

    def job_status(self, owner: str, item_id: str, job_id: str, job_type: str = "export") -> tuple[str, str]:
        """(status in lower case, message) of a job. An unknown status is the caller's to judge, not an error here."""
        params = {"jobType": job_type, "jobId": job_id}
        answer = self.get_json(f"content/users/{quote(owner, safe='')}/items/{item_id}/status", params)
        return str(answer.get("status") or "").lower(), _plain(answer.get("statusMessage"))

    def find_by_title(self, owner: str, title: str) -> list[dict[str, Any]]:
        """The items in the root of a user's content that have exactly this title, by the raw listing."""
        return [item for item in self.content(owner)[1] if item.get("title") == title]

    def delete_item(self, owner: str, item_id: str) -> None:
        """Delete an item permanently, past the recycle bin. That it is not there is success."""
        address = f"content/users/{quote(owner, safe='')}/items/{item_id}/delete"
        with suppress(NotFound):  # gone already, or the answer to the attempt before this one was lost
            self.get_json(address, {"permanentDelete": "true"}, post=True)

    # -- pages

    def _within(self, query: str) -> str:
        """A search restricted to this organization."""
        here = f"orgid:{self.org_id}"
        return f"({query}) AND {here}" if query.strip() else here

    def _found(self, address: str, key: str, params: Mapping[str, Any], what: str) -> list[dict[str, Any]]:
        """Every item of an answer that comes from the search index, proven complete by its total."""
        found: dict[str, dict[str, Any]] = {}
        total = 0
        # Items that are equal in the sort field change places between pages, so that one comes twice and another not
        # at all. Where that happened, other orders bring the missing ones.
        for field, order in (("created", "asc"), ("title", "asc"), ("modified", "desc"), ("title", "desc")):
            for page in self._answers(address, key, {**params, "sortField": field, "sortOrder": order}):
                total = int(page.get("total") or 0)
                if total > SEARCH_WINDOW:
                    raise UsageError(
                        f"{what} has {total:,} items; a portal shows only {SEARCH_WINDOW:,}. "
                        "Narrow it, or use folders, owners and types, which have no limit."
                    )
                found |= {item["id"]: item for item in page[key]}
            if len(found) >= total:
                return list(found.values())
        raise NotAnAnswer(f"{what} shows {len(found):,} of {total:,} items.")

    def _pages(self, address: str, key: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for page in self._answers(address, key, params):
            yield from page[key]

    def _answers(self, address: str, key: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Each page of a paged answer, until the portal says that there is no further one."""
        start = 1
        while start > 0:
            page = self.get_json(address, {**params, "start": start, "num": PAGE})
            _list_in(page, key, address)
            yield page
            following = int(page.get("nextStart") or -1)
            if following != -1 and following <= start:
                raise NotAnAnswer(f"{address}: the page after {start} starts at {following}.")
            start = following


def _list_in(answer: Mapping[str, Any], key: str, what: str) -> list[dict[str, Any]]:
    found = answer.get(key)
    if not isinstance(found, list):
        raise NotAnAnswer(f"{what}: the answer holds no {key}.")
    return found


def _distinct(rows: Iterator[dict[str, Any]] | list[dict[str, Any]], *, key: str = "id") -> list[dict[str, Any]]:
    return list({row[key]: row for row in rows}.values())


def _plain(message: object) -> str:
    """A job's message; where it is an error written as JSON, the words of that."""
    text = str(message or "")
    try:
        inner = json.loads(text)
    except ValueError:
        return text
    return str(inner.get("message") or text) if isinstance(inner, dict) else text
