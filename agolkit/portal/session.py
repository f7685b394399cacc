"""The HTTP session: trust, proxies, time-outs, and a token that never leaves the portal's own hosts.

Nothing here reads a body. `requests` does the talking; what is ours is that certificates are always checked, against
the operating system's store, that each request has time-outs, that the environment is asked for proxies once a host
and not once a request, and that a redirect to another host goes out without the token.
"""

from __future__ import annotations

import http.client
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import truststore
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from agolkit.errors import ConnectionTrouble, NotAnAnswer, PortalError, Unreachable, UsageError
from agolkit.portal.connections import ConnectionPool, Trickle
from agolkit.portal.tokens import TOKEN_HEADER

_CUT_OFF = (urllib3.exceptions.IncompleteRead, http.client.IncompleteRead)
_SILENCE = (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError)
HOSTS = 32
"""Hosts to which connections are kept open."""
REDIRECTS = 5
"""Redirects that one request follows."""
SHORT = 1024
"""Bytes of a redirect's body that are read, so that the connection can be kept."""
_HERE = {"localhost", "127.0.0.1", "::1"}


def trusted_by_system(ca_bundle: str | os.PathLike[str] | None = None) -> ssl.SSLContext:
    """A TLS context that trusts the operating system's store and, where given, the certificates of `ca_bundle` too.

    `REQUESTS_CA_BUNDLE` is taken where no bundle is given; `SSL_CERT_FILE` is part of the system's store (OpenSSL).

    Raises
    ------
    UsageError
        The bundle is not a file with certificates in PEM form.
    """
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bundle = ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE")
    if bundle:
        where = {"capath": str(bundle)} if Path(bundle).is_dir() else {"cafile": str(bundle)}
        try:
            context.load_verify_locations(**where)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"The CA bundle {str(bundle)!r} cannot be used ({error}). Give the path of a file with certificates in "
                "PEM form (ca_bundle, AGOLKIT_CA_BUNDLE or REQUESTS_CA_BUNDLE)."
            ) from None
    return context


class Pool(HTTPAdapter):
    """The connections of a portal, as many at once as asked for, shared by all its sessions."""

    def __init__(self, context: ssl.SSLContext, *, width: int) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._proxies: dict[str, dict[str, str]] = {}
        self.requests = 0
        self.width = width
        super().__init__(pool_connections=HOSTS, pool_maxsize=width, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"https": ConnectionPool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **kwargs)
        manager.pool_classes_by_scheme = {"https": ConnectionPool}
        return manager

    def widen(self, width: int) -> None:
        """Keep as many as `width` connections open from now on."""
        if width > self.width:
            self.width = width
            self.init_poolmanager(HOSTS, width)

    def cert_verify(self, conn: Any, *_: object) -> None:
        # The context above says whom to trust. `requests` would add its own list, or switch the check off.
        conn.cert_reqs = "CERT_REQUIRED"

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        with self._lock:
            self.requests += 1
        kwargs |= {"verify": True, "proxies": self._proxies_for(request.url or "")}
        response = super().send(request, *args, **kwargs)
        if response.is_redirect:
            # `requests` would read the whole body, however long, before it follows.
            with suppress(urllib3.exceptions.HTTPError):
                response.raw.read(SHORT, decode_content=False)
            response.raw.close()
            response.raw = None
        return response

    def _proxies_for(self, url: str) -> dict[str, str]:
        """The system's proxies for the host of `url`, looked up once. This machine itself is never behind one."""
        host = urlsplit(url).netloc
        proxies = self._proxies.get(host)
        if proxies is None:
            proxies = {} if urlsplit(url).hostname in _HERE else dict(get_environ_proxies(url))
            self._proxies[host] = proxies
        return proxies


class PortalSession(requests.Session):
    """A session on a pool of connections: safe for many threads, with time-outs on every request.

    Setting `auth` to `None` and back, as `arcgis` does round a download, concerns only the thread that does it.
    """

    def __init__(self, pool: Pool, *, connect_timeout: float, idle_timeout: float) -> None:
        self._this_thread = threading.local()
        self._signature: Any = None
        super().__init__()
        self.pool = pool
        self.connect_timeout = connect_timeout
        self.idle_timeout = idle_timeout
        self.max_redirects = REDIRECTS
        self.trust_env = False  # no netrc, and proxies once a host: see Pool
        self.adapters.clear()
        self.mount("https://", pool)
        self.headers["User-Agent"] = f"agolkit/{_version()}"
        # The API needs none, and a cookie would be a second credential, outside the rules for the token.
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._this_thread.bare = False

    def sign_with(self, signature: Any) -> None:
        """Sign every request from now on, in all threads."""
        self._signature = signature

    @property
    def auth(self) -> Any:
        return None if getattr(self._this_thread, "bare", False) else self._signature

    @auth.setter
    def auth(self, value: Any) -> None:
        self._this_thread.bare = value is None

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        timeout = kwargs.get("timeout")
        if timeout is None:
            kwargs["timeout"] = (self.connect_timeout, self.idle_timeout)
        elif isinstance(timeout, int | float):
            kwargs["timeout"] = (self.connect_timeout, timeout)
        return super().send(request, **kwargs)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, _: requests.Response) -> None:
        """On a redirect: drop what was for the host before, and sign anew where the next one is the portal's own."""
        was_signed = TOKEN_HEADER in prepared_request.headers
        for name in (TOKEN_HEADER, "Authorization", "Referer"):
            prepared_request.headers.pop(name, None)
        if was_signed and self.auth is not None:
            self.auth(prepared_request)


@contextmanager
def connection_errors(what: str) -> Iterator[None]:
    """Turn what `requests` and `urllib3` raise when an answer does not arrive into our errors.

    Theirs are not chained: they hold the whole address, which after a redirect is the right to read, and a traceback
    shows it.
    """
    try:
        yield
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL):
        raise PortalError(f"{what}: the portal leads to an address that is not https; it is not followed.") from None
    except requests.exceptions.TooManyRedirects:
        raise PortalError(f"{what}: the portal redirects in a circle.") from None
    except (
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        ssl.SSLError,
        ConnectionError,
        TimeoutError,
    ) as error:
        causes = list(_causes(error))
        untrusted = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
        if untrusted is not None:
            raise Unreachable(
                f"{what}: the server's certificate is not trusted ({untrusted.verify_message}). If the portal uses a "
                "certificate of your own organization, give its CA file as ca_bundle (AGOLKIT_CA_BUNDLE)."
            ) from None
        if any(isinstance(cause, _CUT_OFF) for cause in causes):
            raise NotAnAnswer(f"{what}: the answer was cut off.") from None
        trickle = next((cause for cause in causes if isinstance(cause, Trickle)), None)
        if trickle is not None:
            raise ConnectionTrouble(f"{what}: the answer comes too slowly ({trickle}).") from None
        if any(isinstance(cause, _SILENCE) for cause in causes):
            raise ConnectionTrouble(f"{what}: no byte arrived within the time allowed.") from None
        raise ConnectionTrouble(f"{what}: the connection failed ({_first_words(causes[-1])}).") from None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and all that it wraps, outermost first."""
    seen: set[int] = set()
    queue = [error]
    while queue:
        each = queue.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
        queue += [cause for cause in inner if isinstance(cause, BaseException)]


def _first_words(error: BaseException) -> str:
    """The innermost reason, short and without addresses of objects in memory."""
    return str(error).split(": ", 1)[-1].strip("()'\" ")[:160] or type(error).__name__


def _version() -> str:
    try:
        return version("agolkit")
    except PackageNotFoundError:
        return "source"
