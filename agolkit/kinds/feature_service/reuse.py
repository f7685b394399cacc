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

from agolkit.errors import ConnectionTrouble, NotAnAnswer, PortalError, StoreError
from agolkit.kinds.earlier import Earlier
from agolkit.kinds.feature_service.definition import (
    attachments_path,
    layers_by_id,
    load_attachment_list,
    load_definition,
)
from agolkit.kinds.feature_service.views import is_view
from agolkit.kinds.jobs import wait_for_job
from agolkit.kinds.saving import Saving
from agolkit.model import Part
from agolkit.portal import AttachmentFact, FeatureService, ServiceLayer, plain_id
from agolkit.store import Store

log = logging.getLogger(__name__)

_UNTOLD = (PortalError, ConnectionTrouble, KeyError, TypeError, ValueError, AttributeError)
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
    earlier = None if is_view(saving.item, definition) else saving.context.earlier.with_list(saving.item, path)
    if earlier is None or earlier.item.url != saving.item.url:
        return {}
    try:
        before, lines = _read(saving.context.store, earlier, layer)
    except _DAMAGED:  # for `verify` to tell; everything is fetched
        return {}
    stamp = _data_stamp(definition, layer)
    is_same = bool(stamp) and stamp == _data_stamp(before, layer)
    # Where the list has moved and the stamp has not, the stamp does not tell of attachments.
    is_same = is_same and {identity(line) for line in lines} == {identity(fact.raw) for fact in facts}
    edited: set[str] = set()
    if not is_same or _has_moved(before, definition, layer):
        try:
            since = _generation(before, layer)
            edited, is_nothing = _edited_since(saving, service, layer, since, definition)
            if is_nothing and not is_same:
                raise NotAnAnswer("the service says that nothing was edited, but its stamps have moved.")
            known = {plain_id(line["globalId"]) for line in lines if line.get("globalId")} | edited
            if any(plain_id(fact.raw.get("globalId")) not in known for fact in facts):
                raise NotAnAnswer("the service did not tell of what is new; then it may have kept quiet of the rest.")
            lines = [line for line in lines if line.get("globalId")]
        except _UNTOLD as error:
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


def _data_stamp(definition: Mapping[str, Any], layer: ServiceLayer) -> int | None:
    """When the rows and attachments of a layer were last edited."""
    editing = layers_by_id(definition).get(layer.id, {}).get("editingInfo") or {}
    return editing.get("dataLastEditDate") or editing.get("lastEditDate")


def _generation(definition: Mapping[str, Any], layer: ServiceLayer, name: str = "serverGen") -> int:
    """A number of the layer's change tracking; `KeyError` where it has none."""
    told = definition["root"]["changeTrackingInfo"]["layerServerGens"]
    return int({each["id"]: each for each in told}[layer.id][name])


def _has_moved(before: Mapping[str, Any], definition: Mapping[str, Any], layer: ServiceLayer) -> bool:
    """Whether the change tracking says that something was edited; without tracking it says nothing."""
    try:
        return _generation(before, layer) != _generation(definition, layer)
    except _UNTOLD:
        return False


def _edited_since(
    saving: Saving, service: FeatureService, layer: ServiceLayer, since: int, definition: Mapping[str, Any]
) -> tuple[set[str], bool]:
    """GlobalIDs, as `plain_id` has them, of the attachments that were added, replaced or deleted since a generation;
    and whether nothing at all was edited, rows included.

    One of `_UNTOLD` where the service does not tell, or not in the documented form.
    """
    if not _generation(definition, layer, "minServerGen") <= since <= _generation(definition, layer):
        raise NotAnAnswer("the service has forgotten what was edited before.")
    can = definition["root"].get("extractChangesCapabilities") or {}
    if can.get("supportsReturnAttachments") is False:
        raise NotAnAnswer("the service does not track attachments.")
    answer = _answer(saving, service, layer, since)
    told = {each["id"]: each for each in answer["edits"]}[layer.id]
    files, rows = told["attachments"], told.get("objectIds") or told.get("features") or {}
    described = [each["globalId"] for each in [*files["adds"], *files["updates"]]]
    edited = {plain_id(each) for each in [*described, *files["deleteIds"]]}
    return edited, not edited and not any(rows.values())


def _answer(saving: Saving, service: FeatureService, layer: ServiceLayer, since: int) -> dict[str, Any]:
    """What the service says of the changes, at once or as the result of a job."""
    answer = service.changes(layer, since)
    if "statusUrl" not in answer:
        return answer
    job: dict[str, Any] = {}

    def ask() -> tuple[str, str]:
        job.update(saving.portal.get_json(answer["statusUrl"]))
        return str(job.get("status")).lower(), ""

    wait_for_job(ask, allowed=saving.context.options.export_timeout)
    return saving.portal.get_json(job["resultUrl"])
