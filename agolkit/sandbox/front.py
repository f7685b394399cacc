"""The door of the practice portal: logs every request, slows answers down, and lets faults strike."""

from __future__ import annotations

import asyncio
import gzip
import re
import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agolkit.sandbox.faults import Fault
from agolkit.sandbox.log import Entry
from agolkit.sandbox.state import State

_SLASHES = re.compile("//+")


class CutOff(Exception):
    """Ends an answer in the middle; the server then closes the connection."""


class Front:
    """Wraps the application: one log entry a request, double slashes collapsed, settings and faults applied."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self.app = app
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        if "//" in path:
            path = scope["path"] = _SLASHES.sub("/", path)
            scope["raw_path"] = _SLASHES.sub("/", scope["raw_path"].decode("latin-1")).encode("latin-1")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        entry = self.state.log.arrived(scope["method"], path, scope["query_string"], headers)
        scope["sandbox.entry"] = entry
        began = time.perf_counter()
        try:
            await self._answer(scope, receive, send, entry)
        except CutOff:
            pass
        finally:
            self.state.log.left(entry)
            entry.milliseconds = (time.perf_counter() - began) * 1000

    async def _answer(self, scope: Scope, receive: Receive, send: Send, entry: Entry) -> None:
        if self.state.settings.latency:
            await asyncio.sleep(self.state.settings.latency)
        fault = self.state.faults.strike(entry.method, entry.path) or _NONE
        if fault.action:
            fault.action()
        if fault.delay:
            await asyncio.sleep(fault.delay)
        told, refusal = self.state.quota.spend(entry.path)
        plain = _Out(send, receive, self.state, entry, fault, told)
        out = _Altered(plain, fault) if fault.alters else plain
        if refusal:
            await _drain(receive)
            json_type = {"content-type": "application/json;charset=utf-8"}
            await _send_whole(plain, refusal.status, refusal.content, json_type | refusal.headers)
        elif fault.answers:
            await _drain(receive)
            body, content_type = fault.content()
            await _send_whole(out, fault.status or 200, body, {"content-type": content_type})
        else:
            await self.app(scope, receive, out)


_NONE = Fault("")


class _Altered:
    """Collects an answer, and sends what a fault makes of it."""

    def __init__(self, out: _Out, fault: Fault) -> None:
        self.out = out
        self.fault = fault
        self.start: Message = {}
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        self.body += message.get("body", b"")
        if message.get("more_body", False):
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.start["headers"]}
        if headers.get("content-encoding") == "gzip" and (self.fault.change or self.fault.rewrite):
            self.body = gzip.decompress(self.body)
            del headers["content-encoding"]
        body = self.fault.altered(self.body)
        length = max(0, len(body) + self.fault.longer)
        headers |= {"content-length": str(length)}
        headers |= {name.lower(): value for name, value in self.fault.headers.items()}
        if self.fault.chunked:
            del headers["content-length"]
        await self.out({**self.start, "headers": _raw(headers)})
        await self.out({"type": "http.response.body", "body": body[:length], "more_body": self.fault.longer > 0})
        if self.fault.longer > 0:
            raise CutOff


class _Out:
    """Sends an answer: counts its bytes, keeps to the bandwidth, ends or stalls it where a fault says so."""

    def __init__(
        self, send: Send, receive: Receive, state: State, entry: Entry, fault: Fault, told: Mapping[str, str]
    ) -> None:
        self.send = send
        self.receive = receive
        self.log = state.log
        self.stated: int | None = None
        self.entry = entry
        self.bandwidth = fault.bandwidth or state.settings.bandwidth
        self.cut_after = fault.cut_after
        self.stalls = fault.stalls
        self.headers = _raw(told)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.entry.status = message["status"]
            length = dict(message.get("headers", ())).get(b"content-length", b"")
            self.stated = int(length) if length.isdigit() else None
            await self.send({**message, "headers": [*message.get("headers", ()), *self.headers]})
            return
        body = message.get("body", b"")
        is_cut = self.cut_after is not None and self.entry.bytes_out + len(body) > self.cut_after
        if is_cut:
            assert self.cut_after is not None
            body = body[: self.cut_after - self.entry.bytes_out]
        if self.bandwidth is None:
            self.entry.bytes_out += len(body)
            if self.entry.bytes_out == self.stated:
                self.log.left(self.entry)  # the client may ask for more before this coroutine goes on
            await self.send(
                {"type": "http.response.body", "body": body, "more_body": is_cut or message.get("more_body", False)}
            )
        else:
            await self._send_slowly(body, self.bandwidth, is_cut or message.get("more_body", False))
        if is_cut and self.stalls:
            while (await self.receive())["type"] != "http.disconnect":
                pass
        if is_cut:
            raise CutOff

    async def _send_slowly(self, body: bytes, bandwidth: int, more: bool) -> None:
        step = max(1, bandwidth // 20)
        for at in range(0, max(1, len(body)), step):
            piece = body[at : at + step]
            await asyncio.sleep(len(piece) / bandwidth)
            self.entry.bytes_out += len(piece)
            await self.send({"type": "http.response.body", "body": piece, "more_body": more or at + step < len(body)})


async def _drain(receive: Receive) -> None:
    """Take the request's body in, so that the connection can serve the next one."""
    while (message := await receive())["type"] == "http.request" and message.get("more_body", False):
        pass


async def _send_whole(out: Send, status: int, body: bytes, headers: Mapping[str, str]) -> None:
    raw = _raw({"content-length": str(len(body))} | {name.lower(): value for name, value in headers.items()})
    await out({"type": "http.response.start", "status": status, "headers": raw})
    await out({"type": "http.response.body", "body": body})


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
