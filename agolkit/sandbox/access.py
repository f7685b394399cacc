"""Who may see and do what: privileges of roles, visibility of items and groups."""

from __future__ import annotations

from collections.abc import Iterable

from agolkit.sandbox.answers import ServiceError, no_item, no_permission, token_required
from agolkit.sandbox.call import Call
from agolkit.sandbox.organization import Group, Item, Organization, Service, User

_MEMBER = ("portal:user:joinGroup", "portal:user:viewOrgGroups", "portal:user:viewOrgItems", "portal:user:viewOrgUsers")
_CREATOR = (
    *_MEMBER,
    "features:user:edit",
    "portal:user:createGroup",
    "portal:user:createItem",
    "portal:user:shareGroupToOrg",
    "portal:user:shareGroupToPublic",
    "portal:user:shareToGroup",
    "portal:user:shareToOrg",
    "portal:user:shareToPublic",
)
_PUBLISHER = (
    *_CREATOR,
    "portal:publisher:publishFeatures",
    "portal:publisher:publishScenes",
    "portal:publisher:publishTiles",
)
_ADMIN = (
    *_PUBLISHER,
    "features:user:fullEdit",
    "portal:admin:assignToGroups",
    "portal:admin:categorizeItems",
    "portal:admin:changeUserRoles",
    "portal:admin:deleteGroups",
    "portal:admin:deleteItems",
    "portal:admin:deleteUsers",
    "portal:admin:disableUsers",
    "portal:admin:inviteUsers",
    "portal:admin:manageLicenses",
    "portal:admin:manageRoles",
    "portal:admin:reassignGroups",
    "portal:admin:reassignItems",
    "portal:admin:reassignUsers",
    "portal:admin:updateGroups",
    "portal:admin:updateItems",
    "portal:admin:updateUsers",
    "portal:admin:viewGroups",
    "portal:admin:viewItems",
    "portal:admin:viewUsers",
)
_OF_ROLE = {"org_admin": _ADMIN, "org_publisher": _PUBLISHER, "org_user": _CREATOR}


def privileges(user: User) -> tuple[str, ...]:
    """Return what a user may do: the account's own list, or that of its role."""
    return user.privileges or _OF_ROLE[user.role]


def may(user: User | None, privilege: str) -> bool:
    """Return whether a user holds a privilege."""
    return user is not None and privilege in privileges(user)


def require(call: Call, privilege: str) -> User:
    """Return the user, or refuse one who does not hold the privilege."""
    user = call.signed_in()
    if not may(user, privilege):
        raise no_permission()
    return user


def is_member(user: User, group: Group) -> bool:
    """Return whether a user owns, manages or belongs to a group."""
    return user.username == group.owner or user.username in group.admins or user.username in group.members


def groups_of(org: Organization, user: User) -> set[str]:
    """Return the ids of the groups that a user belongs to."""
    return {group.id for group in org.groups.values() if is_member(user, group)}


def can_see_group(user: User | None, group: Group) -> bool:
    """Return whether a group is visible to a user (`None`: to anybody)."""
    if group.access == "public":
        return True
    return user is not None and (
        group.access == "org" or is_member(user, group) or may(user, "portal:admin:viewGroups")
    )


def can_see(org: Organization, user: User | None, item: Item) -> bool:
    """Return whether an item is visible to a user (`None`: to anybody)."""
    if item.access == "public":
        return True
    if user is None:
        return False
    if item.owner == user.username or item.access == "org" or may(user, "portal:admin:viewItems"):
        return True
    return any(is_member(user, org.groups[group]) for group in item.groups if group in org.groups)


def visible(org: Organization, user: User | None, items: Iterable[Item]) -> Iterable[Item]:
    """Return those of the items that a user may see."""
    if may(user, "portal:admin:viewItems"):
        return items
    mine = groups_of(org, user) if user else set()
    name = user.username if user else None
    open_to = ("public", "org") if user else ("public",)
    return [item for item in items if item.access in open_to or item.owner == name or not mine.isdisjoint(item.groups)]


def find_item(call: Call) -> Item:
    """Return the item that the path names, if the caller may see it."""
    item = call.org.items.get(call.part("item_id"))
    if item is None:
        raise no_item()
    if not can_see(call.org, call.user, item):
        raise no_item() if call.user else token_required()
    return item


def find_service(call: Call) -> tuple[Service, Item]:
    """Return the hosted service that the path names and its item, if the caller may see them."""
    service = call.org.services.get(call.part("service"))
    item = call.org.items.get(service.item_id) if service else None
    if service is None or item is None or service.server_type != call.part("server_type"):
        raise ServiceError(400, "Invalid URL", details=["Invalid URL"])
    if not can_see(call.org, call.user, item):
        raise no_permission() if call.user else token_required()
    return service, item


def find_owner(call: Call, privilege: str) -> User:
    """Return the user whose content the path names, if the caller is that user or holds the privilege."""
    caller = call.signed_in()
    owner = call.org.users.get(call.part("owner"))
    if owner is None:
        raise ServiceError(400, "User does not exist or is inaccessible.", "COM_0018")
    if owner is not caller and not may(caller, privilege):
        raise no_permission()
    return owner
