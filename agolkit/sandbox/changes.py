"""What was changed in a hosted service since a generation, where its capabilities hold `ChangeTracking`.

Source: the REST page "Extract Changes (Feature Service)" and, for the form of an attachment, "Sync and attachments". No
source says whether `returnIdsOnly` shortens attachments too; here they are described in full. The message for a
generation that is forgotten is this portal's own.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.routing import Route

from agolkit.sandbox.access import find_service
from agolkit.sandbox.answers import Json, ServiceError
from agolkit.sandbox.call import Call, route
from agolkit.sandbox.organization import Attachment, Change, Layer, Service
from agolkit.sandbox.rows import numbers
from agolkit.sandbox.state import State, now

_WANTED = {"add": "returnInserts", "update": "returnUpdates", "delete": "returnDeletes"}


def routes(state: State) -> list[Route]:
    """Return the routes of change tracking."""
    one = state.services_path + "/{service}/{server_type}"
    return [
        route(state, one + "/extractChanges", extract_changes),
        route(state, one + "/jobs/{job}", job),
        route(state, one + "/changefiles/{job}", change_file),
    ]


def tracking(service: Service) -> Json:
    """Return what the root of a service says of its change tracking; nothing where it has none."""
    # No source says how a view is tracked; here it is not.
    if service.view_of or "ChangeTracking" not in service.capabilities.split(","):
        return {}
    generations = {"minServerGen": service.oldest_generation, "serverGen": service.generation}
    return {
        "changeTrackingInfo": {
            "lastSyncDate": None,
            "layerServerGens": [{"id": one.id, **generations} for one in service.all() if one.sub_layers is None],
        },
        "extractChangesCapabilities": {
            "supportsReturnIdsOnly": True,
            "supportsReturnExtentOnly": False,
            "supportsReturnAttachments": True,
            "supportsLayerQueries": False,
            "supportsGeometry": False,
            "supportsFieldsToCompare": False,
            "supportsServerGens": True,
            "supportsReturnHasGeometryUpdates": False,
        },
    }


async def extract_changes(call: Call) -> Mapping[str, Any]:
    """What was added, updated and deleted; with `async` the address of a job whose result says it."""
    if call.request.method != "POST":
        raise ServiceError(405, "Method not allowed.")
    service, _ = find_service(call)
    if not tracking(service):
        raise ServiceError(400, "Requested operation is not supported by this service.")
    wanted = numbers(call.params.get("layers", "").strip("[] "), "layers")
    layers = {layer.id: layer for layer in service.all()}
    if not wanted or not layers.keys() >= set(wanted):
        raise ServiceError(400, "'layers' parameter is invalid")
    since, until = _window(call, service, wanted)
    edits = [_edits_of(call, service, layers[one], since[one], until) for one in wanted]
    answer: Json = {
        "layerServerGens": [{"id": one, "serverGen": until} for one in wanted],
        "transportType": "esriTransportTypeUrl",
        "responseType": "esriDataChangesResponseTypeEdits",
        "edits": edits,
    }
    if not call.flag("async"):
        return answer
    key = uuid.uuid4().hex
    call.state.change_files[key] = answer
    return {"statusUrl": f"{call.state.service_url(service)}/jobs/{key}"}


def _window(call: Call, service: Service, layers: Sequence[int]) -> tuple[dict[int, int], int]:
    """The generation of each layer that the caller has, and the last one to tell of."""
    until = service.generation
    try:
        if text := call.params.get("layerServerGens", "").strip():
            since = {int(each["id"]): int(each["serverGen"]) for each in json.loads(text)}
        else:
            asked = json.loads(call.params.get("serverGens", "").strip())
            first, *last = asked if isinstance(asked, list) else [asked]
            until = min(until, int(last[0])) if last else until
            since = dict.fromkeys(layers, int(first))
        oldest = min(since[one] for one in layers)
    except (ValueError, KeyError, TypeError):
        raise ServiceError(400, "'layerServerGens' or 'serverGens' parameter is invalid") from None
    if oldest < service.oldest_generation:
        raise ServiceError(400, "The server generation is older than the oldest one that is tracked.")
    return since, until


def _edits_of(call: Call, service: Service, layer: Layer, since: int, until: int) -> Json:
    """The changes of one layer, each row and attachment once: what was added and deleted again is not among them."""
    first = service.oldest_generation
    changes = [one for one in service.changes[since - first : until - first] if one.layer == layer.id]
    answer: Json = {"id": layer.id}
    rows = _net(call, [change for change in changes if change.what == "features"])
    if call.flag("returnIdsOnly"):
        ids = {how: [change.object_id for change in rows[how]] for how in rows}
        answer["objectIds"] = {"adds": ids["add"], "updates": ids["update"], "deletes": ids["delete"]}
    else:
        held = {row["attributes"][layer.object_id_field]: row for row in layer.features}
        answer["features"] = {
            "adds": [held[change.object_id] for change in rows["add"]],
            "updates": [held[change.object_id] for change in rows["update"]],
            "deleteIds": [change.global_id for change in rows["delete"]],
        }
    if call.flag("returnAttachments") and layer.attachments is not None:
        files = _net(call, [change for change in changes if change.what == "attachments"])
        answer["attachments"] = {
            "adds": [_described(call, service, layer, change) for change in files["add"]],
            "updates": [_described(call, service, layer, change) for change in files["update"]],
            "deleteIds": [change.global_id for change in files["delete"]],
        }
    return answer


def _net(call: Call, changes: Sequence[Change]) -> dict[str, list[Change]]:
    """What the changes come to, by how; only the sorts that are asked for."""
    net: dict[str, Change] = {}
    for change in changes:
        before = net.pop(change.global_id, None)
        if before is None or (before.how, change.how) == ("delete", "add"):
            net[change.global_id] = change
        elif before.how == "add" and change.how == "update":
            net[change.global_id] = before
        elif before.how != "add":
            net[change.global_id] = change
    asked = {how for how, name in _WANTED.items() if call.flag(name)}
    return {how: [one for one in net.values() if one.how == how and how in asked] for how in _WANTED}


def _described(call: Call, service: Service, layer: Layer, change: Change) -> Json:
    """An attachment with its address, or with its bytes where the request wants these."""
    one = _attachment(layer, change)
    oid, gid = layer.object_id_field, layer.global_id_field or ""
    parent = next((row["attributes"] for row in layer.features if row["attributes"][oid] == change.object_id), None)
    described: Json = {
        "attachmentId": one.id,
        "globalId": one.global_id,
        "parentGlobalId": parent[gid] if parent and gid else None,
        "contentType": one.content_type,
        "name": one.name,
        "size": one.payload.size,
    }
    if call.flag("returnAttachmentsDataByUrl", default=True):
        address = f"{call.state.service_url(service)}/{layer.id}/{change.object_id}/attachments/{one.id}"
        return described | {"url": address}
    return described | {"data": base64.b64encode(b"".join(one.payload.chunks())).decode()}


def _attachment(layer: Layer, change: Change) -> Attachment:
    held = (layer.attachments or {}).get(change.object_id, [])
    return next(one for one in held if one.id == change.attachment)


async def job(call: Call) -> Mapping[str, Any]:
    """How far a job is: it is done when it is asked for."""
    service, _ = find_service(call)
    _changes_of(call)
    moment = now()
    return {
        "transportType": "esriTransportTypeUrl",
        "responseType": "esriDataChangesResponseTypeEdits",
        "status": "Completed",
        "submissionTime": moment,
        "lastUpdatedTime": moment,
        "resultUrl": f"{call.state.service_url(service)}/changefiles/{call.part('job')}",
    }


async def change_file(call: Call) -> Mapping[str, Any]:
    """The result of a job."""
    find_service(call)
    return _changes_of(call)


def _changes_of(call: Call) -> Json:
    found = call.state.change_files.get(call.part("job"))
    if found is None:
        raise ServiceError(400, "Job not found.")
    return found
