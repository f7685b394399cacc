"""What the city's hosted layers answer where careless programs go wrong: field types, geometries, groups, authors."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pyogrio
import pytest
import shapely
from caller import Caller

from agolkit.sandbox import Sandbox
from agolkit.sandbox.organization import Item, Layer

Address = Callable[[str], str]


@pytest.fixture(scope="module")
def address(sandbox: Sandbox) -> Address:
    """What makes an address of a path below the services: `address("Railway/FeatureServer/1")`."""
    root = f"{sandbox.url.removesuffix('/portal')}/{sandbox.org.id}/arcgis/rest/services/"
    return lambda path: root + path


def held(sandbox: Sandbox, service: str, layer_id: int) -> Layer:
    return next(layer for layer in sandbox.org.services[service].all() if layer.id == layer_id)


def rows(caller: Caller, url: str, **asked: object) -> list[dict[str, Any]]:
    answer = caller.get(f"{url}/query", **{"where": "1=1", "outFields": "*", **asked})
    features: list[dict[str, Any]] = answer["features"]
    return features


def exported(caller: Caller, item: Item, folder: Path) -> Path:
    """The file geodatabase that an export of an item's service makes."""
    path = f"content/users/{item.owner}/export"
    job = caller.post(path, itemId=item.id, exportFormat="File Geodatabase", title=f"{item.id} copy")
    assert caller.wait_for(item.owner, job)["status"] == "completed"
    content = caller.raw(f"content/items/{job['exportItemId']}/data").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)
    return next(folder.glob("*.gdb"))


def definitions_of(path: Path) -> str:
    """What a file geodatabase says of its tables, as XML."""
    return " ".join(map(str, pyogrio.read_dataframe(path, layer="GDB_Items", LIST_ALL_TABLES="YES")["Definition"]))


def test_dates_times_and_offsets_are_texts_and_large_numbers_exact(caller: Caller, address: Address) -> None:
    """The newer field types come as ISO texts, 64-bit numbers digit by digit, and the definition names the types."""
    url = address("Work_Orders/FeatureServer/2")
    types = {field["name"]: field["type"] for field in caller.get(url)["fields"]}
    assert [types[name] for name in ("Due", "Opens", "Reported", "Serial")] == [
        "esriFieldTypeDateOnly",
        "esriFieldTypeTimeOnly",
        "esriFieldTypeTimestampOffset",
        "esriFieldTypeBigInteger",
    ]
    found = [row["attributes"] for row in rows(caller, url)]
    assert [row["Serial"] for row in found] == [(2**53 + nth) * (-1 if nth % 2 else 1) for nth in range(1, 91)]
    given = [row for row in found if row["Due"] is not None]
    assert len(given) == 78
    for row in given:
        assert date.fromisoformat(row["Due"]).isoformat() == row["Due"]
        assert time.fromisoformat(row["Opens"]).isoformat() == row["Opens"]
        assert datetime.fromisoformat(row["Reported"]).isoformat() == row["Reported"]
        assert datetime.fromisoformat(row["Reported"]).utcoffset() is not None


@pytest.mark.parametrize(
    ("where", "test"),
    [
        ("Due >= DATE '2024-01-01'", lambda row: row["Due"] >= "2024-01-01"),
        ("Due < '2022-06-15'", lambda row: row["Due"] < "2022-06-15"),
        ("Opens BETWEEN TIME '08:00:00' AND TIME '17:30:00'", lambda row: "08:00:00" <= row["Opens"] <= "17:30:00"),
        (
            "Reported > TIMESTAMP '2023-07-01 00:00:00 -05:00'",
            lambda row: datetime.fromisoformat(row["Reported"]) > datetime.fromisoformat("2023-07-01T00:00:00-05:00"),
        ),
        ("Serial < -9007199254741000", lambda row: row["Serial"] < -9007199254741000),
    ],
)
def test_clauses_about_the_newer_field_types(
    sandbox: Sandbox, caller: Caller, address: Address, where: str, test: Callable[[dict[str, Any]], bool]
) -> None:
    """Dates, times and moments compare by what they mean, and rows without one are not found."""
    every = [row["attributes"] for row in held(sandbox, "Work_Orders", 2).features]
    expected = [row["OBJECTID"] for row in every if row[where.split()[0]] is not None and test(row)]
    answer = caller.get(address("Work_Orders/FeatureServer/2/query"), where=where, returnIdsOnly="true")
    assert answer["objectIds"] == expected
    assert 0 < len(expected) < 78


