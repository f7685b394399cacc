"""Maps, scenes and layers that are JSON documents, and the JSON they hold."""

from __future__ import annotations

import random
from collections.abc import Sequence

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.builder import NO_DATA, PARSED, RESOURCES, Builder
from agolkit.sandbox.city.features import WEB_MERCATOR, Json, field, point
from agolkit.sandbox.city.ids import global_id, hex_id, item_id

_BASEMAP = "https://services.example.net/arcgis/rest/services/World_Street_Map/MapServer"
_MERCATOR = {"wkid": WEB_MERCATOR, "latestWkid": 3857}
MAP_EXTENT = [[-89.78, 39.68], [-89.52, 39.88]]


def layer_entry(title: str, url: str, item: str | None = None) -> Json:
    """An operational layer of a web map, by url and, where it has one, by item id."""
    name = hex_id("operational", title, url)[:12]
    entry: Json = {
        "id": f"{title.replace(' ', '_')}_{name}",
        "title": title,
        "url": url,
        "layerType": "ArcGISFeatureLayer",
        "visibility": True,
        "opacity": 0.85,
        "popupInfo": {
            "title": f"{title}: {{Name}}",
            "popupElements": [{"type": "fields"}],
            "fieldInfos": [
                {"fieldName": each, "label": each, "visible": each != "OBJECTID", "isEditable": each != "OBJECTID"}
                for each in ("OBJECTID", "Name", "Status", "Street")
            ],
        },
    }
    return entry | ({"itemId": item} if item else {})


def feature_collection(title: str, count: int) -> Json:
    """Points that live inside a document, as people draw them on a map."""
    chance = random.Random(title)
    rows = [
        {
            "attributes": {"OBJECTID": at, "Name": f"{title} {at}"},
            "geometry": point(chance) | {"spatialReference": _MERCATOR},
        }
        for at in range(1, count + 1)
    ]
    fields = [field("OBJECTID", "OID"), field("Name")]
    definition = {
        "name": title,
        "type": "Feature Layer",
        "geometryType": "esriGeometryPoint",
        "objectIdField": "OBJECTID",
        "fields": fields,
        "extent": {
            "xmin": -9_990_000,
            "ymin": 4_820_000,
            "xmax": -9_970_000,
            "ymax": 4_840_000,
            "spatialReference": _MERCATOR,
        },
    }
    features = {"geometryType": "esriGeometryPoint", "features": rows}
    return {"layers": [{"layerDefinition": definition, "featureSet": features}], "showLegend": True}


def web_map(layers: Sequence[Json], *, tables: Sequence[Json] = (), bookmarks: int = 2) -> Json:
    """The data of a web map as Map Viewer writes it."""
    marks = [
        {
            "name": f"Ward {at}",
            "viewpoint": {"targetGeometry": {"x": -9_979_800 + at, "y": 4_831_000, "spatialReference": _MERCATOR}},
        }
        for at in range(bookmarks)
    ]
    base = {"id": "World_Street_Map", "layerType": "ArcGISTiledMapServiceLayer", "url": _BASEMAP, "visibility": True}
    return {
        "operationalLayers": list(layers),
        "tables": list(tables),
        "bookmarks": marks,
        "baseMap": {"title": "Streets", "baseMapLayers": [base]},
        "initialState": {"viewpoint": {"scale": 72223.8, "rotation": 0}},
        "authoringApp": "ArcGISMapViewer",
        "authoringAppVersion": "2025.1",
        "version": "2.34",
        "spatialReference": _MERCATOR,
    }


def _web_scene(layers: Sequence[Json]) -> Json:
    camera = {
        "position": {"x": -9_979_800, "y": 4_825_000, "z": 4200.5, "spatialReference": _MERCATOR},
        "heading": 12.5,
        "tilt": 58,
    }
    slides = [
        {
            "id": hex_id("slide", at)[:12],
            "title": {"text": title},
            "viewpoint": {"camera": camera},
            "thumbnail": {"url": f"./resources/slides/{at}.png"},
        }
        for at, title in enumerate(("Downtown", "Flood 2019"))
    ]
    return {
        "operationalLayers": list(layers),
        "baseMap": {"title": "Topographic", "baseMapLayers": []},
        "ground": {"layers": [], "transparency": 0},
        "initialState": {"viewpoint": {"camera": camera}},
        "presentation": {"slides": slides},
        "viewingMode": "local",
        "version": "1.36",
        "spatialReference": _MERCATOR,
    }


