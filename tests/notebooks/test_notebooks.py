"""The shipped notebooks: their parameters, and that they run as people, papermill and other schedulers run them."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
import yaml

import agolkit as ak
from agolkit import schedule
from agolkit.errors import SignInError, Stopped, UsageError
from agolkit.sandbox import Sandbox
from agolkit.sandbox.organization import Bytes

NOTEBOOKS = schedule.shipped("notebooks")
EXAMPLES = schedule.shipped("scheduled")
MAPS = {"store": "store", "types": ["Web Map", "PDF"]}
RUN = [sys.executable, "-c", "from agolkit.cli import main; main()"]


def cell_tagged(notebook: nbformat.NotebookNode, tag: str) -> nbformat.NotebookNode:
    (cell,) = [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]
    return cell


def assigned(source: str) -> dict[str, Any]:
    """Names and values of a cell that only assigns literals."""
    values = {}
    for statement in ast.parse(source).body:
        assert isinstance(statement, ast.Assign)
        (target,) = statement.targets
        assert isinstance(target, ast.Name)
        values[target.id] = ast.literal_eval(statement.value)
    return values


def test_the_parameters_are_the_options() -> None:
    """The parameters cell has exactly url, profile, store, interactive and the options, with the same defaults."""
    cell = cell_tagged(nbformat.read(NOTEBOOKS / "backup.ipynb", as_version=4), "parameters")
    defaults = {each.name: getattr(ak.BackupOptions(), each.name) for each in fields(ak.BackupOptions)}
    own = {"url": "", "profile": "", "store": "backups", "interactive": True}
    assert assigned(cell.source) == own | defaults
    assert list(assigned(cell.source)) == list(own | defaults)


def test_the_guide_has_every_parameter() -> None:
    """The table in the guide names the notebook's parameters and their defaults, in the same order."""
    guide = Path(__file__).parents[2] / "docs" / "backup.md"
    rows = re.findall(r"^\| `(\w+)` \| `([^|]*)` \|", guide.read_text(encoding="utf-8"), re.MULTILINE)
    cell = cell_tagged(nbformat.read(NOTEBOOKS / "backup.ipynb", as_version=4), "parameters")
    assert [(name, ast.literal_eval(value)) for name, value in rows] == list(assigned(cell.source).items())


