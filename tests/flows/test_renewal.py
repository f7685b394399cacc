"""Tokens that are revoked, rejected and renewed while a run is under way: no request is lost, sign-ins are few."""

from __future__ import annotations

import random
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from portals import connect

import agolkit as ak
from agolkit.errors import ServerTrouble, SignInError, TokenRejected
from agolkit.model import Result
from agolkit.portal.tokens import MINUTE, SIGN_INS, Token, Tokens
from agolkit.sandbox import Fault, Sandbox, Settings, city
from agolkit.sandbox.organization import Organization

INVALID = {"error": {"code": 498, "message": "Invalid token.", "details": []}}
CONTENT = "/content/items/|/rest/services/"


def small_city() -> Organization:
    return city.generated(items=40, owners=3, folders=2, groups=2, services=4)


def sign_ins(sandbox: Sandbox) -> int:
    return sum(entry.path.endswith("/generateToken") for entry in sandbox.log.entries)


@pytest.mark.parametrize("seed", range(3))
def test_tokens_revoked_again_and_again(tmp_path: Path, seed: int) -> None:
    """Twelve revocations at random moments of a run of sixteen threads: all verified, a sign-in for each at most."""
    moments = random.Random(seed).sample(range(200), 12)
    with Sandbox(small_city(), Settings(latency=0.005)) as sandbox:
        portal = connect(sandbox)
        faults = [Fault(CONTENT, action=sandbox.revoke_tokens, skip=moment, times=1) for moment in moments]
        sandbox.faults.extend(faults)
        sandbox.log.clear()
        summary = ak.backup(portal, ak.open_store(tmp_path / "store"))
        assert sum(fault.struck for fault in faults) == 12
        assert 2 <= sign_ins(sandbox) <= 12
    assert summary.exit_code == 0, str(summary)
    assert summary.counts[Result.VERIFIED] == 40


def test_a_rejection_that_is_not_about_the_token(tmp_path: Path) -> None:
    """What always answers 498 fails with the portal's words, without a sign-in; it is no word on other requests."""
    with Sandbox(small_city(), Settings(latency=0.005)) as sandbox:
        victim = next(item for item in sandbox.org.items.values() if item.type == "Web Map")
        portal = connect(sandbox)
        refused = sandbox.faults.add(Fault(rf"{victim.id}/data", body=INVALID))
        revocations = [Fault(CONTENT, action=sandbox.revoke_tokens, skip=skip, times=1) for skip in (40, 60, 80)]
        sandbox.faults.extend(revocations)
        sandbox.log.clear()
        summary = ak.backup(portal, ak.open_store(tmp_path / "store"))
        assert 1 <= sign_ins(sandbox) <= 3
    assert [(outcome.item.id, outcome.result) for outcome in summary.failures] == [(victim.id, Result.PARTIAL)]
    assert "Invalid token" in summary.failures[0].message
    assert 3 <= refused.struck <= 3 + len(revocations)  # a token that was revoked meanwhile is no attempt


def test_a_portal_that_takes_none_of_its_tokens_stops_the_run(tmp_path: Path) -> None:
    """After five tokens in vain the run ends in good order, and the message says where to look."""
    with Sandbox(small_city()) as sandbox:
        portal = connect(sandbox)
        sandbox.faults.add(Fault("/sharing/rest/(?!generateToken)", action=sandbox.revoke_tokens, skip=150))
        sandbox.log.clear()
        store = ak.open_store(tmp_path / "store")
        summary = ak.backup(portal, store, ak.BackupOptions(workers=4))
        assert sign_ins(sandbox) == SIGN_INS
    assert (summary.state, summary.exit_code) == ("stopped", SignInError.exit_code)
    assert "rejects each token that it gives" in summary.stopped_by
    assert summary.counts[Result.VERIFIED] > 0
    assert ak.verify(store, summary.backup, deep=True).ok


def test_sign_in_trouble_while_the_token_is_good() -> None:
    """A portal that cannot renew a token which is about to end is asked again a minute later; nothing else fails."""
    now = [0.0]
    with Sandbox(small_city()) as sandbox:
        portal = ak.connect(
            sandbox.url,
            username=sandbox.username,
            password=sandbox.password,
            ca_bundle=str(sandbox.ca_bundle),
            clock=lambda: now[0],
            sleep=lambda _seconds: None,
        )
        out_of_order = sandbox.faults.add(Fault("/generateToken", status=503))
        now[0] = 599 * 60 - 30
        for _ in range(5):
            assert portal.users()
        assert out_of_order.struck == 1
        now[0] += MINUTE
        sandbox.faults.clear()
        sandbox.log.clear()
        assert portal.users()
        assert sign_ins(sandbox) == 1


class Office:
    """Gives tokens, and can say no; time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.given: list[float] = []
        self.trouble: Exception | None = None
        self.tokens = Tokens(self.grant, takes=lambda _token: False, clock=lambda: self.now, sleep=self.sleep)

    def grant(self) -> Token:
        self.given.append(self.now)
        if self.trouble is not None:
            raise self.trouble
        return Token(f"token {len(self.given)}", 36_000)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_never_more_than_a_few_sign_ins_a_minute() -> None:
    """However often tokens are revoked, the sixth sign-in of a minute waits for the next minute."""
    office = Office()
    for _ in range(30):
        office.tokens.note_accepted(office.tokens.current())
        assert office.tokens.renew(office.tokens.current())
    assert len(office.given) == 31
    assert all(office.given[place + SIGN_INS] - office.given[place] >= MINUTE for place in range(31 - SIGN_INS))
    assert all(earlier <= later for earlier, later in pairwise(office.given))


def test_a_sign_in_that_failed_has_failed_for_all_who_waited() -> None:
    """Sixteen threads wait while one of them signs in; where that fails, they do not try one after the other."""
    office = Office()
    failures: list[ServerTrouble] = []
    together = threading.Barrier(16)

    def takes(_token: str) -> bool:
        together.wait(10)
        return False

    office.tokens.takes = takes
    office.trouble = ServerTrouble("out of order", code=503)

    def renew() -> None:
        try:
            office.tokens.renew("token 1")
        except ServerTrouble as error:
            failures.append(error)

    threads = [threading.Thread(target=renew) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(failures) == 16
    assert len(office.given) == 2


def test_a_given_token_is_rejected_by_one_service_only() -> None:
    """Where the portal still takes a token that cannot be renewed, the rejection is that item's own."""
    with Sandbox(small_city()) as sandbox:
        portal = ak.connect(sandbox.url, token=sandbox.new_token(), ca_bundle=str(sandbox.ca_bundle))
        victim = next(item for item in sandbox.org.items.values() if item.type == "Web Map")
        sandbox.faults.add(Fault(rf"{victim.id}/data", body=INVALID))
        with pytest.raises(TokenRejected, match="cannot be renewed"):
            portal.get_json(f"content/items/{victim.id}/data")
