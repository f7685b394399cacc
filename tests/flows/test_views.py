"""Views: their definition and their sources are always saved, their rows where nothing else saves them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from city_run import Run
from portals import connect
from saved import read_part

import agolkit as ak
from agolkit.kinds.feature_service.views import is_view, sources_of
from agolkit.manifest import read_outcomes
from agolkit.model import Item as ToolkitItem
from agolkit.model import Outcome, Result
from agolkit.plan import plan_backup
from agolkit.sandbox import Fault, Sandbox, city
from agolkit.sandbox.organization import Item, Organization
from agolkit.store import Store

JOINED = "Hydrants and their inspections"


def back_up(sandbox: Sandbox, place: Path, **options: Any) -> tuple[Store, dict[str, Outcome]]:
    """What became of each feature service, by its title."""
    store = ak.open_store(place)
    ak.backup(connect(sandbox), store, ak.BackupOptions(**{"types": ["Feature Service"], **options}))
    return store, {outcome.item.title: outcome for outcome in read_outcomes(store, "latest")}


def by_title(run: Run) -> dict[str, Outcome]:
    """What became of each feature service of the city."""
    services = (outcome for outcome in run.outcomes.values() if outcome.item.type == "Feature Service")
    return {outcome.item.title: outcome for outcome in services}


def sources_in(store: Store, outcome: Outcome) -> list[dict[str, Any]]:
    sources: list[dict[str, Any]] = json.loads(read_part(store, outcome, "service.json"))["view"]["sources"]
    return sources


def views_of(org: Organization) -> list[Item]:
    return [
        item
        for item in org.items.values()
        if item.service and org.services[item.service].view_of and "no-backup" not in item.tags
    ]


def part_names(outcome: Outcome) -> set[str]:
    return {part.name for part in outcome.parts}


def test_a_view_is_saved_with_its_sources_which_the_same_backup_saves(run: Run) -> None:
    """Each view is verified by its definition, which names the sources, filters and fields of every layer."""
    org, store, outcomes = run.sandbox.org, run.store, by_title(run)
    several = 0
    for item in views_of(org):
        outcome, service = outcomes[item.title], org.services[item.service or ""]
        assert (outcome.result, outcome.checked.split(";")[0]) == (Result.VERIFIED, "definition parsed"), item.title
        assert not part_names(outcome) & {"rows", "geodatabase", "attachments"}
        wanted: dict[str, set[tuple[int, int]]] = {}
        for layer in service.all():
            name, source_layer = layer.source or (service.view_of or "", layer.id)
            wanted.setdefault(name, set()).add((layer.id, source_layer))
            if layer.join:
                wanted.setdefault(layer.join.service, set()).add((layer.id, layer.join.layer))
        sources = sources_in(store, outcome)
        assert {each["service"]: each["item_id"] for each in sources} == {
            name: org.services[name].item_id for name in wanted
        }
        for each in sources:
            assert {(one["id"], one["source_layer"]) for one in each["layers"]} == wanted[each["service"]]
            assert each["item_id"] in outcome.message
        queries = {one["id"]: one["query"] for each in sources for one in each["layers"]}
        assert queries == {layer.id: layer.view_where or "" for layer in service.all()}
        shown = {
            one["id"]: {field["name"] for field in one["fields"]}
            for each in sources
            for one in each["layers"]
            if "join" not in one
        }
        assert all(shown[layer.id].isdisjoint(layer.hidden_fields) for layer in service.all())
        several += len(sources) > 1
    assert several
    joins = [one["join"] for each in sources_in(store, outcomes[JOINED]) for one in each["layers"] if "join" in one]
    assert joins == [{"type": "LEFT", "parent": ["GlobalID"], "key": ["HydrantID"]}]


@pytest.mark.parametrize(("feature_format", "part"), [("rows", "rows"), ("fgdb", "geodatabase")])
def test_rows_of_views_are_saved_where_their_source_is_not(tmp_path: Path, feature_format: str, part: str) -> None:
    """A backup of the view alone holds its rows, in the format that was asked for."""
    org = city.springfield()
    view = next(item for item in views_of(org) if item.title == "Hydrants (public view)")
    others = [item.id for item in org.items.values() if item is not view]
    with Sandbox(org) as sandbox:
        _, outcomes = back_up(sandbox, tmp_path / "store", exclude_ids=others, feature_format=feature_format)
    outcome = outcomes[view.title]
    assert outcome.result is Result.VERIFIED, outcome.message
    assert part in part_names(outcome)


def test_a_join_is_saved_row_by_row_where_rows_are_asked_for(run_in_rows: Run) -> None:
    """With `rows`, a joined view holds the fields of both of its sources, for every row of the first."""
    org, store, outcome = run_in_rows.sandbox.org, run_in_rows.store, by_title(run_in_rows)[JOINED]
    assert outcome.result is Result.VERIFIED, outcome.message
    lines = gzip.decompress(read_part(store, outcome, "rows/0.jsonl.gz")).splitlines()
    hydrants = org.services["Water_Network"].layers[0]
    assert len(lines) == len(hydrants.features)
    assert any(json.loads(line)["attributes"]["Inspection_Inspected"] for line in lines)


def test_rows_of_views_can_be_left_out_for_good(tmp_path: Path) -> None:
    """With `definition`, the rows of a view are named as left out, also where nothing else saves them."""
    org = city.springfield()
    view = next(item for item in views_of(org) if item.title == "Hydrants (public view)")
    others = [item.id for item in org.items.values() if item is not view]
    with Sandbox(org) as sandbox:
        _, outcomes = back_up(sandbox, tmp_path / "store", exclude_ids=others, views="definition")
    outcome = outcomes[view.title]
    assert outcome.result is Result.VERIFIED
    assert part_names(outcome).isdisjoint({"rows", "geodatabase"})
    source = org.services["Water_Network"].item_id
    assert list(outcome.left_out) == [
        f"rows of a view, which are those of Water_Network ({source}); this backup does not have them all"
    ]


NOT_YOURS = {"error": {"code": 403, "message": "Not yours.", "details": []}}


def test_a_view_whose_sources_nobody_tells_keeps_its_rows(tmp_path: Path) -> None:
    """Neither its definition nor its sources can be read: the rows are saved, and the item is partial."""
    org = city.springfield()
    view = next(item for item in views_of(org) if item.title == "Hydrants (public view)")
    others = org.items.keys() - {view.id, org.services["Water_Network"].item_id}
    with Sandbox(org) as sandbox:
        sandbox.faults.add(Fault(path="/rest/admin/services/.*Hydrants_public", body=NOT_YOURS))
        sandbox.faults.add(Fault(path="Hydrants_public/FeatureServer/sources$", body=NOT_YOURS))
        _, outcomes = back_up(sandbox, tmp_path / "store", exclude_ids=sorted(others), feature_format="rows")
    outcome = outcomes[view.title]
    assert outcome.result is Result.PARTIAL
    assert outcome.message.startswith("admin definition: the portal says: Not yours")
    assert "rows" in part_names(outcome)


def test_a_view_that_does_not_list_its_sources_is_known_by_its_definition(tmp_path: Path) -> None:
    """A server without `sources` costs nothing: the administrator's definition names them."""
    org = city.springfield()
    with Sandbox(org) as sandbox:
        sandbox.faults.add(Fault(path="/sources$", status=404))
        store, outcomes = back_up(sandbox, tmp_path / "store")
    for item in views_of(org):
        assert outcomes[item.title].result is Result.VERIFIED, outcomes[item.title].message
        assert [each["service"] for each in sources_in(store, outcomes[item.title])]


