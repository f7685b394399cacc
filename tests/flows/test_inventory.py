"""The inventory: complete, proven, and cut to the scope with reasons."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hand_built import BIG_ID, EMPTY_ID, FILE_ID, MAP_ID, ODD_ID, PASSWORD, small_organization

from agolkit.errors import CheckFailed, NotAnAnswer, NotFound, Stopped, UsageError
from agolkit.inventory import list_items, take_inventory
from agolkit.model import Inventory, from_epoch_ms
from agolkit.options import BackupOptions
from agolkit.portal import Portal, connect
from agolkit.progress import Event
from agolkit.sandbox import Fault, Sandbox, Settings
from agolkit.sandbox.organization import Folder, Item, Organization, User


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(small_organization(), Settings()) as running:
        yield running


def sign_in(sandbox: Sandbox, username: str | None = None) -> Portal:
    return connect(
        sandbox.url,
        username=username or sandbox.username,
        password=PASSWORD,
        ca_bundle=sandbox.ca_bundle,
        sleep=lambda _: None,
    )


def inventory(sandbox: Sandbox, username: str | None = None, **options: Any) -> Inventory:
    return take_inventory(sign_in(sandbox, username), BackupOptions(**options))


def ids(found: Inventory) -> set[str]:
    return {item.id for item in found.items}


def test_an_administrator_lists_everything(sandbox: Sandbox) -> None:
    """Everybody's items are listed, private ones in folders included, and counted a second time."""
    events: list[Event] = []
    found = take_inventory(sign_in(sandbox), BackupOptions(), progress=events.append)
    assert ids(found) == set(sandbox.org.items)
    assert (found.owners, len(found.folders)) == (3, 2)
    assert found.counted == "5 items listed, 5 counted by search"
    assert [item.created for item in found.items] == sorted(item.created for item in found.items if item.created)
    assert {item.folder for item in found.items} == {"", "Water", "Roads/2024"}
    assert events[-1].total == 5


def test_a_member_lists_the_own_items(sandbox: Sandbox) -> None:
    """Without the privilege to see all, the inventory is that of the own content."""
    found = inventory(sandbox, "bob")
    assert ids(found) == {ODD_ID, EMPTY_ID}
    with pytest.raises(UsageError, match="sees only its own items"):
        inventory(sandbox, "bob", owners=["ann"])


def large_organization() -> Organization:
    """12,000 items of 250 owners in 600 folders, many with equal times."""
    org = Organization(id="fedcba9876543210", name="Metropolis", url_key="metro", admin="user000")
    for number in range(250):
        role = "org_publisher" if number else "org_admin"
        org.add(User(f"user{number:03}", "Somebody", PASSWORD, role, id=f"{number:032x}"))  # type: ignore[arg-type]
    for number in range(600):
        org.add(Folder(f"{number + 1000:032x}", f"Folder {number}", f"user{number % 250:03}"))
    for number in range(12_000):
        place = number % 850
        owner, folder = (place, None) if place < 250 else ((place - 250) % 250, f"{place - 250 + 1000:032x}")
        stamp = 1_600_000_000_000 + number // 7
        org.add(
            Item(f"{number:032x}", f"user{owner:03}", "Web Map", f"Map {number}", folder, created=stamp, modified=stamp)
        )
    return org


def test_twelve_thousand_items(capsys: pytest.CaptureFixture[str]) -> None:
    """12,000 items of 250 owners are listed completely: no limit of 10,000 anywhere."""
    with Sandbox(large_organization(), Settings()) as sandbox:
        portal = sign_in(sandbox)
        sandbox.log.clear()
        found = take_inventory(portal, BackupOptions())
        with capsys.disabled():
            print(f"\n12,000 items, 250 owners, 600 folders: {found.requests:,} requests ({found.counted})")
        assert ids(found) == set(sandbox.org.items)
        assert (len(found.items), found.owners, len(found.folders)) == (12_000, 250, 600)
        assert found.requests == len(sandbox.log.entries) == 3 + 250 + 600 + 250 + 1
        assert sandbox.log.most_in_flight <= 16
        assert sandbox.log.writes() == []


