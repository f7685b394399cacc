"""Signing in to the practice portal."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from caller import Caller
from practice_town import PASSWORDS, PRIVATE, town

from agolkit.sandbox import Sandbox

Open = Callable[..., Sandbox]
WRONG = {
    "error": {"code": 400, "message": "Unable to generate token.", "details": ["Invalid username or password."]},
}


def generate(caller: Caller, username: str, password: str, **more: object) -> dict[str, object]:
    return caller.post("generateToken", username=username, password=password, client="referer", referer="http", **more)


def oauth_state(html: str) -> str:
    found = re.search(r'"oauth_state":"([^"]+)"', html)
    assert found
    return found[1]


def test_generate_token_answers_a_token_that_works(open_sandbox: Open) -> None:
    """Name and password are exchanged for a token, which any of the three ways of sending it makes count."""
    sandbox = open_sandbox(town())
    with Caller(sandbox) as caller:
        token = generate(caller, "ann", PASSWORDS["ann"])["token"]
        assert caller.get("community/self", token=token)["username"] == "ann"
        for header in ("X-Esri-Authorization", "Authorization"):
            answer = caller.raw("community/self?f=json", headers={header: f"Bearer {token}"})
            assert answer.json()["username"] == "ann"


def test_wrong_password_is_an_error_inside_http_200(open_sandbox: Open) -> None:
    """A refused sign-in is JSON with an error, and the status of the answer is 200."""
    with Caller(open_sandbox(town())) as caller:
        assert generate(caller, "ann", "guess") == WRONG
        assert generate(caller, "nobody", "guess") == WRONG


def test_account_is_locked_after_too_many_wrong_passwords(open_sandbox: Open) -> None:
    """After five wrong passwords in a row even the right one is refused."""
    with Caller(open_sandbox(town())) as caller:
        for _ in range(5):
            generate(caller, "ann", "guess")
        answer = generate(caller, "ann", PASSWORDS["ann"])
        assert answer["error"]["details"] == ["Too many invalid attempts. Please try again later."]  # type: ignore[index]


def test_tokens_expire(open_sandbox: Open) -> None:
    """A token past its life is answered with 498, whatever life was asked for."""
    sandbox = open_sandbox(town(), token_minutes=0)
    with Caller(sandbox) as caller:
        token = generate(caller, "ann", PASSWORDS["ann"], expiration=600)["token"]
        answer = caller.get("community/self", token=token)
        assert answer == {"error": {"code": 498, "message": "Invalid token.", "details": []}}
        sandbox.settings.token_minutes = None
        token = generate(caller, "ann", PASSWORDS["ann"])["token"]
        assert caller.get("community/self", token=token)["username"] == "ann"
        sandbox.revoke_tokens()
        assert caller.get("community/self", token=token)["error"]["code"] == 498


def test_token_is_bound_to_its_referer_when_asked_to(open_sandbox: Open) -> None:
    """With the check switched on, a token that comes with another referer is refused."""
    with Caller(open_sandbox(town(), check_referer=True)) as caller:
        token = generate(caller, "ann", PASSWORDS["ann"])["token"]
        assert caller.get("community/self", token=token)["error"]["code"] == 498
        answer = caller.raw(f"community/self?f=json&token={token}", headers={"Referer": "http"})
        assert answer.json()["username"] == "ann"


def test_no_token_is_not_a_wrong_token(open_sandbox: Open) -> None:
    """Without a token what needs one answers 499; what is public is answered."""
    with Caller(open_sandbox(town())) as caller:
        assert caller.get("community/self")["error"] == {
            "code": 499,
            "messageCode": "GWM_0003",
            "message": "Token Required",
            "details": ["Token Required"],
        }
        assert caller.get(f"content/items/{PRIVATE}")["error"]["code"] == 499
        assert "user" not in caller.get("portals/self")


@pytest.mark.parametrize("mode", ["online", "enterprise"])
def test_application_signs_in_with_its_secret(open_sandbox: Open, mode: str) -> None:
    """Client id and secret give a token of an application: it sees content, and it is nobody."""
    sandbox = open_sandbox(town(mode))  # type: ignore[arg-type]
    with Caller(sandbox) as caller:
        asked = {"grant_type": "client_credentials", "client_id": sandbox.client_id}
        wrong = caller.post("oauth2/token", **asked, client_secret="guess")
        assert wrong["error"]["error_description"] == "Invalid client_secret"
        token = caller.post("oauth2/token", **asked, client_secret=sandbox.client_secret)["access_token"]
        itself = caller.get("portals/self", token=token)
        assert "user" not in itself
        assert itself["appInfo"]["appId"] == sandbox.client_id
        assert caller.get(f"content/items/{PRIVATE}", token=token)["title"] == "Bob's own"


def test_code_and_refresh_token(open_sandbox: Open) -> None:
    """The pages lead to a code, the code once to a token and a refresh token, and that to further tokens."""
    with Caller(open_sandbox(town())) as caller:
        asked = {"client_id": "x", "response_type": "code", "redirect_uri": "urn:ietf:wg:oauth:2.0:oob"}
        state = oauth_state(caller.raw("oauth2/authorize", params=asked).text)
        form = {"oauth_state": state, "username": "ann", "password": PASSWORDS["ann"]}
        page = caller.raw("oauth2/signin", "POST", data=form).text
        code = re.search(r"<title>SUCCESS code=(.*?)</title>", page)
        assert code
        tokens = caller.post("oauth2/token", grant_type="authorization_code", code=code[1], client_id="x")
        assert caller.get("community/self", token=tokens["access_token"])["username"] == "ann"
        again = caller.post("oauth2/token", grant_type="authorization_code", code=code[1], client_id="x")
        assert again["error"]["code"] == 400
        fresh = caller.post("oauth2/token", grant_type="refresh_token", refresh_token=tokens["refresh_token"])
        assert caller.get("community/self", token=fresh["access_token"])["username"] == "ann"


def test_second_factor_needs_a_person(open_sandbox: Open) -> None:
    """An account with a second factor gets no token for a password alone; its page asks for the code."""
    sandbox = open_sandbox(town(), second_factor="246810")
    with Caller(sandbox) as caller:
        assert "Multifactor" in generate(caller, "eve", PASSWORDS["eve"])["error"]["details"][0]  # type: ignore[index]
        asked = {"client_id": "x", "response_type": "token", "redirect_uri": "https://127.0.0.1:1", "state": "abc"}
        state = oauth_state(caller.raw("oauth2/authorize", params=asked).text)
        form = {"oauth_state": state, "username": "eve", "password": PASSWORDS["eve"]}
        answer = caller.raw("oauth2/signin", "POST", data=form, allow_redirects=False)
        assert answer.status_code == 302
        assert urlsplit(answer.headers["location"]).path.endswith("/sharing/oauth2/mfa")
        refused = caller.raw("oauth2/mfa", "POST", data={"oauth_state": state, "mfa_code": "1"}, allow_redirects=False)
        assert refused.status_code == 200
        accepted = caller.raw(
            "oauth2/mfa", "POST", data={"oauth_state": state, "mfa_code": "246810"}, allow_redirects=False
        )
        fragment = parse_qs(urlsplit(accepted.headers["location"]).fragment)
        assert fragment["state"] == ["abc"]
        assert caller.get("community/self", token=fragment["access_token"][0])["username"] == "eve"
