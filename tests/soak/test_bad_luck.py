"""Five thousand items from a portal of which one request in twenty goes wrong, in every way that requests can.

Run with `pytest -m soak -s`. Every verified byte is compared with what the portal holds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fault_town import Truth, fault_town
from peak import PEAK

import agolkit as ak
from agolkit.manifest import read_outcomes
from agolkit.model import Result
from agolkit.sandbox import Fault, Sandbox, Settings, city
from agolkit.sandbox.city.hosted import attachments
from agolkit.sandbox.organization import Organization
from agolkit.store import Store

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

ITEMS, SERVICES, WITH_PHOTOS = 5000, 150, 10
SHARE = 0.05
MOST = 500_000_000
"""Bytes that the process which makes the backup may have at most, Python and all libraries included."""
LONGEST = 3600.0
"""Seconds for one run; on two cores that nobody else uses it takes a quarter of that."""
HTML = "<html><body><h1>504 Gateway Time-out</h1></body></html>"
SIGNED = "^(?!.*(/generateToken|/rest/info)$)"
STREAMED = r"/data$|/query$|/resources|/info/|/attachments/|/tile/|\.(zip|tpkx)$"

BACKUP = """
import json, sys, time
import agolkit as ak

url, ca_bundle, username, password, place, options = sys.argv[1:]
portal = ak.connect(url, username=username, password=password, ca_bundle=ca_bundle)
began = time.perf_counter()
summary = ak.backup(portal, ak.open_store(place), ak.BackupOptions.from_mapping(json.loads(options)))
print(json.dumps({
    "seconds": time.perf_counter() - began, "peak": peak(), "exit_code": summary.exit_code, "backup": summary.backup,
    "counts": summary.counts, "left_behind": summary.left_behind, "said": str(summary),
}))
"""


def town() -> Organization:
    """Documents, exported layers, layers with photographs, and one item of each other kind."""
    others = fault_town()
    org = city.generated(items=ITEMS - len(others.items), owners=100, folders=200, groups=40, services=SERVICES)
    for service in list(org.services.values())[:WITH_PHOTOS]:
        for layer in service.layers:
            layer.attachments = attachments(layer, 10)
    org.add(*others.users.values(), *others.folders.values(), *others.services.values(), *others.items.values())
    return org


def error(code: int, message: str) -> dict[str, Any]:
    """An error inside HTTP 200."""
    return {"error": {"code": code, "message": message, "details": []}}


def bad_luck() -> list[Fault]:
    """Faults of every sort; together they strike one request in twenty."""
    faults = [
        Fault("", status=429, headers={"Retry-After": "1"}),
        Fault("", status=500),
        Fault("", status=502, body=HTML),
        Fault("", status=503),
        Fault("", body=HTML),
        Fault("", body=error(500, "An error occurred.")),
        Fault("", body=error(503, "Busy.")),
        Fault(SIGNED, body=error(498, "Invalid token.")),
        Fault("", cut_after=0),
        Fault("", cut_after=40),
        Fault("", cut_after=5, stalls=True),
        Fault(STREAMED, longer=7),
        Fault(STREAMED, longer=-5, times=1, by_path=True),  # what is cut off alike each time is what the portal has
        Fault("", body=""),
    ]
    for fault in faults:
        fault.chance = SHARE / len(faults)
    return faults


def back_up(sandbox: Sandbox, place: Path, **options: Any) -> dict[str, Any]:
    """A backup in a process of its own, and what it says of itself."""
    account = sandbox.url, str(sandbox.ca_bundle), sandbox.username, sandbox.password
    done = subprocess.run(
        [sys.executable, "-c", PEAK + BACKUP, *account, str(place), json.dumps({"idle_timeout": 5, **options})],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=LONGEST,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def check_every_byte(sandbox: Sandbox, store: Store, backup: str, folder: Path) -> None:
    """Assert that what is verified is what the portal holds."""
    truth = Truth(sandbox, store, folder)
    for outcome in read_outcomes(store, backup):
        if outcome.result is Result.VERIFIED:
            truth.check(backup, outcome)


def test_five_thousand_items_with_bad_luck(tmp_path: Path) -> None:
    """With three attempts nearly everything is verified and the rest says why; with six, everything is.

    Every fault ends at the next request, so every item can be recovered: what is not `verified` under the faults must
    be for a request that was struck in each of its attempts.
    """
    place = tmp_path / "store"
    with Sandbox(town(), Settings(export_seconds=0.2)) as sandbox:
        held = set(sandbox.org.items)
        undisturbed = back_up(sandbox, tmp_path / "undisturbed")
        assert undisturbed["counts"][Result.VERIFIED] == ITEMS
        quiet = len(sandbox.log.entries)
        print(f"undisturbed: {undisturbed['said']}; {quiet:,} requests, {undisturbed['peak'] / 1e6:.0f} MB")
        for attempts in (3, 6):
            sandbox.log.clear()
            faults = bad_luck()
            sandbox.faults.seed(attempts)
            sandbox.faults[:] = faults
            told = back_up(sandbox, place, attempts=attempts)
            sandbox.faults.clear()
            requests, struck = len(sandbox.log.entries), sum(fault.struck for fault in faults)
            print(
                f"{attempts} attempts: {told['seconds']:.0f} s, {told['peak'] / 1e6:.0f} MB, {requests:,} requests, "
                f"{struck:,} struck ({struck / requests:.1%}), exit {told['exit_code']}\n{told['said']}"
            )
            print(Counter({f"{each.status or each.body or each!s:.60}": each.struck for each in faults}))
            store = ak.open_store(place)
            outcomes = read_outcomes(store, told["backup"])
            amiss = [each for each in outcomes if each.result is not Result.VERIFIED]
            assert all(fault.struck for fault in faults)
            assert {each.item.id for each in outcomes} == held
            assert all(each.result in (Result.PARTIAL, Result.FAILED) and each.message for each in amiss)
            assert len(amiss) <= (ITEMS / 100 if attempts == 3 else 0), [each.message for each in amiss]
            assert told["exit_code"] == (3 if amiss or told["left_behind"] else 0)
            assert told["peak"] < MOST
            began = time.perf_counter()
            check_every_byte(sandbox, store, told["backup"], tmp_path)
            assert ak.verify(store, told["backup"], deep=True).ok
            print(f"every byte compared, and verified again, in {time.perf_counter() - began:.0f} s")
        assert set(sandbox.org.items) == held
        assert not sandbox.org.recycle_bin
        assert told["exit_code"] == 0
