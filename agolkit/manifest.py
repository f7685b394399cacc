"""What a backup says of itself: the journal while it is made, then manifest, AllItems.csv, SHA256SUMS, backup.json.

One line of the journal or the manifest is one item, in the same form (docs/schemas/manifest-line.json). The portal's
own JSON of the item is not in the line; it is the item's part `item.json`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agolkit.all_items import ALL_ITEMS, all_items_csv, items_frame
from agolkit.errors import StoreDamaged
from agolkit.layout import allowed, item_folder, tree_path
from agolkit.model import Blob, Item, Outcome, Part, Reach, Result, to_stamp
from agolkit.options import BackupOptions
from agolkit.store.base import Store
from agolkit.store.draft import Draft
from agolkit.store.seal import sealed
from agolkit.store.version import FORMAT

if TYPE_CHECKING:
    import pandas

MANIFEST = "manifest.jsonl.gz"
SUMS = "SHA256SUMS"
SEGMENT_ITEMS = 100
SEGMENT_SECONDS = 10.0
LONG_SEGMENT = 128 * 1024
"""Bytes above which a segment of the journal is compressed: an item may have ten thousand attachments."""


class Journal:
    """What a run has done so far, item by item, in segments written every 100 items or 10 seconds. Safe in threads.

    A segment is written when everything it refers to survives a power cut, and survives one itself.
    """

    def __init__(self, draft: Draft, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._draft = draft
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._segment = len(draft.store.names(f"backups/{draft.name}/journal")) - 1
        self._due = clock() + SEGMENT_SECONDS

    def add(self, outcome: Outcome) -> None:
        """Note a finished item."""
        with self._lock:
            self._lines.append(_line(outcome_to_json(outcome)))
            if len(self._lines) >= SEGMENT_ITEMS:
                self._write()
        self.tick()

    def announce(self, facts: Mapping[str, str]) -> None:
        """Note something that is about to be made in the portal, durably, before it is made."""
        self._add_now({"announced": dict(facts)})

    def resumed(self, facts: Mapping[str, str]) -> None:
        """Note that another run has taken the backup up, before it adds anything."""
        self._add_now({"resumed": dict(facts)})

    def tick(self) -> None:
        """Write what has waited for 10 seconds. Call it now and then while nothing is added."""
        with self._lock:
            if self._clock() >= self._due:
                self._write()

    def close(self) -> None:
        """Write what is left."""
        with self._lock:
            self._write()

    def _add_now(self, facts: Mapping[str, Any]) -> None:
        with self._lock:
            self._lines.append(_line(facts))
            self._write()

    def _write(self) -> None:
        if self._lines:
            self._segment += 1
            self._draft.flush()
            name, content = f"journal/{self._segment:06}.jsonl", b"".join(self._lines)
            if len(content) > LONG_SEGMENT:
                name, content = f"{name}.gz", gzip.compress(content, compresslevel=6, mtime=0)
            self._draft.write(name, content)
            self._lines = []
        self._due = self._clock() + SEGMENT_SECONDS


def write_manifest(draft: Draft, outcomes: Iterable[Outcome]) -> None:
    """Write the manifest, AllItems.csv and SHA256SUMS. The same outcomes, in any order, make the same bytes."""
    ordered = sorted(outcomes, key=lambda outcome: (outcome.item.type, outcome.item.title, outcome.item.id))
    lines = b"".join(_line(outcome_to_json(outcome)) for outcome in ordered)
    draft.flush()
    draft.write(MANIFEST, gzip.compress(lines, mtime=0))
    draft.write(SUMS, sha256_sums(ordered))
    draft.write(ALL_ITEMS, all_items_csv(ordered))


def backup_facts(
    draft: Draft,
    outcomes: Sequence[Outcome],
    *,
    state: str,
    finished: datetime,
    options: BackupOptions,
    new_bytes: int,
    portal_url: str,
    reused_bytes: int = 0,
    left_behind: Sequence[str] = (),
) -> dict[str, Any]:
    """What there is to say of the run as a whole: `backup.json` without its list of files."""
    counts = Counter(outcome.result for outcome in outcomes)
    return {
        "format": FORMAT,
        "name": draft.name,
        "state": state,
        **draft.facts,
        "finished": to_stamp(finished),
        "portal": {"url": portal_url, "id": draft.store.portal_id, "name": draft.store.portal_name},
        "options": asdict(options),
        "items": len(outcomes),
        "counts": {str(result): counts[result] for result in Result},
        "saved_bytes": sum(outcome.saved_bytes for outcome in outcomes),
        "fetched_bytes": sum(outcome.saved_bytes for outcome in outcomes if outcome.how == "fetched") - reused_bytes,
        "new_bytes": new_bytes,
        "left_behind": list(left_behind),
        "tree": draft.tree,
    }


def close_backup(draft: Draft, facts: Mapping[str, Any]) -> None:
    """Write `backup.json`, the last file: from here on the backup is `complete` or `stopped`."""
    files = {path: asdict(blob) for path, blob in sorted(draft.files.items())}
    draft.write("backup.json", sealed({**facts, "files": files}))


def read_outcomes(store: Store, backup: str) -> list[Outcome]:
    """Every item of a backup, exactly as it was noted: from the manifest; of a killed run, from its journal.

    `Item.raw` is empty; the portal's JSON is the part `item.json`.

    Raises
    ------
    NoSuchBackup
        The store has no such backup.
    StoreDamaged
        The manifest is missing, is not the one that `backup.json` names, or holds what no agolkit wrote.
    """
    name = store.resolve(backup)
    facts = store.summary(name)
    if facts["state"] == "unfinished":
        lines = [line for line in _journal_lines(store, name) if "item" in line]
        try:
            return list({outcome.item.id: outcome for outcome in map(outcome_from_json, lines)}.values())
        except (ValueError, KeyError, TypeError) as error:
            raise StoreDamaged(f"The journal of the backup {name} cannot be read: {error!r}.") from error
    content = store.find(f"backups/{name}/{MANIFEST}")
    wanted = facts.get("files", {}).get(MANIFEST, {}).get("sha256")
    if content is None or hashlib.sha256(content).hexdigest() != wanted:
        what = "has no manifest" if content is None else "has a manifest that is not the one its backup.json names"
        raise StoreDamaged(f"The backup {name} in {store.location} {what}.")
    try:
        return [outcome_from_json(json.loads(line)) for line in gzip.decompress(content).splitlines()]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreDamaged(
            f"The manifest of the backup {name} in {store.location} cannot be read: {error!r}."
        ) from error


def read_announcements(store: Store, backup: str) -> list[dict[str, str]]:
    """What a run announced before it made it in the portal, in order; it may have been removed since."""
    return [line["announced"] for line in _journal_lines(store, store.resolve(backup)) if "announced" in line]


def load_items(store: Store, backup: str = "latest") -> pandas.DataFrame:
    """AllItems of a backup with exact values: one row per item, in the order of AllItems.csv.

    Columns are those of AllItems.csv: `created`, `modified`, `observed` are UTC datetimes (missing where the portal
    says nothing), `size_bytes`, `files`, `saved_bytes`, `attempts` are `Int64`, `seconds` is a float, `groups`, `tags`
    and `left_out` hold lists, all else is text. Raises what `read_outcomes` raises.
    """
    return items_frame(read_outcomes(store, backup))


def sha256_sums(outcomes: Iterable[Outcome]) -> bytes:
    """SHA256SUMS of the tree, sorted by path, as `sha256sum -c` reads it."""
    pairs = {tree_path(outcome.item, part): part.blob.sha256 for outcome in outcomes for part in outcome.parts}
    return "".join(sum_line(digest, path) for path, digest in sorted(pairs.items())).encode()


def sum_line(digest: str, path: str) -> str:
    """One line for `sha256sum -c`; a path with a backslash or a line end is escaped as GNU coreutils does it."""
    escaped = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == path else chr(92)}{digest}  {escaped}\n"


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """One line of the manifest or the journal."""
    item = outcome.item
    return {
        "item": {
            "id": item.id,
            "title": item.title,
            "type": item.type,
            "owner": item.owner,
            "folder": item.folder,
            "access": item.access,
            "tags": list(item.tags),
            "type_keywords": list(item.type_keywords),
            "created": item.created and to_stamp(item.created),
            "modified": item.modified and to_stamp(item.modified),
            "size": item.size,
            "url": item.url,
        },
        "result": str(outcome.result),
        "observed": to_stamp(outcome.observed),
        "kind": outcome.kind,
        "path": item_folder(item) if outcome.parts else "",
        "parts": [
            {
                "name": part.name,
                "path": part.path,
                "sha256": part.blob.sha256,
                "size": part.blob.size,
                "reach": str(part.reach),
                "proof": part.proof,
                "exact_name": part.exact_name,
            }
            for part in outcome.parts
        ],
        "groups": list(outcome.groups),
        "how": outcome.how,
        "left_out": list(outcome.left_out),
        "attempts": outcome.attempts,
        "seconds": outcome.seconds,
        "message": outcome.message,
    }


def outcome_from_json(line: Mapping[str, Any]) -> Outcome:
    """The outcome that a line tells of. Fields that are not known are ignored; a missing one is a `KeyError`, a path
    that leads elsewhere a `ValueError`."""
    item = line["item"]
    return Outcome(
        item=Item(
            id=item["id"],
            title=item["title"],
            type=item["type"],
            owner=item["owner"],
            folder=item["folder"],
            access=item["access"],
            tags=tuple(item["tags"]),
            type_keywords=tuple(item["type_keywords"]),
            created=item["created"] and datetime.fromisoformat(item["created"]),
            modified=item["modified"] and datetime.fromisoformat(item["modified"]),
            size=item["size"],
            url=item["url"],
        ),
        result=Result(line["result"]),
        observed=datetime.fromisoformat(line["observed"]),
        kind=line["kind"],
        parts=tuple(map(_part_from_json, line["parts"])),
        groups=tuple(line["groups"]),
        how=line["how"],
        left_out=tuple(line["left_out"]),
        attempts=line["attempts"],
        seconds=line["seconds"],
        message=line["message"],
    )


def _part_from_json(told: Mapping[str, Any]) -> Part:
    path = told["path"]
    # `fetch` would write where nobody asked it to.
    if not allowed(path, windows=False) or "\\" in path or ":" in path:
        raise ValueError(f"{path!r} is no path inside an item.")
    return Part(
        name=told["name"],
        path=path,
        blob=Blob(told["sha256"], told["size"]),
        reach=Reach(told["reach"]),
        proof=told["proof"],
        exact_name=told["exact_name"],
    )


def _line(facts: Mapping[str, Any]) -> bytes:
    return json.dumps(facts, separators=(",", ":")).encode() + b"\n"


def _journal_lines(store: Store, name: str) -> list[dict[str, Any]]:
    """The lines of a journal. The last line of a run that was torn by a crash is left out; other damage is said."""
    folder = f"backups/{name}/journal"
    segments = [segment for segment in store.names(folder) if segment.endswith((".jsonl", ".jsonl.gz"))]
    lines: list[dict[str, Any]] = []
    torn = ""
    for segment in segments:
        content = store.get(f"{folder}/{segment}")
        try:
            texts = (gzip.decompress(content) if segment.endswith(".gz") else content).splitlines()
        except (OSError, EOFError, zlib.error) as error:
            raise StoreDamaged(f"The journal of the backup {name} is damaged: {segment}.") from error
        for number, text in enumerate(texts, 1):
            try:
                line = json.loads(text)
            except ValueError:
                line, torn = None, torn or f"{segment}, line {number}"
                if number == len(texts):
                    continue
            if torn and not (line and "resumed" in line):
                raise StoreDamaged(f"The journal of the backup {name} is damaged: {torn}.")
            torn = ""
            lines.append(line)
    return lines
