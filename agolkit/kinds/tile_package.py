"""Tile packages: what is in one, and the proof that it is of the service that made it.

Sources: Esri's "Tile Package Specification" (`.tpkx`) and "Compact Cache V2" (the bundles, in `.vtpk` too). How `.tpk`
stores its tiles is not published: of such a package only the zip and its settings are proven.
"""

from __future__ import annotations

import json
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agolkit.errors import CheckFailed
from agolkit.kinds.archive import open_archive, read_member
from agolkit.packed import unpacked
from agolkit.portal import TileFacts
from agolkit.progress import beat

BUNDLE = re.compile(r"(?:^|/)L(\d{2,3})/R([0-9a-f]{4,12})C([0-9a-f]{4,12})\.bundle$", re.IGNORECASE)
HEADER = 64
SIDE = 128
"""A bundle holds 128 by 128 tiles."""
INDEX = struct.Struct(f"<{SIDE * SIDE}Q")
"""Each tile's place in the bundle: its offset in the low 40 bits, its length in the others; length 0: no such tile."""
SETTINGS = {".tpkx": "root.json", ".vtpk": "p12/root.json", ".tpk": "conf.xml"}
GZIP = b"\x1f\x8b"
LARGEST_SETTINGS, LARGEST_TILE = 16 << 20, 64 << 20
"""Bytes, unpacked."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a package a tile lies."""

    level: int
    row: int
    column: int
    member: str
    offset: int
    length: int


@dataclass(slots=True)
class TilePackage:
    """What was found in a package."""

    root: dict[str, Any] = field(default_factory=dict)
    """The settings of the cache; empty where they are not in JSON."""
    tiles: int = 0
    levels: set[int] = field(default_factory=set)
    largest: dict[int, Place] = field(default_factory=dict)
    """Of each level the largest tile: the one that is least like any other service's."""


def read_package(path: Path, ending: str) -> TilePackage:
    """What is in a package whose zip is sound.

    Raises
    ------
    CheckFailed
        It is no tile package, there are no tiles in it, or a bundle is not what its format says.
    """
    with path.open("rb") as stream, open_archive(stream) as archive:
        names = archive.namelist()
        wanted = SETTINGS[ending]
        settings = next((name for name in names if name == wanted or name.lower().endswith(f"/{wanted}")), None)
        if settings is None:
            raise CheckFailed(f"the package holds no {wanted}.")
        if ending == ".tpk":
            if not any(name.lower().endswith(".bundle") for name in names):
                raise CheckFailed("the package holds no tiles.")
            return TilePackage()
        package = TilePackage(_json(read_member(archive, settings, most=LARGEST_SETTINGS), wanted))
        for name in names:
            for place in _places(archive, name):
                package.tiles += 1
                package.levels.add(place.level)
                largest = package.largest.get(place.level)
                if largest is None or place.length > largest.length:
                    package.largest[place.level] = place
            beat()
    if not package.tiles:
        raise CheckFailed("the package holds no tiles.")
    return package


def prove_origin(path: Path, package: TilePackage, facts: TileFacts, fetch: Callable[[Place], bytes]) -> bool:
    """Whether the package is proven to be of the service by bytes: the largest tile of each level is the served one.

    `fetch` brings a tile as the service serves it, empty where it serves none. No source says that a server packs
    tiles byte for byte as it serves them. Where they differ, the package must at least state the service's own extent.

    Raises
    ------
    CheckFailed
        Neither is so: it is a package of something else.
    """
    if not package.levels <= set(facts.levels):
        strange = ", ".join(map(str, sorted(package.levels - set(facts.levels))))
        raise CheckFailed(f"the package holds tiles of levels that the service does not have ({strange}).")
    with path.open("rb") as stream, open_archive(stream) as archive:
        same = [_unpacked(fetch(place)) == _unpacked(_tile(archive, place)) for place in package.largest.values()]
    if all(same):
        return True
    stated = _corners(package.root.get("fullExtent"))
    if stated is None or stated != _corners(facts.extent):
        raise CheckFailed("the package is of another service: neither its tiles nor its extent are those served.")
    return False


def _places(archive: zipfile.ZipFile, name: str) -> Iterator[Place]:
    """The tiles in one member of the package, if it is a bundle."""
    found = BUNDLE.search(name)
    if found is None:
        return
    level, row, column = int(found[1]), int(found[2], 16), int(found[3], 16)
    size = archive.getinfo(name).file_size
    with archive.open(name) as bundle:
        head = bundle.read(HEADER + INDEX.size)
    if len(head) < HEADER + INDEX.size:
        raise CheckFailed(f"the bundle {name} is cut off.")
    for at, entry in enumerate(INDEX.unpack_from(head, HEADER)):
        offset, length = entry & (1 << 40) - 1, entry >> 40
        if offset + length > size:
            raise CheckFailed(f"the bundle {name} is cut off.")
        if length:
            yield Place(level, row + at // SIDE, column + at % SIDE, name, offset, length)


def _tile(archive: zipfile.ZipFile, place: Place) -> bytes:
    with archive.open(place.member) as bundle:
        bundle.seek(place.offset)
        return bundle.read(place.length)


def _unpacked(tile: bytes) -> bytes:
    """A tile without the compression that vector tiles are stored, and sometimes served, with."""
    if not tile.startswith(GZIP):
        return tile
    try:
        return unpacked(tile, most=LARGEST_TILE)
    except ValueError:
        return tile


def _json(content: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise CheckFailed(f"{name} in the package is not JSON.")
    return value


def _corners(extent: object) -> list[float] | None:
    """What two extents are compared by; `None` where there is none."""
    found: list[Any] = (
        [extent.get(name) for name in ("xmin", "ymin", "xmax", "ymax")] if isinstance(extent, dict) else [None]
    )
    return [float(each) for each in found] if all(isinstance(each, int | float) for each in found) else None
