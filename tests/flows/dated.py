"""Stores with backups of many days, made by hand: what retention is tried on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from saved import save_part

from agolkit.journal import Journal
from agolkit.layout import tree_path
from agolkit.manifest import backup_facts, close_backup, write_manifest
from agolkit.model import Item, Outcome, Result
from agolkit.options import BackupOptions
from agolkit.store import Draft, Store

FIRST = datetime(2025, 1, 1, 2, tzinfo=UTC)
ALL = ["portal:admin:viewItems", "portal:admin:viewUsers"]


def web_map(store: Store, letter: str, content: str, result: Result = Result.VERIFIED) -> Outcome:
    """A map that holds a text, as it was saved; a failed or left out one holds nothing."""
    item = Item(id=letter * 32, title=f"Map {letter}", type="Web Map", owner="ann")
    held = {"item": ("item.json", json.dumps({"id": item.id})), "data": ("data.json", json.dumps(content))}
    parts = [save_part(store, name, path, text.encode()) for name, (path, text) in held.items()]
    saved = result in (Result.VERIFIED, Result.PARTIAL)
    return Outcome(item, result, FIRST, "document", tuple(parts) if saved else ())


def begin(store: Store, day: int, maps: Mapping[str, str], *, scope: str = "default", **begun: Any) -> Draft:
    """What a killed run leaves that has saved these maps: text by letter of their ids; without a text, it failed."""
    store.bind("0123456789abcdef", "Smallville")
    options = {"resume_within": 86_400.0}
    draft = store.begin(FIRST + timedelta(days=day), scope, **{"options": options, "tree": "none", **begun})
    journal = Journal(draft)
    for outcome in outcomes_of(store, maps):
        for part in outcome.parts:
            draft.link(tree_path(outcome.item, part), part.blob)
        journal.add(outcome)
    journal.close()
    return draft


def save(store: Store, day: int, maps: Mapping[str, str], *, state: str = "complete", **begun: Any) -> str:
    """A finished backup of that day, 0 being New Year's Day of 2025; its name."""
    alarms, told = begun.pop("alarms", ()), begun.pop("told", {})
    draft = begin(store, day, maps, **begun)
    outcomes = outcomes_of(store, maps)
    draft.write("organization.json", b"{}")
    write_manifest(draft, outcomes)
    draft.write("report.html", b"<p>fine</p>")
    facts = backup_facts(
        draft,
        outcomes,
        state=state,
        finished=FIRST + timedelta(days=day, minutes=30),
        options=BackupOptions(scope_name=draft.facts["scope"]),
        new_bytes=0,
        portal_url="https://example.org/portal",
        account={"username": "boss", "privileges": ALL},
        alarms=alarms,
    )
    close_backup(draft, facts | told)
    return draft.name


def outcomes_of(store: Store, maps: Mapping[str, str]) -> list[Outcome]:
    return [web_map(store, letter, text, Result.VERIFIED if text else Result.FAILED) for letter, text in maps.items()]