_MAPS = (
    ("water map", "p.waters", "Water Mains", "Water Network", ("Water_Network", "Hydrants_public")),
    ("water map 2", "p.waters", "Water Mains", "Water Network", ("Water_Network",)),
    ("water map 3", "p.waters", "Water Mains", None, ("Water_Network", "Parks")),
    ("hydrant map", "p.waters", "Hydrant inspections", "Water Network", ("Water_Network",)),
    ("tree map", "parks@springfield.example", "Urban Forest", "Urban Forest", ("Street_Trees",)),
    ("park map", "parks@springfield.example", "Parks & playgrounds", "Parks & Recreation", ("Parks", "Street_Trees")),
    ("street map", "Transport_GIS", "Street map", "Transport", ("Streets", "Bus_Stops")),
    ("plow map", "Transport_GIS", "Snow plows", "Transport", ("Plow_Routes", "Plow_Status")),
    ("zoning map", "planning.team", "Zoning", "Planning", ("Zoning",)),
    ("incident map", "city_admin", "Incidents", "Administration", ("Incidents", "Fire_Stations")),
    ("shelter map", "s.nakamura", "避難所マップ", "避難所 2025", ("Shelters_JP", "Tsunami_Signs")),
    ("facility map", "l.haddad", "خريطة المرافق العامة", "خرائط", ("Public_Facilities_AR",)),
    ("open map", "open.data", "Everything open", "Open Data", ("Parks", "Street_Trees", "Libraries", "Polling_Places")),
    ("damage map", "field.crew", "Damage assessment", "Survey-Damage assessment", (f"survey123_{item_id('survey')}",)),
    ("contractor map", "old.contractor", "Final delivery", "Deliverables...", ("Old_Survey_2023",)),
)
"""(key, owner, title, folder, hosted services). Three are called Water Mains, of one owner and type."""


