"""Esri JSON geometries as well-known binary (ISO), with Z, M and true curves, every number as it came."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

from agolkit.kinds.feature_service.conversion.curves import (
    ARC,
    COMPOUND,
    CURVE_POLYGON,
    LINE,
    MULTICURVE,
    MULTILINE,
    MULTIPOINT,
    MULTIPOLYGON,
    MULTISURFACE,
    POINT,
    POLYGON,
    Piece,
    Position,
    packed,
    pieces_of,
    straightened,
)

NAMES = {
    "esriGeometryPoint": "Point",
    "esriGeometryMultipoint": "MultiPoint",
    "esriGeometryPolyline": "MultiLineString",
    "esriGeometryPolygon": "MultiPolygon",
    "esriGeometryMultiPatch": "MultiPolygon",
}


def type_name(base: str, has_z: bool, has_m: bool) -> str:
    """The name by which GDAL knows a geometry type, such as `Measured 3D Point`."""
    if has_m:
        return f"Measured 3D {base}" if has_z else "PointM" if base == "Point" else f"Measured {base}"
    return f"{base} Z" if has_z else base


class Encoder:
    """Turns the geometries of one layer into bytes; an empty geometry is none.

    `unset` takes the place of a height or measure that is not set. With `keep_arcs` circular arcs stay what they are;
    there is no well-known binary for other curves.
    """

    def __init__(self, has_z: bool, has_m: bool, *, unset: float = math.nan, keep_arcs: bool = False) -> None:
        self.straightened = 0
        """Rows with curves that were made straight."""
        self.replaced = 0
        """Rows in which `unset` took the place of something that is not set."""
        self._size = 2 + has_z + has_m
        self._flags = 1000 * has_z + 2000 * has_m
        self._unset = unset
        self._keep_arcs = keep_arcs
        self._is_strict = self._size > 2 and not math.isnan(unset)
        self._point = struct.Struct(f"<BI{self._size}d")
        self._names = ["x", "y", *(["z"] if has_z else []), *(["m"] if has_m else [])]
        self._has_gap = self._is_straightened = False

    def __call__(self, geometry: Mapping[str, Any] | None) -> bytes | None:
        """The bytes of a geometry; `None` where it is empty."""
        if not geometry:
            return None
        self._has_gap = self._is_straightened = False
        encoded = self._encode(geometry)
        self.replaced += self._has_gap and self._is_strict
        self.straightened += self._is_straightened
        return encoded

    def _encode(self, geometry: Mapping[str, Any]) -> bytes | None:
        if "x" in geometry:
            return self._encode_point([geometry.get(name) for name in self._names])
        if points := geometry.get("points"):
            places = [self._head(POINT) + struct.pack(f"<{self._size}d", *self._place(point)) for point in points]
            return self._collection(MULTIPOINT, places)
        if paths := [path for path in geometry.get("paths") or () if path]:
            return self._collection(MULTILINE, [self._head(LINE) + self._line(path) for path in paths])
        if rings := [ring for ring in geometry.get("rings") or () if ring]:
            polygons = grouped([self._places(ring) for ring in rings])
            return self._collection(
                MULTIPOLYGON, [self._collection(POLYGON, [self._ring(ring) for ring in some]) for some in polygons]
            )
        if paths := [path for path in geometry.get("curvePaths") or () if path]:
            curves = [self._pieces(path) for path in paths]
            if not any(code == ARC for pieces in curves for code, _ in pieces):
                return self._encode({"paths": [straightened(pieces) for pieces in curves]})
            return self._collection(MULTICURVE, [self._curve(pieces) for pieces in curves])
        if rings := [ring for ring in geometry.get("curveRings") or () if ring]:
            curves = [self._pieces(ring) for ring in rings]
            lines = [straightened(pieces) for pieces in curves]
            if not any(code == ARC for pieces in curves for code, _ in pieces):
                return self._encode({"rings": lines})
            of = {id(line): pieces for line, pieces in zip(lines, curves, strict=True)}
            surfaces = [[self._curve(of[id(line)]) for line in some] for some in grouped(lines)]
            return self._collection(MULTISURFACE, [self._collection(CURVE_POLYGON, some) for some in surfaces])
        return None

    def _encode_point(self, values: list[Any]) -> bytes | None:
        if not isinstance(values[0], int | float) or math.isnan(values[0]):
            return None
        return self._point.pack(1, POINT + self._flags, *self._place(values))

    def _head(self, code: int) -> bytes:
        return struct.pack("<BI", 1, code + self._flags)

    def _collection(self, code: int, members: Sequence[bytes]) -> bytes:
        return self._head(code) + struct.pack("<I", len(members)) + b"".join(members)

    def _line(self, points: Sequence[Sequence[Any]]) -> bytes:
        """Number and numbers of the positions of a line, in one go where all are complete."""
        if len(points) > 1 and not self._is_strict:
            numbers = list(chain.from_iterable(points))
            if len(numbers) == len(points) * self._size:
                try:
                    return struct.pack(f"<I{len(numbers)}d", len(points), *numbers)
                except struct.error:
                    pass  # some of them are not set
        places = self._places(points)
        return packed(places * 2 if len(places) == 1 else places, self._size)

    def _ring(self, places: list[Position]) -> bytes:
        """A ring closes, and has four positions at least; readers refuse any other."""
        closed = places if tuple(places[0]) == tuple(places[-1]) else [*places, places[0]]
        return packed(closed + closed[-1:] * (4 - len(closed)), self._size)

    def _curve(self, pieces: Sequence[Piece]) -> bytes:
        members = [self._head(code) + packed(places, self._size) for code, places in pieces]
        return members[0] if len(members) == 1 else self._collection(COMPOUND, members)

    def _pieces(self, part: Sequence[Any]) -> list[Piece]:
        pieces, is_changed = pieces_of(part, self._place)
        if not self._keep_arcs and any(code == ARC for code, _ in pieces):
            pieces, is_changed = [(LINE, straightened(pieces))], True
        self._is_straightened = self._is_straightened or is_changed
        return [(code, places * 2 if len(places) == 1 else places) for code, places in pieces]

    def _places(self, points: Sequence[Sequence[Any]]) -> list[Position]:
        return [self._place(point) for point in points]

    def _place(self, values: Sequence[Any]) -> Position:
        """A position with all its numbers: what is missing, null or the text `NaN` is not set."""
        size = self._size
        if size == 2:
            return values[0], values[1]
        found = [*values[:size], *[None] * (size - len(values))]
        if all(isinstance(value, int | float) and not math.isnan(value) for value in found):
            return found
        self._has_gap = True
        return [value if isinstance(value, int | float) and not math.isnan(value) else self._unset for value in found]


def grouped(rings: Sequence[list[Position]]) -> list[list[list[Position]]]:
    """Rings as polygons, each an outline with its holes.

    Outlines are clockwise; where the largest ring is not, the server has it the other way round. A hole belongs to the
    smallest outline that it lies in; one that lies in none is an outline.
    """
    if len(rings) == 1:
        return [[rings[0]]]
    areas = [_area(ring) for ring in rings]
    is_clockwise = min(areas) + max(areas) <= 0
    polygons: list[list[list[Position]]] = []
    outlines, holes = [], []
    for area, ring in zip(areas, rings, strict=True):
        if area == 0 or (area < 0) == is_clockwise:
            polygons.append([ring])
            outlines.append((abs(area), _box(ring), polygons[-1]))
        else:
            holes.append(ring)
    outlines.sort(key=lambda outline: outline[0])
    for hole in holes:
        box, inside = _box(hole), _midpoint(hole)
        around = (some for _, outer, some in outlines if _holds(outer, box) and _surrounds(some[0], *inside))
        home = next(around, None)
        if home is None:
            polygons.append([hole])
        else:
            home.append(hole)
    return polygons


def _area(ring: Sequence[Position]) -> float:
    """Twice the area; negative for a clockwise ring. Measured from its first place, where small rings stay exact."""
    x, y = ring[0][0], ring[0][1]
    return math.fsum((a[0] - x) * (b[1] - y) - (b[0] - x) * (a[1] - y) for a, b in pairwise([*ring, ring[0]]))


def _box(ring: Sequence[Position]) -> tuple[float, float, float, float]:
    xs, ys = [place[0] for place in ring], [place[1] for place in ring]
    return min(xs), min(ys), max(xs), max(ys)


def _holds(outer: tuple[float, float, float, float], inner: tuple[float, float, float, float]) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]


def _midpoint(ring: Sequence[Position]) -> tuple[float, float]:
    """The middle of an edge: a hole may touch its outline at a corner, not along an edge."""
    a, b = next(((a, b) for a, b in pairwise(ring) if tuple(a[:2]) != tuple(b[:2])), (ring[0], ring[0]))
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


def _surrounds(ring: Sequence[Position], x: float, y: float) -> bool:
    """Whether a place is inside a ring: a ray from it crosses the ring an odd number of times."""
    is_inside = False
    for a, b in pairwise([*ring, ring[0]]):
        if (a[1] > y) != (b[1] > y) and x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0]:
            is_inside = not is_inside
    return is_inside
