"""Hosted feature layers: the definition of service and layers, and their rows in one form or both.

A File Geodatabase is made by the portal, opened, and compared with the service; rows are read page by page and
compared with the list of ids. What cannot be exported is saved as rows instead of failing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from agolkit.kinds.feature_service.attachments import save_attachments
from agolkit.kinds.feature_service.bookmark import Bookmark
from agolkit.kinds.feature_service.definition import SERVICE, layers_in
from agolkit.kinds.feature_service.geodatabase import save_geodatabase
from agolkit.kinds.feature_service.rows import save_rows
from agolkit.kinds.feature_service.stamps import service_stamps
from agolkit.kinds.feature_service.views import find_sources, is_view, leave_rows_to
from agolkit.kinds.parts import save_parts
from agolkit.kinds.reference import is_hosted_here, save_overrides
from agolkit.kinds.saving import Saving
from agolkit.model import Item
from agolkit.options import BackupOptions
from agolkit.portal import FeatureService, ServiceLayer

__all__ = ["formats_for", "is_same_beside_rows", "save_feature_service"]

OF_THE_SERVICE = ("definition", "geodatabase", "rows", "attachments", "attachment", "item", "sharing")
"""Parts that have edit stamps of their own, and those that are read last."""


def save_feature_service(saving: Saving) -> None:
    """Save a hosted service with its rows; of somebody else's service, the reference."""
    save_overrides(saving)
    item = saving.item
    if not is_hosted_here(saving):
        return
    service = FeatureService(saving.portal, item.url)
    definition: dict[str, Any] = {}
    saving.part("definition", lambda: definition.update(service.describe()))
    saving.part("admin definition", lambda: definition.update(admin=service.admin()))
    if any(layer.get("hasContingentValuesDefinition") for layer in described(definition)):
        saving.part("contingent values", lambda: definition.update(contingent_values=service.contingent_values()))
    # Where a service does not tell, it is fetched by every run.
    saving.attempt("stamps", lambda: saving.stamps.update(service=service_stamps(service, item, definition)))
    if is_view(item, definition):
        definition["view"] = {"sources": find_sources(saving, service, definition)}
    if "layers" in definition and not ("view" in definition and leave_rows_to(saving, definition["view"]["sources"])):
        save_contents(saving, service, definition)
    if definition:
        saving.keep_json("definition", SERVICE, definition)


def is_same_beside_rows(saving: Saving) -> bool:
    """Whether the parts that are not of the service itself, read again, are what was saved of them.

    The export of a service may move `modified` of its item; so does whoever edits these parts meanwhile.
    """
    again = Saving(saving.context, saving.item)
    save_parts(again)
    save_overrides(again)
    before = {(part.path, part.blob) for part in saving.parts if part.name not in OF_THE_SERVICE}
    return not again.missing and before == {(part.path, part.blob) for part in again.parts}


def described(definition: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The JSON of each layer and table of a service; of group layers nothing can be read but that they are there."""
    return [raw for raw in layers_in(definition.get("layers", {})) if raw.get("type") != "Group Layer"]


def formats_for(options: BackupOptions, item: Item, layers: Sequence[ServiceLayer]) -> set[str]:
    """`fgdb`, `rows` or both: how the rows of a service are to be saved."""
    match options.feature_format:
        case "both":
            return {"fgdb", "rows"}
        case "auto":
            # Without GlobalIDs a geodatabase can only be compared by count; rows always have ids of their own.
            by_rows = any(layer.has_attachments or layer.global_id_field is None for layer in layers)
            return {"rows"} if by_rows or (item.size or 0) > options.export_max_bytes else {"fgdb"}
        case chosen:
            return {chosen}


def save_contents(saving: Saving, service: FeatureService, definition: dict[str, Any]) -> None:
    """Save the rows of all layers, and note in the definition what is where."""
    layers = [ServiceLayer.from_json(raw) for raw in described(definition)]
    if not layers:
        saving.described = "The service has no layers; its definition is saved."
        return
    note_hidden_rows(saving, definition)
    formats = formats_for(saving.context.options, saving.item, layers)
    if "fgdb" in formats:
        export = partial(save_geodatabase, saving, service, layers, is_view="view" in definition)
        trouble = saving.attempt("geodatabase", lambda: definition.update(geodatabase=export()))
        if trouble:
            saving.notes.append(f"saved as rows, because there is no {trouble}")
            formats = {"rows"}
    if "rows" in formats:
        definition["rows"] = []
        bookmark = Bookmark(saving, definition)
        with bookmark.noting_the_end():
            for layer in layers:
                name = f"rows of layer {layer.name!r}"
                saving.part(name, partial(save_layer, saving, service, layer, definition, bookmark))


def note_hidden_rows(saving: Saving, definition: Mapping[str, Any]) -> None:
    """Note as missing what only owner and administrators are shown, where this account is neither.

    Queries, counts and lists of ids all leave such rows out: nothing else would tell.
    """
    portal = saving.portal
    if portal.username == saving.item.owner or "portal:admin:updateItems" in portal.privileges:
        return  # to see all items, as an account made for backups may, is not to see all rows
    tracking = definition["root"].get("editorTrackingInfo") or {}
    for raw in described(definition):
        access = raw.get("ownershipBasedAccessControlForFeatures") or tracking
        if access.get("allowOthersToQuery") is False and access.get("enableOwnershipAccessControl", True):
            saving.missing.append(
                f"rows of layer {raw.get('name')!r} that others made: the service shows an account only its own rows. "
                "Let the owner or an administrator make the backup"
            )


def save_layer(
    saving: Saving, service: FeatureService, layer: ServiceLayer, definition: dict[str, Any], bookmark: Bookmark
) -> None:
    """Save the rows of one layer, and their attachments unless an option leaves them out."""
    saved = save_rows(saving, service, layer, definition)
    definition["rows"].append({"id": layer.id, "rows": len(saved.object_ids), "header": saved.header})
    if layer.has_attachments and saving.context.options.attachments:
        name = f"attachments of layer {layer.name!r}"
        saving.part(name, partial(save_attachments, saving, service, layer, saved.object_ids, definition, bookmark))
    elif layer.has_attachments:
        saving.left_out.append(f"attachments of layer {layer.name!r}")
