"""Projects of planners, analysts and the imagery office: documents of the many types that a city has few of."""

from __future__ import annotations

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.builder import KEPT_ELSEWHERE, PARSED, Builder
from agolkit.sandbox.city.features import Json
from agolkit.sandbox.city.ids import global_id, hex_id, item_id

_IMAGERY = "https://imagery.example.org/arcgis/rest/services"


Row = tuple[str, str, str, str, Json]
"""Key, owner, item type, title, document."""


def add_projects(city: Builder) -> None:
    """Add the projects; the maps, layers and pictures that they refer to are known by their keys."""
    for key, owner, kind, title, document in (*_analysis(), *_imagery(), *_plans(), *_templates()):
        expected = KEPT_ELSEWHERE if kind == "Mission" else PARSED
        city.item(key, owner, kind, title, expected, data=payloads.as_json(document))
    _add_analytics(city)
    plan = city.org.items[item_id("urban plan")]
    plan.resources = {"images/plan.png": payloads.png((120, 90, 20), 64, 64)}


def _analysis() -> list[Row]:
    """What ArcGIS Insights, Map Viewer and the notebook server keep as items of their own."""
    cards = [{"id": global_id("card", at), "type": "chart", "dataset": item_id("licenses")} for at in range(3)]
    model = {"nodes": [{"id": "buffer", "tool": "CreateBuffers", "distance": 250, "units": "Meters"}], "edges": []}
    weights = [{"layer": item_id("zoning"), "weight": 0.6}, {"layer": item_id("parks"), "weight": 0.4}]
    snippets = [{"title": "Sign in", "code": 'gis = GIS("home")'}, {"title": "数える", "code": "len(items)"}]
    return [
        ("insights page", "planning.team", "Insights Page", "Licenses: page 1", {"version": "2024.1", "cards": cards}),
        ("insights model", "planning.team", "Insights Model", "Licenses: steps", {"steps": [model]}),
        ("insights theme", "planning.team", "Insights Theme", "City hall", {"colors": ["#004575", "#ffffff"]}),
        (
            "data workbook",
            "planning.team",
            "Insights Data Engineering Workbook",
            "Clean the register",
            {"sources": [{"itemId": item_id("excel")}]},
        ),
        (
            "data model",
            "planning.team",
            "Insights Data Engineering Model",
            "Register, monthly",
            {"operations": [{"kind": "filter", "expression": "Fee > 0"}]},
        ),
        ("analysis model", "Transport_GIS", "Analysis Model", "Near a bus stop", model),
        (
            "suitability",
            "parks@springfield.example",
            "Suitability Model",
            "Where to plant",
            {"weights": weights, "scale": [1, 9]},
        ),
        ("snippets", "city_admin", "Notebook Code Snippet Library", "Snippets for everybody", {"snippets": snippets}),
    ]


def _imagery() -> list[Row]:
    """Projects whose pictures are elsewhere; the documents name them."""
    bridge = {"itemId": item_id("hosted imagery"), "flight": "2025-05-11", "sensor": "DJI P1"}
    return [
        (
            "excalibur",
            "Transport_GIS",
            "Excalibur Imagery Project",
            "Cracks in the bridge",
            {"imageryUrl": f"{_IMAGERY}/Bridge/ImageServer", "observations": [item_id("plows")]},
        ),
        (
            "ortho",
            "Transport_GIS",
            "Ortho Mapping Project",
            "Drone flights 2025",
            {"missions": [bridge], "status": "processed"},
        ),
        (
            "ortho template",
            "Transport_GIS",
            "Ortho Mapping Template",
            "Low flights",
            {"gsd": 0.02, "products": ["dem"]},
        ),
        (
            "learning",
            "parks@springfield.example",
            "Deep Learning Studio Project",
            "Find the stumps",
            {"trainingData": item_id("tree map"), "labels": ["stump", "tree"], "folder": "/models/stumps"},
        ),
    ]


def _plans() -> list[Row]:
    """Buildings, plans, operations and investigations."""
    levels = [{"name": f"Level {at}", "z": 3.2 * at} for at in range(3)]
    graph = "https://knowledge.example.org/server/rest/services/Hosted/Trades/KnowledgeGraphServer"
    return [
        ("urban model", "planning.team", "Urban Model", "Springfield", {"zoning": item_id("zoning"), "version": 3}),
        (
            "urban plan",
            "planning.team",
            "Urban Project",
            "Harbour quarter",
            {"model": item_id("urban model"), "scenarios": ["low", "high"]},
        ),
        ("bim", "planning.team", "GeoBIM Project", "Town hall, rebuilt", {"hub": "b.example", "documents": []}),
        (
            "indoors",
            "city_admin",
            "Indoors Map Configuration",
            "Town hall, floor by floor",
            {"webmap": item_id("facility map"), "levels": levels},
        ),
        (
            "mission",
            "field.crew",
            "Mission",
            "Marathon 2025",
            {"teams": ["North", "South"], "map": item_id("street map"), "state": "active"},
        ),
        ("mission template", "field.crew", "Mission Template", "Any street event", {"teams": ["A", "B"]}),
        ("investigation", "planning.team", "Investigation", "Who owns what", {"graph": graph, "maps": []}),
        ("knowledge", "planning.team", "Knowledge Studio Project", "Owners and trades", {"dataUrl": graph}),
        ("link chart", "planning.team", "Web Link Chart", "Owners, drawn", {"graph": graph, "layout": "organic"}),
        ("showcase", "open.data", "Map Showcase", "Nine maps of the year", {"maps": [item_id("open map")]}),
    ]


def _templates() -> list[Row]:
    """What other items are made of, and settings that are items."""
    collection = {"layers": [{"layerDefinition": {"name": "Notes", "fields": []}, "featureSet": None}]}
    return [
        ("experience template", "planning.team", "Web Experience Template", "Map with a list", _experience_template()),
        ("collection template", "Transport_GIS", "Feature Collection Template", "Detour", collection),
        (
            "app configuration",
            "h.larsen",
            "Application Configuration",
            "Old viewer settings",
            {"id": hex_id("configuration"), "values": {"logo": False}},
        ),
        ("mobile app", "Transport_GIS", "Mobile Application", "Bus times", {"platforms": ["ios", "android"]}),
        ("categories", "city_admin", "Content Category Set", "INSPIRE themes", {"categorySchema": [{"title": "I"}]}),
        ("viewer configuration", "h.larsen", "Viewer Configuration", "Flex viewer", {"widgets": []}),
    ]


def _experience_template() -> Json:
    return {"pages": {"home": {"id": "home", "label": "Start"}}, "widgets": {}, "exbVersion": "1.17.0"}


def _add_analytics(city: Builder) -> None:
    """Items of which the portal has only the description: another service keeps what they do."""
    rows = (
        ("feed", "Feed", "Plow positions"),
        ("analytic", "Real Time Analytic", "Plows that stand still"),
        ("big data", "Big Data Analytic", "A winter of plows"),
        ("workflow", "Workflow", "Permit, step by step"),
    )
    for key, kind, title in rows:
        city.item(key, "Transport_GIS", kind, title, KEPT_ELSEWHERE, url=f"https://velocity.example.net/{key}/42")
