"""How long a backup takes beside what people write with the `arcgis` client: both sides against the same portal.

Run with `pytest -m benchmark -s`. The peer works through an even sample and its time is scaled up; the ratio counts.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import agolkit as ak
from agolkit.model import Result
from agolkit.sandbox import city

pytestmark = [pytest.mark.benchmark, pytest.mark.slow]


@contextmanager
def timed() -> Iterator[list[float]]:
    took: list[float] = []
    began = time.perf_counter()
    yield took
    took.append(time.perf_counter() - began)


def client_of(served: Any) -> Any:
    """A signed-in, unmodified `arcgis` client."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from arcgis.gis import GIS

        return GIS(served.url, served.username, served.password, ca_bundles=served.ca_bundle)


def save_with_client(item: Any, folder: Path) -> None:
    """All parts of one small item, as a careful script saves them."""
    folder.mkdir(parents=True)
    (folder / "item.json").write_text(str(dict(item)))
    (folder / "data.json").write_text(str(item.get_data()))
    if "Metadata" in item.typeKeywords:
        item.download_metadata(str(folder))
    for resource in item.resources.list():
        item.resources.get(resource["resource"], out_folder=str(folder), try_json=False)
    if item.thumbnail:
        item.download_thumbnail(str(folder))
    (folder / "sharing.txt").write_text(str(item.sharing.shared_with["groups"]))


@pytest.mark.filterwarnings("ignore")
def test_a_thousand_small_items(serve: Callable[..., Any], tmp_path: Path) -> None:
    """1,000 small items at 50 ms latency take at most a tenth of the time of a one-by-one loop."""
    sample = 60
    served = serve(
        city.generated, {"items": 1000, "owners": 5, "folders": 10, "groups": 5, "services": 0}, latency=0.05
    )
    with timed() as ours:
        portal = ak.connect(served.url, username=served.username, password=served.password, ca_bundle=served.ca_bundle)
        summary = ak.backup(portal, ak.open_store(tmp_path / "store"))
    assert sum(summary.counts.values()) == 1000
    assert not summary.failures

    gis = client_of(served)
    items = list(gis.content.advanced_search(f"orgid:{portal.org_id}", max_items=1000)["results"])
    some = items[:: len(items) // sample][:sample]
    with timed() as peer:
        for item in some:
            save_with_client(item, tmp_path / "peer" / item.id)
    scaled = peer[0] / len(some) * len(items)
    print(
        f"\n1,000 small items, 50 ms: agolkit {ours[0]:.1f} s ({portal.requests:,} requests), one by one {scaled:.0f} s"
        f" (from {len(some)} items): ratio {scaled / ours[0]:.1f}"
    )
    assert scaled / ours[0] >= 10


@pytest.mark.filterwarnings("ignore")
def test_twenty_services(serve: Callable[..., Any], tmp_path: Path) -> None:
    """20 services with 3-second export jobs take at most a fifth of the time of a one-by-one loop."""
    sample = 4
    served = serve(
        city.generated, {"items": 20, "owners": 2, "folders": 2, "groups": 1, "services": 20}, export_seconds=3.0
    )
    with timed() as ours:
        portal = ak.connect(served.url, username=served.username, password=served.password, ca_bundle=served.ca_bundle)
        summary = ak.backup(portal, ak.open_store(tmp_path / "store"), ak.BackupOptions(types=["Feature Service"]))
    assert summary.counts[Result.VERIFIED] == 20

    gis = client_of(served)
    services = gis.content.search(f"orgid:{portal.org_id}", item_type="Feature Service", max_items=100)
    with timed() as peer:
        for item in services[:sample]:
            export = item.export(f"peer_{item.id}", "File Geodatabase")
            export.download(str(tmp_path / "peer"), f"{item.id}.zip")
            export.delete(permanent=True)
    scaled = peer[0] / sample * len(services)
    print(
        f"\n20 services, 3 s jobs: agolkit {ours[0]:.1f} s, one by one {scaled:.0f} s (from {sample} services):"
        f" ratio {scaled / ours[0]:.1f}"
    )
    assert len(services) == 20
    assert scaled / ours[0] >= 5
