"""A saved layer of a million rows becomes a file for ArcGIS Pro, QGIS or pandas, in memory that does not grow with it.

Run with `pytest -m benchmark -s`. Only the memory is a condition; times are printed.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from layers_by_hand import SERVICE_ID, field, header, save_service
from peak import PEAK

from agolkit.model import Part, Reach
from agolkit.store import LocalStore, Spool

pytestmark = [pytest.mark.benchmark, pytest.mark.slow]

ROWS = 1_000_000
MOST = 400_000_000
"""Bytes that the process which converts may have at most, Python and all libraries included."""

FETCH = """
import json, sys, time
import agolkit as ak

place, item_id, to, format = sys.argv[1:]
store = ak.open_store(place, create=False)
began = time.perf_counter()
done = ak.fetch(store, store.backups()["name"][0], to, items=[item_id], format=format)
took = time.perf_counter() - began
most = peak()
print(json.dumps({"seconds": took, "peak": most, "rows": done.rows, "bytes": done.bytes}))
"""

ROW = (
    '{{"attributes":{{"OBJECTID":{0},"GlobalID":"0a0b0c0d-0000-0000-0000-{0:012x}","name":"Tree number {0}",'
    '"depth":{1!r},"seen":1577934245678}},"geometry":{{"x":{2!r},"y":{3!r}}}}}\n'
)


def save_trees(store: LocalStore) -> None:
    """A backup with one layer of points, saved as rows."""
    store.bind("0123456789abcdef", "Smallville")
    with Spool() as spool:
        for first in range(1, ROWS, 2_000):
            lines = "".join(ROW.format(at, at / 7, at * 1.1, at / 3) for at in range(first, first + 2_000))
            spool.write(gzip.compress(lines.encode(), mtime=0))
        blob, _ = store.add_blob(spool)
    fields = [field("OBJECTID", "OID"), field("GlobalID", "GlobalID"), field("name", "String", length=100)]
    head = header([*fields, field("depth", "Double"), field("seen", "Date")], "Point")
    definition = {
        "layers": {"layers": [{"id": 0, "name": "Trees", **head}], "tables": []},
        "rows": [{"id": 0, "rows": ROWS, "header": head}],
    }
    save_service(store, definition, [Part("rows", "rows/0.jsonl.gz", blob, Reach.CONTENT)])


def test_a_million_rows_are_converted_in_little_memory(tmp_path: Path) -> None:
    """Each format takes less than 400 MB, and holds every row."""
    save_trees(LocalStore(tmp_path / "store"))
    for format in ("gdb", "gpkg", "parquet"):
        where = [str(tmp_path / "store"), SERVICE_ID, str(tmp_path / format), format]
        done = subprocess.run(
            [sys.executable, "-c", PEAK + FETCH, *where], stdout=subprocess.PIPE, text=True, check=True
        )
        told = json.loads(done.stdout.splitlines()[-1])
        speed, peak, size = ROWS / told["seconds"], told["peak"] / 1e6, told["bytes"] / 1e6
        print(f"\n{ROWS:,} rows as {format}: {speed:,.0f} rows/s, peak {peak:,.0f} MB, {size:,.0f} MB on disk")
        assert told["rows"] == ROWS
        assert told["peak"] < MOST
