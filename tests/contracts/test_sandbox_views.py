"""Views of several services and joined views: what they show, and what their administrators read of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyogrio
import pytest
from caller import Caller

from agolkit.sandbox import Sandbox
from agolkit.sandbox.organization import Layer

Address = Callable[[str], str]


@pytest.fixture(scope="module")
def address(sandbox: Sandbox) -> Address:
    """What makes the address of a hosted service, or of something below it, of its name."""
    root = f"{sandbox.url.removesuffix('/portal')}/{sandbox.org.id}/arcgis/rest/services/"

    def make(name: str) -> str:
        service, _, rest = name.partition("/")
        return f"{root}{service}/FeatureServer/{rest}".rstrip("/")

    return make


def held(sandbox: Sandbox, service: str, layer_id: int) -> Layer:
    return next(layer for layer in sandbox.org.services[service].all() if layer.id == layer_id)


def rows(caller: Caller, url: str, **asked: object) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = caller.get(f"{url}/query", **{"where": "1=1", "outFields": "*", **asked})[
        "features"
    ]
    return features


def test_view_of_several_services_shows_the_rows_of_each(sandbox: Sandbox, caller: Caller, address: Address) -> None:
    """Each layer has the rows of its own source, whatever its id there, filtered and without hidden fields."""
    root = caller.get(address("City_Overview"))
    assert root["isView"]
    assert root["isMultiServicesView"]
    assert [layer["id"] for layer in root["layers"]] == [0, 1, 2]
    assert [table["id"] for table in root["tables"]] == [5]
    sources = {0: ("Streets", 0), 1: ("Water_Network", 2), 2: ("Zoning", 4), 5: ("Business_Licenses", 0)}
    for layer_id, source in sources.items():
        shown = [row["attributes"] for row in rows(caller, address(f"City_Overview/{layer_id}"))]
        real = [dict(row["attributes"]) for row in held(sandbox, *source).features]
        if layer_id == 0:
            real = [row for row in real if row["Lanes"] >= 3]
        for row in real if layer_id == 2 else ():
            del row["Number"]
        assert shown == real


def test_sources_of_a_view_are_listed_once_each(sandbox: Sandbox, caller: Caller, address: Address) -> None:
    """`sources` names service, type, address and item of every source; a service that is no view has none."""
    for view, names in (
        ("City_Overview", ["Streets", "Water_Network", "Zoning", "Business_Licenses"]),
        ("Hydrants_inspected", ["Water_Network"]),
        ("Hydrants_public", ["Water_Network"]),
        ("Streets", []),
    ):
        assert caller.get(address(f"{view}/sources"))["services"] == [
            {
                "name": name,
                "type": "FeatureServer",
                "url": address(name),
                "serviceItemId": sandbox.org.services[name].item_id,
            }
            for name in names
        ]


def test_the_service_of_a_joined_layer_is_a_source_too(sandbox: Sandbox, caller: Caller, address: Address) -> None:
    """`sources` names the service that a view joins, after the one that it shows."""
    layer = held(sandbox, "Hydrants_inspected", 0)
    left = layer.join
    assert left is not None
    layer.join = replace(left, service="Streets")
    try:
        named = caller.get(address("Hydrants_inspected/sources"))["services"]
    finally:
        layer.join = left
    assert [each["name"] for each in named] == ["Water_Network", "Streets"]


def test_joined_view_has_the_fields_of_both_layers(sandbox: Sandbox, caller: Caller, address: Address) -> None:
    """Each row has the fields of its first partner, or nulls; the view is read-only and has the left layer's files."""
    url = address("Hydrants_inspected/0")
    partners: dict[str, dict[str, Any]] = {}
    for row in held(sandbox, "Water_Network", 3).features:
        partners.setdefault(row["attributes"]["HydrantID"], row["attributes"])
    expected = []
    for row in held(sandbox, "Water_Network", 0).features:
        partner = partners.get(row["attributes"]["GlobalID"], {})
        more = {f"Inspection_{name}": partner.get(name) for name in ("Inspected", "Flow", "Passed")}
        expected.append({"attributes": row["attributes"] | more, "geometry": row["geometry"]})
    assert rows(caller, url) == expected
    assert {"Inspection_Flow"} <= {field["name"] for field in caller.get(url)["fields"]}
    without = sum(row["attributes"]["Inspection_Inspected"] is None for row in expected)
    assert 0 < without < len(expected)
    answer = caller.get(f"{url}/query", where="Inspection_Inspected IS NULL", returnCountOnly="true")
    assert answer == {"count": without}
    root = caller.get(address("Hydrants_inspected"))
    assert (root["capabilities"], root["isUpdatableView"], "isMultiServicesView" in root) == ("Query", False, False)
    groups = caller.get(f"{url}/queryAttachments", definitionExpression="1=1")["attachmentGroups"]
    assert len(groups) == len(held(sandbox, "Water_Network", 0).attachments or {})


