"""What could lead a second backup to reuse what is not as it was, or to end because of what it finds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from interrupted import back_up, content, fetched, town
from portals import connect

import agolkit as ak
from agolkit.entries import entry_line, outcome_to_json
from agolkit.journal import journal_lines
from agolkit.kinds.feature_service.views import settle
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, Result
from agolkit.sandbox import Fault, Sandbox
from agolkit.sandbox.organization import Attachment, Bytes, Folder, Item, Layer
from agolkit.store import Store


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(town(20)) as sandbox:
        yield sandbox


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return ak.open_store(tmp_path / "store")


def outcomes(store: Store, backup: str = "latest") -> dict[str, Outcome]:
    return {each.item.id: each for each in read_outcomes(store, backup)}


def some(sandbox: Sandbox, wanted: Callable[[Item], object]) -> Item:
    """The first item of which this is true."""
    return next(item for item in sandbox.org.items.values() if wanted(item))


def layer_of(sandbox: Sandbox, item: Item) -> Layer:
    return sandbox.org.services[item.service or ""].layers[0]


def saved_json(store: Store, item_id: str, part: str) -> Any:
    found = next(each for each in outcomes(store)[item_id].parts if each.name == part)
    with store.open_blob(found.blob.sha256) as stream:
        return json.load(stream)


def assert_as_a_first_one(sandbox: Sandbox, store: Store, place: Path) -> None:
    """The newest backup of a store holds what a backup into an empty store would."""
    anew = ak.open_store(place)
    back_up(sandbox, anew)
    ours, other = content(store), content(anew)
    for line in (*ours.values(), *other.values()):
        del line["how"]
    assert ours == other


# -- what the backup says of itself


def test_reused_bytes_are_no_transfer_in_backup_json_either(sandbox: Sandbox, store: Store) -> None:
    """`backup.json` and the table of backups state the same number as the summary: what came over the wire."""
    first = back_up(sandbox, store)
    item = some(sandbox, lambda each: each.type == "Web Map")
    item.data, item.modified = Bytes(b'{"edited": true}'), item.modified + 1000
    second = back_up(sandbox, store)
    assert outcomes(store)[item.id].saved_bytes == second.fetched_bytes
    for summary in (first, second):
        assert store.summary(summary.backup)["fetched_bytes"] == summary.fetched_bytes


# -- full


def test_an_interrupted_run_that_reused_is_not_taken_up_by_a_full_one(sandbox: Sandbox, store: Store) -> None:
    """Who asks for everything again gets no item that an interrupted run had taken from an earlier backup."""
    back_up(sandbox, store)
    item = some(sandbox, lambda each: each.type == "Web Map")
    assert item.data
    item.data = Bytes(b"".join(item.data.chunks()).replace(b"version", b"edition"))
    stopped = back_up(sandbox, store, stop_after=5)
    assert stopped.state == "stopped"
    summary = back_up(sandbox, store, full=True)
    assert (summary.reused, summary.kept) == (0, None)
    assert [each.item.id for each in summary.unsigned] == [item.id]
    assert store.summary(summary.backup)["full"]


def test_a_full_run_that_was_interrupted_stays_one(sandbox: Sandbox, store: Store) -> None:
    """What follows an interrupted full run goes on as one, whether told to or not, and still finds what it is for."""
    back_up(sandbox, store)
    item = some(sandbox, lambda each: each.type == "Web Map")
    assert item.data
    item.data = Bytes(b"".join(item.data.chunks()).replace(b"version", b"edition"))
    back_up(sandbox, store, stop_after=15, full=True)
    summary = back_up(sandbox, store)
    assert (summary.reused, [each.item.id for each in summary.unsigned]) == (0, [item.id])
    assert summary.kept


def test_what_changed_without_a_sign_is_told_of_an_item_that_was_moved_too(sandbox: Sandbox, store: Store) -> None:
    """Where an item stands and who sees it says nothing of its content."""
    back_up(sandbox, store)
    item = some(sandbox, lambda each: each.type == "Web Map")
    assert item.data
    item.data = Bytes(b"".join(item.data.chunks()).replace(b"version", b"edition"))
    item.access, item.groups = "public", [] if item.groups else [next(iter(sandbox.org.groups))]
    assert [each.item.id for each in back_up(sandbox, store, full=True).unsigned] == [item.id]


def test_a_new_name_of_a_group_is_no_change_without_a_sign(sandbox: Sandbox, store: Store) -> None:
    """The titles of groups stand in what is saved of an item, and are no content of it."""
    back_up(sandbox, store)
    for group in sandbox.org.groups.values():
        group.title += " (new)"
    assert back_up(sandbox, store, full=True).unsigned == ()


def test_runs_are_counted_though_older_backups_were_deleted(sandbox: Sandbox, store: Store) -> None:
    """Everything is fetched again after `full_every` runs, also where fewer backups than that are kept."""
    full = []
    for _ in range(7):
        name = back_up(sandbox, store, full_every=4, types=["Dashboard"]).backup
        full.append(store.summary(name)["full"])
        for old in set(store.backup_names()) - {name}:
            store.clear(f"backups/{old}")
    assert full == [True, False, False, False, True, False, False]
