"""What people take into the field: offline areas of maps with their packages, and projects that hang on a map."""

from __future__ import annotations

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.builder import LENGTH, PARSED, ZIP, Builder
from agolkit.sandbox.city.features import Json
from agolkit.sandbox.city.ids import item_id
from agolkit.sandbox.city.maps import feature_collection, layer_entry, web_map
from agolkit.sandbox.organization import Bytes

_FOLDER = "QuickCapture"


def add_offline(city: Builder) -> None:
    """Add a map with two offline areas and a layer of its own, and the map of a Workforce project."""
    entry = layer_entry("Plow Status", city.url("Plow_Status", 0), item_id("plows"))
    city.item(
        "field map",
        "field.crew",
        "Web Map",
        "For the field",
        PARSED,
        folder=_FOLDER,
        keywords=("Offline", "OfflineMapAreas"),
        data=payloads.as_json(web_map([entry])),
        relations=(("Map2Area", "north area"), ("Map2Area", "south area"), ("Map2FeatureCollection", "field notes")),
    )
    for key, title, package in (("north area", "North", "north edits"), ("south area", "South", "south tiles")):
        area: Json = {
            "extent": {"xmin": -89.7, "ymin": 39.7, "xmax": -89.6, "ymax": 39.8, "spatialReference": {"wkid": 4326}},
            "status": "complete",
            "packages": [{"itemId": item_id(package)}],
        }
        name = "Area2Package" if key == "north area" else "Area2CustomPackage"
        relations = ((name, package),)
        rest: Json = {"folder": _FOLDER, "relations": relations, "properties": {"status": "complete"}}
        city.item(key, "field.crew", "Map Area", title, PARSED, data=payloads.as_json(area), **rest)
    edits = Bytes(payloads.sqlite_file("Plow_Status", ["P1", "P2"]))
    octets = "application/octet-stream"
    rest = {"folder": _FOLDER, "data_type": octets}
    name = "north.geodatabase"
    city.item("north edits", "field.crew", "SQLite Geodatabase", "North, rows", LENGTH, name=name, data=edits, **rest)
    tiles = Bytes(payloads.package("south", {"conf.xml": "<CacheInfo/>"}))
    city.item("south tiles", "field.crew", "Tile Package", "South, tiles", ZIP, name="south.tpk", data=tiles, **rest)
    base = Bytes(payloads.package("base", {"p20/root.json": "{}"}))
    city.item("base package", "field.crew", "Basemap Package", "Base", ZIP, name="base.bpk", data=base, **rest)
    drawn = payloads.as_json(feature_collection("Field notes", 12))
    city.item("field notes", "field.crew", "Feature Collection", "Field notes", PARSED, folder=_FOLDER, data=drawn)
    city.item(
        "dispatch map",
        "field.crew",
        "Web Map",
        "Hydrant rounds: dispatcher",
        PARSED,
        folder=_FOLDER,
        keywords=("Workforce Dispatcher",),
        data=payloads.as_json(web_map([entry])),
        relations=(("WorkforceMap2FeatureService", "plows"),),
    )
