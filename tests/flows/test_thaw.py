"""What lies in the archive: everything that wants to read it says so, and a thaw makes it readable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from buckets import new_bucket, sign_in
from moto.moto_api import state_manager
from nights_in_a_bucket import archive, data_of, save_nights, size_of, text

import agolkit as ak
from agolkit.cli import main
from agolkit.errors import Archived, NoSuchBackup, StoreError, UsageError
from agolkit.model import Blob
from agolkit.prices import Prices
from agolkit.store import LocalStore, Store, open_store, tiers
from agolkit.thawing import Thaw

B = "b" * 32
ASKED = 8
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(moto: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Five nights, of which the first three have their large map in the archive."""
    sign_in(moto, monkeypatch)
    store = open_store(f"s3://{new_bucket()}/store")
    save_nights(store)
    archive(store)
    return store


@pytest.fixture
def _slow(moto: str) -> Iterator[None]:  # noqa: ARG001
    """A thaw takes until the server was asked for the object some times, and is not done at once.

    It counts what was asked before the thaw as well, so that all of that has to be over when it begins.
    """
    state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": ASKED})
    yield
    state_manager.unset_transition("s3::keyrestore")


def ask(store: Store, **how: Any) -> Thaw:
    """Begin a thaw of the oldest backup that is not done at once."""
    name = store.backup_names()[0]
    for _ in range(ASKED):
        ak.thaw(store, name, dry_run=True)
    return ak.thaw(store, name, **how)


def test_a_fetch_says_before_it_writes_what_is_archived_and_how_to_ask(store: Store, tmp_path: Path) -> None:
    """How many files and bytes, and the very command; items that are at hand can be fetched."""
    name = store.backup_names()[0]
    size = f"{size_of('40 days ago') // 1000} KB"
    with pytest.raises(Archived) as caught:
        ak.fetch(store, name, tmp_path / "all")
    assert str(caught.value) == (
        f"1 file of the backup {name}, {size}, in the archive cannot be read now. Ask for a thaw, and try again when "
        f"it is done: agolkit thaw {store.location} {name}"
    )
    with pytest.raises(Archived, match=f"agolkit thaw {store.location} {name} --item {B}$"):
        ak.fetch(store, name, tmp_path / "all.zip", items=[B])
    with pytest.raises(Archived, match=f"agolkit thaw {store.location} {name}$"):
        ak.publish_zip(store, name)
    assert list(tmp_path.iterdir()) == []
    assert ak.fetch(store, name, tmp_path / "a", items=["a" * 32]).items == 1
    assert ak.fetch(store, "latest", tmp_path / "latest").items == 3


def test_a_thaw_asks_for_what_is_needed_and_then_it_can_be_read(store: Store, tmp_path: Path) -> None:
    """Only what lies in the archive; the other backups stay as they are."""
    first, second, *_ = store.backup_names()
    asked = ak.thaw(store, first)
    assert (asked.frozen, asked.frozen_bytes, asked.asked, asked.ongoing, asked.ready) == (
        1, size_of("40 days ago"), 1, 0, 0
    )  # fmt: skip
    assert asked.hours == (12, 48)
    assert asked.cost == pytest.approx(Prices().thawing("DEEP_ARCHIVE", asked.frozen_bytes, "bulk", 7))
    size = f"{size_of('40 days ago') // 1000} KB"
    assert str(asked) == f"1 file, {size}, is asked back for 7 days: ready in 12 to 48 hours, for less than a cent."
    ready = ak.thaw(store, first)
    assert (ready.is_ready, ready.asked, ready.ready) == (True, 0, 1)
    assert ready.until is not None
    assert timedelta(days=6) < ready.until - datetime.now(UTC) < timedelta(days=8)
    assert "1 file ready, until " in str(ready)
    assert str(ready).endswith(f"The backup {first} can be read now.")
    ak.fetch(store, first, tmp_path / "out")
    assert json.dumps(text("40 days ago")) in {path.read_text() for path in (tmp_path / "out").rglob("data.json")}
    assert not ak.thaw(store, second, dry_run=True).is_ready


