"""The files of one backup, written anew without some items.

A crash at any moment leaves a backup that can be read. First its `backup.json` says which items are about to go, and
names the manifest with them and the one without. Then every file is replaced as a whole. When nothing of the items is
left, in any backup, `backup.json` is sealed again with a note of what was removed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from agolkit.all_items import ALL_ITEMS
from agolkit.entries import outcome_from_json
from agolkit.forget.traces import tree_folders
from agolkit.layout import OWN_NAMES
from agolkit.manifest import MANIFEST, SUMS, manifest_lines, packed, totals, write_lists
from agolkit.report import REPORT, make_report
from agolkit.store import Draft, Store
from agolkit.store.seal import sealed
from agolkit.store.version import FORMAT
from agolkit.unneeded import tells_of

WHOLE = "backup.json"
LOG = "log.jsonl"
NOTEBOOK = "backup.ipynb"
REMOVED = "What this cell has shown was removed: an item of this backup was forgotten.\n"

Facts = dict[str, Any]


def rewrite(store: Store, name: str, notes: Sequence[Mapping[str, str]]) -> Facts:
    """Remove the items that the notes name from every file of a backup and from its tree.

    What `backup.json` says in the end, to be written by `seal` when the blobs are gone too. May be done again.
    """
    facts = {key: value for key, value in {"format": FORMAT, **store.summary(name)}.items() if key != "own_sha256"}
    item_ids = {note["item_id"] for note in notes}
    draft = Draft(store, name)
    if facts["state"] == "unfinished":
        draft.write(WHOLE, sealed({**facts, "forgetting": {"items": notes}}))
        for path in (MANIFEST, SUMS, ALL_ITEMS, REPORT, LOG, NOTEBOOK):  # of the run before; the journal counts
            store.remove(f"backups/{name}/{path}")
    else:
        facts = _rewrite_lists(draft, facts, notes)
    for path in list(_line_files(store, name)):
        _rewrite_lines(draft, path, item_ids)
    _rewrite_notebook(draft)
    for folder in list(tree_folders(store, name, item_ids)):
        store.clear(folder)
    store.flush()
    if "files" in facts:
        written = {path: asdict(draft.files[path]) for path in facts["files"].keys() & draft.files.keys()}
        facts["files"] = dict(sorted({**facts["files"], **written}.items()))
    facts.pop("forgetting", None)
    return {**facts, "forgotten": [*facts.get("forgotten", ()), *notes]}


def seal(store: Store, facts: Mapping[str, Any]) -> None:
    """Write the `backup.json` of a backup that holds nothing of the items any more."""
    Draft(store, facts["name"]).write(WHOLE, sealed(facts))


def _rewrite_lists(draft: Draft, facts: Facts, notes: Sequence[Mapping[str, str]]) -> Facts:
    """Write the manifest, and what is made of it, without the items; what `backup.json` says then."""
    item_ids = {note["item_id"] for note in notes}
    lines = [line for line in manifest_lines(draft.store, facts) if not tells_of(line.decode(), item_ids)]
    manifest = packed(lines)
    before = draft.store.read(draft.name, MANIFEST)
    facts = {**facts, "files": {**facts["files"], MANIFEST: _named(before)}}
    draft.write(WHOLE, sealed({**facts, "forgetting": {"items": notes, "manifest": _named(manifest)}}))
    outcomes = [outcome_from_json(json.loads(line)) for line in lines]
    write_lists(draft, manifest, outcomes)
    facts |= totals(outcomes)
    if REPORT in facts["files"]:
        draft.write(REPORT, make_report(draft.store, outcomes, facts).encode())
    return facts


def _line_files(store: Store, backup: str) -> Iterator[str]:
    """The journal and the log, in one file or in segments."""
    for name in store.names(f"backups/{backup}"):
        if name.casefold() in OWN_NAMES and name != MANIFEST:
            is_file = store.size(f"backups/{backup}/{name}") is not None
            paths = [name] if is_file else [f"{name}/{each}" for each in store.names(f"backups/{backup}/{name}")]
            yield from (path for path in paths if path.endswith((".jsonl", ".jsonl.gz")))


def _rewrite_lines(draft: Draft, path: str, item_ids: Collection[str]) -> None:
    """Remove the lines about the items. A file without lines stays, because the next segment has the next number."""
    goes = _is_about if path.startswith("journal/") else _mentions
    content = draft.store.get(f"backups/{draft.name}/{path}")
    is_packed = path.endswith(".gz")
    try:
        lines = (gzip.decompress(content) if is_packed else content).splitlines(keepends=True)
    except (OSError, EOFError, zlib.error):  # what counts was read before; this is only a log, or no longer needed
        lines = [content]
        kept = []
    else:
        kept = [line for line in lines if not goes(line.decode(errors="replace"), item_ids)]
    # backup.json has the hash of the log, and a removal that was cut short may have left it without these lines.
    if kept != lines or path == LOG:
        after = b"".join(kept)
        draft.write(path, gzip.compress(after, mtime=0) if is_packed else after)


def _is_about(line: str, item_ids: Collection[str]) -> bool:
    try:
        return tells_of(line, item_ids)
    except ValueError:  # torn by a crash, and ignored by every reader
        return True


def _mentions(line: str, item_ids: Collection[str]) -> bool:
    """A line of the log may be about several items, and have a title in any place of a sentence."""
    return any(item_id in line for item_id in item_ids)


def _rewrite_notebook(draft: Draft) -> None:
    """Its outputs show tables of items and what was said of them: they go, and what was run stays."""
    content = draft.store.find(f"backups/{draft.name}/{NOTEBOOK}")
    if content is None:
        return
    try:
        notebook = json.loads(content)
        notebook["metadata"].pop("widgets", None)
        for cell in notebook["cells"]:
            if cell.get("outputs"):
                cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": REMOVED}]
    except (ValueError, KeyError, TypeError, AttributeError):  # no notebook that anybody can open
        draft.store.remove(f"backups/{draft.name}/{NOTEBOOK}")
        return
    draft.write(NOTEBOOK, json.dumps(notebook, indent=1).encode() + b"\n")


def _named(content: bytes) -> dict[str, Any]:
    """How `backup.json` names a file."""
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
