"""Esri geometries as bytes: curves lie where they are drawn, and every ring is in the polygon that it belongs to."""

from __future__ import annotations

import math
from typing import Any

import pytest
import shapely

from agolkit.kinds.feature_service.conversion.geometry import Encoder

HALF = math.sqrt(0.5)
ROOT = math.sqrt(2)


def encoded(shape: dict[str, Any], *, has_z: bool = False, has_m: bool = False, **options: Any) -> Any:
    return shapely.from_wkb(Encoder(has_z, has_m, **options)(shape))


def square(x: float, y: float, size: float, *, is_hole: bool = False) -> list[list[float]]:
    ring = [[x, y], [x, y + size], [x + size, y + size], [x + size, y], [x, y]]
    return ring[::-1] if is_hole else ring


@pytest.mark.parametrize(
    ("begin", "segment", "through"),
    [
        ([0, 0], {"c": [[2, 0], [1, 1]]}, (1, 1)),
        ([0, 0], {"c": [[2, 0], [1, -1]]}, (1, -1)),
        ([0, 0], {"a": [[2, 0], [1, 0], 0, 1]}, (1, 1)),
        ([0, 0], {"a": [[2, 0], [1, 0], 0, 0]}, (1, -1)),
        ([0, 0], {"b": [[4, 0], [0, 4], [2, 0]]}, (0.34375, 1.6875)),  # a quarter of the way
        ([ROOT, ROOT], {"a": [[-ROOT, -ROOT], [0, 0], 0, 1, math.pi / 4, 2, 0.5]}, (HALF, -HALF)),
        ([ROOT, ROOT], {"a": [[-ROOT, -ROOT], [0, 0], 0, 0, math.pi / 4, 2, 0.5]}, (-HALF, HALF)),
    ],
    ids=["arc up", "arc down", "clockwise", "the other way", "Bézier", "ellipse clockwise", "ellipse the other way"],
)
def test_a_curve_runs_where_it_is_drawn(
    begin: list[float], segment: dict[str, Any], through: tuple[float, float]
) -> None:
    """It begins and ends at its ends, and takes the side that its own numbers say."""
    line = encoded({"curvePaths": [[begin, segment]]})
    ((end, *_),) = segment.values()
    assert shapely.get_coordinates(line)[[0, -1]].tolist() == [begin, end]
    assert line.distance(shapely.Point(through)) < 1e-4


def test_a_straightened_curve_is_as_near_as_promised() -> None:
    """No place of a curve is farther from its line than 1/40,000 of the circle's diameter, or of the control points."""
    arc = encoded({"curvePaths": [[[-1000, 0], {"c": [[1000, 0], [0, 1000]]}]]})
    places = [shapely.Point(-1000 * math.cos(at / 997), 1000 * math.sin(at / 997)) for at in range(3133)]
    assert max(map(arc.distance, places)) < 2000 / 40_000
    bezier = encoded({"curvePaths": [[[0, 0], {"b": [[4, 0], [0, 4], [2, 0]]}]]})
    shares = [at / 2999 for at in range(3000)]
    places = [
        shapely.Point(6 * t * t * (1 - t) + 4 * t**3, 12 * t * (1 - t) ** 2) for t in shares
    ]  # fmt: skip
    assert max(map(bezier.distance, places)) < 4 * ROOT / 40_000


def test_heights_change_evenly_along_a_curve() -> None:
    """A curve with heights climbs from its begin to its end, over lines and arcs alike."""
    shape = {"curvePaths": [[[-1, 0, -8], [0, 0, 0], {"c": [[2, 0, 4], [1, 1]]}]]}
    places = shapely.get_coordinates(encoded(shape, has_z=True), include_z=True).tolist()
    assert places[:2] == [[-1, 0, -8], [0, 0, 0]]
    assert places[-1] == [2, 0, 4]
    (quarter,) = (z for x, y, z in places if (x, y) == pytest.approx((1 - HALF, HALF)))
    assert quarter == pytest.approx(1)


@pytest.mark.parametrize("keep_arcs", [True, False])
def test_a_full_circle_goes_all_the_way_round(keep_arcs: bool) -> None:
    """An arc that ends where it begins is a circle, not a point."""
    circle = {"curveRings": [[[0, 0], {"a": [[0, 0], [1, 0], 0, 1]}]]}
    content = Encoder(False, False, keep_arcs=keep_arcs)(circle)
    assert content is not None
    assert (int.from_bytes(content[1:5], "little") == 12) is keep_arcs
    assert encoded(circle).area == pytest.approx(math.pi, rel=1e-3)


