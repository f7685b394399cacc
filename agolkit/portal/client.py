"""`Portal`: every call of the Sharing REST API that agolkit makes.

A call answers what the portal answered, complete to the last page, or raises one of our errors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from agolkit.errors import Forbidden, NotAnAnswer, NotFound, UsageError
from agolkit.portal.answers import without_secrets
from agolkit.portal.check import Finding, findings
from agolkit.portal.exchange import Exchange
from agolkit.portal.session import PortalSession
from agolkit.progress import pause

PAGE = 100
SEARCH_WINDOW = 10_000
"""The portal pages no further than this into the results of one search."""
LOOKS = 3
"""How often a list is read before it is given up: while it is read, others add, move and delete."""


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
        self.knows_own_hosts = False
        """Whether the portal has named the hosts of its services; else one of them may be taken for a foreign one."""

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
    def url_key(self) -> str:
        """What the organization calls itself in its address, such as `springfield`; empty where it has none."""
        return str(self.about.get("urlKey") or "")

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

        return make_gis(self.url, self._session, self.brake, attempts=self._attempts, sleep=self.sleep)

    def check(self) -> list[Finding]:
        """What this account can and cannot back up, in plain words, and which privilege is missing."""
        return findings(self)

    # -- inventory

    def users(self) -> list[dict[str, Any]]:
        """Every user of the organization, system users included."""
        return self._rows(
            "portals/self/users", "users", {"excludeSystemUsers": "false"}, by="username", sort="username"
        )

    def content(self, owner: str, folder_id: str | None = None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """(folders, items) of a user's root, or of one folder: the raw listing, not the search index."""
        address = f"content/users/{quote(owner, safe='')}" + (f"/{folder_id}" if folder_id else "")
        # The order of creation: what is made while we page comes at the end and moves nothing.
        items, pages = self._complete(address, "items", {}, orders=[("created", "asc")] * LOOKS)
        folders = {folder["id"]: folder for page in pages for folder in page.get("folders") or ()}
        return list(folders.values()), items

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
        answer = self.get_json("search", {"q": self._within(query), "start": 1, "num": 1}, needs={"total": int})
        return int(answer["total"])

    def groups(self) -> list[dict[str, Any]]:
        """Every group of the organization that this account may see."""
        return self._rows("community/groups", "results", {"q": self._within("")}, sort="created")

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
        return self._rows("portals/self/roles", "roles", {"returnPrivileges": "true"})

    def role_privileges(self, role_id: str) -> list[str]:
        """What one role allows."""
        address = f"portals/self/roles/{role_id}/privileges"
        return [str(privilege) for privilege in self.get_json(address, needs={"privileges": list})["privileges"]]

    def category_schema(self) -> list[dict[str, Any]]:
        """The content categories, as a tree; empty where the organization has none."""
        answer = self.get_json("portals/self/categorySchema", needs={"categorySchema": list})
        return list(answer["categorySchema"])

    def group_members(self, group_id: str) -> dict[str, Any]:
        """`{"owner": name, "admins": [names], "users": [names]}`; the owner is not among the admins."""
        address = f"community/groups/{group_id}/userList"
        users, pages = self._complete(address, "users", {}, by="username", orders=[("username", "asc")] * LOOKS)
        owner = str((pages[-1].get("owner") or {}).get("username") or "")
        names = {str(user["username"]): str(user.get("memberType")) for user in users}
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
        return self.get_json(address, needs={"item": dict, "sharing": dict})

    def related(self, item_id: str, types: Sequence[str], direction: str) -> list[dict[str, Any]]:
        """The items related to one by any of the relationship `types`; `direction` is `forward` or `reverse`."""
        address = f"content/items/{item_id}/relatedItems"
        for _ in range(LOOKS):
            params: dict[str, Any] = {"relationshipTypes": ",".join(types), "direction": direction, "num": PAGE}
            found: list[dict[str, Any]] = []
            while True:
                answer = self.get_json(address, params, needs={"relatedItems": list})
                found += answer["relatedItems"]
                if not answer.get("nextKey") or answer["nextKey"] == params.get("start"):
                    break
                params["start"] = answer["nextKey"]
            if len(found) >= _total(answer):
                return list({row["id"]: row for row in found}.values())
        raise NotAnAnswer(f"{address} shows {len(found):,} of {_total(answer):,}, however often it is read.")

    def resources(self, item_id: str) -> list[dict[str, Any]]:
        """Every resource of an item: `{"resource": path, "size": …}`."""
        return self._rows(f"content/items/{item_id}/resources", "resources", {}, by="resource")

    # -- export jobs

    def start_export(
        self, owner: str, item_id: str, *, title: str, tags: Sequence[str], export_format: str
    ) -> ExportJob:
        """Ask the portal to export a hosted item to a new item of `owner`; sent once, never repeated.

        `export_format` is one of the portal's own names, such as `File Geodatabase`. After an error that is `transient`
        the export may run nevertheless: look with `find_by_title` before trying again. `title` must be unique for that.
        """
        address = f"content/users/{quote(owner, safe='')}/export"
        form = {"itemId": item_id, "title": title, "exportFormat": export_format, "tags": ",".join(tags)}
        answer = self.act(address, form)
        if not answer.get("exportItemId"):
            raise NotAnAnswer(f"{address}: the answer names no export item.")
        return ExportJob(str(answer["exportItemId"]), str(answer.get("jobId") or ""))

    def job_status(self, owner: str, item_id: str, job_id: str) -> tuple[str, str]:
        """(status in lower case, message) of an export. An unknown status is the caller's to judge, no error here."""
        params = {"jobType": "export", "jobId": job_id}
        answer = self.get_json(f"content/users/{quote(owner, safe='')}/items/{item_id}/status", params)
        return without_secrets(str(answer.get("status") or "").lower()), without_secrets(
            _plain(answer.get("statusMessage"))
        )

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
        """Every item of an answer that comes from the search index."""
        # Items that are equal in the sort field change places between pages, so that one comes twice and another not
        # at all. Where that happened, other orders bring the missing ones.
        orders = [("created", "asc"), ("title", "asc"), ("modified", "desc"), ("title", "desc")]
        return self._complete(address, key, params, orders=orders, searched=what)[0]

    def _rows(
        self, address: str, key: str, params: Mapping[str, Any], *, by: str = "id", sort: str = ""
    ) -> list[dict[str, Any]]:
        """Every row of a paged list, each once."""
        return self._complete(address, key, params, by=by, orders=[(sort, "asc")] * LOOKS)[0]

    def _complete(
        self,
        address: str,
        key: str,
        params: Mapping[str, Any],
        *,
        orders: Sequence[tuple[str, str]],
        by: str = "id",
        searched: str = "",
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """(rows, pages) of a paged list; each row once, as many as the pages state.

        What is deleted while the list is read moves the rows behind it, over the edge of a page too. Then the list is
        read again, in the next of the `orders` (field, direction). If no reading was undisturbed, what all of them
        have shown is the list.
        """
        found: dict[str, dict[str, Any]] = {}
        for field, order in orders:
            sorting = {"sortField": field, "sortOrder": order} if field else {}
            pages, is_steady = self._read(address, key, {**params, **sorting}, by, searched)
            rows = {str(row[by]): row for page in pages for row in page[key]}
            if is_steady and len(rows) >= max(map(_total, pages)):
                return list(rows.values()), pages
            found |= rows
        if len(found) < _total(pages[-1]):
            raise NotAnAnswer(
                f"{searched or address} shows {len(found):,} of {_total(pages[-1]):,}, however often it is read."
            )
        return list(found.values()), pages

    def _read(
        self, address: str, key: str, params: Mapping[str, Any], by: str, searched: str
    ) -> tuple[list[dict[str, Any]], bool]:
        """The pages of a list, and whether each began with the last row of the one before: else rows have moved."""
        pages: list[dict[str, Any]] = []
        last: list[object] = []
        is_steady, start = True, 1
        while True:
            page = self.get_json(address, {**params, "start": start, "num": PAGE}, needs={key: list})
            if searched and _total(page) > SEARCH_WINDOW:
                raise UsageError(
                    f"{searched} has {_total(page):,} items; a portal shows only {SEARCH_WINDOW:,}. "
                    "Narrow it, or use folders, owners and types, which have no limit."
                )
            ids = [row.get(by) for row in page[key]]
            if not all(ids):
                raise NotAnAnswer(f"{searched or address}: the portal lists something without {by!r}.")
            is_steady = is_steady and last == (ids[:1] if last else [])
            last = ids[-1:]
            pages.append(page)
            following = int(page.get("nextStart") or -1)
            if following == -1:
                return pages, is_steady
            if following <= start:
                raise NotAnAnswer(f"{address}: the page after {start} starts at {following}.")
            start = max(following - 1, start + 1)


def _total(page: Mapping[str, Any]) -> int:
    """The number of rows that a page states for the whole list; 0 where it states none."""
    total = page.get("total")
    return total if isinstance(total, int) else 0


def _plain(message: object) -> str:
    """A job's message; where it is an error written as JSON, the words of that."""
    text = str(message or "")
    try:
        inner = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return str(inner.get("message") or text) if isinstance(inner, dict) else text
