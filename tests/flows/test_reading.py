"""`load_layer`: a saved layer as a frame, the same from rows and from a geodatabase."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import geopandas
import pandas
import pytest
import shapely
from layers_by_hand import SERVICE_ID, field, header, row, rows_part, save_rows, save_service
from portals import connect
from saved import MAP, save_sample

import agolkit as ak
from agolkit.errors import NoSuchBackup, StoreDamaged, UsageError
from agolkit.sandbox import Sandbox, city
from agolkit.store import LocalStore

FIELDS = [
    field("OBJECTID", "OID"),
    field("name", "String"),
    field("small", "SmallInteger"),
    field("count", "Integer"),
    field("big", "BigInteger"),
    field("depth", "Double"),
    field("seen", "Date"),
    field("day", "DateOnly"),
    field("hour", "TimeOnly"),
    field("local", "TimestampOffset"),
]
EMPTY = dict.fromkeys(each["name"] for each in FIELDS)
FULL = EMPTY | {
    "OBJECTID": 3,
    "name": "a",
    "small": 1,
    "count": 2,
    "big": 2**60 + 1,
    "depth": 0.1,
    "seen": -1_000,
    "day": "2024-02-29",
    "hour": "12:34:56",
    "local": "2024-02-29T12:34:56+05:30",
}
TYPES = {
    "OBJECTID": "Int64",
    "name": "str",
    "small": "Int16",
    "count": "Int32",
    "big": "Int64",
    "depth": "float64",
    "seen": "datetime64[ms, UTC]",
    "day": "object",
    "hour": "object",
    "local": "str",
}


def name_of(store: LocalStore) -> str:
    return str(store.backups()["name"][0])


def test_columns_have_the_types_that_the_service_states(store: LocalStore) -> None:
    """Whole numbers stay whole beside nulls, dates are in UTC, and an empty table has the same columns and types."""
    rows = [row(**FULL), row(**EMPTY | {"OBJECTID": 4})]
    save_rows(store, {"A": (header(FIELDS), rows), "None": (header(FIELDS), [])})
    frame = ak.load_layer(store, name_of(store), SERVICE_ID, layer=0)
    empty = ak.load_layer(store, name_of(store), SERVICE_ID, layer=1)
    text = str(pandas.Series(["a"]).dtype)  # `object` before pandas 3
    wanted = {name: text if kind == "str" else kind for name, kind in TYPES.items()}
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == wanted
    assert list(empty.columns) == list(frame.columns)
    assert len(empty) == 0
    assert not isinstance(frame, geopandas.GeoDataFrame)
    assert frame.iloc[0].to_dict() == FULL | {
        "seen": pandas.Timestamp("1969-12-31T23:59:59Z"),
        "day": dt.date(2024, 2, 29),
        "hour": dt.time(12, 34, 56),
    }
    assert list(frame.iloc[1].isna()) == [False, *[True] * 9]


def test_geometries_keep_their_heights_and_measures(store: LocalStore) -> None:
    """Z and M come through, a row without a geometry has none, and the frame knows its spatial reference."""
    head = header([field("OBJECTID", "OID")], "Point", hasZ=True, hasM=True)
    save_rows(store, {"A": (head, [row({"x": 1, "y": 2, "z": 3, "m": 4}, OBJECTID=1), row(OBJECTID=2)])})
    frame = ak.load_layer(store, name_of(store), SERVICE_ID)
    assert isinstance(frame, geopandas.GeoDataFrame)
    assert frame.crs == "EPSG:3857"
    assert shapely.to_wkt(frame.geometry[0], output_dimension=4) == "POINT ZM (1 2 3 4)"
    assert frame.geometry[1] is None


@pytest.mark.parametrize(
    ("told", "crs"),
    [
        ({"wkid": 102100, "latestWkid": 3857}, "EPSG:3857"),
        ({"wkid": 102113}, "EPSG:3857"),
        ({"wkid": 2193}, "EPSG:2193"),
        ({"wkid": 102003}, "ESRI:102003"),
        ({"wkid": 0, "wkt": "EPSG:25832"}, "EPSG:25832"),
    ],
)
def test_the_spatial_reference_is_the_layers_own(store: LocalStore, told: dict[str, object], crs: str) -> None:
    """Ids of EPSG and of Esri, and a text where there is no id."""
    head = header([field("OBJECTID", "OID")], "Point") | {"spatialReference": told}
    save_rows(store, {"A": (head, [row({"x": 1, "y": 2}, OBJECTID=1)])})
    assert ak.load_layer(store, name_of(store), SERVICE_ID).crs == crs


def test_a_layer_whose_answers_said_nothing_is_read_by_its_own_description(store: LocalStore) -> None:
    """A layer without rows has no query answer; fields, type and place come from the layer's JSON."""
    told = {"fields": FIELDS, "geometryType": "esriGeometryPolygon", "extent": {"spatialReference": {"wkid": 25832}}}
    definition = {
        "layers": {"layers": [{"id": 3, "name": "A", **told}], "tables": []},
        "rows": [{"id": 3, "rows": 0, "header": {}}],
    }
    save_service(store, definition, [rows_part(store, 3, [])])
    frame = ak.load_layer(store, name_of(store), SERVICE_ID)
    assert list(frame.columns) == [*EMPTY, "geometry"]
    assert frame.crs == "EPSG:25832"


