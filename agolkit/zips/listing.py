"""Which zips a store has: `zips.json`, and what stands in one of them."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agolkit.all_items import ALL_ITEMS
from agolkit.errors import StoreDamaged, StoreError
from agolkit.layout import backup_moment, folder_ending
from agolkit.store import Store
from agolkit.store.version import FORMAT

if TYPE_CHECKING:
    import pandas

LIST = "zips.json"
"""Beside `zips/` and not in it: what moves old files of that folder to an archive must not move the list."""


@dataclass(frozen=True, slots=True)
class PublishedZip:
    """A zip of one backup, published and proven. `str()` says it in a sentence."""

    name: str
    """In `zips/`: `springfield_2026-11-23T020000Z.zip`."""
    backup: str
    scope: str
    published: str
    """When; UTC."""
    bytes: int
    files: int
    """Files in it."""
    sha256: str
    """Of the zip itself."""

    @property
    def key(self) -> str:
        """Where it is in the store."""
        return f"zips/{self.name}"

    @property
    def started(self) -> datetime:
        """When its backup began."""
        return backup_moment(self.backup)

    def __str__(self) -> str:
        return f"{self.key}, the backup {self.backup} in one zip: {self.files:,} files, {self.bytes:,} bytes."


def read_zips(store: Store) -> list[PublishedZip]:
    """The zips that a store has, the oldest backup first; a file of `zips/` that the list does not name is none.

    Raises `StoreDamaged` where the list cannot be read.
    """
    _, listed = _listed(store)
    there = set(store.names("zips")) if listed else set()
    return sorted((each for each in listed if each.name in there), key=lambda each: (each.backup, each.name))


def list_zips(store: Store) -> pandas.DataFrame:
    """One row per zip of a store, the oldest backup first.

    Columns: `name` (of the file in `zips/`), `backup`, `scope`, `published` (UTC), `bytes` and `files` (`Int64`),
    `sha256` (of the zip). The backup itself may have been removed since.

    Raises `StoreDamaged` where `zips.json` cannot be read. Trying again does not help.
    """
    import pandas

    names = [each.name for each in fields(PublishedZip)]
    frame = pandas.DataFrame([asdict(each) for each in read_zips(store)], columns=names)
    dtypes: dict[str, Any] = dict.fromkeys(names, str) | {"bytes": "Int64", "files": "Int64"}
    frame = frame.astype(dtypes)
    frame["published"] = pandas.to_datetime(frame["published"], utc=True).astype("datetime64[us, UTC]")
    return frame


def note_zip(store: Store, published: PublishedZip) -> None:
    """Add a zip to the list, durably. For whoever holds the lease."""
    _rewrite(store, [each for each in read_zips(store) if each.name != published.name] + [published])


def remove_zips(store: Store, names: Collection[str]) -> None:
    """Remove zips, durably. For whoever holds the lease."""
    kept = [each for each in read_zips(store) if each.name not in names]
    for name in names:
        store.remove(f"zips/{name}")
    store.flush()
    if names:
        _rewrite(store, kept)


def items_in_zip(store: Store, name: str, item_ids: Collection[str]) -> dict[str, int]:
    """Which of these items stand in a zip, each with the number of its files there.

    Raises `StoreError` where it cannot be read: it is damaged, or in an archive.
    """
    try:
        with store.open(f"zips/{name}") as stream, zipfile.ZipFile(stream) as archive:
            rows = archive.read(ALL_ITEMS)
            folders = Counter(path.split("/")[1] for path in archive.namelist() if "/" in path)
    except (zipfile.BadZipFile, zlib.error, KeyError, OSError) as error:
        raise StoreDamaged(f"zips/{name} in {store.location} cannot be read: {error}") from error
    return {
        item_id: sum(count for folder, count in folders.items() if folder.endswith(folder_ending(item_id)))
        for item_id in item_ids
        if item_id.encode() in rows
    }


def _listed(store: Store) -> tuple[bytes | None, list[PublishedZip]]:
    """The content of the list, and what it names."""
    content = store.find(LIST)
    if content is None:
        return None, []
    try:
        return content, [PublishedZip(**_known(line)) for line in json.loads(content)["zips"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreDamaged(
            f"{store.location}/{LIST} cannot be read. Take it from a copy of the store; or remove it, and publish the "
            "zips that you want anew with `agolkit zip`."
        ) from error


def _known(line: dict[str, Any]) -> dict[str, Any]:
    return {each.name: line[each.name] for each in fields(PublishedZip)}


def _rewrite(store: Store, zips: Iterable[PublishedZip]) -> None:
    old, _ = _listed(store)
    lines = [asdict(each) for each in sorted(zips, key=lambda each: each.name)]
    if not store.swap(LIST, old, json.dumps({"format": FORMAT, "zips": lines}, indent=1).encode() + b"\n"):
        raise StoreError(f"{LIST} in {store.location} was changed by somebody else at this moment. Try again.")
