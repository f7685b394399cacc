"""The command line: quick to answer, exact in its exit codes, readable by people and by machines."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from listeners import web_server
from saved import STARTED, save_sample

import agolkit as ak
from agolkit.all_items import COLUMNS
from agolkit.cli import main
from agolkit.practice import open_sandbox
from agolkit.sandbox import Sandbox, city

RUN = [sys.executable, "-c", "from agolkit.cli import main; main()"]


@pytest.fixture
def town(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """The practice portal, with the environment set to sign in to it."""
    with Sandbox(city.springfield()) as sandbox:
        for name, value in sign_in(sandbox).items():
            monkeypatch.setenv(name, value)
        yield sandbox


@pytest.fixture
def agolkit(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process: `(exit code, stdout, stderr)`."""

    def run(*args: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out, said.err

    return run


@pytest.fixture(autouse=True)
def no_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sign-in of whoever runs the tests is used."""
    for name in [name for name in os.environ if name.startswith("AGOLKIT_")]:
        monkeypatch.delenv(name)


def sign_in(sandbox: Sandbox) -> dict[str, str]:
    return {
        "AGOLKIT_URL": sandbox.url,
        "AGOLKIT_USERNAME": sandbox.username,
        "AGOLKIT_PASSWORD": sandbox.password,
        "AGOLKIT_CA_BUNDLE": str(sandbox.ca_bundle),
    }


def test_help_answers_at_once() -> None:
    """`agolkit --help` answers in under half a second, because nothing heavy is imported for it."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([*RUN, "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    print(f"agolkit --help: {min(seconds):.2f} s")
    assert min(seconds) < 0.5


def test_the_command_line_imports_nothing_heavy() -> None:
    """Neither arcgis nor pandas nor the widgets nor the practice portal are imported before a command needs them."""
    code = "import sys, agolkit.cli; print([m for m in sys.argv[1].split() if m in sys.modules])"
    heavy = "arcgis pandas ipywidgets papermill pyogrio agolkit.sandbox requests"
    done = subprocess.run([sys.executable, "-c", code, heavy], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_help_shows_what_works(agolkit: Callable[..., tuple[int, str, str]]) -> None:
    """Every command is in the help, and each has a help of its own with `--json`."""
    names = ["demo", "backup", "notebooks", "check", "items", "plan", "list", "show", "verify", "fetch", "unlock"]
    names += [
        "sandbox",
        "compare",
        "history",
        "forget",
        "prune",
        "unpin",
        "notify",
        "bucket-policy",
        "zip",
        "copy",
        "repair",
        "thaw",
    ]
    code, said, _ = agolkit("--help")
    assert code == 0
    listed = [line.split()[0] for line in said.partition("Commands:")[2].splitlines() if line.strip()]
    assert sorted(listed) == sorted(names)
    for name in names:
        assert "--json" in agolkit(name, "--help")[1]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["frobnicate"], 2, "frobnicate"),
        (["list", "nowhere"], 10, "There is no store"),
        (["list", "nowhere", "--wide"], 2, "--wide"),
        (["check"], 2, "AGOLKIT_URL"),
        (["backup"], 2, "--store"),
        (["backup", "--store", "s", "-p", "folder", "[Parks]"], 2, "Did you mean 'folders'"),
        (["backup", "--store", "s", "-p", "folders", "Parks"], 2, "folders must be a list of texts"),
        (["backup", "--store", "s", "-p", "workers", "[1"], 2, "YAML"),
        (["backup", "--store", "s", "-p", "password", "x"], 2, "AGOLKIT_PASSWORD"),
        (["backup", "--store", "s", "-p", "interactive", "true"], 2, "interactive must be false"),
        (["backup", "--store", "s", "-p", "url", "https://me:pw@gis.example.com"], 2, "holds a secret"),
        (["backup", "--store", "s", "--parameters", "none.yaml"], 2, "none.yaml cannot be read"),
        (["items", "--url", "https://gis.example.com", "-p", "wrokers", "3"], 2, "Did you mean 'workers'"),
        (["fetch", "nowhere", "latest", "out"], 10, "There is no store"),
        (["unlock", "nowhere"], 10, "There is no store"),
        (["notify"], 2, "set AGOLKIT_MAIL_TO"),
        (["sandbox", "--port", "99999999"], 2, "--port"),
    ],
)
def test_bad_input_gets_a_sentence_and_its_exit_code(
    agolkit: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    code: int,
    said: str,
) -> None:
    """What is wrong is said in a sentence on stderr, nothing is started, and the exit code tells the class."""
    monkeypatch.chdir(tmp_path)
    ended, out, err = agolkit(*args)
    assert (ended, out) == (code, "")
    assert said in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_errors_are_json_where_json_is_asked_for(agolkit: Callable[..., tuple[int, str, str]]) -> None:
    """With `--json` an error is one JSON object on stderr, with its class, its sentence and its exit code."""
    _, _, err = agolkit("list", "nowhere", "--json")
    said = json.loads(err)
    assert (said["error"], said["exit_code"]) == ("NoSuchBackup", 10)
    assert "There is no store" in said["message"]
    assert json.loads(agolkit("list", "--json")[2])["exit_code"] == 2


