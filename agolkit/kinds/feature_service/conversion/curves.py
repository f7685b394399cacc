"""True curves: how Esri JSON and well-known binary (ISO) hold them, and how they are made straight.

Source: the REST page "Geometry objects" and ISO 13249-3. Where a curve is made straight, no point of it is farther
from the line than 1/40,000 of the curve's own size: the diameter of its circle, the reach of its control points.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

POINT, LINE, POLYGON, MULTIPOINT, MULTILINE, MULTIPOLYGON, COLLECTION = range(1, 8)
ARC, COMPOUND, CURVE_POLYGON, MULTICURVE, MULTISURFACE = range(8, 13)
SURFACE, TIN, TRIANGLE = range(15, 18)
"""Codes of well-known binary; 1000 more with Z, 2000 with M, 3000 with both."""

STEP = math.radians(1)
BEZIER_STEPS = 256

Position = Sequence[float]
Piece = tuple[int, list[Position]]
"""`LINE` with its positions, or `ARC` with its begin, a place on it, and its end."""

_STRAIGHT = {
    ARC: LINE,
    COMPOUND: LINE,
    CURVE_POLYGON: POLYGON,
    MULTICURVE: MULTILINE,
    MULTISURFACE: MULTIPOLYGON,
    SURFACE: MULTIPOLYGON,
    TIN: MULTIPOLYGON,
    TRIANGLE: POLYGON,
}


def pieces_of(part: Sequence[Any], place: Callable[[Sequence[Any]], Position]) -> tuple[list[Piece], bool]:
    """A path or ring of Esri JSON as lines and circular arcs, and whether other curves in it were made straight.

    `place` makes a position complete. An element that is no position is a segment from where the last one ended:
    `{"c": [end, interior]}`, `{"a": [end, center, minor, clockwise, rotation, axis, ratio]}` (circular without the
    last three), `{"b": [end, control, control]}`.
    """
    pieces: list[Piece] = []
    line: list[Position] = []
    is_changed = False
    for element in part:
        if not isinstance(element, Mapping):
            line.append(place(element))
            continue
        ((kind, values),) = element.items()
        begin, end = line[-1], place(values[0])
        if kind == "c":
            arcs = [(begin, _between(begin, end, values[1][0], values[1][1]), end)]
        elif kind == "a" and (len(values) < 7 or values[6] == 1):
            arcs = _circular(begin, end, values[1], is_clockwise=bool(values[3]))
        else:
            line += _bezier(begin, end, *values[1:3]) if kind == "b" else _elliptic(begin, end, *values[1:])
            is_changed = True
            continue
        if len(line) > 1:
            pieces.append((LINE, line))
        pieces += [(ARC, list(arc)) for arc in arcs]
        line = [end]
    if len(line) > 1 or not pieces:
        pieces.append((LINE, line))
    return pieces, is_changed


def straightened(pieces: Sequence[Piece]) -> list[Position]:
    """Lines and arcs as one line."""
    positions: list[Position] = []
    for code, some in pieces:
        begin = 1 if positions else 0  # each piece begins where the last one ended
        positions += (along_arcs(some) if code == ARC else some)[begin:]
    return positions


def along_arcs(positions: Sequence[Position]) -> list[Position]:
    """The places along one circular arc after the other, each given by its begin, a place on it, and its end."""
    line = [positions[0]]
    for at in range(0, len(positions) - 2, 2):
        line += _along_arc(*positions[at : at + 3])
    return line


def _along_arc(begin: Position, middle: Position, end: Position) -> Iterator[Position]:
    """The places after `begin` as far as `end`; heights and measures change evenly on either side of the middle."""
    center = _center(begin, middle, end)
    if center is None:
        yield from (middle, end)
        return
    radius = math.hypot(begin[0] - center[0], begin[1] - center[1])
    first, second, last = (math.atan2(p[1] - center[1], p[0] - center[0]) for p in (begin, middle, end))
    turn = -1 if (second - first) % math.tau > ((last - first) % math.tau or math.tau) else 1
    for start, goal, angle, to in ((begin, middle, first, second), (middle, end, second, last)):
        sweep = turn * ((to - angle) * turn % math.tau)
        steps = math.ceil(abs(sweep) / STEP)
        for step in range(1, steps):
            share = step / steps
            x, y = math.cos(angle + sweep * share) * radius, math.sin(angle + sweep * share) * radius
            yield _between(start, goal, center[0] + x, center[1] + y, share)
        yield goal


def _center(a: Position, b: Position, c: Position) -> tuple[float, float] | None:
    """The center of the circle through three places; `None` where they lie on one line."""
    if (a[0], a[1]) == (c[0], c[1]):  # a full circle: the second place is opposite
        return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
    bx, by, cx, cy = b[0] - a[0], b[1] - a[1], c[0] - a[0], c[1] - a[1]
    double = 2 * (bx * cy - by * cx)
    if double == 0:
        return None
    b2, c2 = bx * bx + by * by, cx * cx + cy * cy
    return a[0] + (cy * b2 - by * c2) / double, a[1] + (bx * c2 - cx * b2) / double


def _between(begin: Position, end: Position, x: float, y: float, share: float = 0.5) -> Position:
    """The place (x, y), with heights and measures between those of two others."""
    return x, y, *(one + (two - one) * share for one, two in zip(begin[2:], end[2:], strict=True))


def _circular(
    begin: Position, end: Position, center: Position, *, is_clockwise: bool
) -> list[tuple[Position, Position, Position]]:
    """An arc around a center as one arc through three places; a full circle as two."""
    radius = math.hypot(begin[0] - center[0], begin[1] - center[1])
    first, last = (math.atan2(p[1] - center[1], p[0] - center[0]) for p in (begin, end))
    sweep = ((first - last if is_clockwise else last - first) % math.tau or math.tau) * (-1 if is_clockwise else 1)

    def at(share: float) -> Position:
        angle = first + sweep * share
        return _between(begin, end, center[0] + radius * math.cos(angle), center[1] + radius * math.sin(angle), share)

    if (begin[0], begin[1]) != (end[0], end[1]):
        return [(begin, at(0.5), end)]
    half = at(0.5)
    return [(begin, at(0.25), half), (half, at(0.75), end)]


def _elliptic(
    begin: Position, end: Position, center: Position, _minor: int, clockwise: int, rotation: float, _axis: float,
    ratio: float,
) -> Iterator[Position]:  # fmt: skip
    """The places after `begin` on an ellipse, which is a circle squeezed to `ratio` and then turned by `rotation`."""
    cosine, sine = math.cos(rotation), math.sin(rotation)

    def to_circle(p: Position) -> tuple[float, float]:
        x, y = p[0] - center[0], p[1] - center[1]
        return x * cosine + y * sine, (y * cosine - x * sine) / ratio

    (x1, y1), (x2, y2) = to_circle(begin), to_circle(end)
    radius, first, last = math.hypot(x1, y1), math.atan2(y1, x1), math.atan2(y2, x2)
    sweep = ((first - last if clockwise else last - first) % math.tau or math.tau) * (-1 if clockwise else 1)
    steps = math.ceil(abs(sweep) / STEP)
    for step in range(1, steps):
        angle = first + sweep * step / steps
        x, y = radius * math.cos(angle), radius * math.sin(angle) * ratio
        yield _between(begin, end, center[0] + x * cosine - y * sine, center[1] + x * sine + y * cosine, step / steps)
    yield end


def _bezier(begin: Position, end: Position, one: Position, two: Position) -> Iterator[Position]:
    """The places after `begin` on a cubic Bézier curve."""
    for step in range(1, BEZIER_STEPS):
        t = step / BEZIER_STEPS
        weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
        x, y = (
            sum(weight * p[axis] for weight, p in zip(weights, (begin, one, two, end), strict=True)) for axis in (0, 1)
        )
        yield _between(begin, end, x, y, t)
    yield end


def is_simple(wkb: bytes) -> bool:
    """Whether a geometry is of one of the types that every reader knows, with nothing else inside."""
    return _code(wkb) < COLLECTION


def has_curves(wkb: bytes) -> bool:
    """Whether a geometry is of a type that holds curves."""
    return ARC <= _code(wkb) <= MULTISURFACE


def _code(wkb: bytes) -> int:
    code: int = struct.unpack_from("<I", wkb, 1)[0] % 1000
    return code


def straight(wkb: bytes) -> bytes:
    """The geometry in simple types: curves are lines, the triangles of a multipatch polygons."""
    return _straight(wkb, 0)[0]


def _straight(wkb: bytes, at: int) -> tuple[bytes, int]:
    """The geometry that begins at `at`, without curves, and where the next one begins."""
    code, at = struct.unpack_from("<I", wkb, at + 1)[0], at + 5
    base, flags = code % 1000, code - code % 1000
    size = 2 + (flags in (1000, 3000)) + (flags in (2000, 3000))
    head = struct.pack("<BI", 1, _STRAIGHT.get(base, base) + flags)
    if base == POINT:
        return head + wkb[at : at + 8 * size], at + 8 * size
    if base in (LINE, ARC, COMPOUND):
        positions, at = _line(wkb, at - 5, size)
        return head + packed(positions, size), at
    (count,) = struct.unpack_from("<I", wkb, at)
    at += 4
    members = []
    for _ in range(count):
        if base == CURVE_POLYGON:
            positions, at = _line(wkb, at, size)
            member = packed(positions, size)
        elif base in (POLYGON, TRIANGLE):
            end = at + 4 + 8 * size * struct.unpack_from("<I", wkb, at)[0]
            member, at = wkb[at:end], end
        else:
            member, at = _straight(wkb, at)
        members.append(member)
    return head + struct.pack("<I", count) + b"".join(members), at


def _line(wkb: bytes, at: int, size: int) -> tuple[list[Position], int]:
    """The positions along a line, an arc or a compound of both, and where the next geometry begins."""
    code, count = struct.unpack_from("<II", wkb, at + 1)
    at += 9
    if code % 1000 == COMPOUND:
        pieces = []
        for _ in range(count):
            positions, at = _line(wkb, at, size)
            pieces.append((LINE, positions))
        return straightened(pieces), at
    end = at + 8 * size * count
    positions = list(struct.iter_unpack(f"<{size}d", wkb[at:end]))
    return along_arcs(positions) if code % 1000 == ARC and positions else positions, end


def packed(positions: Sequence[Position], size: int) -> bytes:
    """Number and numbers of positions, as lines and rings have them."""
    return struct.pack(f"<I{size * len(positions)}d", len(positions), *chain.from_iterable(positions))
