"""Bad days on demand: errors, delays and cut-off answers for the requests that a test chooses."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Fault:
    """What happens to requests whose path matches.

    With `status` or `body` the fault is the answer; without them the real answer follows, after `delay` seconds and cut
    off after `cut_after` bytes of its body. A `body` that is not text or bytes is sent as JSON, with HTTP 200 unless
    `status` says otherwise.
    """

    path: str
    """Regular expression, searched for in the path (without the query)."""
    method: str | None = None
    status: int | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut_after: int | None = None
    skip: int = 0
    """Let so many matching requests pass first."""
    times: int | None = None
    """Then strike so many times; `None`: for good."""
    struck: int = 0
    """How often it struck so far."""

    @property
    def answers(self) -> bool:
        """Whether the fault is itself the answer."""
        return self.status is not None or self.body is not None

    def content(self) -> tuple[bytes, str]:
        """Return the body of the answer and its content type."""
        if self.body is None:
            head = f"<head><title>{self.status}</title></head>"
            text = f"<html>\r\n{head}\r\n<body><h1>{self.status}</h1></body>\r\n</html>\r\n"
            return text.encode(), "text/html"
        if isinstance(self.body, bytes):
            return self.body, "application/octet-stream"
        if isinstance(self.body, str):
            return self.body.encode(), "text/html;charset=utf-8"
        return json.dumps(self.body).encode(), "application/json;charset=utf-8"


class Faults(list[Fault]):
    """The faults that are switched on; the first that matches a request strikes."""

    def add(self, fault: Fault) -> Fault:
        """Switch a fault on, and return it."""
        self.append(fault)
        return fault

    def strike(self, method: str, path: str) -> Fault | None:
        """Return the fault that this request meets, and count it."""
        for fault in self:
            if (fault.method and fault.method != method) or not re.search(fault.path, path):
                continue
            if fault.skip > 0:
                fault.skip -= 1
            elif fault.times is None or fault.struck < fault.times:
                fault.struck += 1
                return fault
        return None
