"""A town of four people, built by hand: small enough to know every item, odd enough to matter."""

from __future__ import annotations

from typing import Any

from agolkit.sandbox.organization import (
    Attachment,
    Bytes,
    Folder,
    Group,
    Item,
    Layer,
    Mode,
    Organization,
    Repeated,
    Service,
    User,
)

PASSWORDS = {"chief": "chief-secret", "ann": "ann-secret", "bob": "bob-secret", "eve": "eve-secret"}
MAP, STORY, FILE, PRIVATE, TREES, VIEW = (letter * 32 for letter in "123456")
CREW, WATER = "c" * 32, "f" * 32
FILE_BYTES = bytes(range(256)) * 1024
TREE_COUNT = 2500
FIELDS: list[dict[str, Any]] = [
    {"name": "OBJECTID", "type": "esriFieldTypeOID", "alias": "OBJECTID"},
    {"name": "GlobalID", "type": "esriFieldTypeGlobalID", "alias": "GlobalID", "length": 38},
    {"name": "kind", "type": "esriFieldTypeString", "alias": "Kind of tree", "length": 50},
    {"name": "height", "type": "esriFieldTypeDouble", "alias": "Height"},
    {"name": "rings", "type": "esriFieldTypeInteger", "alias": "Rings"},
    {"name": "planted", "type": "esriFieldTypeDate", "alias": "Planted", "length": 8},
]


def global_id(number: int) -> str:
    """Return a global id, the same for the same number."""
    return f"{{{number:08X}-0000-4000-8000-000000000000}}"


def town(mode: Mode = "online", *, big: int = 0) -> Organization:
    """Return the town; `big` is the size of the file item, where it should not be the usual one."""
    org = Organization(id="TownTownTownTown", name="Town", url_key="town", mode=mode, admin="chief")
    org.add(
        User("chief", "The Chief", PASSWORDS["chief"], "org_admin"),
        User("ann", "Ann Marsh", PASSWORDS["ann"], "org_publisher"),
        User("bob", "Bob Cole", PASSWORDS["bob"], "org_user", role_id="9aBcDeFgHiJkLmNo"),
        User("eve", "Eve Stone", PASSWORDS["eve"], "org_user", mfa=True),
        Folder(WATER, "Water", "ann", created=1_600_000_000_000),
        Group(CREW, "Field crew", "ann", members=["bob"], access="private", tags=["crew"]),
        Item(
            MAP,
            "ann",
            "Web Map",
            "Water mains",
            folder=WATER,
            tags=["water", "pipes"],
            type_keywords=["Map", "Web Map", "Metadata"],
            snippet="All mains",
            access="org",
            data=Bytes(b'{"operationalLayers": [], "version": "2.34"}'),
            thumbnail=("map.png", b"\x89PNG thumbnail"),
            metadata=b"<metadata><title>Water mains</title></metadata>",
            relations=[("Map2Service", TREES)],
        ),
        Item(
            STORY,
            "ann",
            "StoryMap",
            "The river",
            tags=["water"],
            groups=[CREW],
            access="shared",
            data=Bytes(b'{"nodes": {}}'),
            resources={"draft_1.json": b'{"draft": 1}', "images/a b#1.png": b"\x89PNG image"},
        ),
        Item(
            FILE,
            "bob",
            "Shapefile",
            "Parcels",
            name="parcels.zip",
            tags=["land"],
            access="public",
            data=Repeated(FILE_BYTES, big) if big else Bytes(FILE_BYTES),
            data_type="application/zip",
        ),
        Item(PRIVATE, "bob", "Web Map", "Bob's own", data=Bytes(b"{}")),
        Item(TREES, "ann", "Feature Service", "Trees", service="Trees", access="org", type_keywords=["Hosted Service"]),
        Item(VIEW, "ann", "Feature Service", "Oaks", service="Oaks", access="org", type_keywords=["View Service"]),
    )
    for number, item in enumerate(org.items.values()):
        item.created = item.modified = 1_700_000_000_000 + number * 1000
    org.add(
        Service("Trees", TREES, [_trees(), _lots()], [_visits()]),
        Service("Oaks", VIEW, [_oaks()], view_of="Trees"),
    )
    return org


def _trees() -> Layer:
    features = [
        {
            "attributes": {
                "OBJECTID": number * 2 + 1,
                "GlobalID": global_id(number),
                "kind": ("oak", "beech", "O'Neil's elm")[number % 3],
                "height": number / 8,
                "rings": None if number % 5 == 0 else number,
                "planted": 1_600_000_000_000 + number * 60_000,
            },
            "geometry": {"x": 7 + number / 1000, "y": 50 + number / 1000, "z": number / 2},
        }
        for number in range(TREE_COUNT)
    ]
    attachments = {
        1: [
            Attachment(1, "oak.jpg", "image/jpeg", Bytes(b"\xff\xd8 oak"), global_id(90_001)),
            Attachment(2, "ärger & mehr.txt", "text/plain", Bytes(b"a note"), global_id(90_002)),
        ],
        7: [Attachment(3, "oak.jpg", "image/jpeg", Repeated(b"\xff\xd8 elm", 3_000_000), global_id(90_003))],
        3: [Attachment(4, "beech.bin", "application/octet-stream", Bytes(bytes(range(256))), global_id(90_004))],
    }
    return Layer(
        0, "Trees", FIELDS, features, "esriGeometryPoint", attachments=attachments, has_z=True, max_record_count=1000
    )


def _lots() -> Layer:
    ring = [[0, 0], [0, 10], [10, 10], [10, 0], [0, 0]]
    hole = [[2, 2], [4, 2], [4, 4], [2, 4], [2, 2]]
    island = [[20, 20], [20, 30], [30, 30], [20, 20]]
    features: list[dict[str, Any]] = [
        {
            "attributes": {"OBJECTID": 4, "GlobalID": global_id(50_004), "kind": "park"},
            "geometry": {"rings": [ring, hole, island]},
        },
        {"attributes": {"OBJECTID": 9, "GlobalID": global_id(50_009), "kind": None}, "geometry": None},
    ]
    return Layer(1, "Lots / 2024", FIELDS[:3], features, "esriGeometryPolygon")


def _visits() -> Layer:
    features = [{"attributes": {"OBJECTID": 5, "GlobalID": global_id(60_005), "kind": "élagage"}}]
    return Layer(2, "Visits", FIELDS[:3], features)


def _oaks() -> Layer:
    return Layer(
        0,
        "Oaks",
        FIELDS,
        [],
        "esriGeometryPoint",
        attachments={},
        has_z=True,
        view_where="kind = 'oak'",
        hidden_fields=("height",),
    )