def add_maps(city: Builder) -> None:
    """Add web maps, scenes, an offline area, and layers made of JSON; the hosted services are there already."""
    for key, owner, title, folder, names in _MAPS:
        layers, tables = [], []
        for name in names:
            service = city.org.services[name]
            layers += [layer_entry(each.name, city.url(name, each.id), service.item_id) for each in service.layers]
            tables += [
                {"url": city.url(name, each.id), "itemId": service.item_id, "id": each.name} for each in service.tables
            ]
        data = payloads.as_json(web_map(layers, tables=tables))
        groups = (("p.waters", "Water Utility"), ("open.data", "Open Data")) if owner == "p.waters" else ()
        relations = (("Map2Area", "area"),) if key == "hydrant map" else ()
        city.item(
            key,
            owner,
            "Web Map",
            title,
            PARSED,
            folder=folder,
            data=data,
            groups=groups,
            relations=relations,
            extent=MAP_EXTENT,
            access="public" if owner == "open.data" else "org",
            metadata=payloads.metadata_xml(title) if key in ("tree map", "shelter map") else None,
            categories=["/Categories/Infrastructure"] if owner == "Transport_GIS" else [],
        )

    drawn = feature_collection("Sketch 📝", 40)
    entry = {"id": "mapNotes_1", "title": "Map Notes", "layerType": "ArcGISFeatureLayer", "featureCollection": drawn}
    data = payloads.as_json(web_map([entry], bookmarks=0))
    city.item(
        "notes map",
        "city_admin",
        "Web Map",
        "Map with notes drawn on it",
        PARSED,
        folder="Archive",
        data=data,
        resources={"images/marker.png": payloads.png((200, 0, 0), 24, 24)},
    )
    city.item(
        "empty map", "p.waters", "Web Map", "Saved before anything was in it", NO_DATA, folder="Archive", thumbnail=None
    )

    slides = {f"slides/{at}.png": payloads.png((20, 30 * at, 90), 120, 80) for at in range(2)}
    entry = layer_entry("Manholes", city.url("Manholes_3D", 0), item_id("manholes"))
    city.item(
        "scene",
        "Transport_GIS",
        "Web Scene",
        "Under the streets",
        PARSED,
        folder="Transport",
        data=payloads.as_json(_web_scene([entry])),
        resources=slides,
        extent=MAP_EXTENT,
    )

    area = {
        "extent": {
            "xmin": -9_981_000,
            "ymin": 4_830_000,
            "xmax": -9_978_000,
            "ymax": 4_833_000,
            "spatialReference": _MERCATOR,
        },
        "mapAreas": {"packageRefreshSchedule": "0 0 2 ? * SUN *", "status": "complete"},
        "packages": [{"type": "Vector Tile Package", "itemId": item_id("area package")}],
    }
    city.item(
        "area",
        "p.waters",
        "Map Area",
        "Downtown (offline)",
        PARSED,
        folder="Water Network",
        data=payloads.as_json(area),
        relations=(("Area2Package", "area package"),),
    )

    for key, owner, title, count in (
        ("collection", "Transport_GIS", "Detours, June", 60),
        ("collection 2", "s.nakamura", "観測点", 300),
    ):
        city.item(
            key, owner, "Feature Collection", title, PARSED, data=payloads.as_json(feature_collection(title, count))
        )
    members = [
        layer_entry("Parks", city.url("Parks", 0), item_id("parks")),
        layer_entry("Trees", city.url("Street_Trees", 0), item_id("trees")),
    ]
    group = {"layerType": "GroupLayer", "title": "Green city", "visibilityMode": "independent", "layers": members}
    city.item(
        "group layer",
        "parks@springfield.example",
        "Group Layer",
        "Green city",
        PARSED,
        folder="Parks & Recreation",
        data=payloads.as_json(group),
    )
    city.item(
        "media",
        "open.data",
        "Media Layer",
        "Aerial photo of 1958",
        RESOURCES,
        resources={"media/aerial 1958.jpg": payloads.jpeg("aerial"), "media.json": b'{"elements":1}'},
    )
    catalog = {
        "type": "OrientedImageryCatalog",
        "properties": {"ServiceURL": city.url("Streets", 0), "OverviewLayer": {}},
    }
    city.item(
        "imagery catalog",
        "Transport_GIS",
        "Oriented Imagery Catalog",
        "Street photographs",
        PARSED,
        data=payloads.as_json(catalog),
    )

    _add_styles(city)


def _add_styles(city: Builder) -> None:
    """Styles: in resources alone, or small JSON files of symbols and colours."""
    root = payloads.as_json(
        {
            "version": 8,
            "sources": {"esri": {"type": "vector", "url": "../../"}},
            "layers": [],
            "glyphs": "../fonts/{fontstack}/{range}.pbf",
        }
    )
    sheet = {
        "styles/root.json": root.content,
        "sprites/sprite.png": payloads.png((80, 80, 80), 64, 64),
        "sprites/sprite.json": b"{}",
        "fonts/Arial Unicode MS Regular/0-255.pbf": bytes(300),
    }
    city.item(
        "tile style",
        "planning.team",
        "Vector Tile Service",
        "Quiet grey basemap",
        RESOURCES,
        keywords=("Vector Tile Style Editor",),
        url="https://tiles.example.net/arcgis/rest/services/World_Basemap_v2/VectorTileServer",
        resources=sheet,
    )
    symbols = {
        "resources/hydrant.json": b'{"type":"CIMPointSymbol"}',
        "thumbnails/hydrant.png": payloads.png((200, 30, 30), 32, 32),
    }
    city.item("style", "p.waters", "Style", "Springfield symbols", RESOURCES, resources=symbols)
    points = [{"name": f"Valve {at}", "type": "esriSMS", "color": [at * 20, 90, 90, 255], "size": 8} for at in range(8)]
    city.item(
        "symbol set",
        "p.waters",
        "Symbol Set",
        "Valves",
        PARSED,
        data=payloads.as_json({"symbols": points, "id": global_id("valves")}),
    )
    city.item(
        "color set",
        "planning.team",
        "Color Set",
        "Zoning colours",
        PARSED,
        data=payloads.as_json({"colors": [[at * 10, 80, 120] for at in range(12)]}),
    )
