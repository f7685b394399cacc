"""What a hosted feature service says of its latest edit: the part of an item's fingerprint that its listing has not.

Adding, replacing and deleting an attachment is documented as an edit of its row, so the edit stamps of the layer tell
of it. No source says that every server moves them, so a second sign has to stand still too: the generation of the
change tracking where there is one, else the number of attachments of each row, where the layer counts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agolkit.kinds.feature_service.definition import layers_in
from agolkit.kinds.feature_service.views import is_view
from agolkit.kinds.fingerprint import digest, service_stamp
from agolkit.model import Item
from agolkit.portal import FeatureService

Stamps = dict[str, str | None]
"""By what they are made of. One that is `None` cannot be relied on: the service may change without a sign."""


def service_stamps(service: FeatureService, item: Item, definition: Mapping[str, Any]) -> Stamps:
    """The stamps of a service whose `definition` was read before anything else of it."""
    layers = definition.get("layers") or {}
    stamps: Stamps = {"layers": _layers_stamp(layers)}
    if any(each.get("hasAttachments") for each in layers_in(layers)):
        if tracked := _generations(definition):
            stamps["changes"] = digest(tracked)
        elif _counting(layers):
            stamps["counts"] = _counts_stamp(service, layers)
    if is_view(item, definition):
        stamps["view"] = _view_stamp(definition.get("admin") or {})
    return stamps


def same_stamps(service: FeatureService, before: Mapping[str, str | None]) -> bool:
    """Whether a service still says what it said when it was saved; nothing more is asked than is needed to know."""
    if None in before.values():
        return False
    layers = service.layers()
    if before.get("layers") != _layers_stamp(layers):
        return False
    if "changes" in before and before["changes"] != digest(_generations({"root": service.root()})):
        return False
    if "counts" in before and before["counts"] != _counts_stamp(service, layers):
        return False
    return "view" not in before or before["view"] == _view_stamp(service.admin())


def _layers_stamp(answer: Mapping[str, Any]) -> str | None:
    """What is said of each layer, edit stamps included; `None` where one has none."""
    layers = layers_in(answer)
    rows = [each for each in layers if each.get("type") != "Group Layer"]
    says = all((each.get("editingInfo") or {}).get("lastEditDate") for each in rows)
    return digest([service_stamp(each) for each in layers]) if says else None


def _generations(definition: Mapping[str, Any]) -> Any:
    """The generations of the change tracking, which each edit moves; nothing where nothing is tracked."""
    return ((definition.get("root") or {}).get("changeTrackingInfo") or {}).get("layerServerGens")


def _view_stamp(admin: Mapping[str, Any]) -> str | None:
    """How a view is defined; `None` where this account may not read it."""
    fields = ("id", "adminLayerInfo", "viewDefinitionQuery", "definitionQuery", "fields")
    layers = layers_in(admin)
    return digest([[each.get(name) for name in fields] for each in layers]) if layers else None


def _counting(answer: Mapping[str, Any]) -> list[int]:
    """Ids of the layers that have attachments, and count those of each row."""
    having = [each for each in layers_in(answer) if each.get("hasAttachments")]
    able = "supportsQueryAttachmentsCountOnly"
    return [int(each["id"]) for each in having if (each.get("advancedQueryCapabilities") or {}).get(able)]


def _counts_stamp(service: FeatureService, answer: Mapping[str, Any]) -> str:
    return digest([[layer_id, service.attachment_counts(layer_id)] for layer_id in _counting(answer)])
