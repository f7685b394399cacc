"""A disk that is full, a share that is lost, at any moment of a run: one plain sentence, and the next run goes on."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from interrupted import back_up, content, town, tree
from portals import connect

import agolkit as ak
from agolkit.errors import StoreError, StoreFull
from agolkit.progress import Event
from agolkit.sandbox import Sandbox
from agolkit.store import Lease, LocalStore, Spool, Store


class Failing(LocalStore):
    """A store whose disk takes so many writes more, and then gives the same error for ever."""

    left = 1_000_000
    number = errno.ENOSPC

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            with self._trouble():
                raise OSError(self.number, os.strerror(self.number), str(self.root))

    def keep(self, key: str, spool: Spool, *, read_only: bool = False) -> None:
        self._count()
        super().keep(key, spool, read_only=read_only)

    def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        self._count()
        return super().swap(key, old, new)

    def link(self, sha256: str, key: str) -> None:
        self._count()
        super().link(sha256, key)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(town(12)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def undisturbed(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, int]:
    """The store of a run that nothing disturbs, and how many writes it took."""
    store = Failing(tmp_path_factory.mktemp("undisturbed") / "store")
    back_up(sandbox, store)
    return store, 1_000_000 - store.left


def release(place: Path) -> None:
    """Let the next run in at once: the process that could not write any more still lives, because it runs the tests."""
    for claim in place.glob("*.next"):
        claim.unlink()
    with Lease(ak.open_store(place), "nobody", "the test", stale_after=0):
        pass


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (errno.ENOSPC, StoreFull, "is full. What is saved stays readable; make room and run again."),
        (errno.EDQUOT, StoreFull, "is full."),
        (errno.EIO, StoreError, "cannot be used: "),
        (errno.ESTALE, StoreError, "cannot be used: "),
    ],
    ids=["full", "quota", "input/output error", "stale handle"],
)
def test_a_store_that_fails_at_any_write_is_gone_on_with(
    sandbox: Sandbox, undisturbed: tuple[Store, int], tmp_path: Path, number: int, error: type[StoreError], words: str
) -> None:
    """Whichever write is the first to fail, the run says so, and the next one ends as if nothing had been."""
    whole, writes = undisturbed
    held = set(sandbox.org.items)
    chance = random.Random(number)
    for left in (3, *sorted(chance.sample(range(4, writes - 1), 2)), writes - 2):
        place = tmp_path / str(left)
        store = Failing(place)
        store.left, store.number = left, number
        with pytest.raises(error) as raised:
            back_up(sandbox, store)
        assert raised.value.exit_code == 6
        assert words in str(raised.value)
        assert set(sandbox.org.items) == held
        assert not sandbox.org.recycle_bin
        release(place)
        again = ak.open_store(place)
        assert back_up(sandbox, again).state == "complete"
        assert content(again) == content(whole)
        assert tree(again, again.resolve("latest")) == tree(whole, whole.resolve("latest"))
        assert ak.verify(again, deep=True).ok


@pytest.mark.parametrize("leaves_a_folder", [False, True], ids=["gone", "empty mount point"])
def test_a_share_that_is_lost_is_not_taken_for_a_new_store(
    sandbox: Sandbox, undisturbed: tuple[Store, int], tmp_path: Path, leaves_a_folder: bool
) -> None:
    """Where the folder of the store vanishes in the middle of a run, nothing is written in its place."""
    place, away = tmp_path / "share", tmp_path / "away"

    def lose(event: Event) -> None:
        if event.done == 5 and place.exists() and not away.exists():
            place.rename(away)
            if leaves_a_folder:
                place.mkdir()

    with pytest.raises(StoreError) as raised:
        ak.backup(connect(sandbox), ak.open_store(place), ak.BackupOptions(workers=2), progress=lose)
    assert raised.value.exit_code in (6, 11)
    assert not [path for path in place.rglob("*") if path.is_file()]
    if leaves_a_folder:
        shutil.rmtree(place)
    away.rename(place)
    release(place)
    store = ak.open_store(place)
    assert back_up(sandbox, store).kept is not None
    assert content(store) == content(undisturbed[0])
    assert ak.verify(store, deep=True).ok


def test_a_new_store_is_said(sandbox: Sandbox, tmp_path: Path) -> None:
    """Whoever finds an empty folder instead of a share reads that a new store was begun; the second run is silent."""
    said: list[str] = []
    for _ in range(2):
        store = ak.open_store(tmp_path / "store")
        ak.backup(connect(sandbox), store, ak.BackupOptions(), progress=lambda event: said.append(event.text))
    assert [text for text in said if "new store" in text] == [
        f"A new store was begun in {store.location}: there was none. Is that the right place?"
    ]


IN_A_SMALL_DISK = """
set -e
mount -t tmpfs -o size=160k none {mount}
set +e
{python} -c "from agolkit.cli import main; main(['backup', '--store', '{mount}/store'])"
echo "first $?"
mount -o remount,size=200m {mount}
{python} -c "from agolkit.cli import main; main(['backup', '--store', '{mount}/store'])"
echo "second $?"
{python} -c "from agolkit.cli import main; main(['verify', '{mount}/store', '--deep'])"
echo "verify $?"
"""


@pytest.mark.slow
def test_a_disk_that_is_really_full(sandbox: Sandbox, tmp_path: Path) -> None:
    """On a disk that is too small the run ends with 6; when it is larger, the next one goes on, and all is proven."""
    mount = tmp_path / "disk"
    mount.mkdir()
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], check=False).returncode != 0:
        pytest.skip("this system lets nobody mount a disk of their own")
    environment = {
        **os.environ,
        "AGOLKIT_URL": sandbox.url,
        "AGOLKIT_USERNAME": sandbox.username,
        "AGOLKIT_PASSWORD": sandbox.password,
        "AGOLKIT_CA_BUNDLE": str(sandbox.ca_bundle),
    }
    script = IN_A_SMALL_DISK.format(mount=mount, python=sys.executable)
    done = subprocess.run([*unshare, "sh", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert "What is saved stays readable; make room and run again." in done.stderr, done.stdout + done.stderr
    codes = [line for line in done.stdout.splitlines() if line.split(" ")[0] in ("first", "second", "verify")]
    assert codes == ["first 6", "second 0", "verify 0"], done.stdout + done.stderr