def test_geodatabase_has_the_newer_field_types(sandbox: Sandbox, caller: Caller, tmp_path: Path) -> None:
    """An export keeps dates, times and 64-bit numbers; of a timestamp with offset it keeps the moment."""
    item = next(item for item in sandbox.org.items.values() if item.service == "Work_Orders")
    path = exported(caller, item, tmp_path)
    assert {name for name, _ in pyogrio.list_layers(path)} == {"Work_Orders", "Work_Areas", "Tasks", "Spare_Parts"}
    found = pyogrio.read_arrow(path, layer="Work_Orders")[1].to_pylist()
    truth = [row["attributes"] for row in held(sandbox, "Work_Orders", 2).features]
    assert [row["Serial"] for row in found] == [row["Serial"] for row in truth]
    given = [(row, real) for row, real in zip(found, truth, strict=True) if real["Due"] is not None]
    for row, real in given:
        assert row["Due"].isoformat() == real["Due"]
        assert row["Opens"].isoformat() == real["Opens"]
        assert row["Reported"].replace(tzinfo=UTC) == datetime.fromisoformat(real["Reported"])
    definitions = definitions_of(path)
    for kind in ("DateOnly", "TimeOnly", "TimestampOffset", "BigInteger"):
        assert f"<FieldType>esriFieldType{kind}<" in definitions


def test_dates_of_a_geodatabase_are_plain_dates(sandbox: Sandbox, caller: Caller, tmp_path: Path) -> None:
    """A date field stays a date field, not a timestamp with offset."""
    item = next(item for item in sandbox.org.items.values() if item.service == "Fire_Stations")
    path = exported(caller, item, tmp_path)
    definitions = definitions_of(path)
    assert "<FieldType>esriFieldTypeDate<" in definitions
    assert "TimestampOffset" not in definitions


def test_domains_subtypes_and_contingent_values(sandbox: Sandbox, caller: Caller, address: Address) -> None:
    """The definition carries domains, subtypes and types; contingent values are asked for at the service."""
    root = caller.get(address("Work_Orders/FeatureServer"))
    assert [(layer["id"], layer["name"]) for layer in root["layers"]] == [(2, "Work Orders"), (5, "Work Areas")]
    assert [(table["id"], table["name"]) for table in root["tables"]] == [(9, "Tasks"), (12, "Spare Parts")]
    layer = caller.get(address("Work_Orders/FeatureServer/2"))
    fields = {field["name"]: field for field in layer["fields"]}
    assert fields["Trade"]["domain"]["type"] == "codedValue"
    assert fields["Cost"]["domain"]["range"] == [0, 5000]
    assert (layer["subtypeField"], layer["defaultSubtypeCode"], layer["typeIdField"]) == ("Class", 1, "Class")
    assert [subtype["code"] for subtype in layer["subtypes"]] == [kind["id"] for kind in layer["types"]] == [1, 2, 3]
    assert layer["relationships"][0]["relatedTableId"] == 9
    assert root["supportsQueryContingentValues"]
    assert layer["hasContingentValuesDefinition"]
    url = address("Work_Orders/FeatureServer/queryContingentValues")
    sets = caller.get(url)["contingentValueSets"]
    assert sets == [{"layerId": 2, "fieldGroups": held(sandbox, "Work_Orders", 2).field_groups}]
    assert caller.get(url, layers="[5]")["contingentValueSets"] == []


def test_empty_layers_and_tables_answer_empty_lists(caller: Caller, address: Address) -> None:
    """No rows is an answer, not an error, and there is no extent."""
    for layer_id in (5, 12):
        url = address(f"Work_Orders/FeatureServer/{layer_id}/query")
        assert caller.get(url, where="1=1", returnCountOnly="true") == {"count": 0}
        assert caller.get(url, where="1=1", returnIdsOnly="true")["objectIds"] == []
        assert caller.get(url, where="1=1", outFields="*")["features"] == []
    assert caller.get(address("Work_Orders/FeatureServer/5"))["extent"]["xmin"] is None


