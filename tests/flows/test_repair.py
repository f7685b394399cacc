"""Repair: what can be made whole again is, what cannot is named and left to the next backup, nothing gets better."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest
from damaged import HARMS, OWN_FILES, PARTS, SEEN_BY_SIZE, harmed, small_town
from dated import begin, save
from portals import connect
from saved import files_below

import agolkit as ak
from agolkit.cli import main
from agolkit.errors import NoSuchBackup, StoreBusy, StoreError
from agolkit.layout import tree_path
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, Part, Result
from agolkit.sandbox import Sandbox
from agolkit.store import Lease, LocalStore, open_store
from agolkit.store.blobs import blob_key
from agolkit.store.seal import is_sealed, sealed
from agolkit.unneeded import find_needed

SOME_HARMS = ("missing", "emptied", "one flipped byte")
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schemas" / "backup.json").read_text("utf-8"))


@dataclass(frozen=True)
class Town:
    """A store with one backup, and how it was."""

    store: LocalStore
    name: str

    @property
    def folder(self) -> Path:
        return self.store.root / "backups" / self.name

    def part(self, name: str) -> tuple[Outcome, Part]:
        return next(
            (each, part) for each in read_outcomes(self.store, self.name) for part in each.parts if part.name == name
        )

    def shown(self, name: str) -> Path:
        """Where the tree has the first part of that name."""
        outcome, part = self.part(name)
        return self.folder / tree_path(outcome.item, part)

    def blob(self, part: Part) -> Path:
        return self.store.root / blob_key(part.blob.sha256)

    def actions(self, *, deep: bool = True, other: LocalStore | None = None) -> dict[str, str]:
        """What is found, and what is to become of it."""
        plan = ak.plan_repair(self.store, deep=deep, other=other)
        return dict(zip(plan["where"], plan["action"], strict=True))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A backup of a small town, with a tree; nobody changes it."""
    root = tmp_path_factory.mktemp("repair") / "store"
    with Sandbox(small_town()) as sandbox:
        name = ak.backup(connect(sandbox), ak.open_store(root)).backup
    return Town(reopened(root), name)


@pytest.fixture
def town(template: Town, tmp_path: Path) -> Town:
    """The same for one test alone."""
    return Town(with_links(template.store.root, tmp_path / "store"), template.name)


def with_links(root: Path, target: Path) -> LocalStore:
    """A copy of a store in which the same files have the same names."""
    first: dict[int, Path] = {}
    for path in sorted(root.rglob("*")):
        here = target / path.relative_to(root)
        if path.is_dir():
            here.mkdir(parents=True, exist_ok=True)
        elif (number := path.stat().st_ino) in first:
            here.parent.mkdir(parents=True, exist_ok=True)
            os.link(first[number], here)
        else:
            here.parent.mkdir(parents=True, exist_ok=True)
            first[number] = Path(shutil.copy2(path, here))
    return reopened(target)


def reopened(root: Path, *, damaged: bool = False) -> LocalStore:
    store = open_store(root, damaged=damaged)
    assert isinstance(store, LocalStore)
    return store


def harm(path: Path, how: str) -> None:
    """Do to a file, under all its names, what may happen to one; `missing` to this name alone."""
    content = harmed(how, path.read_bytes(), b"another file")
    os.chmod(path, 0o600)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


def content(store: LocalStore) -> dict[str, bytes]:
    """All files but the lock."""
    return {key: each for key, each in files_below(store.root).items() if not key.startswith("lock")}


def test_an_undamaged_store_has_nothing_to_repair(town: Town) -> None:
    """The plan is empty, and doing it changes no file."""
    before = content(town.store)
    for deep in (False, True):
        assert town.actions(deep=deep) == {}
        done = ak.repair(town.store, deep=deep)
        assert (done.mended, done.lost, done.exit_code) == ((), (), 0)
        assert str(done) == f"Nothing is damaged in {town.store.root}."
    assert content(town.store) == before


