"""The files of a backup itself: that they are as they were written, and say the same as each other."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from agolkit.all_items import ALL_ITEMS, all_items_csv
from agolkit.errors import StoreDamaged
from agolkit.manifest import MANIFEST, SUMS, read_outcomes, sha256_sums, totals
from agolkit.model import Blob, Outcome
from agolkit.report import REPORT
from agolkit.store.seal import is_sealed
from agolkit.verify.inspection import Inspection

WHOLE = "backup.json"


def check_own_files(inspection: Inspection) -> tuple[dict[str, Any], list[Outcome]]:
    """What `backup.json` says, and every item of the backup; nothing where that cannot be read any more."""
    try:
        facts = inspection.store.summary(inspection.backup)
    except StoreDamaged as error:
        inspection.add(WHOLE, str(error))
        return {}, []
    if "forgetting" in facts:
        inspection.add(WHOLE, _cut_short(facts["forgetting"]["items"]))
    if facts["state"] == "unfinished":
        _check_unfinished(inspection)
        return facts, _outcomes(inspection, "journal")
    if not is_sealed(inspection.store.get(inspection.key(WHOLE))):
        inspection.add(WHOLE, "its content was changed; without it nothing else can be looked at")
        return facts, []
    if "forgetting" in facts:
        return facts, _outcomes(inspection, MANIFEST)  # the other files are being written anew
    broken = set()
    for path, expected in facts.get("files", {}).items():
        what = inspection.trouble(inspection.key(path), Blob(expected["sha256"], expected["size"]))
        if what:
            broken.add(path)
            inspection.add(path, f"{what}; without it no item can be looked at" if path == MANIFEST else what)
    outcomes = [] if MANIFEST in broken else _outcomes(inspection, MANIFEST)
    for path, what in _contradictions(inspection, facts, outcomes) if outcomes else ():
        if path not in broken:
            inspection.add(path, what)
    if inspection.deep:
        for path in sorted({"organization.json", "log.jsonl"} & facts.get("files", {}).keys() - broken):
            what = _no_json(inspection.store.get(inspection.key(path)), by_line=path.endswith("l"))
            if what:
                inspection.add(path, what)
    return facts, outcomes


def _check_unfinished(inspection: Inspection) -> None:
    """A run that was killed leaves no backup.json, or the one that it wrote when it took up the backup of another run.

    An empty one, or all that comes before it, it hardly leaves.
    """
    content = inspection.store.find(inspection.key(WHOLE))
    if content is not None and not is_sealed(content):
        inspection.add(WHOLE, "its content was changed" if content else "it is empty")
    elif content is None and inspection.store.size(inspection.key(REPORT)) is not None:
        inspection.add(
            WHOLE, "it is missing, though all that is written before it is there: it was removed, or the run was killed"
        )


def _outcomes(inspection: Inspection, where: str) -> list[Outcome]:
    try:
        return read_outcomes(inspection.store, inspection.backup)
    except StoreDamaged as error:
        inspection.add(where, str(error))
        return []


def _contradictions(
    inspection: Inspection, facts: Mapping[str, Any], outcomes: Sequence[Outcome]
) -> list[tuple[str, str]]:
    """Where a file of the backup does not say what the manifest says: (path, what is wrong)."""
    find, key = inspection.store.find, inspection.key
    found = []
    if find(key(SUMS)) not in (sha256_sums(outcomes), None):
        found.append((SUMS, "it does not say what the manifest says"))
    table = find(key(ALL_ITEMS))
    if table is not None and _verdicts(table) != _verdicts(all_items_csv(outcomes)):
        found.append((ALL_ITEMS, "it does not have the items and results of the manifest"))
    wrong = [name for name, value in totals(outcomes).items() if facts.get(name) != value]
    if wrong:
        found.append((WHOLE, f"its {' and '.join(wrong)} are not those of the manifest"))
    return found


def _cut_short(notes: Sequence[Mapping[str, Any]]) -> str:
    """Which removal has not come to its end, and how it does."""
    named = " ".join(f"--item {note['item_id']}" for note in notes)
    return f"a removal of items has not come to its end; finish it with agolkit forget {named} --yes"


def _verdicts(table: bytes) -> list[tuple[str | None, str | None]] | None:
    """(item id, result) of each row of an AllItems.csv; `None` where it is no table."""
    try:
        rows = csv.DictReader(io.StringIO(table.decode("utf-8-sig"), newline=""))
        return [(row.get("item_id"), row.get("result")) for row in rows]
    except (ValueError, csv.Error):
        return None


def _no_json(content: bytes, *, by_line: bool) -> str:
    """Why content is not JSON, or not one JSON document a line; empty where it is."""
    try:
        for text in content.splitlines() if by_line else [content]:
            json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"it is not well-formed: {error}"
    return ""
