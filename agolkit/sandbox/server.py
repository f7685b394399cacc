"""The practice portal as a running server: a thread, a certificate authority of its own, a free port."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import trustme
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agolkit.sandbox import (
    attaching,
    attachments,
    changes,
    community,
    content,
    edits,
    export,
    features,
    portals,
    removal,
    search,
    signin,
    tiles,
    transfer,
)
from agolkit.sandbox.answers import ServiceError, render
from agolkit.sandbox.faults import Faults
from agolkit.sandbox.front import Front
from agolkit.sandbox.log import RequestLog
from agolkit.sandbox.organization import Organization
from agolkit.sandbox.settings import Settings
from agolkit.sandbox.state import State

HANDSHAKE_SECONDS = 5
"""How long the end of the portal waits for connections that are being made."""
TICK_SECONDS = 0.1
"""As often as uvicorn looks after itself; every tenth time it renews the date in its headers."""


class Sandbox:
    """A practice portal that serves `org` over HTTPS on 127.0.0.1 while it is open; use it in a `with` statement.

    What a client does to it can be seen in `org` (the truth), and in `log`; `settings` and `faults` change how it
    behaves, also while it runs.
    """

    def __init__(self, org: Organization, settings: Settings | None = None) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="agolkit-sandbox-")
        self._state = State(org, settings or Settings(), Path(self._temporary.name))
        self._thread: threading.Thread | None = None
        self._server: _Server | None = None

    def __repr__(self) -> str:
        where = self.url if self._thread else "not running"
        return f"<Sandbox {self.org.name!r}, {self.org.mode}, {where}>"

    @property
    def org(self) -> Organization:
        """What the portal holds: the truth to compare with."""
        return self._state.org

    @property
    def settings(self) -> Settings:
        """How the portal behaves; may be changed at any time."""
        return self._state.settings

    @property
    def log(self) -> RequestLog:
        """What was asked of the portal."""
        return self._state.log

    @property
    def refused_requests(self) -> int:
        """How many requests came after the units of their minute were used up."""
        return self._state.quota.refused

    @property
    def faults(self) -> Faults:
        """The faults that are switched on."""
        return self._state.faults

    @property
    def url(self) -> str:
        """Address of the portal, for `GIS(url, ...)`."""
        return self._state.portal_url

    @property
    def ca_bundle(self) -> Path:
        """PEM file with the certificate authority to trust."""
        return Path(self._temporary.name) / "ca.pem"

    @property
    def username(self) -> str:
        """User name of the administrator."""
        return self.org.admin

    @property
    def password(self) -> str:
        """Password of the administrator."""
        return self.org.users[self.org.admin].password

    @property
    def client_id(self) -> str:
        """Id of an application registered by the administrator."""
        return self._state.client_id

    @property
    def client_secret(self) -> str:
        """Secret of that application."""
        return self._state.client_secret

    @property
    def running_jobs(self) -> int:
        """How many export jobs run now."""
        return len(self._state.running_jobs)

    @property
    def waiting_jobs(self) -> int:
        """How many export jobs wait for their turn."""
        return len(self._state.waiting_jobs)

    def new_token(self, username: str | None = None, minutes: float = 60) -> str:
        """Return a fresh token of a user (of the administrator, unless named)."""
        return self._state.issue(self.org.users[username or self.org.admin], minutes)[0]

    def revoke_tokens(self) -> None:
        """Make all tokens that were issued so far useless, as when they expire."""
        self._state.tokens.clear()

    def start(self) -> Self:
        """Start serving; returns when the portal answers."""
        if self._thread:
            return self
        authority = trustme.CA(organization_name="agolkit practice portal")
        authority.cert_pem.write_to_path(str(self.ca_bundle))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        listener = _listen(self.settings.port)
        self._state.port = listener.getsockname()[1]
        config = uvicorn.Config(
            Front(_application(self._state), self._state),
            log_config=None,
            log_level="critical",
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=0,
        )
        config.load()
        config.ssl = context  # the argument for it came with uvicorn 0.47
        self._server = _Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="agolkit-sandbox", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("The practice portal could not be started.")
            time.sleep(0.005)
        return self

    def go_away(self) -> None:
        """Hang up, and refuse connections until `come_back`. The organization stays, and jobs go on."""
        assert self._server is not None
        asyncio.run_coroutine_threadsafe(self._server.go_away(), self._server.loop).result()

    def come_back(self) -> None:
        """Serve again, at the same port."""
        assert self._server is not None
        listener = _listen(self._state.port)
        asyncio.run_coroutine_threadsafe(self._server.startup([listener]), self._server.loop).result()

    def stop(self) -> None:
        """Stop serving and remove the temporary files."""
        if self._server and self._thread:
            self._server.end()
            self._thread.join()
        self._server = self._thread = None
        self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class _Server(uvicorn.Server):
    """Ends at once, and hangs up then, rather than wait until clients close the connections that they keep open.

    uvicorn's own end takes two pauses of a tenth of a second, which hundreds of portals, one for each test, add up.
    A connection that is still being encrypted can be neither counted nor hung up, and would keep the loop from ending:
    such ones are waited for.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._accepted: WeakSet[Any] = WeakSet()
        make = config.http_protocol_class

        def accept(*args: Any, **kwargs: Any) -> Any:
            protocol = make(*args, **kwargs)
            self._accepted.add(protocol)
            return protocol

        config.http_protocol_class = accept  # type: ignore[assignment]  # nothing but a call of it is asked for
        self.loop: asyncio.AbstractEventLoop
        self._end = asyncio.Event()

    def end(self) -> None:
        """Make the server end; may be called from any thread once it has started."""
        self.should_exit = True
        if self.started:
            self.loop.call_soon_threadsafe(self._end.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._end.wait(), TICK_SECONDS)

    async def go_away(self) -> None:
        """Close the door, and every connection."""
        for server in self.servers:
            server.close()
        end = time.monotonic() + HANDSHAKE_SECONDS
        while time.monotonic() < end and any(protocol.transport is None for protocol in self._accepted):
            await asyncio.sleep(0.01)
        for connection in list(self.server_state.connections):
            if connection.transport:
                connection.transport.abort()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.go_away()
        for listener in sockets or ():
            listener.close()
        for task in self.server_state.tasks:
            task.cancel()
        for server in self.servers:
            await server.wait_closed()


def _listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), backlog=512)


def _application(state: State) -> Starlette:
    items = (transfer, export, removal, content, search, portals, community)
    services = (tiles, features, attachments, edits, attaching, changes)
    rooms = (*items, *services, signin)
    routes = [one for room in rooms for one in room.routes(state)]
    return Starlette(routes=[*routes, Route("/{path:path}", _nothing_here, methods=["GET", "POST", "HEAD"])])


async def _nothing_here(request: Request) -> Response:
    error = ServiceError(400, "Invalid URL", details=["Invalid URL"])
    return render(error.envelope, request.query_params.get("f", "html"))
