"""What people work with: surveys, field projects, notebooks, pipelines, a solution, registrations."""

from __future__ import annotations

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.builder import EMPTY, NO_DATA, PARSED, RESOURCES, ZIP, Builder
from agolkit.sandbox.city.ids import hex_id, item_id
from agolkit.sandbox.city.people import group_id
from agolkit.sandbox.organization import Bytes


def add_work(city: Builder) -> None:
    """Add what people work with; maps and services are there already."""
    _add_field_apps(city)
    _add_desk_work(city)


def _add_field_apps(city: Builder) -> None:
    """A survey with its form files and report template, a draft of one, and a QuickCapture project."""
    survey = {
        "name": "damage",
        "title": "Damage assessment",
        "serviceItemId": item_id("survey service"),
        "questions": [],
    }
    rows = [("type", "name", "label"), ("text", "street", "Straße?"), ("image", "photo", "Photo")]
    members: dict[str, bytes | str] = {
        "esriinfo/damage.xlsx": payloads.xlsx(rows, "survey"),
        "esriinfo/damage.xml": '<?xml version="1.0"?><h:html xmlns:h="http://www.w3.org/1999/xhtml"><h:head/></h:html>',
        "esriinfo/damage.info": '{"displayInfo":{"map":{}}}',
        "esriinfo/form.json": payloads.as_json(survey).content,
        "esriinfo/media/logo.png": payloads.png((9, 9, 90), 32, 32),
        "esriinfo/scripts/cost.js": "function cost(a) { return a * 2; }",
    }
    city.item(
        "survey",
        "field.crew",
        "Form",
        "Damage assessment",
        ZIP,
        folder="Survey-Damage assessment",
        name=f"{item_id('survey')}.zip",
        data=Bytes(payloads.zipped(members)),
        data_type="application/zip",
        info={"form.json": payloads.as_json(survey).content, "forminfo.json": b'{"name":"damage","type":"xform"}'},
        relations=(
            ("Survey2Service", "survey service"),
            ("Survey2Data", "survey results"),
            ("Survey2Data", "survey report"),
        ),
    )
    city.item(
        "draft survey",
        "field.crew",
        "Form",
        "My draft survey",
        EMPTY,
        keywords=("Draft",),
        data=Bytes(b""),
        data_type="application/zip",
        name=item_id("draft survey"),
    )
    project = {
        "name": "Snow plows",
        "version": "1.10",
        "dataSources": [{"dataSourceId": 1, "featureServiceItemId": item_id("plows"), "layerId": 0}],
        "templateGroups": [
            {"label": "Blade", "templates": [{"label": each, "image": f"{each}.png"} for each in ("Up", "Down")]}
        ],
    }
    resources = {
        f"images/{each}.png": payloads.png((0, 0, 40 * at), 48, 48) for at, each in enumerate(("Up", "Down"), 1)
    }
    resources["qc.project.json"] = payloads.as_json(project).content
    city.item(
        "capture",
        "field.crew",
        "QuickCapture Project",
        "Snow plows",
        RESOURCES,
        folder="QuickCapture",
        resources=resources,
    )
    crew = {
        "assignments": {"serviceItemId": item_id("plows")},
        "dispatchers": {},
        "workers": {},
        "groupId": group_id("p.waters", "Water Utility"),
    }
    city.item("workforce", "field.crew", "Workforce Project", "Hydrant rounds", PARSED, data=payloads.as_json(crew))


def _add_desk_work(city: Builder) -> None:
    """Notebooks, a pipeline, a workbook, a solution, and registrations that hold no data."""
    lines = ["from arcgis.gis import GIS", 'gis = GIS("home")', "len(gis.content.search('trees'))"]
    for key, owner, title in (
        ("notebook", "parks@springfield.example", "Count the trees"),
        ("notebook 2", "city_admin", "Nightly: 数を数える"),
    ):
        resources = {"snapshots/v1.ipynb": payloads.notebook(title, lines[:1]).content} if key == "notebook" else {}
        properties = {"notebookRuntimeName": "ArcGIS Notebook Python 3 Standard"}
        city.item(
            key,
            owner,
            "Notebook",
            title,
            PARSED,
            data=payloads.notebook(title, lines),
            resources=resources,
            properties=properties,
        )
    pipeline = {
        "version": "1.1",
        "inputs": [{"id": "in", "type": "FeatureService", "itemId": item_id("trees")}],
        "tools": [],
        "outputs": [],
    }
    city.item("pipeline", "open.data", "Data Pipeline", "Trees → open data", PARSED, data=payloads.as_json(pipeline))
    book = {"version": "2024.1", "pages": [hex_id("page")], "dataSources": [{"itemId": item_id("licenses")}]}
    city.item(
        "workbook",
        "planning.team",
        "Insights Workbook",
        "Licenses by year",
        PARSED,
        folder="planning",
        data=payloads.as_json(book),
    )
    parts = ("water", "water map", "water board")
    templates = [
        {"itemId": item_id(key), "type": city.org.items[item_id(key)].type, "key": hex_id(key)[:8], "dependencies": []}
        for key in parts
    ]
    resources = {f"{item_id(key)}_info_thumbnail/ago_downloaded.png": payloads.png((1, 60, 90)) for key in parts}
    relations = tuple(("Solution2Item", key) for key in parts)
    city.item(
        "solution",
        "city_admin",
        "Solution",
        "Water Utility Basics",
        PARSED,
        folder="Administration",
        keywords=("Solution", "Deployed"),
        data=payloads.as_json({"metadata": {"version": "1"}, "templates": templates}),
        resources=resources,
        relations=relations,
    )
    city.item(
        "oauth", "Transport_GIS", "Application", "Bus timetable (sign-in)", NO_DATA, properties={"appType": "multiple"}
    )
    city.item(
        "api key",
        "city_admin",
        "API Key",
        "Key for the intranet map",
        NO_DATA,
        keywords=("APIKey", "Registered App"),
        relations=(("APIKey2Item", "street map"),),
    )
