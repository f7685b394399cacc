"""Where a sign-in comes from: arguments, environment, a profile of `arcgis`, ArcGIS Notebooks, ArcGIS Pro."""

from __future__ import annotations

import configparser
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from agolkit.errors import SignInError, UsageError
from agolkit.options import nearest
from agolkit.portal.tokens import Grant, Token

# What arcgis sends and binds its tokens to, so that a token made with it is good here, and the other way round.
REFERER = "http"
T = TypeVar("T")

KEYRING_TIMEOUT = 30.0
"""Seconds for the system's keyring, and for the person who may have to open it."""
_KEYRING_SERVICE = "arcgis_python_api_profile_passwords"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A portal's address and something to sign in with. Secrets are not in its `repr`."""

    url: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    profile: str | None = None
    referer: str = REFERER
    grant: Grant | None = field(default=None, repr=False)
    """Gets a token from whoever has signed in already."""
    renewable: bool = True
    """Whether `grant` gets a new token when the one before has ended."""

    @property
    def complete(self) -> bool:
        """Whether there is something to sign in with."""
        by_user, by_application = self.username and self.password, self.client_id and self.client_secret
        return bool(self.token or self.grant or by_user or by_application)

    def or_from_environment(self, environ: Mapping[str, str]) -> Credentials:
        """These credentials, with what they leave open taken from the `AGOLKIT_*` variables."""
        if self.profile or self.url in ("home", "pro"):
            return self  # these bring their own
        found = replace(self, url=self.url or environ.get("AGOLKIT_URL"))
        if self.complete:
            return found
        if self.username and self.username != environ.get("AGOLKIT_USERNAME", self.username):
            return found  # the password in the environment is somebody else's
        username = self.username or environ.get("AGOLKIT_USERNAME")
        password = self.password or environ.get("AGOLKIT_PASSWORD")
        password = password or _password_of_file(environ.get("AGOLKIT_PASSWORD_FILE"))
        if username and (password or self.username):
            return replace(found, username=username, password=password)
        if not (self.client_id or self.client_secret) and environ.get("AGOLKIT_TOKEN"):
            return replace(found, token=environ["AGOLKIT_TOKEN"])
        client_id = self.client_id or environ.get("AGOLKIT_CLIENT_ID")
        client_secret = self.client_secret or environ.get("AGOLKIT_CLIENT_SECRET")
        profile = None if client_id or client_secret else environ.get("AGOLKIT_PROFILE")
        return replace(found, username=username, client_id=client_id, client_secret=client_secret, profile=profile)


def from_profile(wanted: Credentials) -> Credentials:
    """The address and user of a profile that `arcgis` has saved, and its password from the system's keyring.

    Read here and not by `arcgis`, which rewrites the file at every use and asks on stdin.
    """
    import keyring
    import keyring.errors

    config = configparser.ConfigParser(interpolation=None)
    config.read(Path.home() / ".arcgisprofile")
    name = next((known for known in config.sections() if known.casefold() == (wanted.profile or "").casefold()), None)
    if name is None:
        raise UsageError(
            f"There is no profile {wanted.profile!r} in {Path.home() / '.arcgisprofile'}."
            + nearest(wanted.profile or "", config.sections())
        )
    saved = config[name]
    username = wanted.username or saved.get("username")
    password = wanted.password
    if username and not password:
        try:
            credential = _in_time(lambda: keyring.get_credential(_KEYRING_SERVICE, name))
        except keyring.errors.KeyringError:
            credential = None
        if credential is None:
            raise UsageError(
                f"The profile {name!r} has no password in this system's keyring (servers and containers often have no "
                "keyring). Set AGOLKIT_USERNAME and AGOLKIT_PASSWORD or AGOLKIT_PASSWORD_FILE instead."
            )
        password = credential.password
    if not username:
        raise UsageError(f"The profile {name!r} names no user; agolkit signs in with user name and password.")
    url = wanted.url or saved.get("url") or "https://www.arcgis.com"
    return replace(wanted, url=url, username=username, password=password)


def from_notebook(wanted: Credentials) -> Credentials:
    """The sign-in of the ArcGIS Notebook that this runs in, as `arcgis` reads it."""

    def read() -> tuple[str, str, float | None, str]:
        from arcgis.auth.tools.nbauth import read_hosted_nb_auth

        try:
            token, _, public_url, minutes, referer = read_hosted_nb_auth()
        except Exception as error:  # arcgis raises whatever comes up here, even errors of its own error message
            raise SignInError(
                '"home" is the portal of an ArcGIS Notebook, and this is not one (NB_AUTH_FILE is missing or not '
                "readable). Give the portal's url and a sign-in."
            ) from error
        return token, public_url, float(minutes) if minutes else None, referer or ""

    _, public_url, _, referer = read()

    def grant() -> Token:
        token, _, minutes, _ = read()
        return Token(token, minutes * 60 if minutes else None)

    return replace(wanted, url=public_url, referer=referer, grant=grant, renewable=False)


def from_pro(wanted: Credentials) -> Credentials:
    """The sign-in of the ArcGIS Pro that this Python belongs to."""
    try:
        import arcpy
    except ImportError:
        raise SignInError(
            '"pro" is the portal that ArcGIS Pro is signed in to; it works in the Python of ArcGIS Pro only. Give the '
            "portal's url and a sign-in."
        ) from None

    def grant() -> Token:
        signed_in = arcpy.GetSigninToken()
        if not signed_in:
            raise SignInError("ArcGIS Pro is not signed in to a portal. Sign in there, then run this again.")
        return Token(signed_in["token"])

    signed_in = arcpy.GetSigninToken() or {}
    return replace(wanted, url=arcpy.GetActivePortalURL(), referer=signed_in.get("referer", REFERER), grant=grant)


def _in_time(ask: Callable[[], T]) -> T:
    """The keyring's answer. A locked one asks a person to open it, and of a scheduled run nobody sees the question."""
    asked: Future[T] = Future()

    def run() -> None:
        try:
            asked.set_result(ask())
        except Exception as error:
            asked.set_exception(error)

    threading.Thread(target=run, name="agolkit-keyring", daemon=True).start()  # one that may wait for ever ends with us
    try:
        return asked.result(KEYRING_TIMEOUT)
    except TimeoutError:
        raise UsageError(
            f"This system's keyring has not answered within {KEYRING_TIMEOUT:,.0f} seconds; it may be locked and wait "
            "for a person. Unlock it, or set AGOLKIT_USERNAME and AGOLKIT_PASSWORD or AGOLKIT_PASSWORD_FILE instead."
        ) from None


def _password_of_file(path: str | None) -> str | None:
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The password file {path!r} (AGOLKIT_PASSWORD_FILE) cannot be read: {error}.") from None
