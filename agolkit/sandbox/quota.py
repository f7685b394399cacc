"""The request units of the organization: so many a minute, then 429 until the minute is over."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass

from agolkit.sandbox.answers import Json
from agolkit.sandbox.settings import Settings

_SERVICE = re.compile(r"/rest/(admin/)?services/")
_QUERY = re.compile(r"/query$")
_FREE = re.compile(r"/(generateToken|oauth2/\w+|signin|info)$")

# No source says how many units a request costs; only that queries are weighted.
_QUERY_UNITS = 5
_OTHER_UNITS = 1


@dataclass
class Refusal:
    """A request that came after the units were used up."""

    status: int
    body: Json
    headers: dict[str, str]

    @property
    def content(self) -> bytes:
        return json.dumps(self.body).encode()


class Quota:
    """Counts the units of this minute; all requests but those of a sign-in cost some."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._began = 0.0
        self._used = 0
        self.refused = 0
        """Requests refused so far."""

    def spend(self, path: str) -> tuple[dict[str, str], Refusal | None]:
        """Take the units of a request: the headers that its answer carries, and the refusal where there are too few."""
        most = self._settings.request_units_per_minute
        if most is None or _FREE.search(path):
            return {}, None
        now = time.monotonic()
        if now - self._began >= self._settings.minute_seconds:
            self._began, self._used = now, 0
        is_service, is_query = bool(_SERVICE.search(path)), bool(_QUERY.search(path))
        units = _QUERY_UNITS if is_query else _OTHER_UNITS
        # Whether a refused request costs units is not known; here it does not.
        if self._used + units > most:
            self.refused += 1
            wait = self._began + self._settings.minute_seconds - now
            return {}, self._refusal(most, units, wait, is_service=is_service)
        self._used += units
        headers = {}
        if is_service:
            headers["x-esri-org-request-units-per-min"] = f"usage={self._used};max={most}"
        if is_query and is_service:
            headers["x-esri-query-request-units"] = str(units)
        return headers, None

    def _refusal(self, most: int, units: int, wait: float, *, is_service: bool) -> Refusal:
        """Services refuse with JSON inside HTTP 200; that the Sharing API does it by the status is our guess."""
        # The service always says 60 sec., the whole minute; a minute shortened for a test says what is left of it.
        seconds = f"{60 if self._settings.minute_seconds == 60 else wait + 0.01:.3g}"
        said = (
            f"API calls quota exceeded ({self._used + units})! maximum allowed ({most}) per Minute. "
            f"Retry after {seconds} sec."
        )
        body = {"error": {"code": 429, "message": "Unable to complete operation.", "details": [said]}}
        if is_service:
            return Refusal(200, body, {})
        return Refusal(429, body, {"Retry-After": seconds})
