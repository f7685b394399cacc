"""Hosted tile, vector tile, image and scene services: what they serve, and the export of tiles as a package.

An export is a job of the service. Its package lies on the server for a while, and no item is made in the portal.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response
from starlette.routing import Route

from agolkit.sandbox.access import find_service
from agolkit.sandbox.answers import Json, ServiceError
from agolkit.sandbox.call import Call, route
from agolkit.sandbox.export import Stored
from agolkit.sandbox.layers import VERSION
from agolkit.sandbox.organization import Item, Service
from agolkit.sandbox.scenes import describe_scene_layer, geometry, node_page
from agolkit.sandbox.state import State, now
from agolkit.sandbox.tile_cache import RESOURCE_INFO, Tiles, cells, count, extent, style, tile, tile_info, write_package
from agolkit.sandbox.transfer import send_payload


def _nothing_here() -> ServiceError:
    return ServiceError(400, "Invalid URL", details=["Invalid URL"])


class _TileServer(Convertor[str]):
    """The types of service that this room answers for."""

    regex = "MapServer|VectorTileServer|ImageServer|SceneServer"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("tile_server", _TileServer())


@dataclass(frozen=True)
class TileJob:
    """A job of a service. It is done when its package is made and its time is over."""

    id: str
    service: Service
    levels: tuple[int, ...]
    submitted: int
    began: float
    package: Path | None
    """`None`: the job is an estimate."""
    error: str = ""
    packing: asyncio.Future[None] | None = None

    @property
    def tiles(self) -> Tiles:
        assert self.service.tiles is not None
        return self.service.tiles

    @property
    def file_name(self) -> str:
        return f"{self.service.name}{'.vtpk' if self.service.server_type == 'VectorTileServer' else '.tpkx'}"


def routes(state: State) -> list[Route]:
    """Return the routes of hosted tiles and scenes."""
    one = state.services_path + "/{service}/{server_type:tile_server}"
    directory = state.services_path.split("/services")[0] + "/directories/arcgisoutput/{job}"
    return [
        route(state, one, root),
        route(state, one + "/tile/{level:int}/{row:int}/{column:int}", served_tile),
        route(state, one + "/tile/{level:int}/{row:int}/{column:int}.pbf", served_tile),
        route(state, one + "/resources/styles/root.json", served_style),
        route(state, one + "/resources/styles", served_style),
        route(state, one + "/layers/0", scene_layer),
        route(state, one + "/layers/0/nodepages/0", scene_nodes),
        route(state, one + "/layers/0/nodes/0/geometries/0", scene_geometry),
        route(state, one + "/estimateExportTilesSize", estimate),
        route(state, one + "/exportTiles", export_tiles),
        route(state, one + "/jobs/{job}", job),
        route(state, one + "/jobs/{job}/results/out_service_url", job_result),
        route(state, directory, job_directory),
        route(state, directory + "/{name}", job_file),
        route(state, "/exports/{job}/{name}", signed_file),
    ]


async def root(call: Call) -> Mapping[str, Any]:
    """The service: its tiling scheme, or its scene layers."""
    service, item = find_service(call)
    if service.server_type == "SceneServer":
        return {
            "serviceName": service.name,
            "serviceItemId": item.id,
            "serviceVersion": "1.9",
            "supportedBindings": ["REST"],
            "layers": [describe_scene_layer(service)],
        }
    answer: Json = {
        "currentVersion": VERSION,
        "serviceItemId": item.id,
        "name": service.name,
        "serviceDescription": service.description,
        "capabilities": service.capabilities,
        "exportTilesAllowed": service.tiles is not None and service.tiles.export_allowed,
    }
    if service.server_type == "ImageServer":
        answer |= {"bandCount": 3, "pixelType": "U8", "singleFusedMapCache": service.tiles is not None}
    if service.tiles is None:
        return answer
    answer |= {
        "maxExportTilesCount": service.tiles.most_exported,
        "fullExtent": extent(service.tiles),
        "initialExtent": extent(service.tiles),
        "minLOD": service.tiles.first_level,
        "maxLOD": service.tiles.last_level,
        "tileInfo": tile_info(service),
    }
    if service.server_type == "VectorTileServer":
        more = {"type": "indexedVector", "defaultStyles": "resources/styles", "tiles": ["tile/{z}/{y}/{x}.pbf"]}
        answer |= {**more, "resourceInfo": RESOURCE_INFO}
    elif service.server_type == "MapServer":
        answer |= {"singleFusedMapCache": True, "layers": [{"id": 0, "name": service.name}], "tables": []}
    return answer


async def served_tile(call: Call) -> Response:
    """One tile; of vector tiles the compressed bytes, as they are kept."""
    service, _ = find_service(call)
    content = tile(service, *(int(call.part(name)) for name in ("level", "row", "column")))
    if content is None:
        return Response(b"", 404)
    if service.server_type != "VectorTileServer":
        return Response(content, media_type="image/png")
    return Response(content, media_type="application/x-protobuf", headers={"Content-Encoding": "gzip"})


async def served_style(call: Call) -> Mapping[str, Any]:
    """The style of a vector tile service."""
    service, _ = find_service(call)
    if service.server_type != "VectorTileServer":
        raise _nothing_here()
    return style(service)


async def scene_layer(call: Call) -> Mapping[str, Any]:
    """The layer of a scene."""
    return describe_scene_layer(_scene(call))


async def scene_nodes(call: Call) -> Mapping[str, Any]:
    """The nodes of a scene."""
    return node_page(_scene(call))


async def scene_geometry(call: Call) -> Response:
    """The geometry of a scene's node."""
    _scene(call)
    return Response(geometry(), media_type="application/octet-stream")


