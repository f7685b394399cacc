"""Export items: the only thing ever written to the portal, and nothing of it stays."""

from __future__ import annotations

import copy
import json
import os
import threading
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from portals import connect

import agolkit as ak
from agolkit.journal import Journal
from agolkit.kinds.exports import ExportLedger
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, Result, counted
from agolkit.progress import Event
from agolkit.sandbox import Fault, Sandbox, Settings, city
from agolkit.sandbox import export as sandbox_export
from agolkit.sandbox.organization import Bytes, Item, Organization
from agolkit.scope import EXPORT_TAG
from agolkit.store.base import utc_now

FGDB = ak.BackupOptions(feature_format="fgdb")


@pytest.fixture
def org() -> Organization:
    return city.generated(items=2, owners=1, folders=1, groups=1, services=2)


def exports_in(org: Organization) -> list[Item]:
    everything = [*org.items.values(), *org.recycle_bin.values()]
    return [item for item in everything if EXPORT_TAG in item.tags or EXPORT_TAG in item.title]


def test_an_export_item_that_appears_late_is_deleted_in_the_end(org: Organization, tmp_path: Path) -> None:
    """After a lost answer the run looks once more when everything else is done."""
    with Sandbox(org) as sandbox:
        portal = connect(sandbox)
        body = {"error": {"code": 504, "message": "Timed out.", "details": []}}
        sandbox.faults.add(Fault(path="/export$", body=body, times=1))
        store = ak.open_store(tmp_path / "store")
        titles: list[str] = []

        def watch(event: Event) -> None:
            if event.stage == "items" and not titles:
                journal = (tmp_path / "store").glob("backups/*/journal/000001.jsonl")
                line = json.loads(next(journal).read_text().splitlines()[0])["announced"]
                titles.append(line["title"])
                item = Item("d" * 32, line["owner"], "File Geodatabase", line["title"], data=Bytes(b"x"))
                sandbox.org.add(item)

        summary = ak.backup(portal, store, FGDB, progress=watch)
        assert titles
        assert summary.counts[Result.VERIFIED] == 2
        assert not exports_in(sandbox.org)
        assert summary.left_behind == ()


def test_what_cannot_be_deleted_is_said_and_counts(org: Organization, tmp_path: Path) -> None:
    """When the portal refuses to delete an export item, the summary says which, and the exit code is 3."""
    with Sandbox(org) as sandbox:
        body = {"error": {"code": 403, "message": "You may not.", "details": []}}
        sandbox.faults.add(Fault(path="/delete$", body=body))
        summary = ak.backup(connect(sandbox), ak.open_store(tmp_path / "store"), FGDB)
        left = {item.title for item in exports_in(sandbox.org)}
    assert len(left) == 2
    assert summary.exit_code == 3
    assert {title for title in left if any(title in sentence for sentence in summary.left_behind)} == left
    assert "left behind: Delete the item" in str(summary)


def test_an_export_item_without_its_tags_is_known_by_its_title(org: Organization, tmp_path: Path) -> None:
    """A portal that drops the tags of an export item does not keep the item."""
    with Sandbox(org, Settings(export_seconds=0.3)) as sandbox:
        held = set(sandbox.org.items)
        dropping = threading.Event()

        def drop_tags() -> None:
            while not dropping.wait(0.01):
                for item in list(sandbox.org.items.values()):
                    if item.id not in held:
                        item.tags = []

        thread = threading.Thread(target=drop_tags)
        thread.start()
        summary = ak.backup(connect(sandbox), ak.open_store(tmp_path / "store"), FGDB)
        dropping.set()
        thread.join()
        assert set(sandbox.org.items) == held
    assert summary.counts[Result.VERIFIED] == 2


def test_what_a_killed_run_left_is_swept_and_nothing_else(org: Organization, tmp_path: Path) -> None:
    """The next run deletes the export items that an unfinished backup of this store announced, and only those."""
    with Sandbox(org) as sandbox:
        portal = connect(sandbox)
        store = ak.open_store(tmp_path / "store")
        store.bind(portal.org_id, portal.org_name)
        owner = sandbox.org.admin
        with store.lock("killed", "test"):
            journal = Journal(store.begin(utc_now(), "default"))
            ours = ExportLedger(portal, "killed", announce=journal.announce).open(owner, "a" * 32)
        foreign = Item("b" * 32, owner, "File Geodatabase", "another run's", tags=[EXPORT_TAG], created=1)
        sandbox.org.add(Item("c" * 32, owner, "File Geodatabase", ours.title, tags=[EXPORT_TAG], created=1), foreign)
        summary = ak.backup(portal, store, ak.BackupOptions(types=["Feature Service"]))
        assert [item.id for item in exports_in(sandbox.org)] == [foreign.id]
    assert summary.left_behind == ()


