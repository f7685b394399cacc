"""The body of an answer: a JSON object, or content on its way into a sink, or one of our errors.

Nothing is read without a bound: an error is short, a JSON answer has an end, and content goes to the disk in pieces.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, unquote

import urllib3
from requests import Response

from agolkit.errors import NotAnAnswer, PortalError
from agolkit.model import Sink
from agolkit.portal.answers import error_of_refusal, error_of_status, is_html, is_xml_error, not_json, refusal_in
from agolkit.portal.session import connection_errors
from agolkit.portal.tokens import TOKEN_HEADER
from agolkit.progress import beat

CHUNK = 16 * 1024
"""As many bytes as TLS brings at once; to wait for more would leave a slow transfer without a sign of life."""
SMALL = 64 * 1024
"""An answer of more bytes than this is content: no error is that long."""
LARGEST_JSON = 256 << 20
"""Bytes of a JSON answer, which is in memory as a whole. A list of the portal has a few megabytes, one of ids more."""


@dataclass(frozen=True, slots=True)
class Received:
    """A transfer that has arrived completely."""

    size: int
    stated: int | None
    """The length that the server stated; `None` where it stated none."""
    content_type: str
    file_name: str | None
    tag: str = ""
    """What changes with the content, in the server's own words (`ETag`, else `Last-Modified`); empty: none."""


def read_json(response: Response, what: str) -> dict[str, Any]:
    """The JSON object that an answer is, read to its end; the body of an error only as far as an error can reach.

    Raises
    ------
    PortalError
        The answer is an error, or no JSON object, or has no end. `what` names what was asked for.
    """
    is_error = response.status_code >= 300
    body = bytearray()
    for chunk in _chunks(response, what):
        body += chunk
        if is_error and len(body) >= SMALL:
            break
        if len(body) > LARGEST_JSON:
            raise PortalError(f"{what}: the answer is longer than any answer should be; it is not read to its end.")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    refusal = refusal_in(answer, sent=_secrets_sent(response))
    if refusal is not None:
        raise error_of_refusal(refusal, what=what, headers=response.headers)
    if is_error:
        raise error_of_status(response.status_code, what=what, headers=response.headers)
    if not isinstance(answer, dict):
        raise not_json(bytes(body), what=what)
    return answer


def read_content(response: Response, what: str, sink: Sink, accept: Callable[[], object], *, is_own: bool) -> Received:
    """What has arrived: the body, passed on to `sink` once its first bytes show that it is content.

    `accept` is called then. `is_own`: the answer comes from one of the portal's own hosts.

    Raises
    ------
    PortalError
        The answer is an error, a web page, or not as long as it states.
    TooLarge, StoreFull
        `sink` has no room for it.
    """
    headers = response.headers
    length = headers.get("Content-Length", "")
    stated = int(length) if length.isdigit() and "Content-Encoding" not in headers else None
    file_name = _file_name(headers.get("Content-Disposition", ""))
    chunks = _chunks(response, what)
    head = next(chunks, b"")
    if len(head) < SMALL:
        # Only a short body can be an error, and only a complete one can be parsed.
        for chunk in chunks:
            head += chunk
            if len(head) >= SMALL:
                break
    _refuse_errors(response, what, head, file_name, is_own=is_own)
    accept()
    if stated:
        sink.expect(stated)
    size = 0
    if head:
        sink.write(head)
        size = len(head)
    for chunk in chunks:
        sink.write(chunk)
        size += len(chunk)
    if stated is not None and size != stated:
        raise NotAnAnswer(f"{what}: {size:,} bytes arrived, the server stated {stated:,}.")
    return Received(size, stated, headers.get("Content-Type", ""), file_name, _tag(response))


def read_head(response: Response, what: str) -> Received:
    """What a server says of a file that it does not send.

    Raises
    ------
    PortalError
        The answer is an error. One that is told with status 200 cannot be recognised.
    """
    if response.status_code != 200:
        raise error_of_status(response.status_code, what=what, headers=response.headers)
    length = response.headers.get("Content-Length", "")
    stated = int(length) if length.isdigit() else None
    return Received(0, stated, response.headers.get("Content-Type", ""), None, _tag(response))


def _refuse_errors(response: Response, what: str, head: bytes, file_name: str | None, *, is_own: bool) -> None:
    """Raise one of our errors where an answer is not the content that was asked for."""
    if len(head) < SMALL and head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        try:
            refusal = refusal_in(json.loads(head), sent=_secrets_sent(response))
        except (ValueError, RecursionError):
            refusal = None
        if refusal is not None:
            raise error_of_refusal(refusal, what=what, headers=response.headers)
    if response.status_code not in (200, 204):
        raise error_of_status(response.status_code, what=what, headers=response.headers, foreign=not is_own)
    names = (file_name or "", response.url.partition("?")[0])
    if is_html(head[:4096]) and not any(name.lower().endswith((".html", ".htm", ".xhtml")) for name in names):
        raise NotAnAnswer(f"{what}: a web page was answered where a file was expected.")
    if len(head) < SMALL and is_xml_error(head):
        raise NotAnAnswer(f"{what}: an error of an object store was answered where a file was expected.")


def _chunks(response: Response, what: str) -> Iterator[bytes]:
    """The body in pieces, each a sign of life; passed on as they come, so that their number can be compared."""
    encoded = "Content-Encoding" in response.headers
    raw: urllib3.HTTPResponse = response.raw
    while True:
        with connection_errors(what):
            chunk = raw.read(CHUNK, decode_content=encoded)
        beat()
        if not chunk:
            return
        yield chunk


def _tag(response: Response) -> str:
    return response.headers.get("ETag") or response.headers.get("Last-Modified") or ""


def _secrets_sent(response: Response) -> list[str]:
    """The token and the passwords that came with the request: a server may repeat them in its words."""
    body = response.request.body
    form = parse_qs(body if isinstance(body, str) else "")
    sent = [value for name in ("password", "client_secret") for value in form.get(name, ())]
    return [str(response.request.headers.get(TOKEN_HEADER, "")).removeprefix("Bearer "), *sent]


def _file_name(disposition: str) -> str | None:
    """The file name of a Content-Disposition header, in whichever of its spellings."""
    message = Message()
    message["Content-Disposition"] = disposition
    name = message.get_filename()
    if not name:
        return None
    with suppress(ValueError):
        name = name.encode("latin-1").decode("utf-8")  # many servers send UTF-8 where Latin-1 is meant
    return unquote(name) if "%" in name and "filename*" not in disposition else name
