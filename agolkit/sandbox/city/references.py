"""What has no payload of its own here: references to other servers, and links."""

from __future__ import annotations

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.builder import FOREIGN, Builder
from agolkit.sandbox.organization import Expectation

_GIS = "https://gis.example.org/arcgis/rest/services"
_OTHER_ORG = "https://services.example.net/aB3dE5fG7hJ9kL1m/arcgis/rest/services"
_LINK = Expectation("described", None, "A link: there is nothing behind it in this portal.")

_REFERENCES = (
    ("ref parcels", "planning.team", "Feature Service", "County parcels", f"{_GIS}/Cadastre/Parcels/FeatureServer"),
    (
        "ref state",
        "open.data",
        "Feature Service",
        "State roads of another organization",
        f"{_OTHER_ORG}/State_Roads/FeatureServer/0",
    ),
    ("ref geology", "p.waters", "Map Service", "Geology 1:50,000", f"{_GIS}/Geology/MapServer"),
    ("ref aerial", "Transport_GIS", "Image Service", "Aerial photographs 2024", f"{_GIS}/Aerial2024/ImageServer"),
    ("ref buildings", "planning.team", "Scene Service", "County buildings", f"{_GIS}/Buildings/SceneServer/layers/0"),
    (
        "ref basemap",
        "open.data",
        "Vector Tile Service",
        "Neighbour's basemap",
        "https://tiles.example.net/Base/VectorTileServer",
    ),
    (
        "ref weather",
        "city_admin",
        "WMS",
        "Weather radar",
        "https://wms.example.com/radar?service=WMS&request=GetCapabilities",
    ),
    ("ref topo", "s.nakamura", "WMTS", "地形図 WMTS", "https://wmts.example.com/1.0.0/WMTSCapabilities.xml"),
    ("ref rivers", "p.waters", "WFS", "River gauges", "https://wfs.example.com/ows?service=WFS&version=2.0.0"),
    ("ref quakes", "s.nakamura", "KML", "地震速報", "https://feeds.example.com/quakes.kml"),
    ("ref table", "open.data", "CSV", "Daily figures", "https://data.example.com/daily.csv?format=csv&x=1#top"),
    ("ref locator", "city_admin", "Geocoding Service", "Address locator", f"{_GIS}/Locator/GeocodeServer"),
)
_WITH_DATA = ("ref parcels", "ref weather", "ref topo", "ref rivers")
"""These keep how to draw the reference (popups, layers chosen) as JSON; what is drawn lives elsewhere all the same."""


def add_references(city: Builder) -> None:
    """Add references to other servers, and links."""
    for key, owner, kind, title, url in _REFERENCES:
        data = (
            payloads.as_json({"layers": [{"id": 0, "popupInfo": {"title": title}}], "url": url})
            if key in _WITH_DATA
            else None
        )
        access = "public" if owner == "open.data" else "private"
        city.item(key, owner, kind, title, FOREIGN, url=url, data=data, access=access)
    city.item(
        "link", "city_admin", "Document Link", "Council minutes", _LINK, url="https://www.example.org/minutes?year=2025"
    )
    city.item(
        "link 2", "l.haddad", "Document Link", "دليل السلامة", _LINK, url="https://www.example.org/safety/دليل.pdf"
    )
