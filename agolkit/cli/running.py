"""Commands that run something against a portal: the main job, what comes before it, and the practice portal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import agolkit as ak
from agolkit import console
from agolkit.cli.arguments import (
    commands,
    portal_and_options,
    read_parameters,
    with_json,
    with_parameters,
    with_portal,
)
from agolkit.errors import UsageError
from agolkit.practice import environment_for, open_sandbox
from agolkit.progress import cancel_on_interrupt

if TYPE_CHECKING:
    from agolkit.options import BackupOptions
    from agolkit.portal import Portal

PARTIAL = 3


@commands.command()
@click.option("--store", default="agolkit-demo", show_default=True, help="Folder or s3://bucket/prefix for it.")
@with_json
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
        click.echo(json.dumps({**done.summary, "notebook": done.notebook}))
        return code
    backup = str(done.summary["backup"])
    opened = ak.open_store(store)
    console.show_results(ak.load_items(opened, backup))
    folder = f"{opened.location}/backups/{backup}"
    console.say(
        f"\nThe backup      {folder}"
        f"\nThe list        {folder}/AllItems.csv"
        f"\nThe report      {folder}/report.html"
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
@click.option("--store", help="Folder or s3://bucket/prefix where backups are kept; else the parameter `store`.")
@with_parameters
@with_json
def backup(store: str | None, file: Path | None, pairs: Sequence[tuple[str, str]], as_json: bool) -> int:
    """Back up now: the backup notebook without a form, as a schedule runs it.

    With `-p dry_run true` it shows the plan, as `agolkit plan` does, and saves nothing.
    """
    from agolkit import schedule
    from agolkit.notify import NotifyOptions, announced

    with announced(NotifyOptions.from_environment(os.environ), say=console.say_aside) as announcement:
        parameters = read_parameters(file, pairs) | ({"store": store} if store else {})
        if not parameters.get("store"):
            raise UsageError("Name the folder, or the bucket, for the backups with --store.")
        if not parameters.get("dry_run"):
            announcement.begin(parameters)
            done = schedule.run(parameters, say=console.say_aside if as_json else console.say)
            notice = announcement.end(done.summary, done.notebook)
            if as_json:
                click.echo(json.dumps({**done.summary, "notebook": done.notebook, "news": notice.to_json()["news"]}))
            else:
                console.say(f"\n{notice.text}")
            return done.exit_code
    schedule.check_parameters(schedule.shipped("notebooks") / "backup.ipynb", parameters)
    _show_plan(parameters["store"], *portal_and_options(None, None, file, pairs), as_json)
    return 0


@commands.command(short_help="Send a test notification by every way that is set.")
@with_json
def notify(as_json: bool) -> int:
    """Send a test notification by every way that AGOLKIT_MAIL_TO, AGOLKIT_WEBHOOK_URL and AGOLKIT_PING_URL set."""
    from agolkit.notify import Notice, NotifyOptions, ping, send_all

    options = NotifyOptions.from_environment(os.environ)
    if not options.ways:
        raise UsageError("Nobody is to be told: set AGOLKIT_MAIL_TO, AGOLKIT_WEBHOOK_URL or AGOLKIT_PING_URL.")
    notice = Notice(exit_code=0, is_test=True)
    troubles = send_all(notice, options) + ping(options, "0", notice)
    if as_json:
        click.echo(json.dumps({"ways": options.ways, "troubles": troubles}))
    else:
        console.say(f"A test was sent by {', '.join(options.ways)}." if not troubles else "\n".join(troubles))
    return 1 if troubles else 0


@commands.command(short_help="Copy the notebooks and the schedule examples to a folder.")
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@with_json
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
@with_portal
@with_json
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
@with_portal
@with_parameters
@with_json
def items(
    url: str | None, profile: str | None, file: Path | None, pairs: Sequence[tuple[str, str]], as_json: bool
) -> None:
    """List every item in scope."""
    portal, options = portal_and_options(url, profile, file, pairs)
    console.show_table(ak.list_items(portal, options), ["item_id", "title", "type", "owner", "folder"], as_json)


@commands.command(short_help="Show what a backup would do; nothing is changed.")
@click.option("--store", required=True, help="Folder or s3://bucket/prefix where backups are kept.")
@with_portal
@with_parameters
@with_json
def plan(
    store: str,
    url: str | None,
    profile: str | None,
    file: Path | None,
    pairs: Sequence[tuple[str, str]],
    as_json: bool,
) -> None:
    """Show what a backup would do to each item, and why; nothing is changed."""
    _show_plan(store, *portal_and_options(url, profile, file, pairs), as_json)


def _show_plan(store: str, portal: Portal, options: BackupOptions, as_json: bool) -> None:
    planned = ak.plan_backup(portal, ak.open_store(store), options)
    console.show_table(planned, ["title", "type", "owner", "action", "reason"], as_json)


@commands.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Port of 127.0.0.1; 0 takes a free one.",
)
@click.option("--items", "count", type=click.IntRange(min=1), help="Make up so many items instead of the small city.")
@with_json
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
