"""Edits of hosted layers in the practice portal, and what change tracking says of them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from caller import Caller
from practice_town import PASSWORDS, TREE_COUNT, TREES, town

from agolkit.sandbox import Sandbox
from agolkit.sandbox.organization import Layer, Organization, Service


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    org = town()
    service(org).capabilities += ",ChangeTracking"
    with Sandbox(org) as opened:
        yield opened


@pytest.fixture
def ann(sandbox: Sandbox) -> Iterator[Caller]:
    with Caller(sandbox, "ann") as signed_in:
        yield signed_in


@pytest.fixture
def trees(sandbox: Sandbox) -> str:
    """The address of the service `Trees`."""
    origin = sandbox.url.removesuffix("/portal")
    return f"{origin}/TownTownTownTown/arcgis/rest/services/Trees/FeatureServer"


def service(org: Organization) -> Service:
    return org.services["Trees"]


def held(sandbox: Sandbox, object_id: int) -> dict[str, Any] | None:
    rows = service(sandbox.org).layers[0].features
    return next((row for row in rows if row["attributes"]["OBJECTID"] == object_id), None)


def layer_of(sandbox: Sandbox) -> Layer:
    return service(sandbox.org).layers[0]


def stamps(caller: Caller, url: str) -> dict[str, int]:
    editing: dict[str, int] = caller.get(f"{url}/0")["editingInfo"]
    return editing


def test_rows_are_added_updated_and_deleted_in_one_request(sandbox: Sandbox, ann: Caller, trees: str) -> None:
    """Each edit has its result, the layer's data stamps move, and the item's own stamp stays."""
    before, item = stamps(ann, trees), sandbox.org.items[TREES].modified
    answer = ann.post(
        f"{trees}/0/applyEdits",
        adds=json.dumps([{"attributes": {"KIND": "lime", "height": 2.5}, "geometry": {"x": 1, "y": 2, "z": 3}}]),
        updates=json.dumps([{"attributes": {"OBJECTID": 3, "kind": "ash"}}]),
        deletes="5,7",
    )
    new = answer["addResults"][0]
    assert [result["success"] for results in answer.values() for result in results] == [True] * 4
    assert new["objectId"] == TREE_COUNT * 2
    added = held(sandbox, new["objectId"])
    assert added is not None
    assert added["geometry"] == {"x": 1, "y": 2, "z": 3}
    assert (added["attributes"]["kind"], added["attributes"]["GlobalID"]) == ("lime", new["globalId"])
    changed = held(sandbox, 3)
    assert changed is not None
    assert (changed["attributes"]["kind"], changed["attributes"]["height"]) == ("ash", 1 / 8)
    assert held(sandbox, 5) is held(sandbox, 7) is None
    assert 7 not in (layer_of(sandbox).attachments or {})
    after = stamps(ann, trees)
    assert after["dataLastEditDate"] > before["dataLastEditDate"]
    assert after["schemaLastEditDate"] == before["schemaLastEditDate"]
    assert sandbox.org.items[TREES].modified == item
    oaks = stamps(ann, trees.replace("/Trees/", "/Oaks/"))
    assert oaks["dataLastEditDate"] == after["dataLastEditDate"]


@pytest.mark.parametrize(("rollback", "made"), [(None, False), ("true", False), ("false", True)])
def test_one_bad_edit_takes_the_others_back(
    sandbox: Sandbox, ann: Caller, trees: str, rollback: str | None, made: bool
) -> None:
    """Unless the request says otherwise, nothing is edited where one edit cannot be made."""
    wanted = [{"id": 0, "deletes": [3]}, {"id": 2, "updates": [{"attributes": {"OBJECTID": 77, "kind": "x"}}]}]
    params = {"edits": json.dumps(wanted)} | ({"rollbackOnFailure": rollback} if rollback else {})
    generation = service(sandbox.org).generation
    good, bad = ann.post(f"{trees}/applyEdits", **params)
    assert bad["updateResults"][0]["error"]["code"] == 1001  # type: ignore[index]
    assert good["deleteResults"][0]["success"] is made  # type: ignore[index]
    assert (held(sandbox, 3) is None) is made
    assert (service(sandbox.org).generation > generation) is made


def test_rows_are_found_by_global_id(sandbox: Sandbox, ann: Caller, trees: str) -> None:
    """With `useGlobalIds` new rows keep the id that they bring, and others are found by theirs."""
    row = held(sandbox, 3)
    assert row is not None
    mine = "{AAAAAAAA-0000-4000-8000-000000000000}"
    answer = ann.post(
        f"{trees}/0/applyEdits",
        useGlobalIds="true",
        adds=json.dumps([{"attributes": {"GlobalID": mine}}]),
        deletes=json.dumps([row["attributes"]["GlobalID"].strip("{}").lower()]),
    )
    assert answer["addResults"][0]["globalId"] == mine
    assert held(sandbox, 3) is None


def test_the_single_operations(ann: Caller, trees: str) -> None:
    """Rows can be added, updated and deleted by operations of their own; deleting takes a clause."""
    added = ann.post(f"{trees}/2/addFeatures", features=json.dumps([{"attributes": {"kind": "a"}}]))["addResults"]
    assert added[0]["objectId"] == 6
    row = {"attributes": {"OBJECTID": 6, "kind": "b"}}
    assert ann.post(f"{trees}/2/updateFeatures", features=json.dumps([row]))["updateResults"][0]["success"]
    assert ann.post(f"{trees}/2/deleteFeatures", where="kind = 'b'")["deleteResults"][0]["objectId"] == 6
    again = ann.post(f"{trees}/2/addFeatures", features=json.dumps([{"attributes": {}}]))["addResults"]
    assert again[0]["objectId"] == 7, "an object id is never given twice"


def test_editor_tracking_notes_who_and_when(sandbox: Sandbox, ann: Caller, trees: str) -> None:
    """Where a layer tracks its editors, a new row has all four values and an update moves two of them."""
    layer = service(sandbox.org).tables[0]
    names = ("CreationDate", "Creator", "EditDate", "Editor")
    layer.fields += [{"name": name, "type": "esriFieldTypeString"} for name in names]
    keys = ("creationDateField", "creatorField", "editDateField", "editorField")
    layer.definition["editFieldsInfo"] = dict(zip(keys, names, strict=True))
    ann.post(f"{trees}/2/addFeatures", features=json.dumps([{"attributes": {}}]))
    made = layer.features[-1]["attributes"]
    assert (made["Creator"], made["Editor"]) == ("ann", "ann")
    with Caller(sandbox, "chief") as chief:
        chief.post(f"{trees}/2/updateFeatures", features=json.dumps([{"attributes": {"OBJECTID": 6}}]))
    updated = layer.features[-1]["attributes"]
    assert (updated["Creator"], updated["Editor"]) == ("ann", "chief")
    assert updated["EditDate"] >= updated["CreationDate"] == made["CreationDate"]


@pytest.mark.parametrize(
    ("who", "capabilities", "may"),
    [
        ("ann", "Query", True),
        ("chief", "Query", True),
        ("bob", "Query", False),
        ("bob", "Query,Create,Editing", True),
        (None, "Query,Create,Editing", False),
    ],
)
def test_who_may_edit(sandbox: Sandbox, trees: str, who: str | None, capabilities: str, may: bool) -> None:
    """Owner and administrators always edit, others as the capabilities say and if they see the item."""
    service(sandbox.org).capabilities = capabilities
    with Caller(sandbox, who) as caller:
        answer = caller.post(f"{trees}/0/addFeatures", features=json.dumps([{"attributes": {"kind": "x"}}]))
    assert ("addResults" in answer) is may, answer


def test_attachments_are_added_replaced_and_deleted(sandbox: Sandbox, ann: Caller, trees: str) -> None:
    """A file hangs on its row under new ids, keeps them when it is replaced, and its bytes are those that were sent."""
    before = stamps(ann, trees)
    row = f"{trees}/0/11"
    files = {"attachment": ("bark.png", b"\x89PNG bark", "image/png")}
    added = ann.raw(f"{row}/addAttachment?f=json", "POST", files=files, data={"keywords": "bark"}).json()
    new = added["addAttachmentResult"]
    assert (new["success"], new["objectId"]) == (True, 5)
    info = ann.get(f"{row}/attachments")["attachmentInfos"][0]
    assert (info["name"], info["contentType"], info["keywords"]) == ("bark.png", "image/png", "bark")
    assert ann.raw(f"{row}/attachments/5").content == b"\x89PNG bark"
    assert stamps(ann, trees)["dataLastEditDate"] > before["dataLastEditDate"]

    files = {"attachment": ("bark.png", b"\x89PNG more", "image/png")}
    done = ann.raw(f"{row}/updateAttachment?f=json", "POST", files=files, data={"attachmentId": "5"}).json()
    assert done["updateAttachmentResult"] == {"objectId": 5, "globalId": new["globalId"], "success": True}
    assert ann.raw(f"{row}/attachments/5").content == b"\x89PNG more"

    results = ann.post(f"{row}/deleteAttachments", attachmentIds="5,99")["deleteAttachmentResults"]
    assert [result["success"] for result in results] == [True, False]
    assert ann.get(f"{row}/attachments")["attachmentInfos"] == []
    with Caller(sandbox, "bob") as bob:
        service(sandbox.org).capabilities = "Query"
        assert bob.raw(f"{row}/addAttachment?f=json", "POST", files=files).json()["error"]["code"] == 403


def changes(caller: Caller, url: str, since: int, **more: object) -> dict[str, Any]:
    every = {"returnInserts": "true", "returnUpdates": "true", "returnDeletes": "true", "returnAttachments": "true"}
    gens = json.dumps([{"id": 0, "serverGen": since}])
    return caller.post(f"{url}/extractChanges", layers="[0]", layerServerGens=gens, **every, **more)


def test_changes_are_told_since_a_generation(ann: Caller, trees: str) -> None:
    """Rows and attachments come once each, by what their edits amount to; what came and went is not there."""
    tracking = ann.get(trees)["changeTrackingInfo"]["layerServerGens"]
    assert {one["id"] for one in tracking} == {0, 1, 2}
    since = tracking[0]["serverGen"]
    file = {"attachment": ("a.txt", b"a", "text/plain")}
    kept = ann.raw(f"{trees}/0/9/addAttachment?f=json", "POST", files=file).json()["addAttachmentResult"]
    gone = ann.raw(f"{trees}/0/9/addAttachment?f=json", "POST", files=file).json()["addAttachmentResult"]
    ann.post(f"{trees}/0/9/deleteAttachments", attachmentIds=gone["objectId"])
    ann.raw(f"{trees}/0/1/updateAttachment?f=json", "POST", files=file, data={"attachmentId": "2"})
    ann.post(f"{trees}/0/applyEdits", updates='[{"attributes":{"OBJECTID":3,"rings":1}}]', deletes="7")
    ann.post(f"{trees}/2/deleteFeatures", objectIds="5")

    answer = changes(ann, trees, since, returnIdsOnly="true")
    (edits,) = answer["edits"]
    assert edits["objectIds"] == {"adds": [], "updates": [3], "deletes": [7]}
    assert [one["globalId"] for one in edits["attachments"]["adds"]] == [kept["globalId"]]
    assert [one["attachmentId"] for one in edits["attachments"]["updates"]] == [2]
    assert len(edits["attachments"]["deleteIds"]) == 1, "the one that hung on the row that was deleted"
    assert ann.raw(edits["attachments"]["adds"][0]["url"]).content == b"a"

    full = changes(ann, trees, since, returnAttachmentsDataByUrl="false")["edits"][0]
    assert full["features"]["updates"][0]["attributes"]["rings"] == 1
    assert full["attachments"]["adds"][0]["data"] == "YQ=="

    current = answer["layerServerGens"][0]["serverGen"]
    assert current > since
    assert changes(ann, trees, current, returnIdsOnly="true")["edits"][0]["objectIds"]["updates"] == []


def test_changes_come_as_a_job_too(ann: Caller, trees: str) -> None:
    """With `async` the answer is the address of a job, whose result is the same."""
    since = ann.get(trees)["changeTrackingInfo"]["layerServerGens"][0]["serverGen"]
    ann.post(f"{trees}/0/deleteFeatures", objectIds="3")
    started = changes(ann, trees, since, **{"async": "true"})
    job = ann.get(started["statusUrl"])
    assert job["status"] == "Completed"
    assert ann.get(job["resultUrl"]) == changes(ann, trees, since)


def test_generations_that_are_forgotten_are_refused(sandbox: Sandbox, ann: Caller, trees: str) -> None:
    """Changes since a generation older than the oldest are an error; a service without tracking has no operation."""
    ann.post(f"{trees}/0/deleteFeatures", objectIds="3")
    one = service(sandbox.org)
    since = one.oldest_generation
    one.changes.clear()
    one.oldest_generation += 1
    assert ann.get(trees)["changeTrackingInfo"]["layerServerGens"][0]["minServerGen"] == since + 1
    assert "older" in changes(ann, trees, since)["error"]["message"]
    one.capabilities = "Query"
    assert "changeTrackingInfo" not in ann.get(trees)
    assert "error" in changes(ann, trees, since)


def test_an_edit_of_a_view_is_one_of_its_source(sandbox: Sandbox, ann: Caller, trees: str) -> None:
    """What is edited through a view stands in the layer that it shows."""
    view = trees.replace("/Trees/", "/Oaks/")
    assert ann.post(f"{view}/0/deleteFeatures", objectIds="1")["deleteResults"][0]["success"]
    assert held(sandbox, 1) is None
    assert service(sandbox.org).changes


def test_long_answers_are_compressed_for_those_who_take_it(ann: Caller, trees: str) -> None:
    """JSON of some length comes compressed if the request allows it, and is the same either way."""
    url = f"{trees}/0/query?f=json&where=1%3D1&outFields=*"
    packed, plain = (ann.raw(url, headers={"Accept-Encoding": how}) for how in ("gzip", "identity"))
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"]) / 4
    assert "Content-Encoding" not in plain.headers
    assert packed.json() == plain.json()


@pytest.mark.filterwarnings("ignore")
def test_the_arcgis_client_edits_and_asks_for_changes(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unmodified client edits rows and attachments, and reads the changes that it made."""
    monkeypatch.setenv("SSL_CERT_FILE", str(sandbox.ca_bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(sandbox.ca_bundle))
    gis = importlib.import_module("arcgis.gis").GIS(sandbox.url, "ann", PASSWORDS["ann"], set_active=False)
    collection = importlib.import_module("arcgis.features").FeatureLayerCollection.fromitem(gis.content.get(TREES))
    gens = [dict(one) for one in collection.properties.changeTrackingInfo.layerServerGens]
    layer = collection.layers[0]
    row = {"attributes": {"kind": "lime"}, "geometry": {"x": 1, "y": 2}}
    (added,) = layer.edit_features(adds=[row])["addResults"]
    assert added["success"]
    file = tmp_path / "leaf.jpg"
    file.write_bytes(b"\xff\xd8 leaf")
    new = layer.attachments.add(added["objectId"], str(file))["addAttachmentResult"]
    assert [one["name"] for one in layer.attachments.get_list(added["objectId"])] == ["leaf.jpg"]
    every = {"return_inserts": True, "return_updates": True, "return_deletes": True, "return_attachments": True}
    changes = collection.extract_changes(layers=[0], layer_servergen=gens, return_ids_only=True, **every)
    (edits,) = changes["edits"]
    assert edits["objectIds"]["adds"] == [added["objectId"]]
    assert [one["attachmentId"] for one in edits["attachments"]["adds"]] == [new["objectId"]]
    assert layer.attachments.delete(added["objectId"], new["objectId"])["deleteAttachmentResults"][0]["success"]
    assert layer.delete_features(where="kind = 'lime'")["deleteResults"][0]["objectId"] == added["objectId"]