@pytest.mark.parametrize(
    ("name", "how"), [*((name, "one flipped byte") for name in PARTS), *(("data", how) for how in HARMS[1:])]
)
def test_a_damaged_blob_is_set_aside(town: Town, name: str, how: str) -> None:
    """It is out of the way of every run, kept for a person, not shown, and named until a backup brings it back."""
    outcome, part = town.part(name)
    path = town.blob(part)
    harm(path, how)
    bad, key = path.read_bytes(), blob_key(part.blob.sha256)
    assert town.actions(deep=False) == ({key: "set aside"} if how in SEEN_BY_SIZE else {})
    assert town.actions() == {key: "set aside"}
    done = ak.repair(town.store, deep=True)
    assert {each.where for each in done.lost} == {key}
    assert outcome.item.id in {each.item_id for each in done.lost}
    assert all(each.backups == (town.name,) for each in done.lost)
    assert done.exit_code == 4
    assert not town.store.at_hand(part.blob)
    assert (town.store.root / "damaged" / part.blob.sha256).read_bytes() == bad
    assert not (town.folder / tree_path(outcome.item, part)).exists()
    before = content(town.store)
    assert set(town.actions().values()) == {"lost"}
    assert ak.repair(town.store, deep=True).mended == ()
    assert content(town.store) == before


@pytest.mark.parametrize("name", PARTS)
def test_a_missing_blob_is_restored_from_the_tree(town: Town, name: str) -> None:
    """What a tree shows is the blob under another name."""
    _, part = town.part(name)
    harm(town.blob(part), "missing")
    assert town.actions(deep=False) == {blob_key(part.blob.sha256): "restore"}
    assert ak.repair(town.store).exit_code == 0
    assert ak.verify(town.store, town.name, deep=True).ok
    assert town.actions() == {}


@pytest.mark.parametrize("how", SOME_HARMS)
def test_a_blob_is_restored_from_another_store(town: Town, template: Town, how: str) -> None:
    """Only what is proven to be the same is taken, and the tree shows it again."""
    _, part = town.part("geodatabase")
    shutil.rmtree(town.shown("geodatabase").parent)
    harm(town.blob(part), how)
    key = blob_key(part.blob.sha256)
    assert town.actions(other=template.store)[key] == "restore"
    assert ak.repair(town.store, deep=True, other=template.store).exit_code == 0
    assert ak.verify(town.store, town.name, deep=True).ok
    assert town.actions() == {}


def test_what_is_damaged_in_both_stores_is_lost(town: Town, template: Town, tmp_path: Path) -> None:
    """The other store is believed by its size until it is read."""
    _, part = town.part("data")
    other = with_links(template.store.root, tmp_path / "other")
    for store in (town.store, other):
        harm(store.root / blob_key(part.blob.sha256), "one flipped byte")
    done = ak.repair(town.store, deep=True, other=other)
    assert {each.where for each in done.lost} == {blob_key(part.blob.sha256)}
    assert "is damaged too" in str(done)
    assert not town.store.at_hand(part.blob)


def test_a_blob_is_restored_from_its_numbered_copy(town: Town) -> None:
    """The copy that takes the links for which the blob has no room holds the same."""
    _, part = town.part("data")
    path = town.blob(part)
    path.with_name(f"{path.name}.2").write_bytes(path.read_bytes())
    harm(path, "one flipped byte")
    assert ak.repair(town.store, deep=True).exit_code == 0
    assert ak.verify(town.store, town.name, deep=True).ok