def test_a_copy_says_what_has_to_be_thawed_and_brings_it_afterwards(store: Store, tmp_path: Path) -> None:
    """It is no damage: all else is copied, and the exit code is 3 until nothing is missing."""
    names, target = store.backup_names(), open_store(tmp_path / "copy")
    done = ak.copy(store, target)
    assert (done.backups, done.damages, done.exit_code) == (tuple(names), (), 3)
    size = f"{size_of('40 days ago') // 1000} KB"
    assert list(done.differing) == names[:3]
    assert done.differing[names[0]] == (
        f"1 file, {size}, not copied, because that lies in an archive. Ask for it, then copy again: agolkit thaw "
        f"{store.location} {names[0]}"
    )
    ak.thaw(store, names[0])
    again = ak.copy(store, target)
    assert (again.blobs, list(again.differing)) == (1, names[1:3])
    assert ak.verify(target, names[0], deep=True).damages == ()


def test_a_dry_run_asks_nothing(store: Store) -> None:
    """It says how long it would take and what it would cost, by either tier."""
    name = store.backup_names()[0]
    for tier, hours in (("bulk", (12, 48)), ("standard", (9, 12))):
        told = ak.thaw(store, name, tier=tier, days=3, dry_run=True)  # type: ignore[arg-type]
        assert (told.frozen, told.asked, told.hours) == (1, 0, hours)
        assert "would be asked back for 3 days" in str(told)
    assert ak.thaw(store, name, ["a" * 32]).is_ready
    assert ak.thaw(store, name, [B], dry_run=True).frozen == 1


@pytest.mark.usefixtures("_slow")
def test_progress_can_be_asked_for_and_nothing_is_asked_twice(store: Store, tmp_path: Path) -> None:
    """Asked back, then on its way, then ready; meanwhile it cannot be read."""
    name = store.backup_names()[0]
    assert ask(store).asked == 1
    told = ak.thaw(store, name)
    assert (told.frozen, told.asked, told.ongoing, told.ready) == (0, 0, 1, 0)
    assert str(told) == "1 file asked back before, and not ready yet."
    with pytest.raises(Archived):
        ak.fetch(store, name, tmp_path / "out")
    for _ in range(ASKED):
        told = ak.thaw(store, name)
        assert (told.frozen, told.asked) == (0, 0)
    assert told.is_ready
    ak.fetch(store, name, tmp_path / "out")


@pytest.mark.usefixtures("_slow")
def test_waiting_ends_when_all_can_be_read(store: Store) -> None:
    """It looks again every quarter of an hour."""
    pauses: list[float] = []
    done = ask(store, wait=True, sleep=pauses.append)
    assert done.is_ready
    assert pauses
    assert set(pauses) == {900.0}


