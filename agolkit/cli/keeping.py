"""Commands that look after a store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import click

import agolkit as ak
from agolkit import console
from agolkit.cli.arguments import commands, with_json
from agolkit.progress import Narrator, cancel_on_interrupt


@commands.command(short_help="Remove one item from all backups of STORE, leaving a note.")
@click.argument("store")
@click.option("--item", "ids", multiple=True, required=True, metavar="ID", help="The item; may be repeated.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the note; no personal data.")
@click.option("--yes", is_flag=True, help="Remove it.")
@with_json
def forget(store: str, ids: Sequence[str], reason: str, yes: bool, as_json: bool) -> None:
    """Show what all backups of STORE hold of an item; with --yes, remove it from them and leave a note.

    Published zips that hold it are removed too. A file stays where another item has the same content. An item that is
    still in the portal is saved again by the next backup, unless the option exclude_ids names it.
    """
    from agolkit.forget import unread_advice

    opened = ak.open_store(store, create=False)
    if yes:
        done = ak.forget(opened, ids, reason=reason)
        console.say(json.dumps(asdict(done)) if as_json else done)
        return
    plan = ak.plan_forget(opened, ids)
    console.show_table(plan, list(plan.columns), as_json)
    if not as_json:
        going = f"{plan['bytes'].sum():,} bytes"
        if unread := list(plan["backup"][plan["parts"].isna() & (plan["item_id"] == "")]):
            console.say(f"\n{unread_advice(unread)}")
        console.say(f"\nNothing was removed. With --yes all of this goes, for good: {going} of the store's files.")


@commands.command("zip", short_help="Publish one BACKUP of STORE as one zip, to download.")
@click.argument("store")
@click.argument("backup", default="latest")
@click.option("--scratch", metavar="FOLDER", help="Where the file in work waits; else the system's temporary folder.")
@with_json
def zip_(store: str, backup: str, scratch: str | None, as_json: bool) -> None:
    """Publish a complete BACKUP (the newest one where none is named) as one zip in the folder `zips` of STORE.

    A zip that was published before stays as it is. The option `zip` of a run does the same at its end.
    """
    cancel = cancel_on_interrupt()
    opened = ak.open_store(store, create=False)
    say = console.say_aside if as_json else console.say
    done = ak.publish_zip(opened, backup, scratch=scratch, progress=Narrator(say), cancel=cancel)
    if as_json:
        click.echo(json.dumps(asdict(done)))
    else:
        console.say(f"{opened.location}/{done}")


@commands.command()
@click.argument("store")
@click.option("--yes", is_flag=True, help="Release it.")
@with_json
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