@pytest.mark.parametrize("how", SOME_HARMS)
@pytest.mark.parametrize("name", OWN_FILES)
def test_the_lists_of_a_backup_are_made_anew(town: Town, template: Town, name: str, how: str) -> None:
    """From what says the same; all but the description of the organization, which nothing else has."""
    before = read_outcomes(template.store, template.name)
    harm(town.folder / name, how)
    key = f"backups/{town.name}/{name}"
    seen_by_size = how in SEEN_BY_SIZE or name in ("manifest.jsonl.gz", "backup.json")
    expected = "lost" if name == "organization.json" else "rebuild"
    assert town.actions(deep=False) == ({key: expected} if seen_by_size else {})
    assert town.actions() == {key: expected}
    done = ak.repair(town.store, deep=True)
    assert town.actions() == ({key: "lost"} if expected == "lost" else {})
    assert done.exit_code == (4 if expected == "lost" else 0)
    if expected == "rebuild":
        assert ak.verify(town.store, town.name, deep=True).ok
        assert read_outcomes(town.store, town.name) == before
    if name not in ("organization.json", "report.html", "backup.json"):
        assert (town.folder / name).read_bytes() == (template.folder / name).read_bytes()
    facts, facts_before = town.store.summary(town.name), template.store.summary(town.name)
    assert ("repaired" in facts) == (name in ("report.html", "backup.json"))
    jsonschema.validate(facts, SCHEMA)
    assert set(facts) <= set(SCHEMA["properties"])
    assert facts["portal"]["id"] == town.store.portal_id
    kept = facts_before.keys() - {"own_sha256", "files", "fetched_bytes", "new_bytes", "finished", "account", "portal"}
    assert {key: facts.get(key) for key in kept if facts_before[key]} == {
        k: facts_before[k] for k in kept if facts_before[k]
    }


def test_lists_are_restored_from_another_store(town: Town, template: Town) -> None:
    """Where it has the same file, that is taken: also what nothing else could bring back, and backup.json itself."""
    for name in ("organization.json", "manifest.jsonl.gz", "report.html"):
        harm(town.folder / name, "one flipped byte")
    assert set(town.actions(other=template.store).values()) == {"restore"}
    assert ak.repair(town.store, deep=True, other=template.store).exit_code == 0
    assert content(town.store) == content(template.store)
    harm(town.folder / "organization.json", "one flipped byte")
    harm(town.folder / "backup.json", "first byte flipped")  # no JSON any more
    assert ak.repair(town.store, deep=True, other=template.store).exit_code == 0
    assert ak.verify(town.store, town.name, deep=True).ok
    assert town.store.summary(town.name)["account"] == template.store.summary(town.name)["account"]


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_backup_json_of_any_content_is_restored_from_another_store(town: Town, template: Town, left: bytes) -> None:
    """Nothing else of the backup is lost on it."""
    (town.folder / "backup.json").write_bytes(left)
    done = ak.repair(town.store, deep=True, other=template.store)
    assert ([each.action for each in done.mended], done.lost) == (["restore"], ())
    assert ak.verify(town.store, deep=True).ok


def test_a_manifest_without_a_journal_is_lost(town: Town) -> None:
    """Nobody knows what was saved then, and no blob goes."""
    harm(town.folder / "manifest.jsonl.gz", "truncated")
    shutil.rmtree(town.folder / "journal")
    before = content(town.store)
    assert town.actions() == {f"backups/{town.name}/manifest.jsonl.gz": "lost"}
    assert ak.repair(town.store, deep=True).exit_code == 4
    assert content(town.store) == before


def test_without_manifest_and_backup_json_a_backup_is_unfinished(town: Town) -> None:
    """It is what a killed run leaves: its journal counts, and nothing says that the run has come to its end."""
    for name in ("manifest.jsonl.gz", "backup.json"):
        harm(town.folder / name, "emptied")
    ids = {each.item.id for each in read_outcomes(town.store, town.name)}
    assert town.actions() == {f"backups/{town.name}/backup.json": "rebuild"}
    ak.repair(town.store)
    assert town.store.summary(town.name)["state"] == "unfinished"
    assert is_sealed((town.folder / "backup.json").read_bytes())
    assert {each.item.id for each in read_outcomes(town.store, town.name)} == ids
    assert ak.verify(town.store, town.name, deep=True).ok
    find_needed(town.store)