@pytest.mark.usefixtures("_slow")
def test_ctrl_c_ends_the_waiting_only(store: Store) -> None:
    """What was asked stays asked."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    state = ask(store, wait=True, sleep=interrupt)
    assert (state.is_ready, state.asked) == (False, 1)
    assert ak.thaw(store, store.backup_names()[0]).frozen == 0


def test_a_thaw_of_what_is_not_there_is_refused(store: Store) -> None:
    """A backup, an item, a tier, a number of days that there is not; nothing is asked."""
    name = store.backup_names()[0]
    with pytest.raises(NoSuchBackup, match="has no item x"):
        ak.thaw(store, name, ["x"])
    with pytest.raises(NoSuchBackup, match="no backup 'never'"):
        ak.thaw(store, "never")
    with pytest.raises(UsageError, match="'expedited' is no tier of a thaw"):
        ak.thaw(store, name, tier="expedited")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="from 1 to 365 days, not 0"):
        ak.thaw(store, name, days=0)
    assert ak.thaw(store, name, dry_run=True).frozen == 1


def test_verification_counts_what_is_archived_and_calls_it_no_damage(store: Store) -> None:
    """It is there with its size; with `deep` it says what was not read."""
    name = store.backup_names()[0]
    shallow, deep = ak.verify(store, name), ak.verify(store, name, deep=True)
    for report in (shallow, deep):
        assert (report.ok, report.exit_code) == (True, 0)
        assert (report.archived, report.archived_bytes) == (1, size_of("40 days ago"))
        assert report.to_json()["archived"] == 1
    assert f"In the archive: 1 file of these, {shallow.archived_bytes:,} bytes." in str(shallow)
    assert "bytes; not read, because that needs `agolkit thaw`." in str(deep)
    ak.thaw(store, name)
    thawed = ak.verify(store, name, deep=True)
    assert (thawed.archived, thawed.ok) == (0, True)


def test_damage_beside_what_is_archived_is_found(store: Store) -> None:
    """An archived blob that is gone is missing, and another one that was changed is damaged."""
    name = store.backup_names()[0]
    cold = data_of(store, name, "b")
    store.remove_blobs([cold])
    report = ak.verify(store, name, deep=True)
    assert (report.exit_code, report.archived) == (4, 0)
    assert [damage.what for damage in report.damages] == ["it is missing (part data.json)"]


def test_what_reads_one_item_says_that_it_is_archived(store: Store) -> None:
    """A comparison, a spool, a stream: the error is the same, and names the thaw."""
    first, second, *_ = store.backup_names()
    with pytest.raises(Archived, match=f"agolkit thaw {store.location} {first} --item {B}"):
        ak.compare_item(store, first, second, B)
    assert len(ak.compare_item(store, first, second, "c" * 32)) == 1
    cold = store.archived(set(store.blobs()))[0].sha256
    with pytest.raises(Archived, match="agolkit thaw"):
        store.copied(cold)
    with pytest.raises(Archived, match="agolkit thaw"):
        store.open_blob(cold)
    changes = ak.compare(store, first, second)
    assert list(changes["item_id"]) == [B, "c" * 32]
    assert "data: not compared" in changes["what"][0]
    assert len(ak.history(store, B)) == 5


def test_a_thawed_blob_still_counts_as_archived(store: Store) -> None:
    """The copy that can be read ends; a new backup does not rely on it."""
    name = store.backup_names()[0]
    ak.thaw(store, name)
    (thawed,) = [each for each in store.archived(set(store.blobs())) if each.thaw.until]
    assert not store.at_hand(Blob(thawed.sha256, thawed.size))


def test_the_command(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """`agolkit thaw` for people and for machines; what is archived ends a fetch with 6."""
    name = store.backup_names()[0]

    def agolkit(*args: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(args))
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, said.out + said.err

    assert agolkit("fetch", store.location, name, "nowhere")[0] == 6
    assert "would be asked back" in agolkit("thaw", store.location, name, "--dry-run")[1]
    code, said = agolkit("thaw", store.location, name, "--item", B, "--tier", "standard", "--days", "2", "--json")
    told = json.loads(said)
    assert (code, told["asked"], told["hours"], told["days"]) == (0, 1, [9, 12], 2)
    assert json.loads(agolkit("thaw", store.location, name, "--wait", "--json")[1])["is_ready"]
    assert agolkit("thaw", store.location, name, "--tier", "expedited")[0] == 2
    shown = agolkit("prune", store.location, "--keep-within", "3650d", "--archive-after", "15d")[1]
    assert "Is in the archive: 3 files, " in shown
    told = json.loads(agolkit("prune", store.location, "--keep-within", "3650d", "--archive-after", "5d", "--json")[1])
    assert [each["blobs"] for each in told["tiering"]["shares"] if each["fate"] == "moves"] == [1]
    assert agolkit("prune", store.location, "--keep-last", "1", "--archive-class", "GLACIER")[0] == 2
    assert (
        agolkit("prune", store.location, "--keep-last", "1", "--archive-after", "15d", "--archive-class", "X")[0] == 2
    )


@pytest.mark.parametrize(
    ("told", "thaw"),
    [
        ({}, tiers.Thaw()),
        ({"IsRestoreInProgress": True}, tiers.Thaw(asked=True)),
        ({"IsRestoreInProgress": False, "RestoreExpiryDate": NEW_YEAR}, tiers.Thaw(True, NEW_YEAR)),
    ],
)
def test_the_listing_of_amazon_tells_of_thaws(told: dict[str, Any], thaw: tiers.Thaw) -> None:
    """Not asked, on its way, ready until then: as its documentation has it."""
    assert tiers.thaw_listed({"Key": "x", "RestoreStatus": told} if told else {"Key": "x"}) == thaw


def test_nothing_of_a_folder_is_archived(tmp_path: Path) -> None:
    """A thaw has nothing to do there."""
    folder = LocalStore(tmp_path / "store")
    name = save_nights(folder)[0]
    assert str(ak.thaw(folder, name)) == f"Nothing of this in the backup {name} lies in the archive: it can be read."
    with pytest.raises(StoreError, match="has no archive"):
        folder.ask_back("blobs/x", "bulk", 7)
