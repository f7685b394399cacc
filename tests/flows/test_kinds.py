"""Every item of the practice city against what was saved of it: each part, each byte, each id, and nothing besides."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import requests
from city_run import Run

import agolkit as ak
from agolkit.kinds.relations import relation_types
from agolkit.layout import exact_path
from agolkit.model import Outcome, Result
from agolkit.sandbox.city.connections import SECRETS
from agolkit.sandbox.city.sites import FOREIGN_GROUP
from agolkit.sandbox.organization import Item, Organization

OF_A_SERVICE = {"definition", "geodatabase", "rows", "attachment", "attachments", "source", "tiles"}
"""Parts that come of what a service serves; they are compared with its layers and packages, not with the item."""
WITHOUT_SECRETS = "Its document is saved without the secrets in it."


def compared(run: Run) -> Iterator[tuple[Item, Outcome]]:
    """The items that the run was to save, with what became of them."""
    for item in run.before.values():
        if run.outcomes[item.id].result is not Result.EXCLUDED:
            yield item, run.outcomes[item.id]


def held_by(org: Organization, item: Item) -> dict[str, bytes | None]:
    """What the portal has of an item: each part under its full name; `None` for the JSON that is compared by itself."""
    held: dict[str, bytes | None] = {"item.json": None, "sharing.json": None}
    if item.thumbnail:
        held["thumbnail"] = item.thumbnail[1]
    if item.metadata is not None:
        held["metadata.xml"] = item.metadata
    if relations_of(org, item):
        held["relations.json"] = None
    if item.data is not None and item.data.size:
        held["data"] = b"".join(item.data.chunks())
    held |= {f"info/{name}": content for name, content in item.info.items()}
    held |= {f"resources/{name}": content for name, content in item.resources.items()}
    if not_as_long_as_stated(item) or is_without_secrets(item):
        held["data"] = None
    return held


def not_as_long_as_stated(item: Item) -> bool:
    return item.expected is not None and "not as long" in item.expected.why


def is_without_secrets(item: Item) -> bool:
    return item.expected is not None and item.expected.why == WITHOUT_SECRETS


def relations_of(org: Organization, item: Item) -> dict[str, dict[str, set[str]]]:
    """Every relation that begins at the item, and those that end there as far as its type is asked for them."""
    found: dict[str, dict[str, set[str]]] = {}
    for name, other in item.relations:
        found.setdefault("forward", {}).setdefault(name, set()).add(other)
    asked = relation_types(item.type)["reverse"]
    for one in org.items.values():
        for name, other in one.relations:
            if other == item.id and name in asked:
                found.setdefault("reverse", {}).setdefault(name, set()).add(one.id)
    return found


def saved_of(run: Run, outcome: Outcome) -> dict[str, bytes]:
    """What was saved of an item, under the names that the portal has for it."""
    saved: dict[str, bytes] = {}
    for part in outcome.parts:
        if part.name in OF_A_SERVICE:
            continue
        name = exact_path(part)
        if part.name in ("data", "overrides"):
            name = "data"
        elif part.name == "thumbnail":
            name = "thumbnail"
        assert name not in saved, (outcome.item.title, name)
        saved[name] = run.saved(outcome.item.id, part.path)
    return saved


def test_every_part_of_every_item_is_saved_byte_for_byte_and_nothing_besides(run: Run) -> None:
    """The set of parts is the one that the portal holds, and each has the portal's bytes."""
    parts, types = 0, Counter[str]()
    for item, outcome in compared(run):
        held, saved = held_by(run.sandbox.org, item), saved_of(run, outcome)
        if not_as_long_as_stated(item):
            del held["data"]
        assert set(saved) == set(held), (item.type, item.title)
        for name, content in held.items():
            assert content is None or saved[name] == content, (item.type, item.title, name)
        parts += len(held)
        types[item.type] += 1
    assert sum(types.values()) >= 200
    assert len(types) >= 60
    assert parts > 1000


def test_only_services_have_the_parts_of_a_service(run: Run) -> None:
    """A definition, rows, a geodatabase or tiles are saved of hosted services, and of each one something of these."""
    for item, outcome in compared(run):
        of_the_service = {part.name for part in outcome.parts} & OF_A_SERVICE
        assert not of_the_service or item.service, (item.type, item.title)
        assert of_the_service or not item.service or outcome.result is Result.PARTIAL, (item.type, item.title)


def test_a_source_is_the_package_that_the_service_was_published_from(run: Run) -> None:
    """`source` has the bytes of the item that the relation Service2Data leads to."""
    found = 0
    for item, outcome in compared(run):
        for part in outcome.parts:
            if part.name == "source":
                package = next(run.before[other] for name, other in item.relations if name == "Service2Data")
                assert package.data is not None
                assert run.saved(item.id, part.path) == b"".join(package.data.chunks())
                found += 1
    assert found >= 3


def test_definitions_are_those_of_the_service_and_its_layers(run: Run) -> None:
    """`service.json` has the service's own JSON, that of each layer, the administrator's, and contingent values."""
    found = with_rules = 0
    for item, outcome in compared(run):
        if any(part.name == "definition" for part in outcome.parts):
            saved = json.loads(run.saved(item.id, "service.json"))
            base = outcome.item.url
            asked = {"root": base, "layers": f"{base}/layers", "admin": base.replace("/rest/", "/rest/admin/", 1)}
            for name, address in asked.items():
                assert saved[name] == run.portal.get_json(address), (item.title, name)
            if "contingent_values" in saved:
                assert saved["contingent_values"]["contingentValueSets"][0]["fieldGroups"]
                with_rules += 1
            found += 1
    assert found >= 25
    assert with_rules == 1


