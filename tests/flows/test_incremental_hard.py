"""What could lead a second backup to reuse what is not as it was, or to end because of what it finds."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from interrupted import back_up, content, fetched, town, tree
from portals import connect
from second_backup import assert_as_a_first_one, fetched_again, layer_of, outcomes, saved_json, some

import agolkit as ak
from agolkit.entries import entry_line
from agolkit.journal import journal_lines
from agolkit.model import Result
from agolkit.sandbox import Fault, Sandbox
from agolkit.sandbox.organization import Bytes, Item, User
from agolkit.store import Store


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(town(20)) as sandbox:
        yield sandbox


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return ak.open_store(tmp_path / "store")


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


# -- where an item stands and who sees it


def test_a_new_name_of_a_group_is_saved(sandbox: Sandbox, store: Store, tmp_path: Path) -> None:
    """Items of a group that was renamed are described anew, without their content."""
    back_up(sandbox, store)
    for group in sandbox.org.groups.values():
        group.title += " (new)"
    assert any(item.groups for item in sandbox.org.items.values())
    back_up(sandbox, store)
    assert not fetched(sandbox)
    assert_as_a_first_one(sandbox, store, tmp_path / "anew")


def test_sharing_with_a_group_that_cannot_be_read_is_noticed(sandbox: Sandbox, store: Store, tmp_path: Path) -> None:
    """Where a group does not say what it holds, each item is asked with whom it is shared."""
    item = some(sandbox, lambda each: each.type == "Web Map" and not each.groups)
    back_up(sandbox, store)
    group = next(iter(sandbox.org.groups))
    item.groups = [group]
    sandbox.faults.add(Fault(rf"/content/groups/{group}$", status=500))
    back_up(sandbox, store, attempts=1)
    assert not fetched(sandbox)
    assert [each["id"] for each in saved_json(store, item.id, "sharing")["groups"]] == [group]
    sandbox.faults.clear()
    assert_as_a_first_one(sandbox, store, tmp_path / "anew")


def test_a_group_of_elsewhere_is_asked_for(sandbox: Sandbox, store: Store) -> None:
    """A group that this portal does not list says nothing of what it holds, so the item is asked."""
    item = some(sandbox, lambda each: each.type == "Web Map")
    elsewhere = "e" * 32

    def add(answer: dict[str, Any]) -> dict[str, Any]:
        answer["sharing"]["groups"].append(elsewhere)
        return answer

    shared = sandbox.faults.add(Fault(rf"/content/users/.*/items/{item.id}$", change=add))
    back_up(sandbox, store)
    assert elsewhere in outcomes(store)[item.id].groups
    sandbox.faults.remove(shared)
    back_up(sandbox, store)
    assert not fetched(sandbox)
    assert elsewhere not in outcomes(store)[item.id].groups


@pytest.mark.parametrize("kind", ["Web Map", "Feature Service"])
def test_a_sharing_that_was_taken_back_is_noticed(sandbox: Sandbox, store: Store, tmp_path: Path, kind: str) -> None:
    """An item that was public just while it was saved, and not when it was listed, is no longer so in the next."""
    item = some(sandbox, lambda each: each.type == kind)
    before = item.access = "org"
    sandbox.faults.add(Fault(rf"/items/{item.id}/data$", action=lambda: setattr(item, "access", "public"), times=1))
    back_up(sandbox, store)
    assert saved_json(store, item.id, "item")["access"] == "public"
    item.access = before
    sandbox.faults.clear()
    back_up(sandbox, store)
    assert_as_a_first_one(sandbox, store, tmp_path / "anew")


# -- what somebody has edited in the store


@pytest.mark.parametrize(
    "fingerprint",
    [
        "text",
        ["recipe"],
        {"recipe": "1"},
        {"service": "text"},
        {"service": ["layers"]},
        {"service": {"layers": 5}},
        {"service": None},
        {"groups": 7},
        {"groups": [["a"]]},
        {"groups": None},
        {"needs": 5},
        {"needs": [["a"]]},
        {"needs": None},
        {"resources": {}},
        {"metadata": ["a"]},
        {"description": 1},
    ],
    ids=str,
)
def test_a_fingerprint_that_no_agolkit_wrote_leads_to_a_fetch(
    sandbox: Sandbox, store: Store, tmp_path: Path, fingerprint: Any
) -> None:
    """A run that meets one never ends by it, and saves what it would have saved; nor does a plan."""
    name = back_up(sandbox, store).backup
    edit_entries(store, name, lambda line: line | {"fingerprint": altered(line["fingerprint"], fingerprint)})
    ak.plan_backup(connect(sandbox), store)
    summary = back_up(sandbox, store)
    assert (summary.exit_code, summary.backup) == (0, name)
    assert_as_a_first_one(sandbox, store, tmp_path / "anew", but=("how", "fingerprint"))


def altered(fingerprint: dict[str, Any], by: Any) -> Any:
    return fingerprint | by if isinstance(by, dict) else by


def test_what_another_kind_saved_is_fetched(sandbox: Sandbox, store: Store) -> None:
    """A type that a newer agolkit saves in another way is saved in that way."""
    name = back_up(sandbox, store).backup
    edit_entries(store, name, lambda line: line | {"kind": "file" if line["kind"] == "document" else line["kind"]})
    back_up(sandbox, store)
    documents = {item_id for item_id, each in outcomes(store).items() if each.kind == "document"}
    assert documents
    assert fetched(sandbox) == documents


@pytest.mark.parametrize("sha256", [None, 5, "../../store.json", ""], ids=str)
def test_a_blob_that_no_agolkit_named_leads_to_a_fetch(sandbox: Sandbox, store: Store, sha256: object) -> None:
    """A part whose blob is none is not there."""
    name = back_up(sandbox, store).backup

    def lose(line: dict[str, Any]) -> dict[str, Any]:
        return line | {"parts": [part | {"sha256": sha256} for part in line["parts"]]}

    edit_entries(store, name, lose)
    ak.plan_backup(connect(sandbox), store)
    back_up(sandbox, store)
    assert ak.verify(store, deep=True).ok


def edit_entries(store: Store, name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Make a finished backup one of a killed run, and change each item in its journal."""
    folder = Path(store.location, "backups", name)
    (folder / "backup.json").unlink()
    for segment in sorted((folder / "journal").glob("*.jsonl"))[1:]:
        lines = map(json.loads, segment.read_bytes().splitlines())
        segment.write_bytes(b"".join(entry_line(change(line) if "item" in line else line) for line in lines))
    assert any("item" in line for line in journal_lines(store, name))


