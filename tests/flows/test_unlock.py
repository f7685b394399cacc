"""Who holds a store, and how a hold ends whose run was killed: by itself, by the next run, or by a person."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hand_built import MAP_ID, small_organization
from portals import connect

import agolkit as ak
from agolkit.cli import main
from agolkit.errors import StoreBusy
from agolkit.sandbox import Fault, Sandbox
from agolkit.store import Store
from agolkit.store.holder import process_space

HOLD = """
import sys, agolkit, threading
store = agolkit.open_store(sys.argv[1])
store.bind("0123456789abcdef", "Smallville")
with store.lock("run-1", "ann"):
    print("held", flush=True)
    threading.Event().wait()
"""

knows_processes = pytest.mark.skipif(not process_space(), reason="only Linux says where a process id counts")
Change = Callable[..., None]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the store in `tmp_path / "store"` until it is killed."""
    arguments = [sys.executable, "-c", HOLD, str(tmp_path / "store")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.fixture
def store(run: subprocess.Popen[str], tmp_path: Path) -> Store:
    """The store that `run` holds."""
    assert run.pid
    return ak.open_store(tmp_path / "store")


@pytest.fixture
def change(store: Store) -> Change:
    """Write the lock anew, as another computer would have written it, or some seconds earlier."""

    def write(seconds_ago: float = 0, **facts: object) -> None:
        store.put("lock", json.dumps(json.loads(store.get("lock")) | facts).encode())
        path = Path(store.location) / "lock"
        os.utime(path, (path.stat().st_mtime - seconds_ago,) * 2)

    return write


def unlock(store: Store, *options: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `agolkit unlock`."""
    with pytest.raises(SystemExit) as ended:
        main(["unlock", store.location, *options])
    said = capsys.readouterr()
    return int(str(ended.value.code)), said.out, said.err


@knows_processes
def test_a_run_that_lives_is_shown_and_not_released(
    store: Store, run: subprocess.Popen[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says who, where, which process and that it lives; `--yes` ends with exit 11 and changes nothing."""
    before = store.get("lock")
    code, out, _ = unlock(store, capsys=capsys)
    assert code == 0
    assert f"process {run.pid}, since 20" in out
    assert "it still lives" in out
    code, out, err = unlock(store, "--yes", capsys=capsys)
    assert (code, out) == (11, "")
    assert "end that run first" in err
    assert store.get("lock") == before


@knows_processes
def test_after_a_crash_the_next_run_begins_at_once(store: Store, run: subprocess.Popen[str]) -> None:
    """A run whose process is gone from this computer holds nothing."""
    with pytest.raises(StoreBusy, match=f"process {run.pid}.*agolkit unlock"), store.lock("run-2", "bob"):
        pass
    run.send_signal(signal.SIGKILL)
    run.wait()
    holder = store.holder()
    assert holder
    assert holder.lives is False
    with store.lock("run-2", "bob") as lease:
        lease.check()


@pytest.mark.parametrize("space", ["another start of another system", ""])
def test_a_process_of_another_computer_is_never_judged_by_its_id(
    store: Store, run: subprocess.Popen[str], change: Change, space: str
) -> None:
    """Two containers may share a host name, and process ids: without the same start and container nothing is known."""
    run.kill()
    run.wait()
    change(process_space=space)
    holder = store.holder()
    assert holder
    assert holder.lives is None
    with pytest.raises(StoreBusy), store.lock("run-2", "bob"):
        pass


def test_a_silent_hold_is_released_by_a_person(
    store: Store, change: Change, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a minute without a sign of life `--yes` releases it, by overwriting; then the next run has the store."""
    change(seconds_ago=59 - 30, process_space="elsewhere")
    assert unlock(store, "--yes", capsys=capsys)[0] == 11
    change(seconds_ago=61, process_space="elsewhere")
    code, out, _ = unlock(store, "--yes", "--json", capsys=capsys)
    told = json.loads(out)
    assert code == 0
    assert (told["released"], told["held"], told["who"], told["lives"]) == (True, False, "ann", None)
    assert json.loads(store.get("lock"))["state"] == "released"
    assert unlock(store, capsys=capsys)[:2] == (0, f"No run holds the store {store.location}.\n")
    with store.lock("run-2", "bob") as lease:
        lease.check()


def test_a_torn_lock_can_be_released(tmp_path: Path) -> None:
    """A lock that says nothing is somebody's; a person may end it when it has been silent for a minute."""
    store = ak.open_store(tmp_path)
    store.put("lock", b'{"state": "he')
    with pytest.raises(StoreBusy, match="somebody"):
        store.unlock()
    path = tmp_path / "lock"
    os.utime(path, (path.stat().st_mtime - 61,) * 2)
    assert store.unlock()
    assert store.holder() is None


CLAIMER = {"host": "elsewhere", "pid": 7, "process_space": "another computer"}


def test_a_claim_that_a_killed_run_left_is_shown_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run killed elsewhere while it wrote the lock keeps the next one out; a person may end that after a minute."""
    store = ak.open_store(tmp_path)
    store.bind("0123456789abcdef", "Smallville")
    claim = tmp_path / "lock.next"
    claim.write_text(json.dumps(CLAIMER))
    with pytest.raises(StoreBusy, match="held by a run of somebody on elsewhere, process 7"), store.lock("run", "ann"):
        pass
    assert unlock(store, "--yes", capsys=capsys)[0] == 11
    os.utime(claim, (claim.stat().st_mtime - 61,) * 2)
    assert "process 7" in unlock(store, capsys=capsys)[1]
    code, out, _ = unlock(store, "--yes", capsys=capsys)
    assert (code, "It is released." in out) == (0, True)
    with store.lock("run", "ann") as lease:
        lease.check()


@knows_processes
def test_a_claim_of_a_process_that_has_ended_here_keeps_nobody_out(tmp_path: Path) -> None:
    """A process killed in the very moment in which it writes the lock blocks the next run for no time at all."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    store = ak.open_store(tmp_path)
    store.bind("0123456789abcdef", "Smallville")
    facts = CLAIMER | {"pid": ended.pid, "process_space": process_space()}
    (tmp_path / "lock.next").write_text(json.dumps(facts))
    with store.lock("run", "ann") as lease:
        lease.check()
    assert not (tmp_path / "lock.next").exists()


@knows_processes
def test_a_claim_of_a_process_that_lives_is_left_alone(tmp_path: Path) -> None:
    """As long as its process lives and ten minutes are not over, nobody else writes the lock."""
    store = ak.open_store(tmp_path)
    facts = CLAIMER | {"pid": os.getpid(), "process_space": process_space()}
    (tmp_path / "lock.next").write_text(json.dumps(facts))
    assert not store.swap("lock", None, b"mine")
    os.utime(tmp_path / "lock.next", (0, 0))
    assert store.swap("lock", None, b"mine")


def test_a_run_that_lost_the_store_finishes_no_backup(tmp_path: Path) -> None:
    """The run id is looked at again before `backup.json` is written: somebody else may be writing by then."""
    store = ak.open_store(tmp_path / "store")

    def release() -> None:
        path = tmp_path / "store" / "lock"
        os.utime(path, (path.stat().st_mtime - 61,) * 2)
        store.unlock()

    with Sandbox(small_organization()) as sandbox:
        sandbox.faults.add(Fault(f"items/{MAP_ID}/data$", times=1, action=release))
        with pytest.raises(StoreBusy, match=r"lost its hold.*released"):
            ak.backup(connect(sandbox), store, ak.BackupOptions(types=["Web Map"]))
    assert [store.summary(name)["state"] for name in store.backup_names()] == ["unfinished"]
