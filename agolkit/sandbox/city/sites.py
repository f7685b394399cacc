"""Sites, pages and projects of ArcGIS Hub and of its twin in ArcGIS Enterprise, beside the hub site of the apps."""

from __future__ import annotations

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.builder import KEPT_ELSEWHERE, PARSED, Builder
from agolkit.sandbox.city.features import Json
from agolkit.sandbox.city.ids import hex_id, item_id
from agolkit.sandbox.city.people import group_id

FOREIGN_GROUP = hex_id("group of another organization")
_OWNER = "open.data"


def add_sites(city: Builder) -> None:
    """Add a site with a catalog of today's form, one whose group is gone, and what belongs to them."""
    core = group_id(_OWNER, "Springfield Connects Core Team")
    predicate = {"group": [group_id(_OWNER, "Open Data"), group_id("p.waters", "Water Utility")]}
    scope = {"targetEntity": "item", "filters": [{"predicates": [predicate]}]}
    catalog = {"schemaVersion": 1, "title": "Data", "scopes": {"item": scope}, "collections": []}
    values: Json = {"title": "Water for everybody", "pages": [{"id": item_id("site page"), "slug": "wells"}]}
    city.item(
        "water site",
        _OWNER,
        "Hub Site Application",
        "Water for everybody",
        PARSED,
        keywords=("slug|water",),
        data=payloads.as_json({"catalog": {"groups": []}, "catalogV2": catalog, "values": values}),
        properties={"collaborationGroupId": core, "followersGroupId": FOREIGN_GROUP, "schemaVersion": 1.9},
        url="https://water-springfield.hub.example.com",
        resources={"thumbnail.png": payloads.png((0, 110, 160), 64, 43)},
        access="public",
    )
    for key, kind, title, document in (
        ("enterprise site", "Site Application", "Intranet of maps", {"values": values, "catalog": {"groups": [core]}}),
        ("site page", "Site Page", "Wells", {"values": {"sites": [{"id": item_id("enterprise site")}]}}),
        ("hub project", "Hub Project", "Renew the old mains", {"status": "inProgress", "schemaVersion": 1}),
        ("hub event", "Hub Event", "Open day of the waterworks", {"attendance": [], "startDate": 1_748_700_000_000}),
        ("hub template", "Hub Initiative Template", "Safer streets", {"values": {"informTools": {"items": []}}}),
        ("discussion", "Discussion", "Where should the new park be?", {"prompt": "Tell us.", "locations": []}),
    ):
        expected = KEPT_ELSEWHERE if kind in ("Hub Event", "Discussion") else PARSED
        city.item(key, _OWNER, kind, title, expected, data=payloads.as_json(document), access="org")
