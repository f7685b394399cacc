"""Saved layers as files for ArcGIS Pro, QGIS and pandas: every row, type, place and attachment as the portal had it."""

from __future__ import annotations

import datetime as dt
import math
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from layers_by_hand import (
    SERVICE,
    SERVICE_ID,
    attachment_parts,
    field,
    header,
    row,
    rows_part,
    save_rows,
    save_service,
)
from portals import connect
from saved import files_below, save_part, zipped

import agolkit as ak
from agolkit.errors import CheckFailed, StoreDamaged, UsageError
from agolkit.fetch import fetch
from agolkit.kinds.feature_service.tables import open_table
from agolkit.layout import item_folder
from agolkit.manifest import read_outcomes
from agolkit.sandbox import Sandbox, city
from agolkit.store import LocalStore

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "geodatabases"
FORMATS = ["gdb", "gpkg", "parquet"]
MOMENT = 1_577_934_245_678  # 2020-01-02T03:04:05.678Z
STATUS = {"type": "codedValue", "name": "Status", "codedValues": [{"name": "In use", "code": 1}]}
SHARE = {"type": "range", "name": "Share", "range": [0, 100]}
FIELDS = [
    field("OBJECTID", "OID"),
    field("GlobalID", "GlobalID", length=38),
    field("name", "String", length=50, alias="Name of the park"),
    field("status", "SmallInteger", domain=STATUS),
    field("share", "Integer", domain=SHARE),
    field("big", "BigInteger"),
    field("ratio", "Single"),
    field("depth", "Double"),
    field("seen", "Date"),
    field("day", "DateOnly"),
    field("hour", "TimeOnly"),
    field("local", "TimestampOffset"),
    field("parent", "GUID", length=38),
]
FULL = {
    "OBJECTID": 7,
    "GlobalID": "0a0b0c0d-0000-0000-0000-000000000001",
    "name": "Grüner Park 🌳",
    "status": 1,
    "share": 40,
    "big": 2**60 + 1,
    "ratio": 0.5,
    "depth": 0.1,
    "seen": MOMENT,
    "day": "1820-02-29",
    "hour": "23:59:58",
    "local": "2020-01-02T03:04:05.678+05:30",
    "parent": "{0A0B0C0D-0000-0000-0000-000000000002}",
}
BARE = dict.fromkeys(FULL) | {"OBJECTID": 2_000_000_000, "GlobalID": "0a0b0c0d-0000-0000-0000-000000000003"}
PHOTOS = {(7, 1): bytes(range(256)) * 40, (7, 2): b"", (2_000_000_000, 5): b"'b\\x00'" * 3}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def converted(store: LocalStore, to: Path, format: Any) -> tuple[Any, Path]:
    """What the fetch says, and the item's folder."""
    return fetch(store, store.backups()["name"][0], to, format=format), to / item_folder(SERVICE)


