"""Signing in: each way in, and one clear sentence for each way out."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keyring
import keyring.backend
import keyring.credentials
import pytest
from hand_built import PASSWORD, small_organization

from agolkit.errors import AgolkitError, SecondFactorNeeded, SignInError, TokenRejected, Unreachable, UsageError
from agolkit.portal import Portal, connect, sources
from agolkit.sandbox import Fault, Sandbox, Settings


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(small_organization(), Settings()) as running:
        yield running


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "USERNAME", "PASSWORD", "PASSWORD_FILE", "TOKEN", "CLIENT_ID", "CLIENT_SECRET", "PROFILE"):
        monkeypatch.delenv(f"AGOLKIT_{name}", raising=False)
    for name in ("AGOLKIT_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NB_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)


def sign_in(sandbox: Sandbox, **changes: object) -> Portal:
    """Sign in as the administrator, without waiting between attempts."""
    arguments: dict[str, object] = {
        "url": sandbox.url,
        "username": "boss",
        "password": PASSWORD,
        "ca_bundle": sandbox.ca_bundle,
        "sleep": lambda _: None,
    }
    return connect(**(arguments | changes))  # type: ignore[arg-type]


def paths(sandbox: Sandbox, ending: str) -> int:
    """How many requests went to a path with this ending."""
    return sum(entry.path.endswith(ending) for entry in sandbox.log.entries)


def test_user_and_password(sandbox: Sandbox) -> None:
    """Signing in takes four requests and sends the password once; the portal says who, where and what."""
    portal = sign_in(sandbox)
    assert (portal.username, portal.org_id, portal.org_name) == ("boss", "0123456789abcdef", "Smallville")
    assert portal.url == sandbox.url
    assert portal.rest_url == sandbox.url + "/sharing/rest"
    assert portal.is_online
    assert portal.is_admin
    assert portal.can_see_all
    assert paths(sandbox, "/generateToken") == 1
    assert portal.requests == len(sandbox.log.entries) == 4


def test_repr_answers_the_question_and_holds_no_secret(sandbox: Sandbox) -> None:
    """`repr(portal)` says who is signed in where, and nothing that must stay secret."""
    portal = sign_in(sandbox)
    assert repr(portal) == (
        f"<Portal 'Smallville' (0123456789abcdef) at {sandbox.url}, signed in as boss, administrator>"
    )
    assert PASSWORD not in repr(vars(portal))


def test_enterprise_names_its_servers_itself() -> None:
    """An Enterprise portal is recognized, and its federated servers are its own hosts."""
    with Sandbox(small_organization("enterprise"), Settings()) as sandbox:
        portal = sign_in(sandbox)
        assert not portal.is_online
        assert portal.owns(sandbox.url)
        assert paths(sandbox, "/portals/self/servers") == 1


@pytest.mark.parametrize("mode", ["online", "enterprise"])
@pytest.mark.parametrize(
    "answer", [{"error": {"code": 403, "message": "No"}}, {"error": {"code": 500, "message": "Trouble"}}, {"x": 1}]
)
def test_a_portal_that_does_not_name_its_hosts(mode: str, answer: object) -> None:
    """Where the portal does not say which hosts are its own, the sign-in succeeds and this is known to be unknown."""
    with Sandbox(small_organization(mode), Settings()) as sandbox:
        assert sign_in(sandbox).knows_own_hosts
        sandbox.faults.add(Fault("/portals/self/(urls|servers)$", body=answer))
        portal = sign_in(sandbox)
        assert not portal.knows_own_hosts
        assert portal.owns(sandbox.url)
        assert not portal.owns("https://services1.arcgis.com/x/arcgis/rest/services/y/FeatureServer")


@pytest.mark.parametrize("ending", ["/", "//", "/home/index.html", "/sharing/rest", "/sharing/rest/", "/home/?x=1#y"])
def test_addresses_as_people_copy_them(sandbox: Sandbox, ending: str) -> None:
    """An address out of the browser's address bar is good enough."""
    assert sign_in(sandbox, url=sandbox.url + ending).url == sandbox.url