# -- the proof


def test_items_that_the_index_does_not_know_yet(sandbox: Sandbox) -> None:
    """A lagging search index is no error: the listing is what counts, and the sentence says the difference."""
    sandbox.settings.index_lag = 1e9
    assert inventory(sandbox).counted == "5 items listed, 0 counted by search (5 are not in the search index yet)"


def test_items_that_only_the_index_still_knows(sandbox: Sandbox) -> None:
    """What was deleted but can still be found is looked for, not there, and no error."""
    ghost = {"id": "9" * 32, "owner": "ann", "title": "Ghost", "type": "Web Map"}
    portal = sign_in(sandbox)
    answer = {"total": 2, "results": [*portal.search("owner:ann"), ghost], "start": 1, "num": 100, "nextStart": -1}
    fault = sandbox.faults.add(Fault("/rest/search$", body=answer, skip=1))  # bob is asked for first
    found = take_inventory(portal, BackupOptions(owners=["bob", "ann"], workers=1))
    assert ids(found) == {MAP_ID, ODD_ID, EMPTY_ID}
    assert found.counted == "3 items listed, 3 counted by search"
    assert fault.struck == 2


def test_a_listing_that_was_short_is_read_again(sandbox: Sandbox) -> None:
    """A page that lacks an item at the first look is completed by a second one."""
    short = {"username": "boss", "total": 0, "start": 1, "num": 100, "nextStart": -1, "items": [], "folders": []}
    fault = sandbox.faults.add(Fault("/content/users/boss$", body=short, times=1))
    found = inventory(sandbox)
    assert ids(found) == set(sandbox.org.items)
    assert fault.struck == 1


def test_a_listing_that_stays_short_is_an_error(sandbox: Sandbox) -> None:
    """An incomplete listing is never passed off as complete: the error names owner and numbers."""
    short = {"username": "boss", "total": 0, "start": 1, "num": 100, "nextStart": -1, "items": [], "folders": []}
    sandbox.faults.add(Fault("/content/users/boss$", body=short))
    with pytest.raises(CheckFailed, match=r"'boss' is incomplete: 0 items listed, 2 counted"):
        inventory(sandbox)


def test_a_user_that_the_list_lacks(sandbox: Sandbox) -> None:
    """An owner who is missing in the list of users is noticed by the count of the whole organization."""
    users = {"users": [{"username": "boss"}, {"username": "ann"}], "total": 2, "start": 1, "num": 100, "nextStart": -1}
    fault = sandbox.faults.add(Fault("/portals/self/users$", body=users, times=1))
    assert ids(inventory(sandbox)) == set(sandbox.org.items)
    fault.times = None
    with pytest.raises(CheckFailed, match="list of users is incomplete: search counts 5 items"):
        inventory(sandbox)


def crowded(sandbox: Sandbox) -> None:
    """Give the administrator 250 more items."""
    for number in range(1000, 1250):
        sandbox.org.add(Item(f"{number:032x}", "boss", "Web Map", f"Map {number}", created=number, modified=number))


def test_a_row_without_an_id_is_an_answer_that_cannot_be_used(sandbox: Sandbox) -> None:
    """An item that the portal lists without an id ends the inventory in plain words instead of being passed over."""
    row = {"title": "Ghost", "type": "Web Map", "owner": sandbox.username}
    body = {"total": 1, "start": 1, "num": 1, "nextStart": -1, "items": [row], "folders": []}
    sandbox.faults.add(Fault(r"/content/users/[^/]+$", body=json.dumps(body)))
    with pytest.raises(NotAnAnswer, match="lists something without 'id'"):
        inventory(sandbox)


def test_a_deletion_between_two_pages_loses_no_other_item(sandbox: Sandbox) -> None:
    """When an item of a page that was read is deleted, the one that moves up over the edge of the page is not lost."""
    crowded(sandbox)
    portal = sign_in(sandbox)
    fault = Fault("/content/users/boss$", skip=1, times=1, action=lambda: sandbox.org.items.pop(f"{1004:032x}"))
    sandbox.faults.add(fault)
    found = take_inventory(portal, BackupOptions())
    assert fault.struck == 1
    assert ids(found) == set(sandbox.org.items)


