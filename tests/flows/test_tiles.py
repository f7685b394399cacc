"""Hosted tiles, vector tiles, imagery and scenes: saved by their package, by export, or not, with the reason."""

from __future__ import annotations

import io
import re
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hand_built import PASSWORD
from portals import connect
from saved import read_part

import agolkit as ak
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, Part, Result
from agolkit.sandbox import Fault, Sandbox, Settings
from agolkit.sandbox.organization import Bytes, Item, Mode, Organization, Service, User
from agolkit.sandbox.scenes import write_scene_package
from agolkit.sandbox.tile_cache import Tiles, count, write_package
from agolkit.store import Store

SERVICE, OTHER = "1" * 32, "2" * 32
HERE = (-9_990_000.0, 4_820_000.0, -9_970_000.0, 4_840_000.0)
TILES = Tiles(8, 12, HERE)
TYPES = {
    "Map Service": "MapServer",
    "Vector Tile Service": "VectorTileServer",
    "Image Service": "ImageServer",
    "Scene Service": "SceneServer",
    "3DTiles Service": "3DTilesServer",
}


def hosting(
    item_type: str = "Map Service",
    tiles: Tiles | None = TILES,
    *,
    mode: Mode = "online",
    capabilities: str = "Map,View,Query",
) -> Organization:
    """An organization with one hosted service."""
    org = Organization(id="0123456789abcdef", name="Smallville", url_key="small", mode=mode, admin="boss")
    org.add(
        User("boss", "The Boss", PASSWORD, "org_admin"),
        Item(SERVICE, "boss", item_type, "Roads", service="roads", type_keywords=["Hosted Service"]),
        Service("roads", SERVICE, capabilities=capabilities, server_type=TYPES[item_type], tiles=tiles),
    )
    return org


def related_item(org: Organization, item_type: str, data: bytes | None = None) -> None:
    """Add an item that the service was published from."""
    org.add(Item(OTHER, "boss", item_type, "Origin", name="roads.tpkx", data=Bytes(data) if data else None))
    org.items[OTHER].data_type = "application/zip"
    org.items[SERVICE].relations.append(("Service2Data", OTHER))


def backed_up(sandbox: Sandbox, folder: Path, **options: Any) -> tuple[Store, Outcome]:
    """The store after a backup, and what became of the service."""
    store = ak.open_store(folder / "store")
    ak.backup(connect(sandbox), store, ak.BackupOptions(**options))
    return store, next(outcome for outcome in read_outcomes(store, "latest") if outcome.item.id == SERVICE)


def payload(outcome: Outcome) -> Part:
    return next(part for part in outcome.parts if part.name in ("tiles", "source"))


