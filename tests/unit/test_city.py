"""The made-up cities: what tests and the demo rely on."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections import Counter

import pytest

from agolkit.sandbox import city
from agolkit.sandbox.organization import Item, Organization

ID = re.compile(r"[0-9a-f]{32}")
GLOBAL_ID = re.compile(r"\{[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\}")
RESULTS = {"verified": {"content", "length", "parsed"}, "described": {None}, "partial": {None}, "excluded": {None}}


@pytest.fixture(scope="module")
def org() -> Organization:
    return city.springfield()


def data_of(item: Item) -> bytes:
    assert item.data is not None
    return b"".join(item.data.chunks())


def test_springfield_has_the_promised_size(org: Organization) -> None:
    """At least 200 items of more than 100 types, 12 owners of whom one has nothing, folders and 8 groups."""
    assert 200 <= len(org.items) <= 320
    assert len({item.type for item in org.items.values()}) > 100
    assert len(org.users) == 12
    assert set(org.users) - {item.owner for item in org.items.values()} == {"viewer.one"}
    assert len(org.groups) == 8
    assert sum(user.disabled for user in org.users.values()) == 1
    assert sum(user.mfa for user in org.users.values()) == 1


def test_springfield_is_the_same_every_time(org: Organization) -> None:
    """Another process with another hash seed makes the same city to the byte."""
    program = (
        "import hashlib; from agolkit.sandbox import city; "
        "print(hashlib.sha256(repr(city.springfield()).encode('utf-8', 'surrogatepass')).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    other = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == hashlib.sha256(repr(org).encode("utf-8", "surrogatepass")).hexdigest()


def test_a_city_is_the_callers_own(org: Organization) -> None:
    """Changing one copy leaves the next one as it was."""
    mine = city.springfield()
    mine.items.clear()
    mine.groups.popitem()
    assert city.springfield() == org


def test_references_resolve(org: Organization) -> None:
    """Owners, folders, groups, services, views and relations all exist, and folders belong to the item's owner."""
    for item in org.items.values():
        assert item.owner in org.users
        assert item.folder is None or org.folders[item.folder].owner == item.owner
        assert set(item.groups) <= set(org.groups)
        assert item.service is None or org.services[item.service].item_id == item.id
        assert {other for _, other in item.relations} <= set(org.items)
    for service in org.services.values():
        assert org.items[service.item_id].service == service.name
        assert service.view_of is None or service.view_of in org.services
    for group in org.groups.values():
        assert {group.owner, *group.admins, *group.members} <= set(org.users)
    assert org.users[org.admin].role == "org_admin"
    assert any(name.startswith("portal:admin:") for name in org.users[org.admin].privileges)


def test_ids_are_unique_and_look_real(org: Organization) -> None:
    """Ids of items, folders, groups and users are 32 hexadecimal digits; no two things share one."""
    ids = [*org.items, *org.folders, *org.groups, *(user.id for user in org.users.values())]
    assert len(set(ids)) == len(ids)
    assert all(ID.fullmatch(each) for each in ids)


def test_every_item_says_what_to_expect(org: Organization) -> None:
    """Each expectation is a result of the vocabulary with a check level that fits, and a reason."""
    for item in org.items.values():
        assert item.expected is not None
        assert item.expected.check in RESULTS[item.expected.result]
        assert item.expected.why.endswith(".")
    assert set(Counter(item.expected.result for item in org.items.values() if item.expected)) == set(RESULTS)


def test_expectations_fit_the_payloads(org: Organization) -> None:
    """Parsed is JSON, content a sound zip or a service, length a file or resources, described has nothing here."""
    for item in org.items.values():
        expected = item.expected
        assert expected is not None
        if expected.check == "parsed" and item.service:
            assert item.service in org.services
        elif expected.check == "parsed":
            json.loads(data_of(item))
        elif expected.check == "content" and item.data_type == "application/json":
            assert item.service in org.services
        elif expected.check == "content":
            assert zipfile.ZipFile(io.BytesIO(data_of(item))).testzip() is None
        elif expected.check == "length":
            assert item.resources if item.data is None else not data_of(item).startswith(b"PK")
        elif expected.result == "described":
            assert item.service is None
            assert item.data is None or item.data.size == 0 or item.url


def test_exclusions_follow_the_default_options(org: Organization) -> None:
    """Exactly the items tagged no-backup, in any case, and the Service Definitions are expected to be left out."""
    for item in org.items.values():
        left_out = item.type == "Service Definition" or "no-backup" in [tag.lower() for tag in item.tags]
        assert (item.expected is not None and item.expected.result == "excluded") == left_out


