"""The hosted feature services of Springfield with their layers, tables, views and attachments."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.builder import ROWS, TAGGED, VIEW, Builder
from agolkit.sandbox.city.features import (
    Json,
    coded,
    field,
    global_ids,
    layer,
    object_ids,
    point,
    random_day,
    related,
)
from agolkit.sandbox.city.ids import global_id, item_id
from agolkit.sandbox.organization import Attachment, Bytes, Expectation, Layer

VIEW_CAPABILITIES = "Query,Extract"
STREETS = (
    "Main St",
    "Évry Avenue",
    "Straße der Einheit",
    "O'Hara Ln",
    '"Old" Mill Rd',
    "桜通り",
    "شارع النخيل",
    "=SUM(1;2)",
)
_PHOTOS = (
    "photo1.jpg",
    "photo1.jpg",
    "übersicht 東.png",
    "CON.jpg",
    "../../evil.pdf",
    "a/b:c?.jpg",
    "no extension",
    f"{'very long name ' * 12}.jpg",
    "Plan #3 100%.pdf",
    "trailing dot..jpg.",
)
"""File names of attachments, some of which no file system would take; the first two hang on one feature."""


def attachments(of: Layer, features: int, *, each: int = 1) -> dict[int, list[Attachment]]:
    """Pictures and PDFs for the first features of a layer; ids run through the layer as they do in the real one."""
    made: dict[int, list[Attachment]] = {}
    for at in range(features * each):
        owner, name = object_ids(of)[at // each], _PHOTOS[at % len(_PHOTOS)]
        kind, content = "image/jpeg", payloads.jpeg(f"{of.name} {at}")
        if ".png" in name:
            kind, content = "image/png", payloads.png((30, 80 + at, 90), 64, 48)
        elif ".pdf" in name:
            kind, content = "application/pdf", payloads.pdf(f"{of.name} {at}")
        one = Attachment(
            at + 1, name, kind, Bytes(content), global_id("attachment", of.name, at), "photo" if at % 3 else ""
        )
        made.setdefault(owner, []).append(one)
    return made


def places(at: int, name: str, count: int, *, wkid: int = 102100, tracked: bool = False) -> Layer:
    """A point layer with a name, a status, a street, a count and a date: what most small layers are."""
    status = coded("Status", "In service", "Out of service", "Planned")

    def make(chance: random.Random, nth: int) -> tuple[Json, Json]:
        asset = {"Name": f"{name} {nth}", "Status": chance.choice(status["codedValues"])["code"]}
        rest = {"Street": chance.choice(STREETS), "Amount": chance.randrange(500), "Checked": random_day(chance)}
        return asset | rest, point(chance, wkid)

    columns = [
        field("Name", length=120),
        field("Status", domain=status, length=20),
        field("Street"),
        field("Amount", "Integer"),
        field("Checked", "Date"),
    ]
    return layer(at, name, columns, count, make, geometry="Point", wkid=wkid, tracked=tracked)


def hosted_item(
    city: Builder,
    key: str,
    owner: str,
    title: str,
    service: str,
    *,
    keywords: tuple[str, ...] = (),
    expected: Expectation = ROWS,
    **rest: Any,
) -> None:
    """The item of a hosted service."""
    shape = "Multilayer" if len(city.org.services[service].all()) > 1 else "Singlelayer"
    rest = {"extent": [[-89.75, 39.70], [-89.55, 39.86]], **rest}
    keywords = ("Hosted Service", shape, *keywords)
    city.item(key, owner, "Feature Service", title, expected, keywords=keywords, service=service, **rest)


def add_hosted(city: Builder) -> None:
    """Add the layers of the field crew, and the many small ones."""
    _add_field_work(city)
    _add_small_services(city)


def _add_field_work(city: Builder) -> None:
    """A survey with a repeat and photographs, the view of its results, and a layer of QuickCapture."""
    form = item_id("survey")

    def repeat(chance: random.Random, nth: int) -> tuple[Json, None]:
        return {
            "parentglobalid": chance.choice(global_ids(survey)),
            "damage": f"Roof {nth}",
            "cost": chance.uniform(10, 9000),
        }, None

    survey = places(0, "survey", 30, tracked=True)
    survey.attachments = attachments(survey, 12)
    columns = [field("parentglobalid", "GUID", "ParentGlobalID"), field("damage"), field("cost", "Double")]
    damages = layer(1, "damages", columns, 50, repeat, tracked=True)
    related(survey, damages, key="parentglobalid", name="damages")
    name = city.service(f"survey123_{form}", "survey service", layers=[survey], tables=[damages])
    keywords: tuple[str, ...] = ("Survey123", "SurveyService", "OwnerView", form)
    folder = "Survey-Damage assessment"
    hosted_item(
        city, "survey service", "field.crew", "Damage assessment", name, folder=folder, keywords=keywords, name=name
    )
    view = replace(survey, relationships=[], view_where="Amount > 100")
    rest = {"capabilities": VIEW_CAPABILITIES, "view_of": name}
    results = city.service(f"survey123_{form}_results", "survey results", layers=[view], **rest)
    relations = (("Service2Data", "survey service"),)
    keywords = ("Survey123", "View Service", "StakeholderView")
    hosted_item(
        city,
        "survey results",
        "field.crew",
        "Damage assessment_results",
        results,
        folder=folder,
        keywords=keywords,
        relations=relations,
        expected=VIEW,
    )
    plows = places(0, "Plow Status", 24, tracked=True)
    hosted_item(
        city,
        "plows",
        "field.crew",
        "Plow Status",
        city.service("Plow_Status", "plows", layers=[plows]),
        folder="QuickCapture",
    )


def _add_small_services(city: Builder) -> None:
    """What every city has many of: one small layer each; two of them with the same title, type and owner."""
    small: Sequence[tuple[str, str, str, str | None]] = (
        ("s.nakamura", "避難所", "Shelters_JP", "避難所 2025"),
        ("s.nakamura", "津波ハザード / Tsunami", "Tsunami_Signs", "地図"),
        ("l.haddad", "المرافق العامة", "Public_Facilities_AR", "خرائط"),
        ("old.contractor", "Survey 2023", "Old_Survey_2023", "Deliverables..."),
        ("old.contractor", "Survey 2023", "Old_Survey_2023_1", "🚧 Work in progress 🚧"),
        ("open.data", "Polling Places", "Polling_Places", "Open Data"),
        ("open.data", "Libraries", "Libraries", "Open Data"),
        ("city_admin", "Fire Stations", "Fire_Stations", None),
    )
    for owner, title, name, folder in small:
        service = city.service(name, name, layers=[places(0, title, 12 + len(name), wkid=4326)])
        hosted_item(
            city, name, owner, title, service, folder=folder, access="public" if owner == "open.data" else "org"
        )
    name = city.service("Scratch_Layer", "scratch", layers=[places(0, "Scratch", 10)])
    hosted_item(city, "scratch", "p.waters", "Scratch layer, can go", name, expected=TAGGED, tags=["test", "No-Backup"])
