"""Hosted tiles, vector tiles, scenes and imagery of Springfield: with the package they came from, and without it."""

from __future__ import annotations

from agolkit.sandbox.city.builder import EXPORTED, PACKAGED, SCENE, TILES, Builder
from agolkit.sandbox.organization import Expectation
from agolkit.sandbox.tile_cache import Tiles

_CITY = (-9_991_000.0, 4_823_000.0, -9_969_000.0, 4_846_000.0)
_MAP, _VECTOR, _IMAGES, _SCENE = "Map Service", "Vector Tile Service", "Image Service", "Scene Service"
_SERVERS = {
    _MAP: ("MapServer", "Map,TilesOnly,Tilemap"),
    _VECTOR: ("VectorTileServer", "TilesOnly"),
    _IMAGES: ("ImageServer", "Image,Metadata,TilesOnly,Tilemap"),
    _SCENE: ("SceneServer", "View,Query"),
    "3DTiles Service": ("3DTilesServer", "View"),
}
_PUBLISHED = (
    ("hosted tiles", "p.waters", _MAP, "Historic map 1898", "tile package"),
    ("hosted vector tiles", "planning.team", _VECTOR, "City basemap", "vector tile package"),
    ("hosted scene", "planning.team", _SCENE, "Town hall in 3D", "scene package"),
)
"""Their package is still there; the last entry is its key."""
_TILED = (
    ("zoning tiles", "planning.team", _MAP, "Zoning, drawn", Tiles(9, 15, _CITY), EXPORTED),
    ("night map", "planning.team", _VECTOR, "City basemap at night", Tiles(0, 14, _CITY), EXPORTED),
    ("orthophotos", "Transport_GIS", _IMAGES, "Orthophotos 2019", Tiles(10, 14, _CITY), EXPORTED),
    ("flood map", "p.waters", _MAP, "Flood depths", Tiles(0, 22, _CITY, most_exported=10_000_000), TILES),
    ("noise map", "planning.team", _MAP, "Noise at night", Tiles(0, 18, _CITY, most_exported=10_000), TILES),
    ("tax map", "city_admin", _MAP, "Tax map", Tiles(8, 14, _CITY, export_allowed=False), TILES),
    ("address labels", "city_admin", _VECTOR, "Address labels", Tiles(0, 17, _CITY, most_exported=1_000), TILES),
)
"""Their package is gone. The flood map is too large, of the noise map are too many tiles, and of the labels too: but a
vector tile service only says so when it is exported. The tax map may not be exported."""
_UNTILED = (
    ("hosted imagery", "Transport_GIS", _IMAGES, "Drone survey of the bridge", "Image,Metadata,Catalog", TILES),
    ("bridge scene", "Transport_GIS", _SCENE, "Bridge in 3D", "View,Query,Extract", SCENE),
    ("old town", "planning.team", _SCENE, "Old town in 3D", "View,Query", TILES),
    ("point cloud", "Transport_GIS", "3DTiles Service", "Tunnel, scanned", "View", TILES),
)
"""Their package is gone, and they have no tiles to ask for."""


def add_tiles(city: Builder) -> None:
    """Add hosted tiles, vector tiles, scenes and imagery."""
    for key, owner, kind, title, source in _PUBLISHED:
        _add(
            city,
            key,
            owner,
            kind,
            title,
            PACKAGED,
            source=source,
            tiles=None if kind == _SCENE else Tiles(8, 12, _CITY),
        )
    for key, owner, kind, title, tiles, expected in _TILED:
        # The zoning map was drawn of the feature layer that is here too.
        _add(city, key, owner, kind, title, expected, source="zoning" if key == "zoning tiles" else None, tiles=tiles)
    for key, owner, kind, title, capabilities, expected in _UNTILED:
        _add(city, key, owner, kind, title, expected, capabilities=capabilities)


def _add(
    city: Builder,
    key: str,
    owner: str,
    kind: str,
    title: str,
    expected: Expectation,
    *,
    source: str | None = None,
    tiles: Tiles | None = None,
    capabilities: str = "",
) -> None:
    """Add one service with its item; `source` is the key of the item that it was published from."""
    server, usual = _SERVERS[kind]
    name = title.replace(",", "").replace(" ", "_")
    service = city.service(name, key, server_type=server, capabilities=capabilities or usual, tiles=tiles)
    keywords = ("Hosted Service", "Tiled" if server == "MapServer" else server)
    relations = (("Service2Data", source),) if source else ()
    city.item(key, owner, kind, title, expected, service=service, keywords=keywords, relations=relations, access="org")
