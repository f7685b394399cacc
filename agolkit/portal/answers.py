"""What a server's answer means: content, or one of our errors.

The Sharing REST API says most errors as JSON inside HTTP 200, in several forms; hosted services, gateways and object
stores have their own. This is the one place that tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from agolkit.errors import Forbidden, NotAnAnswer, NotFound, PortalError, RateLimited, ServerTrouble, TokenRejected

# What else stands in an answer that is an error. Anything beside these makes it content that has a key "error".
_ENVELOPE = {"error", "success", "status", "code", "message", "messageCode", "messages", "details", "error_description"}
_ENVELOPE |= {"id", "itemId", "folderId", "requestId", "restInfoUrl"}

_ABSENT = re.compile(r"(does not|doesn't|do not) exist|inaccessible|not found|no such", re.IGNORECASE)
_ABSENT_CODES = {"CONT_0001", "CONT_0004", "CONT_0006", "CONT_0036", "COM_0018"}
_BUSY = re.compile(r"time[d-]?[ -]?out|temporarily|too busy|try again", re.IGNORECASE)
_TOO_MANY = re.compile(r"quota exceeded|too many requests|rate limit|retry after", re.IGNORECASE)
_PERHAPS = re.compile(r"cannot perform query|unable to (get results|perform query|complete operation)", re.IGNORECASE)
_WAIT = re.compile(r"retry after (\d+(?:\.\d+)?)\s*(min)?", re.IGNORECASE)
_SECRET = re.compile(
    r"((?:token|password|secret|signature|credential|\bsig)\\?[\"']?\s*(?:[=:]|%3[AD])\s*\\?[\"']?|\bbearer\s+)"
    r"[^&\s\"',;\\]+",
    re.IGNORECASE,
)
_PROLOG = rb"^(?:\xef\xbb\xbf)?\s*(?><\?xml.*?\?>\s*)?(?><!--.*?-->\s*)*"
_HTML = re.compile(_PROLOG + rb"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_XML_ERROR = re.compile(_PROLOG + rb"<Error\b[^>]*>\s*<Code>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as the server says it, whatever form it came in."""

    code: int | None
    words: str
    message_code: str = ""
    details: str = ""

    def __str__(self) -> str:
        said = self.words.rstrip(".") or "no reason given"
        if self.details and self.details.rstrip(".").casefold() != said.casefold():
            said += f": {self.details.rstrip('.')}"
        codes = " ".join(str(part) for part in (self.code, self.message_code) if part)
        return f"{said} ({codes})" if codes else said


def refusal_in(answer: object, *, sent: Collection[str] = ()) -> Refusal | None:
    """The error that a parsed JSON answer is; `None` where it is content. What was `sent` in secret is not repeated.

    An error is `{"error": {"code", "message"}}` whatever stands beside it; else `{"error": …}`, a bare `{"code",
    "message"}` or `{"status": "failure", ...}` with nothing beside that an error would not have: an item whose own
    JSON has a key `error` among others is content.
    """
    if not isinstance(answer, Mapping):
        return None
    error = answer.get("error")
    is_plain = isinstance(error, Mapping) and isinstance(error.get("message"), str) and _whole_number(error.get("code"))
    if not is_plain and not set(answer) <= _ENVELOPE:
        return None
    if isinstance(error, Mapping):
        body: Mapping[str, Any] = error
    elif isinstance(error, str) and "error_description" in answer:
        body = {"code": 400, "message": answer["error_description"] or error}
    elif isinstance(error, str) and len(answer) == 1:
        body = {"message": error}
    elif (
        answer.get("success") is False
        or str(answer.get("status")).lower() in ("failure", "error")
        or ("message" in answer and (_whole_number(answer.get("code")) or 0) >= 400)
    ):
        body = answer
    else:
        return None
    details = body.get("details")
    if isinstance(details, list):
        details = "; ".join(str(detail) for detail in details)
    return Refusal(
        code=_whole_number(body.get("code")),
        words=without_secrets(str(body.get("message") or ""), sent),
        message_code=without_secrets(str(body.get("messageCode") or ""), sent),
        details=without_secrets(str(details or ""), sent),
    )


