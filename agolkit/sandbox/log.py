"""What was asked of the practice portal, request by request, without its secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

SECRETS = frozenset({"token", "password", "client_secret", "refresh_token", "code", "oauth_state", "signature"})

TOKEN_HEADERS = ("x-esri-authorization", "authorization")

_WRITES = re.compile(
    r"/(addItem|addPart|commit|update\w*|delete\w*|export|publish|createService|createFolder|createGroup|share\w*|unshare\w*"
    r"|move\w*|addResources|removeResources|protect|unprotect|reassign|restore|addRelationship|deleteRelationship"
    r"|applyEdits|addFeatures|addToDefinition|addAttachment|createReplica|refresh|append|truncate|invite|addUsers|removeUsers)$"
)
_READS = re.compile(r"/resources/export$")
_CONTENT = re.compile(r"/sharing/rest/content/|/rest/(admin/)?services/")


@dataclass
class Entry:
    """One request and what became of it."""

    method: str
    path: str
    query: str
    """The query string without tokens, passwords and other secrets."""
    host: str
    """Host and port that the client spoke to, as it named them."""
    in_flight: int
    """Requests under way when this one arrived, itself included."""
    user: str | None = None
    """Who was signed in."""
    signed_in: bool = False
    """Whether a token that the portal accepts came with the request."""
    token_came: bool = False
    """Whether any token came with the request, in a header or in the query."""
    status: int = 0
    bytes_out: int = 0
    milliseconds: float = 0.0
    is_under_way: bool = True

    @property
    def is_write(self) -> bool:
        """Whether the request changes something in the portal."""
        return self.method == "POST" and bool(_WRITES.search(self.path)) and not _READS.search(self.path)

    @property
    def is_content(self) -> bool:
        """Whether the request reads or changes content (items, services), where a token is expected."""
        return bool(_CONTENT.search(self.path))


@dataclass
class RequestLog:
    """All requests since the start, or since `clear()`, in the order in which they arrived."""

    entries: list[Entry] = field(default_factory=list)
    most_in_flight: int = 0
    """The highest number of requests that were under way at once."""
    in_flight: int = 0

    def clear(self) -> None:
        """Forget the requests so far."""
        self.entries = []
        self.most_in_flight = self.in_flight

    def writes(self) -> list[Entry]:
        """Return the requests that change something in the portal."""
        return [entry for entry in self.entries if entry.is_write]

    def unsigned_content(self) -> list[Entry]:
        """Return the requests for content that came without an accepted token."""
        return [entry for entry in self.entries if entry.is_content and not entry.signed_in]

    def arrived(self, method: str, path: str, query: bytes, headers: Mapping[str, str]) -> Entry:
        """Return the new entry of a request that has just arrived."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        entry = Entry(method, path, without_secrets(query), headers.get("host", ""), self.in_flight)
        entry.token_came = b"token=" in query or any(name in headers for name in TOKEN_HEADERS)
        self.entries.append(entry)
        return entry

    def left(self, entry: Entry) -> None:
        """Note that the request of `entry` is done, however often that is said."""
        if entry.is_under_way:
            entry.is_under_way = False
            self.in_flight -= 1


def without_secrets(query: bytes) -> str:
    """Return a query string without the values that must not be written down."""
    if not query:
        return ""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return urlencode([(name, value) for name, value in pairs if name.lower() not in SECRETS])
