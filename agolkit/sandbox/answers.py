"""Answers as the Sharing REST API gives them: JSON in three forms, errors inside HTTP 200, pages of a list."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from starlette.responses import Response

Json = dict[str, Any]


class ServiceError(Exception):
    """An error that the portal answers as JSON inside HTTP 200."""

    def __init__(
        self, code: int, message: str, message_code: str | None = None, details: Sequence[str] | None = (), **more: Any
    ) -> None:
        super().__init__(message)
        self.envelope: Json = {"error": {"code": code}}
        if message_code:
            self.envelope["error"]["messageCode"] = message_code
        self.envelope["error"] |= {"message": message, "details": None if details is None else list(details), **more}


def no_item() -> ServiceError:
    """The error for an item that does not exist, or that this account may not see: the portal does not tell which."""
    return ServiceError(400, "Item does not exist or is inaccessible.", "CONT_0001")


def no_permission() -> ServiceError:
    """The error for something that this account may not do."""
    return ServiceError(
        403, "You do not have permissions to access this resource or perform this operation.", "GWM_0003"
    )


def token_required() -> ServiceError:
    """The error for a request without a token that needs one."""
    return ServiceError(499, "Token Required", "GWM_0003", ["Token Required"])


def invalid_token() -> ServiceError:
    """The error for a token that is unknown, expired, revoked, or used by somebody else."""
    return ServiceError(498, "Invalid token.")


def render(content: Mapping[str, Any] | Sequence[Any], form: str) -> Response:
    """Return `content` in the form that the parameter `f` asked for; without `f` it is an HTML page."""
    if form == "json":
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        # Half a surrogate pair, which a title cut in the middle of an emoji ends with, can only be escaped.
        return Response(text.encode(errors="backslashreplace"), media_type="application/json;charset=utf-8")
    pretty = json.dumps(content, ensure_ascii=False, indent=2)
    if form == "pjson":
        return Response(pretty, media_type="application/json;charset=utf-8")
    return Response(
        f"<!DOCTYPE html>\n<html><body><pre>{escape(pretty)}</pre></body></html>", media_type="text/html;charset=utf-8"
    )


def page(rows: Sequence[Any], start: int, num: int) -> tuple[Sequence[Any], Json]:
    """Return one page of `rows` and the keys that describe it; a `start` below 1 or past the end is an empty page."""
    num = max(0, min(num, 100))
    if start < 1:
        return [], {"total": len(rows), "start": start, "num": num, "nextStart": -1}
    end = start - 1 + num
    return rows[start - 1 : end], {
        "total": len(rows),
        "start": start,
        "num": num,
        "nextStart": end + 1 if num and end < len(rows) else -1,
    }
