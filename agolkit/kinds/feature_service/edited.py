"""The rows of a layer of which only those are fetched that were edited since an earlier backup.

That is possible where the service tracks changes ("Keep track of changes to the data") and says which rows were added,
updated and deleted. What it says is believed only where it fits the ids: every row that is new must have been added,
every row that is gone deleted, and where the layer was edited, something. The result is the whole layer, in order.
"""

from __future__ import annotations

import gzip
import json
import logging
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agolkit.errors import NotAnAnswer, StoreError
from agolkit.kinds.feature_service.definition import layers_by_id, load_definition, rows_path
from agolkit.kinds.feature_service.pages import Page, fetch_some
from agolkit.kinds.feature_service.tracking import UNTOLD, changes_since, data_stamp
from agolkit.kinds.feature_service.views import is_view
from agolkit.kinds.saving import Saving
from agolkit.model import Part
from agolkit.packed import unpacked_lines
from agolkit.portal import FeatureService, ServiceLayer
from agolkit.progress import beat

log = logging.getLogger(__name__)

MOST = 20_000
"""Edited rows that are held in memory; where more were edited, all are read."""
AT_ONCE = 2_000
"""Rows that are packed together."""
_SHAPE = ("fields", "objectIdField", "globalIdField", "geometryType", "hasZ", "hasM", "sourceSpatialReference")


@dataclass(frozen=True, slots=True)
class EditedRows:
    """What is known before a layer is read: the rows of an earlier backup, and which of them were edited since."""

    part: Part
    """The rows as they were."""
    header: Mapping[str, Any]
    edited: frozenset[int]
    """Object ids of the rows that have to be fetched."""


def find_edited(
    saving: Saving, service: FeatureService, layer: ServiceLayer, definition: Mapping[str, Any], listed: array[int]
) -> EditedRows | None:
    """What need not be fetched again of a layer with these object ids; `None`: all of it is to be read.

    Parameters
    ----------
    definition
        Service and layers as they were before anything else of the service was read.
    """
    path = rows_path(layer.id)
    if is_view(saving.item, definition) or not data_stamp(definition, layer):
        return None  # neither tells of an edit that comes while the rows are read
    earlier = saving.context.earlier.with_part(saving.item, path)
    if earlier is None or earlier.item.url != saving.item.url:
        return None
    try:
        before = load_definition(saving.context.store, earlier.parts)
        if _shape(before, layer) != _shape(definition, layer):
            return None
        changes = changes_since(saving, service, layer, before, definition)
        if changes.is_nothing and data_stamp(before, layer) != data_stamp(definition, layer):
            raise NotAnAnswer("the service says that nothing was edited, but its stamps have moved.")
        edited = changes.rows["adds"] | changes.rows["updates"]
        part = next(part for part in earlier.parts if part.path == path)
        held = array("q", sorted(object_id for object_id, _ in _lines(saving, layer, part)))
        if not changes.rows["adds"].issuperset(_beyond(listed, held)):
            raise NotAnAnswer("it does not tell of rows that are new.")
        if not changes.rows["deletes"].issuperset(_beyond(held, listed)):
            raise NotAnAnswer("it does not tell of rows that are gone.")
        header = next(entry["header"] for entry in before["rows"] if int(entry["id"]) == layer.id)
    except (*UNTOLD, StoreError, OSError, EOFError, zlib.error, StopIteration) as error:
        log.info("Layer %s of item %s: all rows are fetched: %s", layer.id, saving.item.id, error)
        return None
    return EditedRows(part, header, edited) if len(edited) <= MOST else None


def pages_with(
    saving: Saving, service: FeatureService, layer: ServiceLayer, known: EditedRows, listed: array[int]
) -> Iterator[Page]:
    """All rows with these ids, in their order: those that were edited from the service, the others as they were."""
    wanted = sorted(object_id for object_id in known.edited if _has(listed, object_id))
    fresh = {
        object_id: line
        for page in fetch_some(saving, service, layer, wanted)
        for object_id, line in zip(page.object_ids, gzip.decompress(page.lines).splitlines(keepends=True), strict=True)
    }
    waiting = sorted(fresh)
    lines: list[tuple[int, bytes]] = []
    for object_id, line in _lines(saving, layer, known.part):
        while waiting and waiting[0] < object_id:
            lines.append((waiting[0], fresh[waiting.pop(0)]))
        if object_id not in known.edited and _has(listed, object_id):
            lines.append((object_id, line))
        if len(lines) >= AT_ONCE:
            yield _packed(lines, known.header)
            lines = []
    yield _packed([*lines, *((object_id, fresh[object_id]) for object_id in waiting)], known.header)


def _lines(saving: Saving, layer: ServiceLayer, part: Part) -> Iterator[tuple[int, bytes]]:
    """Object id and feature of each row that was saved; the hash of the file is checked first."""
    with saving.context.store.copied(part.blob.sha256, saving.context.scratch) as spool, spool.open() as stream:
        for number, line in enumerate(unpacked_lines(stream)):
            if number % AT_ONCE == 0:
                beat()
            yield int(json.loads(line)["attributes"][layer.object_id_field]), line


def _has(object_ids: array[int], object_id: int) -> bool:
    """Whether an id is among some that are in order."""
    at = bisect_left(object_ids, object_id)
    return at < len(object_ids) and object_ids[at] == object_id


def _beyond(some: array[int], others: array[int]) -> Iterator[int]:
    """The ids that the others, which are in order, do not have."""
    return (object_id for object_id in some if not _has(others, object_id))


def _packed(lines: Sequence[tuple[int, bytes]], header: Mapping[str, Any]) -> Page:
    content = gzip.compress(b"".join(line for _, line in lines), mtime=0)
    return Page(content, len(content), array("q", (object_id for object_id, _ in lines)), header)


def _shape(definition: Mapping[str, Any], layer: ServiceLayer) -> list[Any]:
    """What a row of a layer looks like, and when that was edited last."""
    raw = layers_by_id(definition).get(layer.id, {})
    return [*(raw.get(name) for name in _SHAPE), (raw.get("editingInfo") or {}).get("schemaLastEditDate")]
