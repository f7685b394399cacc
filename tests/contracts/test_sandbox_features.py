"""Hosted feature services of the practice portal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import shapely
from caller import Caller
from practice_town import FIELDS, TREE_COUNT, VIEW, global_id, town
from pyarrow import feather

from agolkit.sandbox import Sandbox
from agolkit.sandbox.organization import Layer, Service

Open = Callable[..., Sandbox]

# In a process of its own: before 0.13 pyogrio lets nothing else run while it reads, not even the practice portal.
READ_WITH_GDAL = """
import sys
import pyogrio
from pyarrow import feather
feather.write_feather(pyogrio.read_arrow(sys.argv[1])[1], sys.argv[2])
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(town()) as opened:
        yield opened


@pytest.fixture(scope="module")
def caller(sandbox: Sandbox) -> Iterator[Caller]:
    with Caller(sandbox, "ann") as signed_in:
        yield signed_in


@pytest.fixture(scope="module")
def trees(sandbox: Sandbox) -> str:
    """The address of the service `Trees`."""
    origin = sandbox.url.removesuffix("/portal")
    return f"{origin}/TownTownTownTown/arcgis/rest/services/Trees/FeatureServer"


def oaks(trees: str) -> str:
    return trees.replace("/Trees/", "/Oaks/")


def test_service_names_its_layers_and_tables(caller: Caller, trees: str) -> None:
    """The root lists layers and tables, `/layers` and the layers themselves describe them in full."""
    root = caller.get(trees)
    assert [(layer["id"], layer["name"]) for layer in root["layers"]] == [(0, "Trees"), (1, "Lots / 2024")]
    assert [table["name"] for table in root["tables"]] == ["Visits"]
    layers = caller.get(f"{trees}/layers")
    layer = caller.get(f"{trees}/0")
    assert layers["layers"][0] == layer
    assert layer["fields"] == FIELDS
    assert (layer["hasAttachments"], layer["hasZ"], layer["maxRecordCount"]) == (True, True, 1000)
    assert layers["tables"][0]["type"] == "Table"
    assert caller.get(f"{trees}/9")["error"]["message"] == "Invalid URL"


def test_pages_end_where_the_rows_end(caller: Caller, trees: str) -> None:
    """A page holds at most `maxRecordCount` rows and says when there are more."""
    seen: list[int] = []
    offset, more = 0, True
    while more:
        page = caller.get(
            f"{trees}/0/query",
            where="1=1",
            outFields="*",
            orderByFields="OBJECTID",
            resultOffset=offset,
            resultRecordCount=5000,
        )
        seen += [feature["attributes"]["OBJECTID"] for feature in page["features"]]
        offset, more = len(seen), page.get("exceededTransferLimit", False)
    assert seen == [number * 2 + 1 for number in range(TREE_COUNT)]
    answer = caller.get(f"{trees}/0/query", where="1=1", returnIdsOnly="true")
    assert answer == {"objectIdFieldName": "OBJECTID", "objectIds": seen}
    assert caller.get(f"{trees}/0/query", where="1=1", returnCountOnly="true") == {"count": TREE_COUNT}


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("1=1", 2500),
        ("kind = 'oak'", 834),
        ("kind <> 'oak'", 1666),
        ("kind = 'O''Neil''s elm'", 833),
        ("kind LIKE 'b%'", 833),
        ("UPPER(kind) LIKE 'BEE__'", 833),
        ("kind NOT LIKE '%e%'", 834),
        ("rings IS NULL", 500),
        ("rings IS NOT NULL AND kind IN ('oak', 'beech')", 1334),
        ("rings > 10", 1992),
        ("NOT rings > 10", 8),
        ("OBJECTID BETWEEN 3 AND 9", 4),
        ("OBJECTID NOT IN (1, 3, 5)", 2497),
        ("OBJECTID >= 4991 OR OBJECTID < 4", 7),
        ("(OBJECTID = 1 OR OBJECTID = 3) AND kind = 'oak'", 1),
        ("height <= 0.25", 3),
        ("height > -1", 2500),
        ("planted < TIMESTAMP '2020-09-13 12:30:00'", 4),
        ("planted >= DATE '2020-09-14'", 1806),
    ],
)
def test_where_clause(caller: Caller, trees: str, where: str, count: int) -> None:
    """The usual SQL works, and a comparison with a null finds nothing."""
    assert caller.get(f"{trees}/0/query", where=where, returnCountOnly="true") == {"count": count}


