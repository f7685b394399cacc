"""Attachments of layers that are saved as rows: each one once, none twice, and none that is not the portal's."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from hand_built import small_organization
from portals import connect

import agolkit as ak
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, Result
from agolkit.sandbox import Fault, Sandbox
from agolkit.sandbox.city.large import large_layer
from agolkit.sandbox.edits import note
from agolkit.sandbox.organization import Attachment, Bytes, Change, Item, Layer, Service
from agolkit.store import Store

SURVEY = f"{77:032x}"
ROWS, EACH, SIZE = 30, 2, 5000
TRACKED = "Query,Editing,Create,Update,Delete,ChangeTracking"
DOWNLOAD = r"/0/\d+/attachments/\d+$"


class Town:
    """A survey with photographs in a portal, and the store that it is backed up to."""

    def __init__(self, sandbox: Sandbox, place: Path) -> None:
        self.sandbox = sandbox
        self.store = ak.open_store(place)
        self.new_id = 1000

    @property
    def service(self) -> Service:
        return self.sandbox.org.services["survey"]

    @property
    def layer(self) -> Layer:
        return self.service.layers[0]

    @property
    def held(self) -> dict[tuple[int, int], bytes]:
        """What the portal holds: (object id, attachment id) → bytes."""
        some = (self.layer.attachments or {}).items()
        return {(oid, one.id): b"".join(one.payload.chunks()) for oid, ones in some for one in ones}

    def back_up(self, item_id: str = SURVEY, **options: object) -> Outcome:
        """Back the survey up, after an edit of its item: one that is unchanged would not be opened at all."""
        self.sandbox.org.items[SURVEY].modified += 1
        wanted = {"types": ["Feature Service"], "feature_format": "rows", **options}
        self.sandbox.log.clear()
        summary = ak.backup(connect(self.sandbox), self.store, ak.BackupOptions.from_mapping(wanted))
        return next(each for each in read_outcomes(self.store, summary.backup) if each.item.id == item_id)

    def downloads(self) -> int:
        """How many attachments the last backup asked for."""
        paths = [entry.path for entry in self.sandbox.log.entries if entry.method == "GET"]
        return sum("/attachments/" in path for path in paths)

    def saved(self, outcome: Outcome) -> dict[tuple[int, int], bytes]:
        """What a backup lists and holds of the layer's attachments."""
        blobs = {part.path: part.blob.sha256 for part in outcome.parts}
        found = {}
        for line in gzip.decompress(self.blob(blobs["attachments/0.jsonl.gz"])).splitlines():
            fact = json.loads(line)
            if fact["path"] in blobs:
                found[fact["parentObjectId"], fact["id"]] = self.blob(blobs[fact["path"]])
        assert len(found) == sum(part.name == "attachment" for part in outcome.parts)
        return found

    def blob(self, sha256: str) -> bytes:
        with self.store.open_blob(sha256) as stream:
            return stream.read()

    def add_photo(self, object_id: int = 1) -> None:
        self.new_id += 1
        one = Attachment(self.new_id, "new.jpg", "image/jpeg", Bytes(b"\xff\xd8 new"), f"{{{self.new_id}}}")
        (self.layer.attachments or {})[object_id].append(one)
        self.note("add", object_id, one)

    def replace_photo(self) -> None:
        """Put other bytes in the place of the first photo of row 3, with the same name and as many."""
        one = (self.layer.attachments or {})[3][0]
        one.payload = Bytes(b"\xff\xd8" + b"!" * (SIZE - 2))
        self.note("update", 3, one)

    def delete_photo(self) -> None:
        """Take the first photo off row 5."""
        self.note("delete", 5, (self.layer.attachments or {})[5].pop(0))

    def note(self, how: Literal["add", "update", "delete"], object_id: int, one: Attachment) -> None:
        change = Change(0, "attachments", how, object_id, one.global_id, one.id)
        note(self.sandbox.org, self.service, self.layer, [change])


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    org = small_organization()
    org.add(
        Item(SURVEY, "ann", "Feature Service", "Survey", service="survey", type_keywords=["Hosted Service"]),
        Service("survey", SURVEY, [large_layer(0, "survey", ROWS, attachments_per_row=EACH, photo_bytes=SIZE)]),
    )
    with Sandbox(org) as sandbox:
        yield Town(sandbox, tmp_path / "store")