def test_the_plan_tells_a_view_from_a_layer(tmp_path: Path) -> None:
    """A plan says of each view whether its rows will be saved."""
    org = city.springfield()
    with Sandbox(org) as sandbox:
        frame = plan_backup(connect(sandbox), ak.open_store(tmp_path), ak.BackupOptions(views="definition"))
    said = frame.set_index("item_id")["reason"]
    assert {said[item.id] for item in views_of(org)} == {"a view: save its definition and sources, without its rows"}


@pytest.mark.parametrize(
    ("keywords", "root", "is_one"),
    [
        (("View Service",), {}, True),
        ((), {"isView": True}, True),
        ((), {"isView": False}, False),
        (("Hosted Service",), {}, False),
    ],
)
def test_a_view_is_known_by_its_service_or_by_its_item(
    keywords: tuple[str, ...], root: dict[str, object], is_one: bool
) -> None:
    """Either is enough; what neither calls a view has rows of its own."""
    item = ToolkitItem(id="a" * 32, title="A", type="Feature Service", owner="ann", type_keywords=keywords)
    assert is_view(item, {"root": root}) is is_one


def test_sources_are_read_from_the_shapes_that_are_known() -> None:
    """Flat and as a table, joined two deep, in a folder of the server, listed without a definition."""
    defined = [
        {"id": 0, "adminLayerInfo": {"viewLayerDefinition": {"sourceServiceName": "A", "sourceLayerId": 3}}},
        {
            "id": 1,
            "viewDefinitionQuery": "x = 1",
            "fields": [{"name": "secret", "visible": False}, {"name": "open"}],
            "adminLayerInfo": {
                "viewLayerDefinition": {
                    "table": {
                        "sourceServiceName": "Hosted/B",
                        "sourceLayerId": 0,
                        "relatedTables": [
                            {
                                "sourceServiceName": "a",
                                "sourceLayerId": 4,
                                "parentKeyFields": ["k"],
                                "keyFields": ["j"],
                                "type": "INNER",
                                "relatedTables": [{"sourceServiceName": "C", "sourceLayerId": 0}],
                            }
                        ],
                    }
                }
            },
        },
        {"id": 2, "adminLayerInfo": {"viewLayerDefinition": None}},
    ]
    listed = [{"name": "B", "serviceItemId": "b" * 32}, {"name": "D", "serviceItemId": "d" * 32}]
    defined[1]["adminLayerInfo"]["viewLayerDefinition"]["sourceServiceItemId"] = "b" * 32  # type: ignore[index]
    sources = sources_of({"layers": defined}, listed)
    layers = {each["service"]: [(one["id"], one["source_layer"]) for one in each["layers"]] for each in sources}
    assert layers == {"A": [(0, 3), (1, 4)], "B": [(1, 0)], "C": [(1, 0)], "D": []}
    assert {each["service"]: each["item_id"] for each in sources} == {
        "A": None,
        "B": "b" * 32,
        "C": None,
        "D": "d" * 32,
    }
    shown = next(each["layers"][0] for each in sources if each["service"] == "B")
    assert (shown["query"], shown["hidden_fields"]) == ("x = 1", ["secret"])
    joined = next(each["layers"][1] for each in sources if each["service"] == "A")
    assert joined["join"] == {"type": "INNER", "parent": ["k"], "key": ["j"]}


@pytest.mark.parametrize("runs", [1, 2])
def test_a_view_is_no_better_than_its_source(tmp_path: Path, runs: int) -> None:
    """Where the source could not be saved whole, the view whose rows stand there is `partial` too, and says why."""
    org = city.springfield()
    view = next(item for item in views_of(org) if item.title != JOINED)
    source = org.services[org.services[view.service or ""].view_of or ""]
    with Sandbox(org) as sandbox:
        sandbox.faults.add(Fault(rf"/{source.name}/FeatureServer/\d+/query$", status=500))
        sandbox.faults.add(Fault(rf"/items/{source.item_id}/.*|/export$", status=500))
        for _ in range(runs):
            _, outcomes = back_up(sandbox, tmp_path / "store", attempts=1)
        outcome = outcomes[view.title]
        assert outcome.result is Result.PARTIAL
        assert outcome.message.startswith("rows: those of the view are saved with its source, which is not verified:")
        assert source.item_id in outcome.message
        sandbox.faults.clear()
        _, outcomes = back_up(sandbox, tmp_path / "store")
        assert outcomes[view.title].result is Result.VERIFIED
