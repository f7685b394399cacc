"""Hosted tiles and scenes of the practice portal: what they serve, and the packages that exports make."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from caller import Caller
from practice_town import town

from agolkit.sandbox import Sandbox
from agolkit.sandbox.organization import Item, Organization, Service
from agolkit.sandbox.tile_cache import Tiles

Open = Callable[..., Sandbox]
MAP, VECTOR, IMAGES, SCENE, LOCKED, SMALL, DRAWN = (letter * 32 for letter in "abcdef7")
PLACE = (700_000.0, 6_400_000.0, 740_000.0, 6_440_000.0)


def tiled_town(mode: str = "online") -> Organization:
    """The town with hosted tiles, vector tiles, imagery and a scene."""
    org = town(mode)  # type: ignore[arg-type]
    for item_id, item_type, server, tiles in (
        (MAP, "Map Service", "MapServer", Tiles(2, 9, PLACE)),
        (VECTOR, "Vector Tile Service", "VectorTileServer", Tiles(0, 8, PLACE)),
        (IMAGES, "Image Service", "ImageServer", Tiles(4, 9, PLACE)),
        (LOCKED, "Map Service", "MapServer", Tiles(2, 9, PLACE, export_allowed=False)),
        (SMALL, "Map Service", "MapServer", Tiles(2, 9, PLACE, most_exported=3)),
        (DRAWN, "Image Service", "ImageServer", None),
        (SCENE, "Scene Service", "SceneServer", None),
    ):
        org.add(Item(item_id, "ann", item_type, f"Tiles {item_id[0]}", service=item_id[0], access="private"))
        org.add(Service(item_id[0], item_id, server_type=server, capabilities="View,Query,Extract", tiles=tiles))
    return org


def address(sandbox: Sandbox, item_id: str) -> str:
    with Caller(sandbox, "ann") as caller:
        return str(caller.get(f"content/items/{item_id}")["url"])


def ended(caller: Caller, url: str, operation: str, **params: str) -> dict[str, Any]:
    """A job of a service, begun and waited for."""
    job = caller.get(f"{url}/{operation}", **params)["jobId"]
    while True:
        answer = caller.get(f"{url}/jobs/{job}")
        if answer["jobStatus"] in ("esriJobSucceeded", "esriJobFailed"):
            return answer


def package_of(caller: Caller, url: str, **params: str) -> dict[str, bytes]:
    """The members of the package that an export makes, in either mode."""
    job = ended(caller, url, "exportTiles", **params)
    if "output" in job:
        where = job["output"]["outputUrl"][0]
    else:
        result = caller.get(f"{url}/jobs/{job['jobId']}/{job['results']['out_service_url']['paramUrl']}")
        where = caller.get(result["value"])["files"][0]["url"]
    with zipfile.ZipFile(io.BytesIO(caller.raw(where).content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def tiles_in(bundle: bytes) -> dict[tuple[int, int], bytes]:
    """(row, column) within a bundle, and the bytes of each tile, as the description of the format has it."""
    version, records, longest = struct.unpack_from("<3I", bundle)
    assert (version, records, struct.unpack_from("<Q", bundle, 24)[0]) == (3, 128 * 128, len(bundle))
    found = {}
    for at in range(records):
        (entry,) = struct.unpack_from("<Q", bundle, 64 + 8 * at)
        offset, size = entry % 2**40, entry // 2**40
        if size:
            assert struct.unpack_from("<I", bundle, offset - 4) == (size,)
            found[divmod(at, 128)] = bundle[offset : offset + size]
    assert max(map(len, found.values())) == longest
    return found


@pytest.mark.parametrize("mode", ["online", "enterprise"])
def test_an_exported_tile_is_a_served_tile(open_sandbox: Open, mode: str) -> None:
    """Every tile of the package is, byte for byte, what the service answers for it."""
    sandbox = open_sandbox(tiled_town(mode))
    url = address(sandbox, MAP)
    with Caller(sandbox, "ann") as caller:
        members = package_of(caller, url, levels="2-4,9", tilePackage="true")
        root = json.loads(members["root.json"])
        assert (root["minLOD"], root["maxLOD"]) == (2, 9)
        assert root["storageInfo"] == {"storageFormat": "esriMapCacheStorageModeCompactV2", "packetSize": 128}
        bundles = {name: content for name, content in members.items() if name.endswith(".bundle")}
        assert {name.split("/")[1] for name in bundles} == {"L02", "L03", "L04", "L09"}
        for name, content in bundles.items():
            level, first = name.split("/")[1][1:], name.rsplit("/", 1)[1].removesuffix(".bundle")
            first_row, first_column = (int(part, 16) for part in first[1:].split("C"))
            for (row, column), tile in tiles_in(content).items():
                served = caller.raw(f"{url}/tile/{int(level)}/{first_row + row}/{first_column + column}")
                assert served.content == tile
                assert served.headers["Content-Type"] == "image/png"


def test_a_vector_tile_package_holds_compressed_tiles_and_the_style(open_sandbox: Open) -> None:
    """Vector tiles are packed as they are kept, and served with their encoding named."""
    sandbox = open_sandbox(tiled_town())
    url = address(sandbox, VECTOR)
    with Caller(sandbox, "ann") as caller:
        members = package_of(caller, url)
        style = caller.get(f"{url}/resources/styles/root.json")
        served = caller.raw(f"{url}/tile/0/0/0.pbf")
    assert json.loads(members["p12/resources/styles/root.json"]) == style
    (tile,) = tiles_in(members["p12/tile/L00/R0000C0000.bundle"]).values()
    assert (served.headers["Content-Encoding"], served.content) == ("gzip", gzip.decompress(tile))
    assert len([name for name in members if name.endswith(".bundle")]) == 9


def test_what_a_service_says_of_its_tiles(open_sandbox: Open) -> None:
    """The root has the tiling scheme, the levels that have tiles, and whether they may be exported."""
    sandbox = open_sandbox(tiled_town())
    with Caller(sandbox, "ann") as caller:
        roots = {one: caller.get(address(sandbox, one)) for one in (MAP, VECTOR, IMAGES, LOCKED, DRAWN)}
    assert [root["exportTilesAllowed"] for root in roots.values()] == [True, True, True, False, False]
    assert [(root.get("minLOD"), root.get("maxLOD")) for root in roots.values()] == [
        (2, 9),
        (0, 8),
        (4, 9),
        (2, 9),
        (None, None),
    ]
    assert len(roots[MAP]["tileInfo"]["lods"]) == 24
    assert (roots[MAP]["tileInfo"]["rows"], roots[VECTOR]["tileInfo"]["rows"]) == (256, 512)
    assert "tileInfo" not in roots[DRAWN]


@pytest.mark.parametrize("mode", ["online", "enterprise"])
def test_an_estimate_counts_the_tiles(open_sandbox: Open, mode: str) -> None:
    """ArcGIS Online tells it in the job, ArcGIS Enterprise in its result."""
    sandbox = open_sandbox(tiled_town(mode))
    url = address(sandbox, MAP)
    with Caller(sandbox, "ann") as caller:
        job = ended(caller, url, "estimateExportTilesSize", levels="2-3")
        if mode == "online":
            told = job["estimatedNumTiles"], job["estimatedTilesSize"]
        else:
            value = caller.get(f"{url}/jobs/{job['jobId']}/results/out_service_url")["value"]
            told = value["totalTilesToExport"], value["totalSize"]
    assert told[0] == 2
    assert told[1] > 2 * 100


def test_what_may_not_be_exported_is_refused(open_sandbox: Open) -> None:
    """Without the owner's leave nothing begins, nor where there are no tiles; too many tiles make the job fail."""
    sandbox = open_sandbox(tiled_town())
    with Caller(sandbox, "chief") as caller:
        for item_id in (LOCKED, DRAWN):
            assert caller.get(f"{address(sandbox, item_id)}/exportTiles")["error"]["code"] == 400
        job = ended(caller, address(sandbox, SMALL), "exportTiles", levels="2-9")
        assert "ERROR 001564" in job["message"]
        assert "output" not in job
        assert caller.get(f"{address(sandbox, VECTOR)}/estimateExportTilesSize")["error"]["message"] == "Invalid URL"
        assert caller.get(f"{address(sandbox, MAP)}/exportTiles", levels="a-b")["error"]["code"] == 400
        assert caller.raw(f"{address(sandbox, MAP)}/tile/2/0/0").status_code == 404


