"""Every item type: each goes through, unknown ones too, and docs/item-types.md says what is saved of it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from city_run import Run
from item_types import PAGE, outcomes_of, page
from portals import connect
from saved import zipped

import agolkit as ak
from agolkit.kinds.relations import relation_types
from agolkit.kinds.types import ITEM_TYPES
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, Result
from agolkit.sandbox import Sandbox, city
from agolkit.sandbox.organization import Bytes, Item, Organization

ADDRESS = "https://gis.example.org/arcgis/rest/services/Streets/MapServer"
JSON = json.dumps({"version": "1.0"}).encode()


@pytest.fixture
def org() -> Organization:
    return city.generated(items=0, owners=1, folders=0, groups=0, services=0)


def item_of(org: Organization, item_type: str, data: bytes | None = None, **facts: object) -> Item:
    """An item of this type in the organization."""
    item = Item(f"{len(org.items) + 1:032x}", org.admin, item_type, f"A {item_type}", created=1_700_000_000_000)
    item.data = None if data is None else Bytes(data)
    for name, value in facts.items():
        setattr(item, name, value)
    org.add(item)
    return item


def saved(sandbox: Sandbox, store: Path) -> dict[str, Outcome]:
    """The outcomes of a backup of everything, by item id."""
    ak.backup(connect(sandbox), ak.open_store(store), ak.BackupOptions(exclude_types=[]))
    return {outcome.item.id: outcome for outcome in read_outcomes(ak.open_store(store), "latest")}


def test_the_page_on_item_types_is_up_to_date(run: Run, tmp_path: Path) -> None:
    """docs/item-types.md is what the table of types and a backup of the city say; `python tests/item_types.py`."""
    left_out = outcomes_of(run.portal, tmp_path, types=ak.BackupOptions().exclude_types, exclude_types=[])
    assert PAGE.read_text("utf-8") == page([*run.outcomes.values(), *left_out])


def test_an_item_of_every_known_type_is_saved(org: Organization, tmp_path: Path) -> None:
    """Each type goes through its kind; data comes out as it went in, and what only another API holds is missing."""
    contents = {"document": JSON, "file": zipped({"name.txt": b"x"}), "reference": None, "feature service": None}
    for each in ITEM_TYPES.values():
        item_of(org, each.name, contents[each.kind], url=ADDRESS, name="thing.zip" if each.kind == "file" else None)
    with Sandbox(org) as sandbox:
        outcomes = saved(sandbox, tmp_path)
    assert len(outcomes) == len(ITEM_TYPES)
    for item in org.items.values():
        outcome, known = outcomes[item.id], next(each for each in ITEM_TYPES.values() if each.name == item.type)
        assert outcome.kind == known.kind
        sizes = [part.blob.size for part in outcome.parts if part.name == "data"]
        assert sizes == ([item.data.size] if item.data else [])
        if known.elsewhere:
            assert (outcome.result, known.elsewhere in outcome.message) == (Result.PARTIAL, True)
        elif known.kind in ("reference", "feature service"):
            assert outcome.result is Result.DESCRIBED
        else:
            assert outcome.result in (Result.VERIFIED, Result.PARTIAL), item.type
    partial = {outcome.item.type for outcome in outcomes.values() if outcome.result is Result.PARTIAL}
    assert partial == {each.name for each in ITEM_TYPES.values() if each.elsewhere} | {"QuickCapture Project"}


def test_an_unknown_type_is_saved_whatever_it_holds(org: Organization, tmp_path: Path) -> None:
    """JSON, a file, resources only, an address only, nothing, and a hosted service: each with its honest result."""
    tomorrow = "Type Of Tomorrow"
    held = {
        "json": item_of(org, tomorrow, JSON),
        "file": item_of(org, tomorrow, b"\x01\x02\x03\x04", data_type="application/octet-stream", name="thing.holo"),
        "resources": item_of(org, tomorrow, resources={"a/b.json": b"{}", "c.png": b"c"}),
        "address": item_of(org, tomorrow, url=ADDRESS),
        "nothing": item_of(org, tomorrow),
        "service": item_of(org, "Service Of Tomorrow", url=ADDRESS, type_keywords=["Hosted Service"]),
    }
    with Sandbox(org) as sandbox:
        outcomes = saved(sandbox, tmp_path)
    found = {what: (outcomes[item.id].kind, str(outcomes[item.id].result)) for what, item in held.items()}
    assert found == {
        "json": ("document", "verified"),
        "file": ("document", "verified"),
        "resources": ("document", "verified"),
        "address": ("document", "described"),
        "nothing": ("document", "described"),
        "service": ("reference", "partial"),
    }
    names = [part.path for part in outcomes[held["resources"].id].parts if part.name == "resource"]
    assert sorted(names) == ["resources/a/b.json", "resources/c.png"]


def test_relations_cost_few_requests(org: Organization, tmp_path: Path) -> None:
    """An item is asked once in each direction that its type can have; one with relations, once more for each type."""
    for each in ITEM_TYPES.values():
        item_of(org, each.name, url=ADDRESS)
    form = next(item for item in org.items.values() if item.type == "Form")
    form.relations = [("Survey2Data", next(iter(org.items)))]
    with Sandbox(org) as sandbox:
        sandbox.log.clear()
        saved(sandbox, tmp_path)
        asked = Counter(
            entry.path.split("/")[-2] for entry in sandbox.log.entries if entry.path.endswith("/relatedItems")
        )
    expected = {}
    for item in org.items.values():
        types = relation_types(item.type)
        expected[item.id] = bool(types["forward"]) + bool(types["reverse"])
    expected[form.id] += len(relation_types("Form")["forward"])
    assert {item_id: asked[item_id] for item_id in org.items} == expected
    assert max(count for item_id, count in asked.items() if item_id != form.id) == 2
