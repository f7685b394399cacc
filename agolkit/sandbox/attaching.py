"""Attachments of hosted layers added, replaced and deleted.

Source: the REST pages "Add Attachment", "Update Attachment" and "Delete Attachments". No source says whether such an
edit moves the editor tracking of the row; here it does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from starlette.datastructures import UploadFile
from starlette.routing import Route

from agolkit.sandbox.answers import Json, ServiceError
from agolkit.sandbox.call import Call, route
from agolkit.sandbox.edits import failed, find_editable, new_global_id, note, require_one
from agolkit.sandbox.organization import Attachment, Bytes, Change, Layer, Service
from agolkit.sandbox.rows import numbers
from agolkit.sandbox.sorted_rows import SortedRows
from agolkit.sandbox.state import State


def routes(state: State) -> list[Route]:
    """Return the routes of edits of attachments."""
    row = state.services_path + "/{service}/{server_type}/{layer:int}/{object_id:int}"
    return [
        route(state, row + "/addAttachment", add),
        route(state, row + "/updateAttachment", update),
        route(state, row + "/deleteAttachments", delete),
    ]


async def add(call: Call) -> Mapping[str, Any]:
    """Hang a file on a row."""
    service, layer, held = _attached(call, "Create", "Update")
    new_id = 1 + max(_used_ids(service, layer), default=0)
    one = await _uploaded(call, new_id, new_global_id())
    _note(call, service, layer, "add", one)
    held.append(one)
    return {"addAttachmentResult": _done(one)}


async def update(call: Call) -> Mapping[str, Any]:
    """Put another file in the place of an attachment, which keeps its ids."""
    service, layer, held = _attached(call, "Update")
    wanted = call.number("attachmentId", 0)
    at = next((at for at, one in enumerate(held) if one.id == wanted), None)
    if at is None:
        return {"updateAttachmentResult": failed(wanted, 1001, "The attachment does not exist.")}
    held[at] = await _uploaded(call, wanted, held[at].global_id)
    _note(call, service, layer, "update", held[at])
    return {"updateAttachmentResult": _done(held[at])}


async def delete(call: Call) -> Mapping[str, Any]:
    """Take attachments off a row."""
    service, layer, held = _attached(call, "Update", "Delete")
    results = []
    for wanted in numbers(call.params.get("attachmentIds", ""), "attachmentIds"):
        one = next((one for one in held if one.id == wanted), None)
        if one is None:
            results.append(failed(wanted, 1001, "The attachment does not exist."))
            continue
        held.remove(one)
        _note(call, service, layer, "delete", one)
        results.append(_done(one))
    return {"deleteAttachmentResults": results}


def _attached(call: Call, *needed: str) -> tuple[Service, Layer, list[Attachment]]:
    """The layer, and the attachments of the row that the path names, to be changed."""
    service, layer, allowed = find_editable(call, int(call.part("layer")))
    require_one(call, allowed, *needed)
    if layer.attachments is None:
        raise ServiceError(400, "Requested operation is not supported by this service.")
    object_id, rows = int(call.part("object_id")), layer.features
    if isinstance(rows, SortedRows):
        rows = rows.among([object_id])
    if not any(row["attributes"][layer.object_id_field] == object_id for row in rows):
        raise ServiceError(400, "Object not found.")
    return service, layer, layer.attachments.setdefault(object_id, [])


async def _uploaded(call: Call, attachment_id: int, global_id: str) -> Attachment:
    """The file of the form, as an attachment."""
    form = await call.request.form()
    file = form.get("attachment")
    if not isinstance(file, UploadFile):
        raise ServiceError(400, "'attachment' must be specified.")
    content_type = file.content_type or "application/octet-stream"
    keywords = call.params.get("keywords", "")
    return Attachment(attachment_id, file.filename or "", content_type, Bytes(await file.read()), global_id, keywords)


def _used_ids(service: Service, layer: Layer) -> Iterator[int]:
    """Ids that attachments of a layer have or had: none is given twice."""
    yield from (one.id for some in (layer.attachments or {}).values() for one in some)
    yield from (change.attachment for change in service.changes if change.layer == layer.id)


def _note(call: Call, service: Service, layer: Layer, how: Literal["add", "update", "delete"], one: Attachment) -> None:
    object_id = int(call.part("object_id"))
    note(call.org, service, layer, [Change(layer.id, "attachments", how, object_id, one.global_id, one.id)])


def _done(one: Attachment) -> Json:
    return {"objectId": one.id, "globalId": one.global_id, "success": True}
