"""The command line. It answers at once: what takes seconds to import is imported by the command that needs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

import click
import yaml

import agolkit as ak
from agolkit import console
from agolkit.errors import AgolkitError, UsageError
from agolkit.options import BackupOptions
from agolkit.practice import environment_for, open_sandbox
from agolkit.progress import cancel_on_interrupt

if TYPE_CHECKING:
    from agolkit.portal import Portal

F = TypeVar("F", bound=Callable[..., Any])

PARTIAL = 3
STOPPED = 130


def main(args: Sequence[str] | None = None) -> NoReturn:
    """End the process with an exit code: 0, or that of the error, which is said in one sentence."""
    given = list(sys.argv[1:] if args is None else args)
    for stream in (sys.stdout, sys.stderr):  # a title in any script must not end a run on an old console
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        code = commands.main(given, prog_name="agolkit", standalone_mode=False)
    except click.ClickException as error:
        _fail("UsageError", error.format_message(), error.exit_code, given)
    except AgolkitError as error:
        _fail(type(error).__name__, str(error), error.exit_code, given)
    except (click.Abort, KeyboardInterrupt):
        _fail("Stopped", "Stopped by the user.", STOPPED, given)
    sys.exit(code or 0)


def _fail(kind: str, message: str, code: int, given: Sequence[str]) -> NoReturn:
    said = {"error": kind, "message": message, "exit_code": code}
    click.echo(json.dumps(said) if "--json" in given else f"agolkit: {console.plain(message)}", err=True)
    sys.exit(code)


def _with_json(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")(command)


def _with_portal(command: F) -> F:
    url = click.option("--url", help="Address of the portal; else AGOLKIT_URL.")
    profile = click.option("--profile", help="A profile with a saved sign-in; else AGOLKIT_* of the environment.")
    return url(profile(command))


def _with_parameters(command: F) -> F:
    file = click.option("--parameters", "file", type=click.Path(path_type=Path), help="YAML file of parameters.")
    pairs = click.option("-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE", help="One parameter, as YAML.")
    return file(pairs(command))


def _parameters(file: Path | None, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The parameters of a file, and those named one by one, which win."""
    parameters: dict[str, Any] = {}
    try:
        if file is not None:
            content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
            if not isinstance(content, dict):
                raise UsageError(f"{file} must hold lines of the form `name: value`.")
            parameters.update(content)
        for name, value in pairs:
            parameters[name] = yaml.safe_load(value)
    except OSError as error:
        raise UsageError(f"The parameters file {file} cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"The parameters are not valid YAML: {error}") from error
    return parameters


def _portal_and_options(
    url: str | None, profile: str | None, file: Path | None, pairs: Sequence[tuple[str, str]]
) -> tuple[Portal, BackupOptions]:
    """A signed-in portal, and the options; whatever is wrong with the options is said before anything is sent."""
    parameters = _parameters(file, pairs)
    for name in ("store", "interactive"):
        parameters.pop(name, None)
    url, profile = url or parameters.pop("url", None), profile or parameters.pop("profile", None)
    options = BackupOptions.from_mapping({k: v for k, v in parameters.items() if k not in ("url", "profile")})
    return ak.connect(url or None, profile=profile or None), options


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="agolkit")
def commands() -> None:
    """Dated, proven backups of an ArcGIS Online or ArcGIS Enterprise organization.

    The sign-in comes from AGOLKIT_URL, AGOLKIT_USERNAME, AGOLKIT_PASSWORD (or AGOLKIT_PASSWORD_FILE) or a profile.
    A secret is never an argument.
    """


@commands.command()
@click.option("--store", default="agolkit-demo", show_default=True, help="Folder for the backup.")
@_with_json
def demo(store: str, as_json: bool) -> int:
    """Back up a practice portal, and show what comes of it."""
    from agolkit import schedule

    say = console.say_aside if as_json else console.say
    with open_sandbox() as sandbox:
        say(f"The practice portal runs at {sandbox.url}: {sandbox.org.name}, {len(sandbox.org.items)} items.")
        parameters = {"store": store, "url": sandbox.url}
        done = schedule.run(parameters, environment=environment_for(sandbox), say=say)
    # Some items of the practice portal cannot be saved by anybody: a demo that has shown them has done its job.
    code = 0 if done.exit_code == PARTIAL else done.exit_code
    if as_json:
        click.echo(json.dumps({**done.summary, "notebook": str(done.notebook)}))
        return code
    backup = str(done.summary["backup"])
    console.show_results(ak.load_items(ak.open_store(store), backup))
    folder = Path(store).absolute()
    console.say(
        f"\nThe backup      {folder / 'backups' / backup}"
        f"\nThe list        {folder / 'backups' / backup / 'AllItems.csv'}"
        f"\nThe report      {folder / 'backups' / backup / 'report.html'}"
        f"\nThe notebook    {done.notebook}"
        "\n\nWhat next?"
        "\n  Open report.html in a browser: what is protected, what is not, and why."
        "\n  Open AllItems.csv in a spreadsheet: one row for each item, the result in the last column."
        f"\n  {'agolkit list ' + store:32} the backups of this store"
        f"\n  {'agolkit notebooks my-backups':32} the notebooks and schedules, for your own organization"
        f"\n  {'agolkit sandbox':32} the practice portal again, to try the form in the notebook"
    )
    return code


