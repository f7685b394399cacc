"""What a finished backup says of itself: manifest, AllItems.csv, SHA256SUMS, and last of all backup.json."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agolkit.all_items import ALL_ITEMS, all_items_csv, items_frame
from agolkit.entries import entry_line, outcome_from_json, outcome_to_json
from agolkit.errors import StoreDamaged
from agolkit.journal import journal_lines
from agolkit.layout import tree_path
from agolkit.model import Outcome, Result, to_stamp
from agolkit.options import BackupOptions
from agolkit.store.base import Store
from agolkit.store.draft import Draft
from agolkit.store.seal import sealed
from agolkit.store.version import FORMAT

if TYPE_CHECKING:
    import pandas

MANIFEST = "manifest.jsonl.gz"
SUMS = "SHA256SUMS"


def write_manifest(draft: Draft, outcomes: Iterable[Outcome]) -> None:
    """Write the manifest, AllItems.csv and SHA256SUMS. The same outcomes, in any order, make the same bytes."""
    ordered = sorted(outcomes, key=lambda outcome: (outcome.item.type, outcome.item.title, outcome.item.id))
    lines = b"".join(entry_line(outcome_to_json(outcome)) for outcome in ordered)
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
    stopped_by: str = "",
) -> dict[str, Any]:
    """What there is to say of the run as a whole: `backup.json` without its list of files."""
    counts = Counter(outcome.result for outcome in outcomes)
    return {
        "format": FORMAT,
        "name": draft.name,
        "state": state,
        **({"stopped_by": stopped_by} if stopped_by else {}),
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
        lines = [line for line in journal_lines(store, name) if "item" in line]
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
