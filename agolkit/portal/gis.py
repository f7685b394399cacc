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

from agolkit.errors import ConnectionTrouble, ServerTrouble
from agolkit.portal.session import PortalSession
from agolkit.portal.tokens import Signature
from agolkit.retry import with_retries

_REPEATABLE = {"GET", "HEAD", "OPTIONS"}
_MAY_PASS = {429, 500, 502, 503, 504}


def make_gis(url: str, session: PortalSession, *, attempts: int, sleep: Callable[[float], None]) -> GIS:
    """The signed-in GIS on the pool, the token and the rules of `session`; `arcgis.env.active_gis` is left alone."""
    own = _RetryingSession(session, attempts=attempts, sleep=sleep)
    injected = _InjectedSession(own)
    gis = GIS(url, session=injected, custom_auth=own.auth, adapter={"https://": _Detour(own)}, set_active=False)
    # Before 2.4.3 `session` is ignored; signed in by the other two, the GIS gives up the session of its own here.
    gis._session = gis._con._session = injected
    return gis


class _RetryingSession(PortalSession):
    """A sibling of the portal's session, with headers of its own, that repeats what may be repeated."""

    def __init__(self, session: PortalSession, *, attempts: int, sleep: Callable[[float], None]) -> None:
        super().__init__(session.pool, connect_timeout=session.connect_timeout, idle_timeout=session.idle_timeout)
        self.sign_with(_GisSignature(session.auth))
        self._attempts = attempts
        self.sleep = sleep

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        if request.method not in _REPEATABLE:
            return super().send(request, **kwargs)
        response: requests.Response | None = None

        def step() -> requests.Response:
            nonlocal response
            response = None
            try:
                response = super(_RetryingSession, self).send(request, **kwargs)
            except (requests.ConnectionError, requests.Timeout) as error:
                raise ConnectionTrouble("No answer arrived.") from error
            if response.status_code in _MAY_PASS:
                wait = response.headers.get("Retry-After", "")
                raise ServerTrouble("The server is in trouble.", retry_after=float(wait) if wait.isdigit() else None)
            return response

        try:
            return with_retries(step, attempts=self._attempts, sleep=self.sleep)
        except ServerTrouble:
            assert response is not None
            return response  # arcgis judges the last answer as it always does
        except ConnectionTrouble as trouble:
            raise trouble.__cause__ or trouble from None  # arcgis knows the errors of requests, not ours


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
