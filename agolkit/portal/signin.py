"""`connect`: from an address and a sign-in to a `Portal`, or one clear sentence why not.

Never waits on stdin. A password is sent once for a token; a refused one is never sent again.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from agolkit.addresses import without_query
from agolkit.errors import (
    ConnectionTrouble,
    NotAnAnswer,
    PortalError,
    RateLimited,
    SecondFactorNeeded,
    ServerTrouble,
    SignInError,
    TokenRejected,
    Unreachable,
    UsageError,
)
from agolkit.portal.client import Portal
from agolkit.portal.exchange import Exchange
from agolkit.portal.session import Pool, PortalSession, trusted_by_system
from agolkit.portal.sources import Credentials, from_notebook, from_pro, from_profile
from agolkit.portal.tokens import Clock, Grant, Signature, Token, Tokens, host_of
from agolkit.progress import pause
from agolkit.retry import with_retries

_PERSON = re.compile(r"multi-?factor|two-?factor|second factor|\bmfa\b|\botp\b|change (the|your) password|terms", re.I)
_LOCKED = re.compile(r"too many|locked", re.I)
_DISABLED = re.compile(r"disabled|not active|inactive|suspended", re.I)


def connect(
    url: str | None = None,
    *,
    username: str | None = None,
    password: str | None = None,
    token: str | None = None,
    client_id: str | None = None,
    client_secret: str | None = None,
    profile: str | None = None,
    ca_bundle: str | os.PathLike[str] | None = None,
    connect_timeout: float = 10,
    idle_timeout: float = 60,
    attempts: int = 3,
    pool: int = 16,
    expiration_minutes: float = 600,
    sleep: Callable[[float], None] = pause,
    clock: Clock = time.monotonic,
) -> Portal:
    """A signed-in portal.

    The sign-in is taken from the arguments; where these hold none, from the environment (`AGOLKIT_URL`,
    `AGOLKIT_USERNAME`, `AGOLKIT_PASSWORD` or `AGOLKIT_PASSWORD_FILE`, `AGOLKIT_TOKEN`, `AGOLKIT_CLIENT_ID`,
    `AGOLKIT_CLIENT_SECRET`, `AGOLKIT_PROFILE`, `AGOLKIT_CA_BUNDLE`). `profile` is one of `arcgis`' profiles. The url
    `"home"` is the portal of the ArcGIS Notebook that this runs in, `"pro"` the one that ArcGIS Pro is signed in to.

    Parameters
    ----------
    url
        The portal as in a browser: `https://www.arcgis.com`, `https://gis.example.com/portal`.
    ca_bundle
        File of certificates to trust beside those of the operating system.
    connect_timeout, idle_timeout
        Seconds until a connection stands, and without a byte on it.
    attempts
        How often a request is tried where trying again may help.
    pool
        Connections kept open: as many as there are workers.
    expiration_minutes
        The life asked for tokens; they are renewed before they end.

    Raises
    ------
    UsageError
        Something is missing, or the address is not that of a portal. Trying again does not help.
    SignInError, SecondFactorNeeded
        The portal refuses the sign-in. Do not repeat it.
    Unreachable
        No connection, or a certificate that is not trusted. Trying again later may help.
    """
    given = Credentials(url, username, password, token, client_id, client_secret, profile)
    wanted = _resolve(given.or_from_environment(os.environ))
    trust = trusted_by_system(ca_bundle or os.environ.get("AGOLKIT_CA_BUNDLE"))
    session = PortalSession(Pool(trust, width=pool), connect_timeout=connect_timeout, idle_timeout=idle_timeout)
    rest_url = _find_rest_url(session, wanted.url or "", attempts=attempts, sleep=sleep)

    portal = Portal(session, rest_url, attempts=attempts, sleep=sleep)
    unsigned = Exchange(session, rest_url)  # its `act` sends once; trying again is decided here
    try:
        tokens = with_retries(
            lambda: _tokens(unsigned, wanted, expiration_minutes, clock, sleep), attempts=attempts, sleep=sleep
        )
        hosts = {host_of(rest_url)}
        portal.sign_with(tokens, Signature(tokens, hosts, referer=wanted.referer))
        portal.about = portal.get_json("portals/self")
        if not portal.org_id or not (portal.about.get("user") or portal.about.get("appInfo")):
            raise SignInError(f"{portal.url} does not say who is signed in: it did not take the sign-in.")
        named = _own_hosts(portal)
        hosts |= named or set()
        portal.knows_own_hosts = named is not None
    except TokenRejected as error:
        raise SignInError(f"{portal.url} rejects the token: {error.words or error}. Get a new one.") from error
    except (ServerTrouble, RateLimited, NotAnAnswer) as error:
        raise Unreachable(f"{portal.url} answers, but cannot sign anybody in now. {error}") from error
    except ConnectionTrouble as error:
        raise Unreachable(f"{portal.url} cannot be reached. {error}") from error
    return portal


def _resolve(wanted: Credentials) -> Credentials:
    """Follow a profile, `home` and `pro` to a sign-in, and see that it is complete."""
    if wanted.url == "home":
        return from_notebook(wanted)
    if wanted.url == "pro":
        return from_pro(wanted)
    if wanted.profile:
        wanted = from_profile(wanted)
    if not wanted.url:
        raise UsageError("Which portal? Give its url, or set AGOLKIT_URL, such as https://www.arcgis.com.")
    if wanted.username and not (wanted.password or wanted.token):
        raise UsageError(
            f"There is no password for {wanted.username!r}. Set AGOLKIT_PASSWORD, or AGOLKIT_PASSWORD_FILE to a file "
            "that holds it; agolkit never asks for it while it runs."
        )
    if bool(wanted.client_id) != bool(wanted.client_secret):
        raise UsageError("An application signs in with client_id and client_secret; one of them is missing.")
    if not wanted.complete:
        raise UsageError(
            "There is nothing to sign in with. Give username and password, a token, or a profile; or set "
            "AGOLKIT_USERNAME and AGOLKIT_PASSWORD."
        )
    return wanted


def _find_rest_url(session: PortalSession, url: str, *, attempts: int, sleep: Callable[[float], None]) -> str:
    """The root of the REST API behind an address as people copy it from a browser."""
    text = url.strip()
    if text.lower().startswith("http://"):
        raise UsageError(
            f"{without_query(text)} is not encrypted: the password would travel in the open. Use https://."
        )
    address = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(address)
        is_address = parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise UsageError(f"{without_query(address)} is not an address of a portal, such as https://www.arcgis.com.")
    path = re.split(r"/(?:home|sharing|apps|index\.html)(?:/|$)", parts.path.rstrip("/") + "/")[0].rstrip("/")
    host = parts.netloc
    # Enterprise portals live below a context that people forget.
    bases = [path] if path else ["", "/portal", "/arcgis"]

    def find() -> str:
        may_pass = False  # a page of a proxy, or an empty answer: the next attempt may find the portal behind it
        for base in bases:
            rest_url = f"https://{host}{base}/sharing/rest"
            try:
                info = Exchange(session, rest_url).act("info", {})
            except (ServerTrouble, RateLimited):
                raise
            except PortalError as error:
                if error.code == 401:
                    raise SignInError(
                        f"https://{host} asks for Windows or certificate sign-in before the portal is reached; agolkit "
                        "does not have that. Use an address of the portal without it."
                    ) from error
                may_pass = may_pass or error.transient
                continue
            if isinstance(info.get("authInfo"), dict) or "owningSystemUrl" in info:
                return rest_url
        looked = " and ".join(f"https://{host}{base}/sharing/rest" for base in bases)
        said = f"There is no portal at {without_query(text)}: nothing that is one answers at {looked}."
        raise NotAnAnswer(said) if may_pass else UsageError(said)

    try:
        return with_retries(find, attempts=attempts, sleep=sleep)
    except NotAnAnswer as error:
        raise UsageError(str(error)) from error
    except Unreachable as error:
        raise Unreachable(f"https://{host} cannot be reached safely. {error}") from error
    except ConnectionTrouble as error:
        raise Unreachable(f"https://{host} cannot be reached: check the address and the network. {error}") from error
    except (ServerTrouble, RateLimited) as error:
        raise Unreachable(f"https://{host} answers, but is out of service now. {error}") from error


def _tokens(
    unsigned: Exchange, wanted: Credentials, minutes: float, clock: Clock, sleep: Callable[[float], None]
) -> Tokens:
    """The keeper of the token that a sign-in gives, with its first token in hand."""
    if wanted.grant is not None:
        grant, renewable = wanted.grant, wanted.renewable
    elif wanted.token:
        given = Token(wanted.token)
        grant, renewable = lambda: given, False
    else:
        make = _password_grant if wanted.username else _application_grant
        grant, renewable = make(unsigned, wanted, minutes), True
    takes = partial(unsigned.takes, referer=wanted.referer)
    return Tokens(grant, takes=takes, renewable=renewable, clock=clock, sleep=sleep)


def _password_grant(unsigned: Exchange, wanted: Credentials, minutes: float) -> Grant:
    def grant() -> Token:
        asked_at = time.time()
        form = {
            "username": wanted.username,
            "password": wanted.password,
            "client": "referer",
            "referer": wanted.referer,
            "expiration": round(minutes),
        }
        answer = _ask(unsigned, "generateToken", form, who=f"{wanted.username!r}")
        # `expires` is by the server's clock; where that and ours disagree, what was asked for is the better guess.
        seconds = float(answer.get("expires") or 0) / 1000 - asked_at
        return Token(_text(answer, "token"), seconds if 0 < seconds <= minutes * 60 + 300 else minutes * 60)

    return grant


def _application_grant(unsigned: Exchange, wanted: Credentials, minutes: float) -> Grant:
    def grant() -> Token:
        form = {
            "client_id": wanted.client_id,
            "client_secret": wanted.client_secret,
            "grant_type": "client_credentials",
            "expiration": round(minutes),
        }
        answer = _ask(unsigned, "oauth2/token", form, who=f"the application {wanted.client_id!r}")
        return Token(_text(answer, "access_token"), float(answer.get("expires_in") or minutes * 60))

    return grant


def _ask(unsigned: Exchange, address: str, form: dict[str, Any], *, who: str) -> dict[str, Any]:
    """The answer to a sign-in, sent once; a refusal in words that say what to do."""
    try:
        return unsigned.act(address, form)
    except (RateLimited, NotAnAnswer):
        raise
    except PortalError as error:
        said = error.words
        if _PERSON.search(said):
            raise SecondFactorNeeded(
                f"The portal wants a person to sign {who} in (second factor, new password or terms): {said}. For "
                "unattended backups use an account without a second factor, an application, or a token."
            ) from error
        if isinstance(error, ServerTrouble) and (error.code or 0) >= 500:
            raise
        if _LOCKED.search(said):
            raise SignInError(f"{who} is locked after wrong passwords: {said}. Wait, then try once.") from error
        if _DISABLED.search(said):
            raise SignInError(f"{who} is disabled in the portal: {said}. An administrator can enable it.") from error
        raise SignInError(
            f"The portal refuses to sign {who} in: {said or error}. The password was sent once and is not tried again; "
            "check user name and password, and that the account is not disabled and not one of an enterprise login."
        ) from error


def _text(answer: dict[str, Any], key: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str) or not value:
        raise NotAnAnswer("The portal's answer to the sign-in holds no token.")
    return value


def _own_hosts(portal: Portal) -> set[str] | None:
    """The hosts of hosted services that the portal names as its own; `None` where it does not name them."""
    try:
        if portal.is_online:
            urls = portal.get_json("portals/self/urls", needs={"urls": dict})["urls"]
            by_protocol = [each for each in urls.values() if isinstance(each, dict)]
            names = [str(name) for each in by_protocol for name in each.get("https") or ()]
            return {host_of(f"https://{name.removeprefix('https://')}") for name in names} - {""} or None
        servers = portal.get_json("portals/self/servers", needs={"servers": list})["servers"]
        return {host_of(server.get(key) or "") for server in servers for key in ("url", "adminUrl")} - {""}
    except TokenRejected:
        raise
    except PortalError:
        return None  # this account may not see them, or the portal cannot say: then no token goes there
