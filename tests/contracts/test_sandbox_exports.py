"""Export jobs of the practice portal, and the files that they make."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyogrio
import pytest
from caller import Caller
from practice_town import FILE, TREE_COUNT, TREES, VIEW, global_id, town

from agolkit.sandbox import Sandbox

Open = Callable[..., Sandbox]


def start(
    caller: Caller, *, item: str = TREES, owner: str = "ann", form: str = "File Geodatabase", **more: str
) -> dict[str, Any]:
    return caller.post(f"content/users/{owner}/export", itemId=item, exportFormat=form, title="Trees copy", **more)


def geodatabase(caller: Caller, job: dict[str, Any], folder: Path) -> Path:
    """Wait for a job and save what it made."""
    assert caller.wait_for("ann", job)["status"] == "completed"
    path = folder / "export.gdb.zip"
    path.write_bytes(caller.raw(f"content/items/{job['exportItemId']}/data").content)
    return path


def test_geodatabase_holds_all_rows_and_attachments(open_sandbox: Open, tmp_path: Path) -> None:
    """The result is a real file geodatabase: every layer and table, ids as in the service, bytes of the attachments."""
    sandbox = open_sandbox(town())
    with Caller(sandbox, "ann") as caller:
        path = geodatabase(caller, start(caller, tags="copy, temporary"), tmp_path)
    names = dict(pyogrio.list_layers(path).tolist())
    assert names == {"Trees": "Point Z", "Trees__ATTACH": None, "Lots___2024": "MultiPolygon", "Visits": None}
    meta, trees = pyogrio.read_arrow(path, layer="Trees", return_fids=True)
    truth = sandbox.org.services["Trees"].layers[0]
    assert meta["crs"] == "EPSG:4326"
    assert meta["fid_column"] == "OBJECTID"
    rows = trees.to_pylist()
    assert len(rows) == TREE_COUNT
    for name in ("OBJECTID", "GlobalID", "kind", "height", "rings"):
        assert [row[name] for row in rows] == [feature["attributes"][name] for feature in truth.features]
    attached = pyogrio.read_arrow(path, layer="Trees__ATTACH", return_fids=True)[1].to_pylist()
    expected = {
        one.id: (one.name, b"".join(one.payload.chunks()), global_id((oid - 1) // 2), one.global_id)
        for oid, some in (truth.attachments or {}).items()
        for one in some
    }
    assert {
        row["ATTACHMENTID"]: (row["ATT_NAME"], row["DATA"], row["REL_GLOBALID"], row["GLOBALID"]) for row in attached
    } == expected
    lots = pyogrio.read_dataframe(path, layer="Lots___2024")
    assert [lot is None for lot in lots.geometry] == [False, True]
    assert lots.geometry[0].area == 96 + 50
    assert len(lots.geometry[0].geoms[0].interiors) == 1


def test_geodatabase_keeps_the_names_of_fields_for_people(open_sandbox: Open, tmp_path: Path) -> None:
    """Aliases of fields travel along."""
    with Caller(open_sandbox(town()), "ann") as caller:
        path = geodatabase(caller, start(caller), tmp_path)
    schema = pyogrio.read_arrow(path, layer="Trees")[1].schema
    assert schema.field("kind").metadata[b"GDAL:OGR:alternative_name"] == b"Kind of tree"


def test_view_exports_the_rows_that_it_shows(open_sandbox: Open, tmp_path: Path) -> None:
    """A view's export leaves hidden rows out; hidden fields only where that is asked for."""
    with Caller(open_sandbox(town()), "ann") as caller:
        path = geodatabase(caller, start(caller, item=VIEW), tmp_path)
        rows = pyogrio.read_arrow(path, layer="Oaks")[1]
        assert set(rows["kind"].to_pylist()) == {"oak"}
        assert rows.num_rows == 834
        assert "height" in rows.column_names
        assert pyogrio.read_info(path, layer="Oaks__ATTACH")["features"] == 3
        job = start(caller, item=VIEW, exportParameters='{"enforceFieldVisibility": true}')
        assert "height" not in pyogrio.read_arrow(geodatabase(caller, job, tmp_path), layer="Oaks")[1].column_names


def test_parameters_choose_layers_and_rows(open_sandbox: Open, tmp_path: Path) -> None:
    """`exportParameters` limits a job to some layers, and to the rows of a query."""
    with Caller(open_sandbox(town()), "ann") as caller:
        job = start(caller, exportParameters='{"layers": [{"id": 0, "where": "OBJECTID <= 9"}]}')
        path = geodatabase(caller, job, tmp_path)
        assert pyogrio.list_layers(path)[:, 0].tolist() == ["Trees", "Trees__ATTACH"]
        assert pyogrio.read_arrow(path, layer="Trees")[1].num_rows == 5
        assert "error" in start(caller, exportParameters="{")