def test_an_old_backup_that_is_damaged_does_not_end_the_next_run(org: Organization, tmp_path: Path) -> None:
    """Whatever an old backup's files hold, looking for left-over exports is no reason not to back up."""
    with Sandbox(org) as sandbox:
        portal, store = connect(sandbox), ak.open_store(tmp_path / "store")
        ak.backup(portal, store, FGDB)
        old = next((tmp_path / "store" / "backups").iterdir())
        (old / "backup.json").write_text("{torn")
        assert ak.backup(portal, ak.open_store(tmp_path / "store"), FGDB).state == "complete"


def test_no_more_exports_run_at_once_than_allowed_and_the_rest_goes_on(tmp_path: Path) -> None:
    """Services wait for one another; documents do not wait for services."""
    org = city.generated(items=30, owners=2, folders=2, groups=1, services=8)
    most, finished = [0], []
    with Sandbox(org, Settings(export_seconds=0.4)) as sandbox:

        def watch(event: Event) -> None:
            most[0] = max(most[0], len(exports_in(sandbox.org)))
            if event.outcome:
                finished.append(event.outcome.kind)

        options = ak.BackupOptions(feature_format="fgdb", exports=2, workers=4)
        summary = ak.backup(connect(sandbox), ak.open_store(tmp_path / "store"), options, progress=watch)
    assert summary.counts[Result.VERIFIED] == 30
    assert most[0] <= 2
    assert "feature service" not in finished[:10]


def test_an_event_of_the_callers_is_never_set_by_a_run(org: Organization, tmp_path: Path) -> None:
    """The same `cancel` serves two runs one after the other."""
    cancel = threading.Event()
    with Sandbox(org) as sandbox:
        portal, store = connect(sandbox), ak.open_store(tmp_path / "store")
        for _ in range(2):
            assert ak.backup(portal, store, FGDB, cancel=cancel).state == "complete"
    assert not cancel.is_set()


