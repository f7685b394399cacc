"""True curves of Esri JSON (`curvePaths`, `curveRings`) as the vertices that approximate them.

A part with curves is a list of positions and of segments that begin where the last one ended: `{"c": [end, interior]}`
is a circular arc through three points, `{"a": [end, center, minor, clockwise, rotation, axis, ratio]}` an elliptic one
(circular without the last three), `{"b": [end, control, control]}` a cubic Bézier curve. Source: the REST page
"Geometry objects".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from agolkit.sandbox.answers import Json

Position = Sequence[Any]
STRAIGHT: Mapping[str, str] = {"curvePaths": "paths", "curveRings": "rings"}
"""Where the parts of a geometry with curves go when the curves are gone."""
_STEP = math.radians(5)
_BEZIER_STEPS = 24


def densified(geometry: Json) -> Json:
    """Return a geometry without curves; one that has none is returned as it is."""
    if not STRAIGHT.keys() & geometry.keys():
        return geometry
    return {
        STRAIGHT.get(name, name): [_vertices(part) for part in value] if name in STRAIGHT else value
        for name, value in geometry.items()
    }


def _vertices(part: Sequence[Position | Mapping[str, Any]]) -> list[list[Any]]:
    vertices: list[list[Any]] = []
    for element in part:
        if not isinstance(element, Mapping):
            vertices.append(list(element))
            continue
        ((kind, values),) = element.items()
        begin, end = vertices[-1], values[0]
        steps, place = _CURVES[kind](begin, values)
        for step in range(1, steps):
            share = step / steps
            others = [a + (b - a) * share for a, b in zip(begin[2:], end[2:], strict=False)]
            vertices.append([*place(share), *others])
        vertices.append(list(end))
    return vertices


Curve = tuple[int, Callable[[float], tuple[float, float]]]
"""Number of steps, and the place at a share of the way."""


def _circular(begin: Position, values: Sequence[Any]) -> Curve:
    """The arc through three points; a straight line where they lie on one."""
    (x1, y1), (x2, y2), (x3, y3) = begin[:2], values[1][:2], values[0][:2]
    turn = (x2 - x1) * (y3 - y1) - (y2 - y1) * (x3 - x1)
    if turn == 0:
        return 1, lambda _share: (x3, y3)
    a, b = (x2 - x1) ** 2 + (y2 - y1) ** 2, (x3 - x1) ** 2 + (y3 - y1) ** 2
    center = (
        x1 + ((y3 - y1) * a - (y2 - y1) * b) / (2 * turn),
        y1 + ((x2 - x1) * b - (x3 - x1) * a) / (2 * turn),
    )
    return _arc(begin, values[0], center, is_clockwise=turn < 0)


def _elliptic(begin: Position, values: Sequence[Any]) -> Curve:
    end, center, _is_minor, is_clockwise = values[:4]
    rotation, _axis, ratio = values[4:7] if len(values) >= 7 else (0.0, 0.0, 1.0)
    return _arc(begin, end, center, is_clockwise=bool(is_clockwise), rotation=rotation, ratio=ratio)


def _arc(
    begin: Position, end: Position, center: Position, *, is_clockwise: bool, rotation: float = 0.0, ratio: float = 1.0
) -> Curve:
    """The arc around a center; an ellipse is a circle that was squeezed to `ratio` and then rotated."""
    cosine, sine = math.cos(rotation), math.sin(rotation)

    def polar(position: Position) -> tuple[float, float]:
        x, y = position[0] - center[0], position[1] - center[1]
        x, y = x * cosine + y * sine, (y * cosine - x * sine) / ratio
        return math.hypot(x, y), math.atan2(y, x)

    radius, first = polar(begin)
    sweep = (polar(end)[1] - first) % math.tau or math.tau
    if is_clockwise and sweep < math.tau:
        sweep -= math.tau
    elif is_clockwise:
        sweep = -math.tau

    def place(share: float) -> tuple[float, float]:
        angle = first + sweep * share
        x, y = radius * math.cos(angle), radius * math.sin(angle) * ratio
        return center[0] + x * cosine - y * sine, center[1] + x * sine + y * cosine

    return max(2, math.ceil(abs(sweep) / _STEP)), place


def _bezier(begin: Position, values: Sequence[Any]) -> Curve:
    end, one, two = values

    def place(t: float) -> tuple[float, float]:
        s = 1 - t
        x, y = (
            s**3 * begin[axis] + 3 * s * s * t * one[axis] + 3 * s * t * t * two[axis] + t**3 * end[axis]
            for axis in (0, 1)
        )
        return x, y

    return _BEZIER_STEPS, place


_CURVES: Mapping[str, Callable[[Position, Sequence[Any]], Curve]] = {"c": _circular, "a": _elliptic, "b": _bezier}


def positions(geometry: Json) -> Iterator[Position]:
    """Yield every vertex of a geometry, those of its curves included; none where it is empty."""
    if "x" in geometry:
        if not is_empty_point(geometry):
            yield geometry["x"], geometry["y"]
        return
    straight = densified(geometry)
    for part in straight.get("rings") or straight.get("paths") or [straight.get("points", [])]:
        yield from part


def is_empty_point(geometry: Json) -> bool:
    """Return whether a point is empty: its x is null, or the text `NaN`."""
    return not isinstance(geometry["x"], int | float)
