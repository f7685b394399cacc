"""Which kind saves which item type, in which order, and which relationships are asked for."""

from __future__ import annotations

import pytest

from agolkit.kinds.registry import FILES, REFERENCES, kind_of
from agolkit.kinds.relations import FORWARD, REVERSE, relation_types
from agolkit.model import Item
from agolkit.plan import in_order


def item(item_type: str, *, size: int = 0, number: int = 0) -> Item:
    return Item.from_json({"id": f"{number:032x}", "type": item_type, "size": size})


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


def test_no_type_has_two_kinds() -> None:
    """The lists of files and of references do not overlap."""
    assert not FILES & REFERENCES


@pytest.mark.parametrize(
    ("item_type", "forward", "reverse"),
    [
        ("Web Mapping Application", "WMA2Code", None),
        ("form", "Survey2Service", None),
        ("Feature Service", "Service2Data", "Survey2Service"),
        ("CSV", None, "Service2Data"),
        ("PDF", None, None),
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


def test_relationship_names_are_known_ones() -> None:
    """Every name has the form that the service uses: a beginning, a 2, and an end."""
    names = {name for types in [*FORWARD.values(), *REVERSE.values()] for name in types}
    assert len(names) >= 25
    assert all(name.count("2") == 1 and name[0].isupper() for name in names)


def test_services_begin_first_and_then_the_largest() -> None:
    """Export jobs go on by themselves on the server, so they are begun first."""
    items = [item("PDF", size=1, number=1), item("Feature Service", number=2), item("PDF", size=9, number=3)]
    assert [int(each.id, 16) for each in in_order(items)] == [2, 3, 1]
