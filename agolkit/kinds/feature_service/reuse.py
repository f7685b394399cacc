"""Attachments that an earlier run saved, where it is certain that nobody has put others in their place.

An attachment that was replaced may have the name and the size of the one before it. So nothing is taken from an earlier
backup unless the service says that the data of the layer is as it was then, or, by its change tracking, which
attachments were edited since.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agolkit.errors import NotAnAnswer, StoreError
from agolkit.kinds.earlier import Earlier
from agolkit.kinds.feature_service.definition import attachments_path, load_attachment_list, load_definition
from agolkit.kinds.feature_service.tracking import UNTOLD, changes_since, data_stamp, has_moved
from agolkit.kinds.feature_service.views import is_view
from agolkit.kinds.saving import Saving
from agolkit.model import Part
from agolkit.portal import AttachmentFact, FeatureService, ServiceLayer, plain_id
from agolkit.store import Store

log = logging.getLogger(__name__)

_DAMAGED = (StoreError, OSError, EOFError, zlib.error, ValueError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class Reusable:
    """An attachment that is saved already."""

    part: Part
    is_of_this_backup: bool
    """Whether it was fetched for the very backup that this run goes on with."""


Line = Mapping[str, Any]
"""What the service says of one attachment, with the object id of its row."""


def identity(line: Line) -> tuple[object, ...]:
    """What two descriptions of the same attachment have in common."""
    names = ("parentObjectId", "id", "globalId", "name", "size", "contentType", "keywords")
    return tuple(line.get(name) for name in names)


def reusable(
    saving: Saving,
    service: FeatureService,
    layer: ServiceLayer,
    definition: Mapping[str, Any],
    facts: Sequence[AttachmentFact],
) -> dict[tuple[object, ...], Reusable]:
    """What is saved already of each attachment, by its `identity`, that is certainly the same; often none.

    Parameters
    ----------
    definition
        Service and layers as they were before anything else of the service was read.
    facts
        The attachments as they are listed now.
    """
    # The stamps of a view need not move with those of its source, and it tracks no changes of its own.
    path = attachments_path(layer.id)
    earlier = None if is_view(saving.item, definition) else saving.context.earlier.with_part(saving.item, path)
    if earlier is None or earlier.item.url != saving.item.url:
        return {}
    try:
        before, lines = _read(saving.context.store, earlier, layer)
    except _DAMAGED:  # for `verify` to tell; everything is fetched
        return {}
    stamp = data_stamp(definition, layer)
    is_same = bool(stamp) and stamp == data_stamp(before, layer)
    # Where the list has moved and the stamp has not, the stamp does not tell of attachments.
    is_same = is_same and {identity(line) for line in lines} == {identity(fact.raw) for fact in facts}
    edited: frozenset[str] = frozenset()
    if not is_same or has_moved(before, definition, layer):
        try:
            changes = changes_since(saving, service, layer, before, definition)
            edited = changes.attachments
            if changes.is_nothing and not is_same:
                raise NotAnAnswer("the service says that nothing was edited, but its stamps have moved.")
            known = {plain_id(line["globalId"]) for line in lines if line.get("globalId")} | edited
            if any(plain_id(fact.raw.get("globalId")) not in known for fact in facts):
                raise NotAnAnswer("the service did not tell of what is new; then it may have kept quiet of the rest.")
            lines = [line for line in lines if line.get("globalId")]
        except UNTOLD as error:
            log.info("Layer %s of item %s: all attachments are fetched: %s", layer.id, saving.item.id, error)
            return {}
    parts = {part.path: part for part in earlier.parts}
    return {
        identity(line): Reusable(parts[line["path"]], line["path"] in earlier.fetched)
        for line in lines
        if line["path"] in parts and plain_id(line.get("globalId")) not in edited
    }


def _read(store: Store, earlier: Earlier, layer: ServiceLayer) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The definition that was saved before, and the list of the layer's attachments."""
    path = attachments_path(layer.id)
    listing = next(part for part in earlier.parts if part.path == path)
    return load_definition(store, earlier.parts), list(load_attachment_list(store, listing))
