"""Stores of several backups that share content, made by the store itself, for the tests of what is removed again."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from saved import save_part

from agolkit.journal import Journal
from agolkit.layout import tree_path
from agolkit.manifest import backup_facts, close_backup, read_outcomes, write_manifest
from agolkit.model import Item, Outcome, Result
from agolkit.options import BackupOptions
from agolkit.report import REPORT, make_report
from agolkit.store import Draft, Store

FIRST = datetime(2026, 11, 1, 2, 0, tzinfo=UTC)
State = Literal["complete", "stopped", "killed", "taken up"]
Contents = Mapping[int, Sequence[str]]
"""Of each item, by its number, the content of its files."""


def item_id(number: int) -> str:
    return f"{number:032x}"


def title(number: int) -> str:
    """A title that stands in no other place than those that tell of the item."""
    return f"Citizen {number} complains"


def save(store: Store, day: int, contents: Contents, *, state: State = "complete", tree: str = "copy") -> str:
    """One backup with a log, a report and an executed notebook, or what a killed run leaves of it; its name."""
    store.bind("0123456789abcdef", "Smallville")
    started = FIRST + timedelta(days=day)
    draft = store.begin(started, "default", label="", tree=tree, options={})  # type: ignore[arg-type]
    outcomes = [_outcome(store, number, texts, started) for number, texts in contents.items()]
    if state == "taken up":  # first a whole run that was stopped, and then one that was killed
        _finish(store, draft.name, outcomes, "stopped")
        draft = store.resume(draft.name, started, tree=tree)  # type: ignore[arg-type]
        Journal(draft).resumed({"run_id": "run-2", "started": "2026-11-01T03:00:00Z"})
    journal = Journal(draft)
    for outcome in outcomes:
        for part in outcome.parts:
            draft.link(tree_path(outcome.item, part), part.blob)
        journal.add(outcome)
    journal.close()
    draft.write("organization.json", b'{"missing": []}')
    if state in ("complete", "stopped"):
        _finish(store, draft.name, outcomes, state, draft.tree)
    return draft.name


def needed(store: Store) -> set[str]:
    """The hashes of the blobs that the items of all backups name, as a reader of the lists finds them."""
    outcomes = (outcome for name in store.backup_names() for outcome in read_outcomes(store, name))
    return {part.blob.sha256 for outcome in outcomes for part in outcome.parts}


def places_of(root: Path, words: bytes) -> set[str]:
    """The files below a folder that hold some words, in their name or in their content, packed or not."""
    found = set()
    for path in root.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        if words in content or words in path.name.encode():
            found.add(path.relative_to(root).as_posix())
    return found


def _outcome(store: Store, number: int, texts: Sequence[str], observed: datetime) -> Outcome:
    item = Item(item_id(number), title(number), "Web Map", "ann")
    described = json.dumps({"id": item.id, "title": item.title}).encode()
    parts = [save_part(store, "item", "item.json", described)]
    parts += [save_part(store, "resource", f"resources/{index}.txt", text.encode()) for index, text in enumerate(texts)]
    return Outcome(item, Result.VERIFIED, observed, "document", tuple(parts), (), "fetched")


def _finish(store: Store, name: str, outcomes: list[Outcome], state: str, tree: str = "none") -> None:
    """Write what a run writes at its end, and the notebook beside it."""
    draft = Draft(store, name, {"started": "2026-11-01T02:00:00Z", "scope": "default", "label": "", "agolkit": "1"})
    draft.tree = tree  # type: ignore[assignment]
    draft.write("organization.json", b'{"missing": []}')
    write_manifest(draft, outcomes)
    said = [{"stage": "items", "item_id": each.item.id, "message": each.item.title} for each in outcomes]
    said.append({"stage": "finish", "text": "\n".join(f"{each.item.title} {each.item.id}" for each in outcomes)})
    draft.write("log.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in said))
    facts = backup_facts(
        draft,
        outcomes,
        state=state,
        finished=FIRST,
        options=BackupOptions(),
        new_bytes=0,
        portal_url="https://example.org/portal",
    )
    draft.write(REPORT, make_report(store, outcomes, facts).encode())
    close_backup(draft, facts)
    shown = {"output_type": "stream", "name": "stdout", "text": [each.item.title for each in outcomes]}
    cells = [{"cell_type": "code", "metadata": {}, "source": "items", "execution_count": 1, "outputs": [shown]}]
    notebook = {"cells": cells, "metadata": {"widgets": shown}, "nbformat": 4, "nbformat_minor": 5}
    store.put(f"backups/{name}/backup.ipynb", json.dumps(notebook).encode())