@commands.command(short_help="Back up now, as a schedule runs it.")
@click.option("--store", help="Folder where backups are kept; else the parameter `store`.")
@_with_parameters
@_with_json
def backup(store: str | None, file: Path | None, pairs: Sequence[tuple[str, str]], as_json: bool) -> int:
    """Back up now: the backup notebook without a form, as a schedule runs it.

    With `-p dry_run true` it shows the plan, as `agolkit plan` does, and saves nothing.
    """
    from agolkit import schedule

    parameters = _parameters(file, pairs) | ({"store": store} if store else {})
    if not parameters.get("store"):
        raise UsageError("Name the folder for the backups with --store.")
    if parameters.get("dry_run"):
        schedule.check_parameters(schedule.shipped("notebooks") / "backup.ipynb", parameters)
        _show_plan(parameters["store"], *_portal_and_options(None, None, file, pairs), as_json)
        return 0
    done = schedule.run(parameters, say=console.say_aside if as_json else console.say)
    if as_json:
        click.echo(json.dumps({**done.summary, "notebook": str(done.notebook)}))
    else:
        console.say(f"The executed notebook: {done.notebook}")
    return done.exit_code


@commands.command(short_help="Copy the notebooks and the schedule examples to a folder.")
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@_with_json
def notebooks(folder: Path, force: bool, as_json: bool) -> None:
    """Copy the notebooks and the schedule examples to FOLDER, to work with."""
    from agolkit.schedule import shipped

    copies = {
        source: folder / room / source.relative_to(shipped(room))
        for room in ("notebooks", "scheduled")
        for source in sorted(shipped(room).rglob("*"))
        if source.is_file() and ".ipynb_checkpoints" not in source.parts
    }
    there = [target for target in copies.values() if target.exists()]
    if there and not force:
        raise UsageError(f"{there[0]} is there already, and nothing was copied. Name another folder, or use --force.")
    try:
        for source, target in copies.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            if target.suffix == ".sh":
                target.chmod(0o755)
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}.") from error
    if as_json:
        click.echo(json.dumps([str(target) for target in copies.values()]))
    else:
        console.say(
            f"{len(copies)} files copied to {folder.absolute()}. Open notebooks/backup.ipynb in Jupyter to begin."
        )


@commands.command(short_help="Say what this account can and cannot back up.")
@_with_portal
@_with_json
def check(url: str | None, profile: str | None, as_json: bool) -> None:
    """Say what this account can and cannot back up, and what it lacks."""
    portal = ak.connect(url, profile=profile)
    findings = portal.check()
    if as_json:
        rows = [{"ok": each.ok, "text": each.text, "missing": list(each.missing)} for each in findings]
        click.echo(json.dumps({"url": portal.url, "username": portal.username, "findings": rows}))
    else:
        console.say(f"{portal.org_name}, {portal.url}, signed in as {portal.username}:")
        for finding in findings:
            console.say(f"  {finding}")


@commands.command()
@_with_portal
@_with_parameters
@_with_json
def items(
    url: str | None, profile: str | None, file: Path | None, pairs: Sequence[tuple[str, str]], as_json: bool
) -> None:
    """List every item in scope."""
    portal, options = _portal_and_options(url, profile, file, pairs)
    console.show_table(ak.list_items(portal, options), ["item_id", "title", "type", "owner", "folder"], as_json)


@commands.command(short_help="Show what a backup would do; nothing is changed.")
@click.option("--store", required=True, help="Folder where backups are kept.")
@_with_portal
@_with_parameters
@_with_json
def plan(
    store: str,
    url: str | None,
    profile: str | None,
    file: Path | None,
    pairs: Sequence[tuple[str, str]],
    as_json: bool,
) -> None:
    """Show what a backup would do to each item, and why; nothing is changed."""
    _show_plan(store, *_portal_and_options(url, profile, file, pairs), as_json)


def _show_plan(store: str, portal: Portal, options: BackupOptions, as_json: bool) -> None:
    planned = ak.plan_backup(portal, ak.open_store(store), options)
    console.show_table(planned, ["title", "type", "owner", "action", "reason"], as_json)