# -- edits at the wrong moment


@pytest.mark.parametrize("feature_format", ["fgdb", "rows"])
@pytest.mark.parametrize("part", ["overrides", "metadata", "thumbnail"])
def test_what_is_edited_while_a_layer_is_saved_is_noticed(
    sandbox: Sandbox, store: Store, tmp_path: Path, feature_format: str, part: str
) -> None:
    """A service's own export may move `modified`; an edit that moves it at the same time is not taken for that."""
    item = some(sandbox, lambda each: each.service)
    item.data, item.metadata = Bytes(b'{"layers": [1]}'), b"<metadata>1</metadata>"
    item.thumbnail, item.type_keywords = ("one.png", b"\x89PNG one"), [*item.type_keywords, "Metadata"]

    def edit() -> None:
        if part == "overrides":
            item.data = Bytes(b'{"layers": [2]}')
        elif part == "metadata":
            item.metadata = b"<metadata>2</metadata>"
        else:
            item.thumbnail = ("one.png", b"\x89PNG two")
        item.modified += 1000

    sandbox.faults.add(Fault(rf"/{item.service}/FeatureServer/0/query$", action=edit, times=1))
    back_up(sandbox, store, feature_format=feature_format)
    sandbox.faults.clear()
    back_up(sandbox, store, feature_format=feature_format)
    anew = ak.open_store(tmp_path / "anew")
    back_up(sandbox, anew, feature_format=feature_format)
    ours, other = (
        {part.name: part.blob for part in outcomes(each)[item.id].parts if part.name != "geodatabase"}
        for each in (store, anew)
    )
    assert ours[part] == other[part]


def test_an_export_that_moves_modified_costs_no_second_one(sandbox: Sandbox, store: Store) -> None:
    """Where the export of a service counts as an edit of its item, the next run reuses the item nevertheless."""
    item = some(sandbox, lambda each: each.service)
    sandbox.faults.add(Fault(r"/export$", action=lambda: setattr(item, "modified", item.modified + 1000)))
    back_up(sandbox, store, feature_format="fgdb")
    assert outcomes(store)[item.id].result is Result.VERIFIED
    assert back_up(sandbox, store, feature_format="fgdb").reused == len(sandbox.org.items)