def test_definition_of_a_view_of_several_services(caller: Caller, address: Address) -> None:
    """The administrator's definition names source service, source layer and fields of each layer, and its query."""
    root = caller.get(address("City_Overview").replace("/rest/services", "/rest/admin/services"))
    layers = {layer["id"]: layer for layer in [*root["layers"], *root["tables"]]}
    assert layers[0]["viewDefinitionQuery"] == "Lanes >= 3"
    definition = layers[2]["adminLayerInfo"]["viewLayerDefinition"]
    assert (definition["sourceServiceName"], definition["sourceLayerId"]) == ("Zoning", 4)
    assert definition["table"] == {
        "name": "Zoning 2025",
        "sourceServiceName": "Zoning",
        "sourceLayerId": 4,
        "sourceLayerFields": [{"name": name, "source": name} for name in ("OBJECTID", "GlobalID", "Zone", "Since")],
    }
    assert layers[5]["adminLayerInfo"]["viewLayerDefinition"]["sourceServiceName"] == "Business_Licenses"


def test_definition_of_a_joined_view(caller: Caller, address: Address) -> None:
    """The second layer stands under `relatedTables`, with the key fields of both and the fields taken of it."""
    admin = address("Hydrants_inspected/0").replace("/rest/services", "/rest/admin/services")
    about = caller.get(admin)["adminLayerInfo"]
    table = about["viewLayerDefinition"]["table"]
    assert not about["isViewUpdateable"]
    assert (table["sourceServiceName"], table["sourceLayerId"]) == ("Water_Network", 0)
    assert not {one["name"] for one in table["sourceLayerFields"]} & {"Inspection_Flow"}
    (related,) = table["relatedTables"]
    fields = [{"name": f"Inspection_{name}", "source": name} for name in ("Inspected", "Flow", "Passed")]
    assert related == {
        "name": "Inspections",
        "sourceServiceName": "Water_Network",
        "sourceLayerId": 3,
        "sourceLayerFields": fields,
        "type": "LEFT",
        "parentKeyFields": ["GlobalID"],
        "keyFields": ["HydrantID"],
        "topFilter": {"groupByFields": "HydrantID", "orderByFields": "OBJECTID ASC", "topCount": 1},
    }


def test_an_inner_join_leaves_rows_without_a_partner_out(caller: Caller, sandbox: Sandbox, address: Address) -> None:
    """With the join type INNER only rows that have a partner are shown."""
    layer = held(sandbox, "Hydrants_inspected", 0)
    left = layer.join
    assert left is not None
    every = rows(caller, address("Hydrants_inspected/0"))
    layer.join = replace(left, type="INNER")
    try:
        inner = rows(caller, address("Hydrants_inspected/0"))
    finally:
        layer.join = left
    assert inner == [row for row in every if row["attributes"]["Inspection_Inspected"] is not None]


def test_export_of_a_joined_view_has_both_layers_fields(sandbox: Sandbox, caller: Caller, tmp_path: Path) -> None:
    """A geodatabase of the view holds the joined rows."""
    path = "content/users/p.waters/export"
    item_id = sandbox.org.services["Hydrants_inspected"].item_id
    job = caller.post(path, itemId=item_id, exportFormat="File Geodatabase", title="Joined")
    assert caller.wait_for("p.waters", job)["status"] == "completed"
    content = caller.raw(f"content/items/{job['exportItemId']}/data").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(tmp_path)
    table = pyogrio.read_arrow(next(tmp_path.glob("*.gdb")), layer="Hydrants_and_inspections")[1]
    assert table.num_rows == 60
    assert 0 < table["Inspection_Passed"].null_count < 60
