"""The attachments of a saved layer in two backups: which were added, removed and replaced."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agolkit.compare.difference import MISSING, Difference, difference
from agolkit.compare.layers import OpenLayers
from agolkit.compare.rows import by_object_id
from agolkit.kinds.feature_service.conversion.tables import SavedLayers, open_table
from agolkit.model import in_bytes
from agolkit.portal import plain_id

_ATTACHED = "__ATTACH"
_AT_ONCE = 4
"""Attachments of a geodatabase in memory at once."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """One attachment as it was saved."""

    row: str
    """GlobalID of its row, else its object id and that it is one."""
    name: str
    size: int
    sha256: str
    """Empty where it could not be saved."""

    def __str__(self) -> str:
        return f"{self.name}, {in_bytes(self.size)}" + (f", sha256 {self.sha256[:8]}…" if self.sha256 else "")

    def is_same(self, other: Attachment) -> bool:
        """Whether two attachments are the same as far as both were saved."""
        is_saved = self.sha256 and other.sha256
        return self.name == other.name and (self.sha256 == other.sha256 if is_saved else self.size == other.size)


def attachment_differences(before: OpenLayers, after: OpenLayers, layer: int) -> Iterator[Difference]:
    """A difference for each attachment of a layer that is new, gone, renamed, or another file."""
    old, new = saved_attachments(before, layer), saved_attachments(after, layer)
    for key in [*old, *(key for key in new if key not in old)]:
        one, other = old.get(key), new.get(key)
        named = other or one
        if named and not (one and other and one.is_same(other)):
            told = (MISSING if each is None else str(each) for each in (one, other))
            yield difference("attachments", [after.saved.name(layer), f"row {named.row}", named.name], *told)


def saved_attachments(side: OpenLayers, layer: int) -> dict[Any, Attachment]:
    """The attachments of a layer by GlobalID; by row and id where the service gives them none."""
    return dict(_in_rows(side.saved, layer) if layer in side.saved.in_rows else _in_geodatabase(side, layer))


def _in_rows(saved: SavedLayers, layer: int) -> Iterator[tuple[Any, Attachment]]:
    for fact in saved.listed_attachments(layer):
        key = plain_id(fact["globalId"]) if fact.get("globalId") else (fact["parentObjectId"], fact["id"])
        part = saved.parts.get(fact["path"])
        row = plain_id(fact["parentGlobalId"]) if fact.get("parentGlobalId") else by_object_id(fact["parentObjectId"])
        size = part.blob.size if part else int(fact.get("size") or 0)
        yield key, Attachment(row, str(fact.get("name") or ""), size, part.blob.sha256 if part else "")


def _in_geodatabase(side: OpenLayers, layer: int) -> Iterator[tuple[Any, Attachment]]:
    if not side.saved.proven[layer]["attachments"]:
        return
    name = side.saved.in_geodatabase[layer] + _ATTACHED
    with open_table(side.geodatabase, name, at_once=_AT_ONCE) as table:
        for batch in table.batches:
            for each in batch.to_pylist():
                row = {name.casefold(): value for name, value in each.items()}
                content = row.get("data") or b""
                key = plain_id(row["globalid"]) if row.get("globalid") else row[table.object_id.casefold()]
                of_row = row.get("rel_globalid")
                parent = plain_id(of_row) if of_row else by_object_id(row.get("rel_objectid"))
                digest = hashlib.sha256(content).hexdigest()
                yield key, Attachment(parent, str(row.get("att_name") or ""), len(content), digest)
