"""Sending a notice by every way that is set. Nothing here raises: what failed is answered in sentences."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable

from agolkit.errors import AgolkitError
from agolkit.notify.mail import send_mail
from agolkit.notify.notice import Notice
from agolkit.notify.settings import NotifyOptions
from agolkit.notify.web import address_of_ping, post
from agolkit.portal.session import trusted_by_system
from agolkit.progress import pause
from agolkit.retry import with_retries

ATTEMPTS = 3
LONGEST_PING = 10_000
"""Characters of the notice that a check is told."""

Sleep = Callable[[float], None]


def send(notice: Notice, options: NotifyOptions, *, sleep: Sleep = pause) -> list[str]:
    """Tell everybody who is to be told of this, and the check of every run; a sentence for each way that failed."""
    is_wanted = {"always": True, "trouble": notice.is_trouble, "new": notice.is_new}[options.notify]
    troubles = send_all(notice, options, sleep=sleep) if is_wanted else []
    return troubles + ping(options, str(notice.exit_code), notice, sleep=sleep)


def send_all(notice: Notice, options: NotifyOptions, *, sleep: Sleep = pause) -> list[str]:
    """Send mail and webhook, those that are set, whatever the notice says; a sentence for each that failed."""
    troubles = []
    if options.mail_to:
        troubles += _tried("mail", lambda trust: send_mail(notice, options, trust=trust), options, sleep)
    if options.webhook_url:
        body = json.dumps(notice.to_teams() if options.webhook_format == "teams" else notice.to_json()).encode()
        troubles += _tried(
            "webhook", lambda trust: post(options.webhook_url, body, "application/json", trust=trust), options, sleep
        )
    return troubles


def ping(options: NotifyOptions, signal: str, notice: Notice | None = None, *, sleep: Sleep = pause) -> list[str]:
    """Tell the check that is set, if one is, of a `start` or an exit code; a sentence where that failed."""
    if not options.ping_url:
        return []
    url = address_of_ping(options.ping_url, signal)
    said = f"{notice.subject}\n\n{notice.text}"[:LONGEST_PING].encode() if notice else b""
    return _tried("ping", lambda trust: post(url, said, "text/plain; charset=utf-8", trust=trust), options, sleep)


def _tried(what: str, deliver: Callable[[ssl.SSLContext], None], options: NotifyOptions, sleep: Sleep) -> list[str]:
    try:
        trust = trusted_by_system(options.ca_bundle or None)
        with_retries(lambda: deliver(trust), attempts=ATTEMPTS, sleep=sleep)
    except AgolkitError as error:
        return [f"The {what} could not be sent. {error}"]
    except Exception as error:  # a defect here must not change how the backup ended; its words may hold an address
        return [f"The {what} could not be sent: agolkit itself failed ({type(error).__name__}); please report it."]
    return []
