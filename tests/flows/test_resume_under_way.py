"""An item that was under way when its run ended: the next run asks only for what is missing of it."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hand_built import small_organization
from interrupted import content
from portals import connect

import agolkit as ak
from agolkit.journal import journal_lines
from agolkit.kinds.feature_service import bookmark, stretches
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, Result
from agolkit.sandbox import Fault, Sandbox, Settings
from agolkit.sandbox.city.large import large_layer
from agolkit.sandbox.edits import note
from agolkit.sandbox.organization import Bytes, Change, Item, Layer, Service
from agolkit.sandbox.sorted_rows import SortedRows
from agolkit.store import Lease, Store

SURVEY = f"{77:032x}"
ROWS, SIZE, PAGE = 240, 500, 20
PAGES = ROWS // PAGE
PHOTO = r"/0/\d+/attachments/\d+$"
QUERY = r"/0/query$"
TRACKED = "Query,Editing,Create,Update,Delete,ChangeTracking"
processes = multiprocessing.get_context("forkserver")


def survey() -> Layer:
    """A layer with a photo for each row, whose service gives few rows at once."""
    layer = large_layer(0, "survey", ROWS, attachments_per_row=1, photo_bytes=SIZE)
    layer.max_record_count = PAGE
    return layer


class Survey:
    """A survey in a portal, and the store that it is backed up to."""

    def __init__(self, sandbox: Sandbox, store: Store) -> None:
        self.sandbox = sandbox
        self.store = store
        self.cancel = threading.Event()
        self.options: dict[str, Any] = {"types": ["Feature Service"], "feature_format": "rows"}

    @property
    def service(self) -> Service:
        return self.sandbox.org.services["survey"]

    @property
    def layer(self) -> Layer:
        return self.service.layers[0]

    def back_up(self, store: Store | None = None, **options: Any) -> ak.RunSummary:
        self.sandbox.log.clear()
        self.cancel.clear()
        wanted = {**self.options, **options}
        return ak.backup(
            connect(self.sandbox), store or self.store, ak.BackupOptions.from_mapping(wanted), cancel=self.cancel
        )

    def stop(self, path: str, after: int, **options: Any) -> ak.RunSummary:
        """A backup that the user stops after so many requests of one sort; no others are answered until it ends."""
        fault = Fault(path, "GET", skip=after, action=self.cancel.set, delay=0.6)
        self.sandbox.faults.add(fault)
        summary = self.back_up(**options)
        assert (fault.struck > 0, summary.state) == (True, "stopped")
        fault.times = 0
        return summary

    def photos(self) -> set[str]:
        """The photos that the last run asked for."""
        return {
            entry.path.partition("FeatureServer")[2]
            for entry in self.sandbox.log.entries
            if "/attachments/" in entry.path
        }

    def pages(self) -> list[str]:
        """The pages of rows that the last run asked for."""
        asked = [entry for entry in self.sandbox.log.entries if entry.method == "GET" and entry.path.endswith("/query")]
        return sorted(entry.query for entry in asked)

    def outcome(self, store: Store | None = None) -> Outcome:
        return next(each for each in read_outcomes(store or self.store, "latest") if each.item.id == SURVEY)

    def is_as_undisturbed(self) -> bool:
        """Whether the backup is, to the byte, what a run makes that nothing interrupts."""
        other = ak.open_store(Path(self.store.location).parent / "undisturbed")
        self.back_up(other)
        assert ak.verify(self.store, deep=True).ok
        assert content(self.store) == content(other)
        return True

    def folder(self, backup: str) -> Path:
        return Path(self.store.location, "backups", backup)

    def replace_photo(self) -> None:
        """Put other bytes in the place of the first photo, with the same name and as many."""
        one = (self.layer.attachments or {})[1][0]
        one.payload = Bytes(b"\xff\xd8" + b"!" * (SIZE - 2))
        note(self.sandbox.org, self.service, self.layer, [Change(0, "attachments", "update", 1, one.global_id, one.id)])


@pytest.fixture
def town(store: Store) -> Iterator[Survey]:
    org = small_organization()
    org.add(
        Item(SURVEY, "ann", "Feature Service", "Survey", service="survey", type_keywords=["Hosted Service"]),
        Service("survey", SURVEY, [survey()]),
    )
    with Sandbox(org, Settings(latency=0.002)) as sandbox:
        yield Survey(sandbox, store)


ALL = {f"/0/{object_id}/attachments/{at}" for at, object_id in enumerate(range(1, 2 * ROWS, 2), 1)}


@pytest.fixture
def bare(town: Survey) -> Survey:
    """The survey, saved without its photos."""
    town.options["attachments"] = False
    return town


# Attachments


def test_only_missing_attachments_are_asked_for(town: Survey) -> None:
    """A stopped run taken up asks for no photo twice, and ends as an undisturbed one: same files, same proofs."""
    stopped = town.stop(PHOTO, 100)
    first = town.photos()
    assert 100 < len(first) < 120
    summary = town.back_up()
    second = town.photos()
    assert (summary.backup, summary.state) == (stopped.backup, "complete")
    assert first | second == ALL
    assert len(first & second) <= 5  # those that were in flight
    outcome = town.outcome()
    assert (outcome.result, "240 listed" in outcome.checked, "reused" in outcome.checked) == (
        Result.VERIFIED,
        True,
        False,
    )
    facts = town.store.summary(summary.backup)
    assert summary.fetched_bytes == facts["fetched_bytes"] <= facts["saved_bytes"] - 100 * SIZE
    assert town.is_as_undisturbed()


def test_a_run_may_be_interrupted_again_and_again(town: Survey) -> None:
    """Each run goes on where the one before it ended, also where that one had gone on itself."""
    asked = []
    for _ in range(3):
        town.stop(PHOTO, 60)
        asked.append(town.photos())
    town.back_up()
    asked.append(town.photos())
    assert set().union(*asked) == ALL
    assert sum(map(len, asked)) <= ROWS + 15
    assert town.is_as_undisturbed()


@pytest.mark.parametrize("capabilities", [TRACKED, "Query,Editing"])
def test_a_photo_that_was_replaced_meanwhile_is_fetched_again(town: Survey, capabilities: str) -> None:
    """It has the same name and size; where the service cannot tell which photos were replaced, all are fetched."""
    town.service.capabilities = capabilities
    town.stop(PHOTO, 100)
    first = town.photos()
    town.replace_photo()
    town.back_up()
    replaced = "/0/1/attachments/1"
    assert replaced in first & town.photos()
    assert (len(first & town.photos()) <= 6) is (capabilities == TRACKED)
    assert town.is_as_undisturbed()


def test_an_unfinished_item_does_not_hide_an_earlier_backup(town: Survey) -> None:
    """What the last backup has of the survey is of use to a run that was stopped, and to the one that takes it up."""
    held = town.layer.attachments or {}
    later = {object_id: held.pop(object_id) for object_id in list(held)[120:]}
    town.service.capabilities = TRACKED
    town.back_up()
    held.update(later)
    new = [Change(0, "attachments", "add", oid, one.global_id, one.id) for oid, ones in later.items() for one in ones]
    note(town.sandbox.org, town.service, town.layer, new)
    town.stop(PHOTO, 60)
    first = town.photos()
    summary = town.back_up()
    second = town.photos()
    assert first | second == ALL - {path for path in ALL if int(path.rpartition("/")[2]) <= 120}
    assert len(first & second) <= 5
    assert "240 listed, 120 reused" in town.outcome().checked
    assert summary.state == "complete"
    assert ak.verify(town.store, deep=True).ok


def test_an_item_that_was_given_up_is_gone_on_with(town: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    """A complete backup may have an item that made no progress: the next backup asks only for what was missing."""
    monkeypatch.setattr(bookmark, "SEGMENT_SECONDS", 0)
    fault = Fault(PHOTO, skip=100, delay=3)
    town.sandbox.faults.add(fault)
    assert town.back_up(item_timeout=1).state == "complete"
    assert town.outcome().result is Result.PARTIAL
    fault.times = 0
    assert town.back_up().state == "complete"
    assert town.outcome().result is Result.VERIFIED
    assert len(town.photos()) <= ROWS - 95


def test_a_lost_connection_costs_no_attachment_twice(town: Survey) -> None:
    """Where the portal goes away in the middle, the next run asks for what it could not have."""
    town.sandbox.faults.add(
        Fault(PHOTO, skip=100, times=1, action=lambda: threading.Thread(target=town.sandbox.go_away).start())
    )
    town.back_up()
    first = {entry.path.partition("FeatureServer")[2] for entry in town.sandbox.log.entries if entry.status == 200}
    town.sandbox.come_back()
    town.back_up()
    assert town.outcome().result is Result.VERIFIED
    assert town.photos() | first >= ALL
    assert len(town.photos() & first) <= 5


def lose_blob(town: Survey, noted: dict[str, Any]) -> None:
    sha256 = noted["parts"][-1]["sha256"]
    Path(town.store.location, "blobs", sha256[:2], sha256).unlink()


def edit_lines(change: Callable[[dict[str, Any]], None]) -> Callable[[Survey, dict[str, Any]], None]:
    """Change the lines of what was under way, by hand."""

    def edit(town: Survey, _noted: dict[str, Any]) -> None:
        (name,) = town.store.backup_names()
        for path in (town.folder(name) / "journal").glob("*.jsonl"):
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            for line in lines:
                if "under_way" in line:
                    change(line["under_way"])
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    return edit


def swap(line: dict[str, Any]) -> None:
    """Let the photo have the content of the list."""
    listing, photo = (
        next(part for part in line["parts"] if part["name"] == name) for name in ("attachments", "attachment")
    )
    photo["sha256"], photo["size"] = listing["sha256"], listing["size"]


@pytest.mark.parametrize(
    ("damage", "again"),
    [
        (lose_blob, 1),
        (edit_lines(swap), 1),
        (edit_lines(lambda line: line.pop("item")), 100),
        (edit_lines(lambda line: line.clear()), 100),
        (edit_lines(lambda line: line["parts"].pop(0)), 100),
        (edit_lines(lambda line: line["parts"].append(5)), 100),
        (edit_lines(lambda line: line["parts"][1].update(path="../../x")), 100),
    ],
)
def test_damage_costs_transfer_and_nothing_else(
    town: Survey, damage: Callable[[Survey, dict[str, Any]], None], again: int
) -> None:
    """What was lost, or edited by hand, is fetched again."""
    name = town.stop(PHOTO, 100).backup
    first = town.photos()
    (noted,) = [line["under_way"] for line in journal_lines(town.store, name) if "under_way" in line]
    damage(town, noted)
    town.back_up()
    assert again <= len(first & town.photos()) <= again + 20
    assert town.is_as_undisturbed()


# Rows


def numbers(pages: list[str]) -> set[str]:
    return {page for each in pages for page in each.split("&") if page.startswith("where=")}


def test_only_missing_pages_are_asked_for(bare: Survey) -> None:
    """A stopped run taken up asks for no page twice, and ends as an undisturbed one; nothing stays of the kept rows."""
    name = bare.stop(QUERY, 6).backup
    first = bare.pages()
    assert list((bare.folder(name) / "journal/rows").iterdir())
    summary = bare.back_up()
    second = bare.pages()
    assert (summary.backup, summary.state) == (name, "complete")
    assert len(numbers(first) | numbers(second)) == PAGES
    assert len(numbers(first) & numbers(second)) <= 4  # those that were in flight
    assert len(second) <= PAGES - 3
    assert not (bare.folder(name) / "journal/rows").exists()
    facts = bare.store.summary(name)
    assert summary.fetched_bytes == facts["fetched_bytes"] < facts["saved_bytes"]
    assert bare.is_as_undisturbed()


def test_an_ordinary_item_costs_nothing_more(town: Survey) -> None:
    """Of an item that is saved within seconds, nothing is kept or noted but its end."""
    name = town.back_up().backup
    assert town.store.names(f"backups/{name}/journal") == ["000000.jsonl", "000001.jsonl"]
    assert [next(iter(line)) for line in journal_lines(town.store, name)] == ["run", "item"]


def edit_rows(town: Survey) -> None:
    town.layer.last_edit += 1


def edit_definition(town: Survey) -> None:
    town.layer.fields[2]["alias"] = "Another name"


def lose_stamps(town: Survey) -> None:
    town.layer.definition["editingInfo"] = None


def lose_row(town: Survey) -> None:
    """Delete a row without a word."""
    features = town.layer.features
    assert isinstance(features, SortedRows)
    town.layer.features = SortedRows([*range(1, 5, 2), *range(7, 2 * ROWS, 2)], features.make)
    (town.layer.attachments or {}).pop(5)


def edit_kept(town: Survey) -> None:
    for path in town.folder(town.store.backup_names()[0]).glob("journal/rows/*"):
        path.write_bytes(path.read_bytes()[:-9] + b"?" * 9)


def lose_kept(town: Survey) -> None:
    for path in town.folder(town.store.backup_names()[0]).glob("journal/rows/*"):
        path.unlink()


def edit_line(**changed: Any) -> Callable[[Survey], None]:
    """Change the line of the kept rows, by hand."""

    def edit(town: Survey) -> None:
        for path in (town.folder(town.store.backup_names()[0]) / "journal").glob("*.jsonl"):
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            for line in lines:
                if "rows" in line:
                    line["rows"] |= changed
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    return edit


@pytest.mark.parametrize(
    "change",
    [
        edit_rows,
        edit_definition,
        lose_stamps,
        lose_row,
        edit_kept,
        lose_kept,
        edit_line(header={}),
        edit_line(first=3),
        edit_line(first="1"),
        edit_line(unknown=5),
        edit_line(item_id=[]),
    ],
)
def test_rows_that_may_have_changed_are_read_again(bare: Survey, change: Callable[[Survey], None]) -> None:
    """Edited rows, another definition, no stamps, another list of ids, a damaged file or line: every page is read."""
    bare.stop(QUERY, 6)
    change(bare)
    bare.back_up()
    assert len(bare.pages()) == PAGES
    assert bare.is_as_undisturbed()


def test_a_gap_between_kept_rows_is_read(bare: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stretch counts for itself: where one is damaged, its pages alone are read again."""
    monkeypatch.setattr(stretches, "LONG", 1)
    name = bare.stop(QUERY, 8).backup
    kept = [line["rows"] for line in journal_lines(bare.store, name) if "rows" in line]
    assert 4 <= len(kept) <= 9
    files = bare.folder(name).glob("journal/rows/*")
    broken = next(path for path in files if hashlib.sha256(path.read_bytes()).hexdigest() == kept[2]["sha256"])
    broken.write_bytes(b"")
    bare.back_up()
    assert len(bare.pages()) == PAGES - len(kept) + 1
    assert bare.is_as_undisturbed()