def test_a_forgotten_context_is_found(sandbox: Sandbox) -> None:
    """The `/portal` of an Enterprise portal may be left out."""
    assert sign_in(sandbox, url=sandbox.url.removesuffix("/portal")).url == sandbox.url
    assert sign_in(sandbox, url=sandbox.url.removeprefix("https://")).url == sandbox.url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://gis.example.com/portal", "Use https://"),
        ("ftp://gis.example.com", "not an address of a portal"),
        ("https://", "not an address of a portal"),
        ("https://gis.example.com:port/portal", "not an address of a portal"),
    ],
)
def test_a_bad_address_is_said_before_anything_is_sent(url: str, words: str) -> None:
    """An address that cannot be a portal's ends with exit code 2."""
    with pytest.raises(UsageError, match=words) as caught:
        connect(url, username="boss", password=PASSWORD)
    assert caught.value.exit_code == 2


def test_an_address_that_is_no_portal(sandbox: Sandbox) -> None:
    """Where something answers that is not a portal, the message says where was looked, and no password is sent."""
    sandbox.faults.add(Fault("/elsewhere/", body="<!DOCTYPE html><html>Welcome</html>"))
    with pytest.raises(UsageError, match="There is no portal at") as caught:
        sign_in(sandbox, url=sandbox.url.replace("/portal", "/elsewhere"))
    assert "/elsewhere/sharing/rest" in str(caught.value)
    assert paths(sandbox, "/generateToken") == 0


@pytest.mark.parametrize("body", ["<html>Back soon</html>", ""], ids=["web page", "nothing"])
def test_one_strange_answer_is_no_wrong_address(sandbox: Sandbox, body: str) -> None:
    """A page that a proxy put before the portal once is asked past."""
    sandbox.faults.add(Fault("/rest/info$", body=body, times=2))
    assert sign_in(sandbox).username == sandbox.username


def test_a_wrong_password_is_sent_once(sandbox: Sandbox) -> None:
    """A refused password ends with exit code 2 and is not tried again: accounts are locked after a few."""
    with pytest.raises(SignInError, match="refuses to sign 'boss' in: Unable to generate token") as caught:
        sign_in(sandbox, password="wrong secret")
    assert caught.value.exit_code == 2
    assert paths(sandbox, "/generateToken") == 1
    assert "wrong secret" not in str(caught.value)


def test_a_locked_account(sandbox: Sandbox) -> None:
    """An account that is locked is said to be locked."""
    sandbox.settings.lockout_attempts = 1
    with pytest.raises(SignInError):
        sign_in(sandbox, password="wrong secret")
    with pytest.raises(SignInError, match="is locked"):
        sign_in(sandbox)


def test_a_disabled_account(sandbox: Sandbox) -> None:
    """A disabled account is refused like a wrong password; the message names the possibility."""
    sandbox.org.users["ann"].disabled = True
    with pytest.raises(SignInError, match="not disabled"):
        sign_in(sandbox, username="ann")
    assert paths(sandbox, "/generateToken") == 1


def test_a_second_factor_needs_a_person(sandbox: Sandbox) -> None:
    """Where a second factor is due, nobody is asked on stdin: the error says what to use instead."""
    sandbox.org.users["ann"].mfa = True
    with pytest.raises(SecondFactorNeeded, match="without a second factor") as caught:
        sign_in(sandbox, username="ann")
    assert caught.value.exit_code == 2


def test_a_missing_password_is_not_asked_for() -> None:
    """A user name alone ends with a sentence, not with a prompt."""
    with pytest.raises(UsageError, match="no password for 'boss'"):
        connect("https://gis.example.com/portal", username="boss")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "Which portal"),
        ({"url": "https://gis.example.com"}, "nothing to sign in with"),
        ({"url": "https://gis.example.com", "client_id": "app"}, "one of them is missing"),
    ],
)
def test_missing_arguments(arguments: dict[str, str], words: str) -> None:
    """What is missing is said before anything is sent."""
    with pytest.raises(UsageError, match=words):
        connect(**arguments)  # type: ignore[arg-type]


