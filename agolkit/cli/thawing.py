"""Commands for a store whose blobs lie in several classes of storage: ask archived ones back, and say what is where."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

import click

import agolkit as ak
from agolkit import console
from agolkit.cli.arguments import commands, with_json
from agolkit.errors import UsageError
from agolkit.model import counted, in_bytes

if TYPE_CHECKING:
    from agolkit.store import Store

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}


@commands.command(short_help="Ask archived files of one BACKUP of STORE back.")
@click.argument("store")
@click.argument("backup")
@click.option("--item", "ids", multiple=True, metavar="ID", help="Only this item; may be repeated.")
@click.option("--tier", type=click.Choice(["bulk", "standard"]), default="bulk", show_default=True)
@click.option("--days", type=int, default=7, show_default=True, metavar="N", help="How long they can be read.")
@click.option("--wait", is_flag=True, help="Come back when all can be read; Ctrl+C ends the waiting only.")
@click.option("--dry-run", is_flag=True, help="Only say how long it would take, and what it would cost.")
@with_json
def thaw(
    store: str,
    backup: str,
    ids: Sequence[str],
    tier: Literal["bulk", "standard"],
    days: int,
    wait: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Ask back the archived files that one BACKUP of STORE needs, so that they can be read for some days.

    Bulk is cheap and takes up to 48 hours from DEEP_ARCHIVE, standard up to 12. The same command again says how far it
    is; nothing is asked twice.
    """
    opened = ak.open_store(store, create=False)
    state = ak.thaw(opened, backup, ids, tier=tier, days=days, dry_run=dry_run)
    if wait and not dry_run and not state.is_ready:
        console.say_aside(f"{state}\nWaiting …")
        state = ak.thaw(opened, backup, ids, tier=tier, days=days, wait=True)
    console.say(json.dumps(state.to_json()) if as_json else state)


def show_sizes(store: Store, limit: str, as_json: bool) -> None:
    """Say how much room the backups of a store take, and when a limit is reached."""
    from agolkit.sizes import project

    most = read_size(limit)
    sizes = ak.list_sizes(store)
    projection = project(sizes, most)
    if as_json:
        rows = json.loads(sizes.to_json(orient="records", date_format="iso"))
        told = json.loads(json.dumps(asdict(projection), default=str))
        click.echo(json.dumps({"sizes": rows, "projection": told}))
        return
    table = sizes.assign(name=sizes["name"].where(sizes["name"] != "", "(no backup)"))
    for column in ("bytes", "new_bytes", "last_bytes"):
        table[column] = table[column].map(in_bytes)
    console.show_table(table, ["name", "scope", "tier", "objects", "bytes", "new_bytes", "last_bytes"], False)
    for tier, own in sizes.groupby("tier"):
        if tier:
            files = counted(int(own["new_objects"].sum()), "file")
            console.say(f"{tier!s}: {files}, {in_bytes(int(own['new_bytes'].sum()))}")
    console.say(f"All: {projection}")


def read_size(text: str) -> int:
    """The bytes that a text such as `500GB` or `1.5 TB` says; `UsageError` where it says none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGTP]?B)", text.strip().upper())
    if not match or not float(match[1]):
        raise UsageError(f"A limit is a size such as 500GB or 2TB, not {text!r}.")
    return int(float(match[1]) * UNITS[match[2]])