def test_a_portal_that_is_not_there_is_exit_5(
    agolkit: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing listens, the exit code says that trying again later may help."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{closed.getsockname()[1]}/portal"
        monkeypatch.setenv("AGOLKIT_USERNAME", "nightly")
        monkeypatch.setenv("AGOLKIT_PASSWORD", "secret-word")
        code, _, err = agolkit("check", "--url", url)
    assert code == 5
    assert "secret-word" not in err


def test_check_items_and_plan_read_the_portal(
    agolkit: Callable[..., tuple[int, str, str]], town: Sandbox, tmp_path: Path
) -> None:
    """The three commands that only look sign in from the environment, and write nothing, here or there."""
    findings = json.loads(agolkit("check", "--json")[1])
    assert findings["username"] == town.username
    assert all(finding["ok"] for finding in findings["findings"][:2])
    assert town.org.name in agolkit("check")[1]

    listed = json.loads(agolkit("items", "--json", "-p", "types", "[Web Map]")[1])
    maps = {item.id for item in town.org.items.values() if item.type == "Web Map" and "no-backup" not in item.tags}
    assert {row["item_id"] for row in listed} == maps

    planned = json.loads(agolkit("plan", "--store", tmp_path / "store", "--json")[1])
    assert {row["item_id"] for row in planned} == set(town.org.items)
    assert town.log.writes() == []
    assert list(tmp_path.iterdir()) == []


def test_a_backup_that_was_stopped_says_why(agolkit: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """`list` and `show` name the reason in plain words, for people; for machines it is a column of `list`."""
    why = "The portal rejects the token. Get a new one."
    complete, _ = save_sample(ak.open_store(tmp_path))
    stopped, _ = save_sample(ak.open_store(tmp_path), started=STARTED.replace(day=24), state="stopped", stopped_by=why)
    listed = agolkit("list", tmp_path)[1]
    assert f"{stopped} ended before its time: {why}" in listed
    assert f"{complete} ended" not in listed
    rows = json.loads(agolkit("list", tmp_path, "--json")[1])
    assert [row["stopped_by"] for row in rows] == ["", why]
    assert (
        agolkit("show", tmp_path, stopped)[2].strip()
        == f"This backup ended before its time: {why} 0 items not reached."
    )
    assert agolkit("show", tmp_path, complete)[2] == ""


def test_a_backup_can_be_listed_shown_verified_and_fetched(
    agolkit: Callable[..., tuple[int, str, str]], town: Sandbox, tmp_path: Path
) -> None:
    """The commands that read a store say the same to people and to machines."""
    portal = ak.connect(town.url, username=town.username, password=town.password, ca_bundle=town.ca_bundle)
    store = tmp_path / "store"
    run = ak.backup(portal, ak.open_store(store), ak.BackupOptions(types=["PDF"]))

    assert [row["name"] for row in json.loads(agolkit("list", store, "--json")[1])] == [run.backup]
    assert run.backup in agolkit("list", store)[1]
    shown = json.loads(agolkit("show", store, "--json")[1])
    assert all(row["result"] in ("verified", "excluded") for row in shown)
    table = agolkit("show", store, run.backup)[1]
    assert all(row["item_id"] in table for row in shown)
    assert max(map(len, table.splitlines())) <= 160
    code, _, err = agolkit("list", store / "backups")
    assert code != 0
    assert f"Did you mean {store}?" in err
    code, said, _ = agolkit("verify", store, "--deep", "--json")
    assert (code, json.loads(said)["ok"]) == (0, True)

    chosen = next(row["item_id"] for row in shown if row["result"] == "verified")
    fetched = json.loads(agolkit("fetch", store, "latest", tmp_path / "out", "--item", chosen, "--json")[1])
    assert fetched["items"] == 1
    assert list((tmp_path / "out").rglob("*.pdf"))
    converted = json.loads(agolkit("fetch", store, "latest", tmp_path / "out.zip", "--as", "gpkg", "--json")[1])
    assert (converted["format"], converted["layers"]) == ("gpkg", 0)
    code, _, err = agolkit("fetch", store, "latest", tmp_path / "no", "--as", "shp")
    assert code == 2
    assert all(format in err for format in ("gdb", "gpkg", "parquet"))

    blob = next(path for path in (store / "blobs").rglob("*") if path.is_file())
    blob.chmod(0o600)
    blob.write_bytes(b"something else")
    assert agolkit("verify", store, "--deep")[0] == 4


@pytest.mark.usefixtures("town")
def test_what_machines_read_is_documented(
    agolkit: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `--json` each command prints one JSON value, with exactly the keys that the guide names."""
    monkeypatch.chdir(tmp_path)
    guide = (Path(__file__).parents[2] / "docs" / "schedule.md").read_text("utf-8")
    table = guide.partition("## Machine-readable output")[2].partition("\n## ")[0]
    rows = (line.split("|") for line in table.splitlines() if line.startswith("| `"))
    documented = {cells[1].strip(" `"): set(re.findall(r"`(\w+)`", cells[2])) for cells in rows}
    documented["show"] = set(COLUMNS)
    documented["prune"] = {"plan", "done"}
    with web_server() as listener:
        monkeypatch.setenv("AGOLKIT_PING_URL", f"{listener.url}/uuid")
        item = json.loads(agolkit("items", "-p", "types", "[PDF]", "--json")[1])[0]["item_id"]
        for command, *rest in (
            ["backup", "--store", "store", "-p", "types", "[PDF]"],
            ["check"],
            ["items"],
            ["plan", "--store", "store"],
            ["list", "store"],
            ["show", "store"],
            ["thaw", "store", "latest"],
            ["verify", "store"],
            ["fetch", "store", "latest", "out"],
            ["zip", "store"],
            ["copy", "store", "store2"],
            ["repair", "store"],
            ["unlock", "store"],
            ["unpin", "store"],
            ["prune", "store", "--keep-last", "1"],
            ["forget", "store", "--item", item],
            ["history", "store", item],
            ["notify"],
            ["bucket-policy", "s3://town-backup"],
        ):
            code, said, _ = agolkit(command, *rest, "--json")
            value = json.loads(said)
            for each in value if isinstance(value, list) else [value]:
                assert set(each) == documented[command], command
            assert code == 0
        assert [post.path for post in listener.posts] == ["/uuid/start", "/uuid/0", "/uuid/0"]


def test_a_run_that_cannot_begin_is_announced(
    agolkit: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing file, a portal that is not there: the webhook hears of it, and the exit code is that of the run."""
    monkeypatch.chdir(tmp_path)
    with web_server() as listener:
        monkeypatch.setenv("AGOLKIT_WEBHOOK_URL", f"{listener.url}/hook")
        assert agolkit("backup", "--store", "store", "--parameters", "none.yaml")[0] == 2
        body = json.loads(listener.posts.pop().content)
        assert (body["exit_code"], body["subject"]) == (2, "agolkit: no backup of the portal")
        assert "none.yaml cannot be read" in body["error"]
        listener.answers = [404]
        code, _, err = agolkit("backup", "--store", "store", "-p", "scope_name", "surveys", "-p", "workers", "none")
        assert (code, len(listener.posts)) == (2, 1)
        assert json.loads(listener.posts[0].content)["subject"] == "agolkit: no backup of the portal (surveys)"
        assert "The webhook could not be sent. 127.0.0.1 refuses it with 404." in err
        assert agolkit("backup", "--store", "store", "-p", "dry_run", "true")[0] == 2
        assert len(listener.posts) == 1


def test_wrong_notification_settings_are_said_before_the_run(
    agolkit: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that is impossible ends with exit code 2, and nothing is started."""
    monkeypatch.setenv("AGOLKIT_NOTIFY", "never")
    code, _, err = agolkit("backup", "--store", "store")
    assert (code, "AGOLKIT_NOTIFY must be one of" in err) == (2, True)


def test_a_title_cannot_steer_the_terminal(agolkit: Callable[..., tuple[int, str, str]], town: Sandbox) -> None:
    """Control characters of a title are not sent to the terminal."""
    item = next(item for item in town.org.items.values() if item.type == "PDF")
    item.title = "Plan \x1b[2J\x07"
    assert "\x1b" not in agolkit("items", "-p", "types", "[PDF]")[1]


def test_notebooks_are_copied_and_never_overwritten(
    agolkit: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """`agolkit notebooks` copies notebooks and examples; what is there already stays, unless `--force` is given."""
    code, said, _ = agolkit("notebooks", tmp_path / "mine", "--json")
    assert code == 0
    copied = [Path(path) for path in json.loads(said)]
    assert {"backup.ipynb", "compare.ipynb", "explore.ipynb", "nightly.yaml", "backup.sh"} <= {
        path.name for path in copied
    }
    edited = next(path for path in copied if path.name == "nightly.yaml")
    edited.write_text("mine")
    code, _, err = agolkit("notebooks", tmp_path / "mine")
    assert (code, edited.read_text()) == (2, "mine")
    assert "--force" in err
    assert agolkit("notebooks", tmp_path / "mine", "--force")[0] == 0
    assert edited.read_text() != "mine"
    assert os.name == "nt" or os.access(tmp_path / "mine" / "scheduled" / "backup.sh", os.X_OK)


def test_a_dry_run_shows_the_plan_and_leaves_nothing(
    agolkit: Callable[..., tuple[int, str, str]], town: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`backup -p dry_run true` prints what `plan` prints, and writes nothing, not even a temporary folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    command = ("backup", "--store", tmp_path / "store", "-p", "dry_run", "true")
    code, said, _ = agolkit(*command)
    assert code == 0
    assert said == agolkit("plan", "--store", tmp_path / "store")[1]
    assert {row["item_id"] for row in json.loads(agolkit(*command, "--json")[1])} == set(town.org.items)
    assert town.log.writes() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [1, 15, 50])
def test_the_sandbox_makes_up_any_number_of_items(count: int) -> None:
    """However few items are asked for, the owners, folders, groups and services fit."""
    with open_sandbox(count=count) as sandbox:
        assert len(sandbox.org.items) == count


def test_a_port_that_is_taken_is_said(agolkit: Callable[..., tuple[int, str, str]]) -> None:
    """Where another program listens, one sentence names the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = agolkit("sandbox", "--port", port)
    assert code == 2
    assert f"cannot use port {port}" in err


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals to send to a process")
def test_the_sandbox_runs_until_interrupted(stop: signal.Signals) -> None:
    """`agolkit sandbox` prints how to sign in, serves, and ends quietly when it is interrupted."""
    with subprocess.Popen([*RUN, "sandbox", "--json"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        portal = ak.connect(
            said["AGOLKIT_URL"],
            username=said["AGOLKIT_USERNAME"],
            password=said["AGOLKIT_PASSWORD"],
            ca_bundle=said["AGOLKIT_CA_BUNDLE"],
        )
        assert portal.is_admin
        process.send_signal(stop)
        assert process.wait(30) == 0


def test_without_the_extra_the_demo_says_what_to_install() -> None:
    """Where the practice portal's packages are missing, one sentence says how to install them."""
    code = "import sys; sys.modules['trustme'] = None; from agolkit.cli import main; main(['demo'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'agolkit[sandbox]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_demo_shows_everything(tmp_path: Path) -> None:
    """`agolkit demo` backs the practice portal up, shows the results, and says where everything lies."""
    done = subprocess.run([*RUN, "demo"], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    store = ak.open_store(tmp_path / "agolkit-demo", create=False)
    name = store.backups()["name"].item()
    folder = tmp_path / "agolkit-demo" / "backups" / name
    for path in (folder, folder / "AllItems.csv", folder / "backup.ipynb"):
        assert str(path) in done.stdout
        assert path.exists()
    org = city.springfield()
    assert set(ak.load_items(store, name)["item_id"]) == set(org.items)
    assert org.users[org.admin].password not in (folder / "backup.ipynb").read_text(encoding="utf-8") + done.stdout
    assert ak.verify(store, name, deep=True).ok
