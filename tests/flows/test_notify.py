"""Telling people how a scheduled run ended: mail, webhook and ping, against real servers."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from listeners import PASSWORD, USERNAME, Mailbox, WebListener, mail_server, web_server
from saved import MAP, SERVICE, STARTED

from agolkit.model import Outcome, Result
from agolkit.news import News
from agolkit.notify import Notice, NotifyOptions, announced, ping, send, send_all, web
from agolkit.portal.session import trusted_by_system

SECRET = "T0SECRET/B0SECRET/xyzSECRET"


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(ca: trustme.CA, tmp_path: Path) -> str:
    """The CA's certificate as a file."""
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


@pytest.fixture
def mailbox(ca: trustme.CA) -> Iterator[Mailbox]:
    with mail_server(ca) as mailbox:
        yield mailbox


@pytest.fixture
def listener(ca: trustme.CA) -> Iterator[WebListener]:
    with web_server(ca) as listener:
        yield listener


def at_once(_seconds: float) -> None:
    """A wait that does not wait."""


def notice(**facts: Any) -> Notice:
    """A run with one new failure, whose title is not harmless."""
    failure = Outcome(MAP, Result.FAILED, STARTED, message="<script>alert(1)</script> & more")
    return Notice(
        **{
            "organization": "Springfield",
            "scope": "nightly",
            "store": "/srv/backups",
            "exit_code": 3,
            "news": News(compared_with="2026-11-22T020000Z", failures=(failure,)),
            **facts,
        }
    )


def by_mail(mailbox: Mailbox, bundle: str, **changed: Any) -> NotifyOptions:
    """Settings to send to this mailbox."""
    values = {
        "mail_to": ("ann@example.org", "Bob <bob@example.org>"),
        "mail_from": "agolkit <backup@example.org>",
        "smtp_host": "127.0.0.1",
        "smtp_port": mailbox.port,
        "smtp_username": USERNAME,
        "smtp_password": PASSWORD,
        "ca_bundle": bundle,
    }
    return NotifyOptions(**{**values, **changed})


def test_a_mail_arrives_with_text_and_html(mailbox: Mailbox, bundle: str) -> None:
    """Over STARTTLS and with a sign-in, both recipients get one mail; a title is text in it, and no HTML."""
    assert send(notice(), by_mail(mailbox, bundle)) == []
    (mail,) = mailbox.mails
    assert mailbox.recipients == ["ann@example.org", "bob@example.org"]
    assert mail["Subject"] == "agolkit: 1 new failure in Springfield (nightly)"
    assert (mail["From"], mail["Auto-Submitted"]) == ("agolkit <backup@example.org>", "auto-generated")
    text, html = (mail.get_body([kind]).get_content() for kind in ("plain", "html"))  # type: ignore[union-attr]
    assert text.splitlines()[0] == "1 new failure since 2026-11-22T020000Z"
    assert text.splitlines()[1].startswith("  failed: =HYPERLINK")
    assert "🌊" in text
    assert "<script>alert" in text
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in html


@pytest.mark.parametrize(("security", "auth"), [("tls", True), ("none", False)])
def test_mail_servers_of_the_other_kinds(ca: trustme.CA, bundle: str, security: str, auth: bool) -> None:
    """A server that is encrypted from the first byte, and one of one's own network that wants nothing, take it too."""
    with mail_server(ca, security=security, auth=auth) as mailbox:
        signed = {} if auth else {"smtp_username": "", "smtp_password": ""}
        assert send(notice(), by_mail(mailbox, bundle, smtp_security=security, **signed)) == []
        assert (len(mailbox.mails), mailbox.signed_in) == (1, auth)


def test_a_mail_server_that_is_busy_is_asked_again(mailbox: Mailbox, bundle: str) -> None:
    """After 4xx the mail is sent again, three times at most; after 5xx it is not."""
    options = by_mail(mailbox, bundle)
    mailbox.answers = ["451 4.3.0 later"]
    assert send(notice(), options, sleep=at_once) == []
    assert (mailbox.tried, len(mailbox.mails)) == (2, 1)
    mailbox.answers = ["451 4.3.0 later"] * 4
    assert "refuses the mail with 451" in send(notice(), options, sleep=at_once)[0]
    assert mailbox.tried == 5
    mailbox.answers = ["554 5.7.1 no"]
    assert "refuses the mail with 554" in send(notice(), options, sleep=at_once)[0]
    assert mailbox.tried == 6


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"smtp_password": "not it"}, "refuses to sign 'nightly@example.org' in (535)"),
        ({"ca_bundle": ""}, "certificate of 127.0.0.1 is not trusted"),
        ({"mail_to": ("nobody@example.org",)}, "refuses the recipients nobody@example.org (550)"),
        ({"mail_to": ("nobody@example.org", "ann@example.org")}, "but not for nobody@example.org"),
        ({"smtp_security": "tls"}, "cannot be reached"),
    ],
)
def test_what_a_mail_server_refuses_is_said(mailbox: Mailbox, bundle: str, changed: dict[str, Any], said: str) -> None:
    """A wrong password, a certificate, a recipient: one sentence says which, and no secret."""
    (trouble,) = send(notice(), by_mail(mailbox, bundle, **changed), sleep=at_once)
    assert said in trouble
    assert PASSWORD not in trouble
    assert "not it" not in trouble