def test_group_layer_names_its_layers_and_cannot_be_queried(caller: Caller, address: Address) -> None:
    """A group layer lists its layers, they name it, and it has neither fields nor rows."""
    root = caller.get(address("Railway/FeatureServer"))
    kinds = [(one["id"], one["type"], one["parentLayerId"], one["subLayerIds"]) for one in root["layers"]]
    assert kinds == [
        (0, "Group Layer", -1, [1, 3]),
        (1, "Feature Layer", 0, None),
        (3, "Feature Layer", 0, None),
        (4, "Feature Layer", -1, None),
        (6, "Feature Layer", -1, None),
    ]
    group = caller.get(address("Railway/FeatureServer/0"))
    assert group["subLayers"] == [{"id": 1, "name": "Tracks"}, {"id": 3, "name": "Turntables"}]
    assert "fields" not in group
    assert caller.get(address("Railway/FeatureServer/1"))["parentLayer"] == {"id": 0, "name": "Railway"}
    answer = caller.get(address("Railway/FeatureServer/0/query"), where="1=1", returnCountOnly="true")
    assert answer["error"]["code"] == 400


def test_true_curves_come_only_when_asked_for(sandbox: Sandbox, caller: Caller, address: Address) -> None:
    """With `returnTrueCurves` a geometry comes as it is stored; otherwise curves are vertices that lie on them."""
    url = address("Railway/FeatureServer/1")
    assert caller.get(url)["advancedQueryCapabilities"]["supportsTrueCurve"]
    stored = held(sandbox, "Railway", 1).features
    curved = rows(caller, url, returnTrueCurves="true")
    assert [row.get("geometry") for row in curved] == [row["geometry"] for row in stored]
    straight = rows(caller, url)
    assert {name for row in straight for name in row.get("geometry", {})} == {"paths"}
    arcs = ellipses = 0
    for row, real in zip(straight, stored, strict=True):
        if "curvePaths" not in (real["geometry"] or {}):
            continue
        start, first, second = real["geometry"]["curvePaths"][0]
        vertices = row["geometry"]["paths"][0]
        if "c" in first:
            end, top = first["c"]
            middle, radius = ((start[0] + end[0]) / 2, start[1]), (end[0] - start[0]) / 2
            assert vertices[0] == start
            assert vertices[-2:] == [end, second]
            assert len(vertices) > 30
            assert all(math.dist(each, middle) == pytest.approx(radius) for each in vertices[:-1])
            assert max(each[1] for each in vertices) == pytest.approx(top[1], rel=1e-9)
            arcs += 1
        else:
            end, one, two = first["b"]
            half = [(start[at] + 3 * one[at] + 3 * two[at] + end[at]) / 8 for at in (0, 1)]
            assert min(math.dist(each, half) for each in vertices) < 1e-6
            far, center, _, _, _, axis, ratio = second["a"]
            ellipse = vertices[vertices.index(end) :]
            assert ellipse[-1] == far
            for x, y in ellipse:
                on_it = ((x - center[0]) / axis) ** 2 + ((y - center[1]) / (axis * ratio)) ** 2
                assert on_it == pytest.approx(1, abs=1e-6)
            assert max(y for _, y in ellipse) > center[1] + axis * ratio * 0.99
            ellipses += 1
    assert (arcs, ellipses) == (8, 8)


def test_full_circles_are_rings_with_z(caller: Caller, address: Address) -> None:
    """A ring of one arc is a circle; each of its vertices has the Z of the ring."""
    url = address("Railway/FeatureServer/3")
    curved = rows(caller, url, returnTrueCurves="true", returnZ="true")
    straight = rows(caller, url, returnZ="true")
    circles = 0
    for row, real in zip(straight, curved, strict=True):
        assert {len(position) for ring in row["geometry"]["rings"] for position in ring} == {3}
        if "curveRings" in real["geometry"]:
            (start, arc), ring = real["geometry"]["curveRings"][0], row["geometry"]["rings"][0]
            assert ring[0] == ring[-1] == start
            radius = start[0] - arc["a"][1][0]
            assert shapely.Polygon(ring).area == pytest.approx(math.pi * radius**2, rel=2e-3)
            assert {position[2] for position in ring} == {start[2]}
            circles += 1
    assert circles == 10
    flat = rows(caller, url, returnTrueCurves="true")[0]["geometry"]["curveRings"][0]
    assert [len(flat[0]), len(flat[1]["a"][0])] == [2, 2]