def test_a_backup_that_lacks_more_is_not_complete(town: Town) -> None:
    """A copy that was cut short has not all that a run writes before backup.json."""
    for name in ("organization.json", "backup.json"):
        harm(town.folder / name, "missing")
    ak.repair(town.store)
    assert town.store.summary(town.name)["state"] == "unfinished"
    assert ak.verify(town.store, town.name, deep=True).ok


def test_no_state_gets_better(town: Town) -> None:
    """What was stopped is stopped, and what another run had taken up and not ended is unfinished, not complete."""
    log = town.folder / "log.jsonl"
    *lines, last = log.read_text("utf-8").splitlines()
    log.write_text("\n".join([*lines, json.dumps({**json.loads(last), "result": "stopped"})]) + "\n", "utf-8")
    harm(town.folder / "backup.json", "missing")
    ak.repair(town.store)
    assert town.store.summary(town.name)["state"] == "stopped"
    number = len(list((town.folder / "journal").glob("*.jsonl*")))
    resumed = {"resumed": {"run_id": "1", "started": "2999-01-01T00:00:00Z"}}
    (town.folder / "journal" / f"{number:06}.jsonl").write_text(json.dumps(resumed) + "\n", "utf-8")
    harm(town.folder / "backup.json", "missing")
    ak.repair(town.store)
    assert town.store.summary(town.name)["state"] == "unfinished"


def test_a_killed_run_is_no_damage(store: LocalStore) -> None:
    """It has no backup.json because it never came so far."""
    begin(store, 0, {"a": "same"})
    assert len(ak.plan_repair(store, deep=True)) == 0


def test_alarms_and_notes_survive_a_damaged_backup_json(store: LocalStore) -> None:
    """An alarm goes on pinning, and what was forgotten is still said, where they can be read at all."""
    name = save(store, 0, {"a": "same", "b": "gone"}, alarms=["Many items are gone."])
    ak.forget(store, ["b" * 32], reason="asked")
    path = store.root / "backups" / name / "backup.json"
    path.write_bytes(path.read_bytes().replace(b'"label": ""', b'"label": "x"'))
    ak.repair(store)
    facts = store.summary(name)
    assert facts["alarms"] == ["Many items are gone."]
    assert [note["reason"] for note in facts["forgotten"]] == ["asked"]
    assert [outcome.item.id for outcome in read_outcomes(store, name)] == ["a" * 32]


def test_a_backup_whose_beginning_is_lost_too_is_left_as_it_is(store: LocalStore) -> None:
    """Without backup.json and journal nobody knows its scope; its blobs are still looked at."""
    name = save(store, 0, {"a": "same"})
    shutil.rmtree(store.root / "backups" / name / "journal")
    harm(store.root / "backups" / name / "backup.json", "truncated")
    blob = next((store.root / "blobs").rglob("?" * 64))
    harm(blob, "truncated")
    plan = ak.plan_repair(store)
    assert dict(zip(plan["where"], plan["action"], strict=True)) == {
        f"backups/{name}/backup.json": "lost",
        blob.relative_to(store.root).as_posix(): "set aside",
    }


@pytest.mark.parametrize("how", ["missing", "emptied"])
def test_whose_store_it_is_is_learnt_from_its_backups(town: Town, how: str) -> None:
    """`store.json` and the text for whoever finds the store are written anew."""
    harm(town.store.root / "store.json", how)
    harm(town.store.root / "README.txt", "missing")
    with pytest.raises(StoreError):
        open_store(town.store.root, create=False)
    broken = reopened(town.store.root, damaged=True)
    assert list(ak.plan_repair(broken)["where"]) == ["store.json", "README.txt"]
    assert ak.repair(broken).exit_code == 0
    store = reopened(town.store.root)
    assert (store.portal_id, store.portal_name) == (town.store.portal_id, town.store.portal_name)
    assert (town.store.root / "README.txt").read_text("utf-8").startswith("BACKUPS OF AN ARCGIS ORGANIZATION")


