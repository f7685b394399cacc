"""A second backup fetches what has changed, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from interrupted import EDITED, back_up, content, fetched, town
from portals import connect

import agolkit as ak
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, Result
from agolkit.sandbox import Fault, Sandbox
from agolkit.sandbox.edits import note
from agolkit.sandbox.organization import Attachment, Bytes, Change, Folder, Item, Service
from agolkit.store import Store

PAYLOAD = r"/(?:data|export|query|attachments/\d+|info/.+|resources/.+)$"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(town(30)) as sandbox:
        yield sandbox


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return ak.open_store(tmp_path / "store")


def outcomes(store: Store, backup: str = "latest") -> dict[str, Outcome]:
    return {each.item.id: each for each in read_outcomes(store, backup)}


def some(sandbox: Sandbox, wanted: Callable[[Item], object]) -> Item:
    """The first item of which this is true."""
    return next(item for item in sandbox.org.items.values() if wanted(item))


def service_of(sandbox: Sandbox, item: Item) -> Service:
    assert item.service
    return sandbox.org.services[item.service]


def test_an_unchanged_organization_costs_no_payload_and_no_blob(sandbox: Sandbox, store: Store) -> None:
    """The second backup asks for no content, adds no blob, and holds what the first one holds."""
    first = back_up(sandbox, store)
    blobs = {path for path in Path(store.location, "blobs").rglob("*") if path.is_file()}
    second = back_up(sandbox, store)
    asked = [entry.path for entry in sandbox.log.entries if entry.method == "GET"]
    assert not [path for path in asked if path.endswith(("/data", "/query", ".png", "/export"))]
    assert not [entry for entry in sandbox.log.entries if "/query" in entry.path or "/attachments" in entry.path]
    assert {path for path in Path(store.location, "blobs").rglob("*") if path.is_file()} == blobs
    assert (second.reused, second.fetched_bytes, second.new_bytes) == (len(sandbox.org.items), 0, 0)
    assert "30 items unchanged since an earlier backup" in str(second)
    before, after = content(store, first.backup), content(store, second.backup)
    assert {line.pop("how") for line in before.values()} == {"fetched"}
    assert {line.pop("how") for line in after.values()} == {"reused"}
    assert before == after
    assert {item_id: each.observed for item_id, each in outcomes(store).items()} == {
        item_id: each.observed for item_id, each in outcomes(store, first.backup).items()
    }
    assert ak.verify(store, deep=True).ok
    assert store.summary(second.backup)["reused"] == 30


def edit_data(sandbox: Sandbox) -> Item:
    item = some(sandbox, lambda each: each.type == "Web Map")
    item.data = Bytes(b'{"edited": true}')
    item.modified += 1000
    return item


def rename(sandbox: Sandbox) -> Item:
    item = some(sandbox, lambda each: each.type == "Dashboard")
    item.title += " (new)"
    item.modified += 1000
    return item


def redraw_thumbnail(sandbox: Sandbox) -> Item:
    item = some(sandbox, lambda each: each.thumbnail)
    item.thumbnail = ("other.png", b"\x89PNG another")
    return item


def change_resource(sandbox: Sandbox) -> Item:
    item = some(sandbox, lambda each: each.resources)
    name = next(iter(item.resources))
    item.resources[name] += b" more"
    return item


def add_first_resource(sandbox: Sandbox) -> Item:
    item = some(sandbox, lambda each: not each.resources and each.data)
    item.resources["images/new.png"] = b"new"
    return item


def change_metadata(sandbox: Sandbox) -> Item:
    item = some(sandbox, lambda each: each.metadata)
    assert item.metadata
    item.metadata = item.metadata.replace(b"</", b" </", 1)
    return item


def edit_row(sandbox: Sandbox) -> Item:
    item = some(sandbox, lambda each: each.service)
    service = service_of(sandbox, item)
    layer = service.layers[0]
    layer.features[0]["attributes"]["NAME"] = "edited"
    note(sandbox.org, service, layer, [Change(0, "features", "update", 1, "", 0)])
    return item


def change_schema(sandbox: Sandbox) -> Item:
    item = some(sandbox, lambda each: each.service)
    service_of(sandbox, item).layers[0].schema_last_edit += 1
    return item


@pytest.mark.parametrize(
    "change",
    [
        edit_data,
        rename,
        redraw_thumbnail,
        change_resource,
        add_first_resource,
        change_metadata,
        edit_row,
        change_schema,
    ],
)
def test_a_change_of_the_content_is_noticed(
    sandbox: Sandbox, store: Store, tmp_path: Path, change: Callable[[Sandbox], Item]
) -> None:
    """The item that was changed is fetched again, nothing else is, and the backup is what a first one would be."""
    back_up(sandbox, store)
    item = change(sandbox)
    summary = back_up(sandbox, store)
    assert fetched(sandbox) <= {item.id}
    saved = outcomes(store)
    assert [item_id for item_id, each in saved.items() if each.how == "fetched"] == [item.id]
    assert summary.reused == len(saved) - 1
    anew = ak.open_store(tmp_path / "anew")
    back_up(sandbox, anew)
    ours, other = content(store), content(anew)
    for line in (*ours.values(), *other.values()):
        del line["how"]
    assert ours == other


def share(sandbox: Sandbox, item: Item) -> None:
    item.groups = [] if item.groups else [next(iter(sandbox.org.groups))]


def publish(_: Sandbox, item: Item) -> None:
    item.access = "public" if item.access != "public" else "org"


def move(sandbox: Sandbox, item: Item) -> None:
    folder = Folder("f" * 32, "Another folder", item.owner)
    sandbox.org.add(folder)
    item.folder = folder.id


def hand_over(sandbox: Sandbox, item: Item) -> None:
    item.owner, item.folder = next(name for name in sandbox.org.users if name != item.owner), None


def protect(_: Sandbox, item: Item) -> None:
    item.protected = not item.protected


@pytest.mark.parametrize("change", [share, publish, move, hand_over, protect])
@pytest.mark.parametrize("kind", ["Web Map", "Feature Service"])
def test_a_change_of_the_description_alone_costs_one_request(
    sandbox: Sandbox, store: Store, tmp_path: Path, change: Callable[[Sandbox, Item], None], kind: str
) -> None:
    """An item that was shared, moved, given away or protected is described anew; its content is not transferred."""
    back_up(sandbox, store)
    item = some(sandbox, lambda each: each.type == kind)
    change(sandbox, item)
    summary = back_up(sandbox, store)
    assert fetched(sandbox) == set()
    described = [part for part in outcomes(store)[item.id].parts if part.name in ("item", "sharing")]
    assert summary.fetched_bytes == sum(part.blob.size for part in described)
    assert sum(entry.path.endswith(f"/items/{item.id}") for entry in sandbox.log.entries) == 1
    anew = ak.open_store(tmp_path / "anew")
    back_up(sandbox, anew)
    ours, other = content(store), content(anew)
    for line in (*ours.values(), *other.values()):
        del line["how"]
    assert ours == other
    back_up(sandbox, store)
    assert not any(entry.path.endswith(f"/items/{item.id}") for entry in sandbox.log.entries)


def test_what_people_do_by_looking_is_no_change(sandbox: Sandbox, store: Store) -> None:
    """Views, ratings and an update of the portal's software move no fingerprint."""
    back_up(sandbox, store)
    for item in sandbox.org.items.values():
        item.stated = {"numViews": 17, "avgRating": 4.5, "lastViewed": EDITED}
    assert back_up(sandbox, store).reused == 30


