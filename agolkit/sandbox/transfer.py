"""Bytes: an item's data, thumbnail, metadata and resources; with redirects, ranges and chunked answers."""

from __future__ import annotations

import asyncio
import hashlib
import io
import mimetypes
import re
import zipfile
from collections.abc import AsyncIterator
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from agolkit.sandbox.access import find_item
from agolkit.sandbox.answers import ServiceError
from agolkit.sandbox.call import Call, route
from agolkit.sandbox.community import find_group
from agolkit.sandbox.content import find_own_item
from agolkit.sandbox.organization import Bytes, Item, Payload
from agolkit.sandbox.state import State, now

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


def routes(state: State) -> list[Route]:
    """Return the routes of bytes."""
    item = "/portal/sharing/rest/content/items/{item_id}"
    own = "/portal/sharing/rest/content/users/{owner}/items/{item_id}"
    return [
        route(state, item + "/data", data),
        route(state, item + "/info/{path:path}", info),
        route(state, item + "/resources/{path:path}", resource),
        route(state, own + "/resources/export", resources_zip),
        route(state, "/portal/sharing/rest/community/groups/{group_id}/info/{path:path}", group_info),
        route(state, "/objects/{item_id}/{name:path}", signed_data, is_open=True),
    ]


async def data(call: Call) -> Response:
    """An item's data; of files in ArcGIS Online a redirect to a signed address on another host."""
    item = find_item(call)
    if item.id in call.state.unfinished:
        raise ServiceError(400, "Item data does not exist or is inaccessible.", "CONT_0012")
    if item.data is None:
        return Response(b"")
    redirects = call.settings.redirect_data
    if redirects is None:
        redirects = call.state.is_online
    if redirects and _is_file(item):
        return RedirectResponse(_signed_address(call, item), 302)
    return _send(call, item, item.data)


def _is_file(item: Item) -> bool:
    return not item.data_type.startswith("application/json")


def _signed_address(call: Call, item: Item) -> str:
    """An address on the other name of this machine, good for a while and for everybody who has it."""
    host = "localhost" if call.request.headers.get("host", "").startswith("127.0.0.1") else "127.0.0.1"
    expires = now() + int(call.settings.redirect_seconds * 1000)
    path = f"/objects/{item.id}/{quote(_file_name(item), safe='')}"
    query = f"expires={expires}&signature={call.state.sign(item.id, expires)}"
    return f"https://{host}:{call.state.port}{path}?{query}"


async def signed_data(call: Call) -> Response:
    """An item's data at an address that needs no token, answered as an object store does."""
    item = call.org.items.get(call.part("item_id"))
    expires = call.number("expires", 0)
    if call.params.get("signature") != call.state.sign(call.part("item_id"), expires):
        return _denied(
            "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided."
        )
    if expires < now():
        return _denied("AccessDenied", "Request has expired")
    if item is None or item.data is None:
        return _denied("NoSuchKey", "The specified key does not exist.", 404)
    return _send(call, item, item.data)


def _denied(code: str, message: str, status: int = 403) -> Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(text, status, media_type="application/xml")


def _file_name(item: Item) -> str:
    return item.name or f"{item.title}{mimetypes.guess_extension(item.data_type) or ''}"


def _send(call: Call, item: Item, payload: Payload) -> Response:
    headers = {"ETag": f'"{hashlib.sha256(f"{item.id}{item.modified}{payload.size}".encode()).hexdigest()[:32]}"'}
    if _is_file(item):
        name = _file_name(item).replace('"', "'").replace("\r", " ").replace("\n", " ")
        if name.isascii():
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
        else:
            plain = name.encode("ascii", "replace").decode().replace("?", "_")
            headers["Content-Disposition"] = (
                f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
            )
    return send_payload(call, payload, item.data_type, headers)


def send_payload(call: Call, payload: Payload, media_type: str, headers: dict[str, str]) -> Response:
    """Return the answer that streams a payload, or the range of it that was asked for."""
    headers["Accept-Ranges"] = "bytes"
    begin, end, status = 0, payload.size, 200
    wanted = _RANGE.match(call.request.headers.get("range", ""))
    if (
        wanted
        and (wanted[1] or wanted[2])
        and call.request.headers.get("if-range", headers.get("ETag")) == headers.get("ETag")
    ):
        if wanted[1]:
            begin = int(wanted[1])
            end = min(int(wanted[2]) + 1, end) if wanted[2] else end
        else:
            begin = max(0, end - int(wanted[2]))
        if begin >= end:
            return Response(b"", 416, {"Content-Range": f"bytes */{payload.size}"})
        status = 206
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{payload.size}"
    if not call.settings.chunked:
        headers["Content-Length"] = str(end - begin)
    headers["Content-Type"] = media_type
    if call.request.method == "HEAD":
        return Response(b"", status, headers)
    return StreamingResponse(_pieces(payload, begin, end), status, headers)


async def _pieces(payload: Payload, begin: int, end: int) -> AsyncIterator[bytes]:
    left = end - begin
    for piece in payload.chunks(begin):
        if left <= 0:
            return
        yield piece[:left]
        left -= len(piece)
        await asyncio.sleep(0)  # other requests get their turn between two pieces


async def info(call: Call) -> Response:
    """A file below `info/`: thumbnail, metadata, or another one."""
    item = find_item(call)
    path = call.part("path")
    content: bytes | None = item.info.get(path)
    if path == "metadata/metadata.xml":
        content = item.metadata
    elif item.thumbnail and path == f"thumbnail/{item.thumbnail[0]}":
        content = item.thumbnail[1]
    if content is None:
        raise ServiceError(
            400,
            "Item info file does not exist or is inaccessible.",
            "CONT_0036",
            ["Error getting Item Info from DataStore"],
        )
    return send_payload(call, Bytes(content), _type_of(path), {})


async def group_info(call: Call) -> Response:
    """A group's thumbnail."""
    group = find_group(call)
    if group.thumbnail is None or call.part("path") != group.thumbnail[0]:
        raise ServiceError(400, "Group info file does not exist or is inaccessible.", "CONT_0036")
    return send_payload(call, Bytes(group.thumbnail[1]), _type_of(group.thumbnail[0]), {})


async def resource(call: Call) -> Response:
    """One resource of an item."""
    item = find_item(call)
    content = item.resources.get(call.part("path"))
    if content is None:
        raise ServiceError(400, "Resource does not exist or is inaccessible.", "CONT_0034")
    return send_payload(call, Bytes(content), _type_of(call.part("path")), {})


async def resources_zip(call: Call) -> Response:
    """All resources of an item as one zip file."""
    item = find_own_item(call)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in item.resources.items():
            archive.writestr(path, content)
    headers = {"Content-Disposition": f'attachment; filename="{item.id}.zip"'}
    return send_payload(call, Bytes(packed.getvalue()), "application/zip", headers)


def _type_of(path: str) -> str:
    return mimetypes.guess_type(path)[0] or "application/octet-stream"
