"""Views: whose rows they show, with which filter and fields, and whether those rows are saved with the view.

Source of the shapes: `adminLayerInfo.viewLayerDefinition` of the administrator's definition, as the page "Add to
Definition" takes it (`table` and `relatedTables` where layers are joined), and the answer of `FeatureServer/sources`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agolkit.kinds.feature_service.definition import layers_in
from agolkit.kinds.saving import Saving
from agolkit.model import Item, Outcome, Result, plain
from agolkit.portal import FeatureService

VIEW = "View Service"
"""Type keyword of a view."""


def is_view(item: Item, definition: Mapping[str, Any]) -> bool:
    """Whether a service shows the rows of others, by its own JSON or by its item."""
    return bool(definition.get("root", {}).get("isView")) or VIEW in item.type_keywords


def find_sources(saving: Saving, service: FeatureService, definition: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The services whose rows a view shows, as `sources_of` has them, by all that this account is told."""
    listed: list[Mapping[str, Any]] = []
    # Not every server answers this; then the administrator's definition names the services, if not their items.
    saving.attempt("sources", lambda: listed.extend(service.sources()))
    return sources_of(definition.get("admin", {}), listed)


def leave_rows_to(saving: Saving, sources: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a view is saved as its definition alone; whose rows it shows is said then."""
    choice, in_scope = saving.context.options.views, saving.context.in_scope
    named = (
        ", ".join(f"{each['service']} ({each['item_id'] or 'item unknown'})" for each in sources) or "other services"
    )
    are_saved = bool(sources) and all(each["item_id"] in in_scope for each in sources)
    if choice == "definition":
        lacking = "" if are_saved else "; this backup does not have them all"
        saving.left_out.append(f"rows of a view, which are those of {named}{lacking}")
    elif choice == "auto" and are_saved:
        saving.notes.append(f"a view: its rows are those of {named}")
        saving.stamps["needs"] = sorted(each["item_id"] for each in sources)
    else:
        return False
    saving.is_whole_as_defined = True
    return True


def settle(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes of a whole run; a view whose rows are saved with a source that was not verified is `partial`."""
    results = {outcome.item.id: outcome.result for outcome in outcomes}
    settled: list[Outcome] = []
    for outcome in outcomes:
        lacking = [each for each in outcome.fingerprint.get("needs", ()) if results.get(each) is not Result.VERIFIED]
        if lacking:
            why = ", ".join(f"{each} ({results.get(each, 'not in this backup')})" for each in lacking)
            message = f"rows: those of the view are saved with its source, which is not verified: {why}"
            said = "; ".join(filter(None, (message, outcome.message)))
            outcome = replace(outcome, result=Result.PARTIAL, message=said, fingerprint={})
        settled.append(outcome)
    return settled if settled == list(outcomes) else settle(settled)  # the source may be a view itself


def sources_of(admin: Mapping[str, Any], listed: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each source service: its name, its item's id or `None`, and what the view's layers take of it.

    Parameters
    ----------
    admin
        The administrator's definition of the view; empty where this account may not read it.
    listed
        The services that `FeatureServer/sources` names.
    """
    found: dict[str, dict[str, Any]] = {}

    def source(name: str, item_id: object) -> dict[str, Any]:
        name = name.rpartition("/")[2]  # an Enterprise portal puts the folder before it
        entry = found.setdefault(plain(name), {"service": name, "item_id": None, "layers": []})
        entry["item_id"] = entry["item_id"] or item_id or None
        return entry

    for each in listed:
        source(str(each.get("name", "")), each.get("serviceItemId"))
    for raw in layers_in(admin):
        defined = (raw.get("adminLayerInfo") or {}).get("viewLayerDefinition") or {}
        first = defined.get("table") or defined
        for table in _tables(first):
            # The id is that of the first table's service; what is joined to it may come from another.
            item_id = defined.get("sourceServiceItemId") if table is first else None
            entry = source(str(table["sourceServiceName"]), item_id)
            entry["layers"].append(_shown(raw, defined, table))
    return list(found.values())


def _tables(table: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A table of a view's layer, and those that are joined to it, however deep."""
    if table.get("sourceServiceName"):
        yield table
    for each in table.get("relatedTables") or ():
        yield from _tables(each)


def _shown(raw: Mapping[str, Any], defined: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """What one layer of a view shows of one layer of a source."""
    shown = {
        "id": raw["id"],
        "source_layer": table.get("sourceLayerId"),
        "fields": table.get("sourceLayerFields"),
        "hidden_fields": [field["name"] for field in raw.get("fields") or () if field.get("visible") is False],
        "query": raw.get("viewDefinitionQuery") or raw.get("definitionQuery") or "",
        "filter": defined.get("filter"),
    }
    if "parentKeyFields" in table:
        shown["join"] = {"type": table.get("type"), "parent": table["parentKeyFields"], "key": table.get("keyFields")}
    return shown