def test_what_moves_to_a_folder_that_was_read_is_found(sandbox: Sandbox) -> None:
    """An item that moves to the root when the root was read is found, though a deletion makes the numbers add up."""
    sandbox.org.add(Folder("9" * 32, "Files", "boss"))
    sandbox.org.items[FILE_ID].folder = "9" * 32

    def meddle() -> None:
        sandbox.org.items[FILE_ID].folder = None
        del sandbox.org.items[BIG_ID]

    fault = sandbox.faults.add(Fault("/content/users/boss/9{32}$", times=1, action=meddle))
    found = inventory(sandbox)
    assert fault.struck == 1
    assert ids(found) >= set(sandbox.org.items)


@pytest.mark.parametrize("index_lags", [False, True])
def test_what_passes_to_an_owner_who_was_listed_is_found(sandbox: Sandbox, index_lags: bool) -> None:
    """An item that another owner takes over after his listing is found, though a deletion makes the numbers add up.

    Also where the search index still gives it to the former owner.
    """
    sandbox.org.items[EMPTY_ID].owner = "ann"
    portal = sign_in(sandbox)
    answers: list[Fault] = []
    if index_lags:
        for owner in ("ann", "boss"):
            answer = {"total": 2, "results": portal.search(f"owner:{owner}"), "start": 1, "num": 100, "nextStart": -1}
            answers.append(Fault("/rest/search$", body=answer, times=1))
    sandbox.faults.extend(answers)

    def meddle() -> None:
        sandbox.org.items[FILE_ID].owner = "ann"
        del sandbox.org.items[EMPTY_ID]

    fault = sandbox.faults.add(Fault("/content/users/boss$", times=1, action=meddle))
    found = take_inventory(portal, BackupOptions(owners=["ann", "boss", "bob"], workers=1))
    assert fault.struck == 1
    assert ids(found) >= set(sandbox.org.items)


def test_a_folder_that_is_deleted_during_the_walk(sandbox: Sandbox) -> None:
    """The owner of a folder that vanishes is listed again, and what was in the folder is found in the root."""

    def delete_folder() -> None:
        del sandbox.org.folders["f" * 32]
        sandbox.org.items[MAP_ID].folder = None

    fault = sandbox.faults.add(Fault("/content/users/ann/f{32}$", times=1, action=delete_folder))
    found = inventory(sandbox)
    assert fault.struck == 1
    assert ids(found) == set(sandbox.org.items)
    assert {item.folder for item in found.items if item.id == MAP_ID} == {""}
    assert [folder.title for folder in found.folders] == ["Roads/2024"]


def test_a_folder_that_stays_but_cannot_be_listed_is_an_error(sandbox: Sandbox) -> None:
    """A folder that its owner's root names but that is never there ends with the portal's words, not with silence."""
    gone = {"error": {"code": 400, "messageCode": "CONT_0004", "message": "User folder does not exist."}}
    fault = sandbox.faults.add(Fault("/content/users/ann/f{32}$", body=gone))
    with pytest.raises(NotFound, match="User folder does not exist"):
        inventory(sandbox)
    assert fault.struck == 3


def test_a_user_who_is_deleted_during_the_walk(sandbox: Sandbox) -> None:
    """A user who is gone when the turn comes is dropped; the items that another got are in the inventory."""

    def delete_user() -> None:
        for item in sandbox.org.items.values():
            if item.owner == "ann":
                item.owner, item.folder = "boss", None
        del sandbox.org.folders["f" * 32]
        del sandbox.org.users["ann"]

    sandbox.faults.add(Fault("/content/users/ann$", times=1, action=delete_user))
    found = inventory(sandbox, workers=1)
    assert ids(found) == set(sandbox.org.items)
    assert {item.owner for item in found.items} == {"boss", "bob"}


