"""Export jobs: a hosted service becomes a new item of the owner, made by a job that takes its time."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.routing import Route

from agolkit.sandbox.access import can_see, find_owner
from agolkit.sandbox.answers import ServiceError, no_item, no_permission
from agolkit.sandbox.call import Call, route
from agolkit.sandbox.content import find_own_item
from agolkit.sandbox.geodatabase import FORMATS, Format, Table, write_file
from agolkit.sandbox.organization import Item, Service
from agolkit.sandbox.rows import fitting
from agolkit.sandbox.scenes import write_scene_package
from agolkit.sandbox.sorted_rows import SortedRows
from agolkit.sandbox.state import State, now
from agolkit.sandbox.views import administers, source_of

SOURCES = ("FeatureServer", "SceneServer")
SCENE_FORMATS = {"Scene Package": Format("", "Scene Package", ".slpk", "application/octet-stream", True)}


@dataclass
class Job:
    """An export job; `status` goes from `processing` to `completed` or `failed`."""

    id: str
    item: Item
    service_item_id: str
    form: Format
    tables: list[Table]
    status: str = "processing"
    message: str = ""


@dataclass(frozen=True)
class Stored:
    """A payload kept in a file."""

    path: Path
    size: int

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(start)
            while piece := file.read(1 << 20):
                yield piece


def routes(state: State) -> list[Route]:
    """Return the routes of export jobs."""
    owner = "/portal/sharing/rest/content/users/{owner}"
    return [
        route(state, owner + "/export", export),
        route(state, owner + "/items/{item_id}/status", status),
        route(state, owner + "/{folder}/items/{item_id}/status", status),
    ]


async def export(call: Call) -> Mapping[str, Any]:
    """Start an export job; its result is an item in the root folder of the user that the path names."""
    if call.request.method != "POST":
        raise ServiceError(405, "Method not allowed.")
    owner = find_owner(call, "portal:admin:updateItems")
    source = call.org.items.get(call.params.get("itemId", ""))
    if source is None or not can_see(call.org, call.user, source):
        raise no_item()
    service = call.org.services.get(source.service or "")
    is_scene = service is not None and service.server_type == "SceneServer"
    # No source says of which scenes a package can be made; here of those that have `Extract` among their capabilities.
    if service is None or (is_scene and "Extract" not in service.capabilities) or service.server_type not in SOURCES:
        raise ServiceError(400, "Export is only supported for hosted feature services.", "CONT_0093")
    if not administers(call.signed_in(), source) and "Extract" not in service.capabilities.split(","):
        raise no_permission()
    name = call.params.get("exportFormat", "")
    formats = SCENE_FORMATS if is_scene else FORMATS
    form = next((one for key, one in formats.items() if key.lower() == name.lower()), None)
    if form is None:
        raise ServiceError(400, f"Export format is not supported: {name}")
    if not call.params.get("title"):
        raise ServiceError(400, "'title' must be specified.")
    tables = [] if is_scene else _tables(call, service)
    title = call.params["title"]
    moment = now()
    item = Item(
        id=uuid.uuid4().hex,
        owner=owner.username,
        type=(form.type_of_many if not form.holds_many and len(tables) > 1 else None) or form.item_type,
        title=title,
        created=moment,
        modified=moment,
        name=f"{_file_stem(title)}.zip",
        tags=[tag.strip() for tag in call.params.get("tags", "").split(",") if tag.strip()],
        type_keywords=[form.item_type],
        snippet=call.params.get("snippet"),
        data_type=form.media_type,
    )
    call.org.add(item)
    call.state.unfinished.add(item.id)
    job = Job(uuid.uuid4().hex, item, source.id, form, tables)
    call.state.jobs[job.id] = job
    call.state.waiting_jobs.append(job)
    _begin_waiting(call.state)
    return {
        "type": item.type,
        "size": -1,
        "jobId": job.id,
        "exportItemId": item.id,
        "serviceItemId": source.id,
        "exportFormat": name,
    }


def _file_stem(title: str) -> str:
    return re.sub(r"\W+", "_", title)[:80] or "export"


def _tables(call: Call, service: Service) -> list[Table]:
    """The layers that the job covers, with their rows as they are now; a view's job leaves its hidden rows out."""
    try:
        parameters = json.loads(call.params.get("exportParameters") or "{}")
        wanted = {int(one["id"]): one for one in parameters.get("layers", [])}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ServiceError(400, "'exportParameters' parameter is invalid") from None
    tables = []
    for layer in service.all():
        if layer.sub_layers is not None or (wanted and layer.id not in wanted):
            continue
        source = source_of(call, service, layer)
        rows = fitting(source.rows(), wanted.get(layer.id, {}).get("where", ""), source)
        fields = source.fields if parameters.get("enforceFieldVisibility") else layer.fields
        tables.append(Table(layer, fields, rows if isinstance(rows, SortedRows) else list(rows), source.attachments))
    if not tables:
        raise ServiceError(400, "'exportParameters' parameter is invalid")
    return tables


