"""One backup, or some of its items, as an ordinary folder or zip file."""

from __future__ import annotations

import hashlib
import os
import tempfile
import uuid
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agolkit import layout
from agolkit.all_items import ALL_ITEMS, all_items_csv
from agolkit.errors import CheckFailed, NoSuchBackup, StoreDamaged, StoreError, UsageError
from agolkit.manifest import SUMS, read_outcomes, sum_line
from agolkit.model import Item, Outcome, Part, counted
from agolkit.store.base import Store
from agolkit.store.spool import CHUNK, Spool
from agolkit.thawing import check_thawed

if TYPE_CHECKING:
    from agolkit.kinds.feature_service.conversion.files import Converted, Format

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
    format: str | None = None
    """What saved layers were converted to; `None`: nothing."""
    layers: int = 0
    rows: int = 0
    attachments: int = 0
    """How much was converted."""
    notes: tuple[str, ...] = ()
    """What the format could not take as it was, a sentence each."""

    def __str__(self) -> str:
        lines = [
            f"{counted(self.items, 'item')} of backup {self.backup}: "
            f"{counted(self.files, 'file')}, {self.bytes:,} bytes, in {self.to}."
        ]
        if self.format:
            converted = f"As {self.format}: {counted(self.layers, 'layer')} with {counted(self.rows, 'row')}"
            # None are converted where they stay files, which "0 attachments" would hide.
            converted += f" and {counted(self.attachments, 'attachment')}" if self.attachments else ""
            lines.append(f"{converted}.")
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    __repr__ = __str__


def fetch(
    store: Store,
    backup: str,
    to: str | os.PathLike[str],
    *,
    items: Iterable[str] = (),
    format: Format | None = None,
) -> Fetched:
    """One backup as an ordinary folder, or as a zip file where `to` ends in `.zip`.

    A folder for each item type, as the tree has them, with AllItems.csv and SHA256SUMS of what was fetched. Resources
    get the portal's own names back where the file system allows. `items` are ids; without any, the whole backup is
    fetched, with its other files. Each file's hash is checked before it gets its name.

    With a `format`, saved layers come as `layers.gdb` (File Geodatabase), `layers.gpkg` (GeoPackage) or a
    `<layer>~<id>.parquet` for each layer (GeoParquet), in place of the form in which they were saved, and are compared
    with it. With `gdb` and `gpkg` the attachments are in tables `<layer>__ATTACH`. Everything else comes as it is.

    Raises
    ------
    UsageError
        `to` is a folder that is not empty, a file, or in a store; or there is no such `format`. Nothing was written.
    NoSuchBackup
        There is no such backup or item. Nothing was written.
    Archived
        Some files lie in an archive class and cannot be read before a thaw. Nothing was written.
    StoreDamaged
        Some files are missing or changed in the store; everything else was fetched. Trying again does not help.
    CheckFailed
        The layers of some items could not be converted; they were fetched as they were saved, and so was everything
        else. Trying again does not help; another `format` may.
    StoreError
        `to` cannot be written.
    """
    if format is not None:
        check_format(format)
    name = store.resolve(backup)
    outcomes = read_outcomes(store, name)
    wanted = set(items)
    if unknown := wanted - {outcome.item.id for outcome in outcomes}:
        raise NoSuchBackup(f"The backup {name} has no item {', '.join(sorted(unknown))}.")
    chosen = [outcome for outcome in outcomes if not wanted or outcome.item.id in wanted]
    check_thawed(store, name, chosen, sorted(wanted))
    target = Path(to).expanduser().absolute()
    damages: list[str] = []
    refusals: list[str] = []
    made: list[tuple[Outcome, Converted]] = []
    with _open_target(target) as destination:
        for outcome in chosen:
            converted = None
            if format is not None:
                try:
                    converted = _convert_item(store, outcome, format, destination)
                except StoreDamaged:
                    pass  # said below, when the damaged part itself is fetched
                except CheckFailed as error:
                    refusals.append(f"{outcome.item.title!r} ({outcome.item.id}): {error}")
            if converted:
                made.append((outcome, converted))
            _fetch_item(store, outcome, destination, damages, without=converted.replaced if converted else ())
        if not wanted:
            _fetch_own_files(store, name, destination, damages)
        destination.add_text(SUMS, "".join(sorted(destination.sums)).encode())
        destination.add_text(ALL_ITEMS, all_items_csv(chosen))
    if damages:
        raise StoreDamaged(
            f"{len(damages):,} files of backup {name} are damaged and were not fetched; all else is in {target}. "
            + " ".join(damages[:20])
        )
    if refusals:
        raise CheckFailed(
            f"{counted(len(refusals), 'item')} could not be converted to {format} and came as saved; all else is in "
            f"{target}. " + " ".join(refusals[:20])
        )
    return Fetched(
        name,
        str(target),
        len(chosen),
        len(destination.sums),
        destination.bytes,
        format,
        layers=sum(each.layers for _, each in made),
        rows=sum(each.rows for _, each in made),
        attachments=sum(each.attachments for _, each in made),
        notes=tuple(f"{outcome.item.title!r}, {note}." for outcome, each in made for note in each.notes),
    )