def proof(outcome: Outcome) -> str:
    return next(part.proof for part in outcome.parts if part.name == "attachments")


def test_nothing_is_fetched_again_of_a_layer_that_nobody_edited(town: Town) -> None:
    """The second backup of an untouched layer asks for no attachment and holds them all."""
    first = town.back_up()
    assert (first.result, town.downloads()) == (Result.VERIFIED, ROWS * EACH)
    second = town.back_up()
    assert (second.result, town.downloads()) == (Result.VERIFIED, 0)
    assert town.saved(second) == town.saved(first) == town.held
    assert proof(first) == "layer 0, 60 listed"
    assert proof(second) == "layer 0, 60 listed, 60 reused"
    backups = town.store.backups()
    assert backups["saved_bytes"].nunique() == 1
    assert backups["fetched_bytes"].iloc[0] - backups["fetched_bytes"].iloc[1] == ROWS * EACH * SIZE
    assert ak.verify(town.store, deep=True).ok


@pytest.mark.parametrize(("capabilities", "fetched"), [(TRACKED, 2), ("Query,Editing", ROWS * EACH + 1)])
def test_what_was_edited_is_fetched_again(town: Town, capabilities: str, fetched: int) -> None:
    """A photo that is new, or replaced by one of the same name and size, is fetched; one that was deleted is dropped.

    Where the service does not track changes, nothing is certain and everything is fetched.
    """
    town.service.capabilities = capabilities
    first = town.back_up()
    before = town.held
    town.add_photo()
    town.replace_photo()
    town.delete_photo()
    second = town.back_up()
    assert second.result is Result.VERIFIED
    assert town.saved(second) == town.held != before
    assert town.saved(first) == before
    assert town.downloads() == fetched - (capabilities != TRACKED)
    assert ak.verify(town.store, deep=True).ok


def test_edits_of_rows_cost_no_attachment(town: Town) -> None:
    """Where the service tracks changes, a row that was edited leaves all attachments as they are."""
    town.service.capabilities = TRACKED
    town.back_up()
    note(town.sandbox.org, town.service, town.layer, [Change(0, "features", "update", 1, "{1}")])
    outcome = town.back_up()
    assert (outcome.result, town.downloads()) == (Result.VERIFIED, 0)


def test_tracked_changes_count_even_where_the_stamps_stand_still(town: Town) -> None:
    """A service whose stamps do not move with its attachments still says which were replaced."""
    town.service.capabilities = TRACKED
    town.back_up()
    stamp = town.layer.last_edit
    town.replace_photo()
    town.layer.last_edit = stamp
    outcome = town.back_up()
    assert (outcome.result, town.downloads()) == (Result.VERIFIED, 1)
    assert town.saved(outcome) == town.held


def test_what_is_replaced_during_a_run_is_noticed_by_the_next_one(town: Town) -> None:
    """What is replaced after it was read looks the same in the list, so the next backup does not rely on it."""
    town.service.capabilities = TRACKED
    town.sandbox.faults.add(Fault(r"/0/19/attachments/", times=1, action=town.replace_photo))
    first = town.back_up()
    assert first.result is Result.VERIFIED
    assert town.saved(first) != town.held
    second = town.back_up()
    assert (second.result, town.downloads()) == (Result.VERIFIED, 1)
    assert town.saved(second) == town.held


def forget(town: Town) -> None:
    town.service.oldest_generation += len(town.service.changes)
    town.service.changes.clear()


def say(**told: object) -> Callable[[Town], None]:
    """A service that tells other changes than those there were."""

    def prepare(town: Town) -> None:
        body = {"layerServerGens": [], "edits": [{"id": 0, **told}]}
        town.sandbox.faults.add(Fault(r"/extractChanges$", body=body))

    return prepare


def refuse(town: Town) -> None:
    town.sandbox.faults.add(Fault(r"/extractChanges$", body={"error": {"code": 400, "message": "No."}}))


def start_over(town: Town) -> None:
    town.service.oldest_generation -= 1000


NOTHING: dict[str, list[object]] = {"adds": [], "updates": [], "deleteIds": []}