@pytest.mark.parametrize(
    "asked",
    [
        {"where": "colour = 1"},
        {"where": "kind = "},
        {"where": "kind = 'oak"},
        {"where": "kind < 5"},
        {"where": "1=1", "outFields": "colour"},
        {"where": "1=1", "orderByFields": "colour"},
        {"where": "1=1", "outSR": "banana"},
        {"objectIds": "1,x"},
        {},
    ],
)
def test_query_that_cannot_be_carried_out_is_an_error(caller: Caller, trees: str, asked: dict[str, str]) -> None:
    """Unknown fields and broken clauses are answered with code 400 inside HTTP 200."""
    answer = caller.raw(f"{trees}/0/query", params={"f": "json", **asked})
    assert answer.status_code == 200
    assert answer.json()["error"]["message"] == "Cannot perform query. Invalid query parameters."


def test_fields_ordinates_and_reference_are_as_asked(caller: Caller, trees: str) -> None:
    """Rows carry the fields asked for; Z only when asked for; coordinates in the reference asked for."""
    url = f"{trees}/0/query"
    plain = caller.get(url, objectIds="9", outFields="kind")
    assert plain["features"] == [
        {"attributes": {"OBJECTID": 9, "kind": "beech"}, "geometry": {"x": 7.004, "y": 50.004}}
    ]
    assert [field["name"] for field in plain["fields"]] == ["OBJECTID", "kind"]
    with_z = caller.get(url, objectIds="9", outFields="kind", returnZ="true")
    assert with_z["features"][0]["geometry"] == {"x": 7.004, "y": 50.004, "z": 2.0}
    mercator = caller.get(url, objectIds="9", outSR="102100")
    assert mercator["spatialReference"] == {"wkid": 102100, "latestWkid": 3857}
    assert mercator["features"][0]["geometry"]["x"] == pytest.approx(779681.7, abs=0.1)
    assert "geometry" not in caller.get(url, objectIds="9", returnGeometry="false")["features"][0]


def test_statistics_and_extent(caller: Caller, trees: str) -> None:
    """Smallest, largest, and number of a field are worked out by the service, and the extent."""
    asked = [
        {"statisticType": kind, "onStatisticField": "OBJECTID", "outStatisticFieldName": kind}
        for kind in ("min", "max", "count")
    ]
    answer = caller.get(f"{trees}/0/query", where="1=1", outStatistics=json.dumps(asked))
    assert answer["features"] == [{"attributes": {"min": 1, "max": 4999, "count": 2500}}]
    extent = caller.get(f"{trees}/0/query", where="OBJECTID <= 3", returnExtentOnly="true")["extent"]
    assert (extent["xmin"], extent["xmax"]) == (7, 7.001)


def test_attachments(caller: Caller, trees: str) -> None:
    """Attachments are listed for one row or for many, with pages, and their bytes come as they are."""
    url = f"{trees}/0"
    infos = caller.get(f"{url}/1/attachments")["attachmentInfos"]
    assert [(info["id"], info["name"], info["size"]) for info in infos] == [
        (1, "oak.jpg", 6),
        (2, "ärger & mehr.txt", 6),
    ]
    groups = caller.get(f"{url}/queryAttachments", definitionExpression="1=1", returnUrl="true")["attachmentGroups"]
    assert [(group["parentObjectId"], len(group["attachmentInfos"])) for group in groups] == [(1, 2), (3, 1), (7, 1)]
    assert groups[0]["parentGlobalId"] == global_id(0)
    assert caller.raw(groups[1]["attachmentInfos"][0]["url"]).content == bytes(range(256))
    assert len(caller.raw(f"{url}/7/attachments/3").content) == 3_000_000
    page = caller.get(f"{url}/queryAttachments", objectIds="1,3,7", resultOffset=1, resultRecordCount=2)
    assert [info["id"] for group in page["attachmentGroups"] for info in group["attachmentInfos"]] == [2, 4]
    assert page["exceededTransferLimit"]
    by_global_id = caller.get(f"{url}/queryAttachments", globalIds=global_id(3).strip("{}"))
    assert [group["parentObjectId"] for group in by_global_id["attachmentGroups"]] == [7]
    assert "error" in caller.get(f"{url}/queryAttachments")
    assert "error" in caller.get(f"{trees}/1/queryAttachments", definitionExpression="1=1")
    assert caller.get(f"{url}/1/attachments/99")["error"]["message"] == "Attachment not found."


def test_view_shows_some_rows_and_fields_of_its_source(caller: Caller, trees: str) -> None:
    """A view has its source's rows that fit its query, without the fields that it hides."""
    url = f"{oaks(trees)}/0"
    layer = caller.get(url)
    assert layer["isView"]
    assert "height" not in [field["name"] for field in layer["fields"]]
    rows = caller.get(f"{url}/query", where="1=1", outFields="*")["features"]
    assert {row["attributes"]["kind"] for row in rows} == {"oak"}
    assert "height" not in rows[0]["attributes"]
    assert "error" in caller.get(f"{url}/query", where="height > 1")
    groups = caller.get(f"{url}/queryAttachments", definitionExpression="1=1")["attachmentGroups"]
    assert [group["parentObjectId"] for group in groups] == [1, 7]