def test_descriptions_and_sharing_are_the_portals_answers(run: Run) -> None:
    """item.json is the whole JSON that the portal answers an administrator; sharing.json has access and groups."""
    token = {"X-Esri-Authorization": f"Bearer {run.sandbox.new_token(run.sandbox.username)}"}
    with requests.Session() as session:
        for item, _outcome in compared(run):
            address = f"{run.sandbox.url}/sharing/rest/content/users/{item.owner}/items/{item.id}?f=json"
            answer = session.get(address, headers=token, verify=str(run.sandbox.ca_bundle), timeout=30).json()
            assert json.loads(run.saved(item.id, "item.json")) == answer["item"], item.title
            sharing = json.loads(run.saved(item.id, "sharing.json"))
            groups = [{"id": group, "title": run.sandbox.org.groups[group].title} for group in item.groups]
            assert sharing == {"access": item.access, "groups": groups}, item.title


def test_relations_are_those_of_the_portal_in_both_directions(run: Run) -> None:
    """relations.json has every relation that begins at the item, and every one that its type is restored by."""
    for item, outcome in compared(run):
        saved: dict[str, dict[str, list[str]]] = {}
        if any(part.name == "relations" for part in outcome.parts):
            saved = json.loads(run.saved(item.id, "relations.json"))
        named = {way: {name: set(ids) for name, ids in types.items()} for way, types in saved.items()}
        assert named == relations_of(run.sandbox.org, item), (item.type, item.title)


def test_no_secret_of_a_connection_is_in_the_store(run: Run) -> None:
    """Documents of connections are saved without the secrets, as JSON, with all the rest, and the message says so."""
    for blob in {part.blob.sha256 for outcome in run.outcomes.values() for part in outcome.parts}:
        with run.store.open_blob(blob) as stream:
            content = stream.read()
        assert not any(secret.encode() in content for secret in SECRETS)
    cleaned = 0
    for item, outcome in compared(run):
        if is_without_secrets(item) and item.data is not None:
            held, saved = json.loads(b"".join(item.data.chunks())), json.loads(run.saved(item.id, "data.json"))
            assert _shortened(held, saved) == 1
            assert next(part.proof for part in outcome.parts if part.name == "data") == "1 secret left out"
            assert "to be entered again after a restore" in outcome.message
            cleaned += 1
    assert cleaned == 4
    file_share = next(item for item in run.before.values() if item.title == "File share of pictures")
    assert file_share.data is not None
    assert run.saved(file_share.id, "data.json") == b"".join(file_share.data.chunks())


def _shortened(held: Any, saved: Any) -> int:
    """How many values are gone, or cut, in `saved`; everything else is equal."""
    if isinstance(held, dict):
        assert set(saved) <= set(held)
        return sum(_shortened(held[key], saved[key]) if key in saved else 1 for key in held)
    if held != saved:
        assert "…" in saved
        return 1
    return 0


def test_a_sites_groups_are_in_the_organization_file_or_said_to_be_unknown(run: Run) -> None:
    """Whatever group a site names, its members and content are saved; of one that nobody sees the message says so."""
    told = json.loads(run.store.read(run.summary.backup, "organization.json"))
    groups = {group["id"]: group for group in told["groups"]}
    named = 0
    for item, outcome in compared(run):
        if item.type in ("Hub Site Application", "Site Application", "Hub Initiative"):
            ids = {value for name, value in (item.properties or {}).items() if name.endswith("GroupId")}
            for group in ids - {FOREIGN_GROUP}:
                held = run.sandbox.org.groups[group]
                assert set(groups[group]["members"]["users"]) == set(held.members)
                assert set(groups[group]["items"]) == {one.id for one in run.before.values() if group in one.groups}
                assert group not in outcome.message
                named += 1
            assert (FOREIGN_GROUP in outcome.message) == (FOREIGN_GROUP in ids)
            assert ("domain" in outcome.message) == (item.type == "Hub Site Application")
    assert named >= 4


def test_what_lives_in_resources_alone_is_never_verified_without_them(run: Run) -> None:
    """A project, draft, experience or style whose content the portal does not list is partial, and says which it is."""
    lost = {
        item.title: outcome for item, outcome in compared(run) if item.expected and "in a resource" in item.expected.why
    }
    assert {title: outcome.message.split(":")[0] for title, outcome in lost.items()} == {
        "Project without its file": "resource qc.project.json",
        "Draft that is gone": "resource draft_1.json",
        "Experience that was never saved": "resource config/config.json",
        "Style without its root": "resource styles/root.json",
    }
    assert {outcome.result for outcome in lost.values()} == {Result.PARTIAL}


def test_nothing_went_wrong_inside_agolkit(run: Run) -> None:
    """No message speaks of a defect, and every item is verified but for the reasons that the city knows of."""
    assert not [outcome.message for outcome in run.outcomes.values() if "agolkit itself" in outcome.message]
    assert ak.verify(run.store, "latest", deep=False).ok