def test_tiles_of_others_are_not_seen(open_sandbox: Open) -> None:
    """A private service serves and exports nothing to others; the job of another service is not told."""
    sandbox = open_sandbox(tiled_town())
    url = address(sandbox, MAP)
    with Caller(sandbox, "ann") as caller:
        job = ended(caller, url, "exportTiles")
        assert "not found" in caller.get(f"{address(sandbox, IMAGES)}/jobs/{job['jobId']}")["error"]["message"]
    with Caller(sandbox, "bob") as caller:
        for path in ("", "/exportTiles", "/tile/2/1/2", f"/jobs/{job['jobId']}"):
            assert caller.get(url + path)["error"]["code"] == 403


def test_a_signed_address_ends(open_sandbox: Open) -> None:
    """The address of a package needs no token, and is good for a while only."""
    sandbox = open_sandbox(tiled_town(), redirect_seconds=-1)
    with Caller(sandbox, "ann") as caller:
        job = ended(caller, address(sandbox, MAP), "exportTiles", levels="2")
    where = job["output"]["outputUrl"][0]
    with Caller(sandbox) as nobody:
        assert nobody.raw(where).status_code == 403
        sandbox.settings.redirect_seconds = 60
        with Caller(sandbox, "ann") as caller:
            again = caller.get(f"{address(sandbox, MAP)}/jobs/{job['jobId']}")["output"]["outputUrl"][0]
        assert nobody.raw(again).status_code == 200
        assert nobody.raw(again.replace("signature=", "signature=0")).status_code == 403


