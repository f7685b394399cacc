"""Hosted layers of pipes and streets, with related tables, attachments, a view, Z and M."""

from __future__ import annotations

import random
from dataclasses import replace

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.builder import VIEW, Builder
from agolkit.sandbox.city.features import (
    Json,
    coded,
    field,
    global_ids,
    layer,
    line,
    point,
    polygon,
    random_day,
    related,
    value_range,
)
from agolkit.sandbox.city.hosted import STREETS, VIEW_CAPABILITIES, attachments, hosted_item, places


def add_networks(city: Builder) -> None:
    """Add the layers of the water and the transport departments."""
    _add_water(city)
    _add_transport(city)


def _add_water(city: Builder) -> None:
    """Water_Network: three layers, a related table, domains, attachments; and a view of it."""
    material = coded("PipeMaterial", "Ductile iron", "PVC", "Cast iron")

    def main(chance: random.Random, nth: int) -> tuple[Json, Json]:
        facts = {
            "Material": chance.choice(material["codedValues"])["code"],
            "Diameter": chance.choice([100, 150, 200, 300]),
        }
        return facts | {"Installed": random_day(chance), "Remarks": None if nth % 3 else "Leak\nrepaired"}, line(
            chance, parts=1 + nth % 2
        )

    def zone(chance: random.Random, nth: int) -> tuple[Json, Json]:
        return {"Zone": f"PZ-{nth:02}", "Pressure": round(chance.uniform(2, 8), 3)}, polygon(chance, hole=nth % 3 == 0)

    hydrants = places(0, "Hydrants", 60, tracked=True)
    hydrants.attachments = attachments(hydrants, 6, each=2)
    columns = [
        field("Material", domain=material, length=20),
        field("Diameter", "SmallInteger", "Diameter (mm)"),
        field("Installed", "Date"),
        field("Remarks"),
    ]
    mains = layer(1, "Water Mains", columns, 80, main, geometry="Polyline")
    pressure = field("Pressure", "Double", "Pressure (bar)", domain=value_range("Bar", 0, 16))
    zones = layer(2, "Pressure Zones", [field("Zone", length=10), pressure], 9, zone, geometry="Polygon")

    def inspection(chance: random.Random, nth: int) -> tuple[Json, None]:
        seen = {"HydrantID": chance.choice(global_ids(hydrants)), "Inspected": random_day(chance), "Flow": nth / 4}
        passed, inspector = chance.choice(["YES", "NO", None]), chance.choice(["Ana", "Łukasz", "李"])
        return {**seen, "Passed": passed, "Inspector": inspector}, None

    columns = [
        field("HydrantID", "GUID", "Hydrant"),
        field("Inspected", "Date"),
        field("Flow", "Single"),
        field("Passed", domain=coded("YesNo", "Yes", "No"), length=3),
        field("Inspector"),
    ]
    inspections = layer(3, "Inspections", columns, 150, inspection, tracked=True)
    related(hydrants, inspections, key="HydrantID", name="Hydrant_Inspections")
    name = city.service("Water_Network", "water", layers=[hydrants, mains, zones], tables=[inspections])
    hosted_item(
        city,
        "water",
        "p.waters",
        "Water Network",
        name,
        folder="Water Network",
        groups=(("p.waters", "Water Utility"), ("planning.team", "Editors"), ("open.data", "Open Data")),
        metadata=payloads.metadata_xml("Water Network"),
        categories=["/Categories/Utilities/Water", "/Categories/Infrastructure"],
        relations=(("Service2Data", "sd"),),
        protected=True,
        description="<div style='color:red'>Mains &amp; <a href='tel:911'>hydrants</a></div><script>alert(1)</script>",
        data=payloads.as_json({"layers": [{"id": 0, "popupInfo": {"title": "{Name}", "fieldInfos": []}}]}),
    )

    hidden = ("Street", "Creator", "Editor")
    view = replace(hydrants, relationships=[], view_where="Status = 'IN_SERVICE'", hidden_fields=hidden)
    rest = {"capabilities": VIEW_CAPABILITIES, "view_of": "Water_Network"}
    name = city.service("Hydrants_public", "hydrants view", layers=[view], **rest)
    hosted_item(
        city,
        "hydrants view",
        "p.waters",
        "Hydrants (public view)",
        name,
        folder="Water Network",
        access="public",
        expected=VIEW,
        keywords=("View Service",),
        relations=(("Service2Data", "water"),),
        groups=(("open.data", "Open Data"),),
    )


def _add_transport(city: Builder) -> None:
    """Lines, measured lines, points with Z, tables, and a service without Extract."""

    def street(chance: random.Random, nth: int) -> tuple[Json, Json]:
        return {"Street": chance.choice(STREETS), "Lanes": chance.randint(1, 6), "Code": nth}, line(chance)

    def route(chance: random.Random, nth: int) -> tuple[Json, Json]:
        return {"Route": f"R-{nth}", "Lanes": 2, "Code": nth}, line(chance, measured=True)

    def manhole(chance: random.Random, nth: int) -> tuple[Json, Json]:
        return {"Label": f"MH{nth}", "Depth": round(chance.uniform(1, 6), 2)}, point(
            chance, 26916, z=round(chance.uniform(150, 190), 3)
        )

    def count(chance: random.Random, nth: int) -> tuple[Json, None]:
        day = f"2025-{1 + nth % 12:02}-{1 + nth % 28:02}"
        return {"Station": f"S{nth % 7}", "Counted": day, "Vehicles": 3_000_000_000 + chance.randrange(10**6)}, None

    lanes = [field("Street"), field("Lanes", "SmallInteger"), field("Code", "Integer")]
    name = city.service(
        "Streets", "streets", layers=[layer(0, "Street Centerlines", lanes, 220, street, geometry="Polyline")]
    )
    hosted_item(
        city,
        "streets",
        "Transport_GIS",
        "Street Centerlines",
        name,
        folder="Transport",
        relations=(("Service2Data", "sd 2"),),
    )
    lanes = [field("Route"), *lanes[1:]]
    measured = layer(0, "Linear Routes", lanes, 25, route, geometry="Polyline", has_m=True)
    hosted_item(
        city,
        "routes",
        "Transport_GIS",
        "Snow Plow Routes",
        city.service("Plow_Routes", "routes", layers=[measured]),
        folder="Transport",
    )
    depth = [field("Label", length=12), field("Depth", "Double", "Depth (m)")]
    manholes = layer(0, "Manholes", depth, 70, manhole, geometry="Point", wkid=26916, has_z=True)
    hosted_item(
        city,
        "manholes",
        "Transport_GIS",
        "Manholes 3D",
        city.service("Manholes_3D", "manholes", layers=[manholes]),
        folder="Transport",
    )
    counts = [field("Station", length=10), field("Counted", "DateOnly"), field("Vehicles", "BigInteger")]
    stations = places(0, "Count Stations", 7)
    tables = [layer(1, "Counts", counts, 300, count)]
    rest = {"layers": [stations], "tables": tables, "capabilities": "Query"}
    hosted_item(
        city,
        "traffic",
        "Transport_GIS",
        "Traffic Counts",
        city.service("Traffic_Counts", "traffic", **rest),
        folder="Traffic counts 2024",
        tags=["traffic", "no-backup-needed?"],
    )
    stops = places(0, "Bus stops / Haltestellen: Nord & Süd", 35)
    hosted_item(
        city, "stops", "Transport_GIS", "Bus Stops", city.service("Bus_Stops", "stops", layers=[stops]), access="public"
    )
