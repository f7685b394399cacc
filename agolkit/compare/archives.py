"""What differs inside two zip archives: their files, by name, length and check sum."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator

from agolkit.compare.difference import MISSING, Difference, difference
from agolkit.model import Part, in_bytes
from agolkit.store import Store


def archive_differences(store: Store, before: Part, after: Part, where: list[str]) -> Iterator[Difference] | None:
    """A difference for each file inside; `None` where one of the two is no archive.

    When an archive was made, and in which order its files stand, is no difference. Only its table of contents is read.
    """
    old, new = _members(store, before), _members(store, after)
    if old is None or new is None:
        return None
    return (
        difference(before.name, [*where, name], *(_in_words(each.get(name)) for each in (old, new)))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


def _members(store: Store, part: Part) -> dict[str, tuple[int, int]] | None:
    try:
        with store.open_blob(part.blob.sha256) as stream, zipfile.ZipFile(stream) as archive:
            return {each.filename: (each.file_size, each.CRC) for each in archive.infolist() if not each.is_dir()}
    except zipfile.BadZipFile:
        return None


def _in_words(member: tuple[int, int] | None) -> object:
    return MISSING if member is None else f"{in_bytes(member[0])}, check sum {member[1]:08x}"
