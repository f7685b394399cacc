"""A plain HTTPS client of the practice portal, with nothing between a test and the answer."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import requests

from agolkit.sandbox import Sandbox


class Caller:
    """Signed in as `username`, or as nobody; asks for paths below `sharing/rest/`, or for whole URLs."""

    def __init__(self, sandbox: Sandbox, username: str | None = None) -> None:
        self.rest = f"{sandbox.url}/sharing/rest/"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(sandbox.ca_bundle)
        if username:
            self.session.headers["X-Esri-Authorization"] = f"Bearer {sandbox.new_token(username)}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.session.close()

    def raw(self, path: str, method: str = "GET", **options: Any) -> requests.Response:
        """Return the answer as it is."""
        url = path if path.startswith("https:") else self.rest + path
        return self.session.request(method, url, timeout=30, **options)

    def get(self, path: str, **params: object) -> dict[str, Any]:
        """Return the JSON of a GET."""
        answer: dict[str, Any] = self.raw(path, params={"f": "json", **params}).json()
        return answer

    def post(self, path: str, **params: object) -> dict[str, Any]:
        """Return the JSON of a POST."""
        answer: dict[str, Any] = self.raw(path, "POST", data={"f": "json", **params}).json()
        return answer

    def pages(self, path: str, key: str, **params: object) -> Iterator[dict[str, Any]]:
        """Yield the rows of all pages."""
        start = 1
        while start != -1:
            answer = self.get(path, start=start, **params)
            yield from answer[key]
            start = answer["nextStart"]

    def wait_for(self, owner: str, job: dict[str, Any]) -> dict[str, Any]:
        """Return the status of an export job when it has ended."""
        while True:
            path = f"content/users/{owner}/items/{job['exportItemId']}/status"
            status = self.get(path, jobType="export", jobId=job["jobId"])
            if status.get("status") != "processing":
                return status