def add_photo(sandbox: Sandbox, item: Item) -> None:
    service = service_of(sandbox, item)
    layer = service.layers[0]
    assert layer.attachments is not None
    one = Attachment(7, "new.jpg", "image/jpeg", Bytes(b"\xff\xd8 new"), "{7}")
    layer.attachments.setdefault(int(layer.features[0]["attributes"][layer.object_id_field]), []).append(one)


@pytest.mark.parametrize("is_noted", [True, False])
@pytest.mark.parametrize("capabilities", ["Query,Editing", "Query,Editing,ChangeTracking"])
def test_a_new_photo_is_noticed(sandbox: Sandbox, store: Store, is_noted: bool, capabilities: str) -> None:
    """An attachment that was added is noticed, also where the server moves no edit stamp for it."""
    item = some(sandbox, lambda each: each.service)
    service = service_of(sandbox, item)
    layer = service.layers[0]
    service.capabilities, layer.attachments = capabilities, {}
    back_up(sandbox, store)
    stamp = layer.last_edit
    add_photo(sandbox, item)
    note(sandbox.org, service, layer, [Change(0, "attachments", "add", 1, "{7}", 7)])
    if not is_noted:
        layer.last_edit = stamp
    back_up(sandbox, store)
    assert [each.item.id for each in outcomes(store).values() if each.how == "fetched"] == [item.id]
    assert any(part.exact_name == "new.jpg" for part in outcomes(store)[item.id].parts)


