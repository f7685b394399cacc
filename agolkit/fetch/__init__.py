"""One backup, or some of its items, as an ordinary folder or zip file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agolkit import layout
from agolkit.errors import CheckFailed, NoSuchBackup, StoreDamaged, UsageError
from agolkit.fetch.destination import Destination, open_target, own_files, writing
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, counted
from agolkit.store.ahead import Ahead
from agolkit.store.base import Store
from agolkit.store.spool import Spool
from agolkit.thawing import check_thawed

if TYPE_CHECKING:
    from agolkit.kinds.feature_service.conversion.files import Converted, Format


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
    # What a format takes the place of is not fetched at all.
    blobs = (part.blob for outcome in chosen for part in outcome.parts if format is None)
    with open_target(target) as destination, Ahead(store, blobs, destination.scratch) as ahead:
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
            _fetch_item(store, ahead, outcome, destination, damages, without=converted.replaced if converted else ())
        if not wanted:
            for path, content in own_files(store, name):
                if content is None:
                    damages.append(f"{path}: it is missing or was changed.")
                else:
                    destination.add_text(path, content)
        destination.add_lists(chosen)
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


def _convert_item(store: Store, outcome: Outcome, format: Format, destination: Destination) -> Converted | None:
    """Add the layers of an item in this format; nothing, where it has none or they cannot be converted."""
    from agolkit.kinds.feature_service.conversion.files import convert

    with tempfile.TemporaryDirectory(prefix=".agolkit-", dir=destination.scratch) as folder:
        with writing(destination.scratch):
            converted = convert(store, outcome, format, Path(folder))
        if converted:
            for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
                path.chmod(0o600)
                with Spool.over(path) as spool:
                    destination.add_made(outcome, path.relative_to(folder).as_posix(), spool)
    return converted


def _fetch_item(
    store: Store,
    ahead: Ahead,
    outcome: Outcome,
    destination: Destination,
    damages: list[str],
    *,
    without: Container[str],
) -> None:
    parts = [part for part in outcome.parts if part.path not in without]
    destination.reserve(layout.tree_path(outcome.item, part) for part in parts)
    for part in parts:
        try:
            sha256 = part.blob.sha256
            with ahead.take(sha256) or store.copied(sha256, destination.scratch) as spool:
                destination.add_part(outcome.item, part, spool, outcome.observed)
        except StoreDamaged as error:
            damages.append(f"{layout.tree_path(outcome.item, part)}: {error}")
