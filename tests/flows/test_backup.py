"""The main job against the practice city: every item, every byte, every result."""

from __future__ import annotations

import csv
import io
import threading
from pathlib import Path

import pandas
import pytest
from city_run import Run
from portals import connect

import agolkit as ak
from agolkit.errors import StoreBusy, StoreError, StoreFull, UsageError
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, Result
from agolkit.progress import Event
from agolkit.sandbox import Fault, Sandbox, Settings, city
from agolkit.sandbox.organization import Organization


def test_every_item_has_its_expected_result_exactly_once(run: Run) -> None:
    """AllItems.csv holds each seeded item once, with the result and the check level that the city expects."""
    text = run.store.read(run.summary.backup, "AllItems.csv").decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert sorted(row["item_id"] for row in rows) == sorted(run.before)
    expected = {item.id: item.expected for item in run.before.values()}
    assert {row["item_id"]: row["result"] for row in rows} == {
        item_id: each.result for item_id, each in expected.items() if each
    }
    payloads = {row["item_id"]: row["checked"].split("; ")[0].split(" (")[0].split(":")[0] for row in rows}
    wanted = {item_id: each.check for item_id, each in expected.items() if each and each.check}
    assert {item_id: payloads[item_id].split()[-1] for item_id in wanted} == wanted
    assert list(rows[0])[-1] == "result"


def test_the_report_lists_everything_that_is_not_verified(run: Run) -> None:
    """report.html is a whole page, known to backup.json, with each item that is not verified under its reason."""
    page = run.store.read(run.summary.backup, "report.html").decode()
    listed = page.split("What is not protected</h2>")[1].split("<h2>")[0]
    for outcome in run.outcomes.values():
        assert listed.count(outcome.item.id) == (outcome.result is not Result.VERIFIED or bool(outcome.left_out))
    counts = run.summary.counts
    assert f"{counts[Result.VERIFIED]:,} of {sum(counts.values()):,} verified" in page
    assert page.endswith("</html>\n")
    assert "report.html" in run.store.summary(run.summary.backup)["files"]


def test_the_geodatabases_open_with_the_same_rows(run: Run) -> None:
    """Each hosted layer and table that is no view opens as a frame with exactly the GlobalIDs that it holds."""
    opened = 0
    for item in run.before.values():
        if item.service is None or run.outcomes[item.id].kind != "feature service":
            continue
        if run.outcomes[item.id].result is not Result.VERIFIED:
            continue
        service = run.sandbox.org.services[item.service]
        if service.view_of:
            continue
        for layer in service.all():
            if layer.sub_layers is not None:
                continue
            frame = ak.load_layer(run.store, "latest", item.id, layer=layer.id)
            ids = {feature["attributes"][layer.global_id_field] for feature in layer.features}
            assert len(frame) == len(layer.features)
            assert set(frame[layer.global_id_field]) == ids
            opened += 1
    assert opened > 25


def test_the_organization_is_left_as_it_was(run: Run) -> None:
    """Nothing is left behind, not in the recycle bin either; all that was written were export items."""
    assert run.sandbox.org.items == run.before
    assert not run.sandbox.org.recycle_bin
    writes = {entry.path.rsplit("/", 1)[-1] for entry in run.sandbox.log.writes()}
    assert writes <= {"export", "delete"}
    assert not run.sandbox.log.unsigned_content()


def test_each_export_item_is_announced_before_it_is_made(run: Run) -> None:
    """The journal names every export item that the portal was asked to make."""
    from agolkit.journal import read_announcements

    made = [entry for entry in run.sandbox.log.writes() if entry.path.endswith("/export")]
    announced = read_announcements(run.store, "latest")
    assert len(announced) == len(made)
    assert {line["item_id"] for line in announced} == {
        item_id
        for item_id, outcome in run.outcomes.items()
        if any(part.path in ("layers.gdb.zip", "tiles.slpk") for part in outcome.parts)
    }


def test_the_tree_is_browsable_and_stores_nothing_twice(run: Run) -> None:
    """Each part stands in a folder of its item type, as a link to its blob."""
    root = Path(run.store.location)
    for outcome in run.outcomes.values():
        for part in outcome.parts:
            shown = root / "backups" / run.summary.backup / ak_path(outcome, part.path)
            blob = root / "blobs" / part.blob.sha256[:2] / part.blob.sha256
            assert shown.samefile(blob)


def ak_path(outcome: Outcome, path: str) -> str:
    from agolkit.layout import item_folder

    return f"{item_folder(outcome.item)}/{path}"


def test_the_backup_verifies_deeply(run: Run) -> None:
    """What was saved passes every check again, from the store alone."""
    report = ak.verify(run.store, "latest", deep=True)
    assert report.ok, str(report)