def test_layers_are_consistent(org: Organization) -> None:
    """Ids of rows are unique, every row has every field, relations and attachments point to what is there."""
    for service in org.services.values():
        layers = {layer.id: layer for layer in service.all()}
        assert len(layers) == len(service.all())
        for layer in layers.values():
            if layer.sub_layers is not None:
                assert set(layer.sub_layers) <= set(layers)
                assert not layer.features
                continue
            names = [field["name"] for field in layer.fields]
            assert names[:2] == ["OBJECTID", "GlobalID"]
            assert all(list(row["attributes"]) == names for row in layer.features)
            assert all(("geometry" in row) == bool(layer.geometry_type) for row in layer.features)
            objects = {row["attributes"]["OBJECTID"] for row in layer.features}
            globals_ = {row["attributes"]["GlobalID"] for row in layer.features}
            assert len(objects) == len(globals_) == len(layer.features)
            assert all(GLOBAL_ID.fullmatch(each) for each in globals_)
            assert set(layer.attachments or {}) <= objects
            assert {relation["relatedTableId"] for relation in layer.relationships} <= set(layers)


def test_springfield_has_the_layers_that_break_careless_programs(org: Organization) -> None:
    """More than two pages of rows, views, tables only, Z, M, curves, no geometry, empty layers, gaps in the ids."""
    services = org.services
    layers = [layer for service in services.values() for layer in service.all()]
    assert max(len(layer.features) for layer in layers) == 4500
    assert min(len(layer.features) for layer in layers) == 0
    assert services["Hydrants_public"].layers[0].features is services["Water_Network"].layers[0].features
    assert [layer.id for layer in services["Zoning"].all()] == [3, 4, 7]
    assert not services["Business_Licenses"].layers
    assert any(layer.has_z for layer in layers)
    assert any(layer.has_m for layer in layers)
    assert [(layer.id, len(layer.features)) for layer in services["Work_Orders"].all()] == [
        (2, 90),
        (5, 0),
        (9, 120),
        (12, 0),
    ]
    types = {field["type"].removeprefix("esriFieldType") for layer in layers for field in layer.fields}
    assert {"DateOnly", "TimeOnly", "TimestampOffset", "BigInteger"} <= types
    shapes = [row["geometry"] for layer in services["Railway"].layers for row in layer.features]
    assert None in shapes
    assert {"curvePaths", "curveRings", "paths", "rings", "points"} <= {
        name for shape in shapes if shape for name in shape
    }
    assert len({layer.source for layer in services["City_Overview"].all()}) == 4
    assert services["Hydrants_inspected"].layers[0].join
    assert "Extract" not in services["Traffic_Counts"].capabilities
    names = [one.name for layer in layers for each in (layer.attachments or {}).values() for one in each]
    assert {"photo1.jpg", "../../evil.pdf", "CON.jpg"} <= set(names)


def test_names_repeat_as_in_life(org: Organization) -> None:
    """Some titles repeat for one type and owner, a folder title for two owners, a group title for two owners."""
    titles = Counter((item.title, item.type, item.owner) for item in org.items.values())
    assert titles[("Water Mains", "Web Map", "p.waters")] == 3
    assert Counter(folder.title for folder in org.folders.values())["Archive"] == 2
    assert Counter(group.title for group in org.groups.values())["Editors"] == 2
    assert max(len(item.title) for item in org.items.values()) == 256


def test_generated_has_exactly_the_numbers_asked_for() -> None:
    """Items include the services; every owner has something, a few have most."""
    made = city.generated(items=2000, owners=40, folders=60, groups=12, services=30)
    assert (len(made.items), len(made.users), len(made.folders)) == (2000, 40, 60)
    assert (len(made.groups), len(made.services)) == (12, 30)
    owners = Counter(item.owner for item in made.items.values())
    assert len(owners) == 40
    assert owners.most_common(1)[0][1] > 300
    assert made == city.generated(items=2000, owners=40, folders=60, groups=12, services=30)


def test_generated_documents_have_all_their_parts() -> None:
    """Without services each item has small data and a thumbnail, and some have metadata and resources."""
    items = city.generated(items=1000, owners=5, folders=10, groups=5, services=0).items.values()
    assert all(item.data and 700 <= item.data.size <= 4096 and item.thumbnail and item.expected for item in items)
    assert sum(bool(item.metadata) for item in items) == sum(bool(item.resources) for item in items) == 100
    assert len({item.created for item in items}) < 250


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"items": -1}, "items must be at least 0"),
        ({"owners": 0}, "owners must be at least 1"),
        ({"items": 10, "services": 11}, "do not fit into 10 items"),
    ],
)
def test_generated_refuses_impossible_numbers(numbers: dict[str, int], said: str) -> None:
    """A number that makes no city is a ValueError which names it."""
    with pytest.raises(ValueError, match=said):
        city.generated(**numbers)


def test_generated_may_be_empty() -> None:
    """No items at all is a city too, with its administrator."""
    made = city.generated(items=0, owners=1, folders=0, groups=0, services=0)
    assert not made.items
    assert made.admin in made.users
