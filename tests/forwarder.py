"""A forwarder in front of a web server: it remembers the requests, and can lose what is on the way."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Request(NamedTuple):
    """What a client has asked."""

    method: str
    path: str
    bytes_in: int


def no_fault(_: Request) -> None:
    """Everything arrives."""


LOSE_REQUEST, LOSE_ANSWER = -2, -1
"""The connection ends before the request has reached the server, or after that without an answer."""


@dataclass
class Forwarder:
    """Requests so far, and what happens to those to come."""

    target: str
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    bytes_out: int = 0
    fault: Callable[[Request], int | None] = no_fault
    """`LOSE_REQUEST`, `LOSE_ANSWER`, or how many bytes of the answer's body come before the connection ends."""
    lost: Callable[[], object] = lambda: None
    """Called when a request or an answer is lost, before the connection ends."""
    without: tuple[str, ...] = ()
    """Names of headers, in lower case, that the server does not get to see."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, method: str = "", part: str = "") -> int:
        """How many requests there were of a method, with this in their path."""
        return sum(method in ("", each.method) and part in each.path for each in self.requests)


@contextmanager
def forwarding(target: str) -> Iterator[Forwarder]:
    """A forwarder to the server at this address, on a free port."""
    forwarder = Forwarder(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(size)
            request = Request(self.command, self.path, size)
            with forwarder.lock:
                forwarder.requests.append(request)
            fault = forwarder.fault(request)
            self.close_connection = fault is not None
            if fault == LOSE_REQUEST:
                forwarder.lost()
                return
            answer, content = self.asked(body)
            if fault == LOSE_ANSWER:
                forwarder.lost()
                return
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            length = answer.getheader("content-length") if self.command == "HEAD" else str(len(content))
            if length is not None and answer.status not in (204, 304):
                self.send_header("content-length", length)
            self.end_headers()
            self.wfile.write(content if fault is None else content[:fault])
            with forwarder.lock:
                forwarder.bytes_out += len(content)

        def asked(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
            with closing(http.client.HTTPConnection(urlsplit(target).netloc, timeout=60)) as server:
                server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in (*forwarder.without, "expect", "connection"):
                        server.putheader(name, value)
                server.endheaders(body)
                answer = server.getresponse()
                return answer, answer.read()

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any  # noqa: N815  the names are http.server's

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *args: Any) -> None:
            pass  # a client that is killed leaves its connections

    with Server(("127.0.0.1", 0), Handler) as server:
        forwarder.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield forwarder
        finally:
            server.shutdown()
            thread.join()