@pytest.mark.parametrize(
    "prepare",
    [
        forget,
        refuse,
        start_over,
        say(objectIds={"updates": [3]}),
        say(objectIds={"updates": [3]}, attachments=NOTHING),
        say(attachments=NOTHING),
        say(objectIds={"updates": [3]}, attachments={"adds": [7], "updates": [], "deleteIds": []}),
    ],
    ids=["forgotten", "refused", "begun anew", "no attachments", "not the new one", "nothing at all", "other form"],
)
def test_changes_that_do_not_add_up_are_not_relied_on(town: Town, prepare: Callable[[Town], None]) -> None:
    """Where change tracking cannot say what was edited, or says what cannot be, every attachment is fetched."""
    town.service.capabilities = TRACKED
    town.back_up()
    town.add_photo()
    town.replace_photo()
    prepare(town)
    outcome = town.back_up()
    assert (outcome.result, town.downloads()) == (Result.VERIFIED, ROWS * EACH + 1)
    assert town.saved(outcome) == town.held


@pytest.mark.parametrize("prepare", [forget, refuse, say()], ids=["forgotten", "refused", "no attachments"])
def test_a_stamp_is_not_believed_against_the_change_tracking(town: Town, prepare: Callable[[Town], None]) -> None:
    """Where something was edited, nobody tells what, and the stamp stands still, every attachment is fetched."""
    town.service.capabilities = TRACKED
    town.back_up()
    stamp = town.layer.last_edit
    town.replace_photo()
    town.layer.last_edit = stamp
    prepare(town)
    outcome = town.back_up()
    assert (outcome.result, town.downloads()) == (Result.VERIFIED, ROWS * EACH)
    assert town.saved(outcome) == town.held


def test_a_stamp_is_not_believed_against_the_list(town: Town) -> None:
    """A stamp that stood still while a photo was added does not tell of photos that were replaced."""
    town.service.capabilities = "Query,Editing"
    town.back_up()
    stamp = town.layer.last_edit
    town.add_photo()
    town.replace_photo()
    town.layer.last_edit = stamp
    outcome = town.back_up()
    assert (outcome.result, town.downloads()) == (Result.VERIFIED, ROWS * EACH + 1)
    assert town.saved(outcome) == town.held


@pytest.mark.parametrize(
    "group",
    ["text", *({"parentObjectId": parent, "attachmentInfos": [{"name": "x"}]} for parent in (None, 1))],
)
def test_a_list_in_an_unknown_form_is_said(town: Town, group: object) -> None:
    """What cannot be understood is named as the service's doing, and the rows are saved."""
    town.sandbox.faults.add(Fault(r"/0/queryAttachments$", body={"attachmentGroups": [group]}))
    outcome = town.back_up()
    assert outcome.result is Result.PARTIAL
    assert "Layer 'survey' lists attachments in an unknown form" in outcome.message


def test_changes_may_come_as_a_job(town: Town) -> None:
    """A service that answers with the address of a job is asked until the job is done."""
    town.service.capabilities = TRACKED
    town.back_up()
    town.replace_photo()
    (change,) = town.service.changes
    url = f"{town.sandbox.url.removesuffix('/portal')}/{town.sandbox.org.id}/arcgis/rest/services/survey/FeatureServer"
    edits = {"id": 0, "attachments": {**NOTHING, "updates": [{"globalId": change.global_id.lower()}]}}
    town.sandbox.faults.add(Fault(r"/extractChanges$", body={"statusUrl": f"{url}/jobs/1"}))
    town.sandbox.faults.add(Fault(r"/jobs/1$", body={"status": "InProgress"}, times=1))
    town.sandbox.faults.add(Fault(r"/jobs/1$", body={"status": "Completed", "resultUrl": f"{url}/changefiles/1"}))
    town.sandbox.faults.add(Fault(r"/changefiles/1$", body={"edits": [edits]}))
    outcome = town.back_up()
    assert (outcome.result, town.downloads()) == (Result.VERIFIED, 1)
    assert town.saved(outcome) == town.held


def test_a_killed_run_is_of_use_to_the_next_one(town: Town) -> None:
    """The items that a killed run had finished stand in its journal: their attachments are not fetched again."""
    town.back_up()
    (name,) = town.store.backup_names()
    for path in ("backup.json", "manifest.jsonl.gz"):
        (Path(town.store.location) / "backups" / name / path).unlink()
    outcome = town.back_up()
    assert (outcome.result, town.downloads()) == (Result.VERIFIED, 0)


