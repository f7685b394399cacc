"""What may open something is planted everywhere, and then looked for in everything that a run leaves or says."""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_town import IDS, fault_town
from hand_built import PASSWORD, Memory
from portals import connect
from saved import files_below

import agolkit as ak
from agolkit.errors import AgolkitError, SignInError, Unreachable, UsageError
from agolkit.kinds.secrets import without_secrets
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome
from agolkit.progress import Narrator
from agolkit.report import show_report
from agolkit.sandbox import Fault, Sandbox
from agolkit.sandbox.organization import Bytes, Item
from agolkit.store import LocalStore

LISTED, HOOK, APP = "e" * 32, "d" * 32, "c" * 32
IN_URL, IN_USERINFO, IN_DATA, IN_TEXT = (f"planted-{each}-5d1f0a" for each in ("url", "user", "hook", "text"))
SIGNED, ECHOED, TYPED = (f"planted-{each}-5d1f0a" for each in ("signature", "echo", "typed"))
TOKEN = re.compile(rb"sandbox-[A-Za-z0-9_-]{40,}")
"""Whatever the practice portal gives out as a token."""
NEVER = [PASSWORD.encode(), SIGNED.encode(), ECHOED.encode(), TYPED.encode()]
"""What is nobody's data: it is nowhere, in no run."""
OF_ITEMS = {IN_URL.encode(), IN_USERINFO.encode(), IN_DATA.encode(), IN_TEXT.encode()}
"""What people wrote into their items: kept as it is, where the item itself is kept, and nowhere else."""
RUN = [sys.executable, "-c", "from agolkit.cli import main; main()"]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A town with addresses that hold a token or a password, a webhook in a map, and a connection with a secret."""
    org = fault_town()
    org.add(
        Item(
            LISTED, "ann", "Web Mapping Application", "Listed", url=f"https://me:{IN_USERINFO}@x.test/?token={IN_URL}"
        ),
        Item(HOOK, "ann", "Web Map", f"Hook {IN_TEXT}", data=Bytes(json.dumps({"webhook": IN_DATA}).encode())),
        Item(APP, "ann", "Application", "App", data=Bytes(json.dumps({"client_secret": ECHOED, "a": 1}).encode())),
    )
    with Sandbox(org) as sandbox:
        yield sandbox


def plain_files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, the packed ones with what is in them too."""
    found = files_below(folder)
    return {
        path: content + (gzip.decompress(content) if content.startswith(b"\x1f\x8b") else b"")
        for path, content in found.items()
    }


def assert_clean(what: str, content: bytes, *, also: set[bytes] = OF_ITEMS) -> None:
    for secret in [*NEVER, *also]:
        assert secret not in content, (what, secret)
    assert not TOKEN.search(content), what


def assert_clean_store(folder: Path, outcomes: dict[str, Outcome]) -> None:
    """In the files of a store there is no secret, but in those that hold items as they are, what people put there."""
    own = {part.blob.sha256 for id in (LISTED, HOOK) if id in outcomes for part in outcomes[id].parts}
    for path, content in plain_files(folder).items():
        name = path.rpartition("/")[2]
        holds_items = name.startswith("manifest.jsonl") or "/journal/" in path or any(each in path for each in own)
        in_tree = re.search(rf"~({LISTED}|{HOOK})/(item|data)\.json$", path) or f"~{HOOK}/" in path
        says_titles = name in ("AllItems.csv", "report.html", "SHA256SUMS", "log.jsonl") or "/log/" in path
        titles = {IN_TEXT.encode()} if says_titles else set()
        assert_clean(path, content, also=set() if holds_items or in_tree else OF_ITEMS - titles)


def foreign(sandbox: Sandbox, path: str) -> str:
    return sandbox.url.replace("127.0.0.1", "localhost").replace("/portal", path)


