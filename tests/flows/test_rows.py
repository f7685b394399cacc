"""Hosted layers saved as rows: every row as it was served, every attachment, and honest numbers where not."""

from __future__ import annotations

import copy
import gzip
import json
import re
from array import array
from datetime import UTC, datetime
from pathlib import Path

import pytest
from city_run import Run
from portals import connect
from saved import read_part

import agolkit as ak
from agolkit.kinds.feature_service import formats_for
from agolkit.kinds.feature_service.rows import count_common
from agolkit.model import Item as ToolkitItem
from agolkit.model import Outcome, Result
from agolkit.portal import ServiceLayer
from agolkit.progress import Event
from agolkit.sandbox import Fault, Sandbox, Settings, city
from agolkit.sandbox.organization import Layer, Organization, Service
from agolkit.store import Store


def back_up(sandbox: Sandbox, place: Path, **options: object) -> tuple[Store, dict[str, Outcome]]:
    portal = connect(sandbox)
    store = ak.open_store(place)
    outcomes: dict[str, Outcome] = {}

    def listen(event: Event) -> None:
        if event.outcome:
            outcomes[event.outcome.item.id] = event.outcome

    wanted = {"types": ["Feature Service"], "feature_format": "rows", "views": "rows", **options}
    ak.backup(portal, store, ak.BackupOptions.from_mapping(wanted), progress=listen)
    return store, outcomes


def rows_of(store: Store, outcome: Outcome, layer: int) -> list[dict[str, object]]:
    lines = gzip.decompress(read_part(store, outcome, f"rows/{layer}.jsonl.gz")).splitlines()
    return [json.loads(line) for line in lines]


def test_every_row_of_the_city_is_saved_as_it_is_served(run_in_rows: Run) -> None:
    """Each hosted layer, table and view comes back with the attributes and geometry that the portal holds."""
    org, store, outcomes = run_in_rows.sandbox.org, run_in_rows.store, run_in_rows.outcomes
    layers = rows = 0
    for item in org.items.values():
        service = org.services.get(item.service or "")
        if item.type != "Feature Service" or service is None or outcomes[item.id].result is Result.EXCLUDED:
            continue
        outcome = outcomes[item.id]
        assert outcome.result is Result.VERIFIED, (item.title, outcome.message)
        for layer in service.all():
            if layer.sub_layers is not None or layer.join:
                continue
            saved = rows_of(store, outcome, layer.id)
            shown = {field["name"] for field in layer.fields} - set(layer.hidden_fields)
            held = {row["attributes"][layer.object_id_field]: row for row in layer.features}
            if layer.view_where is None:
                assert len(saved) == len(held)
            for row in saved:
                original = held[row["attributes"][layer.object_id_field]]  # type: ignore[index]
                assert row["attributes"] == {k: v for k, v in original["attributes"].items() if k in shown}
                assert row.get("geometry", {}) == (original.get("geometry") or {}) or layer.geometry_type is None
            layers, rows = layers + 1, rows + len(saved)
    assert layers > 30
    assert rows > 5000


def test_every_attachment_of_the_city_is_saved_under_its_row(run_in_rows: Run) -> None:
    """Each attachment is a file with the portal's bytes, listed with its row, its name and what else is said of it."""
    org, store, outcomes = run_in_rows.sandbox.org, run_in_rows.store, run_in_rows.outcomes
    compared = 0
    for item in org.items.values():
        service = org.services.get(item.service or "")
        if item.type != "Feature Service" or service is None or service.view_of or item.id not in outcomes:
            continue
        for layer in service.all():
            if layer.attachments is None or outcomes[item.id].result is Result.EXCLUDED:
                continue
            packed = read_part(store, outcomes[item.id], f"attachments/{layer.id}.jsonl.gz")
            listing = gzip.decompress(packed).splitlines()
            listed = {(line["parentObjectId"], line["id"]): line for line in map(json.loads, listing)}
            held = {(oid, one.id): one for oid, some in layer.attachments.items() for one in some}
            assert listed.keys() == held.keys()
            for key, one in held.items():
                assert listed[key]["name"] == one.name
                assert read_part(store, outcomes[item.id], listed[key]["path"]) == b"".join(one.payload.chunks())
                compared += 1
    assert compared >= 8


