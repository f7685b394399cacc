"""The `arcgis` client on our own session. Imported at the first touch of `Portal.gis` only: it costs seconds.

What `arcgis` brings for HTTP reads whole files into memory, repeats POSTs, waits without a time limit and sends its
token to any host; injected into `GIS(session=...)`, this session does none of that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests
from arcgis.auth import EsriSession, EsriUserTokenAuth
from arcgis.gis import GIS

from agolkit.errors import ConnectionTrouble, RateLimited, ServerTrouble
from agolkit.portal.answers import error_of_status, refusal_in
from agolkit.portal.bodies import SMALL
from agolkit.portal.brake import Brake, Turn
from agolkit.portal.session import PortalSession
from agolkit.portal.tokens import TOKEN_HEADER, Signature
from agolkit.retry import with_retries

_REPEATABLE = {"GET", "HEAD", "OPTIONS"}
_MAY_PASS = {429, 500, 502, 503, 504}


def make_gis(url: str, session: PortalSession, brake: Brake, *, attempts: int, sleep: Callable[[float], None]) -> GIS:
    """The signed-in GIS on the pool, the token and the rules of `session`; `arcgis.env.active_gis` is left alone."""
    own = _CarefulSession(session, brake, attempts=attempts, sleep=sleep)
    injected = _InjectedSession(own)
    gis = GIS(url, session=injected, custom_auth=own.auth, adapter={"https://": _Detour(own)}, set_active=False)
    # Before 2.4.3 `session` is ignored; signed in by the other two, the GIS gives up the session of its own here.
    gis._session = gis._con._session = injected
    return gis


class _CarefulSession(PortalSession):
    """A sibling of the portal's session, with headers of its own, that keeps to the brake and repeats what may be."""

    def __init__(self, session: PortalSession, brake: Brake, *, attempts: int, sleep: Callable[[float], None]) -> None:
        super().__init__(session.pool, connect_timeout=session.connect_timeout, idle_timeout=session.idle_timeout)
        self._portal_signature: Signature = session.auth
        self.sign_with(_GisSignature(self._portal_signature))
        self._brake = brake
        self._attempts = attempts
        self.sleep = sleep

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        response = self._send(request, **kwargs)
        # A rejected request has done nothing, so that a write may be repeated too, if its body is still there.
        is_repeatable = isinstance(request.body, str | bytes | None)
        for _ in range(self._attempts):
            token = _token_of(request)
            if not (token and is_repeatable and _is_rejection(response)):
                break
            tokens = self._portal_signature.tokens
            if not (tokens.renew(token) or tokens.renewable):
                break
            response.close()
            response = self._send(self._portal_signature(request), **kwargs)
        return response

    def _send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        if request.method not in _REPEATABLE:
            with self._brake.turn():
                return super().send(request, **kwargs)
        response: requests.Response | None = None

        def step(_: Turn) -> requests.Response:
            nonlocal response
            response = None
            try:
                response = super(_CarefulSession, self).send(request, **kwargs)
            except (requests.ConnectionError, requests.Timeout) as error:
                raise ConnectionTrouble("No answer arrived.") from error
            self._brake.read_units(response.headers)
            if response.status_code in _MAY_PASS:
                raise error_of_status(response.status_code, what="arcgis", headers=response.headers)
            return response

        try:
            return with_retries(lambda: self._brake.patiently(step), attempts=self._attempts, sleep=self.sleep)
        except (ServerTrouble, RateLimited):
            assert response is not None
            return response  # arcgis judges the last answer as it always does
        except ConnectionTrouble as trouble:
            raise trouble.__cause__ or trouble from None  # arcgis knows the errors of requests, not ours


def _token_of(request: requests.PreparedRequest) -> str:
    return str(request.headers.get(TOKEN_HEADER, "")).removeprefix("Bearer ")


def _is_rejection(response: requests.Response) -> bool:
    """Whether an answer says that the token is no good. Only what is short and no file is read for that."""
    if response.status_code in (498, 499):
        return True
    headers = response.headers
    length = headers.get("Content-Length", "0")
    is_text = headers.get("Content-Type", "").partition(";")[0] in ("application/json", "text/plain")
    if not is_text or "Content-Disposition" in headers or not length.isdigit() or int(length) > SMALL:
        return False
    try:
        refusal = refusal_in(response.json())
    except ValueError:
        return False
    return refusal is not None and refusal.code in (498, 499)


class _GisSignature(EsriUserTokenAuth):  # type: ignore[misc]
    """Our signature, in a class that `arcgis` knows, so that `gis._con.token` finds the token."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature

    @property
    def token(self) -> str:
        return self._signature.token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return self._signature(request)


class _Detour(requests.adapters.BaseAdapter):
    """Sends what a session of `arcgis` sends by way of ours: its connections, trust, time-outs, retries, redirects."""

    def __init__(self, session: PortalSession) -> None:
        super().__init__()
        self._session = session

    def send(self, request: requests.PreparedRequest, stream: bool = False, *_: Any, **__: Any) -> requests.Response:
        return self._session.send(request, stream=stream)

    def close(self) -> None:
        """Nothing is closed: the connections are not arcgis' own."""


class _InjectedSession(EsriSession):  # type: ignore[misc]
    """What `arcgis` takes for its own session; every request goes through ours."""

    def __init__(self, session: PortalSession) -> None:
        # Not the base's: it would make a session of its own, with its own trust, pool and retries.
        self._session = session
        self._adapter = session.pool
        self.timeout = session.idle_timeout
        self.allow_redirects = True

    @property
    def verify(self) -> bool:
        """Certificates are always checked; this cannot be set."""
        return True

    @property
    def ca_bundles(self) -> None:
        return None