@pytest.mark.parametrize("name", ["backup.ipynb", "compare.ipynb", "explore.ipynb"])
def test_notebooks_are_thin_and_stripped(name: str) -> None:
    """At most eight code cells, no functions, no loops, no outputs, and an empty cell where parameters go."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) <= 8
    for cell in code:
        assert (cell.outputs, cell.execution_count) == ([], None)
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.FunctionDef | ast.Lambda | ast.For | ast.While)
    tags = [cell.metadata.get("tags", []) for cell in code]
    assert tags[:2] == [["parameters"], ["injected-parameters"]]
    assert code[1].source == ""


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_accepted(file: Path) -> None:
    """Every parameter file that is shipped holds only parameters of the notebook, with right types."""
    parameters = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert parameters
    schedule.check_parameters(NOTEBOOKS / "backup.ipynb", parameters)


@pytest.mark.slow
def test_a_scheduled_run_keeps_its_notebook_with_the_backup(signed_in: Sandbox) -> None:
    """The run reports its progress while it works, and leaves the executed notebook in the backup."""
    said: list[str] = []
    done = schedule.run({**MAPS, "label": "scheduled"}, say=said.append)
    assert done.exit_code == done.summary["exit_code"] == 0
    assert any("items listed" in line for line in said)
    assert said[-1].startswith(f"Backup {done.summary['backup']} is complete")
    store = ak.open_store("store")
    assert Path(done.notebook) == Path("store", "backups", done.summary["backup"], "backup.ipynb").absolute()
    executed = nbformat.read(done.notebook, as_version=4)
    assert assigned(cell_tagged(executed, "injected-parameters").source)["label"] == "scheduled"
    text = Path(done.notebook).read_text(encoding="utf-8")
    assert "widget" not in text
    assert signed_in.password not in text
    assert set(ak.load_items(store, "latest")["type"]) >= {"Web Map", "PDF"}
    assert ak.verify(store, "latest", deep=True).ok


@pytest.mark.slow
def test_a_dry_run_saves_nothing(signed_in: Sandbox) -> None:
    """With `dry_run` the executed notebook holds the plan, and neither store nor portal is changed."""
    done = schedule.run({**MAPS, "dry_run": True}, say=lambda _: None)
    assert (done.exit_code, done.summary["backup"]) == (0, "")
    assert "reason" in Path(done.notebook).read_text(encoding="utf-8")
    assert not Path("store").exists()
    assert signed_in.log.writes() == []


@pytest.mark.slow
def test_an_error_in_the_notebook_is_our_error(signed_in: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends the notebook is raised as the class that it had in there, with its sentence and no password."""
    monkeypatch.setenv("AGOLKIT_PASSWORD", "not-the-password")
    with pytest.raises(SignInError, match="refuses to sign") as failed:
        schedule.run(MAPS, say=lambda _: None)
    assert failed.value.exit_code == 2
    assert "not-the-password" not in str(failed.value)
    monkeypatch.setenv("AGOLKIT_PASSWORD", signed_in.password)
    with pytest.raises(UsageError, match="Web Maps"):
        schedule.run({"store": "store", "types": ["Web Maps"]}, say=lambda _: None)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals to send to a process")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_run_in_good_order(signed_in: Sandbox, stop: signal.Signals) -> None:
    """Ctrl+C and SIGTERM make a stopped backup with everything that was saved, and exit code 130."""
    signed_in.settings.latency = 0.1
    command = [*RUN, "backup", "--store", "store", "-p", "workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if re.match(r"\d+ of \d+ items", line):
                process.send_signal(stop)
                break
        rest = process.stdout.read()
        assert process.wait(60) == 130
    assert "is stopped" in rest
    backup = ak.open_store("store").backups().iloc[0]
    assert (backup["state"], backup["stopped"] > 0) == ("stopped", True)
    assert Path("store", "backups", backup["name"], "backup.ipynb").exists()


@pytest.mark.slow
def test_stopped_before_it_began_is_stopped(signed_in: Sandbox) -> None:
    """A stop while the portal is still being listed ends with `Stopped`, and no backup."""
    signed_in.settings.latency = 0.1

    def interrupt(line: str) -> None:
        if line.startswith("Listing"):
            threading.Timer(0, signal.raise_signal, [signal.SIGINT]).start()

    with pytest.raises(Stopped):
        schedule.run(MAPS, say=interrupt)
    assert len(ak.open_store("store").backups()) == 0


def into_injected_cell(notebook: nbformat.NotebookNode, source: str) -> None:
    """As papermill does it: the tagged cell is replaced."""
    cell_tagged(notebook, "injected-parameters").source = source


def as_arcgis_notebooks_does(notebook: nbformat.NotebookNode, source: str) -> None:
    """A new cell behind the one tagged `injected-parameters`; at the very top of a notebook that has none."""
    tagged = [at for at, cell in enumerate(notebook.cells) if "injected-parameters" in cell.metadata.get("tags", [])]
    notebook.cells.insert(tagged[0] + 1 if tagged else 0, nbformat.v4.new_code_cell(source))


def behind_parameters_cell(notebook: nbformat.NotebookNode, source: str) -> None:
    """As ArcGIS Enterprise's executeNotebook does it: a new cell follows the cell tagged `parameters`."""
    at = notebook.cells.index(cell_tagged(notebook, "parameters"))
    notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(source))