@pytest.fixture
def town() -> tuple[Organization, Service, Layer]:
    """One hosted service with one layer of a few hundred rows, many pages of it."""
    org = city.generated(items=1, owners=1, folders=1, groups=1, services=1)
    service = next(iter(org.services.values()))
    del service.layers[1:], service.tables[:]
    layer = service.layers[0]
    layer.attachments = None
    layer.max_record_count = 50
    first = layer.features[0]
    layer.features.clear()
    for number in range(1, 331):
        row = copy.deepcopy(first)
        row["attributes"][layer.object_id_field] = number * 3
        row["attributes"][layer.global_id_field] = f"{{{number:08X}-0000-0000-0000-000000000000}}"
        layer.features.append(row)
    return org, service, layer


def ids(rows: list[dict[str, object]], layer: Layer) -> list[int]:
    return [row["attributes"][layer.object_id_field] for row in rows]  # type: ignore[index]


def test_a_layer_of_many_pages_is_complete_and_in_order(
    town: tuple[Organization, Service, Layer], tmp_path: Path
) -> None:
    """Ids with gaps over seven pages arrive once each, in their order, and open as a frame."""
    org, service, layer = town
    with Sandbox(org) as sandbox:
        store, outcomes = back_up(sandbox, tmp_path / "store")
    outcome = outcomes[service.item_id]
    assert outcome.result is Result.VERIFIED
    assert outcome.checked.startswith("rows content: layer 0, 330 of 330 ids")
    assert ids(rows_of(store, outcome, layer.id), layer) == [number * 3 for number in range(1, 331)]
    assert len(ak.load_layer(store, "latest", service.item_id, layer=layer.id)) == 330


HALVED = {"error": {"code": 504, "message": "Your request has timed out.", "details": []}}


@pytest.mark.parametrize(
    "fault",
    [
        Fault(path="/0/query$", method="GET", body=HALVED, times=9),
        Fault(path="/0/query$", method="GET", status=502, times=4),
        Fault(path="/0/query$", method="GET", cut_after=300, times=4),
        Fault(path="/0/query$", method="GET", body=b'{"features": [', times=4),
        Fault(path="/0/query$", method="GET", body={"features": [], "exceededTransferLimit": True}, times=4),
    ],
    ids=["times out", "bad gateway", "cut off", "half an answer", "cut page"],
)
def test_pages_that_fail_are_halved_until_they_come(
    town: tuple[Organization, Service, Layer], tmp_path: Path, fault: Fault
) -> None:
    """A server that gives up on some pages still yields every row."""
    org, service, layer = town
    with Sandbox(org) as sandbox:
        sandbox.faults.add(copy.copy(fault))
        store, outcomes = back_up(sandbox, tmp_path / "store")
    assert outcomes[service.item_id].result is Result.VERIFIED, outcomes[service.item_id].message
    assert len(rows_of(store, outcomes[service.item_id], layer.id)) == 330


def test_pages_of_large_rows_have_fewer_of_them(town: tuple[Organization, Service, Layer], tmp_path: Path) -> None:
    """What is parsed at once stays small however large the rows are, and every row comes."""
    org, service, layer = town
    layer.max_record_count = 2000
    for row in layer.features:
        row["attributes"]["Name"] = "x" * 100_000
    with Sandbox(org) as sandbox:
        store, outcomes = back_up(sandbox, tmp_path / "store")
        pages = [each for each in sandbox.log.entries if each.path.endswith("/0/query") and each.method == "GET"]
    assert outcomes[service.item_id].result is Result.VERIFIED, outcomes[service.item_id].message
    assert len(rows_of(store, outcomes[service.item_id], layer.id)) == 330
    assert 330 * 100_000 / (8 << 20) < len(pages) < 20


def test_rows_that_stay_away_are_counted(town: tuple[Organization, Service, Layer], tmp_path: Path) -> None:
    """Where some listed rows never come, what came is kept and the item is partial with the numbers."""
    org, service, layer = town
    listed = [row["attributes"][layer.object_id_field] for row in layer.features] + [5000, 5001]
    with Sandbox(org) as sandbox:
        answer = {"objectIdFieldName": layer.object_id_field, "objectIds": listed, "count": 332}
        sandbox.faults.add(Fault(path="/0/query$", method="POST", body=answer))
        store, outcomes = back_up(sandbox, tmp_path / "store")
    outcome = outcomes[service.item_id]
    assert outcome.result is Result.PARTIAL
    assert "330 of 332 ids" in outcome.message
    assert len(rows_of(store, outcome, layer.id)) == 330