def test_an_unreachable_host() -> None:
    """Where nothing listens, the exit code is 5, after as many attempts as asked for."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        waits: list[float] = []
        with pytest.raises(Unreachable, match="cannot be reached") as caught:
            connect(
                f"https://127.0.0.1:{taken.getsockname()[1]}",
                username="boss",
                password=PASSWORD,
                attempts=2,
                sleep=waits.append,
            )
    assert caught.value.exit_code == 5
    assert len(waits) == 1


def test_an_untrusted_certificate(sandbox: Sandbox) -> None:
    """A certificate that nobody vouches for ends with exit code 5 and the way to name a CA; no password is sent."""
    with pytest.raises(Unreachable, match="ca_bundle") as caught:
        sign_in(sandbox, ca_bundle=None)
    assert caught.value.exit_code == 5
    assert "not trusted (unable to get local issuer certificate). If" in str(caught.value)
    assert sandbox.log.entries == []


@pytest.mark.parametrize("variable", ["AGOLKIT_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_the_ca_bundle_of_the_environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """A CA bundle named in the environment is trusted."""
    monkeypatch.setenv(variable, str(sandbox.ca_bundle))
    assert sign_in(sandbox, ca_bundle=None).username == "boss"


def test_a_ca_bundle_that_is_none(tmp_path: Path) -> None:
    """A CA bundle that is missing or is no certificate is a usage error that says what is wanted."""
    (tmp_path / "ca.pem").write_text("not a certificate")
    for path in (tmp_path / "missing.pem", tmp_path / "ca.pem"):
        with pytest.raises(UsageError, match="PEM"):
            connect("https://gis.example.com", username="boss", password=PASSWORD, ca_bundle=path)


def test_a_portal_out_of_service(sandbox: Sandbox) -> None:
    """A portal that answers 503 to everything ends with exit code 5."""
    sandbox.faults.add(Fault("/sharing/rest/info", status=503))
    with pytest.raises(Unreachable, match="out of service") as caught:
        sign_in(sandbox)
    assert caught.value.exit_code == 5
    assert len(sandbox.log.entries) == 3


def test_a_hiccup_at_sign_in_is_tried_again(sandbox: Sandbox) -> None:
    """Where the server says that it is in trouble, it has not judged the password: the sign-in is tried again."""
    sandbox.faults.add(Fault("/generateToken", status=503, times=1))
    assert sign_in(sandbox).username == "boss"
    assert paths(sandbox, "/generateToken") == 2


def test_a_given_token(sandbox: Sandbox) -> None:
    """A token is enough; it cannot be renewed, and `check` says so."""
    token = sandbox.new_token("boss")
    portal = connect(sandbox.url, token=token, ca_bundle=sandbox.ca_bundle)
    assert portal.username == "boss"
    assert any("cannot be renewed" in finding.text for finding in portal.check() if not finding.ok)


def test_a_given_token_that_is_no_good(sandbox: Sandbox) -> None:
    """A token that the portal does not know ends with exit code 2, and is not in the message."""
    with pytest.raises(SignInError, match="rejects the token") as caught:
        connect(sandbox.url, token="stale-token", ca_bundle=sandbox.ca_bundle)
    assert "stale-token" not in str(caught.value)


def test_a_given_token_that_ends_in_the_middle(sandbox: Sandbox) -> None:
    """When a given token is rejected later, the error says that it cannot be renewed and what to do."""
    token = sandbox.new_token("boss")
    portal = connect(sandbox.url, token=token, ca_bundle=sandbox.ca_bundle)
    sandbox.faults.add(Fault("/content/", body={"error": {"code": 498, "message": "Invalid token.", "details": []}}))
    with pytest.raises(TokenRejected, match="get a new one"):
        portal.content("boss")


def test_an_application(sandbox: Sandbox) -> None:
    """An application signs in with one token request and keeps its token."""
    portal = connect(
        sandbox.url,
        client_id=sandbox.client_id,
        client_secret=sandbox.client_secret,
        ca_bundle=sandbox.ca_bundle,
    )
    assert "an application of boss" in repr(portal)
    portal.content("boss")
    portal.content("ann")
    assert paths(sandbox, "/oauth2/token") == 1


def test_an_application_with_a_wrong_secret(sandbox: Sandbox) -> None:
    """A wrong client secret is refused in the portal's words."""
    with pytest.raises(SignInError, match="Invalid client_secret") as caught:
        connect(sandbox.url, client_id=sandbox.client_id, client_secret="guessed", ca_bundle=sandbox.ca_bundle)
    assert "guessed" not in str(caught.value)


