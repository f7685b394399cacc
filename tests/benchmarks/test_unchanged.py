"""What a backup of an organization costs in which nothing has changed since the one before."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

import pytest
from portals import connect

import agolkit as ak
from agolkit.sandbox import Sandbox, city

CONTENT = re.compile(r"/(data|export|query|createReplica)$|/info/|/resources/.|/attachments/|\.(png|jpg)$")
EDITED = 1_700_000_000_000


@pytest.mark.benchmark
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("items", [4_000, 12_000])
def test_an_unchanged_organization(items: int, tmp_path: Path) -> None:
    """Requests, bytes and seconds of the second backup, beside the first one's and the bound that is promised."""
    org = city.generated(items, owners=250, folders=600, groups=120, services=500)
    for service in org.services.values():
        for layer in service.all():
            layer.last_edit = EDITED
    probed = sum(bool(item.resources or item.metadata) for item in org.items.values())
    bound = items / 50 + 250 + 600 + 120 + 1.2 * 500 + probed
    with Sandbox(org) as sandbox:
        store = ak.open_store(tmp_path / "store")
        said = []
        for which in ("first", "second"):
            sandbox.log.clear()
            began = time.monotonic()
            summary = ak.backup(connect(sandbox), store, ak.BackupOptions(tree="none"))
            said.append((which, len(sandbox.log.entries), summary.fetched_bytes, time.monotonic() - began))
        entries = list(sandbox.log.entries)
    requests = len(entries)
    for which, number, size, seconds in said:
        print(
            f"\n{items:,} items, {which} backup: {number:,} requests, {size:,} bytes fetched, {seconds:.1f} s", end=""
        )
    print(f"\n{requests:,} requests of {bound:,.0f} allowed: {requests / bound:.0%}", end="")
    print(f"; {requests / said[0][1]:.1%} of the first run's")
    kinds = Counter(re.sub(r"[0-9a-f]{32}|user\d+|city_admin|generated_\d+", "*", entry.path) for entry in entries)
    for path, number in kinds.most_common(14):
        print(f"  {number:6,}  {path[-90:]}")
    payload = [entry.path for entry in entries if CONTENT.search(entry.path) and entry.method != "HEAD"]
    assert payload == []
    assert (summary.reused, summary.fetched_bytes, summary.new_bytes) == (items, 0, 0)
    assert requests <= bound
