"""Attachments of the rows of hosted layers: listed for one row or for many, and their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from agolkit.sandbox.answers import Json, ServiceError
from agolkit.sandbox.call import Call, route
from agolkit.sandbox.features import find_layer
from agolkit.sandbox.organization import Attachment
from agolkit.sandbox.rows import fitting, numbers, with_ids
from agolkit.sandbox.state import State
from agolkit.sandbox.transfer import send_payload
from agolkit.sandbox.views import Source


def routes(state: State) -> list[Route]:
    """Return the routes of attachments."""
    layer = state.services_path + "/{service}/{server_type}/{layer:int}"
    return [
        route(state, layer + "/queryAttachments", query_attachments),
        route(state, layer + "/{object_id:int}/attachments", list_attachments),
        route(state, layer + "/{object_id:int}/attachments/{attachment:int}", one_attachment),
    ]


async def query_attachments(call: Call) -> Mapping[str, Any]:
    """The attachments of the rows asked for, in groups of one row each."""
    source = _with_attachments(call)
    params, layer = call.params, source.layer
    oid, gid = layer.object_id_field, layer.global_id_field or ""
    rows = source.rows()
    if params.get("objectIds"):
        rows = with_ids(rows, numbers(params["objectIds"], "objectIds"), source)
    elif params.get("globalIds"):
        names = {name.strip().strip("{}").lower() for name in params["globalIds"].split(",")}
        rows = [row for row in rows if str(row["attributes"].get(gid)).strip("{}").lower() in names]
    elif "definitionExpression" in params:
        rows = fitting(rows, params["definitionExpression"], source)
    else:
        raise ServiceError(
            400, "Unable to complete operation.", details=["objectIds, globalIds or definitionExpression is required"]
        )
    if call.flag("returnCountOnly"):
        counts = [(row["attributes"], len(source.attached(row["attributes"][oid]))) for row in rows]
        groups = [
            {"parentObjectId": one[oid], "parentGlobalId": one.get(gid), "count": count}
            for one, count in counts
            if count
        ]
        return {"attachmentGroups": groups}
    # A record of a page is an attachment, not a row: no source says so, but one row could pass any limit otherwise.
    offset = max(0, call.number("resultOffset", 0))
    count = min(call.number("resultRecordCount", layer.max_record_count), layer.max_record_count)
    pairs = ((row["attributes"], one) for row in rows for one in source.attached(row["attributes"][oid]))
    page = list(islice(pairs, offset, offset + count + 1))
    grouped: dict[int, Json] = {}
    for attributes, attachment in page[:count]:
        group = grouped.setdefault(
            attributes[oid],
            {"parentObjectId": attributes[oid], "parentGlobalId": attributes.get(gid), "attachmentInfos": []},
        )
        described = _describe_attachment(attachment)
        if call.flag("returnUrl"):
            base = call.state.service_url(source.service)
            described["url"] = f"{base}/{layer.id}/{attributes[oid]}/attachments/{attachment.id}"
        group["attachmentInfos"].append(described)
    answer: Json = {
        "fields": [
            {"name": "attachmentid", "type": "esriFieldTypeOID"},
            {"name": "globalid", "type": "esriFieldTypeGlobalID"},
        ],
        "attachmentGroups": list(grouped.values()),
    }
    if len(page) > count:
        answer["exceededTransferLimit"] = True
    return answer


def _with_attachments(call: Call) -> Source:
    source = find_layer(call)
    if source.attachments is None:
        raise ServiceError(400, "Requested operation is not supported by this service.")
    return source


def _describe_attachment(attachment: Attachment) -> Json:
    return {
        "id": attachment.id,
        "globalId": attachment.global_id,
        "name": attachment.name,
        "contentType": attachment.content_type,
        "size": attachment.payload.size,
        "keywords": attachment.keywords,
        "exifInfo": None,
    }


async def list_attachments(call: Call) -> Mapping[str, Any]:
    """The attachments of one row."""
    source, object_id = _row(call)
    return {"attachmentInfos": [_describe_attachment(one) for one in source.attached(object_id)]}


async def one_attachment(call: Call) -> Response:
    """The bytes of one attachment."""
    source, object_id = _row(call)
    for one in source.attached(object_id):
        if one.id == int(call.part("attachment")):
            name = one.name.replace('"', "'").encode("ascii", "replace").decode()
            return send_payload(
                call, one.payload, one.content_type, {"Content-Disposition": f'inline; filename="{name}"'}
            )
    raise ServiceError(400, "Attachment not found.")


def _row(call: Call) -> tuple[Source, int]:
    """The layer and the object id that the path names, if that row can be seen."""
    source, object_id = _with_attachments(call), int(call.part("object_id"))
    if not with_ids(source.rows(), [object_id], source):
        raise ServiceError(400, "Object not found.")
    return source, object_id