def check_format(format: str) -> None:
    """Raise `UsageError` where saved layers cannot be converted to this."""
    from agolkit.kinds.feature_service.conversion.files import FORMATS

    if format not in FORMATS:
        raise UsageError(f"{format!r} is no format of fetched layers; there are {', '.join(FORMATS)}.")


def _convert_item(store: Store, outcome: Outcome, format: Format, destination: _Destination) -> Converted | None:
    """Add the layers of an item in this format; nothing, where it has none or they cannot be converted."""
    from agolkit.kinds.feature_service.conversion.files import convert

    with tempfile.TemporaryDirectory(prefix=".agolkit-", dir=destination.scratch) as folder:
        with _writing(destination.scratch):
            converted = convert(store, outcome, format, Path(folder))
        if converted:
            for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
                path.chmod(0o600)
                with Spool.over(path) as spool:
                    destination.add_made(outcome, path.relative_to(folder).as_posix(), spool)
    return converted


def _fetch_item(
    store: Store, outcome: Outcome, destination: _Destination, damages: list[str], *, without: Container[str]
) -> None:
    parts = [part for part in outcome.parts if part.path not in without]
    destination.reserve(layout.tree_path(outcome.item, part) for part in parts)
    for part in parts:
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

    def reserve(self, paths: Iterable[str]) -> None:
        """Keep these safe paths free, and their folders: the portal's own names take none of them."""
        for folded in map(layout.fold, paths):
            self._taken.add(folded)
            self._folders.update(layout.folders_of(folded))

    def add_part(self, item: Item, part: Part, spool: Spool, moment: datetime) -> None:
        """Add a part under its exact name, or else under its safe one."""
        folder = layout.item_folder(item)
        exact, safe = f"{folder}/{layout.exact_path(part)}", f"{folder}/{part.path}"
        restored = exact != safe and self._may_be(exact) and self._add(exact, spool, moment, must=False)
        if not restored:
            self._add(safe, spool, moment, must=True)
        self._note(exact if restored else safe, part.blob.sha256, part.blob.size)

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

    def _note(self, path: str, sha256: str, size: int) -> None:
        folded = layout.fold(path)
        self._taken.add(folded)
        self._folders.update(layout.folders_of(folded))
        self.sums.append(sum_line(sha256, path))
        self.bytes += size

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
    where = target.resolve()
    if store := next((folder for folder in (where, *where.parents) if (folder / "store.json").is_file()), None):
        raise UsageError(
            f"{target} lies in the store {store}, where only agolkit writes. Name a folder or zip file outside of it."
        )
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
