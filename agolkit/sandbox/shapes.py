"""Geometries as an answer has them: cut to ordinates, in the spatial reference asked for, with or without curves."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

from agolkit.sandbox.answers import Json
from agolkit.sandbox.curves import STRAIGHT, densified, is_empty_point, positions
from agolkit.sandbox.organization import Layer
from agolkit.sandbox.where import invalid

_MERCATOR = (102100, 3857, 102113, 900913)
_RADIUS = 6378137.0


def spatial_reference(wkid: int) -> Json:
    """Return a spatial reference as the service writes it."""
    return {"wkid": 102100 if wkid in _MERCATOR else wkid, "latestWkid": 3857 if wkid in _MERCATOR else wkid}


def out_wkid(text: str, layer: Layer) -> int:
    """The spatial reference asked for: the layer's own, or one of WGS 84 and Web Mercator."""
    if not text.strip():
        return layer.wkid
    try:
        asked = json.loads(text)
        wkid = int(asked.get("latestWkid") or asked["wkid"]) if isinstance(asked, dict) else int(asked)
    except (ValueError, KeyError, TypeError):
        raise invalid("'outSR' parameter is invalid") from None
    same = wkid == layer.wkid or (wkid in _MERCATOR and layer.wkid in _MERCATOR)
    if not same and {wkid, layer.wkid} - {4326, *_MERCATOR}:
        raise invalid("'outSR' parameter is invalid")
    return layer.wkid if same else wkid


def shaper(layer: Layer, *, with_z: bool, with_m: bool, with_curves: bool, wkid: int) -> Callable[[Json], Json]:
    """Return what turns a stored geometry into the one to answer."""
    keep = [0, 1] + ([2] if with_z else []) + ([2 + layer.has_z] if with_m else [])
    move = None if wkid == layer.wkid else _to_degrees if wkid == 4326 else _to_meters
    # No source says what becomes of curves in another spatial reference; an arc there is no arc any more.
    straight = (lambda geometry: geometry) if with_curves and move is None else densified
    if move is None and len(keep) == 2 + layer.has_z + layer.has_m:
        return straight

    def place(position: Any) -> Any:
        if isinstance(position, dict):
            return {kind: [place(values[0]), *values[1:]] for kind, values in position.items()}
        cut = [position[at] for at in keep if at < len(position)]
        return [*move(cut[0], cut[1]), *cut[2:]] if move else cut

    def shape(geometry: Json) -> Json:
        if "x" in geometry:
            point: Json = {"x": geometry["x"], "y": geometry.get("y")}
            if move and not is_empty_point(geometry):
                point["x"], point["y"] = move(geometry["x"], geometry["y"])
            kept = (("z", with_z), ("m", with_m))
            return point | {name: geometry[name] for name, is_kept in kept if is_kept and name in geometry}
        answer: Json = {}
        for name, value in straight(geometry).items():
            if name == "points":
                answer[name] = [place(position) for position in value]
            elif name in ("paths", "rings") or name in STRAIGHT:
                answer[name] = [[place(position) for position in part] for part in value]
        return answer

    return shape


def _to_meters(x: float, y: float) -> tuple[float, float]:
    return math.radians(x) * _RADIUS, math.log(math.tan(math.pi / 4 + math.radians(y) / 2)) * _RADIUS


def _to_degrees(x: float, y: float) -> tuple[float, float]:
    return math.degrees(x / _RADIUS), math.degrees(2 * math.atan(math.exp(y / _RADIUS)) - math.pi / 2)


def extent(layer: Layer, rows: Iterable[Json]) -> Json | None:
    """Return the extent of rows, or `None` where there is none."""
    west, south, east, north = math.inf, math.inf, -math.inf, -math.inf
    for row in rows:
        for position in positions(row.get("geometry") or {}):
            x, y = position[0], position[1]
            west, south, east, north = min(west, x), min(south, y), max(east, x), max(north, y)
    if west > east:
        return None
    reference = spatial_reference(layer.wkid)
    return {"xmin": west, "ymin": south, "xmax": east, "ymax": north, "spatialReference": reference}
