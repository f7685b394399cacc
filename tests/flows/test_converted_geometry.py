"""Places, rings and true curves of saved layers: in each format where the portal had them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from converted import FORMATS, converted, read
from layers_by_hand import SERVICE_ID, field, header, row, save_rows

import agolkit as ak
from agolkit.store import LocalStore

SHAPES: list[tuple[str, bool, bool, dict[str, Any], str]] = [
    ("Point", False, False, {"x": 1 / 3, "y": -2e7 / 3}, "POINT (0.3333333333333333 -6666666.666666667)"),
    ("Point", True, True, {"x": 1, "y": 2, "z": 3, "m": 4}, "POINT ZM (1 2 3 4)"),
    ("Point", False, True, {"x": 1, "y": 2, "m": 4}, "POINT M (1 2 4)"),
    ("Multipoint", True, False, {"points": [[1, 2, 3], [4, 5, 6]]}, "MULTIPOINT Z ((1 2 3), (4 5 6))"),
    (
        "Polyline",
        True,
        True,
        {"paths": [[[0, 0, 1, 2], [1, 0, 3, 4]], [[5, 5, 5, 5], [6, 6, 6, 6]]]},
        "MULTILINESTRING ZM ((0 0 1 2, 1 0 3 4), (5 5 5 5, 6 6 6 6))",
    ),
    ("Polyline", False, True, {"paths": [[[0, 0, 7], [1, 0, 8]]]}, "MULTILINESTRING M ((0 0 7, 1 0 8))"),
    (
        "Polygon",
        True,
        False,
        {"rings": [[[0, 0, 1], [0, 4, 1], [4, 4, 1], [4, 0, 1], [0, 0, 1]]]},
        "MULTIPOLYGON Z (((0 0 1, 0 4 1, 4 4 1, 4 0 1, 0 0 1)))",
    ),
]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("kind", "has_z", "has_m", "shape", "expected"), SHAPES)
def test_every_place_keeps_its_numbers(
    store: LocalStore,
    tmp_path: Path,
    format: str,
    kind: str,
    has_z: bool,
    has_m: bool,
    shape: dict[str, Any],
    expected: str,
) -> None:
    """X, Y, Z and M come back; exactly, or in a geodatabase to a millionth; no geometry is none, not an empty one."""
    head = header([field("OBJECTID", "OID")], kind, hasZ=has_z, hasM=has_m)
    save_rows(store, {"A": (head, [row(shape, OBJECTID=1), row(OBJECTID=2), row({}, OBJECTID=3)])})
    _, folder = converted(store, tmp_path / "out", format)
    if format == "parquet":
        rows = pq.read_table(folder / "A~0.parquet").to_pylist()
        crs = geopandas.read_parquet(folder / "A~0.parquet").crs
    else:
        facts, rows = read(folder / f"layers.{format}", "A")
        crs = facts["crs"]
    assert crs == "EPSG:3857"
    found = shapely.from_wkb(rows[0]["geometry"])
    wanted = shapely.from_wkt(expected)
    assert (found.has_z, found.has_m, found.geom_type) == (wanted.has_z, wanted.has_m, wanted.geom_type)
    precision = 1e-6 if format == "gdb" else 0
    pairs = zip(coordinates(found), coordinates(wanted), strict=True)
    assert all(abs(one - two) <= precision for one, two in pairs)
    assert [each["geometry"] for each in rows[1:]] == [None, None]


def coordinates(shape: Any) -> Iterator[float]:
    values = shapely.get_coordinates(shape, include_z=shape.has_z, include_m=shape.has_m)
    return iter(values.ravel().tolist())


def square(x: float, y: float, size: float, *, clockwise: bool) -> list[list[float]]:
    ring = [[x, y], [x, y + size], [x + size, y + size], [x + size, y], [x, y]]
    return ring if clockwise else ring[::-1]


@pytest.mark.parametrize("turned", [False, True], ids=["outlines clockwise", "the other way round"])
def test_holes_and_islands_are_where_they_were(store: LocalStore, turned: bool) -> None:
    """Every hole belongs to the smallest outline around it, whichever way round the server has its rings."""
    rings = [
        square(3, 3, 1, clockwise=not turned),
        square(2, 2, 3, clockwise=turned),
        square(0, 0, 10, clockwise=not turned),
        square(20, 0, 5, clockwise=not turned),
        square(21, 1, 1, clockwise=turned),
        square(0, 6, 2, clockwise=turned)[:-1],  # touches its outline, and does not close
    ]
    head = header([field("OBJECTID", "OID")], "Polygon")
    save_rows(store, {"A": (head, [row({"rings": rings}, OBJECTID=1)])})
    shape = ak.load_layer(store, store.backups()["name"][0], SERVICE_ID).geometry[0]
    assert [[part.area, len(part.interiors)] for part in shape.geoms] == [[1, 0], [100 - 9 - 4, 2], [24, 1]]


CURVES: list[tuple[str, dict[str, Any], float]] = [
    ("Polyline", {"curvePaths": [[[0, 0], {"c": [[2, 0], [1, 1]]}, [5, 0]]]}, math.pi + 3),
    ("Polyline", {"curvePaths": [[[0, 0], {"a": [[2, 0], [1, 0], 0, 1]}]]}, math.pi),
    ("Polyline", {"curvePaths": [[[0, 0], {"a": [[2, 0], [1, 0], 0, 0]}]]}, math.pi),
    ("Polyline", {"curvePaths": [[[1, 0], {"a": [[0, 1], [0, 0], 0, 1]}]]}, math.pi * 1.5),
    ("Polyline", {"curvePaths": [[[0, 0], {"c": [[3, 0], [1, 0]]}]]}, 3),
    ("Polyline", {"curvePaths": [[[0, 0], {"b": [[3, 0], [1, 0], [2, 0]]}]]}, 3),
    ("Polygon", {"curveRings": [[[0, 0], {"a": [[0, 0], [1, 0], 0, 1]}]]}, math.pi),
    ("Polygon", {"curveRings": [[[2, 0], {"a": [[-2, 0], [0, 0], 0, 0, 0.0, 2, 0.5]}, [2, 0]]]}, math.pi),
]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("kind", "shape", "measure"), CURVES)
def test_true_curves_are_kept_or_finely_straightened(
    store: LocalStore, tmp_path: Path, format: str, kind: str, shape: dict[str, Any], measure: float
) -> None:
    """Circular arcs stay arcs where the format has them; any other line follows its curve, and a note counts it."""
    head = header([field("OBJECTID", "OID")], kind)
    save_rows(store, {"A": (head, [row(shape, OBJECTID=1)])})
    done, folder = converted(store, tmp_path / "out", format)
    is_other = "'b'" in str(shape) or "0.5" in str(shape)
    assert [str(note).split(": ")[1] for note in done.notes] == (
        ["curves of 1 row became fine lines."] if format == "parquet" or is_other else []
    )
    frames = [ak.load_layer(store, done.backup, SERVICE_ID)]
    if format == "parquet":
        frames.append(geopandas.read_parquet(folder / "A~0.parquet"))
    else:
        path = folder / f"layers.{format}"
        code = int.from_bytes(read(path, "A")[1][0]["geometry"][1:5], "little")
        straight = {"Polyline": 5, "Polygon": 6}[kind]
        assert code == (straight if is_other else straight + 6)
        frames.append(pyogrio.read_dataframe(path, layer="A"))
    for frame in frames:
        found = frame.geometry.length[0] if kind == "Polyline" else frame.geometry.area[0]
        assert found == pytest.approx(measure, rel=2e-3)


def test_heights_and_measures_of_an_arc_change_evenly(store: LocalStore) -> None:
    """Between the ends of a curve Z and M go from one to the other."""
    shape = {"curvePaths": [[[0, 0, 10, 100], {"c": [[2, 0, 20, 300], [1, 1]]}]]}
    head = header([field("OBJECTID", "OID")], "Polyline", hasZ=True, hasM=True)
    save_rows(store, {"A": (head, [row(shape, OBJECTID=1)])})
    line = ak.load_layer(store, store.backups()["name"][0], SERVICE_ID).geometry[0]
    values = shapely.get_coordinates(line, include_z=True, include_m=True)
    assert len(values) == 181
    assert list(values[0]) == [0, 0, 10, 100]
    assert list(values[90]) == [1, 1, 15, 200]
    assert list(values[180]) == [2, 0, 20, 300]
    assert values[45] == pytest.approx([1 - math.sqrt(0.5), math.sqrt(0.5), 12.5, 150])


def test_what_is_not_set_is_zero_in_a_geodatabase_and_said(store: LocalStore, tmp_path: Path) -> None:
    """GDAL writes no unset M into a geodatabase: it is 0 there, and a note says in how many rows."""
    shapes = [{"x": 1, "y": 2, "m": None}, {"x": 1, "y": 2, "m": "NaN"}, {"x": 1, "y": 2, "m": 3}, {"x": "NaN"}]
    head = header([field("OBJECTID", "OID")], "Point", hasM=True)
    save_rows(store, {"A": (head, [row(shape, OBJECTID=at) for at, shape in enumerate(shapes, 1)])})
    done, folder = converted(store, tmp_path / "gdb", "gdb")
    assert done.notes == ("'Survey', layer 'A': heights or measures that are not set are 0 in 2 rows.",)
    _, rows = read(folder / "layers.gdb", "A")
    assert [each["geometry"] and shapely.from_wkb(each["geometry"]).m for each in rows] == [0, 0, 3, None]
    done, folder = converted(store, tmp_path / "gpkg", "gpkg")
    assert done.notes == ()
    assert math.isnan(shapely.from_wkb(read(folder / "layers.gpkg", "A")[1][0]["geometry"]).m)
