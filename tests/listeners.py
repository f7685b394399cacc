"""A mail server and a web server of this machine, which remember what they are sent."""

from __future__ import annotations

import email
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, Session

USERNAME, PASSWORD = "nightly@example.org", "pass word-of-the-mail-server"


@dataclass
class Mailbox:
    """What a mail server has taken, and what it answers."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    """To the next mails, each once; after that all are taken."""
    tried: int = 0
    signed_in: int = 0

    async def handle_RCPT(  # noqa: N802  the name is aiosmtpd's
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if address.startswith("nobody"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        del server, session
        self.tried += 1
        if self.answers:
            return self.answers.pop(0)
        assert isinstance(envelope.content, bytes)
        self.mails.append(email.message_from_bytes(envelope.content, EmailMessage, policy=default))
        self.recipients += envelope.rcpt_tos
        return "250 OK"


class _AnyPort(Controller):
    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_server(ca: trustme.CA, *, security: str = "starttls", auth: bool = True) -> Iterator[Mailbox]:
    """A mail server that lets in who knows `USERNAME` and `PASSWORD`, over an encrypted connection."""
    mailbox = Mailbox()

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        del server, session, envelope, mechanism
        is_right = (data.login, data.password) == (USERNAME.encode(), PASSWORD.encode())
        mailbox.signed_in += is_right
        return AuthResult(success=is_right, handled=False)  # not handled: the server is to say so

    tls = {"ssl_context": context(ca)} if security == "tls" else {}
    options: dict[str, Any] = {"require_starttls": True, "tls_context": context(ca)} if security == "starttls" else {}
    if auth:
        # Behind TLS from the first byte on, aiosmtpd does not know that the connection is encrypted.
        is_known = security == "starttls"
        options |= {"authenticator": authenticate, "auth_required": is_known, "auth_require_tls": is_known}
    controller = _AnyPort(mailbox, "127.0.0.1", 0, server_hostname="mail.example.org", **tls, **options)
    controller.start()
    mailbox.port = controller.port
    try:
        yield mailbox
    finally:
        controller.stop()


@dataclass
class Post:
    """One request that arrived."""

    path: str
    content: bytes
    content_type: str


@dataclass
class WebListener:
    """What a web server was sent, and what it answers."""

    url: str = ""
    posts: list[Post] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """To the next requests, each once; after that 200."""
    silence: threading.Event | None = None
    """Nothing is answered until this is set."""


@contextmanager
def web_server(ca: trustme.CA | None = None) -> Iterator[WebListener]:
    """A web server that takes posts; with a CA over https."""
    heard = WebListener()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            heard.posts.append(Post(self.path, content, self.headers.get("Content-Type", "")))
            if heard.silence is not None:
                heard.silence.wait(30)
            status = heard.answers.pop(0) if heard.answers else 200
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that does not trust us, or has gone, is no trouble of this server."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if ca is not None:
            server.socket = context(ca).wrap_socket(server.socket, server_side=True)
        heard.url = f"{'https' if ca else 'http'}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield heard
        finally:
            server.shutdown()
            thread.join()


def context(ca: trustme.CA) -> ssl.SSLContext:
    """A server's TLS context with a certificate for this machine."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(made)
    return made
