"""The JSON of items, users, groups and folders."""

from __future__ import annotations

import hashlib
from typing import Any

from agolkit.sandbox.access import can_see_group, is_member, may, privileges
from agolkit.sandbox.answers import Json
from agolkit.sandbox.organization import Folder, Group, Item, Organization, User
from agolkit.sandbox.state import State


def describe_item(state: State, item: Item, viewer: User | None) -> Json:
    """Return an item's JSON as this viewer gets it; the owner and administrators also see its folder and protection."""
    service = state.org.services.get(item.service) if item.service else None
    answer: Json = {
        "id": item.id,
        "owner": item.owner,
        "orgId": state.org.id,
        "created": item.created,
        "isOrgItem": True,
        "modified": item.modified,
        "guid": None,
        "name": item.name,
        "title": item.title,
        "type": item.type,
        "typeKeywords": item.type_keywords,
        "description": item.description,
        "tags": item.tags,
        "snippet": item.snippet,
        "thumbnail": f"thumbnail/{item.thumbnail[0]}" if item.thumbnail else None,
        "documentation": None,
        "extent": item.extent,
        "categories": item.categories,
        "spatialReference": item.spatial_reference,
        "accessInformation": None,
        "licenseInfo": None,
        "culture": "en-us",
        "properties": item.properties,
        "advancedSettings": None,
        "url": state.service_url(service) if service else item.url,
        "proxyFilter": None,
        "access": item.access,
        "size": item_size(item),
        "subInfo": 0,
        "appCategories": [],
        "industries": [],
        "languages": [],
        "largeThumbnail": None,
        "banner": None,
        "screenshots": item.screenshots,
        "listed": False,
        "numComments": 0,
        "numRatings": 0,
        "avgRating": 0,
        "numViews": 0,
        "scoreCompleteness": 50,
        "groupDesignations": None,
        "contentOrigin": "self",
        **item.stated,
    }
    if viewer and (viewer.username == item.owner or may(viewer, "portal:admin:viewItems")):
        answer |= {"ownerFolder": item.folder, "protected": item.protected, "itemControl": "admin"}
    return answer


def item_size(item: Item) -> int:
    """Return the size that the portal states: -1 for services, else that of the data with the resources.

    Recorded stories and experiences state many times the length of their data. No source says what else is counted.
    """
    if item.service or item.type.endswith(" Service"):
        return -1
    return (item.data.size if item.data else 0) + sum(map(len, item.resources.values()))


def user_id(user: User) -> str:
    """Return a user's 32-character id."""
    return user.id or hashlib.sha256(user.username.encode()).hexdigest()[:32]


def describe_user(org: Organization, user: User, *, full: bool, with_groups: bool = True) -> Json:
    """Return a user's JSON: the profile, and with `full` what the account itself and administrators see of it."""
    first, _, last = user.full_name.partition(" ")
    answer: Json = {
        "username": user.username,
        "id": user_id(user),
        "fullName": user.full_name,
        "firstName": first,
        "lastName": last,
        "preferredView": None,
        "description": None,
        "access": "org",
        "tags": [],
        "culture": "en-US",
        "units": "metric",
        "thumbnail": None,
        "created": user.created,
        "modified": user.created,
        "provider": "arcgis",
        "orgId": org.id,
        "groups": [],
    }
    if with_groups:
        groups = [group for group in org.groups.values() if is_member(user, group)]
        answer["groups"] = [describe_group(group, user) for group in groups]
    if full:
        answer |= {
            "email": user.email,
            "idpUsername": None,
            "favGroupId": None,
            "lastLogin": user.last_login,
            "mfaEnabled": user.mfa,
            "storageUsage": 0,
            "storageQuota": 2199023255552,
            "role": user.role,
            "roleId": user.role_id or user.role,
            "level": "2",
            "userLicenseTypeId": user.user_type,
            "disabled": user.disabled,
            "availableCredits": -1,
            "assignedCredits": -1,
            "privileges": list(privileges(user)),
            "userType": "arcgisonly",
        }
    return answer


def describe_group(group: Group, viewer: User | None) -> Json:
    """Return a group's JSON, with what the viewer is in it."""
    member_type = "none"
    if viewer and is_member(viewer, group):
        member_type = (
            "owner" if viewer.username == group.owner else "admin" if viewer.username in group.admins else "member"
        )
    return {
        "id": group.id,
        "title": group.title,
        "isInvitationOnly": True,
        "owner": group.owner,
        "description": group.description,
        "snippet": group.snippet,
        "tags": group.tags,
        "typeKeywords": [],
        "phone": None,
        "sortField": "title",
        "sortOrder": "asc",
        "isViewOnly": False,
        "isFav": False,
        "isOpenData": False,
        "thumbnail": group.thumbnail[0] if group.thumbnail else None,
        "created": group.created,
        "modified": group.modified,
        "access": group.access,
        "capabilities": group.capabilities,
        "provider": None,
        "providerGroupName": None,
        "isReadOnly": False,
        "protected": False,
        "autoJoin": False,
        "notificationsEnabled": False,
        "userMembership": {
            "username": viewer.username if viewer else None,
            "memberType": member_type,
            "applications": 0,
        },
    }


def describe_folder(folder: Folder) -> Json:
    """Return a folder's JSON."""
    return {"username": folder.owner, "id": folder.id, "title": folder.title, "created": folder.created}


def describe_item_groups(org: Organization, item: Item, viewer: User | None) -> dict[str, list[Any]]:
    """Return the groups that an item is shared with, sorted by what the viewer is in them."""
    answer: dict[str, list[Any]] = {"admin": [], "member": [], "other": []}
    for group in (org.groups[group_id] for group_id in item.groups if group_id in org.groups):
        if not (can_see_group(viewer, group) or (viewer and viewer.username == item.owner)):
            continue
        described = describe_group(group, viewer)
        kind = {"owner": "admin", "admin": "admin", "member": "member"}.get(
            described["userMembership"]["memberType"], "other"
        )
        answer[kind].append(described)
    return answer
