"""A portal that asks for fewer requests: everybody slows down together, nothing is lost, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from portals import connect

import agolkit as ak
from agolkit.errors import SignInError, Throttled
from agolkit.model import Result, RunSummary
from agolkit.progress import Event
from agolkit.sandbox import Fault, Sandbox, Settings, city
from agolkit.sandbox.log import Entry
from agolkit.sandbox.organization import Organization

REFUSED = {"error": {"code": 429, "message": "Unable to complete operation.", "details": ["Retry after 60 sec."]}}


def small_city(items: int = 40) -> Organization:
    return city.generated(items=items, owners=3, folders=2, groups=2, services=4)


def sign_in(sandbox: Sandbox, **sign_in: str) -> ak.Portal:
    """The portal, with waits that are waited."""
    who = sign_in or {"username": sandbox.username, "password": sandbox.password}
    return ak.connect(sandbox.url, ca_bundle=str(sandbox.ca_bundle), **who)  # type: ignore[arg-type]


def test_a_throttled_run_loses_nothing(tmp_path: Path) -> None:
    """With too few request units for its pace a run is slower; every item is verified, few requests are in vain."""
    said: list[str] = []
    with Sandbox(small_city(), Settings(request_units_per_minute=60, minute_seconds=0.3)) as sandbox:
        summary = ak.backup(
            sign_in(sandbox), ak.open_store(tmp_path / "store"), progress=lambda event: said.append(event.text)
        )
        refused = sandbox.refused_requests
    assert summary.exit_code == 0, str(summary)
    pauses = [text for text in said if "asks for fewer requests" in text]
    assert pauses
    assert len(pauses) <= refused <= 16 + 6 * len(pauses)


@pytest.mark.slow
@pytest.mark.parametrize("runs", [1, 3])
def test_runs_together_use_what_the_portal_allows(tmp_path: Path, runs: int) -> None:
    """One run, and three at once, get what the quota of all of them allows; none is starved, and none gives up."""
    settings = Settings(request_units_per_minute=60, minute_seconds=0.5, latency=0.005)
    with Sandbox(small_city(), settings) as sandbox, ThreadPoolExecutor(runs) as threads:
        portals = [sign_in(sandbox) for _ in range(runs)]
        began = time.monotonic()
        ends = list(threads.map(lambda each: timed_backup(each[1], tmp_path / str(each[0])), enumerate(portals)))
        refused = sandbox.refused_requests
        units = sum(5 if entry.path.endswith("/query") else 1 for entry in sandbox.log.entries) - refused
    minutes = (max(ended for _, ended in ends) - began) / settings.minute_seconds
    print(
        f"{runs} runs: {units / minutes:.0f} of 60 units a minute, {refused} of {units} refused, {minutes:.0f} minutes"
    )
    assert [summary.exit_code for summary, _ in ends] == [0] * runs
    assert [summary.counts[Result.VERIFIED] for summary, _ in ends] == [40] * runs
    assert 30 < units / minutes < 75
    assert min(ended for _, ended in ends) - began > 0.4 * (max(ended for _, ended in ends) - began)


def timed_backup(portal: ak.Portal, folder: Path) -> tuple[RunSummary, float]:
    """How a run ended, and when."""
    return ak.backup(portal, ak.open_store(folder)), time.monotonic()


def test_nobody_asks_during_a_pause(tmp_path: Path) -> None:
    """Requests that were on their way arrive; after that the portal sees none until the pause is over."""
    arrivals: list[float] = []
    told: list[float] = []

    def listen(event: Event) -> None:
        if "asks for fewer requests" in event.text:
            told.append(time.monotonic())

    with Sandbox(small_city(), Settings(latency=0.01)) as sandbox:
        portal = sign_in(sandbox)
        arrived = sandbox.log.arrived

        def note(method: str, path: str, query: bytes, host: str) -> Entry:
            arrivals.append(time.monotonic())
            return arrived(method, path, query, host)

        sandbox.log.arrived = note  # type: ignore[method-assign]
        sandbox.faults.add(Fault("/content/items/", status=429, headers={"Retry-After": "2"}, skip=40, times=1))
        summary = ak.backup(portal, ak.open_store(tmp_path / "store"), progress=listen)
    assert summary.exit_code == 0, str(summary)
    assert len(told) == 1
    assert not [at for at in arrivals if told[0] + 1 < at < told[0] + 1.9]
    assert [at for at in arrivals if at > told[0] + 1.9]


def test_a_stop_ends_a_pause(tmp_path: Path) -> None:
    """A run that waits for the portal ends within a second of the stop, with what it has saved."""
    cancel = threading.Event()
    stopped_at: list[float] = []

    def stop(event: Event) -> None:
        if "asks for fewer requests" in event.text:
            stopped_at.append(time.monotonic())
            cancel.set()

    with Sandbox(city.generated(items=40, owners=3, folders=2, groups=2, services=0)) as sandbox:
        portal = sign_in(sandbox)
        sandbox.faults.add(Fault("/content/items/", body=REFUSED, skip=60))
        summary = ak.backup(portal, ak.open_store(tmp_path / "store"), progress=stop, cancel=cancel)
        ended_at = time.monotonic()
    assert (summary.state, summary.exit_code) == ("stopped", 130)
    assert len(stopped_at) == 1
    assert ended_at - stopped_at[0] < 1.5


def test_a_stop_ends_a_pause_while_the_items_are_listed(tmp_path: Path) -> None:
    """A run that has to wait before it has begun an item can be stopped too."""
    cancel = threading.Event()
    with Sandbox(small_city()) as sandbox:
        portal = sign_in(sandbox)
        sandbox.faults.add(Fault("/community/groups$", body=REFUSED))
        began = time.monotonic()
        with pytest.raises(ak.errors.Stopped):
            ak.backup(
                portal,
                ak.open_store(tmp_path / "store"),
                progress=lambda event: cancel.set() if "fewer requests" in event.text else None,
                cancel=cancel,
            )
    assert time.monotonic() - began < 10


def test_a_portal_that_refuses_for_ever_stops_the_run(tmp_path: Path) -> None:
    """After ten minutes without an answer the run ends, readable, with the portal's words and exit code 5."""
    with Sandbox(city.generated(items=60, owners=3, folders=2, groups=2, services=0)) as sandbox:
        portal = connect(sandbox)
        sandbox.faults.add(Fault("/sharing/rest/content/", body=REFUSED, skip=150))
        store = ak.open_store(tmp_path / "store")
        summary = ak.backup(portal, store, ak.BackupOptions(workers=4))
    assert (summary.state, summary.exit_code) == ("stopped", Throttled.exit_code)
    assert "Retry after 60 sec" in summary.stopped_by
    assert summary.stopped_by in str(summary)
    assert summary.counts[Result.VERIFIED] > 0
    assert summary.counts[Result.STOPPED] > 0
    assert ak.verify(store, summary.backup, deep=True).ok