def test_the_environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything can come from the environment; the password from a file with a line end."""
    (tmp_path / "password").write_text(PASSWORD + "\r\n")
    monkeypatch.setenv("AGOLKIT_URL", sandbox.url)
    monkeypatch.setenv("AGOLKIT_USERNAME", "ann")
    monkeypatch.setenv("AGOLKIT_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("AGOLKIT_CA_BUNDLE", str(sandbox.ca_bundle))
    assert connect().username == "ann"
    assert connect(username="ann").username == "ann"
    assert connect(username="bob", password=PASSWORD).username == "bob"


def test_arguments_win_over_the_environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password in the environment is used for its own user only."""
    monkeypatch.setenv("AGOLKIT_USERNAME", "ann")
    monkeypatch.setenv("AGOLKIT_PASSWORD", "another")
    assert sign_in(sandbox).username == "boss"
    with pytest.raises(UsageError, match="no password for 'bob'"):
        sign_in(sandbox, username="bob", password=None)


def test_the_token_of_the_environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """AGOLKIT_TOKEN is enough."""
    monkeypatch.setenv("AGOLKIT_TOKEN", sandbox.new_token("ann"))
    assert sign_in(sandbox, username=None, password=None).username == "ann"


def test_a_password_file_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A password file that cannot be read is named."""
    monkeypatch.setenv("AGOLKIT_USERNAME", "ann")
    monkeypatch.setenv("AGOLKIT_PASSWORD_FILE", str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="AGOLKIT_PASSWORD_FILE"):
        connect("https://gis.example.com")


class _Keyring(keyring.backend.KeyringBackend):
    """A keyring that knows one password."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        return PASSWORD if (service, username) == ("arcgis_python_api_profile_passwords", "nightly") else None

    def get_credential(self, service: str, username: str | None) -> keyring.credentials.Credential | None:
        password = self.get_password(service, username or "")
        return keyring.credentials.SimpleCredential(username or "", password) if password else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