def _scene(call: Call) -> Service:
    service, _ = find_service(call)
    if service.server_type != "SceneServer":
        raise _nothing_here()
    return service


async def estimate(call: Call) -> Mapping[str, Any]:
    """Begin to work out how large an export would be. Of vector tile services the reference has no such operation."""
    service, item, levels = _asked(call)
    if service.server_type == "VectorTileServer":
        raise _nothing_here()
    return _submit(call, TileJob(f"j{uuid.uuid4().hex}_et", service, levels, now(), time.monotonic(), None), item)


async def export_tiles(call: Call) -> Mapping[str, Any]:
    """Begin an export of the whole extent. More tiles than may be exported at once make the job fail."""
    service, item, levels = _asked(call)
    tiles = service.tiles
    assert tiles is not None
    job_id = f"j{uuid.uuid4().hex}_et"
    path, error, total = call.state.folder / job_id, "", count(tiles, levels)
    if total > tiles.most_exported:
        error = (
            f"ERROR 001564: Requested tile count({total}) exceeds the maximum allowed number of tiles"
            f"({tiles.most_exported}) to be exported for service {service.name}:{service.server_type}."
        )
    elif item.id in call.settings.failing_exports:
        error = "Failed to execute (Manage Map Server Cache Tiles)."
    packing = None if error else asyncio.ensure_future(run_in_threadpool(write_package, path, service, levels))
    return _submit(call, TileJob(job_id, service, levels, now(), time.monotonic(), path, error, packing), item)


def _asked(call: Call) -> tuple[Service, Item, tuple[int, ...]]:
    """The service, its item and the levels that are asked for; an error where its tiles may not be exported."""
    service, item = find_service(call)
    if service.tiles is None or not service.tiles.export_allowed:
        # No source has the words of this error.
        raise ServiceError(400, "Export tiles is not supported by this service.")
    return service, item, _levels(call.params.get("levels", ""), service.tiles)


def _levels(text: str, tiles: Tiles) -> tuple[int, ...]:
    """Levels as `1,2` or `1-4,7-9`; all where none is named."""
    if not text.strip():
        return tuple(range(tiles.first_level, tiles.last_level + 1))
    levels: set[int] = set()
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            levels |= set(range(int(first), int(last or first) + 1))
    except ValueError:
        raise ServiceError(400, "'levels' parameter is invalid") from None
    return tuple(sorted(levels))


def _submit(call: Call, begun: TileJob, item: Item) -> Json:
    call.state.tile_jobs[begun.id] = begun
    if call.state.is_online:
        # Documented for vector tile services; no source shows what the others answer in ArcGIS Online.
        return {
            "id": uuid.uuid4().hex[:16],
            "name": begun.service.name,
            "itemId": item.id,
            "jobId": begun.id,
            "status": "success",
            "message": "success",
        }
    return {"jobId": begun.id, "jobStatus": "esriJobSubmitted"}


