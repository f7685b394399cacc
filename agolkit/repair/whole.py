"""A `backup.json` that is lost, made anew from what else the backup says of itself."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from agolkit.all_items import ALL_ITEMS, all_items_csv
from agolkit.entries import outcome_from_json
from agolkit.errors import StoreDamaged
from agolkit.journal import journal_lines
from agolkit.kinds.feature_service.views import settle
from agolkit.kinds.organization import ORGANIZATION
from agolkit.layout import OWN_NAMES, tree_path
from agolkit.manifest import MANIFEST, SUMS, sha256_sums, totals
from agolkit.model import Blob, Outcome, to_stamp
from agolkit.packed import unpacked_list
from agolkit.store import Draft, Store
from agolkit.store.removal import tree_folders
from agolkit.store.seal import is_sealed, sealed
from agolkit.store.version import FORMAT

WHOLE = "backup.json"
LOG = "log.jsonl"
UNREADABLE = (StoreDamaged, OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zlib.error)
"""What reading a list raises that is not what was written."""
_NOT_NAMED = frozenset(["backup.json", "unpinned.json", "backup.ipynb", "journal", "log"])
"""What `backup.json` does not have under `files`."""
_NOTES = {"alarms": str, "forgotten": dict}
"""What only `backup.json` knew and is dangerous to lose, and what its elements are."""


def write_whole(store: Store, facts: Mapping[str, Any]) -> None:
    """Write a `backup.json` that says when it was repaired."""
    told = {key: value for key, value in facts.items() if key != "own_sha256"}
    told["repaired"] = to_stamp(datetime.now(UTC).replace(microsecond=0))
    store.put(f"backups/{facts['name']}/{WHOLE}", sealed(told))


def write_rebuilt(store: Store, facts: Mapping[str, Any]) -> None:
    """Write facts that `rebuilt_facts` found; the lists that are made of the manifest are made to say the same."""
    name = facts["name"]
    if facts["state"] == "unfinished":
        write_whole(store, facts)
        return
    outcomes, draft = unpacked_manifest(store, name) or [], Draft(store, name)
    for path, content in ((SUMS, sha256_sums(outcomes)), (ALL_ITEMS, all_items_csv(outcomes))):
        if store.find(f"backups/{name}/{path}") != content:
            draft.write(path, content)
    write_whole(store, {**facts, "files": dict(_own_files(store, name))})


def named(content: bytes) -> dict[str, Any]:
    """How `backup.json` names a file."""
    return asdict(Blob(hashlib.sha256(content).hexdigest(), len(content)))


def rebuilt_facts(store: Store, name: str, portal: Mapping[str, str]) -> dict[str, Any] | None:
    """What `backup.json` said, as far as journal, manifest and log tell; `None` where nothing says how it began.

    It is `unfinished` where the manifest is not the one that the journal ends with, or what every run saves is not
    there (a copy was cut short): then the journal counts.
    """
    try:
        lines = journal_lines(store, name)
        facts = {"format": FORMAT, "name": name, "state": "unfinished", **lines[0]["run"]}
    except (*UNREADABLE, IndexError):
        return None
    resumed = [line["resumed"]["started"] for line in lines if "resumed" in line]
    facts |= {"resumed": resumed[-1]} if resumed else {}
    facts |= _notes(store, name)
    outcomes = unpacked_manifest(store, name)
    ended = _last_word(store, name)
    if outcomes is None or ended.get("event") != "ended":
        return facts
    if not _follows(outcomes, outcomes_of(lines)) or store.size(f"backups/{name}/{ORGANIZATION}") is None:
        return facts
    state = "complete" if ended.get("result") == "complete" else "stopped"
    return {
        **facts,
        "state": state,
        **({"stopped_by": "Why the run was stopped is not known any more."} if state == "stopped" else {}),
        "finished": ended["time"],
        "portal": dict(portal),
        **totals(outcomes),
        "fetched_bytes": sum(outcome.saved_bytes for outcome in outcomes if outcome.how == "fetched"),
        "new_bytes": 0,
        "reused": sum(outcome.how == "reused" for outcome in outcomes),
        "tree": _tree(store, name, outcomes),
    }


def facts_elsewhere(store: Store, other: Store, name: str) -> dict[str, Any] | None:
    """What the `backup.json` of the same backup in another store says; `None` where it has another manifest."""
    content, manifest = (each.find(f"backups/{name}/{file}") for each, file in ((other, WHOLE), (store, MANIFEST)))
    if not content or not is_sealed(content) or manifest is None:
        return None
    facts: dict[str, Any] = json.loads(content)
    if facts.get("files", {}).get(MANIFEST) != named(manifest):
        return None
    outcomes = unpacked_manifest(store, name)
    return {**facts, "tree": _tree(store, name, outcomes or [])}


def unpacked_manifest(store: Store, name: str) -> list[Outcome] | None:
    """What the manifest says, whichever it is; `None` where it cannot be read."""
    try:
        content = store.get(f"backups/{name}/{MANIFEST}")
        return [outcome_from_json(json.loads(line)) for line in unpacked_list(content)]
    except UNREADABLE:
        return None


def journal_outcomes(store: Store, name: str) -> list[Outcome]:
    """What the manifest said, made of the journal; nothing where that cannot be read."""
    try:
        return outcomes_of(journal_lines(store, name))
    except UNREADABLE:
        return []


def outcomes_of(lines: list[dict[str, Any]]) -> list[Outcome]:
    """The items that the last run of a journal has ended with: it lists those that it kept again."""
    start = max((number for number, line in enumerate(lines) if "resumed" in line), default=0)
    found = {line["item"]["id"]: line for line in lines[start:] if "item" in line}
    return settle([outcome_from_json(line) for line in found.values()])


def _follows(outcomes: list[Outcome], journal: list[Outcome]) -> bool:
    """Whether a manifest says of every item what the journal says of it."""
    told = {outcome.item.id: (outcome.observed, outcome.parts) for outcome in journal}
    return len(told) == len(outcomes) and all(
        told.get(each.item.id) == (each.observed, each.parts) for each in outcomes
    )


def _last_word(store: Store, name: str) -> dict[str, Any]:
    """The last line of the log, of the segments where it is not there."""
    segments = store.names(f"backups/{name}/log")
    try:
        content = store.find(f"backups/{name}/{LOG}")
        if content is None:
            content = gzip.decompress(store.get(f"backups/{name}/log/{segments[-1]}"))
        line: dict[str, Any] = json.loads(content.splitlines()[-1])
        return line if "time" in line else {}
    except (*UNREADABLE, IndexError):
        return {}


def _notes(store: Store, name: str) -> dict[str, Any]:
    """Alarms, and notes of what was forgotten, from a `backup.json` that was changed elsewhere."""
    try:
        facts = json.loads(store.get(f"backups/{name}/{WHOLE}"))
        found = {key: facts.get(key) for key in _NOTES}
    except UNREADABLE:
        return {}
    return {
        key: each
        for key, each in found.items()
        if each and isinstance(each, list) and all(isinstance(one, _NOTES[key]) for one in each)
    }


def _tree(store: Store, name: str, outcomes: list[Outcome]) -> str:
    """What the item folders of a backup are made of."""
    if not tree_folders(store, name):
        return "none"
    shown = (
        (part.blob.sha256, f"backups/{name}/{tree_path(each.item, part)}") for each in outcomes for part in each.parts
    )
    return "links" if any(store.is_linked(sha256, key) for sha256, key in shown) else "copy"


def _own_files(store: Store, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in store.names(f"backups/{name}"):
        if path.casefold() in OWN_NAMES - _NOT_NAMED:
            yield path, named(store.get(f"backups/{name}/{path}"))
