"""Notification settings: from the environment, checked before anything starts, no secret in sight."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from agolkit.errors import UsageError
from agolkit.notify import NotifyOptions
from agolkit.notify.web import address_of_ping

DOCS = Path(__file__).parents[2]
MAIL = {"AGOLKIT_MAIL_TO": "a@x.org", "AGOLKIT_MAIL_FROM": "b@x.org", "AGOLKIT_SMTP_HOST": "mail"}


def test_nothing_is_set_by_default() -> None:
    """Without settings nobody is told anything, and variables of the sign-in are none of ours."""
    options = NotifyOptions.from_environment({"AGOLKIT_URL": "https://x", "AGOLKIT_PASSWORD": "p", "PATH": "/"})
    assert options == NotifyOptions()
    assert options.ways == ()


def test_everything_comes_from_the_environment(tmp_path: Path) -> None:
    """Each variable is named like its field; a secret may stand in a file, and the variable itself wins over it."""
    (tmp_path / "password").write_text("from the file\nnot this\n")
    (tmp_path / "url").write_text("https://hooks.example.org/file\n")
    options = NotifyOptions.from_environment(
        {
            **MAIL,
            "AGOLKIT_MAIL_TO": "a@x.org, Bob <b@x.org>,",
            "AGOLKIT_NOTIFY": "new",
            "AGOLKIT_SMTP_USERNAME": "me",
            "AGOLKIT_SMTP_PASSWORD_FILE": str(tmp_path / "password"),
            "AGOLKIT_SMTP_PORT": "2525",
            "AGOLKIT_WEBHOOK_URL_FILE": str(tmp_path / "url"),
            "AGOLKIT_WEBHOOK_URL": "https://hooks.example.org/variable",
            "AGOLKIT_PING_URL": "",
            "AGOLKIT_CA_BUNDLE": "/ca.pem",
        }
    )
    assert options == NotifyOptions(
        notify="new",
        mail_to=("a@x.org", "Bob <b@x.org>"),
        mail_from="b@x.org",
        smtp_host="mail",
        smtp_port=2525,
        smtp_username="me",
        smtp_password="from the file",
        webhook_url="https://hooks.example.org/variable",
        ca_bundle="/ca.pem",
    )
    assert options.ways == ("mail", "webhook")
    assert "from the file" not in repr(options)
    assert "hooks.example.org" not in repr(options)


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465), ("none", 25)])
def test_the_usual_port_is_taken(security: str, port: int) -> None:
    """Where no port is set, it is the one that is usual for the way of encryption."""
    assert NotifyOptions.from_environment({**MAIL, "AGOLKIT_SMTP_SECURITY": security}).port == port


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"AGOLKIT_NOTIFY": "sometimes"}, "AGOLKIT_NOTIFY must be one of always, trouble, new"),
        ({"AGOLKIT_WEBHOOK_FORMAT": "slack"}, "AGOLKIT_WEBHOOK_FORMAT must be one of json, teams"),
        ({"AGOLKIT_MAILTO": "a@x.org"}, "Did you mean AGOLKIT_MAIL_TO?"),
        ({"AGOLKIT_MAIL_TO": "a@x.org"}, "AGOLKIT_MAIL_FROM and AGOLKIT_SMTP_HOST"),
        ({**MAIL, "AGOLKIT_MAIL_TO": "nobody"}, "'nobody' is no mail address"),
        ({**MAIL, "AGOLKIT_MAIL_FROM": "a@x.org\r\nBcc: c@x.org"}, "is no mail address"),
        ({**MAIL, "AGOLKIT_SMTP_PORT": "smtp"}, "AGOLKIT_SMTP_PORT must be a number"),
        ({**MAIL, "AGOLKIT_SMTP_PORT": "70000"}, "from 1 to 65535"),
        ({**MAIL, "AGOLKIT_SMTP_USERNAME": "me"}, "one of them is missing"),
        (
            {
                **MAIL,
                "AGOLKIT_SMTP_USERNAME": "me",
                "AGOLKIT_SMTP_PASSWORD": "SECRET",
                "AGOLKIT_SMTP_SECURITY": "none",
            },
            "in the open",
        ),
        ({"AGOLKIT_SMTP_PASSWORD_FILE": "/no/where"}, "AGOLKIT_SMTP_PASSWORD_FILE"),
        ({"AGOLKIT_WEBHOOK_URL": "ftp://x/SECRET"}, "AGOLKIT_WEBHOOK_URL must be an address"),
        ({"AGOLKIT_WEBHOOK_URL": "file:///etc/SECRET"}, "AGOLKIT_WEBHOOK_URL must be an address"),
        ({"AGOLKIT_PING_URL": "hc-ping.com/SECRET"}, "AGOLKIT_PING_URL must be an address"),
        ({"AGOLKIT_PING_URL": "https://x/SECRET\nHost: y"}, "AGOLKIT_PING_URL must be an address"),
        ({"AGOLKIT_PING_URL": "https://x:port/SECRET"}, "AGOLKIT_PING_URL must be an address"),
        ({"AGOLKIT_WEBHOOK_URL": "https://me:SECRET@x/"}, "which agolkit does not send"),
    ],
)
def test_a_wrong_setting_is_said_without_its_secret(environ: dict[str, str], said: str) -> None:
    """What is misspelt, missing or impossible ends with a sentence that names the variable, never its secret."""
    with pytest.raises(UsageError, match=re.escape(said)) as wrong:
        NotifyOptions.from_environment(environ)
    assert "SECRET" not in str(wrong.value)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://hc-ping.com/uuid", "https://hc-ping.com/uuid/3"),
        ("https://hc-ping.com/uuid/", "https://hc-ping.com/uuid/3"),
        ("http://hc.local:8000/ping/key/nightly?create=1", "http://hc.local:8000/ping/key/nightly/3?create=1"),
    ],
)
def test_a_signal_is_added_to_the_path(url: str, told: str) -> None:
    """The exit code comes after the path of the check's address, before its query."""
    assert address_of_ping(url, "3") == told


@pytest.mark.parametrize("page", ["docs/schedule.md", "scheduled/environment.example"])
def test_the_guides_have_every_setting(page: str) -> None:
    """The guide and the example name every variable, and no other one."""
    text = (DOCS / page).read_text("utf-8")
    named = set(re.findall(r"AGOLKIT_(?:NOTIFY|WEBHOOK|PING|MAIL|SMTP)\w*", text))
    mine = {f"AGOLKIT_{each.name.upper()}" for each in fields(NotifyOptions)} - {"AGOLKIT_CA_BUNDLE"}
    assert {name.removesuffix("_FILE") for name in named} == mine