def test_the_items_frame_has_the_right_dtypes(run: Run) -> None:
    """One row per item; times are UTC, sizes integers, lists lists."""
    frame = ak.load_items(run.store, "latest")
    assert len(frame) == len(run.before)
    assert isinstance(frame["created"].dtype, pandas.DatetimeTZDtype)
    assert frame["saved_bytes"].dtype == "Int64"
    assert isinstance(frame["tags"].iloc[0], list)
    assert list(frame.columns)[-1] == "result"


def test_the_plan_says_what_the_run_does(run: Run) -> None:
    """The plan lists the same items, excludes the same, and writes nothing."""
    backups = len(run.store.backups())
    plan = ak.plan_backup(run.portal, run.store)
    assert set(plan["item_id"]) == set(run.before)
    excluded = {item_id for item_id, outcome in run.outcomes.items() if outcome.result is Result.EXCLUDED}
    assert set(plan.loc[plan["action"] == "exclude", "item_id"]) == excluded
    assert plan["reason"].str.len().min() > 0
    proven = {item_id for item_id, outcome in run.outcomes.items() if outcome.fingerprint}
    assert set(plan.loc[plan["action"] == "reuse", "item_id"]) == proven
    assert len(run.store.backups()) == backups


def test_a_second_full_backup_adds_hardly_any_bytes(run: Run) -> None:
    """Blobs are kept by content: what did not change is not stored again, and the first backup still verifies.

    An export is made anew, and a zip says when: packages of tiles differ each time.
    """
    options = ak.BackupOptions(exclude_types=["Feature Service", "Service Definition"], full=True)
    summary = ak.backup(run.portal, run.store, options)
    assert summary.reused == 0
    parts = [part for outcome in read_outcomes(run.store, "latest") for part in outcome.parts]
    assert summary.new_bytes == sum(part.blob.size for part in parts if part.name == "tiles")
    assert summary.fetched_bytes > 1_000_000
    assert ak.verify(run.store, run.summary.backup, deep=False).ok


def small_city(items: int = 12) -> Organization:
    return city.generated(items=items, owners=2, folders=2, groups=1, services=2)


def test_a_stopped_run_leaves_a_readable_backup(tmp_path: Path) -> None:
    """After a stop each item is accounted for, what was finished is readable, and no export item is left."""
    cancel = threading.Event()

    def stop_soon(event: Event) -> None:
        if event.done >= 5:
            cancel.set()

    with Sandbox(small_city(60), Settings(latency=0.01)) as sandbox:
        portal = connect(sandbox)
        held = set(sandbox.org.items)
        store = ak.open_store(tmp_path / "store")
        options = ak.BackupOptions(workers=2)
        summary = ak.backup(portal, store, options, progress=stop_soon, cancel=cancel)
        assert set(sandbox.org.items) == held
        assert not sandbox.org.recycle_bin
    assert (summary.state, summary.exit_code) == ("stopped", 130)
    assert summary.counts[Result.STOPPED] > 0
    assert summary.counts[Result.VERIFIED] >= 4
    frame = ak.load_items(store, summary.backup)
    assert set(frame["item_id"]) == held
    backups = store.backups()
    assert (backups["state"].tolist(), backups["stopped_by"].tolist()) == (["stopped"], ["The user stopped the run."])
    page = store.read(summary.backup, "report.html").decode()
    left = summary.counts[Result.STOPPED]
    assert f"</b> The user stopped the run.</p><p>{left} items not reached. The next run of this scope goes on" in page
    assert ak.verify(store, summary.backup, deep=True).ok


def test_a_failing_item_never_ends_the_run(tmp_path: Path) -> None:
    """An item whose data cannot be had is partial with the server's words, and the exit code says so."""
    with Sandbox(small_city()) as sandbox:
        victim = next(item for item in sandbox.org.items.values() if item.type == "Web Map")
        sandbox.faults.add(
            Fault(path=rf"{victim.id}/data", body={"error": {"code": 403, "message": "No.", "details": []}})
        )
        store = ak.open_store(tmp_path / "store")
        summary = ak.backup(connect(sandbox), store)
    assert summary.exit_code == 3
    assert [outcome.item.id for outcome in summary.failures] == [victim.id]
    assert summary.failures[0].result is Result.PARTIAL
    assert "No (403)" in summary.failures[0].message
    assert victim.id in str(summary)


def test_the_limits_of_the_options_hold_for_the_run(tmp_path: Path) -> None:
    """`attempts` is how often a failing request is sent; `workers` is the most that are in flight at once."""
    with Sandbox(small_city(40), Settings(latency=0.01)) as sandbox:
        victim = next(item for item in sandbox.org.items.values() if item.type == "Web Map")
        fault = sandbox.faults.add(Fault(path=rf"{victim.id}/data", status=503))
        portal = connect(sandbox)
        sandbox.log.clear()
        ak.backup(portal, ak.open_store(tmp_path / "store"), ak.BackupOptions(attempts=5, workers=3))
        assert fault.struck == 5
        assert 2 <= sandbox.log.most_in_flight <= 3


