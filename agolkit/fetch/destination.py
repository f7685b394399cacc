"""Where a backup is fetched to: a folder or a zip file, each of whose files has the name that it can have there."""

from __future__ import annotations

import hashlib
import os
import uuid
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from agolkit import layout
from agolkit.all_items import ALL_ITEMS, all_items_csv
from agolkit.errors import StoreDamaged, StoreError, UsageError
from agolkit.manifest import SUMS, sum_line
from agolkit.model import Blob, Item, Outcome, Part
from agolkit.progress import beat
from agolkit.store.base import Store
from agolkit.store.spool import CHUNK, Spool

# Compressing these again costs time and saves nothing.
_COMPRESSED = frozenset(
    [".zip", ".gz", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".7z", ".mp4", ".slpk", ".tpkx", ".vtpk"]
)


def own_files(store: Store, backup: str) -> Iterator[tuple[str, bytes | None]]:
    """The path and the content of each of the backup's own files, but for the lists that are made of what is fetched;
    `None` for one that is missing or was changed."""
    for path, expected in store.summary(backup).get("files", {}).items():
        if path not in (SUMS, ALL_ITEMS):
            content = store.find(f"backups/{backup}/{path}")
            is_whole = content is not None and hashlib.sha256(content).hexdigest() == expected["sha256"]
            yield path, content if is_whole else None


class Destination(ABC):
    """Where files are fetched to; remembers the names that are taken, so that none of them hides another."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.sums: list[str] = []
        self.bytes = 0
        self._taken: set[str] = set()
        self._folders: set[str] = set()

    def reserve(self, paths: Iterable[str]) -> None:
        """Keep these safe paths free, and their folders: the portal's own names take none of them."""
        for folded in map(layout.fold, paths):
            self._taken.add(folded)
            self._folders.update(layout.folders_of(folded))

    def add_part(self, item: Item, part: Part, spool: Spool, moment: datetime) -> None:
        """Add a part under its exact name, or else under its safe one."""
        path, safe = self._name_of(item, part), layout.tree_path(item, part)
        if path == safe or not self._add(path, spool, moment, must=False):
            path = safe
            self._add(path, spool, moment, must=True)
        self._note(path, part.blob.sha256, part.blob.size)

    def add_made(self, outcome: Outcome, path: str, spool: Spool) -> None:
        """Add a file that was made of an item's parts."""
        path = f"{layout.item_folder(outcome.item)}/{path}"
        sha256, size = spool.sha256, spool.size
        self._add(path, spool, outcome.observed, must=True)
        self._note(path, sha256, size)

    def add_text(self, path: str, content: bytes) -> None:
        """Add a small file of the backup itself."""
        with Spool(self.scratch) as spool:
            spool.write(content)
            self._add(path, spool, datetime.now(UTC), must=True)

    def add_lists(self, outcomes: Sequence[Outcome]) -> None:
        """Add what lists all that was fetched: SHA256SUMS and AllItems.csv."""
        self.add_text(SUMS, "".join(sorted(self.sums)).encode())
        self.add_text(ALL_ITEMS, all_items_csv(outcomes))

    def _note(self, path: str, sha256: str, size: int) -> None:
        folded = layout.fold(path)
        self._taken.add(folded)
        self._folders.update(layout.folders_of(folded))
        self.sums.append(sum_line(sha256, path))
        self.bytes += size

    def _name_of(self, item: Item, part: Part) -> str:
        """The exact name of a part where it can have that, else its safe one."""
        exact = f"{layout.item_folder(item)}/{layout.exact_path(part)}"
        return exact if self._may_be(exact) else layout.tree_path(item, part)

    def _may_be(self, path: str) -> bool:
        is_portable = self._is_portable()
        if not layout.allowed(path, windows=is_portable) or (is_portable and not layout.is_short(path)):
            return False
        folded = layout.fold(path)
        return not (folded in self._taken or folded in self._folders or self._taken & set(layout.folders_of(folded)))

    @abstractmethod
    def _is_portable(self) -> bool:
        """Whether names must be good for every system."""

    @abstractmethod
    def _add(self, path: str, spool: Spool, moment: datetime, *, must: bool) -> bool:
        """Add a file, whole; whether that could be done, where it is not a `must`."""


