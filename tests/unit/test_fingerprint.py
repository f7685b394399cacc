"""What moves a fingerprint, and what does not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from agolkit.kinds.feature_service.stamps import _layers_stamp, _view_stamp
from agolkit.kinds.fingerprint import (
    content_stamp,
    description_stamp,
    digest,
    file_stamp,
    resources_stamp,
    service_stamp,
)
from agolkit.model import Item
from agolkit.options import BackupOptions
from agolkit.portal import Received
from agolkit.unchanged import saved_alike

LISTED: dict[str, Any] = {
    "id": "a" * 32,
    "title": "Water",
    "type": "Web Map",
    "owner": "ann",
    "modified": 1_700_000_000_000,
    "tags": ["blue"],
    "size": 17,
    "thumbnail": "thumbnail/one.png",
    "typeKeywords": ["Map"],
    "snippet": None,
    "access": "org",
    "protected": False,
    "ownerFolder": None,
    "contentStatus": "",
    "groupDesignations": None,
    "numViews": 1,
    "lastViewed": 2,
    "numComments": 3,
    "numRatings": 4,
    "avgRating": 5.0,
    "scoreCompleteness": 6,
    "itemControl": "admin",
}
CONTENT = {"title", "type", "modified", "tags", "size", "thumbnail", "typeKeywords", "snippet", "id"}
PLACE = {"access", "protected", "ownerFolder", "contentStatus", "groupDesignations", "owner"}


def listed(**changes: Any) -> Item:
    return Item.from_json(LISTED | changes, folder="Maps")


@pytest.mark.parametrize("field", sorted(LISTED))
def test_each_field_of_the_listing_moves_the_stamp_that_it_belongs_to(field: str) -> None:
    """What people do by looking moves none, where an item stands moves its description, all else its content."""
    before, after = listed(), listed(**{field: ["another"] if field == "tags" else "another"})
    assert (content_stamp(before) != content_stamp(after)) is (field in CONTENT)
    assert (description_stamp(before) != description_stamp(after)) is (field in PLACE)


def test_another_folder_moves_the_description() -> None:
    """A folder that was renamed keeps its id."""
    assert description_stamp(listed()) != description_stamp(Item.from_json(LISTED, folder="Plans"))
    assert content_stamp(listed()) == content_stamp(Item.from_json(LISTED, folder="Plans"))


def test_what_was_saved_counts_where_it_says_more_than_the_listing() -> None:
    """An item that was public while it was saved is described so; a field that is not listed says nothing."""
    saved = listed(access="public", categories=["a"])
    assert description_stamp(listed(), saved=saved) == description_stamp(listed(access="public"))
    assert description_stamp(listed(), saved=listed()) == description_stamp(listed())
    without = Item.from_json({name: value for name, value in LISTED.items() if name != "contentStatus"}, folder="Maps")
    assert description_stamp(without, saved=listed()) == description_stamp(without)


def test_a_service_whose_export_moved_modified_is_listed_so_the_next_time() -> None:
    """The time that the export left behind takes the place of the listed one."""
    assert content_stamp(listed(), modified=7) == content_stamp(listed(modified=7)) != content_stamp(listed())
    assert content_stamp(listed(), modified=None) == content_stamp(listed())


@pytest.mark.parametrize("change", [{"resource": "b"}, {"size": 2}, {"created": 3}], ids=str)
def test_resources_are_told_apart(change: dict[str, Any]) -> None:
    """By path, size and the time at which they were put there; in whichever order they are listed."""
    first, second = {"resource": "a", "size": 1, "created": 2}, {"resource": "z", "size": 1, "created": 2}
    assert resources_stamp([first, second]) == resources_stamp([second, first])
    assert resources_stamp([first, second]) != resources_stamp([first | change, second])
    assert resources_stamp([first]) == resources_stamp([first | {"access": "inherit"}])


def received(stated: int | None, tag: str) -> Received:
    return Received(0, stated, "", None, tag)


def test_a_file_is_known_by_length_and_tag() -> None:
    """Where no length is stated, nothing is known."""
    assert file_stamp(received(5, "a")) == file_stamp(received(5, "a"))
    assert len({file_stamp(received(*each)) for each in [(5, "a"), (6, "a"), (5, "b")]}) == 3
    assert file_stamp(received(None, "a")) is None


def test_an_update_of_the_server_moves_no_service() -> None:
    """Its version numbers are no edit; anything else is."""
    said = {"currentVersion": 11.4, "cimVersion": "3.4.0", "name": "Water"}
    assert service_stamp(said) == service_stamp({"currentVersion": 12, "cimVersion": "4.0.0", "name": "Water"})
    assert service_stamp(said) != service_stamp(said | {"name": "Roads"})


def test_the_order_of_keys_is_no_difference() -> None:
    """JSON objects have none."""
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1}) != digest({"a": 1, "b": [2, 1]})


@pytest.mark.parametrize("name", ["feature_format", "export_max_bytes", "attachments", "views", "max_tile_bytes"])
def test_options_for_what_is_saved_have_to_be_the_same(name: str) -> None:
    """A copy that was made with another one, or by an agolkit that did not know it, is not reused."""
    options = BackupOptions()
    before = asdict(options)
    assert saved_alike(before, options)
    assert saved_alike(before | {"workers": 3, "types": ["Web Map"]}, options)
    assert not saved_alike(before | {name: "another"}, options)
    assert not saved_alike({key: value for key, value in before.items() if key != name}, options)


LAYER: dict[str, Any] = {"id": 0, "type": "Feature Layer", "editingInfo": {"lastEditDate": 1}, "currentVersion": 11}


def test_layers_are_known_by_their_edit_stamps() -> None:
    """A layer without one makes the service unknown; a group of layers has none, and a new version is no edit."""
    group = {"id": 1, "type": "Group Layer"}
    stamp = _layers_stamp({"layers": [LAYER, group]})
    assert stamp
    assert stamp == _layers_stamp({"layers": [LAYER | {"currentVersion": 12}, group]})
    assert stamp != _layers_stamp({"layers": [LAYER | {"editingInfo": {"lastEditDate": 2}}, group]})
    for said in ({}, None, {"lastEditDate": None}, {"lastEditDate": 0}, {"schemaLastEditDate": 5}):
        assert _layers_stamp({"layers": [LAYER], "tables": [LAYER | {"id": 2, "editingInfo": said}]}) is None


@pytest.mark.parametrize("name", ["id", "adminLayerInfo", "viewDefinitionQuery", "definitionQuery", "fields"])
def test_a_view_is_known_by_its_definition(name: str) -> None:
    """Sources, filters and fields; what may not be read is not known."""
    layer = {"id": 0, "adminLayerInfo": {}, "viewDefinitionQuery": "a", "definitionQuery": "b", "fields": []}
    assert _view_stamp({"layers": [layer]}) != _view_stamp({"layers": [layer | {name: "another"}]})
    assert _view_stamp({}) is None
