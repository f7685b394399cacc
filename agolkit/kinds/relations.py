"""Which relationship types an item type can have, so that no item is asked for all of them.

A relationship is asked for where it begins (forward), unless any item or any layer can begin it: then where it ends
(reverse). Some are asked for at both ends, because either item may be restored without the other.
Source: the REST page "Relationship types"; the names are those that arcgis knows.
"""

from __future__ import annotations

from typing import Literal

from agolkit.model import plain

Direction = Literal["forward", "reverse"]

FORWARD = {
    "3DTiles Service": ["Service2Data", "Service2Service"],
    "API Key": ["APIKey2Item"],
    "Feature Service": [
        "Service2Data",
        "Service2Service",
        "Service2Layer",
        "Service2Route",
        "Service2Style",
        "TrackView2Map",
    ],
    "Form": ["Survey2Service", "Survey2Data"],
    "Geocoding Service": ["Service2Data"],
    "Image Service": ["Service2Data", "Service2Service"],
    "Map Area": ["Area2Package", "Area2CustomPackage"],
    "Map Document": ["Map2Service"],
    "Map Service": ["Service2Data", "Service2Service"],
    "Mission": ["Mission2Item"],
    "Mobile Application": ["MobileApp2Code"],
    "Notebook": ["Notebook2WebTool"],
    "OGCFeatureServer": ["Service2Data"],
    "Scene Service": ["Service2Data", "Service2Service"],
    "Solution": ["Solution2Item"],
    "StoryMap Theme": ["Theme2Story"],
    "Style": ["Style2Style", "Service2Style", "WebStyle2DesktopStyle"],
    "Survey123 Add In": ["SurveyAddIn2Data"],
    "Vector Tile Service": ["Service2Data", "Service2Service", "Service2Style", "Style2Style"],
    "Web Map": [
        "Map2Service",
        "Map2FeatureCollection",
        "Map2AppConfig",
        "Map2Area",
        "Map2IndoorsConfig",
        "Map2StoryMapTheme",
        "WorkforceMap2FeatureService",
    ],
    "Web Mapping Application": ["WMA2Code"],
    "WFS": ["Service2Data"],
    "WMS": ["Service2Data"],
    "WMTS": ["Service2Data"],
}

SOURCES = [
    "Compact Tile Package",
    "CSV",
    "Feature Collection",
    "File Geodatabase",
    "GeoJson",
    "GeoPackage",
    "Image Collection",
    "Microsoft Excel",
    "Scene Package",
    "Service Definition",
    "Shapefile",
    "SQLite Geodatabase",
    "Tile Package",
    "Vector Tile Package",
]
"""Items that a hosted service can be published from."""

APPS = [
    "Dashboard",
    "Form",
    "Hub Page",
    "Hub Site Application",
    "StoryMap",
    "Web Experience",
    "Web Experience Template",
    "Web Mapping Application",
]
"""Apps that maps, scenes, layers, widgets and other apps can be part of."""

ATTACHED = ["Image", "Microsoft Excel", "Microsoft Powerpoint", "Microsoft Word", "PDF", "Visio Document"]
"""Files that can be attached to an item of any type."""

_ENDS = [
    ("Application Configuration", ["Map2AppConfig"]),
    ("Code Attachment", ["WMA2Code", "MobileApp2Code"]),
    ("Desktop Style", ["WebStyle2DesktopStyle"]),
    ("Feature Service", ["Service2Data", "Service2Service", "Survey2Service", "Survey2Data"]),
    ("Geoprocessing Service", ["Notebook2WebTool"]),
    ("Indoors Map Configuration", ["Map2IndoorsConfig"]),
    ("Map Area", ["Map2Area"]),
    ("Report Template", ["Survey2Data"]),
    ("StoryMap", ["Theme2Story"]),
    ("Web Map", ["Data2Map"]),
    ("Web Scene", ["Data2Scene"]),
    *((item_type, ["Data2App", "Map2App", "Scene2App", "App2DependentApp", "Widget2App"]) for item_type in APPS),
    *((item_type, ["Item2Attachment", "Item2Report"]) for item_type in ATTACHED),
    *((item_type, ["Service2Data"]) for item_type in SOURCES),
]

REVERSE: dict[str, list[str]] = {}
for _item_type, _types in _ENDS:
    REVERSE.setdefault(_item_type, []).extend(_types)

LEFT_OUT = {
    "Listed2ImplicitlyListed": "is between listings of ArcGIS Marketplace, which no backup can restore",
    "Listed2Provisioned": "is between listings of ArcGIS Marketplace, which no backup can restore",
    "Map2FeatureCollectionMobileApp2Code": "is two names that arcgis has without the comma between them",
}
"""Names that arcgis knows and no item is asked for, each with the reason."""

_FORWARD = {plain(item_type): types for item_type, types in FORWARD.items()}
_REVERSE = {plain(item_type): types for item_type, types in REVERSE.items()}


def relation_types(item_type: str) -> dict[Direction, list[str]]:
    """The relationship types to ask an item of this type for, by direction."""
    return {"forward": _FORWARD.get(plain(item_type), []), "reverse": _REVERSE.get(plain(item_type), [])}
