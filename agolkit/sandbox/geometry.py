"""Esri JSON geometries as ISO well-known binary, with Z and M; curves become the vertices that approximate them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import pairwise

from agolkit.sandbox.answers import Json
from agolkit.sandbox.curves import densified, is_empty_point

Ring = Sequence[Sequence[float]]

NAMES = {
    "esriGeometryPoint": ("Point", 1),
    "esriGeometryMultipoint": ("MultiPoint", 4),
    "esriGeometryPolyline": ("MultiLineString", 5),
    "esriGeometryPolygon": ("MultiPolygon", 6),
}


def type_name(geometry_type: str, has_z: bool, has_m: bool) -> str:
    """Return the name of a geometry type as the writer of files wants it."""
    name = NAMES[geometry_type][0]
    if has_m:
        return f"Measured 3D {name}" if has_z else "PointM" if name == "Point" else f"Measured {name}"
    return f"{name} Z" if has_z else name


def encoder(geometry_type: str, has_z: bool, has_m: bool) -> Callable[[Json | None], bytes | None]:
    """Return what turns geometries of one type into bytes; an empty geometry becomes nothing."""
    size = 2 + has_z + has_m
    flags = (1000 if has_z else 0) + (2000 if has_m else 0)
    position = struct.Struct(f"<{size}d")

    def head(code: int) -> bytes:
        return struct.pack("<BI", 1, code + flags)

    def place(values: Sequence[float | None]) -> bytes:
        full = [float("nan") if value is None else float(value) for value in values[:size]]
        return position.pack(*full, *[0.0] * (size - len(full)))

    def line(positions: Ring) -> bytes:
        return struct.pack("<I", len(positions)) + b"".join(place(one) for one in positions)

    def collection(code: int, parts: Sequence[bytes]) -> bytes | None:
        return head(code) + struct.pack("<I", len(parts)) + b"".join(parts) if parts else None

    def encode(geometry: Json | None) -> bytes | None:
        if not geometry:
            return None
        if geometry_type == "esriGeometryPoint":
            if is_empty_point(geometry):
                return None
            more = [geometry.get(name, 0.0) for name, is_kept in (("z", has_z), ("m", has_m)) if is_kept]
            return head(1) + place([geometry["x"], geometry["y"], *more])
        geometry = densified(geometry)
        if geometry_type == "esriGeometryMultipoint":
            return collection(4, [head(1) + place(one) for one in geometry.get("points", [])])
        if geometry_type == "esriGeometryPolyline":
            return collection(5, [head(2) + line(path) for path in geometry.get("paths", [])])
        polygons = _polygons(geometry.get("rings", []))
        return collection(
            6, [head(3) + struct.pack("<I", len(rings)) + b"".join(line(ring) for ring in rings) for rings in polygons]
        )

    return encode


def _polygons(rings: Sequence[Ring]) -> list[list[Ring]]:
    """Sort rings into polygons: clockwise ones are outlines, the others holes of the outline they lie in."""
    outlines = [[ring] for ring in rings if _area(ring) < 0]
    for hole in (ring for ring in rings if _area(ring) >= 0):
        home = next((polygon for polygon in outlines if _contains(polygon[0], hole[0])), None)
        if home is None:
            outlines.append([hole])
        else:
            home.append(hole)
    return outlines


def _area(ring: Ring) -> float:
    """Twice the signed area; negative for a clockwise ring."""
    return sum(one[0] * two[1] - two[0] * one[1] for one, two in pairwise(ring))


def _contains(ring: Ring, point: Sequence[float]) -> bool:
    x, y = point[0], point[1]
    is_inside = False
    for one, two in pairwise(ring):
        if (one[1] > y) != (two[1] > y) and x < (two[0] - one[0]) * (y - one[1]) / (two[1] - one[1]) + one[0]:
            is_inside = not is_inside
    return is_inside