def members(package: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(service: Service, folder: Path) -> bytes:
    """The package that an export of all tiles of a service makes."""
    path = folder / "packed"
    if service.server_type == "SceneServer":
        write_scene_package(path, service)
    else:
        assert service.tiles is not None
        write_package(path, service, range(30))
    return path.read_bytes()


def times_asked(sandbox: Sandbox, ending: str) -> int:
    return sum(entry.path.endswith(ending) for entry in sandbox.log.entries)


@pytest.mark.parametrize("mode", ["online", "enterprise"])
@pytest.mark.parametrize(
    ("item_type", "ending"), [("Map Service", "tpkx"), ("Image Service", "tpkx"), ("Vector Tile Service", "vtpk")]
)
def test_tiles_without_their_package_are_exported(mode: Mode, item_type: str, ending: str, tmp_path: Path) -> None:
    """All tiles come in one package, and the largest of each level is compared with the one that is served."""
    org = hosting(item_type, mode=mode)
    with Sandbox(org) as sandbox:
        store, outcome = backed_up(sandbox, tmp_path)
        assert set(org.items) == {SERVICE}
        assert not org.recycle_bin
    part = payload(outcome)
    assert members(read_part(store, outcome, part.path)) == members(packed(org.services["roads"], tmp_path))
    total = count(TILES, range(8, 13))
    assert outcome.result is Result.VERIFIED
    assert (part.name, part.path, part.reach) == ("tiles", f"tiles.{ending}", "content")
    assert part.proof.startswith(f"{total:,} tiles of levels 8 to 12")
    assert part.proof.endswith("5 of them compared with the service")
    assert "tiles of levels 8 to 12 are saved" in outcome.message


def test_the_package_that_is_still_there_is_taken(tmp_path: Path) -> None:
    """Nothing is exported of a service whose source package the portal has."""
    org = hosting()
    content = packed(org.services["roads"], tmp_path)
    related_item(org, "Compact Tile Package", content)
    with Sandbox(org) as sandbox:
        store, outcome = backed_up(sandbox, tmp_path)
        assert times_asked(sandbox, "/exportTiles") == 0
    with store.open_blob(payload(outcome).blob.sha256) as stream:
        assert stream.read() == content
    assert (outcome.result, payload(outcome).path) == (Result.VERIFIED, "source.tpkx")


@pytest.mark.parametrize(
    ("item_type", "tiles", "said"),
    [
        ("Map Service", Tiles(8, 12, HERE, export_allowed=False), "the owner can allow it in the item's settings"),
        ("Map Service", Tiles(0, 22, HERE, most_exported=10**8), "GB, more than max_tile_bytes (2.0 GB) allows"),
        ("Image Service", Tiles(0, 17, HERE, most_exported=50), "more than the service exports at once (50)"),
        ("Image Service", None, "it draws its pictures on request"),
        ("3DTiles Service", None, "services of this type cannot be exported"),
        ("Scene Service", None, "the service cannot be exported"),
    ],
)
def test_what_cannot_be_exported_is_partial_with_the_reason(
    item_type: str, tiles: Tiles | None, said: str, tmp_path: Path
) -> None:
    """Why the tiles are not saved is said in plain words, and no export is begun."""
    with Sandbox(hosting(item_type, tiles)) as sandbox:
        _, outcome = backed_up(sandbox, tmp_path)
        assert times_asked(sandbox, "/exportTiles") == times_asked(sandbox, "/export") == 0
    assert outcome.result is Result.PARTIAL
    assert outcome.message.startswith("data: no package saved, and ")
    assert said in outcome.message


@pytest.mark.parametrize("mode", ["online", "enterprise"])
def test_a_job_that_fails_is_begun_again_and_then_said(mode: Mode, tmp_path: Path) -> None:
    """The server's own words stand in the message."""
    with Sandbox(hosting(mode=mode), Settings(failing_exports={SERVICE})) as sandbox:
        _, outcome = backed_up(sandbox, tmp_path, attempts=2)
        assert times_asked(sandbox, "/exportTiles") == 2
    assert outcome.result is Result.PARTIAL
    assert "Failed to execute (Manage Map Server Cache Tiles)." in outcome.message


def test_too_many_vector_tiles_are_said_in_the_words_of_the_server(tmp_path: Path) -> None:
    """A vector tile service gives no estimate; its job says what is wrong, once; what helps is said."""
    with Sandbox(hosting("Vector Tile Service", Tiles(0, 12, HERE, most_exported=3))) as sandbox:
        _, outcome = backed_up(sandbox, tmp_path)
        assert times_asked(sandbox, "/exportTiles") == 1
    assert outcome.result is Result.PARTIAL
    assert "exceeds the maximum allowed number of tiles(3)" in outcome.message
    assert "The owner can raise the number of tiles" in outcome.message


def test_a_job_that_never_ends_is_given_up(tmp_path: Path) -> None:
    """After `export_timeout` seconds the tiles are not waited for any longer."""
    with Sandbox(hosting(), Settings(export_seconds=3600)) as sandbox:
        _, outcome = backed_up(sandbox, tmp_path, attempts=1, export_timeout=0.4)
    assert outcome.result is Result.PARTIAL
    assert "was not done after 0 seconds; the server's last word was 'esriJobExecuting'" in outcome.message


def test_stopping_the_run_ends_the_wait_for_a_job(tmp_path: Path) -> None:
    """The item whose tiles are waited for is stopped, and the run ends in good order."""
    cancel = threading.Event()
    with Sandbox(hosting("Vector Tile Service"), Settings(export_seconds=3600)) as sandbox:
        sandbox.faults.add(Fault("/jobs/", action=cancel.set))
        store = ak.open_store(tmp_path / "store")
        summary = ak.backup(connect(sandbox), store, cancel=cancel)
    assert (summary.state, summary.counts[Result.STOPPED]) == ("stopped", 1)


def test_without_an_estimate_the_download_is_bounded(tmp_path: Path) -> None:
    """Tiles whose size the service cannot tell are fetched up to `max_tile_bytes`, and not asked for again."""
    with Sandbox(hosting()) as sandbox:
        sandbox.faults.add(Fault("/estimateExportTilesSize", body={"error": {"code": 400, "message": "No."}}))
        _, saved = backed_up(sandbox, tmp_path / "large enough")
        _, outcome = backed_up(sandbox, tmp_path / "too small", max_tile_bytes=100_000)
        assert times_asked(sandbox, "/exportTiles") == 2
    assert saved.result is Result.VERIFIED
    assert outcome.result is Result.PARTIAL
    assert "more than max_tile_bytes (100 KB) allows" in outcome.message


@pytest.mark.parametrize("item_type", ["Map Service", "Vector Tile Service"])
def test_a_package_of_another_service_is_not_accepted(item_type: str, tmp_path: Path) -> None:
    """Sound tiles of the same levels, but of another place, are not taken for those of this service."""
    elsewhere = Service("sea", OTHER, server_type=TYPES[item_type], tiles=Tiles(8, 12, (0.0, 0.0, 20_000.0, 20_000.0)))
    with Sandbox(hosting(item_type)) as sandbox:
        sandbox.faults.add(Fault("^/exports/", body=packed(elsewhere, tmp_path)))
        _, outcome = backed_up(sandbox, tmp_path, attempts=2)
        assert times_asked(sandbox, "/exportTiles") == 2
    assert outcome.result is Result.PARTIAL
    assert "the package is of another service" in outcome.message


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/jobs/[^/]+$", {"jobStatus": "esriJobSucceeded", "output": "x"}, "result of the export"),
        ("/jobs/[^/]+$", {"jobStatus": "esriJobSucceeded", "results": {"a": {}}}, "result of the export"),
        ("/jobs/[^/]+$", {"jobStatus": "esriJobSucceeded", "output": {"outputUrl": "https://[x.tpkx"}}, "result"),
        ("/jobs/[^/]+$", {"jobStatus": "esriJobSucceeded", "messages": 5}, "state of the export"),
        ("/MapServer$", {"tileInfo": {"lods": [{}]}}, "description of the service"),
    ],
)
def test_answers_in_an_unknown_form_are_said(tmp_path: Path, path: str, body: object, said: str) -> None:
    """What cannot be understood is named as the service's doing."""
    with Sandbox(hosting()) as sandbox:
        sandbox.faults.add(Fault("/estimateExportTilesSize", body={"error": {"code": 400, "message": "No."}}))
        sandbox.faults.add(Fault(path, body=body))
        _, outcome = backed_up(sandbox, tmp_path, attempts=1, export_timeout=0.5)
    assert outcome.result is Result.PARTIAL
    assert re.search(f"{said}.* in an unknown form", outcome.message)