def test_a_circle_through_a_place_goes_all_the_way_round() -> None:
    """The place of an arc that ends where it begins is the opposite one."""
    circle = encoded({"curveRings": [[[0, 0], {"c": [[0, 0], [2, 0]]}]]})
    assert circle.area == pytest.approx(math.pi, rel=1e-3)


RINGS: list[tuple[list[list[list[float]]], list[list[float]]]] = [
    # A pond on an island in a lake.
    (
        [square(0, 0, 10), square(2, 2, 6, is_hole=True), square(3, 3, 4), square(4, 4, 1, is_hole=True)],
        [[64, 1], [15, 1]],
    ),
    # Two separate places that run opposite ways: what lies in no outline is one.
    ([square(0, 0, 10), square(20, 0, 5, is_hole=True)], [[100, 0], [25, 0]]),
    # A narrow L along two sides: the hole lies in its box, and not in it.
    (
        [
            square(0, 0, 10),
            [[-1, -1], [-1, 11], [-0.5, 11], [-0.5, -0.5], [11, -0.5], [11, -1], [-1, -1]],
            square(4, 4, 1, is_hole=True),
        ],
        [[99, 1], [11.75, 0]],
    ),
    # A small place far from zero, where products of coordinates are rounded.
    ([square(2e7, 2e7, 0.5), square(2e7 + 0.125, 2e7 + 0.125, 0.25, is_hole=True)], [[0.1875, 1]]),
]


@pytest.mark.parametrize(("rings", "expected"), RINGS, ids=["pond", "opposite", "narrow", "far"])
def test_rings_come_into_the_right_polygon(rings: list[list[list[float]]], expected: list[list[float]]) -> None:
    """Area and number of holes of each polygon are those of the place."""
    parts = encoded({"rings": rings}).geoms
    assert [[part.area, len(part.interiors)] for part in parts] == expected


@pytest.mark.parametrize(
    ("shape", "places"),
    [
        ({"rings": [[[0, 0], [1, 1], [0, 0]]]}, [[0, 0], [1, 1], [0, 0], [0, 0]]),
        ({"rings": [[[3, 4]]]}, [[3, 4]] * 4),
        ({"rings": [[], [[0, 0], [0, 1], [1, 1]]]}, [[0, 0], [0, 1], [1, 1], [0, 0]]),
        ({"paths": [[[3, 4]], []]}, [[3, 4], [3, 4]]),
    ],
)
def test_parts_that_are_too_short_are_filled_up(shape: dict[str, Any], places: list[list[float]]) -> None:
    """Readers refuse rings of fewer than four places and lines of one; the places themselves stay."""
    assert shapely.get_coordinates(encoded(shape)).tolist() == places


_PARTS = ("paths", "rings", "curvePaths", "curveRings")


@pytest.mark.parametrize(
    "shape",
    [
        None,
        {},
        {"x": None},
        {"x": "NaN", "y": "NaN"},
        {"points": []},
        {"rings": []},
        *({part: [[]]} for part in _PARTS),
    ],
)
def test_an_empty_geometry_is_none(shape: dict[str, Any] | None) -> None:
    """In each of the ways in which a server says it."""
    assert Encoder(False, False)(shape) is None


@pytest.mark.parametrize("points", [[[0, 0], [1, 1]], [[0, 0, None], [1, 1, "NaN"]]])
def test_heights_that_are_not_set_are_told_apart(points: list[list[Any]]) -> None:
    """They are no numbers, or what a format without such numbers gets instead, and are counted then."""
    unset = shapely.get_coordinates(encoded({"paths": [points]}, has_z=True), include_z=True)
    assert [math.isnan(z) for _, _, z in unset.tolist()] == [True, True]
    encoder = Encoder(True, False, unset=0.0)
    zeros = shapely.get_coordinates(shapely.from_wkb(encoder({"paths": [points]})), include_z=True)
    assert (zeros.tolist(), encoder.replaced) == ([[0, 0, 0], [1, 1, 0]], 1)