def test_a_user_who_is_there_but_cannot_be_listed_is_an_error(sandbox: Sandbox) -> None:
    """The portal's refusal to list a user whom it names is not taken for the user's absence."""
    gone = {"error": {"code": 400, "messageCode": "COM_0018", "message": "User does not exist or is inaccessible."}}
    sandbox.faults.add(Fault("/content/users/ann$", body=gone))
    with pytest.raises(NotFound, match="User does not exist"):
        inventory(sandbox)


def test_a_stop_ends_the_inventory(sandbox: Sandbox) -> None:
    """A stop before the walk sends nothing; one during it ends it though a server says nothing for a while."""
    portal = sign_in(sandbox)
    cancel = threading.Event()
    fault = sandbox.faults.add(Fault("/content/users/bob", delay=5, times=1))
    sandbox.faults.add(Fault("/content/users/boss$", times=1, action=cancel.set))
    began = datetime.now(UTC)
    with pytest.raises(Stopped):
        take_inventory(portal, BackupOptions(), cancel=cancel)
    assert (datetime.now(UTC) - began).total_seconds() < 3
    assert fault.struck <= 1
    before = portal.requests
    with pytest.raises(Stopped):
        take_inventory(portal, BackupOptions(), cancel=cancel)
    assert portal.requests == before


# -- odd items


@pytest.mark.parametrize("stamp", [10**15, 10**400, 1e300, float("nan"), float("inf"), -1, 0, -(10**15), None, "2024"])
def test_an_impossible_stamp_is_no_time(stamp: object) -> None:
    """A stamp of no year that there is, or none at all, is a missing time."""
    assert from_epoch_ms(stamp) is None
    assert from_epoch_ms(1_700_000_000_000) == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_odd_items_do_not_end_the_inventory(sandbox: Sandbox) -> None:
    """What is of the wrong type in an item's JSON is made text or dropped, and stays in `raw` as it came."""
    odd = {
        "id": "9" * 32,
        "owner": "ann",
        "title": 2024,
        "type": None,
        "access": {},
        "url": ["x"],
        "tags": ["a", None, 7, {}],
        "typeKeywords": "Hosted Service",
        "created": 10**15,
        "modified": "yesterday",
        "size": 10**30,
    }
    folders = sign_in(sandbox).content("ann")[0]
    listing = {"username": "ann", "total": 1, "start": 1, "num": 100, "nextStart": -1, "items": [odd]}
    sandbox.faults.add(Fault("/content/users/ann$", body={**listing, "folders": folders}))
    found = inventory(sandbox, owners=["ann", "bob"])
    item = next(item for item in found.items if item.id == "9" * 32)
    assert (item.title, item.type, item.access, item.url) == ("2024", "", "private", "")
    assert (item.tags, item.type_keywords) == (("a", "7"), ())
    assert (item.created, item.modified, item.size) == (None, None, None)
    assert item.raw == odd
    assert len(list_items(sign_in(sandbox), BackupOptions(owners=["ann", "bob"]))) == 4


