"""Tile packages that are not what they should be."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from saved import zipped

from agolkit.errors import CheckFailed
from agolkit.kinds.tile_package import HEADER, INDEX, SIDE, prove_origin, read_package
from agolkit.kinds.tiles import in_ranges
from agolkit.portal import TileFacts

EXTENT = {"xmin": 0, "ymin": 0, "xmax": 10, "ymax": 10.0}
FACTS = TileFacts(levels=(3, 4), is_exact=True, extent=EXTENT, export_allowed=True, most_tiles=None)


def bundle(*tiles: bytes) -> bytes:
    """A bundle with these tiles in its first places; an empty one is no tile."""
    index, body = [0] * SIDE**2, b""
    for at, tile in enumerate(tiles):
        index[at] = HEADER + INDEX.size + len(body) | len(tile) << 40
        body += tile
    return bytes(HEADER) + struct.pack(f"<{SIDE**2}Q", *index) + body


def package(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "package"
    path.write_bytes(zipped(files))
    return path


@pytest.mark.parametrize(
    ("ending", "files", "said"),
    [
        (".tpkx", {"iteminfo.json": b"{}"}, "holds no root.json"),
        (".vtpk", {"root.json": b"{}"}, "holds no p12/root.json"),
        (".tpkx", {"root.json": b"[]"}, "root.json in the package is not JSON"),
        (".tpkx", {"root.json": b"{}"}, "holds no tiles"),
        (".tpkx", {"root.json": b"{}", "tile/L03/R0000C0000.bundle": bundle(b"", b"")}, "holds no tiles"),
        (
            ".tpkx",
            {"root.json": b"{}", "tile/L03/R0000C0000.bundle": bundle(b"a")[:-9]},
            "R0000C0000.bundle is cut off",
        ),
        (
            ".tpkx",
            {"root.json": b"{}", "tile/L03/R0000C0000.bundle": bundle(b"a", b"tile")[:-1]},
            "R0000C0000.bundle is cut off",
        ),
        (".tpkx", {"root.json": b"{}", "tile/L03/R0000C0000.bundle": b"short"}, "R0000C0000.bundle is cut off"),
        (".tpk", {"v101/Roads/conf.xml": b"<CacheInfo/>"}, "holds no tiles"),
        (".tpk", {"v101/Roads/Layers/_alllayers/L03/R0000C0000.bundle": b"x"}, "holds no conf.xml"),
    ],
)
def test_what_is_no_tile_package_is_refused(ending: str, files: dict[str, bytes], said: str, tmp_path: Path) -> None:
    """A zip without settings or without tiles, and a bundle that is too short for its index, are not accepted."""
    with pytest.raises(CheckFailed, match=said):
        read_package(package(tmp_path, files), ending)


def test_tiles_are_counted_by_the_index(tmp_path: Path) -> None:
    """Row and column follow from the name of the bundle and the place in its index; the largest tile stands out."""
    files = {
        "p12/root.json": b"{}",
        "p12/tile/L03/R0000C0000.bundle": bundle(b"a", b"", b"ccc"),
        "p12/tile/L04/R0080C0100.bundle": bundle(b"dd"),
    }
    found = read_package(package(tmp_path, files), ".vtpk")
    assert (found.tiles, found.levels) == (3, {3, 4})
    assert [(each.level, each.row, each.column) for each in found.largest.values()] == [(3, 0, 2), (4, 128, 256)]


def test_an_older_package_is_taken_as_it_is(tmp_path: Path) -> None:
    """How a .tpk keeps its tiles is not published, so that they cannot be counted."""
    files = {"v101/Roads/conf.xml": b"<CacheInfo/>", "v101/Roads/Layers/_alllayers/L03/R0000C0000.bundle": b"x"}
    assert read_package(package(tmp_path, files), ".tpk").tiles == 0


@pytest.mark.parametrize(
    ("level", "extent", "served", "said"),
    [
        (3, EXTENT, b"tile", True),
        (3, EXTENT, b"other", False),
        (3, EXTENT, b"", False),
        (3, {**EXTENT, "xmin": 1}, b"tile", True),
        (3, {**EXTENT, "xmin": 1}, b"other", "of another service"),
        (3, None, b"other", "of another service"),
        (5, EXTENT, b"tile", "levels that the service does not have (5)"),
    ],
)
def test_the_origin_is_proven_by_tiles_or_by_the_extent(
    level: int, extent: dict[str, float] | None, served: bytes, said: bool | str, tmp_path: Path
) -> None:
    """Equal tiles prove it, the same extent makes it likely; without either it is a package of something else."""
    root = json.dumps({"fullExtent": extent}).encode()
    path = package(tmp_path, {"root.json": root, f"tile/L{level:02d}/R0000C0000.bundle": bundle(b"tile")})
    found = read_package(path, ".tpkx")
    if isinstance(said, bool):
        assert prove_origin(path, found, FACTS, lambda _place: served) is said
        return
    with pytest.raises(CheckFailed) as caught:
        prove_origin(path, found, FACTS, lambda _place: served)
    assert said in str(caught.value)


def test_two_extents_that_are_not_stated_are_not_the_same(tmp_path: Path) -> None:
    """Where neither package nor service states an extent, other tiles are those of another service."""
    path = package(tmp_path, {"root.json": b"{}", "tile/L03/R0000C0000.bundle": bundle(b"tile")})
    with pytest.raises(CheckFailed, match="of another service"):
        prove_origin(path, read_package(path, ".tpkx"), replace(FACTS, extent={}), lambda _place: b"other")


def test_every_level_has_to_prove_its_origin(tmp_path: Path) -> None:
    """One equal tile is no proof for the tiles of another level, nor one level of the service for a strange one."""
    root = json.dumps({"fullExtent": EXTENT}).encode()
    tiles = {f"tile/L{level:02d}/R0000C0000.bundle": bundle(b"tile") for level in (3, 4)}
    path = package(tmp_path, {"root.json": root, **tiles})
    found = read_package(path, ".tpkx")
    assert prove_origin(path, found, FACTS, lambda _place: b"tile")
    assert not prove_origin(path, found, FACTS, lambda place: b"tile" if place.level == 3 else b"other")
    with pytest.raises(CheckFailed, match=r"levels that the service does not have \(4\)"):
        prove_origin(path, found, replace(FACTS, levels=(3,)), lambda _place: b"tile")


def test_levels_are_named_in_ranges() -> None:
    """Neighbours are joined, gaps are shown."""
    assert in_ranges([5, 0, 1, 2, 7, 8]) == "0 to 2, 5, 7 to 8"
    assert in_ranges([3]) == "3"


@pytest.mark.parametrize(
    ("raw", "levels", "is_exact"),
    [
        ({"tileInfo": {"lods": [{"level": 1}, {"level": 0}]}}, (0, 1), False),
        ({"tileInfo": {"lods": [{"level": 0}, {"level": 1}, {"level": 2}]}, "minLOD": 1, "maxLOD": 2}, (1, 2), True),
        ({"tileInfo": None}, (), False),
        ({}, (), False),
    ],
)
def test_levels_are_those_that_have_tiles(raw: dict[str, object], levels: tuple[int, ...], is_exact: bool) -> None:
    """A tiling scheme reaches further than the tiles do, where the service says so."""
    facts = TileFacts.from_json(raw)
    assert (facts.levels, facts.is_exact) == (levels, is_exact)
    assert not facts.export_allowed
