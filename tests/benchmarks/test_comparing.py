"""What comparing costs: the manifests of 12,000 items, and layers of 200,000 and of a million rows.

Run with `pytest -m benchmark -s`. The answers and the memory are conditions; times are printed.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from layers_by_hand import SERVICE_ID, field, header, save_service
from peak import PEAK
from saved import STARTED, save_part

from agolkit.manifest import backup_facts, close_backup, write_manifest
from agolkit.model import Item, Outcome, Part, Reach, Result
from agolkit.options import BackupOptions
from agolkit.store import LocalStore, Spool

pytestmark = [pytest.mark.benchmark, pytest.mark.slow]

ITEMS = 12_000
MOST = 450_000_000
"""Bytes that the process which compares may have at most, Python and all libraries included."""

COMPARE = """
import json, sys, time
import agolkit as ak

place, item_id = sys.argv[1:]
store = ak.open_store(place, create=False)
a, b = store.backup_names()
began = time.perf_counter()
frame = ak.compare_item(store, a, b, item_id) if item_id else ak.compare(store, a, b)
took = time.perf_counter() - began
what = list(ak.compare(store, a, b, items=[item_id])["what"]) if item_id else []
print(json.dumps({"seconds": took, "peak": peak(), "found": len(frame), "what": what}))
"""

ROW = (
    '{{"attributes":{{"OBJECTID":{0},"GlobalID":"0a0b0c0d-0000-0000-0000-{0:012x}","name":"{4} number {0}",'
    '"depth":{1!r},"seen":1577934245678}},"geometry":{{"x":{2!r},"y":{3!r}}}}}\n'
)


def measured(place: Path, item_id: str = "") -> dict[str, object]:
    command = [sys.executable, "-c", PEAK + COMPARE, str(place), item_id]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return told


def save_items(store: LocalStore, day: int, edited: set[int]) -> None:
    """A finished backup of many maps, each looked at since the day before."""
    started = STARTED + timedelta(days=day)
    draft = store.begin(started, "default", tree="none")
    outcomes = []
    for number in range(ITEMS):
        item = Item(f"{number:032x}", f"Map {number}", "Web Map", "ann")
        document = {"operationalLayers": [{"id": "a", "opacity": day if number in edited else 0}]}
        about = {"id": item.id, "title": item.title, "numViews": number * day}
        parts = (
            save_part(store, "item", "item.json", json.dumps(about).encode()),
            save_part(store, "data", "data.json", json.dumps(document).encode()),
            save_part(store, "sharing", "sharing.json", b'{"access": "org", "groups": []}'),
        )
        outcomes.append(Outcome(item, Result.VERIFIED, started, "document", parts, (), "fetched"))
    write_manifest(draft, outcomes)
    facts = backup_facts(
        draft,
        outcomes,
        state="complete",
        finished=started,
        options=BackupOptions(),
        new_bytes=0,
        portal_url="https://example.org/portal",
    )
    close_backup(draft, facts)


def save_trees(store: LocalStore, rows: range, *, named: str, edited: range) -> None:
    """A backup with one layer of points, saved as rows; some have another name."""
    with Spool() as spool:
        for first in range(rows.start, rows.stop, 2_000):
            some = range(first, min(first + 2_000, rows.stop))
            lines = [ROW.format(at, at / 7, at * 1.1, at / 3, named if at in edited else "Tree") for at in some]
            spool.write(gzip.compress("".join(lines).encode(), mtime=0))
        blob, _ = store.add_blob(spool)
    fields = [field("OBJECTID", "OID"), field("GlobalID", "GlobalID"), field("name", "String", length=100)]
    head = header([*fields, field("depth", "Double"), field("seen", "Date")], "Point")
    layer = {"id": 0, "name": "Trees", "globalIdField": "GlobalID", **head}
    definition = {
        "layers": {"layers": [layer], "tables": []},
        "rows": [{"id": 0, "rows": len(rows), "header": head}],
    }
    save_service(store, definition, [Part("rows", "rows/0.jsonl.gz", blob, Reach.CONTENT)])


def test_the_manifests_of_an_organization(tmp_path: Path) -> None:
    """All descriptions differ in their counts of views, and twelve maps were edited: these are found."""
    store = LocalStore(tmp_path / "store")
    store.bind("0123456789abcdef", "Smallville")
    for day in (1, 2):
        save_items(store, day, edited=set(range(0, ITEMS, 1000)))
    told = measured(tmp_path / "store")
    print(f"\n{ITEMS:,} items: {told['seconds']:.1f} s, peak {told['peak'] / 1e6:,.0f} MB")  # type: ignore[operator]
    assert told["found"] == 12


@pytest.mark.parametrize(
    ("rows", "edited"),
    [
        (200_000, range(5, 2_005)),
        (200_000, range(200_001)),
        (1_000_000, range(5, 2_005)),
        (1_000_000, range(1_000_001)),
    ],
    ids=["200,000, few edited", "200,000, all edited", "1,000,000, few edited", "1,000,000, all edited"],
)
def test_the_rows_of_a_layer(tmp_path: Path, rows: int, edited: range, request: pytest.FixtureRequest) -> None:
    """Every added, removed and changed row is counted, some are listed, and memory stays small."""
    store = LocalStore(tmp_path / "store")
    save_trees(store, range(1, rows), named="Tree", edited=edited)
    save_trees(store, range(3, rows + 3), named="Ash", edited=edited)
    told = measured(tmp_path / "store", SERVICE_ID)
    figures = f"{told['seconds']:.1f} s, peak {told['peak'] / 1e6:,.0f} MB"  # type: ignore[operator]
    print(f"\n{request.node.callspec.id}: {figures}; {told['what']}")
    changed = len(range(max(3, edited.start), min(rows, edited.stop)))
    assert told["what"] == [f"rows: +3 -2 ~{changed:,}"]
    assert told["peak"] < MOST  # type: ignore[operator]