@commands.command("list")
@click.argument("store")
@_with_json
def list_(store: str, as_json: bool) -> None:
    """List the backups of STORE, oldest first."""
    backups = ak.open_store(store, create=False).backups()
    console.show_table(
        backups, ["name", "state", "scope", "items", "verified", "partial", "failed", "saved_bytes"], as_json
    )


@commands.command(short_help="Show the items of one BACKUP of STORE.")
@click.argument("store")
@click.argument("backup", default="latest")
@_with_json
def show(store: str, backup: str, as_json: bool) -> None:
    """Show the items of one BACKUP of STORE; the newest complete one where none is named."""
    opened = ak.open_store(store, create=False)
    console.show_table(
        ak.load_items(opened, backup), ["item_id", "title", "type", "owner", "message", "result"], as_json
    )


@commands.command()
@click.argument("store")
@click.argument("backup", default="latest")
@click.option("--deep", is_flag=True, help="Read every file again, and prove again what is inside it.")
@click.option("--portal", "compare", is_flag=True, help="Say as well how the portal differs from it by now.")
@_with_portal
@_with_json
def verify(
    store: str, backup: str, deep: bool, compare: bool, url: str | None, profile: str | None, as_json: bool
) -> int:
    """Check that everything of a BACKUP is there and unharmed; only damage makes the exit code 4."""
    opened = ak.open_store(store, create=False)
    portal = ak.connect(url, profile=profile) if compare else None
    report = ak.verify(opened, backup, deep=deep, portal=portal)
    console.say(json.dumps(report.to_json()) if as_json else report)
    return report.exit_code


@commands.command(short_help="Copy one BACKUP out of STORE, to a folder or a .zip file.")
@click.argument("store")
@click.argument("backup")
@click.argument("to")
@click.option("--item", "ids", multiple=True, metavar="ID", help="Only this item; may be repeated.")
@click.option("--as", "format", type=click.Choice(["gdb", "gpkg", "parquet"]), help="Format of saved layers.")
@_with_json
def fetch(
    store: str,
    backup: str,
    to: str,
    ids: Sequence[str],
    format: Literal["gdb", "gpkg", "parquet"] | None,
    as_json: bool,
) -> None:
    """Copy one BACKUP out of STORE, as an ordinary folder TO, or as a file that ends in .zip.

    With --as, saved layers come as a File Geodatabase, a GeoPackage or GeoParquet, for ArcGIS Pro, QGIS and pandas.
    """
    done = ak.fetch(ak.open_store(store, create=False), backup, to, items=ids, format=format)
    console.say(json.dumps(asdict(done)) if as_json else done)


@commands.command()
@click.argument("store")
@click.option("--yes", is_flag=True, help="Release it.")
@_with_json
def unlock(store: str, yes: bool, as_json: bool) -> None:
    """Show which run holds STORE; with --yes, release a hold that a killed run left.

    A run that has shown life within the last minute is not released, unless its process is known to have ended.
    """
    opened = ak.open_store(store, create=False)
    holder = opened.unlock() if yes else opened.holder()
    if as_json:
        facts = {**holder.facts, "silent_seconds": holder.silent, "lives": holder.lives} if holder else {}
        click.echo(
            json.dumps({"held": holder is not None and not yes, "released": holder is not None and yes, **facts})
        )
    elif holder is None:
        console.say(f"No run holds the store {opened.location}.")
    else:
        advice = "If that run is no longer wanted, end it; then release the store with --yes."
        if holder.lives is False:
            advice = "The next run takes the store by itself; --yes releases it now."
        console.say(f"The store {opened.location} is held by {holder}.\n{'It is released.' if yes else advice}")


@commands.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Port of 127.0.0.1; 0 takes a free one.",
)
@click.option("--items", "count", type=click.IntRange(min=1), help="Make up so many items instead of the small city.")
@_with_json
def sandbox(port: int, count: int | None, as_json: bool) -> None:
    """Run the practice portal until interrupted."""
    stop = cancel_on_interrupt(signal.SIGINT, signal.SIGTERM)
    with open_sandbox(port, count) as running:
        environment = environment_for(running)
        if as_json:
            click.echo(json.dumps(environment))
        else:
            console.say(
                f"{running.org.name}, a practice portal with {len(running.org.items):,} items, runs at\n"
                f"  URL       {running.url}\n  User      {running.username}\n"
                f"  Password  {running.password}\n  CA file   {running.ca_bundle}\n\n"
                "To use it from another terminal or a notebook, set:\n"
            )
            line = '$env:{} = "{}"' if os.name == "nt" else "export {}='{}'"
            for name, value in environment.items():
                console.say(line.format(name, value))
            console.say("\nPress Ctrl+C to end it.")
        sys.stdout.flush()
        while not stop.wait(0.5):  # without an end, the wait could not be interrupted on Windows
            pass
