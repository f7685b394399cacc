"""The people of Springfield: users with their privileges, folders and groups."""

from __future__ import annotations

import copy
from typing import Literal

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.ids import DAY, FIRST_STAMP, LAST_STAMP, hex_id, stamp
from agolkit.sandbox.organization import Access, Folder, Group, Organization, Role, User

BuiltIn = Literal["org_admin", "org_publisher", "org_user"]

PASSWORD = "practice-makes-perfect"
"""Of every user of a made-up city; it opens nothing else."""

VIEWER = ("portal:user:joinGroup", "portal:user:viewOrgGroups", "portal:user:viewOrgItems", "portal:user:viewOrgUsers")
USER = (
    *VIEWER,
    *("features:user:edit", "portal:user:createGroup", "portal:user:createItem", "portal:user:joinNonOrgGroup"),
    *("portal:user:shareGroupToOrg", "portal:user:shareGroupToPublic", "portal:user:shareToGroup"),
    *("portal:user:shareToOrg", "portal:user:shareToPublic", "premium:user:geocode", "premium:user:networkanalysis"),
)
PUBLISHER = (
    *USER,
    *("features:user:fullEdit", "portal:publisher:publishFeatures", "portal:publisher:publishScenes"),
    *("portal:publisher:publishTiles", "premium:publisher:createNotebooks", "premium:user:spatialanalysis"),
)
ADMINISTRATOR = (
    *PUBLISHER,
    *("portal:admin:assignToGroups", "portal:admin:categorizeItems", "portal:admin:changeUserRoles"),
    *("portal:admin:createUpdateCapableGroup", "portal:admin:deleteGroups", "portal:admin:deleteItems"),
    *("portal:admin:deleteUsers", "portal:admin:disableUsers", "portal:admin:inviteUsers"),
    *("portal:admin:manageCollaborations", "portal:admin:manageCredits", "portal:admin:manageEnterpriseGroups"),
    *("portal:admin:manageLicenses", "portal:admin:manageRoles", "portal:admin:manageSecurity"),
    *("portal:admin:manageServers", "portal:admin:manageUtilityServices", "portal:admin:manageWebsite"),
    *("portal:admin:reassignGroups", "portal:admin:reassignItems", "portal:admin:reassignUsers"),
    *("portal:admin:shareToGroup", "portal:admin:shareToOrg", "portal:admin:shareToPublic"),
    *("portal:admin:updateGroups", "portal:admin:updateItemCategorySchema", "portal:admin:updateItems"),
    *("portal:admin:updateUsers", "portal:admin:viewGroups", "portal:admin:viewItems", "portal:admin:viewUsers"),
)
VIEWER_ROLE = "iAAAAAAAAAAAAAAA"
"""Id of the role that ArcGIS Online calls Viewer."""
SURVEYOR_ROLE = "sUrV3y0rR0l31234"
"""Id of a role that the city made itself."""

FOLDERS = {
    "city_admin": ["Administration", "Archive", "Backups of 2023"],
    "p.waters": ["Water Network", "Archive", "A/B test: old? | new*", "CON"],
    "Transport_GIS": ["Transport", "Traffic counts 2024", "=1+1", "Empty folder"],
    "parks@springfield.example": ["Parks & Recreation", "Urban Forest", "Zoë's drafts "],
    "s.nakamura": ["地図", "避難所 2025"],
    "l.haddad": ["خرائط", "Shared with partners"],
    "planning.team": ["Planning", "planning", "../Zoning"],
    "field.crew": ["Survey-Damage assessment", "QuickCapture"],
    "open.data": ["Open Data", "no-backup"],
    "old.contractor": ["Deliverables...", "🚧 Work in progress 🚧"],
}
"""Folder titles by owner. `Archive` is there for two owners; two of planning.team differ only by case."""


CATEGORIES = [
    {
        "title": "Categories",
        "description": "What an item is about.",
        "categories": [
            {"title": "Water", "description": "", "categories": [{"title": "Pipes"}, {"title": "Hydrants & valves"}]},
            {"title": "公園 / Parks", "description": "Trees, lawns, playgrounds", "categories": []},
        ],
    }
]


