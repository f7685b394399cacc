"""Saved layers as files for ArcGIS Pro, QGIS and pandas: every row, type, place and attachment as the portal had it."""

from __future__ import annotations

import datetime as dt
import sqlite3
import zipfile
from collections.abc import Callable
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
from converted import FORMATS, converted, read
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
from agolkit.kinds.feature_service.conversion.tables import open_table
from agolkit.layout import item_folder
from agolkit.manifest import read_outcomes
from agolkit.sandbox import Sandbox, city
from agolkit.store import LocalStore

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "geodatabases"
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
    done, folder = converted(store, tmp_path / "out", "parquet")
    assert str(done).endswith("\nAs parquet: 1 layer with 2 rows.")
    path = folder / "Parks_Trees~0.parquet"
    full, bare = pq.read_table(path).to_pylist()
    seen = dt.datetime(2020, 1, 2, 3, 4, 5, 678000, tzinfo=dt.UTC)
    assert full == FULL | {"seen": seen, "day": dt.date(1820, 2, 29), "hour": dt.time(23, 59, 58)}
    assert bare == BARE
    assert list(pandas.read_parquet(path)["OBJECTID"]) == [7, 2_000_000_000]


@pytest.mark.parametrize("format", ["gdb", "gpkg"])
def test_attachments_are_a_table_with_their_exact_bytes(store: LocalStore, tmp_path: Path, format: str) -> None:
    """Each attachment is a row of `<layer>__ATTACH` that names its parent; the files are not fetched a second time."""
    layer = (header(FIELDS), [row(**FULL), row(**BARE)])
    save_rows(store, {"Parks": layer}, attachment_parts(store, 0, PHOTOS))
    done, folder = converted(store, tmp_path / "out", format)
    facts, rows = read(folder / f"layers.{format}", "Parks__ATTACH")
    assert str(done).endswith(f"\nAs {format}: 1 layer with 2 rows and 3 attachments.")
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


@pytest.mark.parametrize("format", ["gdb", "gpkg"])
@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("String", "a\0b", "text with a NUL character"),
        ("Date", 253_402_300_800_000, "not in the years 1 to 9999"),
        ("Date", -62_135_596_800_001, "not in the years 1 to 9999"),
        ("Single", 1e300, "no Single"),
    ],
)
def test_what_gdal_would_change_comes_as_saved(
    store: LocalStore, tmp_path: Path, format: str, kind: str, value: Any, said: str
) -> None:
    """A text that would be cut, a date and a number that would be others: the file is refused, and the reason said."""
    told = header([field("OBJECTID", "OID"), field("value", kind)])
    save_rows(store, {"Odd": (told, [row(OBJECTID=1, value=value)])})
    with pytest.raises(CheckFailed, match=f"the field 'value' holds a .*{said}"):
        converted(store, tmp_path / "out", format)
    assert list((tmp_path / "out").rglob("rows/0.jsonl.gz"))


@pytest.mark.parametrize("format", ["gdb", "gpkg"])
def test_layers_with_names_that_a_format_keeps_for_itself_are_converted(
    store: LocalStore, tmp_path: Path, format: str
) -> None:
    """Words of SQL, system tables, and the name of another layer's attachments."""
    names = ["Table", "GDB_Items", "gpkg_contents", "sqlite_sequence", "a", "a__ATTACH"]
    told = header([field("OBJECTID", "OID"), field("order", "Integer")])
    layers = {name: (told, [row(OBJECTID=1, order=at)]) for at, name in enumerate(names)}
    save_rows(store, layers, attachment_parts(store, names.index("a"), {(1, 1): b"photo"}))
    done = fetch(store, store.backup_names()[-1], tmp_path / "out", format=format)  # type: ignore[arg-type]
    assert (done.layers, done.rows, done.attachments) == (6, 6, 1)


def test_values_that_are_the_same_in_another_form_are_taken(store: LocalStore) -> None:
    """3.0 is a whole number, 5 a text, and half a surrogate pair no reason to lose a row."""
    fields = [field("OBJECTID", "OID"), field("a", "Integer"), field("b", "String"), field("c", "Date")]
    rows = [
        row(OBJECTID=1, a=3.0, b=5, c="2020-01-02T03:04:05.678Z"),
        row(OBJECTID=2, a=None, b="\ud83d", c="2020-01-02T05:04:05.678+02:00"),
        row(OBJECTID=3, a=None, b=None, c=None),
    ]
    save_rows(store, {"A": (header(fields), rows)})
    frame = ak.load_layer(store, store.backups()["name"][0], SERVICE_ID)
    assert list(frame["a"].isna()) == [False, True, True]
    assert (frame["a"][0], list(frame["b"][:2])) == (3, ["5", "\\ud83d"])
    assert list(frame["c"][:2]) == [pandas.Timestamp(MOMENT, unit="ms", tz="UTC")] * 2
    assert list(frame.loc[2, ["b", "c"]].isna()) == [True, True]


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


def _with_ids(rows: pa.Table) -> pa.Table:
    return rows.set_column(0, rows.schema.field(0), pa.array([7, 8], rows.schema.field(0).type))


def _with_short_files(rows: pa.Table) -> pa.Table:
    at = rows.schema.get_field_index("DATA")
    return rows.set_column(at, "DATA", pa.array([each[:-1] for each in rows["DATA"].to_pylist()], pa.binary()))


@pytest.mark.parametrize("format", ["gdb", "gpkg"])
@pytest.mark.parametrize(
    ("layer", "lose", "said"),
    [
        ("Parks", lambda rows: rows.slice(1), "1 of 2 rows came into the file"),
        ("Parks", _with_ids, "rows came into the file"),
        ("Parks__ATTACH", lambda rows: rows.take([0, 2]), "2 of 3 attachments"),  # the one without bytes
        ("Parks__ATTACH", _with_short_files, "3 of 3 attachments with"),
    ],
    ids=["a row", "an id", "an empty file", "bytes"],
)
def test_what_the_writer_loses_is_noticed(
    store: LocalStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    format: str,
    layer: str,
    lose: Callable[[pa.Table], pa.Table],
    said: str,
) -> None:
    """A file that lacks something of what was saved is not passed off as the layer, whatever GDAL says of it."""
    write = pyogrio.write_arrow

    def write_less(rows: pa.RecordBatchReader, path: Path, **options: Any) -> None:
        write(lose(rows.read_all()) if options["layer"] == layer else rows, path, **options)

    monkeypatch.setattr(pyogrio, "write_arrow", write_less)
    parks = (header(FIELDS), [row(**FULL), row(**BARE)])
    save_rows(store, {"Parks": parks}, attachment_parts(store, 0, PHOTOS))
    with pytest.raises(CheckFailed, match=said):
        converted(store, tmp_path / "out", format)


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