def read(path: Path, layer: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Facts and rows of a layer as GDAL reads them, geometries as shapely's, by the column `geometry`."""
    with pyogrio.open_arrow(path, layer=layer, return_fids=True, datetime_as_string=True) as (facts, stream):
        rows = pa.RecordBatchReader.from_stream(stream).read_all().to_pylist()
    if facts["geometry_type"]:
        for each in rows:
            each["geometry"] = each.pop(facts["geometry_name"])
    return facts, rows


def test_every_type_of_field_keeps_its_values(store: LocalStore, tmp_path: Path) -> None:
    """A geodatabase holds each type as the service does, nulls as nulls, and the portal's own ids."""
    save_rows(store, {"Parks & Trees": (header(FIELDS), [row(**FULL), row(**BARE)])})
    done, folder = converted(store, tmp_path / "out", "gdb")
    _, rows = read(folder / "layers.gdb", "Parks_Trees")
    assert (done.layers, done.rows, done.format, done.notes) == (1, 2, "gdb", ())
    assert rows[0] == FULL | {
        "GlobalID": "{0A0B0C0D-0000-0000-0000-000000000001}",
        "seen": "2020-01-02T03:04:05.678Z",
        "day": dt.date(1820, 2, 29),
        "hour": dt.time(23, 59, 58),
    }
    assert rows[1] == BARE | {"GlobalID": "{0A0B0C0D-0000-0000-0000-000000000003}"}
    schema = pyogrio.read_arrow(folder / "layers.gdb", layer="Parks_Trees")[1].schema
    types = {each.name: each.type for each in schema}
    assert types["status"] == pa.int16()
    assert types["share"] == pa.int32()
    assert types["big"] == pa.int64()
    assert types["ratio"] == pa.float32()
    assert schema.field("name").metadata[b"GDAL:OGR:alternative_name"] == b"Name of the park"


def test_a_geopackage_keeps_values_and_the_meaning_of_codes(store: LocalStore, tmp_path: Path) -> None:
    """Types that SQLite lacks are texts with all that they say; domains and aliases are in the standard's tables."""
    save_rows(store, {"Parks & Trees": (header(FIELDS), [row(**FULL), row(**BARE)])})
    _, folder = converted(store, tmp_path / "out", "gpkg")
    _, rows = read(folder / "layers.gpkg", "Parks_Trees")
    in_words = {"seen": "2020-01-02T03:04:05.678Z", "day": dt.date(1820, 2, 29), "status": "In use"}
    assert rows[0] == FULL | in_words  # the reader looks up what a code means
    assert rows[1] == BARE
    with open_table(str(folder / "layers.gpkg"), "Parks_Trees") as table:
        assert next(table.batches).column("status").to_pylist() == [1, None]
    with closing(sqlite3.connect(folder / "layers.gpkg")) as database:
        domains = database.execute(
            "SELECT column_name, name, constraint_type, value, min, max, c.description FROM gpkg_data_columns "
            "JOIN gpkg_data_column_constraints c USING (constraint_name) ORDER BY 1 DESC"
        ).fetchall()
        aliases = database.execute("SELECT column_name, name FROM gpkg_data_columns WHERE name IS NOT NULL").fetchall()
    assert domains == [
        ("status", None, "enum", "1", None, None, "In use"),
        ("share", None, "range", None, 0, 100, "Share"),
    ]
    assert aliases == [("name", "Name of the park")]


def test_parquet_keeps_values_and_opens_in_pandas(store: LocalStore, tmp_path: Path) -> None:
    """A table is one Parquet file with typed columns, the object ids among them."""
    save_rows(store, {"Parks & Trees": (header(FIELDS), [row(**FULL), row(**BARE)])})
    _, folder = converted(store, tmp_path / "out", "parquet")
    path = folder / "Parks_Trees~0.parquet"
    full, bare = pq.read_table(path).to_pylist()
    seen = dt.datetime(2020, 1, 2, 3, 4, 5, 678000, tzinfo=dt.UTC)
    assert full == FULL | {"seen": seen, "day": dt.date(1820, 2, 29), "hour": dt.time(23, 59, 58)}
    assert bare == BARE
    assert list(pandas.read_parquet(path)["OBJECTID"]) == [7, 2_000_000_000]


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
        ["curves of 1 row were made straight lines."] if format == "parquet" or is_other else []
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


@pytest.mark.parametrize("format", ["gdb", "gpkg"])
def test_attachments_are_a_table_with_their_exact_bytes(store: LocalStore, tmp_path: Path, format: str) -> None:
    """Each attachment is a row of `<layer>__ATTACH` that names its parent; the files are not fetched a second time."""
    layer = (header(FIELDS), [row(**FULL), row(**BARE)])
    save_rows(store, {"Parks": layer}, attachment_parts(store, 0, PHOTOS))
    done, folder = converted(store, tmp_path / "out", format)
    facts, rows = read(folder / f"layers.{format}", "Parks__ATTACH")
    assert done.attachments == 3
    assert facts["fid_column"] == "ATTACHMENTID"
    assert {(each["REL_OBJECTID"], each["ATTACHMENTID"]): each["DATA"] for each in rows} == PHOTOS
    assert [each["DATA_SIZE"] for each in rows] == [len(content) for content in PHOTOS.values()]
    assert rows[2]["REL_GLOBALID"].strip("{}").lower() == BARE["GlobalID"]
    assert (rows[0]["ATT_NAME"], rows[0]["CONTENT_TYPE"]) == ("1.jpg", "image/jpeg")
    names = {path.split("/")[0] for path in files_below(folder)}
    assert names == {"item.json", "service.json", f"layers.{format}"}


def test_attachments_stay_files_beside_parquet(store: LocalStore, tmp_path: Path) -> None:
    """Saved attachments come as files, with their list, where layers come as Parquet."""
    layer = (header(FIELDS), [row(**FULL), row(**BARE)])
    outcome = save_rows(store, {"Parks": layer}, attachment_parts(store, 0, PHOTOS))
    _, folder = converted(store, tmp_path / "out", "parquet")
    kept = {part.path for part in outcome.parts if not part.path.startswith("rows/")}
    assert files_below(folder).keys() == kept | {"Parks~0.parquet"}


@pytest.mark.parametrize("format", FORMATS)
def test_a_service_of_several_layers_comes_in_names_that_differ(store: LocalStore, tmp_path: Path, format: str) -> None:
    """Layers of one name, names that no table may have, tables, empty layers: each is there under a name of its own."""
    fields = [field("OBJECTID", "OID"), field("Geometry", "String"), field("SHAPE", "String"), field("shape", "Double")]
    point = header(fields, "Point", wkid=4326)
    names = ["Trees", "trees", "2024: Wege/Straßen", "", "x" * 200, "Leer"]
    rows = [row({"x": 1, "y": 2}, OBJECTID=3, Geometry="g", SHAPE="s", shape=1.5)]
    save_rows(store, {name: (point, [] if name == "Leer" else rows) for name in names})
    done, folder = converted(store, tmp_path / "out", format)
    assert (done.layers, done.rows) == (6, 5)
    tables = ["Trees", "trees_2", "t_2024_Wege_Straßen", "layer_3", "x" * 52, "Leer"]
    if format == "parquet":
        assert {path for path in files_below(folder) if path.endswith(".parquet")} == {
            f"{name}~{at}.parquet" for at, name in enumerate(tables)
        }
        frame = geopandas.read_parquet(folder / "Trees~0.parquet")
    else:
        path = folder / f"layers.{format}"
        assert [name for name, _ in pyogrio.list_layers(path)] == tables
        frame = geopandas.GeoDataFrame(pyogrio.read_dataframe(path, layer="Trees"))
    assert sorted(set(map(str, frame.iloc[0])) & {"g", "s", "1.5", "POINT (1 2)"}) == ["1.5", "POINT (1 2)", "g", "s"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_zip_file_holds_the_converted_layers(store: LocalStore, tmp_path: Path, format: str) -> None:
    """A zip file holds what the folder holds, with sums of every file, and nothing is left beside it."""
    save_rows(store, {"A": (header([field("OBJECTID", "OID")], "Point"), [row({"x": 1, "y": 2}, OBJECTID=1)])})
    converted(store, tmp_path / "out", format)
    fetch(store, store.backups()["name"][0], tmp_path / "out.zip", format=format)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        names = set(archive.namelist())
        sums = archive.read("SHA256SUMS").decode().splitlines()
    assert names == files_below(tmp_path / "out").keys()
    assert {line.split("  ", 1)[1] for line in sums} == names - {"SHA256SUMS", "AllItems.csv"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.zip", "store"]
    assert not list(tmp_path.rglob(".agolkit-*"))


@pytest.mark.slow
def test_every_hosted_layer_of_the_city_is_converted(tmp_path: Path) -> None:
    """Saved as rows, each layer of the practice city comes in each format with the ids and bytes that it has."""
    org = city.springfield()
    place = ak.open_store(tmp_path / "store")
    with Sandbox(org) as sandbox:
        options = {"types": ["Feature Service"], "feature_format": "rows"}
        ak.backup(connect(sandbox), place, ak.BackupOptions.from_mapping(options))
    outcomes = read_outcomes(place, place.resolve("latest"))
    for format in FORMATS:
        fetch(place, "latest", tmp_path / format, format=format)  # type: ignore[arg-type]
    compared = attached = 0
    for outcome in outcomes:
        service = org.services.get(org.items[outcome.item.id].service or "")
        if service is None or not any(part.name == "rows" for part in outcome.parts):
            continue
        folders = {format: tmp_path / format / item_folder(outcome.item) for format in FORMATS}
        for layer in service.all():
            if layer.sub_layers or layer.view_where is not None or service.view_of:  # groups and views
                continue
            held = sorted(each["attributes"][layer.object_id_field] for each in layer.features)
            (parquet,) = folders["parquet"].glob(f"*~{layer.id}.parquet")
            name = parquet.stem.split("~")[0]
            assert pq.read_table(parquet)[layer.object_id_field].to_pylist() == held
            for format in ("gdb", "gpkg"):
                _, rows = read(folders[format] / f"layers.{format}", name)
                assert sorted(each[layer.object_id_field] for each in rows) == held
                if layer.attachments:
                    _, files = read(folders[format] / f"layers.{format}", f"{name}__ATTACH")
                    assert {(each["REL_OBJECTID"], each["ATTACHMENTID"]): each["DATA"] for each in files} == {
                        (row_id, one.id): b"".join(one.payload.chunks())
                        for row_id, some in layer.attachments.items()
                        for one in some
                    }
                    attached += len(files)
            compared += 1
    assert compared > 25
    assert attached > 20


def test_an_unknown_format_is_refused(store: LocalStore, tmp_path: Path) -> None:
    """The error lists the formats that there are, and nothing is written."""
    with pytest.raises(UsageError, match="gdb, gpkg, parquet"):
        fetch(store, "latest", tmp_path / "out", format="shp")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_rows_that_the_format_cannot_hold_come_as_saved(store: LocalStore, tmp_path: Path) -> None:
    """Object ids beyond 32 bits fit no geodatabase: the item comes as it was saved, and the error names it."""
    outcome = save_rows(store, {"A": (header([field("OBJECTID", "OID")]), [row(OBJECTID=2**40)])})
    with pytest.raises(CheckFailed, match=r"1 item could not be converted to gdb .*'Survey'"):
        converted(store, tmp_path / "out", "gdb")
    folder = tmp_path / "out" / item_folder(SERVICE)
    assert files_below(folder).keys() == {part.path for part in outcome.parts}
    assert converted(store, tmp_path / "gpkg", "gpkg")[0].rows == 1


@pytest.mark.parametrize("value", [2**40, 1.5, "many"])
def test_a_value_of_another_type_is_never_changed_in_silence(store: LocalStore, tmp_path: Path, value: Any) -> None:
    """A whole-number field with something else in it is not converted; neither message nor frame makes a value up."""
    fields = [field("OBJECTID", "OID"), field("share", "Integer")]
    save_rows(store, {"A": (header(fields), [row(OBJECTID=1, share=value)])})
    with pytest.raises(CheckFailed, match="the field 'share' holds a value that is no Integer") as caught:
        converted(store, tmp_path / "out", "gpkg")
    assert str(value) not in str(caught.value)
    with pytest.raises(CheckFailed, match="'share'"):
        ak.load_layer(store, store.backups()["name"][0], SERVICE_ID)


def test_values_that_are_the_same_in_another_form_are_taken(store: LocalStore) -> None:
    """3.0 is a whole number, 5 a text, and half a surrogate pair no reason to lose a row."""
    fields = [field("OBJECTID", "OID"), field("a", "Integer"), field("b", "String"), field("c", "Date")]
    rows = [row(OBJECTID=1, a=3.0, b=5, c="2020-01-02T03:04:05.678Z"), row(OBJECTID=2, a=None, b="\ud83d", c=None)]
    save_rows(store, {"A": (header(fields), rows)})
    frame = ak.load_layer(store, store.backups()["name"][0], SERVICE_ID)
    assert list(frame["a"].isna()) == [False, True]
    assert (frame["a"][0], list(frame["b"])) == (3, ["5", "\\ud83d"])
    assert frame["c"][0] == pandas.Timestamp(MOMENT, unit="ms", tz="UTC")


def test_fewer_rows_than_were_saved_are_an_error(store: LocalStore, tmp_path: Path) -> None:
    """Rows that do not agree with the number in the definition are not passed off as the layer."""
    head = header([field("OBJECTID", "OID")])
    definition = {
        "layers": {"layers": [], "tables": [{"id": 4, "name": "A", **head}]},
        "rows": [{"id": 4, "rows": 3, "header": head}],
    }
    save_service(store, definition, [rows_part(store, 4, [row(OBJECTID=1), row(OBJECTID=2)])])
    with pytest.raises(CheckFailed, match="layer 'A': 2 of 3 rows are saved"):
        converted(store, tmp_path / "out", "parquet")


def test_a_damaged_attachment_is_named_and_the_rest_comes_as_saved(store: LocalStore, tmp_path: Path) -> None:
    """Where a file of the item is damaged in the store, nothing converted stands for it."""
    outcome = save_rows(store, {"A": (header(FIELDS), [row(**FULL), row(**BARE)])}, attachment_parts(store, 0, PHOTOS))
    sha256 = next(part.blob.sha256 for part in outcome.parts if part.path == "attachments/0/7-1.jpg")
    (store.root / "blobs" / sha256[:2] / sha256).unlink()
    with pytest.raises(StoreDamaged, match=r"1 files .*7-1\.jpg"):
        converted(store, tmp_path / "out", "gpkg")
    found = files_below(tmp_path / "out" / item_folder(SERVICE)).keys()
    assert found == {part.path for part in outcome.parts} - {"attachments/0/7-1.jpg"}


def test_an_unknown_spatial_reference_is_said(store: LocalStore, tmp_path: Path) -> None:
    """A layer whose spatial reference nobody knows is converted without one, and a note says so."""
    head = header([field("OBJECTID", "OID")], "Point", wkid=999_999)
    save_rows(store, {"A": (head, [row({"x": 1, "y": 2}, OBJECTID=1)])})
    for format in FORMATS:
        done, _ = converted(store, tmp_path / format, format)
        assert done.notes == ("'Survey', layer 'A': its spatial reference is unknown to GDAL, and not in the file.",)
    assert ak.load_layer(store, done.backup, SERVICE_ID).crs is None


def geodatabase_of(tmp_path: Path) -> bytes:
    """A zipped geodatabase with a layer of two points and one attachment."""
    path = tmp_path / "made" / "x.gdb"
    path.parent.mkdir()
    rows = pa.table({"name": ["a", None], "geometry": [shapely.to_wkb(shapely.Point(1, 2)), None]})
    pyogrio.write_arrow(
        rows, path, layer="Parks_1", driver="OpenFileGDB", geometry_name="geometry", geometry_type="Point",
        crs="EPSG:25832",
    )  # fmt: skip
    photos = pa.table({"REL_OBJECTID": pa.array([1], pa.int32()), "DATA": pa.array([b"\0\xff"], pa.binary())})
    pyogrio.write_arrow(
        photos, path, layer="Parks_1__ATTACH", driver="OpenFileGDB", layer_options={"FID": "ATTACHMENTID"}
    )
    return zipped({f"x.gdb/{name}": content for name, content in files_below(path).items()})


@pytest.mark.parametrize("format", FORMATS)
def test_a_saved_geodatabase_can_be_had_in_each_format(store: LocalStore, tmp_path: Path, format: str) -> None:
    """Its files as they are, or its layers and attachments in the other formats."""
    part = save_part(store, "geodatabase", "layers.gdb.zip", geodatabase_of(tmp_path))
    letters = {"type": "codedValue", "name": "Letters", "codedValues": [{"name": "Alpha", "code": "a"}]}
    fields = [field("name", "String", domain=letters)]
    described = {"id": 1, "name": "Parks", "type": "Feature Layer", "fields": fields}
    definition = {"layers": {"layers": [described], "tables": []}, "geodatabase": [{"id": 1, "layer": "Parks_1"}]}
    save_service(store, definition, [part])
    done, folder = converted(store, tmp_path / "out", format)
    assert (done.rows, done.attachments) == (2, 1)
    assert "layers.gdb.zip" not in files_below(folder)
    if format == "parquet":
        frame = geopandas.read_parquet(folder / "Parks~1.parquet")
        assert pq.read_table(folder / "Parks__ATTACH~1.parquet")["DATA"].to_pylist() == [b"\0\xff"]
        assert list(frame["OBJECTID"]) == [1, 2]
    else:
        name = {"gdb": "Parks_1", "gpkg": "Parks"}[format]
        frame = pyogrio.read_dataframe(folder / f"layers.{format}", layer=name)
        attached = read(folder / f"layers.{format}", f"{name}__ATTACH")[1]
        assert [(each["REL_OBJECTID"], each["DATA"]) for each in attached] == [(1, b"\0\xff")]
    if format == "gpkg":
        with closing(sqlite3.connect(folder / "layers.gpkg")) as database:
            known = database.execute("SELECT value, description FROM gpkg_data_column_constraints").fetchall()
        assert known == [("a", "Alpha")]
    if format == "gdb":
        made = files_below(tmp_path / "made" / "x.gdb")
        assert files_below(folder / "layers.gdb") == made
    assert frame.crs == "EPSG:25832"
    assert list(frame["name"].isna()) == [False, True]
    assert frame.geometry[0] == shapely.Point(1, 2)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs the recorded geodatabases")
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.gdb.zip")), ids=lambda path: path.name.split(".")[0])
def test_recorded_geodatabases_go_through(store: LocalStore, tmp_path: Path, format: str, sample: Path) -> None:
    """Geodatabases that ArcGIS wrote come in each format, every layer with its number of rows."""
    names = [str(name) for name, _ in pyogrio.list_layers(sample) if "__ATTACH" not in str(name)]
    offset = field("timestamp_offset", "TimestampOffset")
    described = [{"id": at, "name": name, "fields": [offset]} for at, name in enumerate(names)]
    definition = {
        "layers": {"layers": described, "tables": []},
        "geodatabase": [{"id": at, "layer": name} for at, name in enumerate(names)],
    }
    save_service(store, definition, [save_part(store, "geodatabase", "layers.gdb.zip", sample.read_bytes())])
    done, folder = converted(store, tmp_path / "out", format)
    assert (done.layers, done.rows) == (
        len(names),
        sum(pyogrio.read_info(sample, layer=name)["features"] for name in names),
    )
    for at, name in enumerate(names):
        expected = pyogrio.read_info(sample, layer=name)["features"]
        if format == "parquet":
            found = pq.read_metadata(folder / f"{name}~{at}.parquet").num_rows
        else:
            found = pyogrio.read_info(folder / f"layers.{format}", layer=name)["features"]
        assert found == expected
        assert len(ak.load_layer(store, done.backup, SERVICE_ID, layer=at)) == expected
    if "arcgis_pro_32_types" in sample.name:
        frame = ak.load_layer(store, done.backup, SERVICE_ID, layer=names.index("date_types"))
        assert next(iter(frame["timestamp_offset"])) == "2023-11-29T13:14:15-05:00"
        assert frame["date"][0] == pandas.Timestamp("2023-11-29T13:14:15Z")
        assert frame["date_only"][0] == dt.date(2023, 11, 29)