def test_rows_that_are_not_listed_are_counted(town: tuple[Organization, Service, Layer], tmp_path: Path) -> None:
    """Where the service serves and counts more rows than it lists, all are kept and the item is partial."""
    org, service, layer = town
    listed = [row["attributes"][layer.object_id_field] for row in layer.features]
    with Sandbox(org) as sandbox:
        answer = {"objectIdFieldName": layer.object_id_field, "objectIds": listed[:110] + listed[111:], "count": 330}
        sandbox.faults.add(Fault(path="/0/query$", method="POST", body=answer))
        store, outcomes = back_up(sandbox, tmp_path / "store")
    outcome = outcomes[service.item_id]
    assert outcome.result is Result.PARTIAL
    assert "329 of 329 ids, 1 row more that the service does not list, while it counts 330" in outcome.message
    assert len(rows_of(store, outcome, layer.id)) == 330


def test_a_row_that_comes_twice_is_not_taken_for_another(
    town: tuple[Organization, Service, Layer], tmp_path: Path
) -> None:
    """As many rows as are listed and counted are not enough: a row that was served in place of another one is named."""
    org, service, layer = town
    layer.max_record_count = 2000
    served = [*layer.features[:-1], layer.features[0]]
    with Sandbox(org) as sandbox:
        sandbox.faults.add(Fault(path="/0/query$", method="GET", body={"features": served}))
        _, outcomes = back_up(sandbox, tmp_path / "store")
    outcome = outcomes[service.item_id]
    assert outcome.result is Result.PARTIAL
    assert "329 of 330 ids, 1 row more that the service does not list" in outcome.message


def test_a_row_that_never_comes_is_said_with_the_reason(
    town: tuple[Organization, Service, Layer], tmp_path: Path
) -> None:
    """Where not even one row at a time comes, the item says in the server's words why it lacks its rows."""
    org, service, layer = town
    del layer.features[2:]  # type: ignore[attr-defined]
    with Sandbox(org) as sandbox:
        sandbox.faults.add(Fault(path="/0/query$", method="GET", body=HALVED))
        _, outcomes = back_up(sandbox, tmp_path / "store")
    outcome = outcomes[service.item_id]
    assert outcome.result is Result.PARTIAL
    assert "Your request has timed out (504)" in outcome.message


def test_rows_may_come_in_any_order(town: tuple[Organization, Service, Layer], tmp_path: Path) -> None:
    """A server that does not keep to the order asked for has left nothing out."""
    org, service, layer = town
    layer.max_record_count = 2000
    with Sandbox(org) as sandbox:
        sandbox.faults.add(Fault(path="/0/query$", method="GET", body={"features": layer.features[::-1]}))
        store, outcomes = back_up(sandbox, tmp_path / "store")
    outcome = outcomes[service.item_id]
    assert outcome.result is Result.VERIFIED, outcome.message
    assert sorted(ids(rows_of(store, outcome, layer.id), layer)) == [number * 3 for number in range(1, 331)]


def test_a_layer_without_rows_is_a_file_that_opens(town: tuple[Organization, Service, Layer], tmp_path: Path) -> None:
    """No rows are saved as an empty archive, not as an empty file, which no program unpacks."""
    org, service, layer = town
    layer.features.clear()  # type: ignore[attr-defined]
    with Sandbox(org) as sandbox:
        store, outcomes = back_up(sandbox, tmp_path / "store")
    outcome = outcomes[service.item_id]
    assert outcome.result is Result.VERIFIED, outcome.message
    assert read_part(store, outcome, f"rows/{layer.id}.jsonl.gz") == gzip.compress(b"", mtime=0)


@pytest.mark.parametrize(
    ("some", "others", "common"),
    [([1, 2, 3], [2, 3, 4], 2), ([1, 1, 2], [1, 2, 2], 2), ([5, 5], [5, 5], 2), ([], [1], 0), ([3], [1], 0)],
)
def test_ids_are_common_as_often_as_both_have_them(some: list[int], others: list[int], common: int) -> None:
    """An id that one side has twice stands for one id of the other side only."""
    assert count_common(array("q", some), array("q", others)) == common


def test_a_layer_that_lists_no_ids_is_not_taken_for_an_empty_one(
    town: tuple[Organization, Service, Layer], tmp_path: Path
) -> None:
    """A service without usable object ids, which lists none and counts 330 rows, is partial."""
    org, service, _ = town
    with Sandbox(org) as sandbox:
        sandbox.faults.add(Fault(path="/0/query$", method="POST", body={"objectIds": None, "count": 330}))
        _, outcomes = back_up(sandbox, tmp_path / "store")
    assert outcomes[service.item_id].result is Result.PARTIAL
    assert "0 of 0 ids, while it counts 330" in outcomes[service.item_id].message


