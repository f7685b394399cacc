"""The tiles of a hosted service, and the packages that an export makes of them.

Sources: Esri's "Tile Package Specification" and "Compact Cache V2 Technical Description"; how a vector tile package is
laid out is not published, it follows packages that ArcGIS Pro writes. Every tile is different, and always the same.
"""

from __future__ import annotations

import gzip
import json
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agolkit.sandbox.answers import Json
    from agolkit.sandbox.organization import Service

WEB_MERCATOR = {"wkid": 102100, "latestWkid": 3857}
_EDGE = 20037508.342787
_SCALE = 591657527.591555
_SIDE = 128
_INDEX = _SIDE * _SIDE * 8


@dataclass(frozen=True)
class Tiles:
    """Which tiles a hosted service has; each is made when it is asked for."""

    first_level: int
    last_level: int
    extent: tuple[float, float, float, float]
    """Web Mercator: xmin, ymin, xmax, ymax."""
    export_allowed: bool = True
    most_exported: int = 100_000
    """Tiles that one export may hold."""


def cells(tiles: Tiles, level: int) -> tuple[range, range]:
    """Return the rows and the columns that have tiles at a level."""
    if not tiles.first_level <= level <= tiles.last_level:
        return range(0), range(0)
    span = 2 * _EDGE / 2**level
    xmin, ymin, xmax, ymax = tiles.extent
    rows = range(int((_EDGE - ymax) // span), int((_EDGE - ymin) // span) + 1)
    return rows, range(int((xmin + _EDGE) // span), int((xmax + _EDGE) // span) + 1)


def count(tiles: Tiles, levels: Iterable[int]) -> int:
    """Return the number of tiles at some levels."""
    return sum(len(rows) * len(columns) for rows, columns in (cells(tiles, level) for level in levels))


def extent(tiles: Tiles) -> Json:
    """Return the extent of the tiles."""
    return dict(zip(("xmin", "ymin", "xmax", "ymax"), tiles.extent, strict=True)) | {"spatialReference": WEB_MERCATOR}


def tile_info(service: Service) -> Json:
    """Return the tiling scheme; it goes further than the levels that have tiles."""
    is_vector = service.server_type == "VectorTileServer"
    side = 512 if is_vector else 256
    scheme = {
        "rows": side,
        "cols": side,
        "dpi": 96,
        "format": "pbf" if is_vector else "PNG",
        "origin": {"x": -_EDGE, "y": _EDGE},
        "spatialReference": WEB_MERCATOR,
        "lods": [
            {"level": level, "resolution": 2 * _EDGE / side / 2**level, "scale": _SCALE / 2**level}
            for level in range(24)
        ],
    }
    if not is_vector:
        scheme |= {"compressionQuality": 0, "storageFormat": "esriMapCacheStorageModeCompactV2"}
    return scheme


def tile(service: Service, level: int, row: int, column: int) -> bytes | None:
    """Return one tile, a PNG or a gzipped vector tile; `None` where there is none."""
    if service.tiles is None:
        return None
    rows, columns = cells(service.tiles, level)
    if row not in rows or column not in columns:
        return None
    name = f"{service.name} {level}/{row}/{column}"
    return _vector_tile(name) if service.server_type == "VectorTileServer" else _picture(name)


def _picture(name: str) -> bytes:
    """A grey PNG with its name in a text chunk."""
    shade = zlib.crc32(name.encode()) % 256
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 256, 256, 8, 0, 0, 0, 0)),
        (b"tEXt", b"Title\x00" + name.encode("latin-1", "replace")),
        (b"IDAT", zlib.compress((b"\x00" + bytes([shade]) * 256) * 256)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def _vector_tile(name: str) -> bytes:
    """A vector tile (Mapbox Vector Tile 2.1) with one layer, called `name`, of one point; compressed as it is kept."""

    def field(number: int, content: bytes) -> bytes:
        size = len(content)
        return (
            bytes([number << 3 | 2]) + (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + content
        )

    point = b"\x18\x01" + field(4, b"\x09\x80\x20\x80\x20")  # a point; move to the middle of the tile
    layer = field(1, name.encode()) + field(2, point) + b"\x28\x80\x20\x78\x02"  # extent 4096, version 2
    return gzip.compress(field(3, layer), mtime=0)


def write_package(path: Path, service: Service, levels: Iterable[int]) -> None:
    """Write the tiles of some levels as a package to `path`: `.vtpk` of vector tiles, else `.tpkx`."""
    tiles = service.tiles
    assert tiles is not None
    levels = sorted(level for level in levels if count(tiles, [level]))
    is_vector = service.server_type == "VectorTileServer"
    top = "p12/" if is_vector else ""
    root: dict[str, Any] = {
        "name": service.name,
        "tileInfo": tile_info(service),
        "minLOD": min(levels, default=0),
        "maxLOD": max(levels, default=0),
        "fullExtent": extent(tiles),
        "initialExtent": extent(tiles),
        "spatialReference": WEB_MERCATOR,
    }
    if is_vector:
        root |= {"type": "indexedVector", "tiles": ["tile/{z}/{y}/{x}.pbf"], "resourceInfo": RESOURCE_INFO}
    else:
        storage = {"storageFormat": "esriMapCacheStorageModeCompactV2", "packetSize": _SIDE}
        root |= {"version": 1.0, "tileBundlesPath": "./tile", "storageInfo": storage, "resampling": True}
        root |= {"tileImageInfo": {"format": "PNG", "compression": 0}, "layers": []}
    info = {"name": service.name, "version": "1.0", "type": "Vector Tile Package" if is_vector else "Tile Package"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{top}root.json", json.dumps(root))
        archive.writestr("esriinfo/iteminfo.json" if is_vector else "iteminfo.json", json.dumps(info))
        if is_vector:
            archive.writestr("p12/resources/styles/root.json", json.dumps(style(service)))
        for level in levels:
            rows, columns = cells(tiles, level)
            for row, column in product(_corners(rows), _corners(columns)):
                name = f"{top}tile/L{level:02d}/R{row:04x}C{column:04x}.bundle"
                archive.writestr(name, _bundle(service, level, row, column))


RESOURCE_INFO = {
    "styleVersion": 8,
    "tileCompression": "gzip",
    "cacheInfo": {"storageInfo": {"packetSize": _SIDE, "storageFormat": "esriMapCacheStorageModeCompactV2"}},
}


def style(service: Service) -> Json:
    """Return the style of a vector tile service, a Mapbox style of version 8."""
    return {
        "version": 8,
        "sources": {"esri": {"type": "vector", "url": "../../"}},
        "layers": [{"id": service.name, "type": "circle", "source": "esri", "source-layer": service.name}],
    }


def _corners(cells_of: range) -> range:
    """The first row or column of each bundle."""
    return range(cells_of.start // _SIDE * _SIDE, cells_of.stop, _SIDE)


def _bundle(service: Service, level: int, first_row: int, first_column: int) -> bytes:
    """The tiles of 128 rows and columns in one file, each after its length, with an index in front."""
    assert service.tiles is not None
    rows, columns = (
        [cell for cell in present if first <= cell < first + _SIDE]
        for present, first in zip(cells(service.tiles, level), (first_row, first_column), strict=True)
    )
    index, body, longest = [0] * (_SIDE * _SIDE), bytearray(), 0
    for row, column in product(rows, columns):
        content = tile(service, level, row, column) or b""
        body += struct.pack("<I", len(content))
        index[_SIDE * (row - first_row) + column - first_column] = 64 + _INDEX + len(body) | len(content) << 40
        body += content
        longest = max(longest, len(content))
    size = 64 + _INDEX + len(body)
    header = struct.pack(
        "<4I3Q6I", 3, _SIDE * _SIDE, longest, 5, 0, size, 40, 20 + _INDEX, 3, 16, _SIDE * _SIDE, 5, _INDEX
    )
    return header + struct.pack(f"<{_SIDE * _SIDE}Q", *index) + bytes(body)