def test_a_store_that_nothing_tells_of_is_refused(store: LocalStore, tmp_path: Path) -> None:
    """The message says how its `store.json` can be had; a folder that is no store is not touched."""
    name = save(store, 0, {"a": "same"})
    harm(store.root / "store.json", "missing")
    harm(store.root / "backups" / name / "backup.json", "missing")
    for refused in (ak.plan_repair, ak.repair):
        with pytest.raises(StoreError, match=r"Copy store\.json from"):
            refused(reopened(store.root, damaged=True))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(NoSuchBackup):
        ak.repair(reopened(tmp_path / "photos", damaged=True))
    assert files_below(tmp_path / "photos") == {"cat.jpg": b"cat"}


def test_a_tree_shows_again_what_is_saved(town: Town) -> None:
    """Files that are gone from it, and others in their place, are links to the blobs again."""
    shown = [town.shown(name) for name in ("data", "relations", "thumbnail")]
    shutil.rmtree(shown[0].parent)
    shown[1].unlink(missing_ok=True)
    shown[2].unlink(missing_ok=True)
    shown[2].parent.mkdir(exist_ok=True)
    shown[2].write_bytes(bytes(town.part("thumbnail")[1].blob.size))
    assert town.actions() == {f"backups/{town.name}": "show"}
    assert ak.repair(town.store, deep=True).exit_code == 0
    assert ak.verify(town.store, town.name, deep=True).ok
    assert all(path.stat().st_nlink > 1 for path in shown)


def test_a_tree_of_copies_is_made_of_copies_and_gives_blobs_back(store: LocalStore) -> None:
    """Each file of it is one of its own, which may be damaged alone, and whole where the blob is not."""
    name = save(store, 0, {"a": "one", "b": "two"}, tree="copy")
    paths = sorted((store.root / "backups" / name).rglob("data.json"))
    harm(paths[0], "one flipped byte")
    digest = next(each for each in store.blobs() if store.get(blob_key(each)) == b'"two"')
    harm(store.root / blob_key(digest), "one flipped byte")
    plan = ak.plan_repair(store, deep=True)
    assert list(plan["action"]) == ["restore", "show"]
    assert ak.repair(store, deep=True).exit_code == 0
    assert ak.verify(store, name, deep=True).ok
    assert paths[0].stat().st_nlink == 1


@pytest.mark.parametrize("tree", ["none", "auto"])
def test_the_next_backup_brings_back_what_was_lost(tmp_path: Path, tree: str) -> None:
    """What was set aside is fetched anew although nothing has changed, and the old backup is whole again by it; with a
    tree, after a repair that shows it there."""
    store = ak.open_store(tmp_path / "store")
    options = ak.BackupOptions(tree=tree)  # type: ignore[arg-type]
    with Sandbox(small_town()) as sandbox:
        old = ak.backup(connect(sandbox), store, options).backup
        parts = [
            Town(reopened(tmp_path / "store"), old).part(name)[1]
            for name in ("data", "source", "attachment", "resource")
        ]
        for part in parts:
            harm(tmp_path / "store" / blob_key(part.blob.sha256), "one flipped byte")
        done = ak.repair(store, deep=True)
        assert {each.where for each in done.lost} == {blob_key(part.blob.sha256) for part in parts}
        new = ak.backup(connect(sandbox), store, options).backup
    assert all(store.at_hand(part.blob) for part in parts)
    assert ak.verify(store, new, deep=True).ok
    if tree == "auto":
        assert list(ak.plan_repair(store)["action"]) == ["show"]
        ak.repair(store)
    assert ak.verify(store, old, deep=True).ok
    assert len(ak.plan_repair(store, deep=True)) == 0