def test_a_portal_that_refuses_one_item_only_loses_that(tmp_path: Path) -> None:
    """Where others are served, what is always refused fails after its attempts, with the portal's words."""
    with Sandbox(city.generated(items=40, owners=3, folders=2, groups=2, services=0)) as sandbox:
        victim = next(item for item in sandbox.org.items.values() if item.type == "Web Map")
        portal = connect(sandbox)
        fault = sandbox.faults.add(Fault(rf"{victim.id}/data", body=REFUSED))
        summary = ak.backup(portal, ak.open_store(tmp_path / "store"))
    assert [outcome.item.id for outcome in summary.failures] == [victim.id]
    assert "Retry after 60 sec" in summary.failures[0].message
    assert fault.struck <= 16


def test_a_token_that_ends_in_the_middle_stops_the_run(tmp_path: Path) -> None:
    """The rest is stopped, not failed item by item; what was saved is readable; exit code 2 and what to do."""
    said: list[str] = []
    with Sandbox(small_city(60)) as sandbox:
        portal = sign_in(sandbox, token=sandbox.new_token())
        store = ak.open_store(tmp_path / "store")

        def progress(event: Event) -> None:
            said.append(event.text)
            if event.done == 10:
                sandbox.revoke_tokens()

        summary = ak.backup(portal, store, ak.BackupOptions(workers=4), progress=progress)
    assert any("cannot be renewed" in text for text in said[:2])
    assert (summary.state, summary.exit_code) == ("stopped", SignInError.exit_code)
    assert "get a new one" in summary.stopped_by
    assert summary.counts[Result.STOPPED] > 30
    assert summary.counts[Result.FAILED] == summary.counts[Result.PARTIAL] == 0
    assert ak.verify(store, summary.backup, deep=True).ok
    assert store.backups()["state"].tolist() == ["stopped"]
    assert store.backups()["stopped_by"].tolist() == [summary.stopped_by]
    report = store.find(f"backups/{summary.backup}/report.html") or b""
    assert summary.stopped_by in report.decode()


def test_a_refused_renewal_in_the_middle_stops_the_run(tmp_path: Path) -> None:
    """When the password is changed during a run, it is sent once more, and the run ends in good order."""
    with Sandbox(small_city(60)) as sandbox:
        portal = connect(sandbox)
        sandbox.log.clear()

        def change(event: Event) -> None:
            if event.done == 10:
                sandbox.org.users[sandbox.username].password = "changed"
                sandbox.revoke_tokens()

        summary = ak.backup(portal, ak.open_store(tmp_path / "store"), ak.BackupOptions(workers=4), progress=change)
        assert sum(entry.path.endswith("/generateToken") for entry in sandbox.log.entries) == 1
    assert (summary.state, summary.exit_code) == ("stopped", SignInError.exit_code)
    assert "refuses to sign" in summary.stopped_by
