"""Dashboards, web apps and the hub site of Springfield, and the JSON they hold."""

from __future__ import annotations

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.builder import NO_DATA, PARSED, ZIP, Builder
from agolkit.sandbox.city.features import Json
from agolkit.sandbox.city.ids import hex_id, item_id
from agolkit.sandbox.city.people import group_id
from agolkit.sandbox.organization import Bytes, Item


def dashboard(title: str, web_map: str) -> Json:
    """The data of a dashboard: a map, an indicator and a list that listens to it."""
    ids = {kind: hex_id(kind, title) for kind in ("mapWidget", "indicatorWidget", "listWidget", "serialChartWidget")}
    widgets: list[Json] = [
        {
            "type": kind,
            "id": id_,
            "name": f"{title} ({kind})",
            "showLastUpdate": True,
            "datasets": [
                {
                    "type": "serviceDataset",
                    "dataSource": {"type": "featureLayerDataSource", "layerId": "0"},
                    "maxFeatures": 50,
                }
            ],
        }
        for kind, id_ in ids.items()
    ]
    widgets[0] |= {"itemId": web_map, "mapTools": [{"type": "bookmarksTool"}], "flashRepeats": 3}
    header = {"type": "headerPanel", "title": f"<p>{title}</p>", "backgroundColor": "#004575", "selectors": []}
    children = [{"type": "itemLayoutElement", "id": id_, "width": 0.25, "height": 1} for id_ in ids.values()]
    layout = {"rootElement": {"type": "stackLayoutElement", "orientation": "row", "elements": children}}
    return {
        "version": 58,
        "desktopView": {"layout": layout, "headerPanel": header, "widgets": widgets},
        "theme": "light",
        "urlParameters": [],
    }


def instant_app(web_map: str, title: str) -> Json:
    """The data of an app that is made of a template: its source and its values."""
    values = {
        "webmap": web_map,
        "title": title,
        "theme": "light",
        "home": True,
        "homePosition": "top-left",
        "legend": True,
        "searchPosition": "top-right",
    }
    return {"source": hex_id("template"), "folderId": None, "values": values}


def add_apps(city: Builder) -> None:
    """Add every app; the maps they show are known by their keys."""
    for key, owner, title, shown in (
        ("water board", "p.waters", "Water network today", "water map"),
        ("plow board", "Transport_GIS", "Snow operations", "plow map"),
        ("incident board", "city_admin", "Incidents: last 24 h", "incident map"),
    ):
        data = payloads.as_json(dashboard(title, item_id(shown)))
        resources = {"images/logo.png": payloads.png((0, 60, 120), 48, 48)} if key == "water board" else {}
        city.item(key, owner, "Dashboard", title, PARSED, data=data, resources=resources, access="org")
    _add_web_apps(city)
    _add_hub(city)


def _add_web_apps(city: Builder) -> None:
    """Configured apps, instant apps, a downloadable one with its code, and addresses that were only registered."""
    for key, owner, title, shown, keywords in (
        ("viewer app", "p.waters", "Hydrant viewer", "hydrant map", ("instantApp", "source-basic")),
        ("nearby app", "open.data", "What is nearby?", "open map", ("instantApp", "source-nearby")),
        ("builder app", "Transport_GIS", "Street editor", "street map", ("Web AppBuilder", "WAB2D", "selfConfigured")),
        ("cascade app", "old.contractor", "Final report", "contractor map", ("Story Map", "Cascade", "layout-cascade")),
    ):
        made = _web_app(city, key, owner, title, shown, keywords)
        if key == "builder app":
            made.resources = {
                "images/a/b.png": payloads.png((1, 2, 3), 16, 16),
                "images/c/b.png": payloads.png((3, 2, 1), 16, 16),
            }
            made.relations = [("WMA2Code", item_id("app code"))]
    code = payloads.zipped(
        {"index.html": "<html></html>", "config.json": "{}", "widgets/Edit/Widget.js": "define([], () => {});"}
    )
    city.item(
        "app code",
        "Transport_GIS",
        "Code Attachment",
        "Street editor code",
        ZIP,
        name="StreetEditor.zip",
        data=Bytes(code),
        data_type="application/zip",
    )
    for key, owner, title in (
        ("registered app", "Transport_GIS", "Bus timetable"),
        ("registered app 2", "h.larsen", "City intranet"),
    ):
        city.item(
            key,
            owner,
            "Web Mapping Application",
            title,
            NO_DATA,
            url=f"https://www.example.org/{key.replace(' ', '-')}/",
        )


def _web_app(city: Builder, key: str, owner: str, title: str, shown: str, keywords: tuple[str, ...]) -> Item:
    data = payloads.as_json(instant_app(item_id(shown), title))
    url = f"https://springfield.maps.example.org/apps/instant/index.html?appid={item_id(key)}"
    return city.item(
        key, owner, "Web Mapping Application", title, PARSED, keywords=keywords, data=data, url=url, access="public"
    )


def _add_hub(city: Builder) -> None:
    """A hub site with its page and initiative, which know each other and two groups."""
    core = group_id("open.data", "Springfield Connects Core Team")
    known: Json = {"contentGroupId": group_id("open.data", "Open Data"), "collaborationGroupId": core}
    row = {"component": {"name": "markdown-card", "settings": {"markdown": "<h1>Welcome</h1>"}}, "width": 12}
    pages = [{"id": item_id("hub page"), "title": "About us", "slug": "about-us"}]
    values: Json = {
        "title": "Springfield Connects",
        "layout": {"sections": [{"rows": [{"cards": [row]}]}]},
        "pages": pages,
        "theme": {"body": {"link": "#0079c1"}},
        "subdomain": "springfield-connects",
    }
    catalog = {"groups": list(known.values())}
    owner, groups = "open.data", (("open.data", "Springfield Connects Core Team"), ("open.data", "Open Data"))
    site = payloads.as_json({"catalog": catalog, "values": values})
    city.item(
        "hub site",
        owner,
        "Hub Site Application",
        "Springfield Connects",
        PARSED,
        keywords=("slug|springfield-connects",),
        data=site,
        resources={"hub-images/banner.jpg": payloads.jpeg("banner")},
        properties={
            **known,
            "parentInitiativeId": item_id("hub initiative"),
            "children": [item_id("hub page")],
            "schemaVersion": 1.8,
        },
        url="https://springfield-connects.hub.example.com",
        protected=True,
        access="public",
        groups=groups,
        description="DO NOT DELETE OR MODIFY THIS ITEM. This item is managed by the Hub application.",
    )
    page = payloads.as_json(
        {"values": {"title": "About us", "sites": [{"id": item_id("hub site")}], "layout": {"sections": []}}}
    )
    city.item(
        "hub page",
        owner,
        "Hub Page",
        "About us",
        PARSED,
        data=page,
        groups=groups,
        access="public",
        keywords=("slug|about-us",),
    )
    steps = {
        "values": {"steps": ["inform", "listen"], "inform": {"items": [{"id": item_id("open map"), "type": "Web Map"}]}}
    }
    properties = {**known, "siteId": item_id("hub site"), "schemaVersion": 2}
    city.item(
        "hub initiative",
        owner,
        "Hub Initiative",
        "Springfield Connects",
        PARSED,
        data=payloads.as_json(steps),
        properties=properties,
        groups=groups,
    )