def test_curves_in_another_reference_are_vertices(caller: Caller, address: Address) -> None:
    """An arc is none in degrees, so it comes as vertices there."""
    found = rows(caller, address("Railway/FeatureServer/1"), returnTrueCurves="true", outSR="4326")
    shapes = [row["geometry"] for row in found if "geometry" in row]
    assert {name for shape in shapes for name in shape} == {"paths"}
    assert all(-90 < x < -89 for shape in shapes for path in shape["paths"] for x, _ in path)


def test_empty_and_missing_geometries(caller: Caller, address: Address) -> None:
    """A row without geometry has none in the answer; an empty point, line or multipoint says that it is empty."""
    signals = rows(caller, address("Railway/FeatureServer/4"), returnZ="true", returnM="true")
    assert [nth for nth, row in enumerate(signals, 1) if row.get("geometry") is None] == [10, 20, 30]
    assert [nth for nth, row in enumerate(signals, 1) if (row.get("geometry") or {}).get("x") == "NaN"] == [5, 15, 25]
    assert set(signals[0]["geometry"]) == {"x", "y", "z", "m"}
    tracks = rows(caller, address("Railway/FeatureServer/1"))
    assert sum(row.get("geometry") == {"paths": []} for row in tracks) == 8
    assert sum(len((row.get("geometry") or {"paths": []})["paths"]) == 3 for row in tracks) == 8
    sleepers = rows(caller, address("Railway/FeatureServer/6"), outSR="4326")
    assert [len(row["geometry"]["points"]) for row in sleepers] == [1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0]
    moved = rows(caller, address("Railway/FeatureServer/4"), outSR="4326")
    assert moved[4]["geometry"] == {"x": "NaN", "y": "NaN"}


def test_geodatabase_of_curves_holds_their_vertices(sandbox: Sandbox, caller: Caller, tmp_path: Path) -> None:
    """An export has every row of every layer but the group; curves became vertices, empty geometries none."""
    item = next(item for item in sandbox.org.items.values() if item.service == "Railway")
    path = exported(caller, item, tmp_path)
    kinds = dict(pyogrio.list_layers(path).tolist())
    assert kinds == {
        "Tracks": "MultiLineString",
        "Turntables": "MultiPolygon Z",
        "Signals": "Point Z",
        "Sleepers": "MultiPoint",
    }
    signals = pyogrio.read_arrow(path, layer="Signals")[1]["SHAPE"].to_pylist()
    assert [signal and len(signal) for signal in signals[:5]] == [5 + 4 * 8] * 4 + [None]  # X, Y, Z and M
    tracks = shapely.from_wkb(pyogrio.read_arrow(path, layer="Tracks")[1]["SHAPE"].to_pylist())
    assert sum(track is None for track in tracks) == 16
    assert sum(len(shapely.get_coordinates(track)) > 30 for track in tracks if track is not None) == 16
    turns = shapely.from_wkb(pyogrio.read_arrow(path, layer="Turntables")[1]["SHAPE"].to_pylist())
    assert all(turn.has_z and turn.area > 0 for turn in turns)


def test_editors_see_their_own_rows_only(sandbox: Sandbox, address: Address) -> None:
    """Owner and administrators see every row, others those that they made, with their attachments; nobody sees none."""
    url = address("Citizen_Reports/FeatureServer")
    layer = held(sandbox, "Citizen_Reports", 0)
    authors = [row["attributes"]["Creator"] for row in layer.features]
    seen: dict[str, list[dict[str, Any]]] = {}
    for username in ("planning.team", "city_admin", "field.crew", "h.larsen"):
        with Caller(sandbox, username) as caller:
            info = caller.get(url)["editorTrackingInfo"]
            assert (info["enableOwnershipAccessControl"], info["allowOthersToQuery"]) == (True, False)
            described = caller.get(f"{url}/0")
            assert described["editFieldsInfo"]["creatorField"] == "Creator"
            assert not described["ownershipBasedAccessControlForFeatures"]["allowOthersToQuery"]
            seen[username] = rows(caller, f"{url}/0")
            groups = caller.get(f"{url}/0/queryAttachments", definitionExpression="1=1")["attachmentGroups"]
            visible = {row["attributes"]["OBJECTID"] for row in seen[username]}
            assert {group["parentObjectId"] for group in groups} == visible & set(layer.attachments or {})
    assert len(seen["planning.team"]) == len(seen["city_admin"]) == 64
    assert {row["attributes"]["Creator"] for row in seen["field.crew"]} == {"field.crew"}
    assert len(seen["field.crew"]) == authors.count("field.crew") > 0
    assert seen["h.larsen"] == []
