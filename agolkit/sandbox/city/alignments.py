"""A hosted service whose geometries are the trap: true curves, Z and M, several parts, empty ones and none."""

from __future__ import annotations

import math
import random

from agolkit.sandbox.city.builder import Builder
from agolkit.sandbox.city.features import WEB_MERCATOR, Json, field, layer, line, point, polygon
from agolkit.sandbox.city.hosted import hosted_item
from agolkit.sandbox.organization import Layer


def add_alignments(city: Builder) -> None:
    """Add the railway: two layers in a group, two beside it."""
    name_of = [field("Label", length=20)]
    group = Layer(0, "Railway", [], [], sub_layers=(1, 3))
    tracks = layer(1, "Tracks", name_of, 40, _track, geometry="Polyline")
    turns = layer(3, "Turntables", name_of, 15, _turntable, geometry="Polygon", has_z=True)
    signals = layer(4, "Signals", name_of, 30, _signal, geometry="Point", has_z=True, has_m=True)
    sleepers = layer(6, "Sleepers", name_of, 12, _sleepers, geometry="Multipoint")
    name = city.service("Railway", "railway", layers=[group, tracks, turns, signals, sleepers])
    hosted_item(city, "railway", "Transport_GIS", "Railway", name, folder="Transport")


def _track(chance: random.Random, nth: int) -> tuple[Json, Json | None]:
    facts, start = {"Label": f"Track {nth}"}, point(chance)
    x, y, r = start["x"], start["y"], chance.uniform(50, 400)
    match nth % 5:
        case 0:
            return facts, None
        case 1:
            arc = {"c": [[x + 2 * r, y], [x + r, y + r]]}
            return facts, {"curvePaths": [[[x, y], arc, [x + 3 * r, y]], [[x, y + r], [x, y + 2 * r]]]}
        case 2:
            bend = {"b": [[x + r, y + r], [x, y + r], [x + r, y]]}
            ellipse = {"a": [[x + 3 * r, y + r], [x + 2 * r, y + r], 0, 1, 0.0, r, 0.5]}
            return facts, {"curvePaths": [[[x, y], bend, ellipse]]}
        case 3:
            return facts, {"paths": []}
    return facts, line(chance, parts=3)


def _turntable(chance: random.Random, nth: int) -> tuple[Json, Json]:
    center, r, z = point(chance), chance.uniform(5, 20), round(chance.uniform(150, 190), 3)
    x, y = center["x"], center["y"]
    if nth % 3 == 0:
        rings = polygon(chance)["rings"] + polygon(chance, hole=True)["rings"]
        return {"Label": f"Yard {nth}"}, {"hasZ": True, "rings": [[[*one, z] for one in ring] for ring in rings]}
    full = {"a": [[x + r, y, z], [x, y], 0, 1]}
    return {"Label": f"Turntable {nth}"}, {"hasZ": True, "curveRings": [[[x + r, y, z], full]]}


def _signal(chance: random.Random, nth: int) -> tuple[Json, Json | None]:
    facts = {"Label": f"Signal {nth}"}
    if nth % 10 == 0:
        return facts, None
    if nth % 10 == 5:
        return facts, {"x": "NaN", "y": "NaN"}
    return facts, {**point(chance, z=round(chance.uniform(150, 190), 3)), "m": nth * 100.5}


def _sleepers(chance: random.Random, nth: int) -> tuple[Json, Json]:
    start = point(chance, WEB_MERCATOR)
    spread = [math.sqrt(at) for at in range(0 if nth % 4 == 0 else nth)]
    return {"Label": f"Sleepers {nth}"}, {"points": [[start["x"] + each, start["y"]] for each in spread]}
