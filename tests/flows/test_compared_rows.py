"""Rows, geometries and archives of two backups made by hand: how they are known again, and how they are told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layers_by_hand import SERVICE_ID, field, header, row, save_rows
from saved import STARTED, save_part, zipped

import agolkit as ak
from agolkit.compare import backups
from agolkit.compare.rows import Row, SavedRows, compare_rows
from agolkit.compare.shapes import in_words, moved
from agolkit.journal import Journal
from agolkit.kinds.feature_service.conversion.geometry import Encoder
from agolkit.model import Item, Outcome, Result
from agolkit.store import LocalStore

ID, GLOBAL_ID, KIND = field("OBJECTID", "OID"), field("GlobalID", "GlobalID"), field("kind", "String")
YES_NO = {"codedValues": [{"code": 1, "name": "yes"}, {"code": 0, "name": "no"}]}
SEEN, DONE = field("seen", "Date"), {**field("done", "SmallInteger"), "domain": YES_NO}
TREES = [{"OBJECTID": number, "GlobalID": f"{{A{number}}}", "kind": "ash"} for number in range(1, 5)]

Rows = Sequence[Mapping[str, Any]]


def rows_told(
    store: LocalStore, before: Rows, after: Rows, *fields: Any, **more: Any
) -> list[tuple[str, str, str, str]]:
    """The differences of the rows of a layer, of two backups that hold these."""
    for rows in (before, after):
        save_rows(store, {"Trees": (header([ID, *fields], **more), [row(**each) for each in rows])})
    a, b = store.backup_names()
    frame = ak.compare_item(store, a, b, SERVICE_ID)
    assert set(frame["part"]) <= {"rows"}
    return [(each.where, each.change, each.before, each.after) for each in frame.itertuples()]


def test_rows_are_known_by_their_global_ids(store: LocalStore) -> None:
    """Rows that were loaded anew and got other object ids are the same rows."""
    loaded = [{**each, "OBJECTID": each["OBJECTID"] + 100} for each in reversed(TREES[1:])]
    loaded[0] = {**loaded[0], "kind": "elm"}
    assert rows_told(store, TREES, loaded, GLOBAL_ID, KIND) == [
        ("Trees / row A1", "removed", '{"OBJECTID": 1, "GlobalID": "{A1}", "kind": "ash"}', ""),
        ("Trees / row A4 / kind", "changed", "ash", "elm"),
    ]


def test_rows_without_global_ids_are_known_by_their_object_ids(store: LocalStore) -> None:
    """The name of the row says so."""
    before = [{"OBJECTID": number, "kind": "ash"} for number in (1, 2)]
    after = [{"OBJECTID": number, "kind": kind} for number, kind in ((2, "elm"), (3, "oak"))]
    assert rows_told(store, before, after, KIND) == [
        ("Trees / row 3 (object id)", "added", "", '{"OBJECTID": 3, "kind": "oak"}'),
        ("Trees / row 1 (object id)", "removed", '{"OBJECTID": 1, "kind": "ash"}', ""),
        ("Trees / row 2 (object id) / kind", "changed", "ash", "elm"),
    ]


def test_global_ids_that_are_not_unique_do_not_count(store: LocalStore) -> None:
    """Rows of which several have the same GlobalID, or none, are known by their object ids."""
    before = [{"OBJECTID": number, "GlobalID": None, "kind": "ash"} for number in (1, 2)]
    after = [{**each, "kind": "elm"} for each in before]
    assert [each[0] for each in rows_told(store, before, after, GLOBAL_ID, KIND)] == [
        "Trees / row 1 (object id) / kind",
        "Trees / row 2 (object id) / kind",
    ]


def test_dates_and_codes_are_told_as_people_read_them(store: LocalStore) -> None:
    """A date is a date, a code has its meaning beside it, and nothing is nothing."""
    before = [{"OBJECTID": 1, "seen": 0, "done": None}, {"OBJECTID": 2, "seen": 1_577_934_245_678, "done": 0}]
    after = [{"OBJECTID": 1, "seen": 1_577_934_245_000, "done": 1}, {"OBJECTID": 2, "seen": None, "done": 1}]
    assert rows_told(store, before, after, SEEN, DONE) == [
        ("Trees / row 1 (object id) / seen", "changed", "0", "2020-01-02T03:04:05Z"),
        ("Trees / row 1 (object id) / done", "changed", "", "1 (yes)"),
        ("Trees / row 2 (object id) / seen", "changed", "2020-01-02T03:04:05.678000Z", ""),
        ("Trees / row 2 (object id) / done", "changed", "0 (no)", "1 (yes)"),
    ]


def test_only_some_rows_are_listed(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more rows differ than are listed, the list says how many more there are; the count has all."""
    monkeypatch.setattr(backups, "LISTED", 2)
    found = rows_told(store, [], TREES, GLOBAL_ID, KIND)
    assert [each[:2] for each in found] == [
        ("Trees / row A1", "added"),
        ("Trees / row A2", "added"),
        ("Trees / and 2 more rows", "added"),
    ]
    assert list(ak.compare(store, *store.backup_names())["what"]) == ["rows: +4"]


def test_a_new_field_is_no_change_of_every_row(store: LocalStore) -> None:
    """Rows are compared by the fields that both have; the field itself is a difference of the definition."""
    save_rows(store, {"Trees": (header([ID, KIND]), [row(OBJECTID=1, kind="ash")])})
    save_rows(store, {"Trees": (header([ID, KIND, DONE]), [row(OBJECTID=1, kind="ash", done=1)])})
    frame = ak.compare_item(store, *store.backup_names(), SERVICE_ID)
    assert [(each.part, each.where) for each in frame.itertuples()] == [
        ("definition", "layers / Trees (Feature Layer, id 0) / fields / done")
    ]


