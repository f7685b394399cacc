"""Every kind of item through every bad day: recovered, or told in the portal's words; never a wrong byte verified."""

from __future__ import annotations

import json
import threading
import time
from copy import copy
from pathlib import Path

import pytest
from fault_table import ERRORS, EVERYWHERE, BadDay
from fault_table_by_kind import BY_KIND, REFUSED, revoke
from fault_town import IDS, Truth, fault_town
from hand_built import PASSWORD
from portals import connect

import agolkit as ak
from agolkit.errors import ConnectionTrouble, PortalError
from agolkit.kinds import jobs
from agolkit.manifest import read_outcomes
from agolkit.model import Result
from agolkit.progress import Event
from agolkit.sandbox import Fault, Sandbox, Settings

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "errors"
WORKERS = 4
LONGEST = 30.0
"""Seconds that a run may take on a busy machine; undisturbed it takes one."""
OPTIONS = {"workers": WORKERS, "idle_timeout": 5, "item_timeout": 20, "export_timeout": 1.5}
BAD_DAYS: dict[str, BadDay] = EVERYWHERE | ERRORS | BY_KIND


@pytest.fixture(autouse=True)
def _short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of the practice portal are done in a moment: nobody waits a quarter of a second to look."""
    monkeypatch.setattr(jobs, "FIRST_LOOK", 0.02)


@pytest.mark.parametrize("name", BAD_DAYS)
def test_a_bad_day(tmp_path: Path, name: str) -> None:
    """What is verified is byte for byte the portal's, what is not says why, and the portal is as it was."""
    day = BAD_DAYS[name]
    org = fault_town()
    with Sandbox(org, Settings(**day.settings)) as sandbox:
        portal = connect(sandbox)
        store = ak.open_store(tmp_path / "store")
        options = ak.BackupOptions.from_mapping(OPTIONS | day.options)
        faults = [sandbox.faults.add(copy(fault)) for fault in day.faults]
        if day.arrange:
            day.arrange(sandbox, faults)
        held = set(org.items)
        began = time.monotonic()
        if day.ends:
            with pytest.raises(day.ends):
                ak.backup(portal, store, options)
        else:
            summary = ak.backup(portal, store, options)
        assert time.monotonic() - began < LONGEST
        assert not faults or any(fault.struck for fault in faults), "the fault was never met"
        check_footprint(sandbox, held, day)
        if day.ends:
            return
        sandbox.faults.clear()
        truth = Truth(sandbox, store, tmp_path)
        outcomes = {outcome.item.id: outcome for outcome in read_outcomes(store, summary.backup)}
        told = {kind: (outcomes[item_id].result, outcomes[item_id].message) for kind, item_id in IDS.items()}
        for kind, (result, message) in told.items():
            wanted, words = day.expectation(kind)
            assert (result, words in message) == (wanted, True), f"{kind} is {result}: {message}"
        for outcome in outcomes.values():
            if outcome.result is Result.VERIFIED:
                truth.check(summary.backup, outcome)
        assert day.left_behind in " ".join(summary.left_behind)
        is_bad = {Result.PARTIAL, Result.FAILED} & {result for result, _ in told.values()} or day.left_behind
        assert summary.exit_code == (3 if is_bad else 0)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs the recorded errors")
@pytest.mark.parametrize("path", sorted(SAMPLES.rglob("*.*")), ids=lambda path: path.stem)
def test_a_recorded_error_is_no_answer(path: Path) -> None:
    """Every body that a portal has been seen to send as an error is one of our errors, in its own words."""
    body = path.read_text("utf-8")
    told = json.loads(body) if path.suffix == ".json" else {}
    with Sandbox(fault_town()) as sandbox:
        portal = connect(sandbox)
        sandbox.faults.add(Fault("/data$", body=told or body))
        if "statusMessage" in told:  # the state of a job, which is no error of the question for it
            assert portal.get_json(f"content/items/{IDS['map']}/data") == told
            return
        with pytest.raises(PortalError) as raised:
            portal.get_json(f"content/items/{IDS['map']}/data")
        words = told.get("error", {}).get("message") if told else "a web page"
        assert (words or "no reason given").rstrip(".") in str(raised.value)


