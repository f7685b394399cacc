"""A store in a folder of a disk or a network share."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from agolkit import layout
from agolkit.errors import CheckFailed, StoreError, StoreFull
from agolkit.model import in_bytes
from agolkit.store.base import Store
from agolkit.store.blobs import blob_key
from agolkit.store.claim import claim_of, find_claimer, holds, remove_left, take
from agolkit.store.flushing import flush_file, flush_folder, private, write_new
from agolkit.store.holder import Holder
from agolkit.store.lease import LOCK, QUIET, not_released
from agolkit.store.spool import Spool, copy_hashed, room_on
from agolkit.store.trouble import in_words

T = TypeVar("T")

INCOMING = "incoming"
"""Folder in the store for files that are not complete yet; whoever holds the lease may empty it."""
PATIENCE = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0)
"""Seconds between the tries of a rename: on Windows a virus scanner may hold a new file for a while."""
_TOO_MANY_LINKS = 1142  # Windows' own number of EMLINK


class LocalStore(Store):
    """A store in the folder `root`, made when something is first written."""

    def __init__(
        self,
        root: Path,
        *,
        sleep: Callable[[float], object] = time.sleep,
        make_link: Callable[[Path, Path], object] = os.link,
        room: Callable[[Path], int | None] = room_on,
    ) -> None:
        super().__init__(str(root))
        self.root = root
        self._sleep = sleep
        self._make_link = make_link
        self._room = room
        self._made: set[Path] = set()
        self._unflushed: set[Path] = set()
        self._noting = threading.Lock()
        self._flushing = threading.Lock()
        self._chains: dict[str, int] = {}
        self._chaining = threading.Lock()

    # The primitives

    def open(self, key: str) -> IO[bytes]:
        with self._trouble(may_be_absent=True):
            return self._path(key).open("rb")

    def get(self, key: str) -> bytes:
        with self._trouble(may_be_absent=True):  # around the reading too: a share may be lost in the middle of it
            return super().get(key)

    def size(self, key: str) -> int | None:
        with self._trouble():
            try:
                facts = self._path(key).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return facts.st_size if stat.S_ISREG(facts.st_mode) else None

    def names(self, prefix: str) -> list[str]:
        with self._trouble():
            try:
                return sorted(os.listdir(self._path(prefix.rstrip("/")) if prefix else self.root))
            except FileNotFoundError:
                return []

    def keep(self, key: str, spool: Spool, *, read_only: bool = False) -> None:
        target = self._path(key)
        with self._trouble():
            arrived = self._incoming()
            try:
                # What tells of the blobs must find room when they do not.
                self._arrive(spool, arrived, may_fill=not read_only)
                self._make_folder(target.parent)
                if read_only:
                    if target.exists():
                        self._discard(
                            target
                        )  # damaged, or it would not be replaced; Windows replaces nothing read-only
                    with contextlib.suppress(PermissionError):  # FAT knows no such mode
                        os.chmod(arrived, stat.S_IREAD)
                self._rename(arrived, target)
            except (OSError, CheckFailed):
                self._discard(arrived)
                raise
            if spool.on_disk() == arrived:
                spool.moved(target)

    def stream(self, key: str, pieces: Iterable[bytes]) -> None:
        target = self._path(key)
        with self._trouble():
            self._make_folder(target.parent)
            arrived = self._incoming()
            try:
                with open(arrived, "xb", opener=private) as file:
                    for piece in pieces:
                        self._check_room(len(piece), may_fill=False)
                        file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
                self._rename(arrived, target)
            except BaseException:
                self._discard(arrived)
                raise

    def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        target = self._path(key)
        claim = claim_of(target)
        with self._trouble():
            self._make_folder(target.parent)
            ours = take(claim, partial(self._age, claim))
            if ours is None:
                return False
            try:
                if self.find(key) != old:
                    return False
                arrived = self._incoming()
                try:
                    write_new(arrived, new)
                    if not holds(claim, ours):
                        return False
                    self._rename(arrived, target)
                finally:
                    self._discard(arrived)
            finally:
                if holds(claim, ours):
                    self._discard(claim)
            self.flush()
            return True

    def age(self, key: str) -> float | None:
        with self._trouble():
            return self._age(self._path(key))

    def now(self) -> datetime:
        with self._trouble():
            return datetime.fromtimestamp(self._time(), UTC)

    def flush(self) -> None:
        # One at a time: whoever returns from here relies on the folders that another thread is still flushing.
        with self._flushing, self._trouble():
            with self._noting:
                folders, self._unflushed = self._unflushed, set()
            for folder in folders:
                flush_folder(folder)

    def tidy(self) -> None:
        with self._trouble():
            # From here on the folders are known to be there, and are never made again: where the store was on a share
            # that is lost, an empty folder in its place must not become a store.
            for name in (INCOMING, "blobs", "backups") if self.portal_id else ():
                self._make_folder(self.root / name)
            for name in self.names(INCOMING):
                self._discard(self.root / INCOMING / name)
            # A killed run may have left blobs whose names a power cut could still undo; this run may refer to them.
            for name in self.names("blobs"):
                self._note(self.root / "blobs" / name)

    def remove(self, key: str) -> None:
        if self.size(key) is None:
            return
        path = self._path(key)
        with self._trouble():
            self._discard(path)
        self._chains.pop(path.name, None)
        self._note(path.parent)

    def clear(self, prefix: str) -> None:
        top = self._path(prefix)
        with self._trouble():
            if top.is_dir():
                self._note(top.parent)
            for folder, _, files in os.walk(top, topdown=False):
                for name in files:
                    self._discard(Path(folder, name))
                os.rmdir(folder)
        self._made = {folder for folder in self._made if not folder.is_relative_to(top)}
        with self._noting:
            self._unflushed = {folder for folder in self._unflushed if not folder.is_relative_to(top)}

    def can_link(self) -> bool:
        with self._trouble():
            probe = self._incoming()
            write_new(probe, b"")
            twin = probe.with_name(probe.name + "-2")
            try:
                self._make_link(probe, twin)
            except OSError:
                return False
            finally:
                self._discard(probe)
                self._discard(twin)
        return True

    def link(self, sha256: str, key: str) -> None:
        # A file system limits the links to one file (NTFS 1,023, ext4 65,000). At the limit a copy beside the blob,
        # `<sha256>.2` and so on, takes the links that follow.
        target = self._path(key)
        with self._trouble(may_be_absent=True):
            self._make_folder(target.parent)
            while True:
                number = self._chains.get(sha256, 1)
                try:
                    self._make_link(self._path(blob_key(sha256, number)), target)
                except FileExistsError as error:
                    if self.is_linked(sha256, key):
                        return
                    raise StoreError(f"Two different files are to be saved as {key}.") from error
                except OSError as error:
                    if error.errno != errno.EMLINK and getattr(error, "winerror", None) != _TOO_MANY_LINKS:
                        raise
                    self._extend_chain(sha256, number)
                else:
                    self._note(target.parent)
                    return

    def is_linked(self, sha256: str, key: str) -> bool:
        path, number = self._path(key), 1
        while self.size(link := blob_key(sha256, number)) is not None:
            if path.exists() and path.samefile(self._path(link)):
                return True
            number += 1
        return False

    # Where it lies, and who holds it

    def outer(self) -> str:
        above = self.root.resolve().parents
        return next((str(folder) for folder in above if os.path.isfile(folder / "store.json")), "")

    def holder(self) -> Holder | None:
        claim = claim_of(self._path(LOCK))
        with self._trouble():
            return super().holder() or find_claimer(claim, partial(self._age, claim))

    def unlock(self) -> Holder | None:
        self._check_writable()
        claim = claim_of(self._path(LOCK))
        with self._trouble():
            claimer = find_claimer(claim, partial(self._age, claim))
            if claimer and not remove_left(claim, partial(self._age, claim), QUIET):
                raise not_released(self, claimer)
        return super().unlock() or claimer

    # How they work

    def _path(self, key: str) -> Path:
        if not layout.allowed(key):
            raise StoreError(f"{key!r} is not a path inside a store.")
        return self.root / key

    def _arrive(self, spool: Spool, arrived: Path, *, may_fill: bool) -> None:
        """Make the spool's content a file of the store, complete and flushed, that has no name of its own yet.

        `may_fill`: it may use the last bytes of the disk.
        """
        source = spool.on_disk()
        if source is None:
            self._check_room(spool.size, may_fill=may_fill)
            write_new(arrived, spool.read())
            return
        try:
            self._rename(source, arrived)
            spool.moved(arrived)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._check_room(spool.size, may_fill=may_fill)
            with spool.open() as stream, open(arrived, "xb", opener=private) as copy:
                digest, _ = copy_hashed(stream, copy)
            if digest != spool.sha256:
                raise CheckFailed(f"{source} does not hold what was written to it; the disk may be failing.") from error
        flush_file(arrived)

    def _incoming(self) -> Path:
        self._make_folder(self.root / INCOMING)
        return self.root / INCOMING / uuid.uuid4().hex

    def _make_folder(self, folder: Path) -> None:
        if folder in self._made:
            return
        if not folder.exists():
            self._make_folder(folder.parent)
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            self._note(folder.parent)
        self._made.add(folder)

    def _note(self, folder: Path) -> None:
        """Remember that a name in `folder` is new, and lost in a power cut until the folder is flushed."""
        with self._noting:
            self._unflushed.add(folder)

    def _rename(self, source: Path, target: Path) -> None:
        self._patiently(lambda: os.replace(source, target))
        self._note(target.parent)

    def _discard(self, path: Path) -> None:
        def remove() -> None:
            try:
                path.unlink(missing_ok=True)
            except PermissionError:
                os.chmod(path, stat.S_IREAD | stat.S_IWRITE)  # Windows does not unlink what is read-only
                path.unlink(missing_ok=True)

        self._patiently(remove)

    def _patiently(self, action: Callable[[], T]) -> T:
        for seconds in PATIENCE:
            try:
                return action()
            except PermissionError:
                self._sleep(seconds)
        return action()

    def _extend_chain(self, sha256: str, number: int) -> None:
        with self._chaining:
            if self._chains.get(sha256, 1) > number:
                return
            key = blob_key(sha256, number + 1)
            if self.size(key) is None:
                with self.copied(sha256, self.root / INCOMING) as spool:
                    self.keep(key, spool, read_only=True)
            self._chains[sha256] = number + 1

    def _age(self, path: Path) -> float | None:
        try:
            written = path.stat().st_mtime
        except FileNotFoundError:
            return None
        return self._time() - written

    def _time(self) -> float:
        """Seconds since 1970, as the file system stamps a new file."""
        with tempfile.TemporaryFile(dir=self.root) as probe:
            probe.write(b"?")
            probe.flush()
            os.fsync(probe.fileno())
            return os.fstat(probe.fileno()).st_mtime

    def _check_room(self, size: int, *, may_fill: bool) -> None:
        room = None if may_fill else self._room(self.root)
        if room is not None and room < size:
            raise StoreFull(
                f"The disk of the store {self.root} is nearly full: {in_bytes(max(0, room))} may be used and "
                f"{in_bytes(size)} are needed; the rest is left free for the journal and the list of what is saved. "
                "What is saved stays readable; make room and run again."
            )

    @contextmanager
    def _trouble(self, *, may_be_absent: bool = False) -> Iterator[None]:
        """Say what the operating system's error means for the store."""
        try:
            yield
        except OSError as error:
            if may_be_absent and isinstance(error, FileNotFoundError):
                raise
            raise in_words(error, self.root) from error