class Held(SavedRows):
    """Rows in memory."""

    has_global_ids = True

    def __init__(self, rows: Mapping[int, tuple[int, int]]) -> None:
        self.names = ["kind"]
        self.rows = rows

    def digests(self) -> Any:
        return (hash(each) for each in self.rows.items())

    def read(self, wanted: Any) -> Any:
        for number, (key, (kind, place)) in enumerate(self.rows.items()):
            if wanted(number):
                yield Row(number, str(key), {"kind": kind}, {"x": place})


ROWS = st.dictionaries(st.integers(0, 9), st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=8)


@given(ROWS, ROWS)
@settings(deadline=None)
def test_the_rows_that_differ_are_exactly_those(before: dict[int, Any], after: dict[int, Any]) -> None:
    """Added, removed and changed are the differences of two dictionaries, and the mirror is the mirror."""
    expected = {
        "added": after.keys() - before.keys(),
        "removed": before.keys() - after.keys(),
        "changed": {key for key in before.keys() & after.keys() if before[key] != after[key]},
    }
    found = compare_rows(Held(before), Held(after), listed=100)
    assert found.counts == {change: len(keys) for change, keys in expected.items() if keys}
    named = {(change, int((new or old).global_id)) for change, old, new in found.listed}  # type: ignore[union-attr]
    assert named == {(change, key) for change, keys in expected.items() for key in keys}
    back = compare_rows(Held(after), Held(before), listed=0).counts
    swapped = {"added": "removed", "removed": "added", "changed": "changed"}
    assert {swapped[change]: number for change, number in back.items()} == found.counts


@pytest.mark.parametrize(
    ("geometry", "words"),
    [
        (None, ""),
        ({"x": 11.5, "y": 48}, "point 11.5, 48"),
        ({"x": "NaN"}, "no coordinates"),
        ({"points": [[0, 0], [1, 1]]}, "multipoint, 2 vertices"),
        ({"paths": [[[0, 0], [1, 1]], [[2, 2], [3, 3], [4, 4]]]}, "line, 5 vertices"),
        ({"curveRings": [[[0, 0], {"c": [[3, 3], [1, 4]]}, [0, 0]]]}, "polygon, 3 vertices"),
    ],
)
def test_geometries_in_words(geometry: Any, words: str) -> None:
    """What sort it is, and where, or how many vertices it has."""
    assert in_words(geometry) == words


def test_geometries_of_a_geodatabase_in_words() -> None:
    """The same from the bytes that a geodatabase holds."""
    encode = Encoder(False, False)
    assert in_words(encode({"x": 11.5, "y": 48})) == "point 11.5, 48"
    assert in_words(encode({"paths": [[[0, 0], [1, 1]]]})) == "multilinestring, 2 vertices"
    arc = Encoder(False, False, keep_arcs=True)({"curvePaths": [[[0, 0], {"c": [[3, 3], [1, 4]]}]]})
    assert in_words(arc) == f"with curves, {len(arc or b'')} bytes"


def test_how_far_a_point_was_moved() -> None:
    """Metres on the ground, whatever the projection; nothing where it is not known where the point is."""
    munich, nearby = {"x": 11.5, "y": 48.0}, {"x": 11.5, "y": 48.001}
    assert moved(munich, nearby, "EPSG:4326") == "moved 111.2 m"
    assert moved({"x": 1280174, "y": 6106855}, {"x": 1290174, "y": 6106855}, "EPSG:3857") == "moved 6.7 km"
    assert moved(munich, nearby, None) == ""
    assert moved(munich, {"paths": []}, "EPSG:4326") == ""


def save_file(store: LocalStore, day: int, content: bytes, **about: Any) -> None:
    item = Item("f1" * 16, "Parcels", "Shapefile", "ann")
    parts = [
        save_part(store, "item", "item.json", json.dumps({"id": item.id, **about}).encode()),
        save_part(store, "data", "data.zip", content),
    ]
    journal = Journal(store.begin(STARTED + timedelta(days=day), "default"))
    journal.add(Outcome(item, Result.VERIFIED, STARTED, "file", tuple(parts)))
    journal.close()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (zipped({"a.shp": b"1", "b.dbf": b"2"}), zipped({"b.dbf": b"2", "a.shp": b"1"}), []),
        (
            zipped({"a.shp": b"1", "b.dbf": b"2"}),
            zipped({"a.shp": b"1!", "c.prj": b"3"}),
            [("a.shp", "changed"), ("b.dbf", "removed"), ("c.prj", "added")],
        ),
        (b"PK\x03\x04 broken", b"something else", [("", "changed")]),
    ],
)
def test_archives_are_compared_by_what_is_in_them(
    store: LocalStore, before: bytes, after: bytes, expected: list[tuple[str, str]]
) -> None:
    """The files inside are told by name; another order of them is no change; what is no archive is told as a whole."""
    store.bind("0123456789abcdef", "Smallville")
    for day, content in enumerate((before, after)):
        save_file(store, day, content, numViews=day)
    frame = ak.compare_item(store, *store.backup_names(), "f1" * 16)
    assert [(each.where, each.change) for each in frame.itertuples()] == expected
