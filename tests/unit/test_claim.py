"""Claims that killed processes left: of many that would remove one, none removes what another has made since."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from agolkit.store.claim import find_claimer, holds, remove_left, take
from agolkit.store.holder import process_space

if sys.platform != "win32":
    import fcntl


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    """Where a claim is made."""
    return tmp_path / "lock.next"


def young() -> float:
    return 0.0


def old() -> float:
    return 601.0


def test_one_process_has_a_claim(claim: Path) -> None:
    """The second is refused, and the claim says whose it is."""
    ours = take(claim, young)
    assert ours
    assert take(claim, young) is None
    assert holds(claim, ours)
    claimer = find_claimer(claim, young)
    assert claimer
    assert claimer.facts["pid"] == os.getpid()


@pytest.mark.skipif(sys.platform == "win32", reason="only Unix limits the length of files")
def test_a_claim_that_finds_no_room_is_not_left_behind(claim: Path) -> None:
    """An empty one would hold the store for ten minutes: nobody could tell whose it is."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            take(claim, lambda: None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not claim.exists()
    assert take(claim, lambda: None)


def test_an_old_claim_is_taken_over_and_its_maker_notices(claim: Path) -> None:
    """A process that slept for ten minutes has its claim no more, and can tell."""
    sleeper = take(claim, young)
    taker = take(claim, old)
    assert sleeper
    assert taker
    assert holds(claim, taker)
    assert not holds(claim, sleeper)


def test_a_claim_that_was_made_meanwhile_is_left_alone(claim: Path) -> None:
    """Between the look at a claim and its removal another process has removed it, and has made one of its own."""
    take(claim, young)

    def replaced() -> float:
        claim.rename(claim.with_name("away"))
        assert take(claim, young)
        return 601.0

    assert not remove_left(claim, replaced)
    assert find_claimer(claim, young)


def test_a_claim_that_is_gone_needs_no_removal(claim: Path) -> None:
    """Its maker may remove it at any moment."""
    assert remove_left(claim, old)
    take(claim, young)

    def removed() -> float:
        claim.unlink()
        return 601.0

    assert remove_left(claim, removed)
    assert find_claimer(claim, old) is None


@pytest.mark.skipif(not process_space(), reason="only Linux says at once that a process has ended")
def test_one_process_at_a_time_removes_a_claim(claim: Path) -> None:
    """While another process of this computer is about to remove a claim of a dead one, nobody else does."""
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    os.waitpid(pid, 0)
    claim.write_text(json.dumps({"pid": pid, "process_space": process_space()}))
    with claim.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert take(claim, young) is None
        assert take(claim, old) is None
    assert take(claim, young)