@pytest.mark.slow
@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize("inject", [into_injected_cell, as_arcgis_notebooks_does, behind_parameters_cell])
def test_every_scheduler_can_hand_parameters_in(inject: Callable[[nbformat.NotebookNode, str], None]) -> None:
    """Wherever a scheduler puts its cell, its values win over the defaults, and nothing is drawn."""
    notebook = nbformat.read(NOTEBOOKS / "backup.ipynb", as_version=4)
    inject(notebook, "interactive = False\nstore = 'injected'\ntypes = ['PDF']\nscope_name = 'scheduler'")
    nbformat.write(notebook, "task.ipynb")
    papermill.execute_notebook("task.ipynb", "executed.ipynb", kernel_name="python3", progress_bar=False)
    backup = ak.open_store("injected", create=False).backups().iloc[0]
    assert (backup["scope"], backup["state"]) == ("scheduler", "complete")
    assert not Path("backups").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("signed_in")
def test_nbmake_runs_all_notebooks() -> None:
    """They run from top to bottom as they are: one draws its form, the others a backup that is there."""
    portal = ak.connect()
    ak.backup(portal, ak.open_store("backups"), ak.BackupOptions(types=["Feature Service", "PDF"]))
    names = ["backup.ipynb", "compare.ipynb", "explore.ipynb"]
    for name in names:
        Path(name).write_bytes((NOTEBOOKS / name).read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbmake", "-q", "-p", "no:cacheprovider", *names],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 passed" in done.stdout, done.stdout


@pytest.mark.slow
def test_explore_under_papermill(signed_in: Sandbox) -> None:
    """The explore notebook shows a backup of any name, with plots and a drawn layer, without signing in."""
    run = ak.backup(ak.connect(), ak.open_store("elsewhere"), ak.BackupOptions(types=["Feature Service", "Web Map"]))
    signed_in.log.clear()
    parameters = {"store": "elsewhere", "backup": run.backup}
    executed = papermill.execute_notebook(
        NOTEBOOKS / "explore.ipynb", "executed.ipynb", parameters, kernel_name="python3", progress_bar=False
    )
    pictures = [o for cell in executed.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) == 2
    assert signed_in.log.entries == []


@pytest.mark.slow
def test_compare_under_papermill(signed_in: Sandbox) -> None:
    """Without more than the store it compares the two newest complete backups, and looks into the item that changed."""
    store, options = ak.open_store("elsewhere"), ak.BackupOptions(types=["Dashboard", "PDF"])
    ak.backup(ak.connect(), store, options)
    dashboard = next(each for each in signed_in.org.items.values() if each.title == "Snow operations")
    before = dashboard.data
    assert isinstance(before, Bytes)
    dashboard.data = Bytes(before.content.replace(b" (indicatorWidget)", b" <b>New</b>"))
    ak.backup(ak.connect(), store, options)
    dashboard.data = before
    signed_in.log.clear()
    executed = papermill.execute_notebook(
        NOTEBOOKS / "compare.ipynb", "executed.ipynb", {"store": "elsewhere"}, kernel_name="python3", progress_bar=False
    )
    shown = "".join(o["data"]["text/html"] for c in executed.cells for o in c.get("outputs", []) if "data" in o)
    assert dashboard.id in shown
    assert "widgets / " in shown
    assert "<b>New</b>" not in shown
    assert signed_in.log.entries == []


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="cron is not for Windows")
def test_the_cron_example_runs(signed_in: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`backup.sh` signs in from its environment file, is quiet when all is well, and hands the exit code on."""
    environment = {name: value for name, value in os.environ.items() if name.startswith("AGOLKIT_")}
    (tmp_path / "agolkit.env").write_text("".join(f"{name}='{value}'\n" for name, value in environment.items()))
    for name in environment:
        monkeypatch.delenv(name)
    command = tmp_path / "agolkit"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from agolkit.cli import main; main()" "$@"\n')
    command.chmod(0o755)
    (tmp_path / "nightly.yaml").write_text("types: [PDF]\n")
    monkeypatch.setenv("AGOLKIT", str(command))
    monkeypatch.setenv("AGOLKIT_ENVIRONMENT", str(tmp_path / "agolkit.env"))
    script = ["sh", str(EXAMPLES / "backup.sh")]
    good = subprocess.run([*script, "store", "nightly.yaml"], capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert signed_in.log.entries
    bad = subprocess.run([*script, "store", "missing.yaml"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert "missing.yaml cannot be read" in bad.stdout