def test_a_sign_in_that_is_refused_later_stops_the_run(tmp_path: Path) -> None:
    """What was saved is readable, the rest is `stopped`, and the password is not tried again: accounts get locked."""
    with Sandbox(fault_town()) as sandbox:
        faults = [Fault("/content/users/ann/items/", times=1), copy(REFUSED)]
        revoke(sandbox, faults)
        portal = connect(sandbox)
        store = ak.open_store(tmp_path / "store")
        sandbox.log.clear()
        sandbox.faults[:] = faults
        summary = ak.backup(portal, store, ak.BackupOptions(types=["Web Map", "PDF"], workers=1))
        tried = [entry for entry in sandbox.log.entries if entry.path.endswith("/generateToken")]
        results = {outcome.result for outcome in read_outcomes(store, summary.backup)}
    assert (summary.state, summary.exit_code) == ("stopped", 2)
    assert "Invalid username or password" in summary.stopped_by
    assert Result.STOPPED in results
    assert len(tried) == 1


def test_what_a_lost_sign_in_leaves_is_removed_by_the_next_run(tmp_path: Path) -> None:
    """Without a sign-in no export item can be deleted; the next run finds it by its announcement."""
    org = fault_town()
    held = set(org.items)
    with Sandbox(org) as sandbox:
        store = ak.open_store(tmp_path / "store")
        faults = [Fault("/status$", times=1), copy(REFUSED)]
        revoke(sandbox, faults)
        portal = connect(sandbox)
        sandbox.faults[:] = faults
        assert ak.backup(portal, store).left_behind
        assert len(set(org.items) - held) == 1
        sandbox.faults.clear()
        assert ak.backup(connect(sandbox), store).exit_code == 0
        assert set(org.items) == held
        assert not org.recycle_bin


def test_a_portal_that_is_gone_for_half_a_minute(tmp_path: Path) -> None:
    """All connections are lost and refused in the middle; when the portal is back, the run goes on to its end."""
    org = fault_town()
    with Sandbox(org) as sandbox:
        waited: list[float] = []

        def sleep(seconds: float) -> None:
            """Half a minute passes in the waits of all workers together."""
            waited.append(seconds)
            if sum(waited) >= 30 and is_gone.is_set():
                is_gone.clear()
                sandbox.come_back()

        is_gone = threading.Event()

        def leave(event: Event) -> None:
            if event.stage == "items" and not waited:
                sandbox.go_away()
                is_gone.set()

        portal = ak.connect(
            sandbox.url, username="boss", password=PASSWORD, ca_bundle=str(sandbox.ca_bundle), sleep=sleep
        )
        store = ak.open_store(tmp_path / "store")
        options = ak.BackupOptions(workers=1, attempts=12, exports=1)
        summary = ak.backup(portal, store, options, progress=leave)
        assert sum(waited) >= 30
        assert summary.counts[Result.VERIFIED] == len(IDS)
        for outcome in read_outcomes(store, summary.backup):
            Truth(sandbox, store, tmp_path).check(summary.backup, outcome)


def test_a_portal_that_refuses_connections_at_the_start(tmp_path: Path) -> None:
    """No backup is begun, the store is free again, and the next run does its work."""
    with Sandbox(fault_town()) as sandbox:
        portal, store = connect(sandbox), ak.open_store(tmp_path / "store")
        sandbox.go_away()
        with pytest.raises(ConnectionTrouble, match="connection failed"):
            ak.backup(portal, store)
        assert store.holder() is None
        assert store.backup_names() == []
        sandbox.come_back()
        assert ak.backup(portal, store).exit_code == 0


def check_footprint(sandbox: Sandbox, held: set[str], day: BadDay) -> None:
    """Assert that the portal is as it was, and that nothing was asked of it that should not be."""
    log = sandbox.log
    if not day.left_behind:
        assert set(sandbox.org.items) <= held
        assert not sandbox.org.recycle_bin
    assert {entry.path.rsplit("/", 1)[-1] for entry in log.writes()} <= {"export", "delete"}
    deleted = {entry.path.split("/")[-2] for entry in log.writes() if entry.path.endswith("/delete")}
    assert not deleted & held
    assert log.most_in_flight <= WORKERS
    assert not [entry for entry in log.entries if entry.is_content and not entry.token_came]
    assert not [entry for entry in log.entries if entry.host.startswith("localhost") and entry.token_came]