def first_blob(store: Store, outcome: Outcome, name: str) -> Path:
    part = next(part for part in outcome.parts if part.name == name)
    return Path(store.location) / "blobs" / part.blob.sha256[:2] / part.blob.sha256


def lose_photo(town: Town, outcome: Outcome) -> None:
    first_blob(town.store, outcome, "attachment").unlink()


def cut_photo(town: Town, outcome: Outcome) -> None:
    path = first_blob(town.store, outcome, "attachment")
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:100])


def spoil_photo(town: Town, outcome: Outcome) -> None:
    path = first_blob(town.store, outcome, "attachment")
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def lose_list(town: Town, outcome: Outcome) -> None:
    first_blob(town.store, outcome, "attachments").unlink()


def spoil_manifest(town: Town, _outcome: Outcome) -> None:
    (name,) = town.store.backup_names()
    (Path(town.store.location) / "backups" / name / "manifest.jsonl.gz").write_bytes(b"no archive")


@pytest.mark.parametrize(
    ("damage", "fetched"),
    [(lose_photo, 1), (cut_photo, 1), (spoil_photo, 1), (lose_list, ROWS * EACH), (spoil_manifest, ROWS * EACH)],
)
def test_what_the_store_has_lost_is_fetched_again(
    town: Town, damage: Callable[[Town, Outcome], None], fetched: int
) -> None:
    """A damaged earlier backup costs transfer, and nothing else."""
    damage(town, town.back_up())
    outcome = town.back_up()
    assert (outcome.result, town.downloads()) == (Result.VERIFIED, fetched)
    assert town.saved(outcome) == town.held
    assert ak.verify(town.store, deep=True).ok


def test_a_backup_of_another_scope_is_of_use_too(town: Town) -> None:
    """The newest backup that has the attachments counts, whatever was backed up in between."""
    town.back_up(scope_name="surveys")
    ak.backup(connect(town.sandbox), town.store, ak.BackupOptions(types=["Web Map"], scope_name="maps"))
    town.back_up(scope_name="without", attachments=False)
    assert town.back_up(scope_name="all").result is Result.VERIFIED
    assert town.downloads() == 0


def test_attachments_of_a_view_are_always_fetched(town: Town) -> None:
    """A view's own stamps say nothing of its source, so nothing is taken over."""
    view = f"{78:032x}"
    shown = large_layer(0, "survey", 0)
    shown.attachments = {}
    town.sandbox.org.add(
        Item(view, "ann", "Feature Service", "View", service="view", type_keywords=["Hosted Service", "View Service"]),
        Service("view", view, [shown], view_of="survey"),
    )
    for _ in range(2):
        outcome = town.back_up(view, views="rows", exclude_ids=[SURVEY])
        assert (outcome.result, town.downloads()) == (Result.VERIFIED, ROWS * EACH)


@pytest.mark.parametrize("has_stamps", [True, False])
def test_photos_that_come_and_go_meanwhile_are_in_the_list_or_not_saved(town: Town, has_stamps: bool) -> None:
    """The set that is saved is the one that is served at the end, also of a service that does not say what moved."""
    if not has_stamps:
        town.layer.definition["editingInfo"] = None

    def edit() -> None:
        town.add_photo()
        town.delete_photo()

    town.sandbox.faults.add(Fault(r"/0/11/attachments/", times=1, action=edit))
    outcome = town.back_up()
    assert outcome.result is Result.VERIFIED, outcome.message
    assert (1, 1001) in town.held
    assert (5, 5) not in town.held
    assert town.saved(outcome) == town.held


def test_edits_without_end_leave_a_partial_item_with_the_numbers(town: Town) -> None:
    """After three more readings the item says what was still moving."""
    town.sandbox.faults.add(Fault(r"/0/queryAttachments$", action=town.add_photo))
    outcome = town.back_up()
    assert outcome.result is Result.PARTIAL
    assert "edited while they were read, at last 1 new and 0 gone" in outcome.message


