"""A layer of a million rows: how fast it goes through, and that memory does not grow with it.

Run with `pytest -m benchmark -s`. Only the memory is a condition; times are printed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peak import PEAK

from agolkit.sandbox import city
from agolkit.sandbox.city.large import large_layer
from agolkit.sandbox.organization import Item, Organization, Service

pytestmark = [pytest.mark.benchmark, pytest.mark.slow]

MOST = 400_000_000
"""Bytes that the process which makes the backup may have at most, Python and all libraries included."""

BACKUP = """
import json, sys, time
import agolkit as ak

url, ca_bundle, username, password, place, chosen = sys.argv[1:]
portal = ak.connect(url, username=username, password=password, ca_bundle=ca_bundle)
began = time.perf_counter()
options = ak.BackupOptions(types=["Feature Service"], feature_format=chosen)
summary = ak.backup(portal, ak.open_store(place), options)
took = time.perf_counter() - began
most = peak()
checked = ak.load_items(ak.open_store(place), "latest")["checked"].iloc[0]
print(json.dumps({"seconds": took, "peak": most, "summary": str(summary), "checked": checked}))
"""


def one_large_service(rows: int) -> Organization:
    """An organization with nothing but one service of one layer."""
    org = city.generated(items=1, owners=1, folders=1, groups=1, services=1)
    service: Service = next(iter(org.services.values()))
    item: Item = org.items[service.item_id]
    service.layers, service.tables = [large_layer(0, "Hydrants", rows)], []
    assert item.service == service.name
    return org


@pytest.mark.parametrize("chosen", ["rows", "fgdb"])
def test_a_million_rows_need_little_memory(serve: Callable[..., Any], tmp_path: Path, chosen: str) -> None:
    """A layer of a million rows is saved with all its ids, in less than 400 MB."""
    rows = 1_000_000
    served = serve(one_large_service, {"rows": rows})
    where = [served.url, served.ca_bundle, served.username, served.password, str(tmp_path / "store"), chosen]
    done = subprocess.run([sys.executable, "-c", PEAK + BACKUP, *where], stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{rows:,} rows as {chosen}: {rows / told['seconds']:,.0f} rows/s, peak {told['peak'] / 1e6:,.0f} MB")
    assert "1 verified" in told["summary"]
    assert f"{rows:,} of {rows:,}" in told["checked"]
    assert told["peak"] < MOST