def test_rows_of_a_view_are_read_again(bare: Survey) -> None:
    """The stamps of a view need not move with those of its source."""
    view = f"{78:032x}"
    shown = large_layer(0, "survey", 0)
    shown.max_record_count = PAGE
    bare.sandbox.org.add(
        Item(view, "ann", "Feature Service", "View", service="view", type_keywords=["Hosted Service", "View Service"]),
        Service("view", view, [shown], view_of="survey"),
    )
    bare.stop(QUERY, 6, exclude_ids=[SURVEY], views="rows")
    bare.back_up(exclude_ids=[SURVEY], views="rows")
    assert len(bare.pages()) == PAGES


# Kills


def child(url: str, username: str, password: str, ca_bundle: str, place: str) -> None:
    """A backup in a process of its own, which notes at once what takes ten seconds or four megabytes elsewhere."""
    bookmark.SEGMENT_SECONDS = 0
    stretches.LONG = 1
    portal = ak.connect(url, username=username, password=password, ca_bundle=ca_bundle)
    options = ak.BackupOptions(types=["Feature Service"], feature_format="rows")
    ak.backup(portal, ak.open_store(place), options)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "requests"), [("/attachments/", 60), ("/attachments/", 180), ("/query", 12)])
def test_a_killed_run_loses_little_of_what_it_had(town: Survey, path: str, requests: int) -> None:
    """After a kill in the middle of an item, what its run had noted is not asked for again, and the end is the same."""
    account = town.sandbox.url, town.sandbox.username, town.sandbox.password, str(town.sandbox.ca_bundle)
    process = processes.Process(target=child, args=(*account, town.store.location))
    process.start()
    while process.is_alive() and sum(path in entry.path for entry in town.sandbox.log.entries) < requests:
        process.join(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -9
    with Lease(town.store, "nobody", "the test", stale_after=0):
        pass
    (name,) = town.store.backup_names()
    lines = journal_lines(town.store, name)
    photos = [
        part["path"] for line in lines for part in line.get("under_way", {}).get("parts", ()) if "-" in part["path"]
    ]
    kept = sum("rows" in line for line in lines)
    assert kept > 0
    assert (len(photos) > requests // 2) is (path != "/query")
    assert town.back_up().backup == name
    assert len(town.photos()) == ROWS - len(photos)
    assert len(town.pages()) == PAGES - kept
    assert town.is_as_undisturbed()
