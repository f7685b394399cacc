"""Comparing backups: edits of every sort between two backups are told, each once, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests
from portals import connect

import agolkit as ak
from agolkit.cli import main
from agolkit.errors import NoSuchBackup
from agolkit.manifest import read_outcomes
from agolkit.sandbox import Fault, Sandbox, city
from agolkit.sandbox.organization import Bytes, Item, Layer
from agolkit.store import Store
from agolkit.store.blobs import blob_key

TYPES = ["Web Map", "Dashboard", "Feature Service", "PDF"]
ROW = ["part", "where", "change", "before", "after"]


@dataclass
class Edited:
    """A store with a backup from before and one from after the edits, and what was edited."""

    store: Store
    a: str
    b: str
    names: dict[str, str]
    """Ids of items, by what was done to them."""

    def differences(self, name: str) -> list[tuple[str, ...]]:
        frame = ak.compare_item(self.store, self.a, self.b, self.names[name])
        return [tuple(row) for row in frame[ROW].itertuples(index=False)]


class Editor:
    """The administrator, editing through the REST API of a hosted service, and an owner at the item page."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.org = sandbox.org
        self._root = f"{sandbox.url.removesuffix('/portal')}/server/rest/services"
        self._session = requests.Session()
        self._session.verify = str(sandbox.ca_bundle)
        self._session.trust_env = False
        self._session.headers["X-Esri-Authorization"] = f"Bearer {sandbox.new_token()}"
        self.portal = connect(sandbox)

    def item(self, title: str, item_type: str) -> Item:
        return next(each for each in self.org.items.values() if (each.title, each.type) == (title, item_type))

    def layer(self, item: Item, number: int = 0) -> Layer:
        assert item.service
        return self.org.services[item.service].all()[number]

    def edit(self, item: Item, path: str, files: Any = None, **params: Any) -> dict[str, Any]:
        url = self.portal.item(item.id)["url"]
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
        answer = self._session.post(f"{url}/{path}", data={"f": "json", **texts}, files=files, timeout=30)
        told: dict[str, Any] = answer.json()
        assert "error" not in told, told
        return told


def edit_document(item: Item, change: Callable[[Any], None]) -> None:
    assert isinstance(item.data, Bytes)
    document = json.loads(item.data.content)
    change(document)
    item.data = Bytes(json.dumps(document).encode())
    item.modified += 1000


def edit_everything(editor: Editor) -> dict[str, str]:
    """One edit of each sort; the id of the item that got it."""
    org = editor.org
    done: dict[str, Item] = {}

    done["widget"] = editor.item("Water network today", "Dashboard")

    def rename(dashboard: Any) -> None:
        widgets = dashboard["desktopView"]["widgets"]
        widgets[1]["name"] = "Open <b>valves</b>"
        widgets.insert(0, {"id": "new", "type": "richTextWidget", "name": "Hello"})

    edit_document(done["widget"], rename)
    done["filter"] = editor.item("Urban Forest", "Web Map")
    edit_document(
        done["filter"],
        lambda web_map: web_map["operationalLayers"][0].update(layerDefinition={"definitionExpression": "1=0"}),
    )
    done["title"] = editor.item("Zoning", "Web Map")
    done["title"].title, done["title"].tags = "Zoning 2030", [*done["title"].tags, "draft"]
    done["sharing"] = editor.item("Street map", "Web Map")
    done["sharing"].access, done["sharing"].groups = "public", [next(iter(org.groups))]
    done["folder"] = editor.item("Snow plows", "Web Map")
    folders = (each.id for each in org.folders.values() if each.owner == done["folder"].owner)
    done["folder"].folder = next(folder for folder in folders if folder != done["folder"].folder)
    done["thumbnail"] = editor.item("Incidents", "Web Map")
    done["thumbnail"].thumbnail = ("thumbnail/new.png", b"\x89PNG another picture")
    done["resource"] = editor.item("Parks & playgrounds", "Web Map")
    done["resource"].resources["new/picture.png"] = b"\x89PNG"
    done["left out"] = editor.item("Everything open", "Web Map")
    done["left out"].tags = ["no-backup"]
    done["viewed"] = editor.item("Damage assessment", "Web Map")
    done["viewed"].stated = {**done["viewed"].stated, "numViews": 4711, "lastViewed": 1, "scoreCompleteness": 99}
    done["viewed"].modified += 5_000_000

    done["removed"] = editor.item("Final delivery", "Web Map")
    del org.items[done["removed"].id]
    done["added"] = Item("ad" * 16, org.admin, "Web Map", "Brand new", data=Bytes(b'{"operationalLayers": []}'))
    org.add(done["added"])

    done["rows"] = editor.item("Water Network", "Feature Service")
    hydrants = editor.layer(done["rows"]).features
    changed, gone = hydrants[0]["attributes"], hydrants[1]["attributes"]
    editor.edit(
        done["rows"],
        "0/applyEdits",
        updates=[{"attributes": {"OBJECTID": changed["OBJECTID"]}, "geometry": {"x": 0, "y": 0}}],
        deletes=str(gone["OBJECTID"]),
        adds=[{"attributes": {}, "geometry": {"x": 1, "y": 1}}],
    )
    layer = editor.layer(done["rows"])
    row, files = next((row, files) for row, files in sorted((layer.attachments or {}).items()) if files)
    photo = {"attachment": (files[0].name, b"\xff\xd8\xff another photo", "image/jpeg")}
    editor.edit(done["rows"], f"0/{row}/updateAttachment", photo, attachmentId=str(files[0].id))
    editor.edit(done["rows"], f"0/{row}/addAttachment", {"attachment": ("extra.txt", b"extra", "text/plain")})

    done["geodatabase"] = editor.item("Street Trees", "Feature Service")
    tree = editor.layer(done["geodatabase"]).features[41]["attributes"]
    kind = next(name for name, value in tree.items() if isinstance(value, str) and name != "GlobalID")
    editor.edit(
        done["geodatabase"], "0/applyEdits", updates=[{"attributes": {"OBJECTID": tree["OBJECTID"], kind: "Ginkgo"}}]
    )
    done["field"] = editor.item("Libraries", "Feature Service")
    library = editor.layer(done["field"])
    library.fields.append({"name": "Floors", "type": "esriFieldTypeInteger", "alias": "Floors", "domain": None})
    return {name: item.id for name, item in done.items()}


