"""Two hundred killed runs of towns of every sort; each row of runs ends as one undisturbed run does.

Run with `pytest -m soak -s`. Moments and figures are printed; a seed makes the same moments again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fault_town import IDS, fault_town
from hand_built import PASSWORD
from interrupted import EDITED, town
from killed import kill_again_and_again, knows_processes, run

import agolkit as ak
from agolkit.sandbox import Sandbox, Settings
from agolkit.sandbox.city.large import large_layer, photo
from agolkit.sandbox.organization import Item, Organization, Repeated, User

pytestmark = [pytest.mark.soak, knows_processes, pytest.mark.timeout(7200)]

KILLS = 10
"""In each row of runs; there are four towns, and five rows for each."""
SEEDS = range(100, 105)


def many_documents() -> Organization:
    """Documents with thumbnails, metadata and resources, and some exported layers."""
    return town(items=60)


def every_kind() -> Organization:
    """One item of each kind: an export, rows with attachments, a view, tiles, a form, a file, a map."""
    org = fault_town()
    for service in org.services.values():
        for layer in service.all():
            layer.last_edit = EDITED
    return org


def photographs() -> Organization:
    """A survey with 160 photographs beside a few documents."""
    org = town(items=8)
    service = next(iter(org.services.values()))
    layer = large_layer(0, "Survey", 80, attachments_per_row=2, photo_bytes=50_000)
    layer.last_edit = EDITED
    service.layers = [layer]
    return org


def large_files() -> Organization:
    """Six files of 12 MB that go over the scratch disk."""
    org = Organization(id="0123456789abcdef", name="Filesville", url_key="files", admin="boss")
    org.add(User("boss", "The Boss", PASSWORD, "org_admin"))
    for at in range(6):
        data = Repeated(photo(at, 1_000_003).chunks().__next__(), 12_000_000)
        item = Item(
            f"{at + 1:032x}", "boss", "Image Collection", f"Flight {at}", created=EDITED, modified=EDITED, data=data
        )
        item.name, item.data_type = f"flight{at}.bin", "application/octet-stream"
        org.add(item)
    return org


TOWNS: dict[Callable[[], Organization], frozenset[str]] = {
    many_documents: frozenset(),
    every_kind: frozenset({IDS["view"], IDS["tiles"]}),
    photographs: frozenset(),
    large_files: frozenset(),
}
"""Each town, and its items of which the portal cannot say that they are unchanged."""


@pytest.mark.parametrize("make", TOWNS, ids=lambda make: make.__name__)
def test_two_hundred_kills(tmp_path: Path, make: Callable[[], Organization]) -> None:
    """After each kill the store is whole; each run fetches only what is missing; the end is the same, and clean."""
    with Sandbox(make(), Settings(latency=0.005, export_seconds=0.1, bandwidth=20_000_000)) as sandbox:
        alone = run(sandbox, tmp_path / "undisturbed")
        undisturbed = ak.open_store(tmp_path / "undisturbed")
        for seed in SEEDS:
            place = tmp_path / f"store {seed}"
            figures = kill_again_and_again(sandbox, place, undisturbed, alone, seed, KILLS, saved_anew=TOWNS[make])
            print(f"{make.__name__}: {figures}")
            assert figures.kills == KILLS