@pytest.mark.parametrize("edited", ["row", "title", "data"])
def test_an_edit_between_listing_and_reuse_is_in_the_next_backup(
    sandbox: Sandbox, store: Store, tmp_path: Path, edited: str
) -> None:
    """A run reuses what it listed; what is edited a moment later is for the next run, and not lost on it."""
    item = some(sandbox, lambda each: each.service if edited == "row" else each.type == "Web Map")
    back_up(sandbox, store)

    def edit() -> None:
        if edited == "row":
            layer = layer_of(sandbox, item)
            layer.features[0]["attributes"]["NAME"] = "edited"
            layer.last_edit += 1
            return
        item.modified += 1000
        if edited == "title":
            item.title += " (new)"
        else:
            item.data = Bytes(b'{"edited": 1}')

    sandbox.faults.add(Fault(r"/community/groups$", action=edit, times=1))
    back_up(sandbox, store)
    back_up(sandbox, store)
    assert_as_a_first_one(sandbox, store, tmp_path / "anew")


def test_an_item_that_is_edited_and_shared_meanwhile_is_fetched(sandbox: Sandbox, store: Store, tmp_path: Path) -> None:
    """What is described anew is still what was listed, or it is saved whole."""
    back_up(sandbox, store)
    item = some(sandbox, lambda each: each.type == "Web Map")
    item.access = "org" if item.access != "org" else "public"

    def edit() -> None:
        item.data, item.modified = Bytes(b'{"edited": 1}'), item.modified + 1000

    sandbox.faults.add(Fault(rf"/content/users/.*/items/{item.id}$", action=edit, times=1))
    back_up(sandbox, store)
    assert item.id in fetched(sandbox)
    assert_as_a_first_one(sandbox, store, tmp_path / "anew")


def test_an_item_that_was_restored_is_fetched(sandbox: Sandbox, store: Store) -> None:
    """`modified` may go backwards too."""
    item = some(sandbox, lambda each: each.type == "Web Map")
    back_up(sandbox, store)
    item.data, item.modified = Bytes(b'{"edited": 1}'), item.modified - 1000
    back_up(sandbox, store)
    assert fetched(sandbox) == {item.id}


def test_an_item_that_was_away_is_fetched(sandbox: Sandbox, store: Store) -> None:
    """Only the newest backup counts: what it does not hold is saved anew."""
    item = some(sandbox, lambda each: each.type == "Web Map")
    back_up(sandbox, store)
    del sandbox.org.items[item.id]
    back_up(sandbox, store)
    sandbox.org.add(item)
    back_up(sandbox, store)
    assert fetched(sandbox) == {item.id}


# -- groups of the organization


def test_a_picture_that_the_store_has_lost_is_asked_for(sandbox: Sandbox, store: Store) -> None:
    """An organization.json that is not what it was gives no picture to the next backup."""
    group = next(iter(sandbox.org.groups.values()))
    group.thumbnail = ("crew.png", b"\x89PNG crew")
    name = back_up(sandbox, store).backup
    path = Path(store.location, "backups", name, "organization.json")
    told = json.loads(path.read_bytes())
    for each in told["groups"]:
        each["thumbnail"] = {"name": "crew.png", "base64": "AAAA"}
    path.write_bytes(json.dumps(told).encode())
    second = back_up(sandbox, store).backup
    saved = {each["id"]: each["thumbnail"] for each in json.loads(store.read(second, "organization.json"))["groups"]}
    assert base64.b64decode(saved[group.id]["base64"]) == b"\x89PNG crew"


@pytest.mark.parametrize("told", [{"groups": [{"id": "x", "settings": "text", "thumbnail": 5}]}, [], {"groups": 5}])
def test_an_organization_file_that_no_agolkit_wrote_ends_no_run(sandbox: Sandbox, store: Store, told: Any) -> None:
    """Whatever stands in it, all groups are asked."""
    group = next(iter(sandbox.org.groups.values()))
    group.thumbnail = ("crew.png", b"\x89PNG crew")
    name = back_up(sandbox, store).backup
    content = json.dumps(told).replace('"x"', json.dumps(group.id))
    Path(store.location, "backups", name, "organization.json").write_text(content)
    assert back_up(sandbox, store).exit_code == 0


