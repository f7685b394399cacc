"""All that the handlers of one practice portal share: the organization, the settings, tokens, jobs, addresses."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agolkit.sandbox.answers import Json
from agolkit.sandbox.faults import Faults
from agolkit.sandbox.log import RequestLog
from agolkit.sandbox.organization import Item, Organization, Service, User
from agolkit.sandbox.quota import Quota
from agolkit.sandbox.settings import Settings

if TYPE_CHECKING:
    from agolkit.sandbox.export import Job
    from agolkit.sandbox.signin import Authorization
    from agolkit.sandbox.tiles import TileJob


def now() -> int:
    """Return the time in epoch milliseconds."""
    return int(time.time() * 1000)


@dataclass
class Token:
    """A token that the portal has issued."""

    username: str
    expires: int
    referer: str | None = None
    is_app: bool = False
    """Issued to an application, not to a person."""


@dataclass
class State:
    """One practice portal while it runs."""

    org: Organization
    settings: Settings
    folder: Path
    """Private folder for the results of export jobs."""
    port: int = 0
    log: RequestLog = field(default_factory=RequestLog)
    faults: Faults = field(default_factory=Faults)
    quota: Quota = field(init=False)
    tokens: dict[str, Token] = field(default_factory=dict)
    refresh_tokens: dict[str, str] = field(default_factory=dict)
    """Refresh token to user name."""
    authorizations: dict[str, Authorization] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    """Authorization code to user name."""
    failures: dict[str, int] = field(default_factory=dict)
    """Wrong passwords in a row, by user name."""
    jobs: dict[str, Job] = field(default_factory=dict)
    waiting_jobs: list[Job] = field(default_factory=list)
    running_jobs: set[asyncio.Task[None]] = field(default_factory=set)
    unfinished: set[str] = field(default_factory=set)
    """Ids of export items whose job has not (or not well) ended."""
    change_files: dict[str, Json] = field(default_factory=dict)
    """What jobs of change tracking have found, by job id."""
    tile_jobs: dict[str, TileJob] = field(default_factory=dict)
    searches: dict[tuple[str, ...], list[list[str]]] = field(default_factory=dict)
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    client_id: str = field(default_factory=lambda: secrets.token_hex(8))
    client_secret: str = field(default_factory=lambda: secrets.token_hex(16))

    def __post_init__(self) -> None:
        self.quota = Quota(self.settings)

    @property
    def origin(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def portal_url(self) -> str:
        return f"{self.origin}/portal"

    @property
    def is_online(self) -> bool:
        return self.org.mode == "online"

    @property
    def services_path(self) -> str:
        """Path of the services: one for each organization online, the folder `Hosted` of a server in Enterprise."""
        return f"/{self.org.id}/arcgis/rest/services" if self.is_online else "/server/rest/services/Hosted"

    def service_url(self, service: Service) -> str:
        return f"{self.origin}{self.services_path}/{service.name}/{service.server_type}"

    def issue(
        self, user: User, minutes: float, *, referer: str | None = None, is_app: bool = False
    ) -> tuple[str, Token]:
        """Return a new token for `user` and what it stands for; no token lives longer than the settings allow."""
        longest = self.settings.token_minutes
        life = min(minutes, 20_160 if longest is None else longest)
        token = Token(user.username, now() + int(life * 60_000), referer, is_app)
        text = "sandbox-" + secrets.token_urlsafe(72)
        self.tokens[text] = token
        return text, token

    def forget(self, item: Item) -> None:
        """Let go of what is kept of an item that was deleted for good."""
        self.unfinished.discard(item.id)
        (self.folder / item.id).unlink(missing_ok=True)

    def sign(self, item_id: str, expires: int) -> str:
        """Return the signature of a data address that needs no token."""
        return hmac.new(self.key, f"{item_id}/{expires}".encode(), hashlib.sha256).hexdigest()