def test_a_removal_that_was_cut_short_is_for_forget(store: LocalStore) -> None:
    """Repair does not undo it."""
    name = save(store, 0, {"a": "same"})
    facts = {key: value for key, value in store.summary(name).items() if key != "own_sha256"}
    note = {"item_id": "b" * 32, "when": "2026-11-23T02:00:00Z", "who": "boss", "reason": ""}
    store.put(f"backups/{name}/backup.json", sealed({**facts, "forgetting": {"items": [note]}}))
    (found,) = ak.repair(store).lost
    assert "agolkit forget" in found.how
    harm(store.root / "backups" / name / "manifest.jsonl.gz", "emptied")
    assert [each.action for each in ak.repair(store).lost] == ["lost", "lost"]


@pytest.mark.parametrize("state", ["unfinished", "stopped"])
def test_a_damaged_journal_that_still_counts_is_named(store: LocalStore, state: str) -> None:
    """Nothing says the same; while it is there, nobody knows what the backup needs."""
    name = begin(store, 0, {"a": "same"}).name if state == "unfinished" else save(store, 0, {"a": "same"}, state=state)
    path = store.root / "backups" / name / "journal" / "000001.jsonl"
    path.write_bytes(b"{\n" + path.read_bytes())
    before = content(store)
    (found,) = ak.repair(store, deep=True).lost
    assert "out of the store" in found.how
    assert content(store) == before


def test_no_result_gets_better(store: LocalStore) -> None:
    """What was partial or failed stays so in a manifest that is made of the journal."""
    name = save(store, 0, {"a": "same", "b": ""})
    harm(store.root / "backups" / name / "manifest.jsonl.gz", "missing")
    ak.repair(store)
    results = {each.item.id[0]: each.result for each in read_outcomes(store, name)}
    assert results == {"a": Result.VERIFIED, "b": Result.FAILED}


def test_a_store_that_a_run_holds_is_not_repaired(store: LocalStore) -> None:
    """Nothing is changed under a run."""
    save(store, 0, {"a": "same"})
    with Lease(store, "another", "somebody"), pytest.raises(StoreBusy):
        ak.repair(store)


def test_another_organizations_store_is_no_source(store: LocalStore, tmp_path: Path) -> None:
    """Even where it has the same files."""
    save(store, 0, {"a": "same"})
    other = LocalStore(tmp_path / "other")
    other.bind("f" * 16, "Shelbyville")
    with pytest.raises(StoreError, match="belongs to Shelbyville"):
        ak.plan_repair(store, other=other)


def test_the_command_shows_first_and_mends_with_yes(
    store: LocalStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends with 4 while something is damaged, and takes what is lost from a copy."""

    def agolkit(*args: object) -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        return ended.value.code, capsys.readouterr().out

    name = save(store, 0, {"a": "same"})
    ak.copy(store, LocalStore(tmp_path / "other"))
    assert agolkit("repair", store.root, "--deep") == (0, f"Nothing is damaged in {store.root}.\n")
    blob = next((store.root / "blobs").rglob("?" * 64))
    harm(blob, "one flipped byte")
    assert agolkit("repair", store.root)[0] == 0
    before = content(store)
    code, said = agolkit("repair", store.root, "--deep")
    assert (code, "set aside" in said, content(store)) == (4, True, before)
    (row,) = json.loads(agolkit("repair", store.root, "--deep", "--from", tmp_path / "other", "--json")[1])
    assert (row["action"], row["backups"]) == ("restore", [name])
    assert list(row) == ["where", "backups", "item_id", "title", "what", "action", "how"]
    code, said = agolkit("repair", store.root, "--deep", "--from", tmp_path / "other", "--yes")
    assert (code, said.startswith(f"1 place mended in {store.root}, 0 lost.")) == (0, True)
    harm(blob, "missing")
    told = json.loads(agolkit("repair", store.root, "--yes", "--json")[1])
    assert (told["exit_code"], told["mended"], len(told["lost"])) == (4, [], 1)