def test_an_accepted_failure_does_not_count(tmp_path: Path) -> None:
    """What is known and accepted keeps its result and leaves the exit code at 0."""
    with Sandbox(small_city()) as sandbox:
        victim = next(item for item in sandbox.org.items.values() if item.type == "Web Map")
        sandbox.faults.add(
            Fault(path=rf"{victim.id}/data", body={"error": {"code": 403, "message": "No.", "details": []}})
        )
        options = ak.BackupOptions(accept={victim.id: "known since May"})
        summary = ak.backup(connect(sandbox), ak.open_store(tmp_path / "store"), options)
    assert summary.counts[Result.PARTIAL] == 1
    assert (summary.failures, summary.exit_code) == ((), 0)


def test_a_dry_run_saves_nothing(tmp_path: Path) -> None:
    """With `dry_run` neither store nor portal is written to."""
    with Sandbox(small_city()) as sandbox:
        summary = ak.backup(connect(sandbox), ak.open_store(tmp_path / "store"), ak.BackupOptions(dry_run=True))
        assert not sandbox.log.writes()
    assert (summary.state, summary.exit_code) == ("planned", 0)
    assert not (tmp_path / "store").exists()


def test_a_listener_that_fails_does_not_break_the_run(tmp_path: Path) -> None:
    """Whatever the progress callback raises, the backup is complete."""

    def broken(event: Event) -> None:
        raise RuntimeError(event.stage)

    with Sandbox(small_city()) as sandbox:
        summary = ak.backup(connect(sandbox), ak.open_store(tmp_path / "store"), progress=broken)
    assert (summary.state, summary.exit_code) == ("complete", 0)


def test_another_organizations_store_is_refused(tmp_path: Path) -> None:
    """A store takes the backups of one organization only; the plan says so too."""
    other = small_city()
    other.id = "another0rgan1zat"
    store = ak.open_store(tmp_path / "store")
    with Sandbox(small_city()) as sandbox:
        ak.backup(connect(sandbox), store)
    with Sandbox(other) as sandbox:
        portal = connect(sandbox)
        for verb in (ak.backup, ak.plan_backup):
            with pytest.raises(StoreError, match="belongs to"):
                verb(portal, ak.open_store(tmp_path / "store"))
    assert len(store.backups()) == 1


def test_a_second_run_on_the_same_store_is_refused(tmp_path: Path) -> None:
    """While one run holds the store another ends at once and says who holds it."""
    store = ak.open_store(tmp_path / "store")
    with Sandbox(small_city()) as sandbox:
        portal = connect(sandbox)
        with store.lock("another-run", "somebody"), pytest.raises(StoreBusy, match="somebody"):
            ak.backup(portal, ak.open_store(tmp_path / "store"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"folders": ["No such folder"]}, "folder"),
        ({"types": ["Web Mapp"]}, "Did you mean"),
        ({"owners": ["nobody.here"]}, "nobody.here"),
        ({"groups": ["No such group"]}, "group"),
        ({"query": 'title:"zzzzqqq"'}, "Nothing is in scope"),
    ],
)
def test_a_scope_that_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, run: Run, options: dict[str, object], sentence: str
) -> None:
    """Unknown names and an empty scope end in one sentence; no backup is begun."""
    store = ak.open_store(tmp_path / "store")
    with pytest.raises(UsageError, match=sentence):
        ak.backup(run.portal, store, ak.BackupOptions.from_mapping(options))
    assert store.backups().empty


def test_a_full_disk_ends_the_run_and_keeps_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fills up the run ends with `StoreFull`; the journal of what was finished is readable."""
    store = ak.open_store(tmp_path / "store")
    with Sandbox(small_city()) as sandbox:
        monkeypatch.setattr("agolkit.store.spool.RESERVE", 1 << 62)
        monkeypatch.setattr("agolkit.store.spool.SHARE", 1)
        with pytest.raises(StoreFull, match="nearly full"):
            ak.backup(connect(sandbox), store)
        assert not sandbox.org.recycle_bin
    assert store.backups()["state"].tolist() == ["unfinished"]
    assert all(outcome.result for outcome in read_outcomes(store, store.backups()["name"].iloc[0]))


def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    """A store that cannot be written to is said in a sentence with the folder's name."""
    place = tmp_path / "file"
    place.write_text("not a folder")
    with pytest.raises(StoreError, match="file"):
        ak.open_store(place / "store")
