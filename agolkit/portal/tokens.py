"""The token of one sign-in: where it may go, and renewing it in time, once for all threads."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests

from agolkit.errors import SignInError
from agolkit.trace import tell

TOKEN_HEADER = "X-Esri-Authorization"

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Token:
    """A token and for how many seconds it is good; `None`: not known."""

    value: str = field(repr=False)
    seconds: float | None = None


Grant = Callable[[], Token]


# Where these stand in an address, two readers of it disagree which host is meant.
_DOUBTFUL = re.compile(r"[\x00-\x1f\x7f\\]")


def over_https(url: str) -> str:
    """An address as it is asked for: an old item may name its service by `http`, but nothing is sent in the open."""
    scheme, separator, rest = url.strip().partition("://")
    if scheme.lower() != "http":
        return url
    host, slash, path = rest.partition("/")
    return f"https{separator}{host.removesuffix(':80')}{slash}{path}"


def host_of(url: str) -> str:
    """`host:port` that an http or https address leads to over https, in lower case; empty where that is in doubt."""
    try:
        parts = urlsplit(over_https(url))
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme.lower() != "https" or not host or _DOUBTFUL.search(url) or "@" in parts.netloc:
        return ""
    return f"{host.lower()}:{port or 443}"


class Tokens:
    """Keeps the token of one sign-in fresh; safe to use from many threads.

    `grant` signs in and answers a new token; where it can only read what somebody else has made, the token is not
    `renewable`. A token is renewed a little before it ends, and when a server rejects it, by one thread while the
    others wait. A refused sign-in is remembered and never repeated: accounts are locked after a few wrong passwords.
    """

    # A service that rejects even a brand-new token means "not for you". Asking for another one at each of its answers
    # would be a storm of sign-ins.
    useless_renewal_pause = 60.0

    def __init__(self, grant: Grant, *, renewable: bool = True, clock: Clock = time.monotonic) -> None:
        self.renewable = renewable
        self._grant = grant
        self._clock = clock
        self._lock = threading.Lock()
        self._refused: SignInError | None = None
        self._useless = False
        self._token = Token("")
        self._obtain()

    @property
    def seconds_left(self) -> float | None:
        """How long the token is good yet; `None` where nobody has said it."""
        return None if self._ends_at == float("inf") else max(0.0, self._ends_at - self._clock())

    def current(self) -> str:
        """The token to send now; renewed first where it is about to end."""
        if self.renewable and self._clock() >= self._renew_at:
            with self._lock:
                if self._clock() >= self._renew_at:
                    self._obtain()
        return self._token.value

    def renew(self, rejected: str) -> bool:
        """Replace a token that a server rejected; whether there is another one to try.

        Raises
        ------
        SignInError
            The portal refuses to sign in again. Final.
        """
        with self._lock:
            if rejected != self._token.value:
                return True  # another thread was faster
            if self._useless and self._clock() < self._obtained_at + self.useless_renewal_pause:
                return False
            self._obtain()
            return self.renewable or self._token.value != rejected

    def note(self, token: str, *, accepted: bool) -> None:
        """Remember whether a renewed token was of any use."""
        if token == self._token.value:
            self._useless = not accepted

    def _obtain(self) -> None:
        if self._refused is not None:
            raise self._refused.with_traceback(None)  # it is raised for each remaining item; its traceback would grow
        try:
            token = self._grant()
        except SignInError as error:
            self._refused = error
            tell("sign_in", result="refused", message=str(error))
            raise
        self._obtained_at = self._clock()
        if self.renewable or token.value != self._token.value:  # one that is read a second time has not become younger
            tell("sign_in", result="renewed")
            self._token = token
            life = token.seconds if token.seconds is not None else float("inf")
            self._ends_at = self._obtained_at + life
            self._renew_at = self._ends_at - min(300.0, life / 10)


class Signature(requests.auth.AuthBase):
    """Signs a request with the token, if it goes to one of the portal's own hosts; else it goes out bare."""

    def __init__(self, tokens: Tokens, hosts: set[str], *, referer: str) -> None:
        self.tokens = tokens
        self._hosts = hosts
        self._referer = referer

    @property
    def token(self) -> str:
        """The token to send now."""
        return self.tokens.current()

    def owns(self, url: str) -> bool:
        """Whether `url` leads to a host that the portal names as its own."""
        return host_of(url) in self._hosts

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        url = request.url or ""
        if url.startswith("https://") and self.owns(url):
            request.headers[TOKEN_HEADER] = f"Bearer {self.tokens.current()}"
            if self._referer:
                # The portal binds a token to the referer that it was made for.
                request.headers["Referer"] = self._referer
        return request
