"""Which kind saves which item type, in which order, and which relationships are asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agolkit.kinds.registry import KINDS, kind_of
from agolkit.kinds.relations import APPS, ATTACHED, FORWARD, LEFT_OUT, REVERSE, SOURCES, relation_types
from agolkit.kinds.tiles import PACKAGES
from agolkit.kinds.types import ITEM_TYPES, known_type
from agolkit.model import Item, plain
from agolkit.options import BackupOptions
from agolkit.plan import in_order

FACTS = Path(__file__).parents[3] / "shared" / "reference" / "agol-facts.md"
"""The collected facts on ArcGIS Online; they lie beside a checkout of the maintainers only."""


def item(item_type: str, *, size: int = 0, number: int = 0, keywords: tuple[str, ...] = ()) -> Item:
    raw = {"id": f"{number:032x}", "type": item_type, "size": size, "typeKeywords": list(keywords)}
    return Item.from_json(raw)


@pytest.mark.parametrize(
    ("item_type", "kind"),
    [
        ("Web Map", "document"),
        ("Dashboard", "document"),
        ("Notebook", "document"),
        ("QuickCapture Project", "document"),
        ("Feature Service", "feature service"),
        ("Form", "file"),
        ("CSV", "file"),
        ("GeoJson", "file"),
        ("GeoJSON", "file"),
        ("Earth Configuration", "file"),
        ("Vector Tile Package", "file"),
        ("Map Service", "reference"),
        ("3DTilesService", "reference"),
        ("3DTiles Service", "reference"),
        ("WMTS", "reference"),
        ("A Type Of Tomorrow", "document"),
        ("", "document"),
    ],
)
def test_each_type_has_its_kind_however_it_is_spelled(item_type: str, kind: str) -> None:
    """Case and blanks do not matter, and an unknown type is never an error."""
    assert kind_of(item(item_type)).name == kind


def test_a_hosted_service_of_an_unknown_type_is_not_taken_for_a_document() -> None:
    """What it serves lives in the portal and not in the item's files; a document without data would hide that."""
    assert kind_of(item("Service Of Tomorrow", keywords=("Hosted Service",))).name == "reference"
    assert kind_of(item("Dashboard", keywords=("Hosted Service",))).name == "document"


@pytest.mark.skipif(not FACTS.exists(), reason="the collected facts are not beside this checkout")
def test_every_type_of_the_collected_facts_is_known() -> None:
    """The table has each type of the facts, and each of ours is in the facts."""
    section = FACTS.read_text("utf-8").split("| type | lists |")[1].split("\n\n")[0]
    names = re.findall(r"^\| ([^|]+?) \|", section, re.MULTILINE)
    assert len(names) > 220
    assert {plain(name) for name in names} == set(ITEM_TYPES)


def test_each_known_type_stands_in_the_table_once() -> None:
    """226 names, none of them twice, each with a kind that exists and a payload, sorted within its kind."""
    assert len(ITEM_TYPES) == 226
    for kind in KINDS:
        names = [each.name for each in ITEM_TYPES.values() if each.kind == kind]
        assert names
        assert sorted(names, key=str.casefold) == names
    assert {each.kind for each in ITEM_TYPES.values()} == set(KINDS)
    assert all(each.payload for each in ITEM_TYPES.values())


def test_types_whose_content_only_another_api_holds_say_so() -> None:
    """The list of them is complete: a misspelled name in it would be lost."""
    said = {each.name: each.elsewhere for each in ITEM_TYPES.values() if each.elsewhere}
    assert set(said) == {
        *("Big Data Analytic", "Discussion", "Feed", "Hub Event", "Knowledge Graph", "Mission", "Real Time Analytic"),
        "Workflow",
    }
    assert said["Feed"] == "its definition lives in ArcGIS Velocity, which agolkit does not read"


@pytest.mark.parametrize("names", [FORWARD, REVERSE, SOURCES, APPS, ATTACHED, PACKAGES, BackupOptions().exclude_types])
def test_types_are_spelled_as_in_the_table(names: object) -> None:
    """Every list of item types names known ones; a misspelled name would never be met."""
    assert [name for name in names if known_type(name) is None] == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("item_type", "forward", "reverse"),
    [
        ("Web Mapping Application", "WMA2Code", "Map2App"),
        ("form", "Survey2Service", "Data2App"),
        ("Feature Service", "Service2Data", "Survey2Service"),
        ("CSV", None, "Service2Data"),
        ("PDF", None, "Item2Attachment"),
        ("Microsoft Excel", None, "Service2Data"),
        ("Microsoft Excel", None, "Item2Report"),
        ("Dashboard", None, "App2DependentApp"),
        ("Notebook", "Notebook2WebTool", None),
        ("Shapefile", None, "Service2Data"),
        ("Color Set", None, None),
        ("A Type Of Tomorrow", None, None),
    ],
)
def test_only_relationships_that_a_type_can_have_are_asked_for(
    item_type: str, forward: str | None, reverse: str | None
) -> None:
    """A type is asked for its own relationships, in each direction, and for no others."""
    asked = relation_types(item_type)
    for direction, wanted in (("forward", forward), ("reverse", reverse)):
        types = asked[direction]  # type: ignore[index]
        assert wanted in types if wanted else not types


def test_every_relationship_that_arcgis_knows_is_asked_for_or_left_out_for_a_reason() -> None:
    """Each name that arcgis knows is asked of some type, or left out with a reason, and never both."""
    from arcgis.gis import Item as TheirItem

    asked = {name for types in [*FORWARD.values(), *REVERSE.values()] for name in types}
    assert not asked & set(LEFT_OUT)
    assert set(TheirItem._RELATIONSHIP_TYPES) - asked == set(LEFT_OUT)
    assert all(name.count("2") == 1 and name[0].isupper() for name in asked)


def test_services_begin_first_and_then_the_largest() -> None:
    """Export jobs go on by themselves on the server, so they are begun first."""
    items = [item("PDF", size=1, number=1), item("Feature Service", number=2), item("PDF", size=9, number=3)]
    assert [int(each.id, 16) for each in in_order(items)] == [2, 3, 1]