def test_definition_for_administrators(sandbox: Sandbox, caller: Caller, trees: str) -> None:
    """The administrator's definition of a view names its source and its query; others are refused."""
    admin = oaks(trees).replace("/rest/services", "/rest/admin/services")
    layer = caller.get(f"{admin}/0")
    assert layer["viewDefinitionQuery"] == "kind = 'oak'"
    assert layer["adminLayerInfo"]["viewLayerDefinition"]["sourceServiceName"] == "Trees"
    assert caller.get(admin)["layers"] == [layer]
    with Caller(sandbox, "eve") as eve:
        assert eve.get(f"{oaks(trees)}/0")["name"] == "Oaks"
        assert eve.get(f"{admin}/0")["error"]["code"] == 403


def test_service_is_as_private_as_its_item(open_sandbox: Open) -> None:
    """A service whose item is not shared is refused, with 499 or 403; when the item is deleted it is gone."""
    sandbox = open_sandbox(town())
    sandbox.org.items[VIEW].access = "private"
    with Caller(sandbox) as nobody, Caller(sandbox, "eve") as eve, Caller(sandbox, "ann") as ann:
        url = ann.get(f"content/items/{VIEW}")["url"]
        assert nobody.get(url)["error"]["code"] == 499
        assert eve.get(f"{url}/0/query", where="1=1")["error"]["code"] == 403
        assert ann.get(url)["layers"][0]["name"] == "Oaks"
        ann.post(f"content/users/ann/items/{VIEW}/delete", permanentDelete="true")
        assert ann.get(url)["error"]["message"] == "Invalid URL"
        assert "Oaks" not in sandbox.org.services


def test_geometries_are_cut_to_the_ordinates_asked_for(open_sandbox: Open) -> None:
    """Lines with Z and M answer two, three or four ordinates, as asked."""
    org = town()
    path = [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]
    feature = {"attributes": {"OBJECTID": 1}, "geometry": {"paths": [path]}}
    layer = Layer(
        0, "Lines", FIELDS[:1], [feature], "esriGeometryPolyline", has_z=True, has_m=True, global_id_field=None
    )
    org.services["Oaks"] = Service("Oaks", VIEW, [layer])
    with Caller(open_sandbox(org), "ann") as caller:
        url = caller.get(f"content/items/{VIEW}")["url"] + "/0/query"
        cuts = {("false", "false"): 2, ("true", "false"): 3, ("false", "true"): 3, ("true", "true"): 4}
        for (z, m), count in cuts.items():
            row = caller.get(url, where="1=1", returnZ=z, returnM=m)["features"][0]
            assert len(row["geometry"]["paths"][0][0]) == count
        row = caller.get(url, where="1=1", returnM="true")["features"][0]
        assert row["geometry"]["paths"] == [[[0.0, 1.0, 3.0], [4.0, 5.0, 7.0]]]


def test_gdal_reads_a_layer_page_by_page(sandbox: Sandbox, trees: str, tmp_path: Path) -> None:
    """GDAL's own reader of this protocol, which nobody here wrote, gets all rows over several pages."""
    asked = {
        "where": "1=1",
        "outFields": "*",
        "orderByFields": "OBJECTID",
        "resultRecordCount": 1000,
        "returnZ": "true",
        "f": "json",
        "token": sandbox.new_token("ann"),
    }
    sandbox.log.clear()
    subprocess.run(
        [sys.executable, "-c", READ_WITH_GDAL, f"ESRIJSON:{trees}/0/query?{urlencode(asked)}", tmp_path / "read"],
        env={**os.environ, "GDAL_CURL_CA_BUNDLE": str(sandbox.ca_bundle)},
        check=True,
    )
    table = feather.read_table(tmp_path / "read")
    truth = sandbox.org.services["Trees"].layers[0].features
    assert table["OBJECTID"].to_pylist() == [feature["attributes"]["OBJECTID"] for feature in truth]
    assert table["kind"].to_pylist() == [feature["attributes"]["kind"] for feature in truth]
    points = shapely.from_wkb(table["wkb_geometry"].to_pylist())
    assert [(point.x, point.y, point.z) for point in points] == [tuple(one["geometry"].values()) for one in truth]
    assert len([entry for entry in sandbox.log.entries if entry.path.endswith("/query")]) >= 3