def forget_stamps(layer_service: Service) -> None:
    for layer in layer_service.layers:
        layer.definition["editingInfo"] = None


def test_a_service_that_says_nothing_of_edits_is_always_fetched(sandbox: Sandbox, store: Store) -> None:
    """Without edit stamps nobody can know that a layer is as it was."""
    item = some(sandbox, lambda each: each.service)
    forget_stamps(service_of(sandbox, item))
    back_up(sandbox, store)
    back_up(sandbox, store)
    assert [each.item.id for each in outcomes(store).values() if each.how == "fetched"] == [item.id]


def test_a_failed_item_is_tried_again_by_every_run(sandbox: Sandbox, store: Store) -> None:
    """Only what was proven is reused: what was partial yesterday is fetched today."""
    item = some(sandbox, lambda each: each.type == "Web Map")
    fault = Fault(rf"{item.id}/data$", status=500)
    sandbox.faults.add(fault)
    back_up(sandbox, store, attempts=1)
    assert outcomes(store)[item.id].result is Result.PARTIAL
    sandbox.faults.clear()
    summary = back_up(sandbox, store)
    assert (outcomes(store)[item.id].result, summary.reused) == (Result.VERIFIED, 29)


@pytest.mark.parametrize("lost", ["unlink", "cut"])
def test_what_the_store_has_lost_is_fetched_again(sandbox: Sandbox, store: Store, lost: str) -> None:
    """A file that is gone or shorter than it was is no copy to rely on."""
    back_up(sandbox, store)
    item = some(sandbox, lambda each: each.type == "Web Map")
    part = next(part for part in outcomes(store)[item.id].parts if part.name == "data")
    path = Path(store.location, "blobs", part.blob.sha256[:2], part.blob.sha256)
    path.chmod(0o600)
    if lost == "unlink":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    back_up(sandbox, store)
    assert item.id in fetched(sandbox)
    assert ak.verify(store, deep=True).ok


def test_other_saving_options_reuse_nothing(sandbox: Sandbox, store: Store) -> None:
    """What was saved in another form is not what is asked for now."""
    back_up(sandbox, store)
    assert back_up(sandbox, store, feature_format="rows").reused == 0


def test_scopes_share_what_they_have(sandbox: Sandbox, store: Store) -> None:
    """The first backup of another scope takes unchanged items from the other one's."""
    back_up(sandbox, store)
    assert back_up(sandbox, store, scope_name="maps", types=["Web Map"]).fetched_bytes == 0


def test_full_fetches_everything_and_tells_what_had_changed_without_a_sign(sandbox: Sandbox, store: Store) -> None:
    """A full run finds what no fingerprint shows, and names it."""
    back_up(sandbox, store)
    item = some(sandbox, lambda each: each.type == "Web Map")
    assert item.data
    item.data = Bytes(b"".join(item.data.chunks()).replace(b"version", b"edition"))
    assert back_up(sandbox, store).reused == 30
    summary = back_up(sandbox, store, full=True)
    assert (summary.reused, [each.item.id for each in summary.unsigned]) == (0, [item.id])
    assert f"had changed without a sign, and is saved now: {item.title}" in str(summary)
    facts = store.summary(summary.backup)
    assert (facts["full"], facts["unsigned"]) == (True, [item.id])


def test_every_so_many_runs_are_full(sandbox: Sandbox, store: Store) -> None:
    """The first run is full, and by itself each one that follows so many after a full one."""
    names = [back_up(sandbox, store, full_every=3, types=["Web Map"]).backup for _ in range(7)]
    full = [store.summary(name)["full"] for name in names]
    assert full == [True, False, False, True, False, False, True]


def test_no_run_is_full_by_itself_where_that_is_switched_off(sandbox: Sandbox, store: Store) -> None:
    """With 0 only the first run of the store fetches everything."""
    names = [back_up(sandbox, store, full_every=0, types=["Web Map"]).backup for _ in range(3)]
    assert [store.summary(name)["full"] for name in names] == [True, False, False]


def test_the_plan_says_what_is_reused(sandbox: Sandbox, store: Store) -> None:
    """What will not be fetched stands in the plan, with the day of the copy."""
    back_up(sandbox, store)
    item = edit_data(sandbox)
    plan = ak.plan_backup(connect(sandbox), store).set_index("item_id")
    assert plan.loc[item.id, "action"] == "fetch"
    others = plan.drop(item.id)
    assert set(others["action"]) == {"reuse"}
    assert others["reason"].str.startswith("unchanged since it was saved on 20").all()