# -- the inventory


def test_an_item_that_may_not_be_seen_any_more_ends_no_run(sandbox: Sandbox, store: Store) -> None:
    """Whether an item that is not listed any more still exists may be refused; then the index is read."""
    item = some(sandbox, lambda each: each.type == "Web Map")
    back_up(sandbox, store)
    del sandbox.org.items[item.id]
    refusal = {"error": {"code": 403, "messageCode": "GWM_0003", "message": "You do not have permissions."}}
    sandbox.faults.add(Fault(rf"/content/items/{item.id}$", body=refusal))
    summary = back_up(sandbox, store)
    assert (summary.state, set(outcomes(store))) == ("complete", set(sandbox.org.items))


def test_a_hole_in_the_listing_is_found_though_the_counts_agree(sandbox: Sandbox, store: Store) -> None:
    """An item that the listing lacks is missed, also where search does not count it either."""
    item = some(sandbox, lambda each: each.type == "Web Map" and not each.folder)
    back_up(sandbox, store)

    def lose(answer: dict[str, Any]) -> dict[str, Any]:
        rows = [row for row in answer["items"] if row["id"] != item.id]
        return answer | {"items": rows, "total": answer["total"] - (len(answer["items"]) - len(rows))}

    def count_less(answer: dict[str, Any]) -> dict[str, Any]:
        return answer | {"total": answer["total"] - 1}

    sandbox.faults.add(Fault(rf"/content/users/{item.owner}$", change=lose, times=1))
    sandbox.faults.add(Fault(r"/rest/search$", change=count_less, times=1))
    back_up(sandbox, store)
    assert item.id in outcomes(store)


# -- who makes the backup, and of what


def back_up_as(sandbox: Sandbox, store: Store, user: str, **options: Any) -> ak.RunSummary:
    password = sandbox.org.users[user].password
    portal = ak.connect(sandbox.url, username=user, password=password, ca_bundle=str(sandbox.ca_bundle))
    sandbox.log.clear()
    return ak.backup(portal, store, ak.BackupOptions(workers=2, **options))


@pytest.mark.parametrize(
    "order", [("admin", "member"), ("member", "admin"), ("auditor", "admin"), ("admin", "auditor")], ids=str
)
def test_another_account_reuses_what_it_would_save(
    sandbox: Sandbox, store: Store, tmp_path: Path, order: tuple[str, str]
) -> None:
    """Who made the copy makes no difference to what the next backup holds, nor to what is missing in it."""
    org = sandbox.org
    member = next(item.owner for item in org.items.values() if item.service and item.owner != sandbox.username)
    privileges = ("portal:admin:viewUsers", "portal:admin:viewItems", "portal:admin:viewGroups")
    org.add(User("auditor", "Auditor", "let me look", privileges=privileges, id="9" * 32))
    for service in org.services.values():
        service.layers[0].definition |= {
            "editFieldsInfo": {"creatorField": "NAME"},
            "ownershipBasedAccessControlForFeatures": {"allowOthersToQuery": False},
        }
    names = {"admin": sandbox.username, "member": member, "auditor": "auditor"}
    back_up_as(sandbox, store, names[order[0]])
    back_up_as(sandbox, store, names[order[1]])
    anew = ak.open_store(tmp_path / "anew")
    back_up_as(sandbox, anew, names[order[1]])
    for item_id, line in content(anew).items():
        found = content(store)[item_id]
        for name in ("how", "fingerprint"):
            del line[name], found[name]
        assert found == line


def test_an_interrupted_run_that_reused_ends_like_an_undisturbed_one(
    sandbox: Sandbox, store: Store, tmp_path: Path
) -> None:
    """Which items were reused and which fetched stands in the backup as if nothing had happened."""
    undisturbed = ak.open_store(tmp_path / "undisturbed")
    for each in (store, undisturbed):
        back_up(sandbox, each)
    for item in list(sandbox.org.items.values())[::4]:
        item.modified += 1000
    stopped = back_up(sandbox, store, stop_after=5)
    assert stopped.state == "stopped"
    summary = back_up(sandbox, store)
    other = back_up(sandbox, undisturbed)
    assert (summary.backup, summary.reused) == (stopped.backup, other.reused)
    assert content(store) == content(undisturbed)
    assert tree(store, summary.backup) == tree(undisturbed, other.backup)
    facts = store.summary(summary.backup)
    assert (facts["full"], facts["since_full"], facts["fetched_bytes"]) == (False, 1, summary.fetched_bytes)


