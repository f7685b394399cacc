"""What differs inside two zip archives: their files, by name, length and check sum."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

from agolkit.compare.difference import MISSING, Difference, difference
from agolkit.model import Part, in_bytes
from agolkit.store import Store

LARGEST = 1_000_000_000
"""Bytes of an archive that is copied to the temporary folder to be looked into."""


def archive_differences(store: Store, before: Part, after: Part, where: list[str]) -> Iterator[Difference] | None:
    """A difference for each file inside; `None` where one of the two is no archive, or too large to be opened for it.

    When an archive was made, and in which order its files stand, is no difference.
    """
    if max(before.blob.size, after.blob.size) > LARGEST:
        return None
    old, new = _members(store, before), _members(store, after)
    if old is None or new is None:
        return None
    return (
        difference(before.name, [*where, name], *(_in_words(each.get(name)) for each in (old, new)))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


def _members(store: Store, part: Part) -> dict[str, tuple[int, int]] | None:
    with store.open_blob(part.blob.sha256) as stream:
        if not stream.read(4).startswith(b"PK\x03\x04"):
            return None
    try:
        with store.copied(part.blob.sha256) as spool, zipfile.ZipFile(spool.path()) as archive:
            return {each.filename: (each.file_size, each.CRC) for each in archive.infolist() if not each.is_dir()}
    except zipfile.BadZipFile:
        return None


def _in_words(member: tuple[int, int] | None) -> object:
    return MISSING if member is None else f"{in_bytes(member[0])}, check sum {member[1]:08x}"
