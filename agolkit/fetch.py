"""One backup, or some of its items, as an ordinary folder or zip file."""

from __future__ import annotations

import hashlib
import os
import uuid
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agolkit import layout
from agolkit.errors import NoSuchBackup, StoreDamaged, StoreError, UsageError
from agolkit.manifest import ALL_ITEMS, SUMS, all_items_csv, read_outcomes, sum_line
from agolkit.model import Item, Outcome, Part, counted
from agolkit.store.base import Store
from agolkit.store.spool import CHUNK, Spool

# Compressing these again costs time and saves nothing.
_COMPRESSED = frozenset(
    [".zip", ".gz", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".7z", ".mp4", ".slpk", ".tpkx", ".vtpk"]
)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched."""

    backup: str
    to: str
    items: int
    files: int
    bytes: int

    def __str__(self) -> str:
        return (
            f"{counted(self.items, 'item')} of backup {self.backup}: "
            f"{counted(self.files, 'file')}, {self.bytes:,} bytes, in {self.to}."
        )

    __repr__ = __str__


def fetch(store: Store, backup: str, to: str | os.PathLike[str], *, items: Iterable[str] = ()) -> Fetched:
    """One backup as an ordinary folder, or as a zip file where `to` ends in `.zip`.

    A folder for each item type, as the tree has them, with AllItems.csv and SHA256SUMS of what was fetched. Resources
    get the portal's own names back where the file system allows. `items` are ids; without any, the whole backup is
    fetched, with its other files. Each file's hash is checked before it gets its name.

    Raises
    ------
    UsageError
        `to` is a folder that is not empty, or a file. Nothing was written.
    NoSuchBackup
        There is no such backup or item. Nothing was written.
    StoreDamaged
        Some files are missing or changed in the store; everything else was fetched. Trying again does not help.
    StoreError
        `to` cannot be written.
    """
    name = store.resolve(backup)
    outcomes = read_outcomes(store, name)
    wanted = set(items)
    if unknown := wanted - {outcome.item.id for outcome in outcomes}:
        raise NoSuchBackup(f"The backup {name} has no item {', '.join(sorted(unknown))}.")
    chosen = [outcome for outcome in outcomes if not wanted or outcome.item.id in wanted]
    target = Path(to).expanduser().absolute()
    damages: list[str] = []
    with _open_target(target) as destination:
        for outcome in chosen:
            _fetch_item(store, outcome, destination, damages)
        if not wanted:
            _fetch_own_files(store, name, destination, damages)
        destination.add_text(SUMS, "".join(sorted(destination.sums)).encode())
        destination.add_text(ALL_ITEMS, all_items_csv(chosen))
    if damages:
        raise StoreDamaged(
            f"{len(damages):,} files of backup {name} are damaged and were not fetched; all else is in {target}. "
            + " ".join(damages[:20])
        )
    return Fetched(name, str(target), len(chosen), len(destination.sums), destination.bytes)


def _fetch_item(store: Store, outcome: Outcome, destination: _Destination, damages: list[str]) -> None:
    # Names that are safe come first: they must have their place, whatever the portal's own names are.
    for part in sorted(outcome.parts, key=lambda part: layout.exact_path(part) != part.path):
        try:
            with store.copied(part.blob.sha256, destination.scratch) as spool:
                destination.add_part(outcome.item, part, spool, outcome.observed)
        except StoreDamaged as error:
            damages.append(f"{layout.tree_path(outcome.item, part)}: {error}")


def _fetch_own_files(store: Store, name: str, destination: _Destination, damages: list[str]) -> None:
    for path, expected in store.summary(name).get("files", {}).items():
        if path in (SUMS, ALL_ITEMS):
            continue
        content = store.find(f"backups/{name}/{path}")
        if content is None or hashlib.sha256(content).hexdigest() != expected["sha256"]:
            damages.append(f"{path}: it is missing or was changed.")
        else:
            destination.add_text(path, content)


class _Destination(ABC):
    """Where files are fetched to; remembers the names that are taken, so that none of them hides another."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.sums: list[str] = []
        self.bytes = 0
        self._taken: set[str] = set()
        self._folders: set[str] = set()

    def add_part(self, item: Item, part: Part, spool: Spool, moment: datetime) -> None:
        """Add a part under its exact name, or else under its safe one."""
        folder = layout.item_folder(item)
        exact, safe = f"{folder}/{layout.exact_path(part)}", f"{folder}/{part.path}"
        restored = exact != safe and self._may_be(exact) and self._add(exact, spool, moment, must=False)
        if not restored:
            self._add(safe, spool, moment, must=True)
        path = exact if restored else safe
        folded = layout.fold(path)
        self._taken.add(folded)
        self._folders.update(layout.folders_of(folded))
        self.sums.append(sum_line(part.blob.sha256, path))
        self.bytes += part.blob.size

    def add_text(self, path: str, content: bytes) -> None:
        """Add a small file of the backup itself."""
        with Spool(self.scratch) as spool:
            spool.write(content)
            self._add(path, spool, datetime.now(UTC), must=True)

    def _may_be(self, path: str) -> bool:
        folded = layout.fold(path) if layout.allowed(path, windows=self._is_portable()) else ""
        return bool(folded) and not (
            folded in self._taken or folded in self._folders or self._taken & set(layout.folders_of(folded))
        )

    @abstractmethod
    def _is_portable(self) -> bool:
        """Whether names must be good for every system."""

    @abstractmethod
    def _add(self, path: str, spool: Spool, moment: datetime, *, must: bool) -> bool:
        """Add a file, whole; whether that could be done, where it is not a `must`."""


class _Folder(_Destination):
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


class _Zip(_Destination):
    def __init__(self, scratch: Path, archive: zipfile.ZipFile) -> None:
        super().__init__(scratch)
        self._archive = archive

    def _is_portable(self) -> bool:
        return True

    def _add(self, path: str, spool: Spool, moment: datetime, *, must: bool) -> bool:  # noqa: ARG002
        member = zipfile.ZipInfo(path, max(moment.astimezone(UTC).timetuple()[:6], (1980, 1, 1, 0, 0, 0)))
        member.compress_type = zipfile.ZIP_STORED if layout.extension(path) in _COMPRESSED else zipfile.ZIP_DEFLATED
        member.external_attr = 0o100600 << 16
        member.file_size = spool.size  # lets zipfile choose ZIP64 where it is needed
        try:
            with spool.open() as stream, self._archive.open(member, "w") as entry:
                while chunk := stream.read(CHUNK):
                    entry.write(chunk)
        except OSError as error:
            raise StoreError(f"{self._archive.filename} cannot be written: {error.strerror}.") from error
        return True


@contextmanager
def _open_target(target: Path) -> Iterator[_Destination]:
    """The destination; a zip file gets its name when it is complete."""
    if target.suffix.lower() != ".zip":
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UsageError(f"{target} is not empty. Name a new or an empty folder, so that nothing is overwritten.")
        with _writing(target):
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield _Folder(target)
        return
    if target.exists():
        raise UsageError(f"{target} exists. Name a new zip file, so that nothing is overwritten.")
    unfinished = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.part")
    with _writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(handle, "w+b") as file, zipfile.ZipFile(file, "w") as archive:
            yield _Zip(target.parent, archive)
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}. Name another place.") from error