def error_of_refusal(refusal: Refusal, *, what: str, headers: Mapping[str, str]) -> PortalError:
    """One of our errors for an error that the server said in JSON. `what` names what was asked for."""
    code, said = refusal.code or 0, f"{refusal.words} {refusal.details}"
    kind: type[PortalError]
    if code in (498, 499):
        kind = TokenRejected
    elif code == 429 or _TOO_MANY.search(said):
        kind = RateLimited
    elif code >= 500 or _BUSY.search(said):
        kind = ServerTrouble
    elif code in (401, 403):
        kind = Forbidden
    elif code == 404 or refusal.message_code in _ABSENT_CODES or _ABSENT.search(said):
        kind = NotFound
    elif _PERHAPS.search(refusal.words) and "invalid" not in refusal.details.casefold():
        # Services under load say code 400 "Cannot perform query. Invalid query parameters." and answer the same query
        # a minute later. Where the details name the invalid parameter, the query is wrong and stays wrong.
        kind = ServerTrouble
    else:
        kind = PortalError
    return kind(
        f"{what}: the portal says: {refusal}.",
        code=refusal.code,
        words=str(refusal),
        retry_after=_seconds_to_wait(headers, said),
    )


def error_of_status(status: int, *, what: str, headers: Mapping[str, str], foreign: bool = False) -> PortalError:
    """One of our errors for an HTTP status of 300 or more without an error of the portal's own in the body.

    `foreign`: the answer comes from a host that the portal redirected to. Its refusals are about the address, which
    expires and is made anew at each request, so trying again helps.
    """
    kinds: dict[int, type[PortalError]] = {
        401: Forbidden,
        403: Forbidden,
        404: NotFound,
        408: ServerTrouble,
        410: NotFound,
        425: ServerTrouble,
        429: RateLimited,
        498: TokenRejected,
        499: TokenRejected,
    }
    kind = ServerTrouble if foreign or status >= 500 else kinds.get(status, PortalError)
    by = "the server that the portal redirected to" if foreign else "the server"
    return kind(f"{what}: {by} answered HTTP {status}.", code=status, retry_after=_seconds_to_wait(headers, ""))


def not_json(body: bytes, *, what: str) -> NotAnAnswer:
    """The error for a body that should have been a JSON object."""
    if not body.strip():
        return NotAnAnswer(f"{what}: the answer is empty.")
    if is_html(body):
        return NotAnAnswer(f"{what}: the answer is a web page, not JSON; a server on the way to the portal sent it.")
    return NotAnAnswer(f"{what}: the answer is not JSON ({len(body):,} bytes).")


def is_html(head: bytes) -> bool:
    """Whether a body that starts like this is a web page."""
    return _HTML.match(head) is not None


def is_xml_error(body: bytes) -> bool:
    """Whether a body is an object store's error, `<Error><Code>…`, which some send with HTTP 200."""
    return _XML_ERROR.match(body) is not None


def _seconds_to_wait(headers: Mapping[str, str], words: str) -> float | None:
    """What the server asks to wait: a Retry-After header (seconds or a date), or "Retry after 60 sec" in its words."""
    stated = headers.get("Retry-After", "").strip()
    if stated.replace(".", "", 1).isdigit():
        return float(stated)
    if stated:
        try:
            return max(0.0, (parsedate_to_datetime(stated) - datetime.now(UTC)).total_seconds())
        except (TypeError, ValueError):
            pass  # neither a number nor a date: as if it were not there
    match = _WAIT.search(words)
    return float(match[1]) * (60 if match[2] else 1) if match else None


def _whole_number(value: object) -> int | None:
    try:
        return int(value)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError):
        return None


def without_secrets(text: str, sent: Collection[str] = ()) -> str:
    """The server's words without tokens, passwords and signatures, which it may repeat, and without what was `sent`."""
    for secret in filter(None, sent):
        text = text.replace(secret, "…")
    return _SECRET.sub(r"\1…", text)
