"""Commands that look after a store."""

from __future__ import annotations

import json

import click

import agolkit as ak
from agolkit import console
from agolkit.cli.arguments import commands, with_json


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