def test_both_forms_give_the_same_frame(tmp_path: Path) -> None:
    """A layer reads alike from its rows and from its geodatabase: columns, types, values, places."""
    org = city.generated(items=1, owners=1, folders=1, groups=1, services=1)
    service = next(iter(org.services.values()))
    frames = []
    with Sandbox(org) as sandbox:
        for form in ("rows", "fgdb"):
            store = ak.open_store(tmp_path / form)
            ak.backup(connect(sandbox), store, ak.BackupOptions.from_mapping({"feature_format": form}))
            frames.append(ak.load_layer(store, "latest", service.item_id, layer=service.layers[0].id))
    rows, geodatabase = frames
    assert list(rows.columns) == list(geodatabase.columns)
    assert len(rows) == len(service.layers[0].features) > 0
    for name in rows.columns.drop(["geometry", "GlobalID"]):
        pandas.testing.assert_series_equal(rows[name], geodatabase[name])
    assert [each.strip("{}").upper() for each in rows["GlobalID"]] == [
        each.strip("{}") for each in geodatabase["GlobalID"]
    ]
    assert rows.crs == geodatabase.crs
    assert rows.geometry.geom_equals_exact(geodatabase.geometry, tolerance=1e-3).all()


def test_what_is_not_there_is_said(store: LocalStore) -> None:
    """An unknown item, an item without layers, and a layer that is not saved, each with what there is instead."""
    name, _ = save_sample(store)
    with pytest.raises(NoSuchBackup, match="no item ffff"):
        ak.load_layer(store, name, "f" * 32)
    with pytest.raises(UsageError, match="has no saved layers"):
        ak.load_layer(store, name, MAP.id)


def test_without_a_layer_the_first_saved_one_is_opened(store: LocalStore) -> None:
    """The lowest id is first, and need not be 0; who asks for layer 0 does not get another one."""
    head = header(FIELDS)
    definition = {
        "layers": {"layers": [{"id": 5, "name": "A"}, {"id": 3, "name": "B"}], "tables": []},
        "rows": [{"id": 5, "rows": 0, "header": head}, {"id": 3, "rows": 1, "header": head}],
    }
    save_service(store, definition, [rows_part(store, 5, []), rows_part(store, 3, [row(**FULL)])])
    assert len(ak.load_layer(store, name_of(store), SERVICE_ID)) == 1
    with pytest.raises(UsageError, match=r"no saved layer 0; there are \[3, 5\]"):
        ak.load_layer(store, name_of(store), SERVICE_ID, layer=0)


def test_a_layer_that_is_not_saved_is_said(store: LocalStore) -> None:
    """The message lists the layers that there are."""
    save_rows(store, {"A": (header(FIELDS), []), "B": (header(FIELDS), [])})
    with pytest.raises(UsageError, match=r"no saved layer 7; there are \[0, 1\]"):
        ak.load_layer(store, name_of(store), SERVICE_ID, layer=7)


def test_damaged_rows_are_never_a_frame(store: LocalStore) -> None:
    """Rows whose hash is not what it was are an error, not a shorter frame."""
    outcome = save_rows(store, {"A": (header(FIELDS), [row(**FULL)])})
    sha256 = next(part.blob.sha256 for part in outcome.parts if part.name == "rows")
    path = store.root / "blobs" / sha256[:2] / sha256
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreDamaged):
        ak.load_layer(store, name_of(store), SERVICE_ID)