# -- the scope


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"owners": ["BOB"]}, {ODD_ID, EMPTY_ID}),
        ({"folders": ["water"]}, {MAP_ID}),
        ({"folders": ["ann/Water"]}, {MAP_ID}),
        ({"folders": ["roads/2024"]}, {ODD_ID}),
        ({"folders": ["bob/Roads/2024", "Water"]}, {ODD_ID, MAP_ID}),
        ({"folders": ["/"]}, {FILE_ID, BIG_ID, EMPTY_ID}),
        ({"folders": ["bob/"]}, {EMPTY_ID}),
        ({"types": ["webmap"]}, {MAP_ID, ODD_ID, EMPTY_ID}),
        ({"types": ["Shapefile", "File Geodatabase"]}, {FILE_ID, BIG_ID}),
        ({"groups": ["field CREW"]}, {EMPTY_ID}),
        ({"groups": ["d" * 32]}, {EMPTY_ID}),
        ({"query": "tags:blue"}, {MAP_ID}),
        ({"query": "tags:blue OR owner:bob", "types": ["Web Map"], "owners": ["ann"]}, {MAP_ID}),
    ],
)
def test_the_scope(sandbox: Sandbox, options: dict[str, Any], expected: set[str]) -> None:
    """Folders, owners, groups, types and a query narrow the scope, without regard to case."""
    found = inventory(sandbox, **options)
    assert ids(found) == expected
    assert found.excluded == ()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"exclude_tags": ["BLUE"]}, {MAP_ID: "tag 'blue' is in exclude_tags"}),
        ({"exclude_types": ["web map"], "owners": ["ann"]}, {MAP_ID: "type 'Web Map' is in exclude_types"}),
        ({"exclude_ids": [FILE_ID]}, {FILE_ID: "its id is in exclude_ids"}),
        ({"exclude_owners": ["Ann"]}, {MAP_ID: "owner 'ann' is in exclude_owners"}),
        ({"exclude_folders": ["Water", "nothing"]}, {MAP_ID: "folder 'Water' is in exclude_folders"}),
        ({"exclude_folders": ["bob/roads/2024"]}, {ODD_ID: "folder 'Roads/2024' is in exclude_folders"}),
    ],
)
def test_exclusions(sandbox: Sandbox, options: dict[str, Any], expected: dict[str, str]) -> None:
    """What an exclusion leaves out is named with the reason."""
    found = inventory(sandbox, **options)
    assert {item.id: reason for item, reason in found.excluded} == expected
    assert ids(found).isdisjoint(expected)


def test_a_type_that_is_left_out_by_default_can_be_kept(sandbox: Sandbox) -> None:
    """The reason names the option and what to do; with a list without the type, nothing is left out."""
    sandbox.org.items[FILE_ID].type = "Service Definition"
    assert {item.id: reason for item, reason in inventory(sandbox).excluded} == {
        FILE_ID: "type 'Service Definition' is in exclude_types by default; give a list without it to save such items"
    }
    assert FILE_ID in ids(inventory(sandbox, exclude_types=[]))


def test_export_items_are_never_backed_up(sandbox: Sandbox) -> None:
    """A temporary export item of another run is excluded with that reason."""
    sandbox.org.items[FILE_ID].tags = ["agolkit-export"]
    assert {item.id: reason for item, reason in inventory(sandbox).excluded} == {
        FILE_ID: "temporary export item of a backup run"
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"owners": ["bosss"]}, "no owner 'bosss'.* Did you mean 'boss'"),
        ({"folders": ["Watter"]}, "no folder 'Watter'.* Did you mean 'Water'"),
        ({"folders": ["bob/Water"]}, "no folder 'bob/Water'"),
        ({"types": ["Web Mapp"]}, "no item of type 'Web Mapp'.* Did you mean 'Web Map'"),
        ({"groups": ["Field crews"]}, "no group 'Field crews'.* Did you mean 'Field crew'"),
        ({"query": "tags:nothing"}, "Nothing is in scope: none of the 5 items matches query='tags:nothing'"),
        ({"owners": ["ann"], "types": ["Web Map"], "query": "owner:bob"}, "Nothing is in scope"),
    ],
)
def test_what_does_not_exist_is_said(sandbox: Sandbox, options: dict[str, Any], words: str) -> None:
    """An unknown name or an empty scope ends with exit code 2 and the nearest known name."""
    with pytest.raises(UsageError, match=words) as caught:
        inventory(sandbox, **options)
    assert caught.value.exit_code == 2


def test_the_list_as_a_table(sandbox: Sandbox) -> None:
    """One row for each item, times in UTC, sizes as whole numbers or missing, tags as lists."""
    table = list_items(sign_in(sandbox), BackupOptions())
    assert list(table.columns) == [
        *("item_id", "title", "type", "owner", "folder", "access", "tags", "created", "modified", "size_bytes", "url")
    ]
    assert set(table["item_id"]) == set(sandbox.org.items)
    assert str(table["created"].dt.tz) == "UTC"
    assert isinstance(table["size_bytes"].dtype, pd.Int64Dtype)
    row = table.set_index("item_id").loc[MAP_ID]
    assert (row["folder"], row["tags"], row["url"]) == ("Water", ["blue"], "")
    assert table.set_index("item_id").loc[BIG_ID, "size_bytes"] == 300_000_000