@pytest.fixture
def springfield(open_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return open_sandbox(city.springfield())


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edited]:
    with Sandbox(city.springfield()) as sandbox:
        store = ak.open_store(tmp_path_factory.mktemp("compared") / "store")
        options = ak.BackupOptions(types=TYPES)
        editor = Editor(sandbox)
        a = ak.backup(editor.portal, store, options).backup
        names = edit_everything(editor)
        b = ak.backup(editor.portal, store, options).backup
        yield Edited(store, a, b, names)


def test_every_item_that_differs_is_told_once(edited: Edited) -> None:
    """Each edit is said in words, what came and went is named, and a look at an item is no change of it."""
    frame = ak.compare(edited.store, edited.a, edited.b)
    assert list(frame.columns) == ["item_id", "title", "type", "owner", "change", "what"]
    found = {row.item_id: (row.change, row.what) for row in frame.itertuples()}
    said = {name: found.pop(item_id) for name, item_id in edited.names.items() if item_id in found}
    assert found == {}
    assert said == {
        "widget": ("changed", "data: 2 changes"),
        "filter": ("changed", "data: 1 change"),
        "title": ("changed", "title, tags"),
        "sharing": ("changed", "sharing"),
        "folder": ("changed", "folder"),
        "thumbnail": ("changed", "thumbnail"),
        "resource": ("changed", "resources: 1 change"),
        "left out": ("removed", "left out of the second backup: tag 'no-backup' is in exclude_tags"),
        "removed": ("removed", "gone"),
        "added": ("added", "new"),
        "rows": ("changed", "rows: +1 -1 ~1; attachments: +1 -2 ~1"),
        "geodatabase": ("changed", "rows: ~1"),
        "field": ("changed", "definition: 1 change"),
    }