@pytest.mark.parametrize(("times", "result"), [(1, Result.VERIFIED), (None, Result.PARTIAL)])
@pytest.mark.parametrize("has_stamps", [True, False])
def test_a_layer_that_is_edited_meanwhile_is_read_again(
    town: tuple[Organization, Service, Layer], tmp_path: Path, times: int | None, result: Result, has_stamps: bool
) -> None:
    """One edit costs one more reading; edits without end leave a partial item that says what moved."""
    org, service, layer = town
    if not has_stamps:
        layer.definition["editingInfo"] = None

    def edit() -> None:
        layer.features.pop()  # type: ignore[attr-defined]
        layer.last_edit += 1000

    with Sandbox(org) as sandbox:
        sandbox.faults.add(Fault(path="/0/query$", method="GET", times=times, action=edit))
        store, outcomes = back_up(sandbox, tmp_path / "store")
    outcome = outcomes[service.item_id]
    assert outcome.result is result, outcome.message
    if result is Result.VERIFIED:
        assert len(rows_of(store, outcome, layer.id)) == 329
    else:
        moment = datetime.fromtimestamp(layer.last_edit / 1000, UTC).isoformat().replace("+00:00", "Z")
        moved = f"edited at {moment}" if has_stamps else "edited"
        assert re.search(f"{moved} while they were read .3[0-9]{{2}} rows before, 3[0-9]{{2}} after", outcome.message)


def test_two_edits_cost_two_more_readings(town: tuple[Organization, Service, Layer], tmp_path: Path) -> None:
    """A layer that is edited during the first and the second reading is whole after the third."""
    org, service, layer = town

    def edit() -> None:
        layer.features.pop()  # type: ignore[attr-defined]
        layer.last_edit += 1000

    with Sandbox(org) as sandbox:
        for pages_before in (0, 6):  # of the seven pages of the first reading the first edit has taken one
            sandbox.faults.add(Fault("/0/query$", "GET", skip=pages_before, times=1, action=edit))
        store, outcomes = back_up(sandbox, tmp_path / "store")
    outcome = outcomes[service.item_id]
    assert outcome.result is Result.VERIFIED, outcome.message
    assert len(rows_of(store, outcome, layer.id)) == 328


def test_rows_with_the_same_id_are_all_saved(town: tuple[Organization, Service, Layer], tmp_path: Path) -> None:
    """Ids that come twice, on the edge of a page too, cost no row and invent none."""
    org, service, layer = town
    for number in range(1, 330, 7):
        layer.features[number]["attributes"][layer.object_id_field] = (
            layer.features[number - 1]["attributes"][layer.object_id_field]
        )  # fmt: skip
    with Sandbox(org) as sandbox:
        store, outcomes = back_up(sandbox, tmp_path / "store")
    outcome = outcomes[service.item_id]
    assert outcome.result is Result.VERIFIED, outcome.message
    names = [row["attributes"][layer.global_id_field] for row in rows_of(store, outcome, layer.id)]  # type: ignore[index]
    assert sorted(names) == sorted(row["attributes"][layer.global_id_field] for row in layer.features)


def test_ids_of_64_bits_are_saved_to_the_last_digit(town: tuple[Organization, Service, Layer], tmp_path: Path) -> None:
    """Object ids beyond 2**53, which a float cannot tell apart, are ids like all others."""
    org, service, layer = town
    wanted = [2**53 + number for number in range(330)]
    for row, object_id in zip(layer.features, wanted, strict=True):
        row["attributes"][layer.object_id_field] = object_id
    with Sandbox(org) as sandbox:
        store, outcomes = back_up(sandbox, tmp_path / "store")
    assert outcomes[service.item_id].result is Result.VERIFIED, outcomes[service.item_id].message
    assert ids(rows_of(store, outcomes[service.item_id], layer.id), layer) == wanted


@pytest.mark.parametrize("object_id", [None, "many", 1.5, 2**63, [1]])
def test_an_object_id_that_is_no_number_is_said(
    town: tuple[Organization, Service, Layer], tmp_path: Path, object_id: object
) -> None:
    """The item is partial, with what the service said; nothing is guessed."""
    org, service, _ = town
    with Sandbox(org) as sandbox:
        sandbox.faults.add(Fault(r"/0/query$", method="POST", body={"objectIds": [1, object_id], "count": 2}))
        _, outcomes = back_up(sandbox, tmp_path / "store", attempts=1)
    outcome = outcomes[service.item_id]
    assert outcome.result is Result.PARTIAL
    assert f"has a row whose object id is {object_id!r}" in outcome.message


