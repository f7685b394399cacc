"""Differences of JSON documents: named as people know their elements, each once, whatever moved around them."""

from __future__ import annotations

import copy
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agolkit.compare.descriptions import definition_differences, description_differences, sharing_differences
from agolkit.compare.difference import LONGEST
from agolkit.compare.documents import document_differences

MAP = {
    "operationalLayers": [
        {
            "id": "18f-layer-1",
            "title": "Hydrants",
            "layerDefinition": {"definitionExpression": "a = 1", "drawingInfo": {"transparency": 0}},
            "popupInfo": {
                "fieldInfos": [{"fieldName": "KIND", "visible": True}, {"fieldName": "YEAR", "visible": True}]
            },
        },
        {"id": "18f-layer-2", "title": "Mains"},
        {"id": "18f-layer-3", "title": "Valves"},
    ],
    "baseMap": {"title": "Topographic", "baseMapLayers": [{"id": "base", "opacity": 1}]},
    "bookmarks": [{"name": "Town", "extent": {"xmin": 1}}, {"name": "Lake", "extent": {"xmin": 2}}],
}
DASHBOARD = {
    "widgets": [
        {"type": "mapWidget", "id": "1200f3f1-8f72-4ea6-af16-14f19e1f", "name": "Map", "layers": [{"type": "x"}]},
        {"type": "indicatorWidget", "id": "3e796f16-722b-437f-89a4-e3787e00", "name": "Open calls", "max": 5},
    ]
}
EXPERIENCE = {"widgets": {"widget_1": {"id": "widget_1", "uri": "widgets/arcgis/map/", "label": "Map 1", "config": {}}}}
STORY = {
    "nodes": {
        "n-AW00l": {"type": "text", "data": {"text": "Trees", "type": "paragraph"}},
        "n-root": {"type": "story", "data": {"title": "A city"}, "children": ["n-AW00l", "n-b"]},
        "n-b": {"type": "separator"},
    }
}
FORM = {
    "questions": [{"id": "q1", "name": "kind", "label": "Which kind?"}, {"id": "q2", "name": "age", "label": "Age"}]
}

Told = list[tuple[str, str, str, str]]


def told(before: Any, after: Any, **how: Any) -> Told:
    found = document_differences("data", before, after, **how)
    return [(each.where, each.change, each.before, each.after) for each in found]


def edited(document: Any, path: list[Any], value: Any) -> Any:
    """The document with another value at a path; `None` takes it away."""
    copied = copy.deepcopy(document)
    holder = copied
    for step in path[:-1]:
        holder = holder[step]
    if value is None:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return copied


@pytest.mark.parametrize(
    ("document", "path", "value", "where"),
    [
        (
            MAP,
            ["operationalLayers", 0, "layerDefinition", "definitionExpression"],
            "a = 2",
            "operationalLayers / Hydrants (id 18f-layer-1) / layerDefinition / definitionExpression",
        ),
        (
            MAP,
            ["operationalLayers", 0, "popupInfo", "fieldInfos", 1, "visible"],
            False,
            "operationalLayers / Hydrants (id 18f-layer-1) / popupInfo / fieldInfos / YEAR / visible",
        ),
        (MAP, ["baseMap", "baseMapLayers", 0, "opacity"], 0.5, "baseMap / baseMapLayers / id base / opacity"),
        (MAP, ["bookmarks", 1, "extent", "xmin"], 3, "bookmarks / Lake / extent / xmin"),
        (DASHBOARD, ["widgets", 1, "max"], 7, "widgets / Open calls (indicatorWidget, id 3e796f16…) / max"),
        (EXPERIENCE, ["widgets", "widget_1", "config", "zoom"], 3, "widgets / Map 1 (widget_1) / config / zoom"),
        (STORY, ["nodes", "n-AW00l", "data", "text"], "Trees!", "nodes / text (n-AW00l) / data / text"),
        (FORM, ["questions", 0, "label"], "Kind?", "questions / Kind? (id q1) / label"),
    ],
)
def test_a_change_is_one_difference_where_people_look_for_it(
    document: Any, path: list[Any], value: Any, where: str
) -> None:
    """A value that changed is named by the layer, widget, field or node that it belongs to."""
    assert [each[0] for each in told(document, edited(document, path, value))] == [where]


def test_an_inserted_layer_is_one_addition() -> None:
    """What stands below an inserted element is not called changed."""
    after = copy.deepcopy(MAP)
    after["operationalLayers"].insert(0, {"id": "new", "title": "Parks"})  # type: ignore[attr-defined]
    new = '{"id": "new", "title": "Parks"}'
    assert told(MAP, after) == [("operationalLayers / Parks (id new)", "added", "", new)]
    assert told(after, MAP) == [("operationalLayers / Parks (id new)", "removed", new, "")]


def test_another_order_of_layers_is_one_change() -> None:
    """The order in which layers are drawn is told as such, by their names."""
    after = copy.deepcopy(MAP)
    after["operationalLayers"].reverse()  # type: ignore[attr-defined]
    ((where, change, before, now),) = told(MAP, after)
    assert (where, change) == ("operationalLayers / (order)", "changed")
    assert before.split(", ")[::-1] == now.split(", ")
    assert told(MAP, after, ordered=False) == []


