"""Posting to a webhook or a check. An address is a secret: no message, log or error holds more of it than its host."""

from __future__ import annotations

import http.client
import ssl
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from agolkit.errors import ConnectionTrouble, NotDelivered

TIMEOUT = 10.0
"""Seconds without a byte."""
_HERE = ("localhost", "127.0.0.1", "::1")


def post(url: str, content: bytes, content_type: str, *, trust: ssl.SSLContext) -> None:
    """Return when the host has taken the content. System proxies are used; a redirect is not followed.

    Raises
    ------
    ConnectionTrouble
        No answer, or one that asks for patience (429, 5xx). Trying again may help.
    NotDelivered
        The host refuses it, or is not trusted. Final.
    """
    host = urlsplit(url).hostname or ""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler({} if host in _HERE else None),
        HTTPHandler(),
        HTTPSHandler(context=trust),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    request = Request(url, content, {"Content-Type": content_type, "User-Agent": "agolkit"}, method="POST")
    try:
        opener.open(request, timeout=TIMEOUT).close()
    except HTTPError as error:
        error.close()
        if error.code == 429 or error.code >= 500:
            raise ConnectionTrouble(f"{host} answers {error.code}.") from None
        advice = "Is the address still right?" if error.code in (301, 302, 303, 307, 308, 404, 410) else ""
        raise NotDelivered(f"{host} refuses it with {error.code}. {advice}".rstrip()) from None
    except (URLError, http.client.HTTPException, OSError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise untrusted(host, reason) from None
        raise ConnectionTrouble(f"{host} cannot be reached ({type(reason).__name__}).") from None


def untrusted(host: str, error: ssl.SSLCertVerificationError) -> NotDelivered:
    """The error for a certificate that is not trusted."""
    return NotDelivered(
        f"The certificate of {host} is not trusted ({error.verify_message}). If it is one of your own organization's, "
        "name its CA file in AGOLKIT_CA_BUNDLE."
    )


def address_of_ping(url: str, signal: str) -> str:
    """The address that tells a check of this signal: `start`, or an exit code."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{signal}"))