@pytest.mark.parametrize("address", ["http://169.254.169.254/a.tpkx", "file:///etc/a.tpkx", "a.tpkx"])
def test_a_package_is_fetched_over_https_only(tmp_path: Path, address: str) -> None:
    """Whatever address a service gives out, nothing is read but over a connection that is proven."""
    job = {"jobStatus": "esriJobSucceeded", "output": {"outputUrl": [address]}}
    with Sandbox(hosting()) as sandbox:
        sandbox.faults.add(Fault("/jobs/[^/]+$", body=job))
        _, outcome = backed_up(sandbox, tmp_path, attempts=1, connect_timeout=0.5)
    assert outcome.result is Result.PARTIAL
    assert address.partition("//")[2] in outcome.message


def test_levels_that_the_package_lacks_are_missing(tmp_path: Path) -> None:
    """A package of some of the levels is kept, and the item says which others the service has."""
    org = hosting()
    few = tmp_path / "few"
    write_package(few, org.services["roads"], range(8, 11))
    with Sandbox(org) as sandbox:
        sandbox.faults.add(Fault("^/exports/", body=few.read_bytes()))
        _, outcome = backed_up(sandbox, tmp_path)
    assert (outcome.result, payload(outcome).path) == (Result.PARTIAL, "tiles.tpkx")
    assert "tiles of levels 11 to 12: the service has them, the package does not" in outcome.message


def test_tiles_that_are_packed_anew_are_accepted_by_their_extent(tmp_path: Path) -> None:
    """Where the served tiles differ from those packed, the check reaches only as far as the package's own words."""
    with Sandbox(hosting()) as sandbox:
        sandbox.faults.add(Fault("/tile/10/", body=b"drawn anew"))
        _, outcome = backed_up(sandbox, tmp_path)
    assert (outcome.result, payload(outcome).reach) == (Result.VERIFIED, "parsed")
    assert payload(outcome).proof.endswith(", by their extent")