def test_elements_are_known_by_what_is_found_again() -> None:
    """An app that gives its elements new ids at every save does not make all of them new."""
    before = {"pages": [{"id": "x1", "title": "One", "color": "red"}, {"id": "x2", "title": "Two"}]}
    after = {"pages": [{"id": "y1", "title": "One", "color": "blue"}, {"id": "y2", "title": "Two"}]}
    assert [each[0] for each in told(before, after, ignored=["id"])] == ["pages / One / color"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": None}, {}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": [{"id": 1, "x": None}]}, {"a": [{"x": None, "id": 1}]}),
    ],
)
def test_what_is_written_in_another_way_is_no_difference(before: Any, after: Any) -> None:
    """Order of keys, `null` for nothing, and `1.0` for `1` mean the same."""
    assert told(before, after) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": True}, {"a": 1}, [("a", "changed", "true", "1")]),
        ({"a": 1}, {}, [("a", "removed", "1", "")]),
        ({"a": {}}, {"a": []}, [("a", "changed", "{}", "[]")]),
        ({"a": ["x", "y"]}, {"a": ["y", "z"]}, [("a", "removed", "x", ""), ("a", "added", "", "z")]),
        ({"a": [[1, 2], [3, 4]]}, {"a": [[1, 2], [3, 5]]}, [("a", "changed", "[[1, 2], [3, 4]]", "[[1, 2], [3, 5]]")]),
        ({"a": [{"x": 1}, {"x": 1}]}, {"a": [{"x": 1}]}, [("a", "removed", '{"x": 1}', "")]),
        ({"a": [{"v": [1]}]}, {"a": [{"v": [2]}]}, [("a / [1] / v", "changed", "[1]", "[2]")]),
    ],
)
def test_smaller_differences(before: Any, after: Any, expected: Told) -> None:
    """Values of another type, lists of texts and numbers, and elements that nothing tells apart."""
    assert told(before, after) == expected


def test_a_long_text_is_cut_to_where_it_differs() -> None:
    """The first place where two long texts differ can be seen, whatever stands before it."""
    ((_, _, before, after),) = told({"a": "x" * 5000 + "old" + "y" * 5000}, {"a": "x" * 5000 + "new" + "y" * 5000})
    assert before.startswith("…xxx")
    assert "old" in before
    assert "new" in after
    assert max(len(before), len(after)) <= LONGEST + 2


def test_counts_of_views_are_no_change_of_an_item() -> None:
    """What the portal counts and stamps is passed over; what people edit is told in their words."""
    before = {"id": "1", "numViews": 1, "modified": 1, "snippet": "old", "tags": ["a", "b"], "licenseInfo": None}
    after = {"id": "1", "numViews": 9, "modified": 2, "snippet": "new", "tags": ["b", "a"], "licenseInfo": "free"}
    found = {(each.where, each.change) for each in description_differences(before, after)}
    assert found == {("summary", "changed"), ("terms of use", "added")}


def test_a_renamed_group_is_the_same_group() -> None:
    """Only another access, and groups that came and went, are a change of sharing."""
    before = {"access": "org", "groups": [{"id": "g1", "title": "Crew"}, {"id": "g2", "title": None}]}
    after = {"access": "public", "groups": [{"id": "g1", "title": "Field crew"}, {"id": "g3", "title": "All"}]}
    found = [(each.where, each.before, each.after) for each in sharing_differences(before, after)]
    assert found == [("access", "org", "public"), ("groups", "g2", ""), ("groups", "", "All")]


def test_a_definition_repeats_itself_only_once() -> None:
    """A new field stands in the layer and in the administrator's definition; stamps and extents move by themselves."""

    def service(fields: list[str], stamp: int) -> dict[str, Any]:
        layer = {
            "id": 0,
            "name": "Trees",
            "fields": [{"name": name} for name in fields],
            "editingInfo": {"lastEditDate": stamp},
            "extent": {"xmin": stamp},
        }
        return {
            "root": {
                "currentVersion": stamp,
                "changeTrackingInfo": {"layerServerGens": [{"id": 0, "serverGen": stamp}]},
            },
            "layers": {"layers": [layer], "tables": []},
            "admin": {"layers": [layer]},
            "rows": [{"id": 0, "rows": stamp}],
        }

    found = list(definition_differences(service(["a"], 1), service(["a", "b"], 2)))
    assert [(each.where, each.change) for each in found] == [("layers / Trees (id 0) / fields / b", "added")]


SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "name", "a", "b_1"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(DOCUMENTS, DOCUMENTS)
def test_the_same_is_no_difference_and_the_mirror_is_the_same(before: Any, after: Any) -> None:
    """Nothing differs from itself; forth and back are the same differences with added and removed exchanged."""
    assert told(before, json.loads(json.dumps(before))) == []
    swapped = {"added": "removed", "removed": "added", "changed": "changed"}
    forth = Counter((change, old, new) for _, change, old, new in told(before, after))
    back = Counter((swapped[change], new, old) for _, change, old, new in told(after, before) if change)
    # An order names its elements as they are called afterwards.
    assert Counter(each[0] for each in forth.elements()) == Counter(each[0] for each in back.elements())
    if not any("(order)" in where for where, *_ in told(before, after)):
        assert forth == back


@given(DOCUMENTS, DOCUMENTS)
def test_what_differs_is_told(before: Any, after: Any) -> None:
    """Two documents without a difference are the same but for nulls and the way in which they are written."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items() if each is not None}
        return [plain(each) for each in value] if isinstance(value, list) else value

    if not told(before, after):
        assert json.dumps(plain(before), sort_keys=True) == json.dumps(plain(after), sort_keys=True)
