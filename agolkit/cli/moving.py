"""Commands that bring a store elsewhere, and that mend it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

import agolkit as ak
from agolkit import console
from agolkit.cli.arguments import commands, with_json
from agolkit.errors import StoreDamaged


@commands.command(short_help="Copy the backups of STORE to OTHER, or what is missing there.")
@click.argument("store")
@click.argument("other")
@click.option("--backup", "backups", multiple=True, metavar="NAME", help="Only this backup; may be repeated.")
@click.option("--zips", is_flag=True, help="Copy the zips for download too.")
@click.option("--scratch", metavar="FOLDER", help="Where files wait on their way; else the system's folder.")
@click.option("--dry-run", is_flag=True, help="Only show what would be copied.")
@with_json
def copy(
    store: str, other: str, backups: Sequence[str], zips: bool, scratch: str | None, dry_run: bool, as_json: bool
) -> int:
    """Copy all finished backups of STORE to the store OTHER, each file only once, and each checked on its way.

    Call it again after an interruption, or each night: it brings what is missing. Nothing is changed in STORE.
    """
    source, target = ak.open_store(store, create=False), ak.open_store(other)
    if dry_run:
        plan = ak.plan_copy(source, target, backups)
        console.show_table(plan, list(plan.columns), as_json)
        return 0
    done = ak.copy(source, target, backups, zips=zips, scratch=scratch, say=console.say_aside)
    console.say(json.dumps(done.to_json()) if as_json else done)
    return done.exit_code


@commands.command(short_help="Show what is damaged in STORE; with --yes, mend it.")
@click.argument("store")
@click.option("--from", "other", metavar="OTHER", help="A copy of the store, to take from it what is lost.")
@click.option("--deep", is_flag=True, help="Read every byte; else a file of the right size counts as whole.")
@click.option("--yes", is_flag=True, help="Mend it.")
@with_json
def repair(store: str, other: str | None, deep: bool, yes: bool, as_json: bool) -> int:
    """Show what is damaged in STORE and how it can be mended; with --yes, mend it.

    What nothing can bring back is named, and damaged files are moved to the folder damaged, so that the next backup
    saves them anew.
    """
    opened = ak.open_store(store, create=False, damaged=True)
    copied = ak.open_store(other, create=False) if other else None
    if yes:
        done = ak.repair(opened, deep=deep, other=copied)
        console.say(json.dumps(done.to_json()) if as_json else done)
        return done.exit_code
    plan = ak.plan_repair(opened, deep=deep, other=copied)
    if not len(plan) and not as_json:
        console.say(f"Nothing is damaged in {opened.location}.")
        return 0
    console.show_table(plan, ["where", "title", "what", "action", "how"], as_json)
    if not as_json:
        console.say("\nNothing was changed; --yes does it. --json shows all of it, with the backups.")
    return StoreDamaged.exit_code if len(plan) else 0