def test_what_changed_in_a_dashboard(edited: Edited) -> None:
    """The widget that was renamed and the one that is new are named, markup as it was written."""
    renamed, new = edited.differences("widget")
    assert renamed[1].startswith("desktopView / widgets / Open <b>valves</b> (indicatorWidget, id ")
    assert renamed[2:] == ("changed", "Water network today (indicatorWidget)", "Open <b>valves</b>")
    assert new[1:3] == ("desktopView / widgets / Hello (richTextWidget, id new)", "added")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("title", [("item", "title", "changed"), ("item", "tags", "added")]),
        ("sharing", [("sharing", "access", "changed"), ("sharing", "groups", "added")]),
        ("folder", [("item", "folder", "changed")]),
        ("thumbnail", [("thumbnail", "", "changed")]),
        ("resource", [("resource", "new/picture.png", "added")]),
        ("field", [("definition", "layers / Libraries (Feature Layer, id 0) / fields / Floors", "added")]),
        ("viewed", []),
    ],
)
def test_what_changed_in_an_item(edited: Edited, name: str, expected: list[tuple[str, ...]]) -> None:
    """Each edit is one difference, with the part and the place of it."""
    assert [each[:3] for each in edited.differences(name)] == expected


def test_what_changed_in_rows_and_attachments(edited: Edited) -> None:
    """Rows are named by their GlobalIDs, with each value before and after; a point says how far it was moved."""
    found = edited.differences("rows")
    assert sorted({(part, change) for part, _, change, *_ in found}) == [
        *[("attachments", change) for change in ("added", "changed", "removed")],
        *[("rows", change) for change in ("added", "changed", "removed")],
    ]
    point = next(each for each in found if each[1].endswith("/ geometry"))
    assert point[4].startswith("point 0, 0, moved ")
    editor = next(each for each in found if each[1].endswith("/ Editor"))
    assert editor[4] == "city_admin"
    gone = next(each for each in found if each[:3:2] == ("rows", "removed"))
    assert "IN_SERVICE (In service)" in gone[3]
    extra = next(each for each in found if each[:3:2] == ("attachments", "added"))
    assert extra[1].endswith(" (object id) / extra.txt")
    assert extra[4].startswith("extra.txt, 5 B")


def test_what_changed_in_a_geodatabase(edited: Edited) -> None:
    """A row inside a geodatabase is told like any other, although all its bytes differ."""
    ((part, where, change, _, after),) = edited.differences("geodatabase")
    assert (part, change, after) == ("rows", "changed", "Ginkgo")
    assert where.startswith("Street Trees / row ")


def test_a_backup_does_not_differ_from_itself(edited: Edited) -> None:
    """Neither as a whole nor item by item."""
    assert ak.compare(edited.store, edited.b, edited.b).empty
    for name, item_id in edited.names.items():
        if name != "removed":
            assert ak.compare_item(edited.store, edited.b, edited.b, item_id).empty


def test_the_other_way_round_is_the_mirror(edited: Edited) -> None:
    """What was added is removed, and every difference has its values exchanged."""
    swapped = {"added": "removed", "removed": "added", "changed": "changed"}
    forth = ak.compare(edited.store, edited.a, edited.b)
    back = ak.compare(edited.store, edited.b, edited.a)
    mirrored = dict(zip(back["item_id"], back["change"].map(swapped), strict=True))
    assert dict(zip(forth["item_id"], forth["change"], strict=True)) == mirrored
    for item_id in forth.loc[forth["change"] == "changed", "item_id"]:
        one, other = (
            sorted(tuple(row) for row in frame[["part", "change", "before", "after"]].itertuples(index=False))
            for frame in (
                ak.compare_item(edited.store, edited.a, edited.b, item_id),
                ak.compare_item(edited.store, edited.b, edited.a, item_id),
            )
        )
        told = sorted((part, swapped[change], after, before) for part, change, before, after in one)
        # How far a point was moved is told beside where it is afterwards.
        assert [each for each in told if "moved" not in str(each)] == [
            each for each in other if "moved" not in str(each)
        ]
        assert len(told) == len(other)


def test_items_can_be_named(edited: Edited) -> None:
    """Only the named ones are looked at; one that neither backup has is an error."""
    names = edited.names
    frame = ak.compare(edited.store, edited.a, "latest", items=[names["title"], names["viewed"]])
    assert list(frame["item_id"]) == [names["title"]]
    with pytest.raises(NoSuchBackup, match="Neither backup has an item 00000000"):
        ak.compare(edited.store, edited.a, edited.b, items=["0" * 32])
    with pytest.raises(NoSuchBackup, match=f"no item {names['added']} in the backup {edited.a}"):
        ak.compare_item(edited.store, edited.a, edited.b, names["added"])


