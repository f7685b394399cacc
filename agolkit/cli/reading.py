"""Commands that read a store."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

import click

import agolkit as ak
from agolkit import console
from agolkit.cli.arguments import commands, with_json, with_portal
from agolkit.cli.thawing import show_sizes
from agolkit.model import counted


@commands.command("list")
@click.argument("store")
@click.option("--zips", is_flag=True, help="List the published zips instead.")
@with_json
def list_(store: str, zips: bool, as_json: bool) -> None:
    """List the backups of STORE, oldest first."""
    if zips:
        console.show_table(
            ak.list_zips(ak.open_store(store, create=False)), ["name", "scope", "published", "bytes", "files"], as_json
        )
        return
    backups = ak.open_store(store, create=False).backups()
    console.show_table(
        backups, ["name", "state", "scope", "items", "verified", "partial", "failed", "saved_bytes"], as_json
    )
    if not as_json:
        for stopped in backups[backups["stopped_by"] != ""].itertuples():
            console.say(f"{stopped.name} ended before its time: {stopped.stopped_by}")


@commands.command(short_help="Show the items of one BACKUP of STORE, or all sizes.")
@click.argument("store")
@click.argument("backup", default="latest")
@click.option("--sizes", is_flag=True, help="How much room each backup takes, and when a limit is reached.")
@click.option("--limit", metavar="SIZE", default="2TB", show_default=True, help="The limit, as 500GB or 2TB.")
@with_json
def show(store: str, backup: str, sizes: bool, limit: str, as_json: bool) -> None:
    """Show the items of one BACKUP of STORE; the newest complete one where none is named.

    With --sizes, how much room each backup takes in which class of storage, and what it has added.
    """
    opened = ak.open_store(store, create=False)
    if sizes:
        show_sizes(opened, limit, as_json)
        return
    facts = opened.summary(opened.resolve(backup))
    items = ak.load_items(opened, facts["name"])
    console.show_table(items, ["item_id", "title", "type", "owner", "message", "result"], as_json)
    if facts.get("stopped_by"):
        not_reached = counted(int(items["result"].eq("stopped").sum()), "item")
        console.say_aside(f"This backup ended before its time: {facts['stopped_by']} {not_reached} not reached.")


@commands.command()
@click.argument("store")
@click.argument("backup", default="latest")
@click.option("--deep", is_flag=True, help="Read every file again, and prove again what is inside it.")
@click.option("--portal", "compare", is_flag=True, help="Say as well how the portal differs from it by now.")
@with_portal
@with_json
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
@with_json
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


@commands.command(short_help="Say what changed between two backups of STORE.")
@click.argument("store")
@click.argument("a")
@click.argument("b", default="latest")
@click.option("--item", "item_id", metavar="ID", help="What changed in this item, difference by difference.")
@with_json
def compare(store: str, a: str, b: str, item_id: str | None, as_json: bool) -> None:
    """Say which items were added, removed and changed from backup A to backup B (the newest complete one).

    With --item, what changed in one item: which layer, filter or widget, which rows, attributes and attachments.
    """
    opened = ak.open_store(store, create=False)
    if item_id:
        differences = ak.compare_item(opened, a, b, item_id)
        console.show_table(differences, ["part", "change", "where", "before", "after"], as_json)
    else:
        changes = ak.compare(opened, a, b)
        console.show_table(changes, ["item_id", "title", "type", "change", "what"], as_json)


@commands.command(short_help="Show the versions of an ITEM in all backups of STORE.")
@click.argument("store")
@click.argument("item")
@with_json
def history(store: str, item: str, as_json: bool) -> None:
    """Show the versions of an ITEM (its id) through all backups of STORE, and how to fetch one of them."""
    versions = ak.history(ak.open_store(store, create=False), item)
    console.show_table(versions, ["backup", "modified", "title", "owner", "result", "version", "what"], as_json)
    if not as_json:
        console.say(f"\nTo get one of them: agolkit fetch {shlex.quote(store)} BACKUP TO --item {item}")
