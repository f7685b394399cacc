"""One request and its answer: retried where that may help, signed anew where the token was rejected.

The smallest repeatable step of the toolkit. Retries happen here and only here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote

from requests import PreparedRequest, Response

from agolkit.addresses import without_query
from agolkit.errors import (
    AgolkitError,
    ConnectionTrouble,
    Forbidden,
    NotAnAnswer,
    PortalError,
    SignInError,
    TokenRejected,
)
from agolkit.model import Sink
from agolkit.portal.bodies import Received, read_content, read_head, read_json
from agolkit.portal.brake import Brake, Turn
from agolkit.portal.session import PortalSession, connection_errors
from agolkit.portal.tokens import TOKEN_HEADER, Signature, Tokens, over_https
from agolkit.progress import beat, pause
from agolkit.retry import with_retries

T = TypeVar("T")

_SAFE = "/%:@!$&'()*+,;=~"
MOST_TOKENS = 10
"""With so many tokens one request is sent, where they are revoked one after the other."""


class Exchange:
    """Requests to one portal, and their answers as content or as one of our errors."""

    def __init__(
        self,
        session: PortalSession,
        rest_url: str,
        *,
        attempts: int = 3,
        sleep: Callable[[float], None] = pause,
    ) -> None:
        self.rest_url = rest_url.rstrip("/")
        """The root of the Sharing REST API, without a slash at its end."""
        self._session = session
        self._attempts = attempts
        self.sleep = sleep
        self.brake = Brake(session.pool.width, sleep=sleep)
        """The pace of all requests to this portal."""
        self._tokens: Tokens | None = None
        self._signature: Signature | None = None

    @property
    def requests(self) -> int:
        """Requests sent so far, redirects and repetitions included."""
        return self._session.pool.requests

    @property
    def renewable(self) -> bool:
        """Whether the sign-in outlives its token."""
        return self._tokens is not None and self._tokens.renewable

    @property
    def token_seconds_left(self) -> float | None:
        """How long the token is good yet; `None` where nobody has said it."""
        return None if self._tokens is None else self._tokens.seconds_left

    def sign_with(self, tokens: Tokens, signature: Signature) -> None:
        """Sign every request from now on."""
        self._tokens, self._signature = tokens, signature
        self._session.sign_with(signature)

    @contextmanager
    def limits(
        self,
        *,
        attempts: int,
        connect_timeout: float,
        idle_timeout: float,
        connections: int,
        say: Callable[[str], object],
    ) -> Iterator[None]:
        """Within the block, requests keep to these limits (seconds), and `connections` are in flight at most.

        `say` is told, once each time, when the portal asks for fewer requests.
        """
        session = self._session
        before = self._attempts, session.connect_timeout, session.idle_timeout, self.brake.most, self.brake.say
        self._attempts, session.connect_timeout, session.idle_timeout = attempts, connect_timeout, idle_timeout
        self.brake.most, self.brake.say = connections, say
        session.pool.widen(connections)
        try:
            yield
        finally:
            self._attempts, session.connect_timeout, session.idle_timeout, self.brake.most, self.brake.say = before

    def owns(self, url: str) -> bool:
        """Whether `url` leads to a host that the portal names as its own: a token may go there, over https."""
        return self._signature is not None and self._signature.owns(url)

    def get_json(
        self,
        address: str,
        params: Mapping[str, Any] | None = None,
        *,
        post: bool = False,
        needs: Mapping[str, type] | None = None,
    ) -> dict[str, Any]:
        """The JSON object that an address answers; asked again where that may help.

        `address` is a path below the REST root (names in it quoted) or an absolute URL on one of the portal's own
        hosts. `post` sends the parameters in the body: for pure queries whose parameters are too long for a URL.
        `needs` names the keys, and their types, without which an object is no answer.

        Raises
        ------
        PortalError
            The server's error, as the class that fits. Those that are `transient` have been tried `attempts` times.
        Throttled
            The portal has refused everything for many minutes.
        ConnectionTrouble
            No answer arrived, in none of the attempts.
        """
        method = "POST" if post else "GET"

        def read(response: Response, what: str, _: Turn) -> dict[str, Any]:
            answer = read_json(response, what)
            for key, kind in (needs or {}).items():
                if not isinstance(answer.get(key), kind):
                    raise NotAnAnswer(f"{what}: the answer holds no {key}.")
            return answer

        return self._retried(lambda turn: self._answered(turn, method, address, params, read))

    def clock(self) -> datetime | None:
        """The time by the portal's own clock, to the second; `None` where it does not say. Raises as `get_json`."""

        def read(response: Response, _what: str, _turn: Turn) -> datetime | None:
            try:
                stated = parsedate_to_datetime(response.headers.get("Date", ""))
            except ValueError:
                return None
            return stated if stated.tzinfo else stated.replace(tzinfo=UTC)

        return self._retried(lambda turn: self._answered(turn, "GET", "portals/self", None, read))

    def act(self, address: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a POST that changes something: sent once, never blindly repeated.

        After a `ConnectionTrouble` or a `ServerTrouble` it is not known whether it happened: look first.
        """
        with self.brake.turn() as turn:
            return self._answered(turn, "POST", address, params, lambda response, what, _: read_json(response, what))

    def download(
        self,
        address: str,
        sink: Sink,
        *,
        params: Mapping[str, Any] | None = None,
        compressed: bool = False,
        elsewhere: bool = False,
    ) -> Received:
        """Stream what an address holds into `sink`, which is restarted before each attempt.

        The number of bytes is the one that the server states; an error, a web page or a cut-off answer is never taken
        for content. Memory stays flat whatever the size. `compressed` lets the server compress what it sends on the way
        (then it states no length): for text, which shrinks, whose end is checked by whoever parses it. `elsewhere`
        allows another host, which is asked without a token: for an address that an own service has given out.

        Raises
        ------
        PortalError, ConnectionTrouble
            As `get_json`. What `sink` holds then is of no use.
        """

        def read(response: Response, what: str, turn: Turn) -> Received:
            return read_content(response, what, sink, turn.accept, is_own=self.owns(response.url))

        def step(turn: Turn) -> Received:
            sink.restart()
            encoding = "gzip" if compressed else "identity"
            return self._answered(turn, "GET", address, params, read, encoding=encoding, elsewhere=elsewhere)

        return self._retried(step)

    def look(self, address: str) -> Received:
        """What the server says of a file without sending it (`size` is 0); raises what `download` does.

        An error that is told with status 200 cannot be recognised: compare with what was said when the file came.
        """
        return self._retried(
            lambda turn: self._answered(turn, "HEAD", address, {"f": "json"}, _read_head, encoding="identity")
        )

    def _retried(self, step: Callable[[Turn], T]) -> T:
        return with_retries(lambda: self.brake.patiently(step), attempts=self._attempts, sleep=self.sleep)

    def _answered(
        self,
        turn: Turn,
        method: str,
        address: str,
        params: Mapping[str, Any] | None,
        read: Callable[[Response, str, Turn], T],
        *,
        encoding: str = "",
        elsewhere: bool = False,
    ) -> T:
        """One answer, read; a second one where the token was rejected and another could be had.

        With `encoding` the answer is content: it is streamed in that encoding, and no format is asked for.
        """
        is_foreign = elsewhere and not self.owns(address)
        url = over_https(address) if is_foreign else self._url(address)
        what = without_query(url).removeprefix(self.rest_url + "/")
        values = dict(params or {}) if encoding else {"f": "json", **(params or {})}
        query, form = (None, values) if method == "POST" else (values, None)
        headers = {"Accept-Encoding": encoding} if encoding else None
        tokens = good = 0  # rejections after which there was another token to try, and of tokens that are good
        while True:
            beat()
            with connection_errors(what):
                response = self._session.request(
                    method,
                    url,
                    params=query,
                    data=form,
                    headers=headers,
                    stream=True,
                    auth=_bare if is_foreign else self._signature or _bare,
                )
            token = str(response.request.headers.get(TOKEN_HEADER, "")).removeprefix("Bearer ")
            self.brake.read_units(response.headers)
            try:
                result = read(response, what, turn)
            except TokenRejected as rejection:
                if self._tokens is None or not token:
                    raise
                is_other = self._tokens.renew(token)
                if not is_other and not self.renewable:
                    raise self._not_renewed(rejection, self._tokens, token) from None
                tokens, good = tokens + is_other, good + (not is_other)
                if tokens >= MOST_TOKENS or good >= max(2, self._attempts):
                    raise
                continue
            finally:
                response.close()
            if self._tokens is not None:
                self._tokens.note_accepted(token)
            return result

    def takes(self, token: str, *, referer: str) -> bool:
        """Whether the portal takes `token`, whatever its services say to it. Asked once.

        Raises
        ------
        PortalError, ConnectionTrouble
            The portal cannot say. Trying again may help.
        """

        def signed(request: PreparedRequest) -> PreparedRequest:
            request.headers[TOKEN_HEADER] = f"Bearer {token}"
            request.headers["Referer"] = referer
            return request

        with connection_errors("portals/self"):
            response = self._session.get(
                f"{self.rest_url}/portals/self", params={"f": "json"}, auth=signed, stream=True
            )
        try:
            about = read_json(response, "portals/self")
        except TokenRejected:
            return False
        except PortalError as error:
            if error.transient:
                raise
            return True
        finally:
            response.close()
        return bool(about.get("user") or about.get("appInfo"))

    def _not_renewed(self, rejection: TokenRejected, tokens: Tokens, token: str) -> AgolkitError:
        """The error for a rejected token that cannot be renewed; where the portal rejects it too, it ends the run."""
        said = (
            "The portal rejects the token: it has expired, was revoked, or was made for another referer. A token that "
            "was given ready-made cannot be renewed; get a new one, or sign in with user name and password."
        )
        try:
            is_taken = tokens.takes(token)
        except (PortalError, ConnectionTrouble):
            is_taken = True  # it is not known now
        if not is_taken:
            return SignInError(said)
        return TokenRejected(said, code=rejection.code, words=rejection.words)

    def _url(self, address: str) -> str:
        if "://" not in address:
            if {".", ".."} & set(address.split("/")):
                raise PortalError(f"{address}: a name with a dot for a folder would lead elsewhere; it is not asked.")
            # A name with a blank or `#` in it would else end the path; escapes that are there already stay.
            return f"{self.rest_url}/{quote(address.lstrip('/'), safe=_SAFE)}"
        if self._signature is not None and not self.owns(address):
            raise Forbidden(f"{without_query(address)} is not on one of this portal's own servers; it is not asked.")
        return over_https(address)


def _bare(request: PreparedRequest) -> PreparedRequest:
    """No signature: for other hosts, and for the sign-in, which must not wait for the token that it is to bring."""
    return request


def _read_head(response: Response, what: str, _: Turn) -> Received:
    return read_head(response, what)
