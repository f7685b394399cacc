"""Users and groups: `community/...`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.routing import Route

from agolkit.sandbox.access import can_see_group, is_member, may
from agolkit.sandbox.answers import ServiceError, no_permission, page
from agolkit.sandbox.call import Call, route
from agolkit.sandbox.describe import describe_group, describe_user, user_id
from agolkit.sandbox.language import compile_query
from agolkit.sandbox.organization import Group, User
from agolkit.sandbox.state import State


def routes(state: State) -> list[Route]:
    """Return the routes of users and groups."""
    base = "/portal/sharing/rest/community"
    return [
        route(state, base + "/self", myself),
        route(state, base + "/users", users),
        route(state, base + "/users/{username}", user),
        route(state, base + "/groups", groups),
        route(state, base + "/groups/{group_id}", group),
        route(state, base + "/groups/{group_id}/users", group_users),
        route(state, base + "/groups/{group_id}/userList", group_user_list),
    ]


async def myself(call: Call) -> Mapping[str, Any]:
    """Who is signed in; an application is nobody."""
    me = call.signed_in()
    if call.token and call.token.is_app:
        raise no_permission()
    return describe_user(call.org, me, full=True)


async def user(call: Call) -> Mapping[str, Any]:
    """One user, by name or by 32-character id."""
    viewer = call.signed_in()
    wanted = call.part("username")
    found = call.org.users.get(wanted) or next((one for one in call.org.users.values() if user_id(one) == wanted), None)
    if found is None:
        raise ServiceError(400, "User does not exist or is inaccessible.", "COM_0018")
    return describe_user(call.org, found, full=found is viewer or may(viewer, "portal:admin:viewUsers"))


async def users(call: Call) -> Mapping[str, Any]:
    """The users that a query finds."""
    call.signed_in()
    wanted = compile_query(call.params.get("q", ""), _USER_WORDS)
    found = [one for one in call.org.users.values() if wanted(_user_fields(call, one))]
    rows, numbers = page(found, call.number("start", 1), call.number("num", 10))
    results = [describe_user(call.org, one, full=False, with_groups=False) for one in rows]
    return {"query": call.params.get("q", ""), **numbers, "results": results}


_USER_WORDS = ("username", "fullname")


def _user_fields(call: Call, user: User) -> dict[str, Any]:
    return {
        "username": user.username,
        "fullname": user.full_name,
        "email": user.email,
        "role": user.role,
        "orgid": call.org.id,
        "accountid": call.org.id,
    }


async def groups(call: Call) -> Mapping[str, Any]:
    """The groups that a query finds."""
    wanted = compile_query(call.params.get("q", ""), _GROUP_WORDS)
    found = [
        one for one in call.org.groups.values() if can_see_group(call.user, one) and wanted(_group_fields(call, one))
    ]
    field = call.params.get("sortField", "").lower()
    if field in ("title", "owner", "created", "modified"):
        found.sort(key=lambda one: getattr(one, field), reverse=call.params.get("sortOrder") == "desc")
    rows, numbers = page(found, call.number("start", 1), call.number("num", 10))
    return {"query": call.params.get("q", ""), **numbers, "results": [describe_group(one, call.user) for one in rows]}


_GROUP_WORDS = ("title", "tags", "snippet", "description")


def _group_fields(call: Call, group: Group) -> dict[str, Any]:
    return {
        "id": group.id,
        "title": group.title,
        "owner": group.owner,
        "access": group.access,
        "tags": group.tags,
        "snippet": group.snippet,
        "description": group.description,
        "created": group.created,
        "modified": group.modified,
        "orgid": call.org.id,
        "accountid": call.org.id,
    }


def find_group(call: Call) -> Group:
    """Return the group that the path names, if the caller may see it."""
    found = call.org.groups.get(call.part("group_id"))
    if found is None or not can_see_group(call.user, found):
        raise ServiceError(400, "Group does not exist or is inaccessible.", "CONT_0006")
    return found


async def group(call: Call) -> Mapping[str, Any]:
    """One group."""
    return describe_group(find_group(call), call.user)


async def group_users(call: Call) -> Mapping[str, Any]:
    """Who belongs to a group, as names; for its members and administrators."""
    found = find_group(call)
    me = call.signed_in()
    if not (is_member(me, found) or may(me, "portal:admin:viewGroups")):
        raise no_permission()
    return {"owner": found.owner, "admins": [found.owner, *found.admins], "users": found.members}


async def group_user_list(call: Call) -> Mapping[str, Any]:
    """Who belongs to a group, page by page."""
    found = find_group(call)
    me = call.signed_in()
    if not (is_member(me, found) or may(me, "portal:admin:viewGroups")):
        raise no_permission()
    members = [("admin", name) for name in found.admins] + [("member", name) for name in found.members]
    rows, numbers = page(members, call.number("start", 1), call.number("num", 25))
    owner = call.org.users.get(found.owner)
    return {
        **numbers,
        "owner": {"username": found.owner, "fullName": owner.full_name if owner else "", "memberType": "owner"},
        "users": [
            {
                "username": name,
                "fullName": call.org.users[name].full_name if name in call.org.users else "",
                "memberType": kind,
            }
            for kind, name in rows
        ],
    }
