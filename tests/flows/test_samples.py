"""What real portals have answered goes through: recorded items, layers, users, groups and awkward texts.

The recordings are no part of the repository; without them these tests are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from portals import connect
from recorded import (
    MADE_HERE,
    SAMPLES,
    add_naughty_names,
    add_recorded_items,
    add_recorded_layers,
    recorded_organization,
)
from saved import read_part

import agolkit as ak
from agolkit.layout import LONGEST_PATH, allowed, exact_path, fold, tree_path
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, Result
from agolkit.sandbox import Sandbox
from agolkit.sandbox.organization import Organization
from agolkit.store import Store

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recorded samples are not beside the repository")
Open = Callable[..., Sandbox]


def saved(open_sandbox: Open, org: Organization, folder: Path, **options: object) -> tuple[Store, dict[str, Outcome]]:
    """A backup of the organization, and what became of each item."""
    store = ak.open_store(folder / "store")
    summary = ak.backup(connect(open_sandbox(org)), store, ak.BackupOptions.from_mapping({"attempts": 1, **options}))
    assert summary.state == "complete"
    outcomes = {outcome.item.id: outcome for outcome in read_outcomes(store, "latest")}
    assert set(outcomes) == set(org.items)
    assert not [each.message for each in outcomes.values() if "agolkit itself failed" in each.message]
    return store, outcomes


def test_recorded_items_are_saved_as_they_were_answered(open_sandbox: Open, tmp_path: Path) -> None:
    """The whole recorded JSON is in item.json, data and resources are saved; what lacks is said, never failed."""
    org = recorded_organization()
    items = add_recorded_items(org)
    store, outcomes = saved(open_sandbox, org, tmp_path)
    assert len(items) > 150
    assert len({item.type for item in items}) > 20
    for item in items:
        outcome = outcomes[item.id]
        assert outcome.result in (Result.VERIFIED, Result.DESCRIBED, Result.PARTIAL), (item.title, outcome.message)
        assert outcome.message or outcome.result is Result.VERIFIED
        described = json.loads(read_part(store, outcome, "item.json"))
        assert {key: described[key] for key in item.stated} == item.stated
        assert described["id"] == item.id
        if item.data is not None:
            names = {part.name: part.path for part in outcome.parts}
            path = names.get("data") or names["overrides"]
            assert read_part(store, outcome, path) == b"".join(item.data.chunks())
        resources = {exact_path(part).removeprefix("resources/") for part in outcome.parts if part.name == "resource"}
        assert resources == set(item.resources)
        assert set(MADE_HERE).isdisjoint(item.stated)


def test_recorded_layers_are_saved_as_rows_and_load(open_sandbox: Open, tmp_path: Path) -> None:
    """Each recorded layer and table with rows that fit its fields is verified, and loads with every row and field."""
    org = recorded_organization()
    layers = add_recorded_layers(org)
    store, outcomes = saved(open_sandbox, org, tmp_path, feature_format="rows")
    assert len(layers) > 20
    for sample, item, layer in layers:
        outcome = outcomes[item.id]
        assert outcome.result is Result.VERIFIED, (sample, outcome.message)
        frame = ak.load_layer(store, "latest", item.id, layer=layer.id)
        assert len(frame) == len(layer.features), sample
        assert {field["name"] for field in layer.fields} <= set(frame.columns), sample
        keys = {row["attributes"][layer.object_id_field] for row in layer.features}
        assert set(frame[layer.object_id_field]) == keys, sample
        if layer.geometry_type:
            assert frame.geometry.notna().all(), sample


def test_recorded_users_groups_and_settings_are_in_the_organization_file(open_sandbox: Open, tmp_path: Path) -> None:
    """Every recorded user and group is named in organization.json, with the recorded settings."""
    org = recorded_organization()
    add_recorded_items(org)
    store, _outcomes = saved(open_sandbox, org, tmp_path)
    told = json.loads(store.read(store.resolve("latest"), "organization.json"))
    assert {user["username"]: user["email"] for user in told["users"]} == {
        user.username: user.email for user in org.users.values()
    }
    assert {group["id"]: group["settings"]["title"] for group in told["groups"]} == {
        group.id: group.title for group in org.groups.values()
    }
    assert {name: told["settings"][name] for name in org.settings} == org.settings
    assert told["missing"] == []


def test_texts_that_break_programs_are_saved_under_safe_paths(open_sandbox: Open, tmp_path: Path) -> None:
    """As titles, tags, folders and resource names they come back as they were; no path of the backup holds a trap."""
    org = recorded_organization()
    texts = add_naughty_names(org)
    store, outcomes = saved(open_sandbox, org, tmp_path)
    assert len(texts) > 500
    assert {outcome.item.title for outcome in outcomes.values()} == set(texts)
    for item in org.items.values():
        outcome = outcomes[item.id]
        assert outcome.result is Result.VERIFIED, (item.title, outcome.message)
        assert outcome.item.folder == (item.title or item.folder)
        names = {exact_path(part).removeprefix("resources/") for part in outcome.parts if part.name == "resource"}
        assert names == set(item.resources)
        paths = [tree_path(outcome.item, part) for part in outcome.parts]
        assert all(allowed(path) and len(path.encode("utf-16-le")) // 2 <= LONGEST_PATH for path in paths)
        assert len({fold(path) for path in paths}) == len(paths)
    assert ak.verify(store, "latest", deep=True).ok
    frame = ak.load_items(store, "latest")
    assert sorted(frame["title"]) == sorted(texts)
