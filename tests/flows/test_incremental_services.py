"""What could lead a second backup to reuse a hosted service, or a view, that is not as it was."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from interrupted import EDITED, back_up, town
from portals import connect
from second_backup import fetched_again, layer_of, outcomes, some

import agolkit as ak
from agolkit.kinds.feature_service.views import settle
from agolkit.model import Item as Listed
from agolkit.model import Outcome, Result
from agolkit.sandbox import Fault, Sandbox, city
from agolkit.sandbox.organization import Attachment, Bytes, Item, Layer
from agolkit.store import Store


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(town(20)) as sandbox:
        yield sandbox


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return ak.open_store(tmp_path / "store")


# -- views


def outcome(item_id: str, result: Result, *needs: str) -> Outcome:
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    fingerprint = {"recipe": 1} | ({"needs": list(needs)} if needs else {})
    return Outcome(Listed(item_id, item_id, "Feature Service", "ann"), result, moment, fingerprint=fingerprint)


def test_a_view_of_a_view_is_no_better_than_the_first_source() -> None:
    """However long the chain, and in whichever order its items were saved."""
    chain = [
        outcome("c", Result.VERIFIED, "b"),
        outcome("b", Result.VERIFIED, "a"),
        outcome("a", Result.PARTIAL),
        outcome("d", Result.VERIFIED, "e"),
        outcome("e", Result.VERIFIED),
    ]
    for some_order in (chain, chain[::-1]):
        results = {each.item.id: each.result for each in settle(some_order)}
        assert {name for name, result in results.items() if result is Result.PARTIAL} == {"a", "b", "c"}


def test_views_that_need_each_other_end_no_run_in_a_circle() -> None:
    """What no portal should say is believed, and settled."""
    circle = [outcome("a", Result.VERIFIED, "b"), outcome("b", Result.VERIFIED, "a")]
    assert settle(circle) == circle


@pytest.fixture
def view_town() -> Iterator[tuple[Sandbox, Item, Item]]:
    """A town with one view, and the source whose rows it shows; both say when they were edited."""
    org = city.springfield()
    view = next(item for item in org.items.values() if item.title == "Hydrants (public view)")
    source = org.items[org.services[org.services[view.service or ""].view_of or ""].item_id]
    for item_id in [each for each in org.items if each not in (view.id, source.id)]:
        del org.items[item_id]
    for service in org.services.values():
        for layer in service.all():
            layer.last_edit = EDITED
    with Sandbox(org) as sandbox:
        yield sandbox, view, source


def test_a_view_in_a_stopped_backup_is_no_better_than_its_source(
    view_town: tuple[Sandbox, Item, Item], store: Store
) -> None:
    """A view is not called verified where the run was stopped before its source was; the next run makes it so."""
    sandbox, view, source = view_town
    view.stated = {"size": 10**9}  # then it is saved first
    cancel = threading.Event()
    sandbox.faults.add(Fault(rf"/{source.service}/FeatureServer", action=cancel.set, delay=1))
    wanted = ak.BackupOptions(workers=1, feature_format="rows", export_max_bytes=10**10)
    name = ak.backup(connect(sandbox), store, wanted, cancel=cancel).backup
    assert store.summary(name)["state"] == "stopped"
    found = outcomes(store, name)
    assert found[source.id].result is not Result.VERIFIED
    assert found[view.id].result is Result.PARTIAL
    sandbox.faults.clear()
    assert back_up(sandbox, store, feature_format="rows", export_max_bytes=10**10).backup == name
    assert {each.result for each in outcomes(store).values()} == {Result.VERIFIED}


def test_a_view_whose_filter_changed_is_fetched(view_town: tuple[Sandbox, Item, Item], store: Store) -> None:
    """What a view shows is part of its definition, which moves no stamp of its rows."""
    sandbox, view, _ = view_town
    back_up(sandbox, store, feature_format="rows")
    assert back_up(sandbox, store, feature_format="rows").reused == 2
    layer_of(sandbox, view).view_where = "OBJECTID < 3"
    back_up(sandbox, store, feature_format="rows")
    assert [each.item.id for each in outcomes(store).values() if each.how == "fetched"] == [view.id]


def test_a_view_whose_source_is_left_out_is_fetched_with_its_rows(
    view_town: tuple[Sandbox, Item, Item], store: Store
) -> None:
    """What one backup could leave to the source, the next one cannot where the source is not in it; nor the plan."""
    sandbox, view, source = view_town
    back_up(sandbox, store, feature_format="rows")
    assert "rows" not in {part.name for part in outcomes(store)[view.id].parts}
    options: dict[str, Any] = {"feature_format": "rows", "exclude_ids": [source.id]}
    plan = ak.plan_backup(connect(sandbox), store, ak.BackupOptions.from_mapping(options)).set_index("item_id")
    assert plan.loc[view.id, "action"] == "fetch"
    back_up(sandbox, store, **options)
    assert "rows" in {part.name for part in outcomes(store)[view.id].parts}
    back_up(sandbox, store, feature_format="rows")
    assert "rows" not in {part.name for part in outcomes(store)[view.id].parts}


# -- layers and their attachments


@pytest.fixture
def photos(sandbox: Sandbox) -> Item:
    """A hosted service; its first layer has a photo at each of the first three rows, and counts them."""
    item = some(sandbox, lambda each: each.service)
    layer = layer_of(sandbox, item)
    rows = [int(row["attributes"][layer.object_id_field]) for row in layer.features[:3]]
    layer.attachments = {row: [photo(row)] for row in rows}
    return item


def photo(number: int) -> Attachment:
    return Attachment(number, f"{number}.jpg", "image/jpeg", Bytes(b"\xff\xd8 %d" % number), f"{{{number}}}")


def cut(answer: dict[str, Any]) -> dict[str, Any]:
    return {"attachmentGroups": answer["attachmentGroups"][:1], "exceededTransferLimit": True}


def test_counts_that_come_in_several_answers_are_all_compared(sandbox: Sandbox, store: Store, photos: Item) -> None:
    """A photo is noticed at any row, also where one answer does not hold the counts of all of them."""
    counting = r"/0/queryAttachments$"
    first = sandbox.faults.add(Fault(counting, change=lambda answer: cut(answer) if is_count(answer) else answer))
    first.times = 1
    back_up(sandbox, store)
    assert back_up(sandbox, store).reused == len(sandbox.org.items)
    first.struck = 0
    layer = layer_of(sandbox, photos)
    assert layer.attachments
    stamp, last = layer.last_edit, max(layer.attachments)
    layer.attachments[last].append(photo(9))
    assert layer.last_edit == stamp
    back_up(sandbox, store)
    assert fetched_again(store) == [photos.id]


def is_count(answer: dict[str, Any]) -> bool:
    return all("count" in group for group in answer["attachmentGroups"])


def test_counts_that_never_come_whole_are_no_sign(sandbox: Sandbox, store: Store, photos: Item) -> None:
    """What cannot be known is fetched."""
    counting = r"/0/queryAttachments$"
    sandbox.faults.add(Fault(counting, change=lambda answer: cut(answer) if is_count(answer) else answer))
    for _ in range(2):
        back_up(sandbox, store)
        assert outcomes(store)[photos.id].result is Result.VERIFIED
    assert fetched_again(store) == [photos.id]


def test_layers_without_attachments_are_not_asked_to_count(sandbox: Sandbox, store: Store, photos: Item) -> None:
    """A layer may say that it could count what it does not have; asked for it, it answers with an error."""
    service = sandbox.org.services[photos.service or ""]
    plain = copy.deepcopy(service.layers[0])
    plain.id, plain.name, plain.attachments = 7, "Plain", None
    plain.definition["advancedQueryCapabilities"] = {"supportsQueryAttachmentsCountOnly": True}
    service.layers.append(plain)
    back_up(sandbox, store)
    assert back_up(sandbox, store).reused == len(sandbox.org.items)


def test_attachments_that_were_left_out_are_saved_when_asked_for(sandbox: Sandbox, store: Store, photos: Item) -> None:
    """A copy without attachments is none of a run that wants them."""
    back_up(sandbox, store, attachments=False)
    assert outcomes(store)[photos.id].left_out
    back_up(sandbox, store)
    assert any(part.name == "attachment" for part in outcomes(store)[photos.id].parts)


@pytest.mark.parametrize("before", ["Query,Editing", "Query,Editing,ChangeTracking"])
@pytest.mark.parametrize("after", ["Query,Editing", "Query,Editing,ChangeTracking"])
def test_a_photo_is_noticed_whatever_becomes_of_the_tracking(
    sandbox: Sandbox, store: Store, photos: Item, before: str, after: str
) -> None:
    """Change tracking that is switched on, off, or begins anew hides no edit."""
    service = sandbox.org.services[photos.service or ""]
    service.capabilities, service.oldest_generation = before, 1000
    back_up(sandbox, store)
    layer = layer_of(sandbox, photos)
    assert layer.attachments
    layer.attachments[max(layer.attachments)].append(photo(9))
    service.capabilities, service.oldest_generation = after, 7
    back_up(sandbox, store)
    assert fetched_again(store) == [photos.id]
    assert any(part.exact_name == "9.jpg" for part in outcomes(store)[photos.id].parts)


def test_a_layer_that_is_added_or_removed_is_noticed(sandbox: Sandbox, store: Store, photos: Item) -> None:
    """Each time the service is fetched, and nothing else; a group of layers is as good as any."""
    service = sandbox.org.services[photos.service or ""]
    added = copy.deepcopy(service.layers[0])
    added.id, added.name = 7, "Added"
    back_up(sandbox, store)
    for layers in ([*service.layers, added], [Layer(9, "Group", [], [], sub_layers=(7,)), *service.layers, added]):
        service.layers = layers
        back_up(sandbox, store)
        assert fetched_again(store) == [photos.id]
        assert back_up(sandbox, store).reused == len(sandbox.org.items)
    service.layers = service.layers[1:-1]
    back_up(sandbox, store)
    assert fetched_again(store) == [photos.id]


def test_a_probe_that_is_cut_off_leads_to_a_fetch(sandbox: Sandbox, store: Store) -> None:
    """What cannot be asked is not known; the item is saved as if it were new."""
    item = some(sandbox, lambda each: each.service)
    back_up(sandbox, store)
    sandbox.faults.add(Fault(rf"/{item.service}/FeatureServer/layers$", cut_after=10, times=1))
    back_up(sandbox, store, attempts=1)
    assert fetched_again(store) == [item.id]
    assert outcomes(store)[item.id].result is Result.VERIFIED


def test_hosted_tiles_are_fetched_when_their_service_says_something_else(store: Store) -> None:
    """Tiles have no edit stamps; what is known of them is what their service says of itself."""
    org = city.springfield()
    tiles = [
        item for item in org.items.values() if item.service and item.type in ("Vector Tile Service", "Map Service")
    ]
    for item_id in set(org.items) - {item.id for item in tiles}:
        del org.items[item_id]
    with Sandbox(org) as sandbox:
        back_up(sandbox, store)
        whole = [each.item.id for each in outcomes(store).values() if each.result is Result.VERIFIED]
        assert back_up(sandbox, store).reused == len(whole) > 0
        org.services[org.items[whole[0]].service or ""].description = "Made anew"
        back_up(sandbox, store)
        assert whole[0] in fetched_again(store)
        assert set(fetched_again(store)).isdisjoint(whole[1:])