def test_a_password_is_never_sent_in_the_open(ca: trustme.CA, bundle: str) -> None:
    """A server that offers no STARTTLS gets neither password nor mail."""
    with mail_server(ca, security="none", auth=False) as mailbox:
        (trouble,) = send(notice(), by_mail(mailbox, bundle), sleep=at_once)
        assert "offers no encryption" in trouble
        assert mailbox.tried == 0


def test_the_webhook_gets_json(listener: WebListener, bundle: str) -> None:
    """The body leads with `text`, in which no title can call anybody; the fields below hold the exact words."""
    options = NotifyOptions(webhook_url=f"{listener.url}/{SECRET}", ca_bundle=bundle)
    assert send(notice(), options) == []
    (post,) = listener.posts
    assert (post.path, post.content_type) == (f"/{SECRET}", "application/json")
    body = json.loads(post.content)
    assert next(iter(body)) == "text"
    assert body["text"].startswith("agolkit: 1 new failure in Springfield (nightly)\n\n1 new failure since")
    assert not {"<", ">"} & set(body["text"])
    assert body["news"]["failures"][0]["message"] == "<script>alert(1)</script> & more"
    assert body["news"]["counts"] == {
        "failures": 1,
        "known": 0,
        "vanished": 0,
        "recovered": 0,
        "accepted": 0,
        "added": 0,
    }