def _begin_waiting(state: State) -> None:
    """Begin as many of the waiting jobs as may run at once."""
    limit = state.settings.max_export_jobs
    while state.waiting_jobs and (limit is None or len(state.running_jobs) < limit):
        task = asyncio.get_running_loop().create_task(_run(state, state.waiting_jobs.pop(0)))
        state.running_jobs.add(task)
        task.add_done_callback(lambda done: _ended(state, done))


def _ended(state: State, task: asyncio.Task[None]) -> None:
    state.running_jobs.discard(task)
    if not task.cancelled():
        _begin_waiting(state)


async def _run(state: State, job: Job) -> None:
    began = time.monotonic()
    path = state.folder / job.item.id
    is_failing = job.service_item_id in state.settings.failing_exports
    if not is_failing:
        try:
            job.item.name = await asyncio.to_thread(_write, state, job, path)
        except Exception as error:  # whatever breaks a job, a client has to learn that it ended
            job.status, job.message = "failed", f"Export failed. {error}"
            return
    job.tables = []
    while (left := began + state.settings.export_seconds - time.monotonic()) > 0:
        await asyncio.sleep(min(left, 0.25))
    if is_failing:
        job.status, job.message = (
            "failed",
            "Export failed. An unexpected error occurred while the data was being extracted.",
        )
        return
    if job.item.id not in state.org.items and job.item.id not in state.org.recycle_bin:
        path.unlink(missing_ok=True)
        job.status, job.message = "failed", "Export failed. The export item does not exist."
        return
    if job.item.name and job.item.name.endswith(".zip"):
        job.item.data_type = "application/zip"
    job.item.data = Stored(path, path.stat().st_size)
    job.item.modified = now()
    state.unfinished.discard(job.item.id)
    job.status = "completed"


def _write(state: State, job: Job, path: Path) -> str:
    """Write the result of a job to `path`; return its name."""
    stem = _file_stem(job.item.title)
    if job.form is not SCENE_FORMATS["Scene Package"]:
        return write_file(path, stem, job.form, job.tables)
    write_scene_package(path, state.org.services[str(state.org.items[job.service_item_id].service)])
    return f"{stem}.slpk"


async def status(call: Call) -> Mapping[str, Any]:
    """How far the job of an item is; the job is named by `jobId` (or `jobid`), or found by its item."""
    item = find_own_item(call)
    job_id = call.params.get("jobId") or call.params.get("jobid")
    if job_id:
        job = call.state.jobs.get(job_id)
        if job is None or item.id not in (job.item.id, job.service_item_id):
            return {"status": "", "itemId": item.id, "statusMessage": "Item status doesn't exist"}
    else:
        job = next((one for one in call.state.jobs.values() if one.item is item), None)
    return {
        "status": job.status if job else "completed",
        "statusMessage": (job.message or job.status) if job else "completed",
        "itemId": item.id,
    }
