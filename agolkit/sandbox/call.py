"""One request as the handlers see it: parameters merged, user known; and how a handler becomes a route."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agolkit.sandbox.answers import ServiceError, invalid_token, render, token_required
from agolkit.sandbox.log import TOKEN_HEADERS
from agolkit.sandbox.organization import Organization, User
from agolkit.sandbox.settings import Settings
from agolkit.sandbox.state import State, Token, now

_WORTHWHILE = 1024
"""Bytes of an answer from which on it is compressed."""


@dataclass
class Call:
    """A request: query and form merged into `params`, the signed-in user found."""

    request: Request
    state: State
    params: dict[str, str]
    user: User | None = None
    token: Token | None = None

    @property
    def org(self) -> Organization:
        return self.state.org

    @property
    def settings(self) -> Settings:
        return self.state.settings

    @property
    def form(self) -> str:
        """The form of the answer: `json`, `pjson` or `html`."""
        return self.params.get("f", "html")

    def part(self, name: str) -> str:
        """Return a part of the path."""
        value: str = self.request.path_params[name]
        return value

    def signed_in(self) -> User:
        """Return the user, or answer that a token is required."""
        if self.user is None:
            raise token_required()
        return self.user

    def number(self, name: str, default: int) -> int:
        """Return a whole-number parameter."""
        text = self.params.get(name, "").strip()
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            raise ServiceError(400, f"'{name}' parameter is invalid") from None

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a true-or-false parameter."""
        text = self.params.get(name, "").strip().lower()
        return text in ("true", "1") if text else default


Handler = Callable[[Call], Awaitable[Mapping[str, Any] | Response]]


def route(state: State, path: str, handler: Handler, *, is_open: bool = False) -> Route:
    """Return the route of a handler, for GET and POST alike; an open one does not look at tokens."""

    async def endpoint(request: Request) -> Response:
        call = Call(request, state, await _params(request))
        try:
            if not is_open:
                _sign_in(call)
            answer = await handler(call)
        except ServiceError as error:
            answer = error.envelope
        finally:
            await request.close()  # the files of a form
        return answer if isinstance(answer, Response) else _compressed(render(answer, call.form), request)

    return Route(path, endpoint, methods=["GET", "POST", "HEAD"])


def _compressed(response: Response, request: Request) -> Response:
    """A long answer in JSON or HTML, compressed if the client takes that, as the services do with text."""
    if len(response.body) >= _WORTHWHILE and "gzip" in request.headers.get("accept-encoding", ""):
        response.body = gzip.compress(response.body, compresslevel=3, mtime=0)
        response.headers.update({"Content-Encoding": "gzip", "Content-Length": str(len(response.body))})
    return response


async def _params(request: Request) -> dict[str, str]:
    """Query, form and multipart fields in one; a field of the body wins."""
    params = dict(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
    if request.method != "POST":
        return params
    kind = request.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        form = await request.form()
        params.update((name, value) for name, value in form.items() if not isinstance(value, UploadFile))
    elif kind.startswith("application/x-www-form-urlencoded"):
        params.update(parse_qsl((await request.body()).decode("utf-8"), keep_blank_values=True))
    return params


def _sign_in(call: Call) -> None:
    headers = call.request.headers
    text = call.params.get("token", "")
    for name in TOKEN_HEADERS:
        if headers.get(name, "").startswith("Bearer "):
            text = headers[name].removeprefix("Bearer ").strip()
            break
    if not text:
        return
    token = call.state.tokens.get(text)
    user = call.org.users.get(token.username) if token else None
    if token is None or user is None or user.disabled or token.expires <= now():
        raise invalid_token()
    if call.settings.check_referer and token.referer and headers.get("referer", "") != token.referer:
        raise invalid_token()
    call.user, call.token = user, token
    entry = call.request.scope["sandbox.entry"]
    entry.user, entry.signed_in = user.username, True
