"""A store in a folder: what it does on the disk itself, when things go well and when they do not."""

from __future__ import annotations

import errno
import io
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import pytest
from saved import STARTED, begin_sample, files_below, save_sample

from agolkit.errors import CheckFailed, NoSuchBackup, StoreBusy, StoreError, StoreFull
from agolkit.model import Blob
from agolkit.store import Draft, LocalStore, Spool, open_store
from agolkit.store.local import PATIENCE

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes and does not flush folders")


def add(store: LocalStore, content: bytes, scratch: Path | None = None) -> Blob:
    with Spool(scratch, in_memory=1000) as spool:
        spool.write(content)
        return store.add_blob(spool)[0]


def blob_path(store: LocalStore, blob: Blob) -> Path:
    return store.root / "blobs" / blob.sha256[:2] / blob.sha256


@posix
@pytest.mark.parametrize("tree", ["auto", "copy"])
def test_everything_is_private_and_blobs_are_read_only(store: LocalStore, tree: str) -> None:
    """Only the owner can read a store, and neither a blob nor a file of the tree can be changed by accident."""
    name, _ = save_sample(store, tree=tree)
    tree_files = [path for path in (store.root / "backups" / name).rglob("*~*/**/*") if path.is_file()]
    assert tree_files
    for path in [store.root, *store.root.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.is_dir():
            assert mode == 0o700, path
        else:
            assert mode == (0o400 if "blobs" in path.parts or path in tree_files else 0o600), path


def test_read_only_files_are_cleared(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a tree are read-only, and Windows removes no such file: they are cleared, and the blobs stay."""
    name, outcomes = save_sample(store, tree="copy")
    remove = Path.unlink

    def as_on_windows(path: Path, missing_ok: bool = False) -> None:
        if path.exists() and not path.stat().st_mode & stat.S_IWRITE:
            raise PermissionError(errno.EACCES, "read-only", str(path))
        remove(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", as_on_windows)
    top = store.root / "backups" / name / "Web Map"
    assert any(path.is_file() for path in top.rglob("*"))
    store.clear(f"backups/{name}/Web Map")
    assert not top.exists()
    assert all(store.holds(part.blob) for outcome in outcomes for part in outcome.parts)


@posix
def test_the_tree_takes_no_room_where_there_are_hard_links(store: LocalStore) -> None:
    """Each file of the tree is the blob itself under a second name."""
    name, outcomes = save_sample(store)
    assert '"tree": "links"' in store.read(name, "backup.json").decode()
    for outcome in outcomes:
        for part in outcome.parts:
            assert blob_path(store, part.blob).stat().st_nlink >= 2


def test_without_hard_links_there_is_no_tree(tmp_path: Path) -> None:
    """A file system that refuses links is noticed by trying; the backup is complete without a tree."""

    def refuse(source: Path, target: Path) -> None:  # noqa: ARG001
        raise OSError(errno.EPERM, "Operation not permitted")

    store = LocalStore(tmp_path / "store", make_link=refuse)
    name, _ = save_sample(store)
    assert not list((store.root / "backups" / name).glob("*/*~*"))
    assert list((store.root / "incoming").iterdir()) == []


def test_at_the_link_limit_a_copy_takes_the_further_links(tmp_path: Path) -> None:
    """With three names allowed for a file, eight links need further copies, and later runs use them."""

    def link(source: Path, target: Path) -> None:
        if source.stat().st_nlink >= 3:
            raise OSError(errno.EMLINK, "Too many links")
        os.link(source, target)

    for run in range(2):
        store = LocalStore(tmp_path / "store", make_link=link)
        store.bind("0123456789abcdef", "Smallville")
        draft = store.begin(STARTED, "default")
        blob = add(store, b"the same")
        for number in range(4):
            path = f"Web Map/{run}-{number}/item.json"
            draft.link(path, blob)
            assert store.is_linked(blob.sha256, f"backups/{draft.name}/{path}")
            assert store.read(draft.name, path) == b"the same"
    copies = [path.name for path in sorted(blob_path(store, blob).parent.iterdir())]
    assert copies == [blob.sha256 + number for number in ("", ".2", ".3", ".4")]
    assert list(store.blobs()) == [blob.sha256]
    assert store.remove_blobs([blob.sha256]) == 4 * blob.size
    assert not list(blob_path(store, blob).parent.iterdir())
    assert add(store, b"the same") == blob
    store.link(blob.sha256, "backups/x/again.json")
    assert store.is_linked(blob.sha256, "backups/x/again.json")


@posix
def test_nothing_refers_to_what_a_power_cut_could_take(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content is flushed before it gets its name, and the names of blobs before a file that lists them gets its own."""
    flushed: set[int] = set()
    new_names: set[Path] = set()
    listing: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watch_fsync(handle: int) -> None:
        flushed.add(os.fstat(handle).st_ino)
        new_names.difference_update([folder for folder in new_names if folder.stat().st_ino in flushed])
        fsync(handle)

    def watch_replace(source: Path, target: Path) -> None:
        assert source.stat().st_ino in flushed, f"{target} gets its name before its content is flushed"
        if "blobs" in target.parts:
            new_names.add(target.parent)
            flushed.discard(target.parent.stat().st_ino)
        elif "backups" in target.parts:
            assert not new_names, f"{target} is written before the names of blobs are flushed"
            listing.append(target.name)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watch_fsync)
    monkeypatch.setattr(os, "replace", watch_replace)
    save_sample(store)
    assert {"000001.jsonl", "000002.jsonl", "manifest.jsonl.gz", "AllItems.csv"} < set(listing)
    assert listing[-1] == "backup.json"
    assert not new_names


def test_a_large_file_is_moved_within_a_disk(store: LocalStore, tmp_path: Path) -> None:
    """Scratch on the store's own disk costs no copy: the blob is the spooled file."""
    with Spool(tmp_path / "scratch", in_memory=10) as spool:
        spool.write(b"x" * 100)
        before = spool.path().stat().st_ino
        blob, _ = store.add_blob(spool)
    assert blob_path(store, blob).stat().st_ino == before
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_large_file_from_another_disk_is_copied_and_hashed_again(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a move is not possible the copy's hash is checked, and what the disk garbled gets no name."""
    replace = os.replace

    def refuse(source: Path, target: Path) -> None:
        if source.parent.name == "scratch":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    blob = add(store, b"x" * 5000, tmp_path / "scratch")
    assert blob_path(store, blob).read_bytes() == b"x" * 5000
    with Spool(tmp_path / "scratch", in_memory=10) as spool:
        spool.write(b"y" * 5000)
        spool.path().write_bytes(b"z" * 5000)
        with pytest.raises(CheckFailed):
            store.add_blob(spool)
        assert store.blob_size(spool.sha256) is None
    assert list((store.root / "incoming").iterdir()) == []


def test_a_damaged_blob_is_replaced_by_the_proven_content(store: LocalStore) -> None:
    """A blob that was cut off is not taken for a saved one by the next run."""
    blob = add(store, b"whole")
    blob_path(store, blob).chmod(0o600)
    blob_path(store, blob).write_bytes(b"who")
    with Spool() as spool:
        spool.write(b"whole")
        assert store.add_blob(spool) == (blob, True)
    assert blob_path(store, blob).read_bytes() == b"whole"


def test_a_blob_that_rotted_is_replaced_by_the_proven_content(store: LocalStore) -> None:
    """Each run reads a blob once before it relies on it; one whose bytes have changed is replaced."""
    store.bind("0123456789abcdef", "Smallville")
    blob = add(store, b"whole")
    blob_path(store, blob).chmod(0o600)
    blob_path(store, blob).write_bytes(b"wh0le")
    store.begin(STARTED, "default")
    for is_new in (True, False):
        with Spool() as spool:
            spool.write(b"whole")
            assert store.add_blob(spool) == (blob, is_new)
        assert blob_path(store, blob).read_bytes() == b"whole"


def test_a_blob_is_read_once_in_a_run(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content that a run meets again and again costs one look at what the store holds of it."""
    read: list[str] = []
    open_blob = LocalStore.open_blob

    def note(self: LocalStore, sha256: str) -> IO[bytes]:
        read.append(sha256)
        return open_blob(self, sha256)

    blob = add(LocalStore(store.root), b"the same")
    monkeypatch.setattr(LocalStore, "open_blob", note)
    assert [add(store, b"the same") for _ in range(3)] == [blob] * 3
    assert [add(store, b"new") for _ in range(3)]
    assert read == [blob.sha256]


def test_the_next_run_removes_what_a_killed_one_left(store: LocalStore) -> None:
    """Files without a name are removed when a run takes the store; a left claim on the lock is outlived."""
    store.bind("0123456789abcdef", "Smallville")
    add(store, b"x")
    left = store.root / "incoming" / "left"
    left.write_bytes(b"half")
    left.chmod(0o400)
    claim = store.root / "lock.next"
    claim.write_bytes(b"")
    os.utime(claim, (0, 0))
    with store.lock("run", "ann") as lease:
        lease.check()
        assert list((store.root / "incoming").iterdir()) == []
        assert not claim.exists()


def test_a_file_in_use_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virus scanner that holds a new file for a while does no harm; one that never lets go is an error."""
    waited: list[float] = []
    replace = os.replace
    busy = 3

    def hold(source: Path, target: Path) -> None:
        if len(waited) < busy:
            raise PermissionError(errno.EACCES, "in use", str(source))
        replace(source, target)

    monkeypatch.setattr(os, "replace", hold)
    store = LocalStore(tmp_path / "store", sleep=waited.append)
    assert store.blob_size(add(store, b"x").sha256) == 1
    assert waited == list(PATIENCE[:3])
    busy = 1000
    with pytest.raises(StoreError, match="may not be read or written"):
        add(store, b"y")
    assert 3 < sum(waited) < 10
    assert list((store.root / "incoming").iterdir()) == []


def test_a_full_disk_is_said_and_harms_nothing(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full nothing half-written stays, and what is saved stays readable."""
    blob = add(store, b"before")
    before = files_below(store.root)

    def full(handle: int) -> None:  # noqa: ARG001
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreFull, match="make room") as caught:
        add(store, b"after")
    assert caught.value.exit_code == 6
    assert files_below(store.root) == before
    assert store.copied(blob.sha256).read() == b"before"


def test_blobs_leave_room_for_the_list_of_them(tmp_path: Path) -> None:
    """A disk that is nearly full takes no blob any more, but the journal and the lock still find room."""
    room = [1000]
    store = LocalStore(tmp_path / "store", room=lambda _folder: room[0])
    store.bind("0123456789abcdef", "Smallville")
    with store.lock("run", "ann") as lease:
        add(store, b"x" * 1000)
        room[0] = -5000
        with pytest.raises(
            StoreFull, match=r"nearly full: 0 B may be used and 1 B are needed.*stays readable; make room"
        ):
            add(store, b"y")
        store.put("backups/x/journal/000001.jsonl", b"what is saved")
        lease.renew()
        lease.check()
    assert list((store.root / "incoming").iterdir()) == []


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_folder_is_said(tmp_path: Path) -> None:
    """A folder that this account may not write is named, with what to do."""
    tmp_path.chmod(0o500)
    store = open_store(tmp_path / "store")
    with pytest.raises(StoreError, match="may not be read or written"):
        store.bind("0123456789abcdef", "Smallville")
    tmp_path.chmod(0o700)


def test_a_read_only_file_system_is_said(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operating system's refusal is a store error, and not a crash."""

    def refuse(path: Path, mode: int = 0o777) -> None:  # noqa: ARG001
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(StoreError, match="may not be read or written"):
        store.bind("0123456789abcdef", "Smallville")


def test_a_disk_that_goes_away_is_said(store: LocalStore, tmp_path: Path) -> None:
    """When the store's folder vanishes under a run, the run ends with a sentence; the lease's end does no more harm."""
    store.bind("0123456789abcdef", "Smallville")
    with store.lock("run", "ann") as lease:
        add(store, b"x")
        store.root.rename(tmp_path / "elsewhere")
        with pytest.raises(StoreError, match="has vanished"):
            add(store, b"y")
        with pytest.raises(StoreBusy, match="lost its hold"):
            lease.check()


def test_an_empty_folder_in_place_of_the_store_is_said(store: LocalStore, tmp_path: Path) -> None:
    """A share that is lost between opening the store and the run leaves an empty folder, in which nothing is begun."""
    store.bind("0123456789abcdef", "Smallville")
    opened = open_store(store.root)
    store.root.rename(tmp_path / "elsewhere")
    store.root.mkdir()
    with pytest.raises(StoreError, match=r"was there and is gone.*still connected"):
        opened.lock("run", "ann")
    assert list(store.root.iterdir()) == []


def test_an_empty_folder_under_a_run_stays_empty(store: LocalStore, tmp_path: Path) -> None:
    """A share that is lost right after the lock was taken gets no backup in the folder that it leaves."""
    store.bind("0123456789abcdef", "Smallville")
    opened = open_store(store.root)
    with opened.lock("run", "ann"):
        store.root.rename(tmp_path / "elsewhere")
        store.root.mkdir()
        for write in (
            lambda: opened.begin(STARTED, "default"),
            lambda: add(opened, b"x"),
            lambda: opened.put("backups/x/journal/1", b""),
        ):
            with pytest.raises(StoreError, match="has vanished"):
                write()
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN])
def test_a_share_that_is_lost_while_it_is_read_is_said(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Whatever the operating system says of a lost share is a store error, in the middle of a read too."""
    store.put("lock", b"x")

    class Lost(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", lambda *_: Lost())
    with pytest.raises(StoreError, match=r"cannot be used: .*store: ") as raised:
        store.get("lock")
    assert ("connect it again" in str(raised.value)) == (number != errno.EIO)


def test_a_folder_with_something_else_in_it_is_no_store(tmp_path: Path) -> None:
    """A folder that holds other files is refused and left as it is; what operating systems strew is ignored."""
    (tmp_path / ".DS_Store").write_bytes(b"")
    open_store(tmp_path)
    with pytest.raises(NoSuchBackup):
        open_store(tmp_path, create=False)
    (tmp_path / "thesis.doc").write_bytes(b"important")
    with pytest.raises(StoreError, match=r"is not a store and is not empty \(it holds 'thesis.doc'\)"):
        open_store(tmp_path)
    with pytest.raises(StoreError, match=r"is not a store \(it holds 'thesis.doc'\). Name the folder that holds"):
        open_store(tmp_path, create=False)
    assert set(files_below(tmp_path)) == {".DS_Store", "thesis.doc"}


def test_a_file_is_no_store(tmp_path: Path) -> None:
    """A file where a folder should be is said, also further up the path."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="is a file"):
        open_store(tmp_path / "file")
    with pytest.raises(StoreError, match="is a file"):
        open_store(tmp_path / "file" / "store").bind("0123456789abcdef", "Smallville")


def test_a_finished_backup_takes_a_further_file(store: LocalStore, tmp_path: Path) -> None:
    """The executed notebook is put beside the other files when the run has long ended."""
    name, _ = save_sample(store)
    (tmp_path / "executed.ipynb").write_bytes(b"{}")
    Draft(store, name).put_file("backup.ipynb", tmp_path / "executed.ipynb")
    assert store.read(name, "backup.ipynb") == b"{}"


def test_a_strange_folder_among_the_backups_is_no_backup(store: LocalStore) -> None:
    """What people or operating systems put there is not listed."""
    name, _ = save_sample(store)
    (store.root / "backups" / "old stuff").mkdir()
    (store.root / "backups" / ".DS_Store").write_bytes(b"")
    assert list(store.backups()["name"]) == [name]


def test_a_backup_killed_before_its_first_item_is_listed(store: LocalStore) -> None:
    """A run that only just began is unfinished, with its scope and time."""
    store.bind("0123456789abcdef", "Smallville")
    store.begin(datetime(2026, 1, 1, tzinfo=UTC), "weekly")
    assert store.backups().iloc[0][["state", "scope"]].tolist() == ["unfinished", "weekly"]


def test_every_path_of_a_backup_is_short(store: LocalStore) -> None:
    """No path inside a backup comes near the limit of Windows."""
    draft, _ = begin_sample(store)
    folder = store.root / "backups" / draft.name
    assert all(len(path.relative_to(folder).as_posix()) < 150 for path in folder.rglob("*"))