def test_a_scene_is_exported_as_what_it_serves(open_sandbox: Open) -> None:
    """The package holds the layer, the nodes and the geometry that the service answers."""
    sandbox = open_sandbox(tiled_town())
    url = address(sandbox, SCENE)
    with Caller(sandbox, "ann") as caller:
        job = caller.post("content/users/ann/export", itemId=SCENE, exportFormat="Scene Package", title="Copy")
        assert caller.wait_for("ann", job)["status"] == "completed"
        assert caller.get(f"content/items/{job['exportItemId']}")["type"] == "Scene Package"
        content = caller.raw(f"content/items/{job['exportItemId']}/data").content
        layer, nodes = caller.get(f"{url}/layers/0"), caller.get(f"{url}/layers/0/nodepages/0")
        geometry = caller.raw(f"{url}/layers/0/nodes/0/geometries/0").content
        assert caller.get(url)["layers"] == [layer]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert json.loads(gzip.decompress(members["3dSceneLayer.json.gz"])) == layer
    assert json.loads(gzip.decompress(members["nodepages/0.json.gz"])) == nodes
    assert gzip.decompress(members["nodes/0/geometries/0.bin.gz"]) == geometry


def test_a_scene_without_extract_is_not_exported(open_sandbox: Open) -> None:
    """Not even for its owner, and in no other format either."""
    org = tiled_town()
    sandbox = open_sandbox(org)
    with Caller(sandbox, "ann") as caller:
        asked = {"itemId": SCENE, "title": "Copy"}
        other = caller.post("content/users/ann/export", exportFormat="File Geodatabase", **asked)
        org.services["d"].capabilities = "View,Query"
        scene = caller.post("content/users/ann/export", exportFormat="Scene Package", **asked)
    assert other["error"]["code"] == scene["error"]["code"] == 400
