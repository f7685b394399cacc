"""What a service's change tracking says was edited since an earlier backup.

Source: the REST pages "Feature Service" (`changeTrackingInfo`) and "Extract Changes (Feature Service)".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agolkit.errors import ConnectionTrouble, NotAnAnswer, PortalError
from agolkit.kinds.feature_service.definition import layers_by_id
from agolkit.kinds.jobs import wait_for_job
from agolkit.kinds.saving import Saving
from agolkit.portal import FeatureService, ServiceLayer, plain_id

ROWS = ("adds", "updates", "deletes")
UNTOLD = (PortalError, ConnectionTrouble, KeyError, TypeError, ValueError, AttributeError)
"""What is raised where a service does not tell, or not in the documented form."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What was edited in one layer."""

    is_nothing: bool
    attachments: frozenset[str]
    """GlobalIDs, as `plain_id` has them, of attachments that were added, replaced or deleted."""
    rows: Mapping[str, frozenset[int]]
    """Object ids of rows: `adds`, `updates`, `deletes`. Empty where the answer does not name them by these."""


def changes_since(
    saving: Saving,
    service: FeatureService,
    layer: ServiceLayer,
    before: Mapping[str, Any],
    definition: Mapping[str, Any],
) -> Changes:
    """What was edited since the definition `before` was read; one of `UNTOLD` where that cannot be known."""
    since = _generation(before, layer)
    if not _generation(definition, layer, "minServerGen") <= since <= _generation(definition, layer):
        raise NotAnAnswer("the service has forgotten what was edited before.")
    can = definition["root"].get("extractChangesCapabilities") or {}
    if can.get("supportsReturnAttachments") is False and layer.has_attachments:
        raise NotAnAnswer("the service does not track attachments.")
    answer = _answer(saving, service, layer, since)
    told = {each["id"]: each for each in answer["edits"]}[layer.id]
    rows = told.get("objectIds") or told.get("features") or {}
    files = told["attachments"] if layer.has_attachments else {"adds": (), "updates": (), "deleteIds": ()}
    described = [each["globalId"] for each in [*files["adds"], *files["updates"]]]
    attachments = frozenset(plain_id(each) for each in [*described, *files["deleteIds"]])
    named = {how: frozenset(map(int, rows[how])) for how in ROWS} if "objectIds" in told else {}
    return Changes(not attachments and not any(rows.values()), attachments, named)


def data_stamp(definition: Mapping[str, Any], layer: ServiceLayer) -> int | None:
    """When the rows and attachments of a layer were last edited."""
    editing = layers_by_id(definition).get(layer.id, {}).get("editingInfo") or {}
    return editing.get("dataLastEditDate") or editing.get("lastEditDate")


def has_moved(before: Mapping[str, Any], definition: Mapping[str, Any], layer: ServiceLayer) -> bool:
    """Whether the change tracking says that something was edited; without tracking it says nothing."""
    try:
        return _generation(before, layer) != _generation(definition, layer)
    except UNTOLD:
        return False


def _generation(definition: Mapping[str, Any], layer: ServiceLayer, name: str = "serverGen") -> int:
    """A number of the layer's change tracking; `KeyError` where it has none."""
    told = definition["root"]["changeTrackingInfo"]["layerServerGens"]
    return int({each["id"]: each for each in told}[layer.id][name])


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
