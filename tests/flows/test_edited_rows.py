"""Of a layer that tracks its changes, the next backup fetches only the rows that were edited."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from hand_built import small_organization
from portals import connect
from saved import read_part

import agolkit as ak
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, Result
from agolkit.sandbox import Fault, Sandbox
from agolkit.sandbox.city.features import Json
from agolkit.sandbox.city.large import large_layer
from agolkit.sandbox.edits import note
from agolkit.sandbox.organization import Change, Item, Layer, Service

SURVEY = f"{78:032x}"
ROWS = 1_000
TRACKED = "Query,Editing,Create,Update,Delete,ChangeTracking"


class Town:
    """A layer of a thousand rows in a portal, and the store that it is backed up to."""

    def __init__(self, sandbox: Sandbox, place: Path) -> None:
        self.sandbox = sandbox
        self.place = place
        self.store = ak.open_store(place / "store")

    @property
    def service(self) -> Service:
        return self.sandbox.org.services["survey"]

    @property
    def layer(self) -> Layer:
        return self.service.layers[0]

    def back_up(self, store: str = "store", **options: object) -> Outcome:
        wanted = {"types": ["Feature Service"], "feature_format": "rows", **options}
        opened = ak.open_store(self.place / store)
        self.sandbox.log.clear()
        ak.backup(connect(self.sandbox), opened, ak.BackupOptions.from_mapping(wanted))
        return next(each for each in read_outcomes(opened, "latest") if each.item.id == SURVEY)

    def rows(self, outcome: Outcome, store: str = "store") -> list[bytes]:
        opened = ak.open_store(self.place / store)
        return gzip.decompress(read_part(opened, outcome, "rows/0.jsonl.gz")).splitlines()

    def asked(self) -> list[str]:
        """The queries by which the last backup asked for rows."""
        return [
            entry.query
            for entry in self.sandbox.log.entries
            if entry.method == "GET" and entry.path.endswith("/0/query")
        ]

    def edit(self, how: str, *object_ids: int) -> None:
        rows = {row["attributes"]["OBJECTID"]: row for row in self.layer.features}
        for object_id in object_ids:
            if how == "delete":
                del rows[object_id]
            else:
                some: Json = json.loads(json.dumps(rows.get(object_id) or next(iter(rows.values()))))
                some["attributes"] |= {"OBJECTID": object_id, "GlobalID": f"{{{object_id:032X}}}"}
                some["attributes"]["NOTE"] = f"{how} {self.service.generation}"
                rows[object_id] = some
        self.layer.features = [rows[object_id] for object_id in sorted(rows)]
        changes: list[Any] = [
            Change(0, "features", how, object_id, f"{{{object_id:032X}}}", 0)  # type: ignore[arg-type]
            for object_id in object_ids
        ]
        note(self.sandbox.org, self.service, self.layer, changes)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    org = small_organization()
    layer = large_layer(0, "survey", ROWS)
    layer.features = list(layer.features)
    layer.max_record_count = 100
    org.add(
        Item(SURVEY, "ann", "Feature Service", "Survey", service="survey", type_keywords=["Hosted Service"]),
        Service("survey", SURVEY, [layer], capabilities=TRACKED),
    )
    with Sandbox(org) as sandbox:
        yield Town(sandbox, tmp_path)


def test_only_edited_rows_are_fetched_and_the_layer_is_complete(town: Town) -> None:
    """Added, updated and deleted rows cost one question; the rows are, byte for byte, those of a full reading."""
    first = town.back_up()
    assert (first.result, len(town.asked())) == (Result.VERIFIED, 10)
    town.edit("add", 2, 5001, 5002)
    town.edit("update", 3, 777)
    town.edit("delete", 9)
    second = town.back_up()
    assert second.result is Result.VERIFIED
    (query,) = town.asked()
    assert parse_qs(query)["where"] == ["OBJECTID IN (2,3,777,5001,5002)"]
    anew = town.back_up("anew")
    assert len(town.rows(second)) == ROWS + 2
    assert town.rows(second) == town.rows(anew, "anew")
    assert "rows content: layer 0, 1,002 of 1,002 ids, 997 reused" in second.checked
    assert ak.verify(town.store, deep=True).ok
    third = town.back_up()
    assert (third.how, town.asked()) == ("reused", [])


def test_a_chain_of_edits_stays_complete(town: Town) -> None:
    """Each backup builds on the one before it, and none loses or doubles a row."""
    town.back_up()
    for day in range(4):
        town.edit("update", 1 + 2 * day, 501)
        town.edit("add", 6000 + day)
        town.edit("delete", 101 + 2 * day)
        outcome = town.back_up()
        assert outcome.result is Result.VERIFIED
        assert len(town.asked()) == 1
    anew = town.back_up("anew")
    assert town.rows(outcome) == town.rows(anew, "anew")


def untracked(town: Town) -> None:
    town.service.capabilities = "Query,Editing"


def forgotten(town: Town) -> None:
    town.service.oldest_generation = town.service.generation


def refused(town: Town) -> None:
    town.sandbox.faults.add(Fault("/extractChanges$", status=400))


def another_schema(town: Town) -> None:
    town.layer.schema_last_edit += 1


def another_field(town: Town) -> None:
    town.layer.fields = [*town.layer.fields, {**town.layer.fields[-1], "name": "MORE"}]


def lost_rows(town: Town) -> None:
    (outcome,) = (each for each in read_outcomes(town.store, "latest") if each.item.id == SURVEY)
    part = next(part for part in outcome.parts if part.name == "rows")
    path = town.place / "store" / "blobs" / part.blob.sha256[:2] / part.blob.sha256
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-9] + b"something")


def say(**rows: list[int]) -> Callable[[Town], None]:
    """A service that tells something else of its edits than what was edited."""

    def prepare(town: Town) -> None:
        told = {"adds": [], "updates": [], "deletes": []} | rows
        town.sandbox.faults.add(Fault("/extractChanges$", body={"edits": [{"id": 0, "objectIds": told}]}))

    return prepare


@pytest.mark.parametrize(
    "prepare",
    [
        untracked,
        forgotten,
        refused,
        another_schema,
        another_field,
        lost_rows,
        say(),
        say(updates=[3]),
        say(adds=[5001], updates=[3]),
        say(updates=[3], deletes=[9]),
    ],
    ids=[
        "untracked",
        "forgotten",
        "refused",
        "schema",
        "field",
        "lost",
        "nothing",
        "no add",
        "no delete",
        "add untold",
    ],
)
def test_what_does_not_add_up_is_not_relied_on(town: Town, prepare: Callable[[Town], None]) -> None:
    """Where the service cannot say what was edited, or says what cannot be, all rows are read."""
    town.back_up()
    town.edit("add", 5001)
    town.edit("update", 3)
    town.edit("delete", 9)
    prepare(town)
    outcome = town.back_up()
    assert outcome.result is Result.VERIFIED
    assert len(town.asked()) >= 10
    town.sandbox.faults.clear()
    assert town.rows(outcome) == town.rows(town.back_up("anew"), "anew")


def test_an_edit_in_between_is_not_lost(town: Town) -> None:
    """Rows that are edited while the edited ones are fetched make all of them be read again."""
    town.back_up()
    town.edit("update", 3)
    town.sandbox.faults.add(Fault("/0/query$", "GET", times=1, action=lambda: town.edit("update", 5)))
    outcome = town.back_up()
    assert outcome.result is Result.VERIFIED
    assert town.rows(outcome) == town.rows(town.back_up("anew"), "anew")


def test_a_full_run_reads_every_row(town: Town) -> None:
    """`full` takes nothing from an earlier backup."""
    town.back_up()
    town.edit("update", 3)
    assert "reused" not in town.back_up(full=True).checked
    assert len(town.asked()) == 10