def add_people(org: Organization) -> None:
    """Fill in the 12 users, two roles, the folders, 8 groups and content categories of Springfield."""
    org.category_schema = copy.deepcopy(CATEGORIES)
    org.add(
        Role(VIEWER_ROLE, "Viewer", "Viewer", VIEWER, FIRST_STAMP, FIRST_STAMP),
        Role(
            SURVEYOR_ROLE, "Surveyor", "Edits in the field.", (*VIEWER, "features:user:edit"), FIRST_STAMP, LAST_STAMP
        ),
    )
    org.add(
        make_user("city_admin", "Ada Okafor", "org_admin"),
        make_user("p.waters", "Petra Waters", "org_publisher"),
        make_user("Transport_GIS", "Transport Department", "org_publisher"),
        make_user("parks@springfield.example", "Zoë Parks", "org_publisher"),
        make_user("s.nakamura", "中村 さくら", "org_publisher"),
        make_user("l.haddad", "ليلى حداد", "org_publisher"),
        make_user("planning.team", "Planning Team", "org_publisher", mfa=True),
        make_user("field.crew", "Field Crew", "org_user"),
        make_user("open.data", "Open Data Desk", "org_publisher"),
        make_user("old.contractor", "Mapmakers & Sons (left)", "org_publisher", disabled=True),
        make_user("h.larsen", "Håkon Larsen", "org_user", role_id=VIEWER_ROLE),
        make_user("viewer.one", "Vera Viewer", "org_user", role_id=VIEWER_ROLE),
    )
    org.admin = "city_admin"
    for owner, titles in FOLDERS.items():
        for title in titles:
            created = stamp("folder", owner, title, before=FIRST_STAMP + 300 * DAY)
            org.add(Folder(hex_id("folder", owner, title), title, owner, created))
    org.add(
        _group(
            "Water Utility",
            "p.waters",
            ["field.crew", "city_admin", "viewer.one"],
            thumbnail=("drop.png", (0, 92, 131)),
        ),
        _group("Public Safety", "city_admin", ["Transport_GIS", "l.haddad", "s.nakamura"], access="private"),
        _group(
            "Editors", "planning.team", ["p.waters", "parks@springfield.example"], capabilities=["updateitemcontrol"]
        ),
        _group("Editors", "Transport_GIS", ["field.crew"], capabilities=["updateitemcontrol"]),
        _group("Open Data", "open.data", ["city_admin", "parks@springfield.example", "p.waters"], access="public"),
        _group("Springfield Connects Core Team", "open.data", ["city_admin"], access="org"),
        _group("防災グループ: 日本語 / English", "s.nakamura", ["l.haddad"], thumbnail=("防災 #1.png", (170, 60, 20))),
        _group("Nothing shared here (yet)", "old.contractor", [], access="private"),
    )


def group_id(owner: str, title: str) -> str:
    return hex_id("group", owner, title)


def make_user(
    username: str,
    full_name: str,
    role: BuiltIn = "org_user",
    *,
    role_id: str | None = None,
    disabled: bool = False,
    mfa: bool = False,
) -> User:
    """A user with the privileges of the role; a viewer has the role `org_user` and the viewers' `role_id`."""
    privileges = {"org_admin": ADMINISTRATOR, "org_publisher": PUBLISHER, "org_user": USER}[role]
    user_types = {"org_admin": "GISProfessionalAdvUT", "org_publisher": "creatorUT", "org_user": "fieldWorkerUT"}
    viewer = role_id == VIEWER_ROLE
    created = stamp("user", username, before=FIRST_STAMP + 200 * DAY)
    return User(
        username=username,
        full_name=full_name,
        password=PASSWORD,
        role=role,
        role_id=role_id,
        privileges=VIEWER if viewer else privileges,
        email=f"{username.split('@')[0].lower()}@springfield.example",
        created=created,
        last_login=-1 if viewer else stamp("login", username, after=created),
        user_type="viewerUT" if viewer else user_types[role],
        disabled=disabled,
        id=hex_id("user", username),
        mfa=mfa,
    )


def _group(
    title: str,
    owner: str,
    members: list[str],
    *,
    access: Access = "org",
    capabilities: list[str] | None = None,
    thumbnail: tuple[str, tuple[int, int, int]] | None = None,
) -> Group:
    """A group of the city; `thumbnail` is (file name, colour)."""
    created = stamp("group", owner, title)
    return Group(
        id=group_id(owner, title),
        title=title,
        owner=owner,
        admins=[owner],
        members=members,
        access=access,
        tags=["springfield", title.split()[0].lower()],
        snippet=f"{title}: maps and data of one team.",
        description=f"<p>Content of <b>{title}</b>.</p>",
        created=created,
        modified=stamp("group modified", owner, title, after=created, before=LAST_STAMP),
        capabilities=capabilities or [],
        thumbnail=(thumbnail[0], payloads.png(thumbnail[1])) if thumbnail else None,
    )