def test_a_geodatabase_with_rows_twice_is_not_accepted(
    org: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of rows is compared beside the set of their ids; then the rows themselves are saved."""

    def write(target: Path, name: str, form: object, tables: list[Any]) -> str:
        twice = []
        for table in tables:
            key = table.layer.object_id_field
            again = [
                {**row, "attributes": {**row["attributes"], key: row["attributes"][key] + 9000}} for row in table.rows
            ]
            twice.append(replace(table, rows=[*table.rows, *again]))
        return saved(target, name, form, twice)

    saved = sandbox_export.write_file
    monkeypatch.setattr(sandbox_export, "write_file", write)
    with Sandbox(org) as sandbox:
        summary = ak.backup(connect(sandbox), ak.open_store(tmp_path / "store"), FGDB)
        frame = ak.load_items(ak.open_store(tmp_path / "store"), summary.backup)
    assert summary.counts[Result.VERIFIED] == 2
    assert frame["checked"].str.startswith("rows content").all()
    assert frame["message"].str.contains("rows are in the geodatabase's layer").all()


@pytest.mark.parametrize(("times", "saved_as"), [(1, "geodatabase"), (None, "rows")])
def test_a_layer_that_is_edited_while_it_is_exported_is_exported_again(
    org: Organization, tmp_path: Path, times: int | None, saved_as: str
) -> None:
    """An edit that changes neither ids nor counts is noticed by its stamp; edits without end lead to rows."""
    service = next(iter(org.services.values()))
    layer = service.layers[0]

    def edit() -> None:
        layer.features[0]["attributes"]["Name"] = "edited"
        layer.last_edit += 1000

    with Sandbox(org) as sandbox:
        sandbox.faults.add(Fault(path=f"/items/{service.item_id}/status$|/export$", times=times, action=edit))
        ak.backup(connect(sandbox), ak.open_store(tmp_path / "store"), FGDB)
        held = exports_in(sandbox.org)
        outcome = outcome_of(tmp_path / "store", service.item_id)
    assert not held
    assert outcome.result is Result.VERIFIED, outcome.message
    assert {part.name for part in outcome.parts} & {"rows", "geodatabase"} == {saved_as}
    assert ("was edited at 20" in outcome.message) == (saved_as == "rows")


def test_a_geodatabase_that_lacks_a_field_is_not_accepted(
    org: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without GlobalIDs the fields are compared beside the count; a geodatabase with other ones is refused."""
    for service in org.services.values():
        for layer in service.all():
            layer.global_id_field, layer.attachments = None, None
            layer.fields = [field for field in layer.fields if field["type"] != "esriFieldTypeGlobalID"]
            for row in layer.features:
                row["attributes"].pop("GlobalID")

    def write(target: Path, name: str, form: object, tables: list[Any]) -> str:
        return saved(target, name, form, [replace(table, fields=table.fields[:-1]) for table in tables])

    saved = sandbox_export.write_file
    with Sandbox(org) as sandbox:
        ak.backup(connect(sandbox), ak.open_store(tmp_path / "whole"), FGDB)
        monkeypatch.setattr(sandbox_export, "write_file", write)
        ak.backup(connect(sandbox), ak.open_store(tmp_path / "short"), FGDB)
    for service in org.services.values():
        whole, short = (outcome_of(tmp_path / name, service.item_id) for name in ("whole", "short"))
        assert whole.checked.startswith("geodatabase parsed"), whole.message
        assert short.checked.startswith("rows content")
        assert "rows are in the geodatabase's layer" in short.message


def test_a_geodatabase_of_another_service_is_not_accepted(
    org: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layers, names and counts of another service do not hide that its rows are others."""

    def write(target: Path, name: str, form: object, tables: list[Any]) -> str:
        others = []
        for table in tables:
            rows = [
                {**row, "attributes": {**row["attributes"], "GlobalID": f"{{{uuid.uuid4()}}}"}} for row in table.rows
            ]
            others.append(replace(table, rows=rows))
        return saved(target, name, form, others)

    saved = sandbox_export.write_file
    monkeypatch.setattr(sandbox_export, "write_file", write)
    with Sandbox(org) as sandbox:
        ak.backup(connect(sandbox), ak.open_store(tmp_path / "store"), FGDB)
    for service in org.services.values():
        outcome = outcome_of(tmp_path / "store", service.item_id)
        assert outcome.checked.startswith("rows content")
        assert "no geodatabase: layer" in outcome.message


def test_a_zip_that_is_cut_short_is_not_accepted(
    org: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a zip, whose length is the one that the portal states, is no geodatabase; the rows are saved."""

    def write(target: Path, name: str, form: object, tables: list[Any]) -> str:
        file_name = saved(target, name, form, tables)
        os.truncate(target, target.stat().st_size // 2)
        return file_name

    saved = sandbox_export.write_file
    monkeypatch.setattr(sandbox_export, "write_file", write)
    with Sandbox(org) as sandbox:
        ak.backup(connect(sandbox), ak.open_store(tmp_path / "store"), FGDB)
    for service in org.services.values():
        outcome = outcome_of(tmp_path / "store", service.item_id)
        assert outcome.result is Result.VERIFIED
        assert outcome.checked.startswith("rows content")
        assert "the zip is damaged" in outcome.message


def test_a_service_with_group_layers_is_exported(org: Organization, tmp_path: Path) -> None:
    """A group layer has no rows; the layers in it are proven one by one."""
    service = next(iter(org.services.values()))
    group = copy.copy(service.layers[0])
    group.id, group.name, group.features, group.attachments = 90, "Group", [], None
    group.sub_layers = tuple(layer.id for layer in service.layers)
    service.layers.append(group)
    with Sandbox(org) as sandbox:
        store = ak.open_store(tmp_path / "store")
        ak.backup(connect(sandbox), store, FGDB)
    outcome = outcome_of(tmp_path / "store", service.item_id)
    assert outcome.result is Result.VERIFIED, outcome.message
    assert outcome.checked.startswith(f"geodatabase content: {counted(len(service.all()) - 1, 'layer')}, ")


def outcome_of(place: Path, item_id: str) -> Outcome:
    """What the latest backup in a store says of an item."""
    return next(outcome for outcome in read_outcomes(ak.open_store(place), "latest") if outcome.item.id == item_id)