def test_a_cut_package_is_not_accepted(tmp_path: Path) -> None:
    """A zip without its end is fetched anew, and in the end not saved."""
    org = hosting()
    with Sandbox(org) as sandbox:
        sandbox.faults.add(Fault("^/exports/", body=packed(org.services["roads"], tmp_path)[:-500]))
        _, outcome = backed_up(sandbox, tmp_path, attempts=2)
    assert outcome.result is Result.PARTIAL
    assert "the zip is damaged" in outcome.message


def test_a_transfer_that_breaks_is_begun_again(tmp_path: Path) -> None:
    """The same package is fetched once more, without another job."""
    with Sandbox(hosting()) as sandbox:
        sandbox.faults.add(Fault("^/exports/", cut_after=50_000, times=1))
        _, outcome = backed_up(sandbox, tmp_path)
        assert times_asked(sandbox, "/exportTiles") == 1
    assert outcome.result is Result.VERIFIED


def test_the_cloud_store_gets_no_token(tmp_path: Path) -> None:
    """The package lies on a host that is not the portal's own."""
    with Sandbox(hosting()) as sandbox:
        backed_up(sandbox, tmp_path)
        fetched = [entry for entry in sandbox.log.entries if entry.path.startswith("/exports/")]
    assert [(entry.host.partition(":")[0], entry.signed_in) for entry in fetched] == [("localhost", False)]


def test_exports_of_tiles_wait_for_one_another(tmp_path: Path) -> None:
    """No more packages are in the making at once than `exports` allows."""
    org = hosting()
    org.add(Item(OTHER, "boss", "Map Service", "Rails", service="rails", type_keywords=["Hosted Service"]))
    org.add(Service("rails", OTHER, server_type="MapServer", tiles=TILES))
    with Sandbox(org) as sandbox:
        backed_up(sandbox, tmp_path, exports=1)
        paths = [entry.path for entry in sandbox.log.entries]
    steps = [path.rsplit("/", 1)[1] for path in paths if path.endswith(("/exportTiles", ".tpkx"))]
    assert steps in (
        ["exportTiles", "roads.tpkx", "exportTiles", "rails.tpkx"],
        ["exportTiles", "rails.tpkx", "exportTiles", "roads.tpkx"],
    )


@pytest.mark.parametrize(
    ("types", "said"),
    [([], "which this run saves too"), (["Map Service"], "which this run leaves out")],
)
def test_tiles_of_a_feature_layer_say_so(types: list[str], said: str, tmp_path: Path) -> None:
    """They can be published again from the layer, but are not saved by that."""
    org = hosting(tiles=Tiles(8, 12, HERE, export_allowed=False))
    related_item(org, "Feature Service")
    with Sandbox(org) as sandbox:
        _, outcome = backed_up(sandbox, tmp_path, types=types)
    assert outcome.result is Result.PARTIAL
    assert f"it was published from the feature layer 'Origin', {said}" in outcome.message


def test_a_scene_is_exported_and_the_export_item_deleted(tmp_path: Path) -> None:
    """The portal makes a Scene Package of it, which stays nowhere but in the store."""
    org = hosting("Scene Service", None, capabilities="View,Query,Extract")
    with Sandbox(org) as sandbox:
        store, outcome = backed_up(sandbox, tmp_path)
        assert set(org.items) == {SERVICE}
        assert not org.recycle_bin
    part = payload(outcome)
    assert members(read_part(store, outcome, part.path)) == members(packed(org.services["roads"], tmp_path))
    assert (outcome.result, part.path, part.reach) == (Result.VERIFIED, "tiles.slpk", "parsed")


@pytest.mark.parametrize(
    ("item_type", "tiles", "said"),
    [
        ("Scene Service", None, "the package is of another scene"),
        ("Map Service", TILES, "the package holds no 3dSceneLayer.json"),
    ],
)
def test_a_package_of_another_scene_is_not_accepted(
    item_type: str, tiles: Tiles | None, said: str, tmp_path: Path
) -> None:
    """Neither another scene nor another zip is kept, and no export item is left."""
    org = hosting("Scene Service", None, capabilities="View,Query,Extract")
    other = Service("sea", OTHER, server_type=TYPES[item_type], tiles=tiles)
    with Sandbox(org) as sandbox:
        sandbox.faults.add(Fault("/data$", body=packed(other, tmp_path), skip=1))
        _, outcome = backed_up(sandbox, tmp_path, attempts=1)
        assert set(org.items) == {SERVICE}
    assert outcome.result is Result.PARTIAL
    assert said in outcome.message
