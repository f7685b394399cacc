"""Geometries in words, and how far a point has moved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyproj
import shapely

from agolkit.kinds.feature_service.conversion.curves import is_simple

KINDS = {"points": "multipoint", "paths": "line", "rings": "polygon", "curvePaths": "line", "curveRings": "polygon"}


def in_words(geometry: Any) -> str:
    """`point 11.5, 48.1`, `polygon, 12 vertices`; empty where there is none."""
    if geometry is None:
        return ""
    if at := position(geometry):
        return f"point {at[0]:.10g}, {at[1]:.10g}"
    if isinstance(geometry, bytes):
        if not is_simple(geometry):
            return f"with curves, {len(geometry):,} bytes"
        shape = shapely.from_wkb(geometry)
        return f"{shape.geom_type.lower()}, {shapely.count_coordinates(shape):,} vertices"
    kind = next((key for key in KINDS if key in geometry), "")
    return f"{KINDS[kind]}, {sum(1 for _ in _vertices(geometry[kind])):,} vertices" if kind else "no coordinates"


def moved(before: Any, after: Any, crs: str | None) -> str:
    """How far apart two points are, on the ellipsoid; empty where they are no points or nobody knows where."""
    one, other = position(before), position(after)
    if crs is None or one is None or other is None:
        return ""
    to_degrees = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    _, _, metres = pyproj.Geod(ellps="WGS84").inv(*to_degrees.transform(*one), *to_degrees.transform(*other))
    return f"moved {metres:,.1f} m" if metres < 1_000 else f"moved {metres / 1_000:,.1f} km"


def position(geometry: Any) -> tuple[float, float] | None:
    """Where a point is; `None` of anything else, and of a point without a place."""
    if isinstance(geometry, bytes):
        if int.from_bytes(geometry[1:5], "little") % 1000 != 1:
            return None
        shape = shapely.from_wkb(geometry)
        return None if shape.is_empty else (shape.x, shape.y)
    if not isinstance(geometry, Mapping):
        return None
    x, y = geometry.get("x"), geometry.get("y")
    return (float(x), float(y)) if isinstance(x, int | float) and isinstance(y, int | float) else None


def _vertices(value: Any) -> Iterator[Any]:
    """The positions in nested lists; that of a curve is the end that it leads to."""
    for each in value:
        if isinstance(each, dict) or (each and not isinstance(each[0], list | dict)):
            yield each
        else:
            yield from _vertices(each)
