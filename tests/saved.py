"""A small saved backup for tests: items with awkward names, made by the store and the manifest themselves."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from agolkit.journal import Journal
from agolkit.layout import safe_paths, tree_path
from agolkit.manifest import backup_facts, close_backup, write_manifest
from agolkit.model import Item, Outcome, Part, Reach, Result
from agolkit.options import BackupOptions
from agolkit.store import Draft, Spool, Store

STARTED = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
MAP = Item(
    id="9c8d" * 8,
    title='=HYPERLINK("http://x"): Wasser/Öl 🌊',
    type="Web Map",
    owner="ann",
    folder="Water",
    tags=("blue; green", "no"),
    type_keywords=("Map",),
    created=datetime(2020, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
    modified=datetime(2026, 1, 2, tzinfo=UTC),
    size=25,
)
SERVICE = Item(
    id="1a2b" * 8, title="../..", type="Feature Service", owner="bob", url="https://example.org/FeatureServer"
)
LEFT_OUT = Item(id="0f" * 16, title="half \ud800 a pair", type="PDF", owner="bob")
RESOURCES = {
    "images/a.png": b"a",
    "images/A.png": b"A",
    "../../escape.txt": b"no way out",
    "CON.txt": b"device",
    "plain/b.json": b"{}",
}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of these files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def save_part(
    store: Store, name: str, path: str, content: bytes, exact_name: str | None = None, reach: Reach = Reach.PARSED
) -> Part:
    """Save content as a blob and say so in a part."""
    with Spool() as spool:
        spool.write(content)
        blob, _ = store.add_blob(spool)
    return Part(name, path, blob, reach, exact_name=exact_name)


def read_part(store: Store, outcome: Outcome, path: str) -> bytes:
    """The saved bytes of one part of an item."""
    part = next(part for part in outcome.parts if part.path == path)
    with store.open_blob(part.blob.sha256) as stream:
        return stream.read()


def sample_outcomes(store: Store) -> list[Outcome]:
    """A map with awkward resources, a service with a geodatabase, and an item that was left out."""
    paths = safe_paths(RESOURCES, "resources/")
    map_parts = [
        save_part(store, "item", "item.json", json.dumps({"id": MAP.id}).encode()),
        save_part(store, "data", "data.json", b'{"operationalLayers":[]}'),
        *(save_part(store, "resource", *_path(paths[name], content)) for name, content in RESOURCES.items()),
    ]
    service_parts = [
        save_part(store, "item", "item.json", json.dumps({"id": SERVICE.id}).encode()),
        save_part(store, "geodatabase", "layers.gdb.zip", zipped({"x.gdb/gdb": b"\0" * 5000}), None, Reach.CONTENT),
    ]
    observed = datetime(2026, 11, 23, 2, 0, 1, tzinfo=UTC)
    return [
        Outcome(MAP, Result.VERIFIED, observed, "document", tuple(map_parts), ("Field crew",), "fetched", (), 2, 0.25),
        Outcome(
            SERVICE, Result.PARTIAL, observed, "feature service", tuple(service_parts), (), "reused", message="-1 row"
        ),
        Outcome(LEFT_OUT, Result.EXCLUDED, observed, message="has the tag no-backup"),
    ]


def _path(safe: tuple[str, str | None], content: bytes) -> tuple[str, bytes, str | None]:
    return safe[0], content, safe[1]


def begin_sample(store: Store, *, tree: str = "auto", started: datetime = STARTED) -> tuple[Draft, list[Outcome]]:
    """A backup with its blobs, its tree and its journal, and no manifest: what a killed run leaves."""
    store.bind("0123456789abcdef", "Smallville")
    draft = store.begin(started, "default", label="nightly", tree=tree)  # type: ignore[arg-type]
    outcomes = sample_outcomes(store)
    journal = Journal(draft)
    journal.announce({"title": "agolkit run-1"})
    for outcome in outcomes:
        for part in outcome.parts:
            draft.link(tree_path(outcome.item, part), part.blob)
        journal.add(outcome)
    journal.close()
    return draft, outcomes


def save_sample(
    store: Store, *, tree: str = "auto", started: datetime = STARTED, state: str = "complete", stopped_by: str = ""
) -> tuple[str, list[Outcome]]:
    """A finished backup; its name and what it holds."""
    draft, outcomes = begin_sample(store, tree=tree, started=started)
    draft.write("organization.json", b"{}")
    finish(draft, outcomes, state=state, stopped_by=stopped_by)
    return draft.name, outcomes


def finish(draft: Draft, outcomes: list[Outcome], *, state: str = "complete", stopped_by: str = "") -> None:
    """Write the lists and the end of a backup."""
    write_manifest(draft, outcomes)
    facts = backup_facts(
        draft,
        outcomes,
        state=state,
        finished=datetime.fromisoformat(draft.facts["started"]).replace(minute=30),
        options=BackupOptions(label="nightly"),
        new_bytes=4711,
        reused_bytes=sum(outcome.saved_bytes for outcome in outcomes if outcome.how == "reused"),
        portal_url="https://example.org/portal",
        stopped_by=stopped_by,
    )
    close_backup(draft, facts)


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path, with its content."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
