"""The organization itself: `portals/self` and what hangs below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.routing import Route

from agolkit.sandbox.access import may, privileges, require
from agolkit.sandbox.answers import Json, ServiceError, page
from agolkit.sandbox.call import Call, route
from agolkit.sandbox.describe import describe_item, describe_user
from agolkit.sandbox.organization import Organization, Role, User
from agolkit.sandbox.state import State

_BUILT_IN_ROLES = ("org_admin", "org_publisher", "org_user")


def routes(state: State) -> list[Route]:
    """Return the routes of the organization."""
    base = "/portal/sharing/rest"
    return [
        route(state, base, root),
        route(state, base + "/", root),
        route(state, base + "/portals/{portal}", itself),
        route(state, base + "/portals/{portal}/settings", settings),
        route(state, base + "/portals/{portal}/users", users),
        route(state, base + "/portals/{portal}/users/search", search_users),
        route(state, base + "/portals/{portal}/roles", roles),
        route(state, base + "/portals/{portal}/roles/{role}/privileges", role_privileges),
        route(state, base + "/portals/{portal}/urls", urls),
        route(state, base + "/portals/{portal}/servers", servers),
        route(state, base + "/portals/{portal}/categorySchema", category_schema),
        route(state, base + "/content/portals/{portal}", all_content),
    ]


async def root(call: Call) -> Mapping[str, Any]:
    """The version of the API."""
    return {"currentVersion": _version(call)}


def _version(call: Call) -> str:
    """The version that the Sharing API states: Enterprise 11.4 has that of the end of 2024."""
    return "2025.1" if call.state.is_online else "2024.2"


async def itself(call: Call) -> Mapping[str, Any]:
    """The organization, and who is signed in to it."""
    _this_portal(call)
    org, online = call.org, call.state.is_online
    host = f"127.0.0.1:{call.state.port}"
    answer: Json = {
        "access": "public",
        "allSSL": True,
        "allowedRedirectUris": [],
        "availableCredits": 9584.193,
        "canSearchPublic": True,
        "canSharePublic": True,
        "commentsEnabled": True,
        "created": 1392336986000,
        "culture": "en",
        "currentVersion": _version(call),
        "customBaseUrl": "maps.sandbox.example",
        "defaultExtent": {
            "type": "extent",
            "xmin": -15000000,
            "ymin": 2700000,
            "xmax": -6200000,
            "ymax": 6500000,
            "spatialReference": {"wkid": 102100},
        },
        "description": None,
        "hasCategorySchema": bool(org.category_schema),
        "helperServices": {},
        "httpsPort": call.state.port,
        "id": org.id,
        "isPortal": not online,
        "maxTokenExpirationMinutes": -1,
        "metadataEditable": True,
        "metadataFormats": ["iso19139"],
        "modified": 1511894763000,
        "name": org.name,
        "portalHostname": f"{host}/portal",
        "portalMode": "multitenant" if online else "singletenant",
        "portalName": "ArcGIS Online" if online else "ArcGIS Enterprise",
        "portalProperties": {},
        "recycleBinEnabled": org.recycle_bin_enabled,
        "recycleBinSupported": True,
        "region": "WO",
        "storageQuota": 2199023255552,
        "storageUsage": sum(item.data.size for item in org.items.values() if item.data),
        "supportsHostedServices": True,
        "supportsOAuth": True,
        "units": "metric",
        "urlKey": org.url_key if online else None,
        "user": None,
    }
    if not online:
        answer |= {"portalDeploymentType": "ArcGISEnterprise", "enterpriseVersion": "11.4.0"}
    answer |= org.properties
    if call.token and call.token.is_app:
        answer["appInfo"] = {
            "appId": call.state.client_id,
            "appOwner": call.token.username,
            "appTitle": "agolkit",
            "orgId": org.id,
            "privileges": list(privileges(call.signed_in())),
        }
        del answer["user"]
    elif call.user:
        answer["user"] = describe_user(org, call.user, full=True)
    else:
        del answer["user"]
    return answer


async def settings(call: Call) -> Mapping[str, Any]:
    """What is set beyond the description, as the caller sees it."""
    _this_portal(call)
    return {
        "allowedRedirectUris": [],
        "informationalBanner": {"text": "", "bgColor": "#ffffff", "fontColor": "#000000", "enabled": False},
        "showHomePageDescription": False,
        **call.org.settings,
    }


async def users(call: Call) -> Mapping[str, Any]:
    """The members, page by page."""
    _this_portal(call)
    call.signed_in()
    found = list(call.org.users.values())
    if role := call.params.get("role"):
        found = [user for user in found if role in (user.role, user.role_id)]
    rows, numbers = page(found, call.number("start", 1), call.number("num", 10))
    return {**numbers, "users": [_member(call, user) for user in rows]}


async def search_users(call: Call) -> Mapping[str, Any]:
    """The members that a word is part of, page by page."""
    _this_portal(call)
    call.signed_in()
    word = call.params.get("q", "").lower().strip("*")
    found = [user for user in call.org.users.values() if word in f"{user.username} {user.full_name}".lower()]
    rows, numbers = page(found, call.number("start", 1), call.number("num", 10))
    return {"query": call.params.get("q", ""), **numbers, "results": [_member(call, user) for user in rows]}


def _member(call: Call, user: User) -> Json:
    return describe_user(call.org, user, full=may(call.user, "portal:admin:viewUsers"), with_groups=False)


async def roles(call: Call) -> Mapping[str, Any]:
    """The custom roles, and what they allow if that is asked for."""
    _this_portal(call)
    viewer = call.signed_in()
    found = sorted(_roles(call.org).values(), key=lambda role: role.id)
    rows, numbers = page(found, call.number("start", 1), call.number("num", 10))
    with_privileges = call.flag("returnPrivileges") and may(viewer, "portal:admin:viewUsers")
    return {**numbers, "roles": [_describe_role(role, with_privileges) for role in rows]}


def _roles(org: Organization) -> dict[str, Role]:
    """The custom roles; one that only a user names allows what that user may do."""
    found = dict(org.roles)
    for user in org.users.values():
        if user.role_id and user.role_id not in _BUILT_IN_ROLES:
            made = 1511894763000
            name = f"Custom role {user.role_id}"
            found.setdefault(user.role_id, Role(user.role_id, name, "", privileges(user), made, made))
    return found


def _describe_role(role: Role, with_privileges: bool) -> Json:
    answer: Json = {
        "id": role.id,
        "name": role.name,
        "description": role.description,
        "created": role.created,
        "modified": role.modified,
    }
    return answer | ({"privileges": list(role.privileges)} if with_privileges else {})


async def role_privileges(call: Call) -> Mapping[str, Any]:
    """What a role may do."""
    _this_portal(call)
    require(call, "portal:admin:viewUsers")
    role = _roles(call.org).get(call.part("role"))
    if role is None:
        raise ServiceError(400, "Role does not exist or is inaccessible.", "ORG_0045")
    return {"privileges": list(role.privileges)}


async def urls(call: Call) -> Mapping[str, Any]:
    """The hosts of the hosted services (ArcGIS Online)."""
    _this_portal(call)
    if not call.state.is_online:
        raise ServiceError(400, "Invalid URL", details=["Invalid URL"])
    hosts = {"http": [], "https": [f"127.0.0.1:{call.state.port}"]}
    return {"urls": {"features": hosts, "tiles": hosts}}


async def servers(call: Call) -> Mapping[str, Any]:
    """The federated servers (ArcGIS Enterprise)."""
    _this_portal(call)
    if call.state.is_online:
        raise ServiceError(400, "Invalid URL", details=["Invalid URL"])
    url = f"{call.state.origin}/server"
    server = {
        "id": "sandboxServer01",
        "name": f"127.0.0.1:{call.state.port}",
        "url": url,
        "adminUrl": url,
        "isHosted": True,
        "serverType": "ARCGIS",
        "serverRole": "HOSTING_SERVER",
        "serverFunction": "",
    }
    return {"servers": [server]}


async def category_schema(call: Call) -> Mapping[str, Any]:
    """The content categories, as a tree."""
    _this_portal(call)
    return {"categorySchema": call.org.category_schema}


async def all_content(call: Call) -> Mapping[str, Any]:
    """Every item of the organization, for administrators."""
    _this_portal(call)
    require(call, "portal:admin:viewItems")
    rows, numbers = page(list(call.org.items.values()), call.number("start", 1), call.number("num", 10))
    return {**numbers, "items": [describe_item(call.state, item, call.user) for item in rows]}


def _this_portal(call: Call) -> None:
    if call.part("portal") not in ("self", call.org.id):
        raise ServiceError(400, "Organization does not exist or is inaccessible.", "ORG_0001")