class Folder(Destination):
    """An ordinary folder."""

    def _is_portable(self) -> bool:
        return os.name == "nt"

    def _add(self, path: str, spool: Spool, moment: datetime, *, must: bool) -> bool:  # noqa: ARG002
        target = self.scratch / path
        try:
            for folder in reversed(target.relative_to(self.scratch).parents):
                (self.scratch / folder).mkdir(mode=0o700, exist_ok=True)
            os.replace(spool.path(), target)
        except OSError as error:
            if must:
                raise StoreError(f"{target} cannot be written: {error.strerror}.") from error
            return False
        spool.moved(target)
        return True


class Zip(Destination):
    """A zip file, which every system can unpack."""

    def __init__(self, scratch: Path, archive: zipfile.ZipFile, *, check: Callable[[], None] = beat) -> None:
        super().__init__(scratch)
        self._archive = archive
        self._check = check

    def _is_portable(self) -> bool:
        return True

    def add_blob(self, store: Store, item: Item, part: Part, moment: datetime) -> None:
        """Add a part from where it lies, without a copy; its hash is checked on the way.

        Raises `StoreDamaged` where it is not what it was: the zip is of no use then.
        """
        path = self._name_of(item, part)
        try:
            with store.open_blob(part.blob.sha256) as stream:
                found = self._write(path, stream, part.blob.size, moment)
        except OSError as error:
            raise StoreDamaged(f"{path}: it cannot be read: {error.strerror}. The disk may be failing.") from error
        if found != part.blob:
            raise StoreDamaged(f"{path}: blob {part.blob.sha256} is not what it was.")
        self._note(path, part.blob.sha256, part.blob.size)

    def _add(self, path: str, spool: Spool, moment: datetime, *, must: bool) -> bool:  # noqa: ARG002
        try:
            with spool.open() as stream:
                self._write(path, stream, spool.size, moment)
        except OSError as error:
            raise StoreError(f"{self._archive.filename} cannot be written: {error.strerror}.") from error
        return True

    def _write(self, path: str, stream: IO[bytes], size: int, moment: datetime) -> Blob:
        """What was written; no more than `size` bytes, and one that shows that there are more."""
        member = zipfile.ZipInfo(path, max(moment.astimezone(UTC).timetuple()[:6], (1980, 1, 1, 0, 0, 0)))
        member.compress_type = zipfile.ZIP_STORED if layout.extension(path) in _COMPRESSED else zipfile.ZIP_DEFLATED
        member.external_attr = 0o100600 << 16
        member.file_size = size  # lets zipfile choose ZIP64 where it is needed
        digest, written = hashlib.sha256(), 0
        with self._archive.open(member, "w") as entry:
            while chunk := stream.read(min(CHUNK, size + 1 - written)):
                self._check()
                entry.write(chunk)
                digest.update(chunk)
                written += len(chunk)
        return Blob(digest.hexdigest(), written)


@contextmanager
def open_target(target: Path) -> Iterator[Destination]:
    """The destination; a zip file gets its name when it is complete."""
    where = target.resolve()
    if store := next((folder for folder in (where, *where.parents) if (folder / "store.json").is_file()), None):
        raise UsageError(
            f"{target} lies in the store {store}, where only agolkit writes. Name a folder or zip file outside of it."
        )
    if target.suffix.lower() != ".zip":
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UsageError(f"{target} is not empty. Name a new or an empty folder, so that nothing is overwritten.")
        with writing(target):
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield Folder(target)
        return
    if target.exists():
        raise UsageError(f"{target} exists. Name a new zip file, so that nothing is overwritten.")
    unfinished = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.part")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(handle, "w+b") as file, zipfile.ZipFile(file, "w") as archive:
            yield Zip(target.parent, archive)
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """What the system refuses inside the block, as our error."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}. Name another place.") from error
