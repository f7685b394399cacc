"""Servers whose answers have no end, or take for ever: each request ends, and little of the answer is read."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

import pytest
import trustme
from hand_built import Nowhere

from agolkit.errors import AgolkitError, ConnectionTrouble, PortalError, ServerTrouble
from agolkit.portal.exchange import Exchange
from agolkit.portal.session import Pool, PortalSession, trusted_by_system

IDLE = 0.2
"""Seconds without a byte that the requests here allow."""
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
BLANKS = b" " * 500_000
MEGABYTE = 1_000_000


@dataclass
class Server:
    """A server of one certificate whose answers are bytes, each piece sent as long as somebody listens."""

    port: int
    answers: list[Iterable[bytes]]
    """The answer to each connection, in order; the last one to all that follow."""
    pace: float = 0.0
    """Seconds between two pieces."""
    sent: int = 0
    asked: int = 0

    def serve(self, connection: ssl.SSLSocket, over: threading.Event) -> None:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        with suppress(OSError), connection:
            connection.settimeout(20)
            connection.recv(100_000)
            for piece in answer:
                connection.sendall(piece)
                self.sent += len(piece)
                if over.wait(self.pace):
                    return


@contextmanager
def running(
    authority: trustme.CA, bundle: Path, *answers: Iterable[bytes], pace: float = 0.0
) -> Iterator[tuple[Server, Exchange]]:
    """A server, and requests to it that are made once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        server = Server(listening.getsockname()[1], list(answers), pace)

        def accept() -> None:
            while not over.is_set():
                with suppress(OSError):
                    plain, _ = listening.accept()
                    plain.settimeout(20)
                    connection = context.wrap_socket(plain, server_side=True)
                    threading.Thread(target=server.serve, args=(connection, over), daemon=True).start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        session = PortalSession(Pool(trusted_by_system(bundle), width=2), connect_timeout=5, idle_timeout=IDLE)
        try:
            yield server, Exchange(session, f"https://127.0.0.1:{server.port}", attempts=1)
        finally:
            over.set()
            session.close()
            accepting.join(10)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


def endless(start: bytes, more: bytes) -> Iterator[bytes]:
    """An answer that begins, and then goes on for ever with the same."""
    return chain([start], repeat(more))


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (JSON, b"X"),
        (JSON + b"Content-Length: 1000000\r\n\r\n", b" "),
        (JSON + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["in the headers", "in the body", "in chunks", "before the headers"],
)
@pytest.mark.parametrize("is_download", [False, True])
def test_a_trickle_is_not_waited_for(
    authority: trustme.CA, bundle: Path, start: bytes, more: bytes, is_download: bool
) -> None:
    """A byte now and then keeps the idle time-out from being reached; so few bytes in five of them are the end."""
    with running(authority, bundle, endless(start, more), pace=IDLE / 5) as (_, exchange):
        began = time.monotonic()
        with pytest.raises(ConnectionTrouble, match="too slowly"):
            exchange.download("data", Nowhere()) if is_download else exchange.get_json("data")
        assert 5 * IDLE <= time.monotonic() - began < 25 * IDLE


@pytest.mark.parametrize(
    ("start", "more", "error", "words", "most"),
    [
        (JSON + b"\r\n", BLANKS, PortalError, "longer than any answer", 280),
        (
            JSON + b"Content-Encoding: gzip\r\n\r\n",
            gzip.compress(20 * BLANKS),
            PortalError,
            "longer than any answer",
            10,
        ),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", BLANKS, ServerTrouble, "HTTP 502", 10),
        (JSON, b"X-More: and more\r\n" * 1000, ConnectionTrouble, "the connection failed", 10),
        (JSON + b"X-Long: ", BLANKS, ConnectionTrouble, "the connection failed", 10),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, ConnectionTrouble, "no end", 20),
    ],
    ids=["JSON", "gzip bomb", "error page", "headers", "one header", "interim answers"],
)
def test_an_answer_without_an_end(
    authority: trustme.CA,
    bundle: Path,
    start: bytes,
    more: bytes,
    error: type[AgolkitError],
    words: str,
    most: int,
) -> None:
    """It is one of our errors before more than so many megabytes have been sent."""
    answer = endless(start, more)
    with running(authority, bundle, answer) as (server, exchange), pytest.raises(error, match=words):
        exchange.get_json("data")
    assert server.sent < most * MEGABYTE


def test_an_error_page_without_an_end_in_place_of_a_file(authority: trustme.CA, bundle: Path) -> None:
    """A download ends with the error as soon as no error is that long; nothing is passed on."""
    page = endless(b"HTTP/1.1 500 Error\r\n\r\n<html>", BLANKS)
    sink = Nowhere()
    with running(authority, bundle, page) as (server, exchange), pytest.raises(ServerTrouble, match="HTTP 500"):
        exchange.download("data", sink)
    assert sink.size == 0
    assert server.sent < 10 * MEGABYTE


def test_a_redirect_with_an_endless_body_is_followed(authority: trustme.CA, bundle: Path) -> None:
    """Only the address of a redirect counts."""
    away = endless(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n", BLANKS)
    here = [JSON + b"Content-Length: 10\r\n\r\n", b'{"is": 42}']
    with running(authority, bundle, away, here) as (server, exchange):
        assert exchange.get_json("data") == {"is": 42}
    assert server.asked == 2
    assert server.sent < 10 * MEGABYTE


def test_redirects_in_a_circle(authority: trustme.CA, bundle: Path) -> None:
    """A few redirects are followed, then the request has failed; trying again would not help."""
    circle = [b"HTTP/1.1 302 Found\r\nLocation: /data\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]
    with running(authority, bundle, circle) as (server, exchange), pytest.raises(PortalError, match="in a circle"):
        exchange.get_json("data")
    assert server.asked == 6