def dead() -> str:
    """An address at which nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"https://127.0.0.1:{free.getsockname()[1]}"


def outcomes_of(store: LocalStore, backup: str) -> dict[str, Outcome]:
    return {outcome.item.id: outcome for outcome in read_outcomes(store, backup)}


def everything_said(error: BaseException) -> str:
    """An error as a notebook or a log shows it, with those it came from."""
    return "".join([*traceback.format_exception(error), repr(error), str(error), str(getattr(error, "words", ""))])


def test_a_run_that_goes_well_writes_no_secret(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What people wrote into items is in these items' own files and lines, and in no list; ours is nowhere."""
    caplog.set_level(logging.DEBUG, "agolkit")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    store, said = LocalStore(tmp_path / "store"), list[str]()
    portal = connect(sandbox)
    options = ak.BackupOptions(scratch=str(scratch))
    summary = ak.backup(portal, store, options, progress=Narrator(said.append))
    outcomes = outcomes_of(store, summary.backup)
    assert_clean_store(tmp_path / "store", outcomes)
    item = files_below(tmp_path / "store" / "blobs")[_key(outcomes[LISTED], "item.json")]
    assert json.loads(item)["url"] == f"https://me:{IN_USERINFO}@x.test/?token={IN_URL}"
    assert IN_DATA.encode() in files_below(tmp_path / "store" / "blobs")[_key(outcomes[HOOK], "data.json")]
    frame = ak.load_items(store)
    assert frame.set_index("item_id").loc[LISTED, "url"] == "https://x.test/?token=…"
    seen = [*said, caplog.text, repr(portal), str(summary), repr(summary), json.dumps(summary.to_json()), repr(store)]
    seen += [repr(ak.verify(store, deep=True)), str(show_report(store, "latest").data)]
    seen += [
        repr(portal._session),
        str(vars(portal)),
        repr(portal.gis),
        frame.to_json(date_format="iso"),
        frame._repr_html_(),
    ]
    for each in seen:
        assert_clean("said", each.encode(errors="backslashreplace"), also=OF_ITEMS - {IN_TEXT.encode()})
    assert list(scratch.iterdir()) == []


def _key(outcome: Outcome, path: str) -> str:
    digest = next(part.blob.sha256 for part in outcome.parts if part.path == path)
    return f"{digest[:2]}/{digest}"