def test_teams_gets_a_card(listener: WebListener, bundle: str) -> None:
    """With the format `teams` the body is an Adaptive Card, whose texts have no markup."""
    options = NotifyOptions(webhook_url=listener.url, webhook_format="teams", ca_bundle=bundle)
    assert send(notice(), options) == []
    (attachment,) = json.loads(listener.posts[0].content)["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    blocks = attachment["content"]["body"]
    assert {block["type"] for block in blocks} == {"RichTextBlock"}
    assert blocks[0]["inlines"][0]["text"] == notice().subject


@pytest.mark.parametrize(
    ("answers", "posts", "said"),
    [
        ([503, 429], 3, ""),
        ([500, 500, 500, 500], 3, "127.0.0.1 answers 500."),
        ([404], 1, "127.0.0.1 refuses it with 404. Is the address still right?"),
        ([302], 1, "127.0.0.1 refuses it with 302. Is the address still right?"),
        ([400], 1, "127.0.0.1 refuses it with 400."),
    ],
)
def test_a_webhook_is_tried_three_times_where_that_may_help(
    listener: WebListener, bundle: str, answers: list[int], posts: int, said: str
) -> None:
    """Trouble of the server is tried again, a refusal is not, and a redirect is not followed."""
    listener.answers = answers
    options = NotifyOptions(webhook_url=f"{listener.url}/{SECRET}", ca_bundle=bundle)
    assert send(notice(), options, sleep=at_once) == ([f"The webhook could not be sent. {said}"] if said else [])
    assert len(listener.posts) == posts


def test_a_silent_or_missing_server_does_not_hold_the_run(
    listener: WebListener, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is answered, or nobody listens, each attempt ends with its time-out."""
    monkeypatch.setattr(web, "TIMEOUT", 0.1)
    listener.silence = threading.Event()
    options = NotifyOptions(webhook_url=f"{listener.url}/{SECRET}", ca_bundle=bundle)
    assert send(notice(), options, sleep=at_once) == [
        "The webhook could not be sent. 127.0.0.1 cannot be reached (TimeoutError)."
    ]
    assert len(listener.posts) == 3
    listener.silence.set()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        options = NotifyOptions(
            webhook_url=f"http://127.0.0.1:{closed.getsockname()[1]}/{SECRET}",
            mail_to=("ann@example.org",),
            mail_from="backup@example.org",
            smtp_host="127.0.0.1",
            smtp_port=closed.getsockname()[1],
        )
        troubles = send(notice(), options, sleep=at_once)
    assert len(troubles) == 2
    assert all("cannot be reached" in trouble for trouble in troubles)


def test_no_secret_leaves_by_logs_or_errors(
    listener: WebListener, bundle: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """At the most talkative level, with every way failing, neither address nor password is printed, logged or said."""
    caplog.set_level(logging.DEBUG)
    listener.answers = [500, 404, 500, 500, 500]
    options = NotifyOptions(
        notify="always",
        webhook_url=f"{listener.url}/{SECRET}",
        ping_url=f"{listener.url}/{SECRET}",
        mail_to=("ann@example.org",),
        mail_from="backup@example.org",
        smtp_host="127.0.0.1",
        smtp_port=1,
        smtp_username=USERNAME,
        smtp_password=PASSWORD,
        ca_bundle=bundle,
    )
    troubles = send(notice(), options, sleep=at_once) + ping(options, "start", sleep=at_once)
    assert len(troubles) == 3
    printed = capfd.readouterr()
    everything = "\n".join([*troubles, caplog.text, printed.out, printed.err, repr(options)])
    assert "SECRET" not in everything
    assert PASSWORD not in everything


def test_the_check_is_told_of_every_run(listener: WebListener, bundle: str) -> None:
    """A run that is no trouble is pinged all the same, with its exit code; a `start` comes before it."""
    options = NotifyOptions(ping_url=f"{listener.url}/uuid/?rid=7", webhook_url=listener.url, ca_bundle=bundle)
    fine = notice(exit_code=0, news=News())
    assert ping(options, "start") + send(fine, options) + send(notice(), options) == []
    assert [post.path for post in listener.posts] == ["/uuid/start?rid=7", "/uuid/0?rid=7", "/", "/uuid/3?rid=7"]
    assert listener.posts[1].content.decode().startswith("agolkit: Springfield (nightly) is backed up\n")


GONE = (Outcome(SERVICE, Result.VERIFIED, STARTED),)


@pytest.mark.parametrize(
    ("facts", "always", "trouble", "new"),
    [
        ({"exit_code": 0, "news": News()}, True, False, False),
        ({"exit_code": 3, "news": News(known=GONE)}, True, True, False),
        ({"exit_code": 3, "news": News(failures=GONE)}, True, True, True),
        ({"exit_code": 0, "news": News(vanished=GONE)}, True, True, True),
        ({"exit_code": 0, "news": News(recovered=GONE)}, True, False, True),
        ({"exit_code": 0, "news": News(added=3)}, True, False, False),
        ({"exit_code": 5, "news": News(), "error": "It cannot be reached."}, True, True, True),
    ],
)
def test_when_a_notice_is_sent(
    listener: WebListener, bundle: str, facts: dict[str, Any], always: bool, trouble: bool, new: bool
) -> None:
    """`always`, at `trouble` or only where something is `new`: what each of them means."""
    sent = []
    for notify in ("always", "trouble", "new"):
        listener.posts.clear()
        send(notice(**facts), NotifyOptions(notify=notify, webhook_url=listener.url, ca_bundle=bundle))  # type: ignore[arg-type]
        sent.append(len(listener.posts) == 1)
    assert sent == [always, trouble, new]


def test_a_test_is_sent_by_every_way(listener: WebListener, mailbox: Mailbox, bundle: str) -> None:
    """`send_all` asks nothing: whoever tries the settings gets a mail and a post that say that it is a test."""
    options = by_mail(mailbox, bundle, notify="new", webhook_url=listener.url)
    assert send_all(Notice(exit_code=0, is_test=True), options) == []
    assert mailbox.mails[0]["Subject"] == "agolkit: a test of the notifications"
    assert "This is a test" in json.loads(listener.posts[0].content)["text"]


def test_an_error_of_ours_is_announced_and_raised(listener: WebListener, bundle: str) -> None:
    """What ends a run is announced with its sentence; what is not ours, by its name alone. Both go on upwards."""
    options = NotifyOptions(webhook_url=listener.url, ca_bundle=bundle)
    for error in (ValueError("row 7: a secret"), OSError("a secret")):
        with pytest.raises(type(error)), announced(options, say=print):
            raise error
    bodies = [json.loads(post.content) for post in listener.posts]
    assert [body["error"] for body in bodies] == ["Unexpected error (ValueError).", "Unexpected error (OSError)."]
    assert {body["exit_code"] for body in bodies} == {1}
    assert {body["subject"] for body in bodies} == {"agolkit: no backup of the portal"}


def test_the_system_s_trust_is_enough(listener: WebListener, bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates are checked as they are for the portal: against the system's store, or the bundle that is set."""
    assert "not trusted" in send(notice(), NotifyOptions(webhook_url=listener.url), sleep=at_once)[0]
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    assert send(notice(), NotifyOptions(webhook_url=listener.url)) == []
    assert trusted_by_system().check_hostname