def test_the_history_of_an_item(edited: Edited) -> None:
    """Each backup that has it is a row; the version counts up where it differs from the one before."""
    store, names = edited.store, edited.names
    title, viewed = ak.history(store, names["title"]), ak.history(store, names["viewed"])
    assert list(title["backup"]) == [edited.a, edited.b]
    assert list(title["title"]) == ["Zoning", "Zoning 2030"]
    assert (list(title["version"]), list(title["what"])) == ([1, 2], ["", "title, tags"])
    assert (list(viewed["version"]), list(viewed["what"])) == ([1, 1], ["", ""])
    assert viewed["modified"][0] < viewed["modified"][1]
    assert list(ak.history(store, names["added"])["backup"]) == [edited.b]
    with pytest.raises(NoSuchBackup, match="No backup in"):
        ak.history(store, "0" * 32)


def test_any_version_can_be_fetched(edited: Edited, tmp_path: Path) -> None:
    """The backup that the history names holds the item as it was then."""
    for backup, is_edited in zip(
        ak.history(edited.store, edited.names["filter"])["backup"], (False, True), strict=True
    ):
        ak.fetch(edited.store, backup, tmp_path / backup, items=[edited.names["filter"]])
        (data,) = (tmp_path / backup).rglob("data.json")
        assert ("1=0" in data.read_text(encoding="utf-8")) is is_edited