Answer = Callable[[Sandbox], Fault]
BAD_DAYS: dict[str, Answer] = {
    "a signed address that is refused": lambda sandbox: Fault(
        "/data$", status=302, body="", headers={"Location": foreign(sandbox, f"/objects/x?X-Amz-Signature={SIGNED}")}
    ),
    "a signed address where nobody is": lambda _: Fault(
        "/data$|/resources/|/attachments/", status=302, body="", headers={"Location": f"{dead()}/x?sig={SIGNED}&se=1"}
    ),
    "an address with a password": lambda _: Fault(
        "/data$|/groups$", status=302, body="", headers={"Location": f"http://me:{SIGNED}@x.test/?token={SIGNED}"}
    ),
    "an error that repeats what was sent": lambda _: Fault(
        "/data$|/resources$|FeatureServer/0$",
        body={"error": {"code": 400, "message": f"Invalid ?token={ECHOED}&f=json", "details": [f"password: {ECHOED}"]}},
    ),
    "a page that repeats what was sent": lambda _: Fault(
        "/data$|/relatedItems$", status=502, body=f"<html>Authorization: Bearer {ECHOED}, Cookie: agstoken={ECHOED}"
    ),
    "a job that fails with an address": lambda _: Fault(
        "/status$", body={"status": "failed", "statusMessage": f"Cannot read https://s.test/x?sig={ECHOED}"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("day", BAD_DAYS)
def test_a_run_that_goes_badly_says_no_secret(
    sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture, day: str
) -> None:
    """Whatever a server leads to or repeats, it is in no file, no message, no log line and no error."""
    caplog.set_level(logging.DEBUG, "agolkit")
    portal, store, said = connect(sandbox), LocalStore(tmp_path / "store"), list[str]()
    fault = sandbox.faults.add(BAD_DAYS[day](sandbox))
    seen = []
    try:
        options = ak.BackupOptions(attempts=1, export_timeout=1)
        summary = ak.backup(portal, store, options, progress=Narrator(said.append))
        seen = [str(summary), json.dumps(summary.to_json())]
    except AgolkitError as error:
        seen = [everything_said(error)]
    assert fault.struck
    for each in [*seen, *said, caplog.text]:
        assert_clean("said", each.encode(errors="backslashreplace"), also=OF_ITEMS - {IN_TEXT.encode()})
    outcomes = outcomes_of(store, "20") if store.backup_names() else {}
    assert_clean_store(tmp_path / "store", outcomes)


def test_an_address_that_was_redirected_to_is_not_in_a_traceback(sandbox: Sandbox) -> None:
    """The errors of the libraries below hold the whole address; what a notebook shows does not."""
    portal = connect(sandbox)
    sandbox.faults.add(BAD_DAYS["a signed address where nobody is"](sandbox))
    for ask in (
        lambda: portal.download(f"content/items/{IDS['file']}/data", Memory()),
        lambda: portal.get_json("x/data"),
    ):
        with pytest.raises(AgolkitError) as caught:
            ask()
        assert_clean("error", everything_said(caught.value).encode())


def test_an_error_that_holds_our_own_token_or_password(sandbox: Sandbox) -> None:
    """The very token and password that were sent are cut out of the server's words, however these are put."""
    portal = connect(sandbox)

    token = str(portal.gis._con.token)
    said = {"error": {"code": 400, "message": f"We do not like {token} nor {PASSWORD} nor {TYPED} at all"}}
    sandbox.faults.add(Fault("community/groups|generateToken|oauth2/token", body=said))
    with pytest.raises(AgolkitError) as caught:
        portal.get_json("community/groups", {"q": "x"})
    assert "We do not like … nor" in str(caught.value)
    errors: list[BaseException] = []
    for arguments in ({"username": "boss", "password": PASSWORD}, {"client_id": "app", "client_secret": TYPED}):
        with pytest.raises(SignInError) as refused:
            ak.connect(sandbox.url, ca_bundle=sandbox.ca_bundle, sleep=lambda _: None, **arguments)
        errors.append(refused.value)
    for error in errors:
        assert "We do not like" in str(error)
        assert "…" in str(error)
    assert token not in everything_said(caught.value)
    assert PASSWORD not in everything_said(errors[0])
    assert TYPED not in everything_said(errors[1])


@pytest.mark.parametrize(
    "url",
    [
        f"https://me:{TYPED}@127.0.0.1:1/portal",
        f"https://:{TYPED}@127.0.0.1:1/portal",
        f"http://me:{TYPED}@127.0.0.1:1/portal",
        f"http://127.0.0.1:1/portal?token={TYPED}",
        f"https://127.0.0.1:1/portal?token={TYPED}",
        f"https://127.0.0.1:1/portal#access_token={TYPED}",
        f"ftp://me:{TYPED}@127.0.0.1",
        f"https://me:{TYPED}@[::1",
        f"me:{TYPED}@127.0.0.1:1",
    ],
)
def test_an_address_that_holds_a_secret_is_not_repeated(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address with a password or a token in it is said without it, whatever is wrong with the address."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{TYPED}@127.0.0.1:1")
    with pytest.raises((UsageError, Unreachable)) as caught:
        ak.connect(url, username="boss", password=PASSWORD, attempts=1, sleep=lambda _: None)
    assert_clean("error", everything_said(caught.value).encode())


def test_a_proxy_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The password of a proxy that does not answer is not said."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{TYPED}@127.0.0.1:1")
    with pytest.raises(Unreachable) as caught:
        ak.connect("https://portal.test", username="boss", password=PASSWORD, attempts=1, sleep=lambda _: None)
    assert_clean("error", everything_said(caught.value).encode())


def test_an_own_address_is_said_without_its_query(sandbox: Sandbox) -> None:
    """An address that is not asked is named by its host and path alone."""
    portal = connect(sandbox)
    for address in (f"https://me:{TYPED}@x.test/a?token={TYPED}", f"https://x.test/{'a'}?sig={TYPED}"):
        with pytest.raises(AgolkitError, match=r"https://x.test/a is not on") as caught:
            portal.get_json(address)
        assert_clean("error", everything_said(caught.value).encode())


def run(sandbox: Sandbox, folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """The command line as a schedule starts it; its exit code, and all that it said."""
    signed = {
        "AGOLKIT_URL": sandbox.url,
        "AGOLKIT_USERNAME": sandbox.username,
        "AGOLKIT_PASSWORD": sandbox.password,
        "AGOLKIT_CA_BUNDLE": str(sandbox.ca_bundle),
        "TMPDIR": str(folder / "tmp"),
    }
    (folder / "tmp").mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AGOLKIT_")}
    done = subprocess.run(
        [*RUN, *arguments], capture_output=True, text=True, cwd=folder, env=kept | signed | environment, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_scheduled_run_keeps_no_secret(sandbox: Sandbox, tmp_path: Path) -> None:
    """The executed notebook, what is printed, `--json`, the store and what is left in the temporary folder."""
    sandbox.faults.add(BAD_DAYS["a signed address that is refused"](sandbox))
    code, said = run(sandbox, tmp_path, "backup", "--store", "store", "-p", "attempts", "1", "--json")
    assert code == 3
    assert_clean("said", said.encode(), also=OF_ITEMS - {IN_TEXT.encode()})
    store = LocalStore(tmp_path / "store")
    (notebook,) = (tmp_path / "store" / "backups").glob("*/backup.ipynb")
    assert_clean("notebook", notebook.read_bytes(), also=OF_ITEMS - {IN_TEXT.encode()})
    notebook.unlink()
    (name,) = store.backup_names()
    assert_clean_store(tmp_path / "store", outcomes_of(store, name))
    for path, content in plain_files(tmp_path / "tmp").items():
        assert_clean(path, content)


def test_a_scheduled_run_that_ends_at_once_says_no_secret(sandbox: Sandbox, tmp_path: Path) -> None:
    """A refused password ends with exit code 2, without the password; the failed notebook is not left behind."""
    code, said = run(sandbox, tmp_path, "backup", "--store", "store", "--json", AGOLKIT_PASSWORD=TYPED)
    assert code == 2
    assert_clean("said", said.encode())
    for path, content in plain_files(tmp_path).items():
        assert_clean(path, content)


@pytest.mark.parametrize("url", [f"https://me:{TYPED}@x.test", f"https://x.test/?token={TYPED}"])
def test_a_parameter_is_no_place_for_a_secret(sandbox: Sandbox, tmp_path: Path, url: str) -> None:
    """Parameters are saved in the notebook: an address that holds a secret is refused, without repeating it."""
    code, said = run(sandbox, tmp_path, "backup", "--store", "store", "-p", "url", url)
    assert (code, list(tmp_path.glob("store"))) == (2, [])
    assert "holds a secret" in said
    assert_clean("said", said.encode())


def test_documents_of_connections_lose_their_secrets() -> None:
    """A key that speaks of a secret is left out, wherever it stands; what was left out is named by its path."""
    withheld: list[str] = []
    kept = without_secrets(
        {"a": [{"password": TYPED, "user": "me"}], "url": f"https://me:{TYPED}@x?sig={TYPED}"}, "data", withheld
    )
    assert_clean("document", json.dumps(kept).encode())
    assert withheld == ["data.a[0].password", "data.url"]
    assert IDS["map"] not in json.dumps(kept)
