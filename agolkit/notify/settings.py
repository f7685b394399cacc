"""`NotifyOptions`: who is told how a scheduled run ended, and when; from the environment, where secrets may be."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from agolkit.errors import UsageError

When = Literal["always", "trouble", "new"]
WebhookFormat = Literal["json", "teams"]
Security = Literal["starttls", "tls", "none"]

PORTS = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True, kw_only=True)
class NotifyOptions:
    """Whom to tell how a scheduled run ended. Nobody by default. Its `repr` holds no secret.

    Raises
    ------
    UsageError
        A value is not allowed, or another is missing beside it. The message names the variable of the environment.
    """

    notify: When = "trouble"
    """When a mail and the webhook are sent: `always`; at `trouble`, which is an exit code other than 0, or items that
    have vanished; or only where something is `new`, a failed run included."""
    webhook_url: str = field(default="", repr=False)
    """Where a description of the run is posted as JSON. Whoever knows the address may post there: it is a secret."""
    webhook_format: WebhookFormat = "json"
    """`json`: the documented fields, `text` among them (Slack, Mattermost and others show it); `teams`: a card."""
    ping_url: str = field(default="", repr=False)
    """Address of a check at healthchecks.io or alike, which is told of every run, and itself raises the alarm where
    none came."""
    mail_to: tuple[str, ...] = ()
    mail_from: str = ""
    smtp_host: str = ""
    smtp_port: int = 0
    """0: the usual one, 587 for `starttls`, 465 for `tls`, 25 for `none`."""
    smtp_security: Security = "starttls"
    smtp_username: str = ""
    smtp_password: str = field(default="", repr=False)
    ca_bundle: str = ""
    """File of certificates to trust beside those of the operating system; the portal's setting too."""

    def __post_init__(self) -> None:
        for name, allowed in (("notify", When), ("webhook_format", WebhookFormat), ("smtp_security", Security)):
            if getattr(self, name) not in get_args(allowed):
                choices = ", ".join(get_args(allowed))
                raise UsageError(f"{_variable(name)} must be one of {choices}, not {getattr(self, name)!r}.")
        for name in ("webhook_url", "ping_url"):
            _check_address(_variable(name), getattr(self, name))
        for address in (*self.mail_to, *([self.mail_from] if self.mail_from else [])):
            if "@" not in parseaddr(address)[1] or not address.isprintable():
                raise UsageError(f"{address!r} is no mail address (AGOLKIT_MAIL_TO, AGOLKIT_MAIL_FROM).")
        if self.mail_to and not (self.mail_from and self.smtp_host):
            raise UsageError("A mail needs AGOLKIT_MAIL_FROM and AGOLKIT_SMTP_HOST beside AGOLKIT_MAIL_TO.")
        if not 0 <= self.smtp_port <= 65535:
            raise UsageError(f"AGOLKIT_SMTP_PORT must be from 1 to 65535, not {self.smtp_port}.")
        if bool(self.smtp_username) != bool(self.smtp_password):
            raise UsageError(
                "The mail server is signed in to with AGOLKIT_SMTP_USERNAME and AGOLKIT_SMTP_PASSWORD (or "
                "AGOLKIT_SMTP_PASSWORD_FILE); one of them is missing."
            )
        if self.smtp_password and self.smtp_security == "none":
            raise UsageError("AGOLKIT_SMTP_SECURITY=none would send the password in the open. Use starttls or tls.")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> NotifyOptions:
        """What the variables `AGOLKIT_NOTIFY`, `AGOLKIT_WEBHOOK_…`, `_PING_…`, `_MAIL_…` and `_SMTP_…` say.

        The name of each is that of the field; one that is misspelt is a `UsageError`.

        A secret may stand in a file of its own, as its first line: then the variable ends in `_FILE` and names it.
        """
        known = {_variable(name): name for name in cls.__dataclass_fields__}
        files = {f"{_variable(name)}_FILE": name for name in ("webhook_url", "ping_url", "smtp_password")}
        values: dict[str, Any] = {}
        for variable, text in environ.items():
            if not text or not variable.startswith(_OURS):
                continue
            if variable in files:
                values.setdefault(files[variable], _first_line(variable, text))
            elif variable in known:
                values[known[variable]] = text.strip()
            else:
                near = difflib.get_close_matches(variable, [*known, *files], n=1, cutoff=0)
                raise UsageError(f"The environment has {variable}, which means nothing. Did you mean {near[0]}?")
        if "mail_to" in values:
            values["mail_to"] = tuple(each.strip() for each in values["mail_to"].split(",") if each.strip())
        if "smtp_port" in values:
            if not values["smtp_port"].isdecimal():
                raise UsageError(f"AGOLKIT_SMTP_PORT must be a number, not {values['smtp_port']!r}.")
            values["smtp_port"] = int(values["smtp_port"])
        return cls(**values)

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways that are set: of `mail`, `webhook` and `ping`."""
        ways = {"mail": self.mail_to, "webhook": self.webhook_url, "ping": self.ping_url}
        return tuple(way for way, value in ways.items() if value)

    @property
    def port(self) -> int:
        """The port of the mail server."""
        return self.smtp_port or PORTS[self.smtp_security]


_OURS = ("AGOLKIT_NOTIFY", "AGOLKIT_WEBHOOK", "AGOLKIT_PING", "AGOLKIT_MAIL", "AGOLKIT_SMTP", "AGOLKIT_CA_BUNDLE")


def _variable(name: str) -> str:
    return f"AGOLKIT_{name.upper()}"


def _first_line(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeError) as error:
        raise UsageError(f"The file {path!r} ({variable}) cannot be read: {error}.") from None


def _check_address(variable: str, url: str) -> None:
    """The address itself is never in the message: it is a secret."""
    if not url:
        return
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isascii() and url.isprintable()
        is_good = is_good and " " not in url and (parts.port is None or parts.port > 0)
    except ValueError:
        is_good = False
    if not is_good:
        raise UsageError(f"{variable} must be an address that begins with https:// (or http://).")
    if parts.username or parts.password:
        raise UsageError(f"{variable} holds a user name or a password before the host, which agolkit does not send.")