def test_the_command_line_says_the_same(edited: Edited, capsys: pytest.CaptureFixture[str]) -> None:
    """`compare` and `history` for people and for machines, and how to fetch a version."""
    store = edited.store.location

    def agolkit(*args: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(args)
        assert ended.value.code in (0, None)
        return capsys.readouterr().out

    rows = json.loads(agolkit("compare", store, edited.a, edited.b, "--json"))
    assert {row["item_id"] for row in rows} == {*edited.names.values()} - {edited.names["viewed"]}
    differences = agolkit("compare", store, edited.a, "--item", edited.names["widget"])
    assert "Open <b>valves</b> (indicatorWidget" in differences
    said = agolkit("history", store, edited.names["title"])
    assert "title, tags" in said
    assert f"agolkit fetch {store} BACKUP TO --item {edited.names['title']}" in said
    assert agolkit("compare", store, edited.b, edited.b) == "Nothing.\n"


def edit_hydrants(editor: Editor) -> str:
    """A changed value, a new row and a replaced attachment of one layer; the id of its item."""
    item = editor.item("Water Network", "Feature Service")
    first = editor.layer(item).features[4]["attributes"]["OBJECTID"]
    updates = [{"attributes": {"OBJECTID": first, "Name": "Hydrant \u00e9\U0001f4a7"}}]
    editor.edit(item, "0/applyEdits", updates=updates, adds=[{"attributes": {}, "geometry": {"x": 1, "y": 1}}])
    row, files = next((row, files) for row, files in sorted((editor.layer(item).attachments or {}).items()) if files)
    photo = {"attachment": (files[0].name, b"\xff\xd8\xff another photo", "image/jpeg")}
    editor.edit(item, f"0/{row}/updateAttachment", photo, attachmentId=str(files[0].id))
    return item.id


@pytest.mark.parametrize(
    ("first", "second"), [("fgdb", "fgdb"), ("rows", "fgdb"), ("fgdb", "rows"), ("both", "rows"), ("both", "both")]
)
def test_layers_are_compared_in_whatever_form_they_were_saved(
    springfield: Sandbox, store: Store, first: str, second: str
) -> None:
    """The same rows, values and attachments differ; where the forms do, all but the geometries, and that is said."""
    editor = Editor(springfield)
    options = {"types": ["Feature Service"], "owners": ["p.waters"]}
    a = ak.backup(editor.portal, store, ak.BackupOptions.from_mapping({**options, "feature_format": first})).backup
    item_id = edit_hydrants(editor)
    b = ak.backup(editor.portal, store, ak.BackupOptions.from_mapping({**options, "feature_format": second})).backup

    frame = ak.compare_item(store, a, b, item_id)
    told = frame[~frame["where"].str.contains("/ Edit")]
    assert sorted(zip(told["part"], told["change"], strict=True)) == sorted(
        [("attachments", "changed"), ("rows", "added"), ("rows", "changed")]
        + [("rows", "not compared")] * (len({first, second}) == 2 and "both" not in (first, second))
    )
    (named,) = told[(told["part"] == "rows") & (told["change"] == "changed")].itertuples()
    assert named.where.endswith("/ Name")
    assert named.after == "Hydrant \u00e9\U0001f4a7"
    (what,) = ak.compare(store, a, b, items=[item_id])["what"]
    assert what == "rows: +1 ~1; attachments: ~1"


def test_dates_are_the_same_in_either_form(springfield: Sandbox, store: Store) -> None:
    """Fields of every type, also moments with an offset, do not differ by the form in which they were saved."""
    editor = Editor(springfield)
    item = editor.item("Work Orders", "Feature Service")
    options = {"types": ["Feature Service"], "owners": [item.owner]}
    a = ak.backup(editor.portal, store, ak.BackupOptions.from_mapping({**options, "feature_format": "fgdb"})).backup
    layer = editor.layer(item)
    name = next(each["name"] for each in layer.fields if each["type"] == "esriFieldTypeString")
    updates = [{"attributes": {"OBJECTID": layer.features[7]["attributes"]["OBJECTID"], name: "other"}}]
    editor.edit(item, f"{layer.id}/applyEdits", updates=updates)
    b = ak.backup(editor.portal, store, ak.BackupOptions.from_mapping({**options, "feature_format": "rows"})).backup
    frame = ak.compare_item(store, a, b, item.id)
    changed = frame[(frame["change"] != "not compared") & ~frame["where"].str.contains("/ Edit")]
    assert list(changed["after"]) == ["other"]
    assert list(ak.compare(store, a, b, items=[item.id])["what"]) == ["rows: ~1"]


def test_what_could_not_be_saved_is_not_called_removed(springfield: Sandbox, store: Store) -> None:
    """A part that one backup lacks because it failed is a difference of results, before and after it is saved again."""
    editor = Editor(springfield)
    options = ak.BackupOptions(types=["Dashboard"])
    item = editor.item("Snow operations", "Dashboard")
    a = ak.backup(editor.portal, store, options).backup
    springfield.faults.add(
        Fault(f"/content/items/{item.id}/data", status=403, body={"error": {"code": 403, "message": "no"}})
    )
    b = ak.backup(editor.portal, store, replace(options, full=True)).backup
    springfield.faults.clear()
    c = ak.backup(editor.portal, store, options).backup

    (row,) = ak.compare(store, a, b).itertuples()
    assert (row.item_id, row.change, row.what) == (item.id, "changed", "result: partial instead of verified")
    assert ak.compare(store, a, c).empty
    versions = ak.history(store, item.id)
    assert list(versions["result"]) == ["verified", "partial", "verified"]
    assert versions["version"].fillna(0).tolist() == [1, 0, 1]


def test_damage_is_said_and_ends_nothing(springfield: Sandbox, store: Store) -> None:
    """A file that cannot be read is not compared; an old backup that cannot be read has a row in the history."""
    editor = Editor(springfield)
    options = ak.BackupOptions(types=["Dashboard"])
    item = editor.item("Snow operations", "Dashboard")
    a = ak.backup(editor.portal, store, options).backup
    edit_document(item, lambda dashboard: dashboard.update(theme="dark"))
    item.title = "Snow"
    b = ak.backup(editor.portal, store, options).backup

    old = next(outcome for outcome in read_outcomes(store, a) if outcome.item.id == item.id)
    data = next(part for part in old.parts if part.name == "data")
    spoil(store, blob_key(data.blob.sha256))
    assert list(ak.compare(store, a, b)["what"]) == ["title; data: not compared"]
    assert "is not what it was" in ak.compare_item(store, a, b, item.id).set_index("change")["after"]["not compared"]
    spoil(store, f"backups/{a}/manifest.jsonl.gz")
    versions = ak.history(store, item.id)
    assert list(versions["version"].isna()) == [True, False]
    assert "manifest" in versions["what"][0]


def spoil(store: Store, key: str) -> None:
    path = Path(store.location) / key
    path.chmod(0o600)
    path.write_bytes(b"spoiled" + path.read_bytes()[7:])


def test_other_scopes_are_not_called_removals(springfield: Sandbox, store: Store) -> None:
    """What a backup of another scope does not have is not said to be gone."""
    editor = Editor(springfield)
    a = ak.backup(editor.portal, store, ak.BackupOptions(types=["Dashboard", "PDF"])).backup
    b = ak.backup(editor.portal, store, ak.BackupOptions(types=["Dashboard"])).backup
    frame = ak.compare(store, a, b)
    assert set(frame["type"]) == {"PDF"}
    assert set(frame["what"]) == {"not in the second backup: the scopes of the two backups are not the same"}
