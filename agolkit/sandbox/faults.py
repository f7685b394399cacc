"""Bad days on demand: errors, delays and cut-off answers for the requests that a test chooses."""

from __future__ import annotations

import json
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Fault:
    """What happens to requests whose path matches.

    With `status` or `body` the fault is the answer, and the portal does nothing; without them it does what was asked,
    and its own answer follows, as the other fields change it. A `body` that is not text or bytes is sent as JSON, with
    HTTP 200 unless `status` says otherwise.
    """

    path: str
    """Regular expression, searched for in the path (without the query)."""
    method: str | None = None
    status: int | None = None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the answer, beside or instead of its own."""
    change: Callable[[Any], Any] | None = None
    """What becomes of the JSON of the answer; an answer that is no JSON stays as it is."""
    rewrite: Callable[[bytes], bytes] | None = None
    """What becomes of the bytes of the answer, uncompressed."""
    longer: int = 0
    """The answer states so many bytes more than it has; below 0 it states fewer, and no more than these arrive."""
    chunked: bool = False
    """The answer states no length."""
    bandwidth: int | None = None
    """Bytes a second, instead of the portal's own `Settings.bandwidth`."""
    cut_after: int | None = None
    """The connection ends after so many bytes of the body."""
    stalls: bool = False
    """After `cut_after` bytes nothing more comes, but the connection stays open."""
    action: Callable[[], object] | None = None
    """What somebody else does in the organization right before the request is answered."""
    delay: float = 0.0
    """Seconds before the answer begins."""
    skip: int = 0
    """Let so many matching requests pass first."""
    times: int | None = None
    """Then strike so many times; `None`: for good."""
    by_path: bool = False
    """`skip` and `times` count for each path by itself."""
    chance: float = 1.0
    """How likely a matching request is struck; see `Faults.seed`."""
    struck: int = 0
    """How often it struck so far."""
    met: Counter[str] = field(default_factory=Counter)
    """Matching requests so far that chance did not spare, by path; all together unless `by_path`."""

    @property
    def alters(self) -> bool:
        """Whether the fault has to see the whole answer before it is sent."""
        return bool(self.change or self.rewrite or self.longer or self.chunked or self.headers)

    def altered(self, body: bytes) -> bytes:
        """Return what becomes of the body of the portal's own answer."""
        if self.change and body[:1] in (b"{", b"["):
            body = json.dumps(self.change(json.loads(body))).encode()
        return self.rewrite(body) if self.rewrite else body

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

    def __init__(self) -> None:
        super().__init__()
        self.seed(0)

    def seed(self, seed: int) -> None:
        """Begin the chances of all faults anew: requests in the same order meet the same faults."""
        self._random = random.Random(seed)

    def add(self, fault: Fault) -> Fault:
        """Switch a fault on, and return it."""
        self.append(fault)
        return fault

    def strike(self, method: str, path: str) -> Fault | None:
        """Return the fault that this request meets, and count it."""
        for fault in self:
            if (fault.method and fault.method != method) or not re.search(fault.path, path):
                continue
            if fault.chance < 1 and self._random.random() >= fault.chance:
                continue
            key = path if fault.by_path else ""
            fault.met[key] += 1
            if fault.skip < fault.met[key] <= fault.skip + (math.inf if fault.times is None else fault.times):
                fault.struck += 1
                return fault
        return None