@pytest.mark.parametrize("kind", ["auto", "copy", "none"])
def test_reused_parts_stand_in_the_tree(sandbox: Sandbox, store: Store, kind: str) -> None:
    """The folders of a backup that fetched nothing are those of the first one."""
    first = back_up(sandbox, store, tree=kind)
    second = back_up(sandbox, store, tree=kind)
    assert second.fetched_bytes == 0
    assert tree(store, second.backup) == tree(store, first.backup)
    assert ak.verify(store, deep=True).ok


# -- metadata


@pytest.mark.parametrize(
    "fault",
    [
        Fault("metadata.xml$", method="HEAD", status=405),
        Fault("metadata.xml$", method="HEAD", status=500),
        Fault("metadata.xml$", method="HEAD", status=302, headers={"Location": "/nowhere"}),
        Fault("metadata.xml$", method="HEAD", status=403),
        Fault("metadata.xml$", method="HEAD", headers={"ETag": '"another"'}),
        Fault("metadata.xml$", method="HEAD", headers={"Content-Length": "5"}),
        Fault("metadata.xml$", method="HEAD", chunked=True),
        Fault("metadata.xml$", method="HEAD", body={"error": {"code": 498, "message": "Invalid token."}}),
        Fault("metadata.xml$", chunked=True),
    ],
    ids=lambda fault: f"{fault.status or ''}{fault.headers or ''}{fault.chunked}",
)
def test_metadata_that_are_not_said_to_be_the_same_are_fetched(sandbox: Sandbox, store: Store, fault: Fault) -> None:
    """Servers need not answer HEAD, nor state a length: then nothing is known, and the item is saved anew."""
    item = some(sandbox, lambda each: each.metadata and each.type != "Feature Service")
    if fault.method is None:
        sandbox.faults.add(fault)
    back_up(sandbox, store)
    sandbox.faults.clear()
    sandbox.faults.add(replace(fault))
    back_up(sandbox, store, attempts=1)
    assert item.id in fetched_again(store)
    assert outcomes(store)[item.id].result is Result.VERIFIED


# -- what is counted, and what is of no account


def test_only_finished_runs_of_the_scope_are_counted(sandbox: Sandbox, store: Store) -> None:
    """A run that was stopped, and those of another scope, bring the next full one no nearer."""
    options: dict[str, Any] = {"full_every": 3, "resume_within": 0}
    full = [back_up(sandbox, store, **options).backup]
    for _ in range(2):
        full.append(back_up(sandbox, store, **options).backup)
        assert back_up(sandbox, store, stop_after=2, **options).state == "stopped"
        back_up(sandbox, store, scope_name="other", **options)
    full.append(back_up(sandbox, store, **options).backup)
    assert [store.summary(name)["full"] for name in full] == [True, False, False, True]


def test_what_the_server_makes_anew_is_no_change(sandbox: Sandbox, store: Store) -> None:
    """A full run names no item for its counters, nor for the bytes of an export."""
    back_up(sandbox, store, feature_format="fgdb")
    for item in sandbox.org.items.values():
        item.stated = {"numViews": 17}
    summary = back_up(sandbox, store, feature_format="fgdb", full=True)
    assert (summary.reused, summary.unsigned) == (0, ())


def test_a_described_item_is_reused(sandbox: Sandbox, store: Store) -> None:
    """What lives elsewhere is described once; its address is part of the listing."""
    url = "https://example.org/arcgis/rest/services/Roads/MapServer"
    there = Item("ab" * 16, sandbox.username, "Map Service", "Roads", url=url)
    sandbox.org.add(there)
    back_up(sandbox, store)
    assert outcomes(store)[there.id].result is Result.DESCRIBED
    assert back_up(sandbox, store).reused == len(sandbox.org.items)
    there.url = url.replace("Roads", "Paths")
    back_up(sandbox, store)
    assert fetched_again(store) == [there.id]
