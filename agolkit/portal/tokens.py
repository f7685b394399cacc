"""The token of one sign-in: where it may go, and renewing it in time, once for all threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests

from agolkit.errors import SignInError, TokenRejected

TOKEN_HEADER = "X-Esri-Authorization"

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Token:
    """A token and for how many seconds it is good; `None`: not known."""

    value: str = field(repr=False)
    seconds: float | None = None


Grant = Callable[[], Token]


def host_of(url: str) -> str:
    """`host:port` of an https address, in lower case; empty for anything else."""
    parts = urlsplit(url)
    if parts.scheme.lower() != "https" or not parts.hostname:
        return ""
    return f"{parts.hostname.lower()}:{parts.port or 443}"


class Tokens:
    """Keeps the token of one sign-in fresh; safe to use from many threads.

    `grant` signs in and answers a new token. A token is renewed a little before it ends, and when a server rejects it,
    by one thread while the others wait. A refused sign-in is remembered and never repeated: accounts are locked after
    a few wrong passwords.
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
        self._obtain()

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
        TokenRejected
            The token was given ready-made and cannot be renewed. Final.
        SignInError
            The portal refuses to sign in again. Final.
        """
        with self._lock:
            if rejected != self._token.value:
                return True  # another thread was faster
            if not self.renewable:
                raise TokenRejected(
                    "The portal rejects the token: it has expired, was revoked, or was made for another referer. A "
                    "token that was given ready-made cannot be renewed; get a new one, or sign in with user name and "
                    "password.",
                    code=498,
                )
            if self._useless and self._clock() < self._obtained_at + self.useless_renewal_pause:
                return False
            self._obtain()
            return True

    def note(self, token: str, *, accepted: bool) -> None:
        """Remember whether a renewed token was of any use."""
        if token == self._token.value:
            self._useless = not accepted

    def _obtain(self) -> None:
        if self._refused is not None:
            raise self._refused
        try:
            token = self._grant()
        except SignInError as error:
            self._refused = error
            raise
        self._token = token
        self._obtained_at = self._clock()
        life = token.seconds if token.seconds is not None else float("inf")
        self._renew_at = self._obtained_at + life - min(300.0, life / 10)


class Signature(requests.auth.AuthBase):
    """Signs a request with the token, if it goes to one of the portal's own hosts; else it goes out bare."""

    def __init__(self, tokens: Tokens, hosts: set[str], *, referer: str) -> None:
        self._tokens = tokens
        self._hosts = hosts
        self._referer = referer

    @property
    def token(self) -> str:
        """The token to send now."""
        return self._tokens.current()

    def owns(self, url: str) -> bool:
        """Whether `url` is an https address on a host that the portal names as its own."""
        return host_of(url) in self._hosts

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.owns(request.url or ""):
            request.headers[TOKEN_HEADER] = f"Bearer {self._tokens.current()}"
            if self._referer:
                # The portal binds a token to the referer that it was made for.
                request.headers["Referer"] = self._referer
        return request
