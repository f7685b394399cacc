"""The token of one sign-in: where it may go, and renewing it in time, once for all threads."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests

from agolkit.errors import AgolkitError, SignInError
from agolkit.progress import pause
from agolkit.trace import tell

TOKEN_HEADER = "X-Esri-Authorization"
SIGN_INS = 5
"""Sign-ins in a minute at most, and tokens in a row that may be of no use."""
MINUTE = 60.0

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

    A token is renewed a little before it ends, and when a server rejects it, by one thread while the others wait.
    Accounts are locked after a few wrong passwords, so a refused sign-in is remembered and never repeated; and there
    are never more than a few sign-ins a minute.

    Parameters
    ----------
    grant
        Signs in and answers a new token; where it can only read what somebody else has made, the token is not
        `renewable`.
    takes
        Asks the portal whether it takes a token. A service that rejects a token which the portal takes means "not for
        you", and a new token at each of its answers would be a storm of sign-ins.
    """

    def __init__(
        self,
        grant: Grant,
        *,
        takes: Callable[[str], bool],
        renewable: bool = True,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], None] = pause,
    ) -> None:
        self.renewable = renewable
        self._grant = grant
        self.takes = takes
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._sign_ins: deque[float] = deque(maxlen=SIGN_INS)
        self._tries = 0
        self._failed: AgolkitError | None = None  # how the latest try ended, if it may end better next time
        self._refused: SignInError | None = None
        self._in_vain = 0  # tokens in a row that nothing accepted
        self._token = Token("")
        self._obtain()

    @property
    def seconds_left(self) -> float | None:
        """How long the token is good yet; `None` where nobody has said it."""
        return None if self._ends_at == float("inf") else max(0.0, self._ends_at - self._clock())

    def current(self) -> str:
        """The token to send now; renewed first where it is about to end."""
        if self.renewable and self._clock() >= self._renew_at:
            tries = self._tries
            with self._lock:
                if self._clock() >= self._renew_at:
                    self._obtain_early(tries)
        return self._token.value

    def renew(self, rejected: str) -> bool:
        """Replace a token that a server rejected, unless the portal takes it; whether there is another one to try.

        Raises
        ------
        SignInError
            The portal refuses to sign in again, or takes none of the tokens that it gives. Final.
        PortalError, ConnectionTrouble
            There is no new token now. Trying again may help.
        """
        tries = self._tries
        is_refused = False
        if self.renewable and rejected == self._token.value and self._clock() < self._obtained_at + MINUTE:
            if self.takes(rejected):
                return False  # it is not about the token
            is_refused = True
        with self._lock:
            if rejected != self._token.value:
                return True  # another thread was faster
            self._obtain(tries)
            self._in_vain += is_refused
            return self._token.value != rejected

    def note_accepted(self, token: str) -> None:
        """Remember that the token was of use."""
        if token == self._token.value:
            self._in_vain = 0

    def _obtain_early(self, tries: int) -> None:
        """A new token before the old one ends; while that is good, trouble with the sign-in is no trouble yet."""
        try:
            self._obtain(tries)
        except AgolkitError as error:
            if not error.transient or self._clock() >= self._ends_at:
                raise
            self._renew_at = min(self._ends_at, self._clock() + MINUTE)

    def _obtain(self, tries: int = 0) -> None:
        """A new token; `tries` is the number of sign-ins tried when this one was asked for."""
        if self._refused is not None:
            raise self._refused.with_traceback(None)  # it is raised for each remaining item; its traceback would grow
        if self._failed is not None and tries != self._tries:
            raise self._failed.with_traceback(None)  # tried for all who waited; each of them may come back
        try:
            if self._in_vain >= SIGN_INS:
                raise SignInError(
                    f"The portal signs in, but rejects each token that it gives ({SIGN_INS} in a row). Its servers may "
                    "disagree about the time or about the account; an administrator of the portal has to look."
                )
            if self.renewable:
                self._keep_the_pace()
            self._tries += 1
            self._failed = None
            token = self._grant()
        except SignInError as error:
            self._refused = error
            tell("sign_in", result="refused", message=str(error))
            raise
        except AgolkitError as error:
            self._failed = error if error.transient else None
            raise
        self._obtained_at = self._clock()
        if self.renewable or token.value != self._token.value:  # one that is read a second time has not become younger
            tell("sign_in", result="renewed")
            self._token = token
            life = token.seconds if token.seconds is not None else float("inf")
            self._ends_at = self._obtained_at + life
            self._renew_at = self._ends_at - min(300.0, life / 10)

    def _keep_the_pace(self) -> None:
        """Wait where there were too many sign-ins within a minute."""
        if len(self._sign_ins) == SIGN_INS:
            too_early = self._sign_ins[0] + MINUTE - self._clock()
            if too_early > 0:
                self._sleep(too_early)
        self._sign_ins.append(self._clock())


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
