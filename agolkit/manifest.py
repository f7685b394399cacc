"""What a finished backup says of itself: manifest, AllItems.csv, SHA256SUMS, and last of all backup.json."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
from agolkit.packed import unpacked_list
from agolkit.store.base import Store
from agolkit.store.draft import Draft
from agolkit.store.seal import sealed
from agolkit.store.version import FORMAT

if TYPE_CHECKING:
    import pandas

MANIFEST = "manifest.jsonl.gz"
SUMS = "SHA256SUMS"

_ID = re.compile(rb'"id": ?"((?:[^"\\]|\\.)*)"')
"""Ids in a line, as they are written there."""

LOOK_BACK = 50
"""Backups of a store that are looked into for what an earlier one says of an item: those of a month of nights, and of
other scopes that take turns with them. Each costs the reading of a manifest, once in a run."""


def write_manifest(draft: Draft, outcomes: Iterable[Outcome]) -> None:
    """Write the manifest, AllItems.csv and SHA256SUMS. The same outcomes, in any order, make the same bytes."""
    ordered = _in_order(outcomes)
    draft.flush()
    write_lists(draft, packed_manifest(ordered), ordered)


def packed_manifest(outcomes: Iterable[Outcome]) -> bytes:
    """The content of a manifest; the same outcomes, in any order, make the same bytes."""
    return packed(entry_line(outcome_to_json(outcome)) for outcome in _in_order(outcomes))


def _in_order(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return sorted(outcomes, key=lambda outcome: (outcome.item.type, outcome.item.title, outcome.item.id))


def write_lists(draft: Draft, manifest: bytes, outcomes: Sequence[Outcome]) -> None:
    """Write a packed manifest, and what says the same in other forms: AllItems.csv and SHA256SUMS."""
    draft.write(MANIFEST, manifest)
    draft.write(SUMS, sha256_sums(outcomes))
    draft.write(ALL_ITEMS, all_items_csv(outcomes))


def packed(lines: Iterable[bytes]) -> bytes:
    """Lines as the content of a manifest; the same lines make the same bytes."""
    return gzip.compress(b"".join(lines), mtime=0)


def backup_facts(
    draft: Draft,
    outcomes: Sequence[Outcome],
    *,
    state: str,
    finished: datetime,
    options: BackupOptions,
    new_bytes: int,
    portal_url: str,
    url_key: str = "",
    reused_bytes: int = 0,
    left_behind: Sequence[str] = (),
    unsigned: Sequence[str] = (),
    stopped_by: str = "",
    account: Mapping[str, Any] | None = None,
    alarms: Sequence[str] = (),
) -> dict[str, Any]:
    """What there is to say of the run as a whole: `backup.json` without its list of files."""
    return {
        "format": FORMAT,
        "name": draft.name,
        "state": state,
        **({"stopped_by": stopped_by} if stopped_by else {}),
        **draft.facts,
        "finished": to_stamp(finished),
        "portal": {
            "url": portal_url,
            "id": draft.store.portal_id,
            "name": draft.store.portal_name,
            **({"url_key": url_key} if url_key else {}),
        },
        **({"account": dict(account)} if account else {}),
        "options": asdict(options),
        **totals(outcomes),
        "fetched_bytes": sum(outcome.saved_bytes for outcome in outcomes) - reused_bytes,
        "new_bytes": new_bytes,
        "left_behind": list(left_behind),
        "reused": sum(outcome.how == "reused" for outcome in outcomes),
        "unsigned": list(unsigned),
        "alarms": list(alarms),
        "tree": draft.tree,
    }


def totals(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What `backup.json` says of the sum of all items."""
    counts = Counter(outcome.result for outcome in outcomes)
    return {
        "items": len(outcomes),
        "counts": {str(result): counts[result] for result in Result},
        "saved_bytes": sum(outcome.saved_bytes for outcome in outcomes),
    }


def close_backup(draft: Draft, facts: Mapping[str, Any]) -> None:
    """Write `backup.json`, the last file: from here on the backup is `complete` or `stopped`."""
    files = {path: asdict(blob) for path, blob in sorted(draft.files.items())}
    draft.write("backup.json", sealed({**facts, "files": files}))


def read_outcomes(store: Store, backup: str, *, only: Collection[str] = ()) -> list[Outcome]:
    """Every item of a backup, exactly as it was noted: from the manifest; of a killed run, from its journal.

    None of one that is half removed. `Item.raw` is empty; the portal's JSON is the part `item.json`. With `only` there
    are just the items with these ids, which is quicker.

    Raises
    ------
    NoSuchBackup
        The store has no such backup.
    StoreDamaged
        The manifest is missing, is not the one that `backup.json` names, or holds what no agolkit wrote.
    """
    name = store.resolve(backup)
    facts = store.summary(name)
    if facts["state"] == "removed":
        return []
    if facts["state"] == "unfinished":
        try:
            lines = [line for line in journal_lines(store, name) if "item" in line]
            lines = [line for line in lines if not only or line["item"]["id"] in only]
            return list({outcome.item.id: outcome for outcome in map(outcome_from_json, lines)}.values())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreDamaged(f"The journal of the backup {name} cannot be read: {error!r}.") from error
    try:
        texts: Iterable[bytes] = manifest_lines(store, facts)
        if only:
            wanted = {json.dumps(item_id)[1:-1].encode() for item_id in only}
            texts = (text for text in texts if not wanted.isdisjoint(_ID.findall(text)))
        outcomes = [outcome_from_json(json.loads(text)) for text in texts]
        return [outcome for outcome in outcomes if not only or outcome.item.id in only]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreDamaged(
            f"The manifest of the backup {name} in {store.location} cannot be read: {error!r}."
        ) from error


def manifest_lines(store: Store, facts: Mapping[str, Any]) -> Iterator[bytes]:
    """The lines of the manifest that a backup's summary names; `StoreDamaged` where there is no such manifest.

    While items are being removed from a backup, its `backup.json` names the manifest with them and the one without.
    """
    content = store.find(f"backups/{facts['name']}/{MANIFEST}")
    named = facts.get("files", {}).get(MANIFEST), facts.get("forgetting", {}).get("manifest")
    if content is None or hashlib.sha256(content).hexdigest() not in [each["sha256"] for each in named if each]:
        what = "has no manifest" if content is None else "has a manifest that is not the one its backup.json names"
        raise StoreDamaged(f"The backup {facts['name']} in {store.location} {what}.")
    yield from unpacked_list(content)


def load_items(store: Store, backup: str = "latest") -> pandas.DataFrame:
    """AllItems of a backup with exact values: one row per item, in the order of AllItems.csv.

    Columns are those of AllItems.csv: `created`, `modified`, `observed` are UTC datetimes (missing where the portal
    says nothing), `size_bytes`, `files`, `saved_bytes`, `attempts` are `Int64`, `seconds` is a float, `groups`, `tags`
    and `left_out` hold lists, all else is text, and `url` is without passwords and tokens. Raises what `read_outcomes`
    raises.
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