def test_one_that_cannot_be_had_is_named_and_the_others_go_on(town: Town) -> None:
    """A broken attachment makes the item partial; it is listed, and everything else is saved."""
    town.sandbox.faults.add(Fault(r"/0/7/attachments/7$", body={"error": {"code": 400, "message": "Gone fishing."}}))
    outcome = town.back_up()
    assert outcome.result is Result.PARTIAL
    assert outcome.message.startswith("attachment photo1.jpg of row 7: the portal says: Gone fishing")
    saved = town.saved(outcome)
    assert saved.keys() == town.held.keys() - {(7, 7)}
    assert proof(outcome) == "layer 0, 60 listed, 1 missing"
    again = town.back_up()
    assert (again.result, town.downloads()) == (Result.PARTIAL, 1)


def test_many_that_cannot_be_had_make_a_short_message(town: Town) -> None:
    """A message names the first few and counts the others."""
    town.sandbox.faults.add(Fault(DOWNLOAD, body={"error": {"code": 400, "message": "No."}}))
    outcome = town.back_up()
    assert outcome.result is Result.PARTIAL
    assert outcome.message.endswith("and 50 more")
    assert len(outcome.message) < 1000


def test_a_cut_off_photo_is_fetched_again(town: Town) -> None:
    """A transfer that ends early is no attachment."""
    town.sandbox.faults.add(Fault(DOWNLOAD, cut_after=SIZE // 2, times=5))
    outcome = town.back_up()
    assert outcome.result is Result.VERIFIED, outcome.message
    assert town.saved(outcome) == town.held


def test_other_bytes_than_the_service_lists_are_not_kept(town: Town) -> None:
    """What has another size than the list says is asked for again, then named."""
    town.sandbox.faults.add(Fault(r"/0/7/attachments/7$", body=b"\xff\xd8 another"))
    outcome = town.back_up()
    assert outcome.result is Result.PARTIAL
    assert outcome.message.startswith(
        "attachment photo1.jpg of row 7: 10 bytes came, the service lists 5,000. Run again"
    )


def test_older_servers_are_asked_row_by_row(town: Town) -> None:
    """Where many rows cannot be asked about at once, each is asked for its own attachments."""
    town.layer.definition["advancedQueryCapabilities"] = {"supportsPagination": True}
    outcome = town.back_up()
    assert outcome.result is Result.VERIFIED
    assert town.saved(outcome) == town.held
    assert not [entry for entry in town.sandbox.log.entries if entry.path.endswith("queryAttachments")]


def test_a_list_that_is_cut_is_asked_for_in_halves(town: Town) -> None:
    """A server that shows only a few attachments in one answer still shows them all."""
    town.layer.max_record_count = 3
    outcome = town.back_up()
    assert outcome.result is Result.VERIFIED
    assert town.saved(outcome) == town.held


def test_odd_attachments(town: Town) -> None:
    """Id 0, names that are no file names, no size, an attachment listed twice or of a row that is not there."""
    held = town.layer.attachments or {}
    held[1][0] = Attachment(0, "", "image/jpeg", Bytes(b"zero"), "{0}")
    held[3][0] = Attachment(3, "../../a/b\\c:?.JPG ", "image/jpeg", Bytes(b"slashes"), "{3}")
    held[5][0] = Attachment(5, "no extension", "", Bytes(b""), "{5}")
    infos = {
        oid: [{"id": one.id, "name": one.name, "size": one.payload.size} for one in ones] for oid, ones in held.items()
    }
    infos[1] += infos[1]
    infos[7][0]["size"] = None  # type: ignore[typeddict-item]
    infos[7][1]["size"] = 0
    del infos[9][0]["size"], infos[9][0]["name"]
    groups = [{"parentObjectId": oid, "attachmentInfos": some} for oid, some in {**infos, 9999: infos[9]}.items()]
    town.sandbox.faults.add(Fault(r"/0/queryAttachments$", body={"attachmentGroups": groups}))
    outcome = town.back_up()
    assert outcome.result is Result.VERIFIED, outcome.message
    assert town.saved(outcome) == town.held
    parts = {part.path: part for part in outcome.parts}
    assert parts["attachments/0/1-0"].exact_name is None
    assert parts["attachments/0/3-3"].exact_name == "../../a/b\\c:?.JPG "
    assert ak.verify(town.store, deep=True).ok
    fetched = Path(town.store.location).parent / "fetched"
    ak.fetch(town.store, "latest", fetched)
    assert len(list(fetched.rglob("attachments/0/*"))) == ROWS * EACH
    shutil.rmtree(fetched)
