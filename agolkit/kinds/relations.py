"""Which relationship types an item type can have, so that no item is asked for all 39 of them.

Forward is asked of the type where a relationship begins, reverse of the types where its other end matters for a
restore. `Solution2Item`, `Mission2Item` and `APIKey2Item` can end at any item: they are kept at their beginning only.
Source: the REST page "Relationship types".
"""

from __future__ import annotations

from typing import Literal

from agolkit.model import plain

Direction = Literal["forward", "reverse"]

FORWARD = {
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
    "Scene Service": ["Service2Data", "Service2Service"],
    "Solution": ["Solution2Item"],
    "StoryMap Theme": ["Theme2Story"],
    "Style": ["Style2Style", "WebStyle2DesktopStyle"],
    "Survey123 Add In": ["SurveyAddIn2Data"],
    "Vector Tile Service": ["Service2Data", "Service2Service", "Service2Style"],
    "Web Map": [
        "Map2Service",
        "Map2FeatureCollection",
        "Map2AppConfig",
        "Map2Area",
        "Map2IndoorsConfig",
        "WorkforceMap2FeatureService",
    ],
    "Web Mapping Application": ["WMA2Code"],
    "3DTiles Service": ["Service2Data", "Service2Service"],
}

SOURCES = [
    "Compact Tile Package",
    "CSV",
    "File Geodatabase",
    "GeoJson",
    "GeoPackage",
    "Microsoft Excel",
    "Scene Package",
    "Service Definition",
    "Shapefile",
    "Tile Package",
    "Vector Tile Package",
]
"""Files that a hosted service can be published from."""

REVERSE = {
    "Code Attachment": ["WMA2Code", "MobileApp2Code"],
    "Feature Service": ["Service2Service", "Survey2Service", "Survey2Data"],
    "Map Area": ["Map2Area"],
    "StoryMap": ["Theme2Story"],
    **{item_type: ["Service2Data"] for item_type in SOURCES},
}

_FORWARD = {plain(item_type): types for item_type, types in FORWARD.items()}
_REVERSE = {plain(item_type): types for item_type, types in REVERSE.items()}


def relation_types(item_type: str) -> dict[Direction, list[str]]:
    """The relationship types to ask an item of this type for, by direction."""
    return {"forward": _FORWARD.get(plain(item_type), []), "reverse": _REVERSE.get(plain(item_type), [])}