@pytest.mark.parametrize(
    ("form", "item_type", "ending"),
    [
        ("CSV", "CSV", ".csv"),
        ("GeoJson", "GeoJson", ".geojson"),
        ("Shapefile", "Shapefile", ".shp"),
        ("geoPackage", "GeoPackage", ".gpkg"),
        ("Excel", "Microsoft Excel", ".xlsx"),
    ],
)
def test_other_formats(open_sandbox: Open, tmp_path: Path, form: str, item_type: str, ending: str) -> None:
    """The other formats hold the rows too; several files come as one zip."""
    with Caller(open_sandbox(town()), "ann") as caller:
        job = start(caller, item=VIEW, form=form)
        assert caller.wait_for("ann", job)["status"] == "completed"
        item = caller.get(f"content/items/{job['exportItemId']}")
        content = caller.raw(f"content/items/{job['exportItemId']}/data").content
    assert (item["type"], item["size"]) == (item_type, len(content))
    if zipfile.is_zipfile(io.BytesIO(content)) and ending != ".xlsx":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            archive.extractall(tmp_path)
    else:
        (tmp_path / f"Oaks{ending}").write_bytes(content)
    assert pyogrio.read_arrow(next(tmp_path.glob(f"*{ending}")))[1].num_rows == 834


def test_export_item_is_a_real_item_that_is_processing_first(open_sandbox: Open) -> None:
    """The result stands in the owner's root at once, without data while the job runs, and with its size afterwards."""
    sandbox = open_sandbox(town(), export_seconds=3600)
    with Caller(sandbox, "chief") as chief:
        job = start(chief, tags="copy, temporary")
        assert set(job) == {"type", "size", "jobId", "exportItemId", "serviceItemId", "exportFormat"}
        item = chief.get("content/users/ann", num=100)["items"][-1]
        assert (item["id"], item["owner"], item["type"]) == (job["exportItemId"], "ann", "File Geodatabase")
        assert item["tags"] == ["copy", "temporary"]
        status = chief.get(f"content/users/ann/items/{item['id']}/status", jobType="export", jobId=job["jobId"])
        assert status == {"status": "processing", "statusMessage": "processing", "itemId": item["id"]}
        assert "error" in chief.get(f"content/items/{item['id']}/data")
        sandbox.settings.export_seconds = 0
        assert chief.wait_for("ann", job)["status"] == "completed"
        assert chief.get(f"content/items/{item['id']}")["size"] == sandbox.org.items[item["id"]].data.size  # type: ignore[union-attr]
        chief.post(f"content/users/ann/items/{item['id']}/delete", permanentDelete="true")
        assert set(sandbox.org.items) == set(town().items)
        assert not sandbox.org.recycle_bin


def test_jobs_wait_in_line(open_sandbox: Open) -> None:
    """Only so many jobs run at once; a job that waits is processing too, and has its turn when another ends."""
    sandbox = open_sandbox(town(), max_export_jobs=1, export_seconds=3600)
    with Caller(sandbox, "ann") as caller:
        first, second = start(caller), start(caller, item=VIEW)
        assert (sandbox.running_jobs, sandbox.waiting_jobs) == (1, 1)
        path = f"content/users/ann/items/{second['exportItemId']}/status"
        assert caller.get(path, jobId=second["jobId"])["status"] == "processing"
        sandbox.settings.export_seconds = 0
        assert caller.wait_for("ann", first)["status"] == "completed"
        assert caller.wait_for("ann", second)["status"] == "completed"


def test_job_can_fail(open_sandbox: Open) -> None:
    """A failed job says so, and leaves its item behind, without data."""
    with Caller(open_sandbox(town(), failing_exports={TREES}), "ann") as caller:
        job = start(caller)
        status = caller.wait_for("ann", job)
        assert status["status"] == "failed"
        assert "Export failed" in status["statusMessage"]
        assert caller.get(f"content/items/{job['exportItemId']}")["size"] == 0
        assert "error" in caller.get(f"content/items/{job['exportItemId']}/data")


def test_only_owner_and_administrators_export(open_sandbox: Open) -> None:
    """Others are refused with 403, under the owner's name and, where the layer does not allow it, under their own."""
    sandbox = open_sandbox(town())
    with Caller(sandbox, "eve") as eve:
        assert start(eve)["error"]["code"] == 403
        sandbox.org.services["Trees"].capabilities = "Query"
        assert start(eve, owner="eve")["error"]["code"] == 403
        sandbox.org.services["Trees"].capabilities = "Query,Extract"
        assert start(eve, owner="eve")["exportFormat"] == "File Geodatabase"


def test_what_cannot_be_exported_is_refused(open_sandbox: Open) -> None:
    """Items that are no hosted services, unknown formats, and GET are errors."""
    with Caller(open_sandbox(town()), "chief") as caller:
        assert "error" in start(caller, item=FILE, owner="bob")
        assert "error" in start(caller, form="Stone tablet")
        assert caller.get("content/users/ann/export", itemId=TREES)["error"]["code"] == 405
