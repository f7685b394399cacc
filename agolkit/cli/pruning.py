"""Commands that remove old backups, and that say that a mass change was meant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

import agolkit as ak
from agolkit import console
from agolkit.cli.arguments import commands, with_json
from agolkit.model import counted, in_bytes
from agolkit.retention import ZIP
from agolkit.tiering import read_rules

if TYPE_CHECKING:
    import pandas

COUNT = click.IntRange(min=0)


@commands.command(short_help="Remove old backups of STORE by rules; shows the plan first.")
@click.argument("store")
@click.option("--keep-last", "last", type=COUNT, default=0, metavar="N", help="The newest N of each scope.")
@click.option("--keep-hourly", "hourly", type=COUNT, default=0, metavar="N", help="The newest of each of N hours.")
@click.option("--keep-daily", "daily", type=COUNT, default=0, metavar="N", help="The newest of each of N days.")
@click.option("--keep-weekly", "weekly", type=COUNT, default=0, metavar="N", help="The newest of each of N weeks.")
@click.option("--keep-monthly", "monthly", type=COUNT, default=0, metavar="N", help="The newest of each of N months.")
@click.option("--keep-yearly", "yearly", type=COUNT, default=0, metavar="N", help="The newest of each of N years.")
@click.option(
    "--keep-within", "within", default="", metavar="DURATION", help="All of 36h, 14d or 8w before the newest."
)
@click.option("--keep-label", "labels", multiple=True, metavar="LABEL", help="All with this label; may be repeated.")
@click.option("--tree-keep", type=COUNT, metavar="N", help="The newest N of each scope keep their tree; else all.")
@click.option("--zips-last", type=COUNT, default=0, metavar="N", help="Of the zips the newest N of each scope.")
@click.option("--zips-within", default="", metavar="DURATION", help="Of the zips all of 120d before the newest.")
@click.option("--archive-after", metavar="DURATION", help="Move to the archive what only backups older than 15d need.")
@click.option("--archive-class", metavar="CLASS", help="DEEP_ARCHIVE, if not said, or GLACIER.")
@click.option("--zips-archive-after", metavar="DURATION", help="Zips older than 15d too, but the newest of a scope.")
@click.option("--scope", metavar="NAME", help="Only backups of this scope may go.")
@click.option("--yes", is_flag=True, help="Do it.")
@with_json
def prune(
    store: str,
    scope: str | None,
    yes: bool,
    as_json: bool,
    last: int,
    hourly: int,
    daily: int,
    weekly: int,
    monthly: int,
    yearly: int,
    within: str,
    labels: Sequence[str],
    tree_keep: int | None,
    zips_last: int,
    zips_within: str,
    archive_after: str | None,
    archive_class: str | None,
    zips_archive_after: str | None,
) -> None:
    """Show which backups and zips of STORE the rules keep and why, and with --yes remove the others.

    Whatever the rules say, the newest complete backup of each scope stays, the last verified copy of every item that is
    still in the organization, what may still be taken up, and what an alarm has pinned; and of the zips the newest of
    each scope. Without a rule for zips all of them stay.

    In a bucket, --archive-after moves files that only older backups need to an archive class, where that is cheaper;
    `agolkit thaw` asks them back.
    """
    opened = ak.open_store(store, create=False)
    keep, archive = read_rules(
        {
            "last": last,
            "hourly": hourly,
            "daily": daily,
            "weekly": weekly,
            "monthly": monthly,
            "yearly": yearly,
            "within": within,
            "labels": labels,
            "tree_keep": tree_keep,
            "zips_last": zips_last,
            "zips_within": zips_within,
            "archive_after": archive_after,
            "archive_class": archive_class,
            "zips_archive_after": zips_archive_after,
        }
    )
    plan = ak.plan_prune(opened, keep, scope=scope, archive=archive)
    done = ak.prune(opened, plan) if yes else None
    if as_json:
        rows = json.loads(plan.to_json(orient="records", date_format="iso"))
        told = {"tiering": plan.attrs["tiering"].to_json()} if archive else {}
        click.echo(json.dumps({"plan": rows, **told, "done": asdict(done) if done else None}))
        return
    _show(plan)
    if archive:
        console.say(f"\n{plan.attrs['tiering']}\n")
    console.say(done or f"{_in_short(plan)} Nothing is removed yet; --yes does it.")


def _show(plan: pandas.DataFrame) -> None:
    what = plan["keep"].map({True: "keep", False: "remove"}).mask(plan["drop_tree"], "keep, drop tree")
    table = plan.assign(what=what, reason=plan["reasons"].map("; ".join))
    console.show_table(table, ["name", "scope", "state", "what", "reason"], False)


def _in_short(plan: pandas.DataFrame) -> str:
    going = plan[~plan["keep"]]
    is_zip = going["state"] == ZIP
    trees = f", and {counted(int(plan['drop_tree'].sum()), 'tree')}" if plan["drop_tree"].any() else ""
    size = in_bytes(int(going["freed_bytes"][~is_zip].sum()))
    said = f"{counted(int((~is_zip).sum()), 'backup')} would go{trees}: {size} that no other backup needs."
    if is_zip.any():
        freed = in_bytes(int(going["freed_bytes"][is_zip].sum()))
        said += f" {counted(int(is_zip.sum()), 'zip')} would go, {freed}."
    moves = plan.attrs["tiering"].moves if "tiering" in plan.attrs else ()
    return f"{said} {counted(len(moves), 'file')} would move to the archive." if moves else said


@commands.command(short_help="Show the mass-change alarms of STORE; with --yes, end them.")
@click.argument("store")
@click.argument("backup", required=False)
@click.option("--yes", is_flag=True, help="End the alarms.")
@with_json
def unpin(store: str, backup: str | None, yes: bool, as_json: bool) -> None:
    """Show which mass-change alarms stand in STORE, and with --yes end them, or that of one BACKUP.

    While an alarm stands, `agolkit prune` removes no backup of its scope up to the one that raised it.
    """
    opened = ak.open_store(store, create=False)
    alarms = ak.unpin(opened, backup) if yes else ak.standing_alarms(opened, backup)
    if as_json:
        click.echo(json.dumps({"alarms": [asdict(alarm) for alarm in alarms], "ended": yes}))
    elif not alarms:
        console.say(f"No alarm stands in the store {opened.location}.")
    else:
        said = "The alarm is ended." if yes else "If the change was meant, end the alarm with --yes."
        console.say("\n".join([*map(str, alarms), said]))
