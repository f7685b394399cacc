"""Signing in: the OAuth pages that a browser sees, `generateToken`, and `oauth2/token`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from agolkit.sandbox.answers import ServiceError
from agolkit.sandbox.call import Call, route
from agolkit.sandbox.organization import User
from agolkit.sandbox.state import State, now

OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"
WRONG = "Invalid username or password."
LOCKED = "Too many invalid attempts. Please try again later."


@dataclass
class Authorization:
    """A sign-in page that was handed out, waiting for user name and password."""

    redirect_uri: str
    response_type: str
    client_state: str
    minutes: float
    username: str | None = None
    """Who has given the right password and still owes the second factor."""


def routes(state: State) -> list[Route]:
    """Return the routes of signing in."""
    table = []
    for base in ("/portal/sharing/rest", "/portal/sharing"):
        table += [
            route(state, base + "/info", info, is_open=True),
            route(state, base + "/oauth2/authorize", authorize, is_open=True),
            route(state, base + "/oauth2/signin", sign_in, is_open=True),
            route(state, base + "/oauth2/mfa", second_factor, is_open=True),
            route(state, base + "/oauth2/approval", approval, is_open=True),
            route(state, base + "/oauth2/token", oauth_token, is_open=True),
            route(state, base + "/oauth2/revokeToken", revoke_token, is_open=True),
            route(state, base + "/generateToken", generate_token, is_open=True),
        ]
    return table


async def info(call: Call) -> Mapping[str, Any]:
    """Where tokens come from."""
    return {
        "owningSystemUrl": call.state.portal_url,
        "authInfo": {
            "tokenServicesUrl": f"{call.state.portal_url}/sharing/rest/generateToken",
            "isTokenBasedSecurity": True,
        },
    }


async def authorize(call: Call) -> Response:
    """Answer the sign-in page."""
    redirect_uri = call.params.get("redirect_uri", "")
    if not (redirect_uri == OUT_OF_BAND or redirect_uri.startswith(("https://", "http://"))):
        return _page({"error": {"code": 400, "error": "invalid_request", "message": "Invalid redirect_uri"}})
    oauth_state = secrets.token_urlsafe(24)
    call.state.authorizations[oauth_state] = Authorization(
        redirect_uri,
        call.params.get("response_type", "code"),
        call.params.get("state", ""),
        call.number("expiration", 120),
    )
    return _page({"oauth_state": oauth_state})


async def sign_in(call: Call) -> Response:
    """Take user name and password from the sign-in page."""
    oauth_state = call.params.get("oauth_state", "")
    authorization = call.state.authorizations.get(oauth_state)
    if authorization is None:
        return _page({"messages": ["Invalid oauth_state."], "messageCode": "OAUTH_0010"})
    user, refusal = _check_password(call)
    if user is None:
        return _page({"oauth_state": oauth_state, "messages": [refusal], "messageCode": "OAUTH_0015"})
    authorization.username = user.username
    if user.mfa:
        return RedirectResponse(f"{call.state.portal_url}/sharing/oauth2/mfa?oauth_state={oauth_state}", 302)
    return _signed_in(call, oauth_state, user)


async def second_factor(call: Call) -> Response:
    """Answer the page that asks for the second factor, or take the code from it."""
    oauth_state = call.params.get("oauth_state", "")
    authorization = call.state.authorizations.get(oauth_state)
    user = call.org.users.get(authorization.username or "") if authorization else None
    if user is None:
        return _page({"messages": ["Invalid oauth_state."], "messageCode": "OAUTH_0010"})
    if call.request.method != "POST":
        return _page({"oauth_state": oauth_state, "mfa": True})
    if call.params.get("mfa_code") != call.settings.second_factor:
        return _page({"oauth_state": oauth_state, "messages": ["Invalid code."], "messageCode": "OAUTH_0071"})
    return _signed_in(call, oauth_state, user)


def _signed_in(call: Call, oauth_state: str, user: User) -> Response:
    authorization = call.state.authorizations.pop(oauth_state)
    if authorization.response_type == "token":
        text, token = call.state.issue(user, authorization.minutes)
        fragment = urlencode(
            {
                "access_token": text,
                "expires_in": (token.expires - now()) // 1000,
                "username": user.username,
                "ssl": "true",
                "state": authorization.client_state,
            }
        )
        return RedirectResponse(f"{authorization.redirect_uri}#{fragment}", 302)
    code = secrets.token_urlsafe(24)
    call.state.codes[code] = user.username
    if authorization.redirect_uri == OUT_OF_BAND:
        return RedirectResponse(f"{call.state.portal_url}/sharing/rest/oauth2/approval?code={code}", 302)
    return RedirectResponse(
        f"{authorization.redirect_uri}?{urlencode({'code': code, 'state': authorization.client_state})}", 302
    )


async def approval(call: Call) -> Response:
    """Answer the page that shows an authorization code to a client without an address of its own."""
    code = call.params.get("code", "")
    title = f"SUCCESS code={code}" if code in call.state.codes else "Error: Invalid code"
    return HTMLResponse(f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body></body></html>")


async def oauth_token(call: Call) -> Mapping[str, Any]:
    """Answer a token for an application's secret, an authorization code, or a refresh token."""
    call.params.setdefault("f", "json")  # unlike the other pages, this one is never HTML
    grant, state = call.params.get("grant_type"), call.state
    if grant == "client_credentials":
        if call.params.get("client_id") != state.client_id:
            raise ServiceError(
                400, "Invalid client_id", error="invalid_client_id", error_description="Invalid client_id"
            )
        if call.params.get("client_secret") != state.client_secret:
            raise ServiceError(
                400, "Invalid client_secret", error="invalid_request", error_description="Invalid client_secret"
            )
        text, token = state.issue(call.org.users[call.org.admin], call.number("expiration", 120), is_app=True)
        return {"access_token": text, "expires_in": (token.expires - now()) // 1000}
    if grant == "authorization_code":
        username = state.codes.pop(call.params.get("code", ""), None)
    elif grant == "refresh_token":
        username = state.refresh_tokens.get(call.params.get("refresh_token", ""))
    else:
        raise ServiceError(400, "Invalid grant_type", error="invalid_request", error_description="Invalid grant_type")
    user = call.org.users.get(username or "")
    if user is None or user.disabled:
        raise ServiceError(400, f"Invalid {grant}", error="invalid_request", error_description=f"Invalid {grant}")
    text, token = state.issue(user, call.number("expiration", 30))
    answer = {
        "access_token": text,
        "expires_in": (token.expires - now()) // 1000,
        "username": user.username,
        "ssl": True,
    }
    if grant == "authorization_code":
        refresh = secrets.token_urlsafe(48)
        state.refresh_tokens[refresh] = user.username
        answer |= {"refresh_token": refresh, "refresh_token_expires_in": 1_209_600}
    return answer


async def revoke_token(call: Call) -> Mapping[str, Any]:
    """Make a token useless."""
    text = call.params.get("auth_token") or call.params.get("token", "")
    call.state.tokens.pop(text, None)
    call.state.refresh_tokens.pop(text, None)
    return {"success": True}


async def generate_token(call: Call) -> Mapping[str, Any]:
    """Answer a token for user name and password, or a server's token for the portal's."""
    if call.request.method != "POST":
        raise ServiceError(405, "Method not allowed.")
    if call.params.get("token") and call.params.get("serverUrl"):
        token = call.state.tokens.get(call.params["token"])
        if token is None or token.expires <= now():
            raise ServiceError(498, "Invalid token.")
        return {"token": call.params["token"], "expires": token.expires, "ssl": True}
    missing = [f"'{name}' must be specified." for name in ("username", "password") if not call.params.get(name)]
    if missing:
        raise ServiceError(400, "Unable to generate token.", details=missing)
    user, refusal = _check_password(call)
    if user is None:
        raise ServiceError(400, "Unable to generate token.", details=[refusal])
    if user.mfa:
        raise ServiceError(
            400, "Unable to generate token.", details=["Multifactor authentication is enabled for this account."]
        )
    referer = call.params.get("referer") if call.params.get("client", "referer") == "referer" else None
    text, token = call.state.issue(user, call.number("expiration", 60), referer=referer)
    return {"token": text, "expires": token.expires, "ssl": True}


def _check_password(call: Call) -> tuple[User | None, str]:
    """Return the user, or `None` and the words of the refusal; an account is locked after too many wrong passwords."""
    username = call.params.get("username", "")
    failures = call.state.failures
    if failures.get(username, 0) >= call.settings.lockout_attempts:
        return None, LOCKED
    user = call.org.users.get(username)
    if user is None or user.disabled or user.password != call.params.get("password"):
        failures[username] = failures.get(username, 0) + 1
        return None, WRONG
    failures.pop(username, None)
    return user, ""


def _page(oauth_info: Mapping[str, Any]) -> Response:
    """A page as the sign-in pages are: their state stands in a script, on one line."""
    script = json.dumps(oauth_info, separators=(",", ":"))
    title = f"Error: {oauth_info['error']['message']}" if "error" in oauth_info else "Sign In"
    body = f"<body><script>\nvar oAuthInfo = {script};\n</script></body>"
    return HTMLResponse(f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n{body}</html>")
