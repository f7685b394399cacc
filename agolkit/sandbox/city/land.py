"""Hosted layers of parks, trees, zones and licenses."""

from __future__ import annotations

import random

from agolkit.sandbox.city.builder import Builder
from agolkit.sandbox.city.features import (
    Json,
    coded,
    field,
    layer,
    point,
    polygon,
    random_day,
    value_range,
)
from agolkit.sandbox.city.hosted import attachments, hosted_item, places


def add_land(city: Builder) -> None:
    """Add the layers of the parks and the planning departments, and the incidents."""
    _add_parks(city)
    _add_planning(city)


def _add_parks(city: Builder) -> None:
    """Parks with subtypes and ranges, and 4,500 trees, more than two pages of rows."""
    species = coded("Species", "Acer rubrum", "Quercus alba", "Ginkgo biloba", "Tilia cordata", "Unknown")

    def tree(chance: random.Random, nth: int) -> tuple[Json, Json]:
        facts = {"TreeID": f"T{nth:05}", "Species": chance.choice(species["codedValues"])["code"]}
        return facts | {"Girth": round(chance.uniform(0.2, 4), 2), "Planted": random_day(chance)}, point(chance)

    columns = [
        field("TreeID", length=8),
        field("Species", domain=species, length=30),
        field("Girth", "Double", domain=value_range("GirthMetres", 0, 12)),
        field("Planted", "Date"),
    ]
    trees = layer(0, "Street Trees", columns, 4500, tree, geometry="Point")
    name = city.service("Street_Trees", "trees", layers=[trees])
    hosted_item(
        city, "trees", "parks@springfield.example", "Street Trees", name, folder="Urban Forest", access="public"
    )

    def park(chance: random.Random, nth: int) -> tuple[Json, Json]:
        facts = {"Park": f"Park {nth} — «Grün»", "Kind": 1 + nth % 2, "Hectares": round(chance.uniform(0.1, 40), 4)}
        return facts | {"Rating": chance.choice([1, 2, 3, 4, 5, None])}, polygon(chance, 4326, hole=nth % 5 == 0)

    columns = [
        field("Park"),
        field("Kind", "Integer"),
        field("Hectares", "Double"),
        field("Rating", "SmallInteger", domain=value_range("Stars", 1, 5)),
    ]
    kinds = [
        {"id": number, "name": kind, "domains": {"Rating": {"type": "inherited"}}, "templates": []}
        for number, kind in ((1, "Playground"), (2, "Green"))
    ]
    definition = {"typeIdField": "Kind", "types": kinds}
    parks = layer(0, "Parks", columns, 40, park, geometry="Polygon", wkid=4326, tracked=True, definition=definition)
    parks.attachments = attachments(parks, 4)
    name = city.service("Parks", "parks", layers=[parks])
    group = (("open.data", "Open Data"), ("planning.team", "Editors"), ("Transport_GIS", "Editors"))
    hosted_item(
        city,
        "parks",
        "parks@springfield.example",
        "Parks",
        name,
        folder="Parks & Recreation",
        groups=group,
        access="org",
    )


def _add_planning(city: Builder) -> None:
    """Tables only, layer ids that start at 3, an empty layer."""

    def license_(chance: random.Random, nth: int) -> tuple[Json, None]:
        return {
            "License": f"BL-{nth:04}",
            "Trade": chance.choice(["Bakery", "Café", "Bar & Grill"]),
            "Fee": chance.uniform(50, 900),
        }, None

    def district(chance: random.Random, nth: int) -> tuple[Json, Json]:
        return {"Zone": chance.choice(["R1", "R2", "C1", "M1"]), "Since": random_day(chance), "Number": nth}, polygon(
            chance
        )

    columns = [field("License", length=12), field("Trade"), field("Fee", "Double")]
    table = layer(0, "Licenses", columns, 120, license_, tracked=True)
    name = city.service("Business_Licenses", "licenses", tables=[table])
    hosted_item(city, "licenses", "planning.team", "Business Licenses", name, folder="Planning", keywords=("Table",))
    columns = [field("Zone", length=4), field("Since", "Date"), field("Number", "Integer")]
    zoning = [
        layer(at, title, columns, 14 + at, district, geometry="Polygon")
        for at, title in ((3, "Zoning 2020"), (4, "Zoning 2025"))
    ]
    rules = layer(7, "Zoning Rules", [columns[0], field("Rule", length=4000)], 4, _rule)
    name = city.service("Zoning", "zoning", layers=zoning, tables=[rules])
    hosted_item(
        city,
        "zoning",
        "planning.team",
        "Zoning",
        name,
        folder="../Zoning",
        access="org",
        groups=(("planning.team", "Editors"),),
    )
    incidents = [places(0, "Incidents 2025", 45, tracked=True), places(1, "Incidents 2026", 0, tracked=True)]
    name = city.service("Incidents", "incidents", layers=incidents)
    hosted_item(city, "incidents", "city_admin", "Incidents", name, groups=(("city_admin", "Public Safety"),))


def _rule(chance: random.Random, nth: int) -> tuple[Json, None]:
    return {
        "Zone": ["R1", "R2", "C1", "M1"][nth - 1],
        "Rule": "No building higher than the town hall. " * chance.randint(5, 60),
    }, None