def test_a_profile(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A profile that arcgis saved gives address, user, and the password out of the keyring."""
    before = keyring.get_keyring()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    saved = (
        f"[nightly]\nurl = {sandbox.url}\nusername = ann\ndate_modified = 2026-01-01\n[bare]\nurl = x\nusername = bob\n"
    )
    (tmp_path / ".arcgisprofile").write_text(saved)
    keyring.set_keyring(_Keyring())
    try:
        assert connect(profile="nightly", ca_bundle=sandbox.ca_bundle).username == "ann"
        assert (tmp_path / ".arcgisprofile").read_text() == saved
        with pytest.raises(UsageError, match="Did you mean 'nightly'"):
            connect(profile="nightlie")
        with pytest.raises(UsageError, match="no password in this system's keyring"):
            connect(profile="bare")
    finally:
        keyring.set_keyring(before)


class _LockedKeyring(_Keyring):
    """A keyring that waits for a person."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.opened.wait(10)
        return super().get_password(service, username)


def test_a_locked_keyring_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody may be there to unlock it: after its time the message says what to do."""
    before, locked = keyring.get_keyring(), _LockedKeyring()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr(sources, "KEYRING_TIMEOUT", 0.1)
    (tmp_path / ".arcgisprofile").write_text("[nightly]\nurl = https://gis.example.com\nusername = ann\n")
    keyring.set_keyring(locked)
    try:
        with pytest.raises(UsageError, match="may be locked"):
            connect(profile="nightly")
    finally:
        locked.opened.set()
        keyring.set_keyring(before)


def test_home_in_a_notebook(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In ArcGIS Notebooks `home` takes the notebook's own token, and certificates are checked all the same."""
    facts = {
        "privatePortalUrl": "https://internal.example/portal",
        "publicPortalUrl": sandbox.url,
        "referer": "https://notebooks.example",
        "token": sandbox.new_token("ann"),
        "expiration": 10080,
    }
    (tmp_path / "auth.json").write_text(json.dumps(facts))
    monkeypatch.setenv("NB_AUTH_FILE", str(tmp_path / "auth.json"))
    now = [0.0]
    portal = connect("home", ca_bundle=sandbox.ca_bundle, clock=lambda: now[0])
    assert portal.username == "ann"
    now[0] = 60 * 60
    finding = portal.check()[-1]
    assert not finding.ok
    assert "cannot be renewed, and it is good for 10,020 minutes" in finding.text


def test_home_takes_up_a_newer_token_of_the_notebook(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """When the token is rejected and the notebook has another one by then, that is used; else the sign-in is over."""
    facts = {"privatePortalUrl": sandbox.url, "publicPortalUrl": sandbox.url, "referer": "https://notebooks.example"}
    file = tmp_path / "auth.json"
    file.write_text(json.dumps(facts | {"token": sandbox.new_token("ann"), "expiration": 60}))
    monkeypatch.setenv("NB_AUTH_FILE", str(file))
    portal = connect("home", ca_bundle=sandbox.ca_bundle)
    sandbox.revoke_tokens()
    file.write_text(json.dumps(facts | {"token": sandbox.new_token("ann"), "expiration": 60}))
    assert portal.content("ann")
    sandbox.revoke_tokens()
    for _ in range(2):
        with pytest.raises(SignInError, match="cannot be renewed; get a new one"):
            portal.content("ann")


@pytest.mark.parametrize("url", ["home", "pro"])
def test_home_and_pro_elsewhere(url: str) -> None:
    """Outside of ArcGIS Notebooks and ArcGIS Pro, `home` and `pro` say where they work."""
    with pytest.raises(SignInError, match="ArcGIS"):
        connect(url)


def test_the_token_is_renewed_before_it_ends(sandbox: Sandbox) -> None:
    """A token is renewed by the clock, a little before it ends."""
    now = [0.0]
    portal = sign_in(sandbox, clock=lambda: now[0], expiration_minutes=100)
    now[0] = 94 * 60
    portal.content("boss")
    assert paths(sandbox, "/generateToken") == 1
    now[0] = 96 * 60
    portal.content("boss")
    portal.content("boss")
    assert paths(sandbox, "/generateToken") == 2


def test_many_threads_renew_an_old_token_once(sandbox: Sandbox) -> None:
    """When the token is about to end, one of sixteen threads signs in, the others wait, and none is rejected."""
    now = [0.0]
    portal = sign_in(sandbox, clock=lambda: now[0], expiration_minutes=100)
    now[0] = 96 * 60
    before = len(sandbox.log.entries)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(portal.content, ["boss"] * 48))
    assert paths(sandbox, "/generateToken") == 2
    assert all(entry.signed_in for entry in sandbox.log.entries[before:] if "/content/" in entry.path)


def test_a_refused_renewal_is_not_repeated(sandbox: Sandbox) -> None:
    """When the password was changed during a run, it is sent once more and then never again."""
    now = [0.0]
    portal = sign_in(sandbox, clock=lambda: now[0])
    sandbox.org.users["boss"].password = "changed"
    now[0] = 1e9
    for _ in range(3):
        with pytest.raises(SignInError):
            portal.content("boss")
    assert paths(sandbox, "/generateToken") == 2


def test_what_an_account_lacks_is_said(sandbox: Sandbox) -> None:
    """`check` names in plain words what an ordinary member cannot back up, and the privilege it lacks."""
    assert all(finding.ok for finding in sign_in(sandbox).check())
    findings = sign_in(sandbox, username="bob").check()
    assert "only its own items" in findings[0].text
    assert "portal:admin:viewItems" in findings[0].missing
    assert str(findings[0]).startswith("no ")


def test_arcgis_is_not_imported(sandbox: Sandbox) -> None:
    """Signing in and listing costs no import of arcgis or pandas."""
    program = (
        "import sys\nfrom agolkit.portal import connect\nimport agolkit.inventory\n"
        f"connect({sandbox.url!r}, username='boss', password={PASSWORD!r}, ca_bundle={str(sandbox.ca_bundle)!r})\n"
        "print([name for name in ('arcgis', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_refusal_is_one_of_ours(sandbox: Sandbox) -> None:
    """Whatever the portal answers to the sign-in, the caller sees an error of agolkit."""
    for body in ([], "", "nonsense", {"token": 7}, {"error": None}, {"error": {"code": "x"}}, {}):
        sandbox.faults.clear()
        sandbox.faults.add(Fault("/generateToken", body=body))
        with pytest.raises(AgolkitError):
            sign_in(sandbox)
