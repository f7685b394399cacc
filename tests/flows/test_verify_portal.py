"""Verify with a portal: what is new, gone or changed there since a backup is named, and nothing else is."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from portals import connect

import agolkit as ak
from agolkit.cli import main
from agolkit.errors import StoreError, UsageError
from agolkit.sandbox import Fault, Sandbox, city
from agolkit.sandbox.organization import Bytes, Item, Layer, Organization
from agolkit.store import Store
from agolkit.store.blobs import blob_key
from agolkit.verify import Difference, verify


@pytest.fixture
def town() -> Organization:
    """Eight items, two of which are hosted services with rows."""
    return city.generated(items=8, owners=2, folders=2, groups=1, services=2)


def documents(org: Organization) -> list[Item]:
    return [item for item in org.items.values() if item.service is None]


def back_up(sandbox: Sandbox, place: Path, **options: object) -> Store:
    store = ak.open_store(place)
    ak.backup(connect(sandbox), store, ak.BackupOptions.from_mapping(options))
    return store


def layers_of(org: Organization) -> list[tuple[Item, Layer]]:
    """The first layer of each hosted service, with its item."""
    services = ((item, org.services[item.service]) for item in org.items.values() if item.service)
    return [(item, service.all()[0]) for item, service in services]


def add_row(layer: Layer) -> None:
    row = copy.deepcopy(layer.features[-1])
    row["attributes"][layer.object_id_field] += 1000
    row["attributes"][layer.global_id_field] = "{00000000-0000-0000-0000-00000000ADDE}"
    layer.features = [*layer.features, row]


def test_a_portal_that_did_not_change_does_not_differ(town: Organization, tmp_path: Path) -> None:
    """Nothing is named, and nothing is changed by looking."""
    with Sandbox(town) as sandbox:
        store = back_up(sandbox, tmp_path / "store")
        before = copy.deepcopy(sandbox.org.items)
        report = verify(store, portal=connect(sandbox))
        assert sandbox.org.items == before
    assert report.differences == ()
    assert report.ok
    assert str(report).endswith("\nThe portal still holds the same: no item is new, gone or changed since.")


def test_what_is_new_gone_or_changed_is_named(town: Organization, tmp_path: Path) -> None:
    """One item added, one removed, one modified, one of another size, a row added, rows edited; the others are not."""
    with Sandbox(town) as sandbox:
        store = back_up(sandbox, tmp_path / "store")
        gone, modified, larger, tagged, *_ = documents(town)
        del town.items[gone.id]
        modified.modified += 60_000
        larger.data = Bytes(b" " * 5000 + b"{}")
        tagged.tags = ["no-backup"]
        (with_row, longer), (with_edit, edited) = layers_of(town)
        rows = len(longer.features)
        add_row(longer)
        edited.last_edit += 1000
        new = Item("ab" * 16, modified.owner, "Web Map", "New since", data=Bytes(b"{}"), created=1_700_000_000_000)
        town.add(new)
        report = verify(store, portal=connect(sandbox))
    assert report.differences is not None
    found = {each.item_id: each.what for each in report.differences}
    assert found.keys() == {each.id for each in (gone, modified, larger, tagged, with_row, with_edit, new)}
    assert found[gone.id] == "it is gone from the portal"
    assert found[modified.id].startswith("it was modified 20")
    assert found[larger.id].startswith("the portal states 5,002 bytes, and ")
    assert found[tagged.id] == "the scope leaves it out by now: tag 'no-backup' is in exclude_tags"
    assert found[with_row.id] == f"layer {longer.name!r} has {rows + 1:,} rows, and {rows:,} in the backup"
    assert found[with_edit.id].startswith(f"layer {edited.name!r} was edited 20")
    assert found[new.id] == "it is not in the backup; it was created 2023-11-14T22:13:20Z"
    assert report.differences[-1].item_id == new.id
    assert (report.ok, report.exit_code) == (True, 0)
    assert "The portal differs from it in 7 items:\n" in str(report)
    assert f"  New since ({new.id}): it is not in the backup" in str(report)
    assert len(json.loads(json.dumps(report.to_json()))["differences"]) == 7


def test_layers_that_came_and_went_are_named(town: Organization, tmp_path: Path) -> None:
    """A layer more and a layer less are differences, although no row was edited."""
    with Sandbox(town) as sandbox:
        store = back_up(sandbox, tmp_path / "store")
        item, layer = layers_of(town)[0]
        service = town.services[item.service or ""]
        service.layers = [copy.deepcopy(layer)]
        service.layers[0].id, service.layers[0].name = 50, "Fresh"
        service.tables = []
        report = verify(store, portal=connect(sandbox))
    (difference,) = report.differences or ()
    assert difference.item_id == item.id
    assert "layer 'Fresh' is new" in difference.what
    assert f"layer {layer.name!r} is gone" in difference.what


def test_a_narrow_backup_is_compared_over_its_own_scope(town: Organization, tmp_path: Path) -> None:
    """Items out of scope are not missed; one that left the scope is not taken for deleted."""
    with Sandbox(town) as sandbox:
        first = documents(town)[0]
        store = back_up(sandbox, tmp_path / "store", owners=[first.owner])
        heir = next(user for user in town.users if user != first.owner)
        town.add(Item("cd" * 16, heir, "Web Map", "Out of scope", data=Bytes(b"{}")))
        first.owner, first.folder = heir, None
        report = verify(store, portal=connect(sandbox))
    assert report.differences == (Difference(first.id, first.title, f"it is no longer in scope; it belongs to {heir}"),)


def test_an_item_that_became_invisible_is_not_called_deleted(town: Organization, tmp_path: Path) -> None:
    """Where the portal says that this account may not see an item any more, the difference says so."""
    with Sandbox(town) as sandbox:
        first = documents(town)[0]
        store = back_up(sandbox, tmp_path / "store")
        del town.items[first.id]
        body = {"error": {"code": 403, "message": "You do not have permissions to access this.", "details": []}}
        sandbox.faults.add(Fault(path=f"/content/items/{first.id}$", body=body))
        report = verify(store, portal=connect(sandbox))
    assert report.differences == (Difference(first.id, first.title, "this account may not see it any more"),)


def test_items_that_a_run_did_not_save_are_named_with_the_reason(town: Organization, tmp_path: Path) -> None:
    """What was left out then and is in scope now is in the portal and not in the backup."""
    with Sandbox(town) as sandbox:
        item = documents(town)[0]
        item.tags = ["no-backup"]
        store = back_up(sandbox, tmp_path / "store")
        item.tags = []
        report = verify(store, portal=connect(sandbox))
    (difference,) = report.differences or ()
    assert difference.item_id == item.id
    assert difference.what == (
        "it is not saved in the backup, where it is excluded: tag 'no-backup' is in exclude_tags"
    )


def test_a_service_that_does_not_answer_is_a_difference_of_its_own(town: Organization, tmp_path: Path) -> None:
    """One service that cannot be asked does not end the comparison of the others."""
    with Sandbox(town) as sandbox:
        store = back_up(sandbox, tmp_path / "store")
        (broken, _), (with_row, layer) = layers_of(town)
        add_row(layer)
        body = {"error": {"code": 400, "message": "Invalid URL", "details": []}}
        sandbox.faults.add(Fault(path=f"/{broken.service}/FeatureServer", body=body))
        report = verify(store, portal=connect(sandbox))
    found = {each.item_id: each.what for each in report.differences or ()}
    assert found.keys() == {broken.id, with_row.id}
    assert found[broken.id].startswith("its layers could not be compared: ")


def test_damage_and_differences_are_told_apart(town: Organization, tmp_path: Path) -> None:
    """Damage counts for the exit code, and a backup whose manifest is lost is not compared."""
    with Sandbox(town) as sandbox:
        store = back_up(sandbox, tmp_path / "store")
        name = store.resolve("latest")
        part = next(part for each in ak.manifest.read_outcomes(store, name) for part in each.parts)
        (tmp_path / "store" / blob_key(part.blob.sha256)).unlink()
        documents(town)[0].modified += 60_000
        damaged = verify(store, name, portal=connect(sandbox))
        (tmp_path / "store" / "backups" / name / "manifest.jsonl.gz").unlink()
        lost = verify(store, name, portal=connect(sandbox))
    assert (damaged.exit_code, len(damaged.differences or ())) == (4, 1)
    assert (lost.exit_code, lost.differences) == (4, None)


def test_backups_that_cannot_be_compared_say_why(town: Organization, tmp_path: Path) -> None:
    """One that was never finished holds only a part, and a store belongs to one organization."""
    other = city.springfield()
    with Sandbox(town) as sandbox, Sandbox(other) as stranger:
        store = back_up(sandbox, tmp_path / "store")
        with pytest.raises(StoreError, match="Each organization needs a store of its own"):
            verify(store, portal=connect(stranger))
        folder = tmp_path / "store" / "backups" / store.resolve("latest")
        (folder / "backup.json").unlink()
        with pytest.raises(UsageError, match="was never finished; run again"):
            verify(store, folder.name, portal=connect(sandbox))


def test_the_command_line_compares_with_portal(
    town: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--portal` signs in as every command does; a difference leaves the exit code at 0."""
    with Sandbox(town) as sandbox:
        back_up(sandbox, tmp_path / "store")
        documents(town)[0].modified += 60_000
        for name, value in (
            ("AGOLKIT_USERNAME", sandbox.username),
            ("AGOLKIT_PASSWORD", sandbox.password),
            ("AGOLKIT_CA_BUNDLE", str(sandbox.ca_bundle)),
        ):
            monkeypatch.setenv(name, value)

        def run(*arguments: str) -> tuple[object, str]:
            with pytest.raises(SystemExit) as ended:
                main(["verify", str(tmp_path / "store"), *arguments])
            return ended.value.code, capsys.readouterr().out

        code, said = run("--portal", "--url", sandbox.url, "--json")
        text = run("--portal", "--url", sandbox.url)[1]
        alone = json.loads(run("--json")[1])
    assert code == 0
    assert [each["item_id"] for each in json.loads(said)["differences"]] == [documents(town)[0].id]
    assert "The portal differs from it in 1 item:\n" in text
    assert alone["differences"] is None