async def job(call: Call) -> Mapping[str, Any]:
    """How far a job is. ArcGIS Online tells the result here, ArcGIS Enterprise at an address of its own."""
    asked = _job(call)
    is_over = _is_over(call, asked)
    said = "esriJobExecuting" if not is_over else "esriJobFailed" if asked.error else "esriJobSucceeded"
    answer: Json = {"jobId": asked.id, "jobStatus": said}
    if call.state.is_online:
        is_export = asked.package is not None
        answer |= {"type": "EXPORTTILES" if is_export else "ESTIMATE", "message": asked.error if is_over else None}
        answer |= {
            "startTime": asked.submitted,
            "lastTime": now(),
            "estimatedNumTiles": count(asked.tiles, asked.levels),
        }
        answer["estimatedTilesSize"] = 0 if is_export else _size(asked)
        if said == "esriJobSucceeded" and is_export:
            answer["output"] = {"outputUrl": [_signed_address(call, asked)], "itemId": None}
        return answer
    kind = "esriJobMessageTypeError" if asked.error else "esriJobMessageTypeInformative"
    text = asked.error or "Submitted."
    answer["messages"] = [{"type": kind, "description": text}] if is_over else []
    if said == "esriJobSucceeded":
        answer["results"] = {"out_service_url": {"paramUrl": "results/out_service_url"}}
    return answer


def _job(call: Call) -> TileJob:
    service, _ = find_service(call)
    asked = call.state.tile_jobs.get(call.part("job"))
    if asked is None or asked.service is not service:
        raise ServiceError(400, f"Job {call.part('job')} not found.")
    return asked


def _is_over(call: Call, asked: TileJob) -> bool:
    is_packed = asked.packing is None or asked.packing.done()
    return is_packed and time.monotonic() - asked.began >= call.settings.export_seconds


def _size(asked: TileJob) -> int:
    """Bytes of the tiles, as many as there are times those of the first one."""
    rows, columns = cells(asked.tiles, asked.tiles.first_level)
    content = tile(asked.service, asked.tiles.first_level, rows[0], columns[0]) or b""
    return count(asked.tiles, asked.levels) * len(content)


async def job_result(call: Call) -> Mapping[str, Any]:
    """What a job that succeeded came to: the folder with the package, or the estimate."""
    asked = _job(call)
    if asked.error or not _is_over(call, asked):
        raise ServiceError(400, "The result is not available.")
    value: Any = _directory(call, asked)
    if asked.package is None:
        value = {"totalSize": _size(asked), "totalTilesToExport": count(asked.tiles, asked.levels)}
    return {"paramName": "out_service_url", "dataType": "GPString", "value": value}


def _directory(call: Call, asked: TileJob) -> str:
    path = call.state.services_path.split("/services")[0]
    return f"{call.state.origin}{path}/directories/arcgisoutput/{asked.id}"


async def job_directory(call: Call) -> Mapping[str, Any]:
    """The folder of a job's package."""
    asked = _kept(call)
    url = f"{_directory(call, asked)}/{quote(asked.file_name)}"
    return {"name": asked.id, "folders": [], "files": [{"name": asked.file_name, "url": url, "type": "File"}]}


async def job_file(call: Call) -> Response:
    """A package, for whoever knows its address."""
    return _send(call, _kept(call))


async def signed_file(call: Call) -> Response:
    """A package in the cloud store of ArcGIS Online, at an address that needs no token."""
    expires = call.number("expires", 0)
    if call.params.get("signature") != call.state.sign(call.part("job"), expires) or expires < now():
        return Response("<Error><Code>AccessDenied</Code></Error>", 403, media_type="application/xml")
    return _send(call, _kept(call))


def _signed_address(call: Call, asked: TileJob) -> str:
    """An address of a package on another host, good for a while and for everybody who has it."""
    host = "localhost" if call.request.headers.get("host", "").startswith("127.0.0.1") else "127.0.0.1"
    expires = now() + int(call.settings.redirect_seconds * 1000)
    query = f"expires={expires}&signature={call.state.sign(asked.id, expires)}"
    return f"https://{host}:{call.state.port}/exports/{asked.id}/{quote(asked.file_name)}?{query}"


def _kept(call: Call) -> TileJob:
    asked = call.state.tile_jobs.get(call.part("job"))
    if asked is None or asked.package is None or not asked.package.exists() or not _is_over(call, asked):
        raise _nothing_here()
    return asked


def _send(call: Call, asked: TileJob) -> Response:
    assert asked.package is not None
    payload = Stored(asked.package, asked.package.stat().st_size)
    headers = {"Content-Disposition": f'attachment; filename="{asked.id}{Path(asked.file_name).suffix}"'}
    return send_payload(call, payload, "application/octet-stream", headers)