@pytest.mark.parametrize("owner", ["user0001", "user0002"])
def test_rows_that_only_their_makers_see_are_missing(tmp_path: Path, owner: str) -> None:
    """Who neither owns nor may change a service that shows each account its own rows only is told so."""
    org = city.generated(items=1, owners=3, folders=1, groups=0, services=1)
    service = next(iter(org.services.values()))
    item, layer, user = org.items[service.item_id], service.layers[0], org.users["user0001"]
    item.owner, item.folder, layer.attachments = owner, None, None
    user.privileges += ("portal:admin:viewUsers", "portal:admin:viewItems")
    layer.fields.append({"name": "Creator", "type": "esriFieldTypeString", "alias": "Creator"})
    layer.definition |= {
        "editFieldsInfo": {"creatorField": "Creator"},
        "ownershipBasedAccessControlForFeatures": {"allowOthersToQuery": False},
    }
    for number, row in enumerate(layer.features):
        row["attributes"]["Creator"] = f"user000{1 + number % 2}"
    org.admin = user.username
    with Sandbox(org) as sandbox:
        _, outcomes = back_up(sandbox, tmp_path / "store")
    outcome = outcomes[item.id]
    is_owner = owner == user.username
    assert outcome.result is (Result.VERIFIED if is_owner else Result.PARTIAL), outcome.message
    assert ("shows an account only its own rows" in outcome.message) is not is_owner


def test_a_service_without_layers_is_described(town: tuple[Organization, Service, Layer], tmp_path: Path) -> None:
    """Nothing is exported or read where there is no layer; the definition is saved."""
    org, service, _ = town
    service.layers.clear()
    with Sandbox(org) as sandbox:
        _, outcomes = back_up(sandbox, tmp_path / "store", feature_format="fgdb")
        assert not [entry for entry in sandbox.log.entries if entry.path.endswith("/export")]
    outcome = outcomes[service.item_id]
    assert (outcome.result, outcome.message) == (
        Result.DESCRIBED,
        "The service has no layers; its definition is saved.",
    )
    assert "service.json" in {part.path for part in outcome.parts}


def test_attachments_can_be_left_out(tmp_path: Path) -> None:
    """With `attachments` off none is fetched, and the item says that they are left out."""
    org = city.springfield()
    parks = next(item for item in org.items.values() if item.title == "Parks" and item.service)
    others = [item.id for item in org.items.values() if item is not parks]
    with Sandbox(org) as sandbox:
        _, outcomes = back_up(sandbox, tmp_path / "store", exclude_ids=others, attachments=False)
        assert not [entry for entry in sandbox.log.entries if "/attachments/" in entry.path]
    assert outcomes[parks.id].result is Result.VERIFIED
    assert outcomes[parks.id].left_out[0].startswith("attachments of layer")


@pytest.mark.parametrize(
    ("chosen", "size", "has_attachments", "global_id", "formats"),
    [
        ("fgdb", 10, True, "GlobalID", {"fgdb"}),
        ("rows", 10, False, "GlobalID", {"rows"}),
        ("both", 10, False, "GlobalID", {"fgdb", "rows"}),
        ("auto", 10, False, "GlobalID", {"fgdb"}),
        ("auto", None, False, "GlobalID", {"fgdb"}),
        ("auto", 10, True, "GlobalID", {"rows"}),
        ("auto", 10, False, None, {"rows"}),
        ("auto", 2_000_000_000, False, "GlobalID", {"rows"}),
    ],
)
def test_the_format_follows_from_the_option_and_the_layers(
    chosen: str, size: int | None, has_attachments: bool, global_id: str | None, formats: set[str]
) -> None:
    """`auto` takes rows where there are attachments, no GlobalIDs, or more than `export_max_bytes`."""
    raw = {"id": 0, "name": "A", "hasAttachments": has_attachments, "globalIdField": global_id}
    item = ToolkitItem.from_json({"id": "a" * 32, "size": -1 if size is None else size})
    options = ak.BackupOptions.from_mapping({"feature_format": chosen})
    assert formats_for(options, item, [ServiceLayer.from_json(raw)]) == formats


def test_both_formats_can_be_had(tmp_path: Path) -> None:
    """With `both`, a geodatabase and the rows are saved, each with its proof."""
    org = city.generated(items=1, owners=1, folders=1, groups=1, services=1)
    with Sandbox(org, Settings()) as sandbox:
        _, outcomes = back_up(sandbox, tmp_path / "store", feature_format="both")
    outcome = next(iter(outcomes.values()))
    assert outcome.result is Result.VERIFIED
    assert {"geodatabase content", "rows content"} <= {said.split(":")[0] for said in outcome.checked.split("; ")}
