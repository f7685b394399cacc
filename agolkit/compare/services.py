"""What differs between the saved layers of an item in two backups: definition, rows and attachments."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from agolkit.compare.attachments import attachment_differences
from agolkit.compare.descriptions import definition_differences
from agolkit.compare.difference import UNREADABLE, Change, Difference, difference, not_compared
from agolkit.compare.layers import OpenLayers, compare_layer
from agolkit.compare.rows import Row, RowChanges, by_object_id
from agolkit.compare.shapes import in_words, moved
from agolkit.kinds.feature_service.conversion.schema import crs_of
from agolkit.kinds.feature_service.conversion.tables import SavedLayers
from agolkit.kinds.feature_service.definition import attachments_path, rows_path
from agolkit.kinds.feature_service.views import is_view
from agolkit.model import Outcome, counted, from_epoch_ms, to_stamp
from agolkit.store import Store


@dataclass(slots=True)
class ServiceChanges:
    """How a saved service differs."""

    differences: list[Difference] = field(default_factory=list)
    """Of rows as many as were to be listed."""
    rows: Counter[Change] = field(default_factory=Counter)
    """All of them, of all layers."""


def compare_services(store: Store, before: Outcome, after: Outcome, *, listed: int) -> ServiceChanges:
    """How the layers of an item differ; at most `listed` rows of each layer, added, removed and changed, with values.

    Rows that are saved in a geodatabase are taken for the same, without being read, where the service said of the
    layer that its data was last edited at the same moment, and there are as many. A view's word does not count.
    """
    changes = ServiceChanges()
    with ExitStack() as stack:
        old, new = (OpenLayers(SavedLayers(store, outcome), stack) for outcome in (before, after))
        changes.differences += definition_differences(old.saved.definition, new.saved.definition)
        trusted = not is_view(before.item, old.saved.definition) and not is_view(after.item, new.saved.definition)
        for layer in sorted({*old.saved.ids} & {*new.saved.ids}):
            name = new.saved.name(layer)
            try:
                if _may_differ(old.saved, new.saved, layer, trusted=trusted):
                    found = compare_layer(old, new, layer, listed=listed)
                    changes.rows.update(found.counts)
                    changes.differences += _row_differences(found, new.saved, layer, listed=listed)
            except UNREADABLE as error:
                changes.differences.append(not_compared("rows", name, error))
            try:
                is_left_out = any(f"attachments of layer {name!r}" in each.left_out for each in (before, after))
                if not is_left_out and _attachments_may_differ(old.saved, new.saved, layer, trusted=trusted):
                    changes.differences += attachment_differences(old, new, layer)
            except UNREADABLE as error:
                changes.differences.append(not_compared("attachments", name, error))
    return changes


def _may_differ(before: SavedLayers, after: SavedLayers, layer: int, *, trusted: bool) -> bool:
    """Whether the rows of a layer have to be read to know."""
    path = rows_path(layer)
    if layer in before.in_rows and layer in after.in_rows:
        return before.parts[path].blob != after.parts[path].blob
    return not (trusted and _is_unedited(before, after, layer))


def _attachments_may_differ(before: SavedLayers, after: SavedLayers, layer: int, *, trusted: bool) -> bool:
    """Whether the attachments of a layer have to be looked at to know."""
    path = attachments_path(layer)
    if layer in before.in_rows and layer in after.in_rows:
        # The list need not move when a file is replaced, so the files count too.
        folder = path.removesuffix(".jsonl.gz") + "/"
        files = [
            {at: part.blob for at, part in saved.parts.items() if at == path or at.startswith(folder)}
            for saved in (before, after)
        ]
        return files[0] != files[1]
    return not (trusted and _is_unedited(before, after, layer))


def _is_unedited(before: SavedLayers, after: SavedLayers, layer: int) -> bool:
    """Whether the service itself says that the data of a layer is the same."""
    stamps = []
    for saved in (before, after):
        editing = saved.described.get(layer, {}).get("editingInfo") or {}
        entry = saved.in_rows.get(layer) or saved.proven.get(layer) or {}
        stamps.append((editing.get("dataLastEditDate") or editing.get("lastEditDate"), entry.get("rows")))
    return bool(stamps[0][0]) and stamps[0] == stamps[1]


def _row_differences(changes: RowChanges, saved: SavedLayers, layer: int, *, listed: int) -> Iterator[Difference]:
    raw, name = saved.described.get(layer, {}), saved.name(layer)
    fields = {each["name"].casefold(): each for each in raw.get("fields") or ()}
    for change, before, after in changes.listed:
        row = after or before
        assert row
        where = [name, f"row {row.global_id if changes.by_global_id else by_object_id(row.object_id)}"]
        if before and after:
            yield from _value_differences(where, before, after, fields, _crs(saved, layer), changes)
        else:
            told = as_text(row, fields)
            yield Difference("rows", " / ".join(where), change, told if before else "", told if after else "")
    for change, number in changes.counts.items() if listed else ():
        if number > listed:
            yield Difference("rows", f"{name} / and {counted(number - listed, 'more row')}", change)
    if not changes.with_geometry and raw.get("geometryType"):
        reason = "one backup has a geodatabase, the other rows: coordinates are not the same in both"
        yield not_compared("rows", f"{name} / geometry", reason)


def _value_differences(
    where: list[str],
    before: Row,
    after: Row,
    fields: Mapping[str, Mapping[str, Any]],
    crs: str | None,
    changes: RowChanges,
) -> Iterator[Difference]:
    for name in changes.names:
        one, other = before.values.get(name), after.values.get(name)
        if one != other:
            told = fields.get(name, {"name": name})
            texts = ("" if value is None else in_field(value, told) for value in (one, other))
            yield difference("rows", [*where, str(told["name"])], *texts)
    if changes.with_geometry and before.geometry != after.geometry:
        one, other = in_words(before.geometry), in_words(after.geometry)
        distance = moved(before.geometry, after.geometry, crs) or ("another shape" if one == other else "")
        yield difference("rows", [*where, "geometry"], one, ", ".join(filter(None, [other, distance])))


def as_text(row: Row, fields: Mapping[str, Mapping[str, Any]]) -> str:
    """The values of a row, those that are set."""
    values = {
        str(told["name"]): in_field(row.values[name], told)
        for name, told in fields.items()
        if row.values.get(name) is not None
    }
    return json.dumps(values, ensure_ascii=False, default=str)


def in_field(value: Any, told: Mapping[str, Any]) -> Any:
    """A value as people read it: a date as a date, a code with what it means."""
    if told.get("type") == "esriFieldTypeDate" and (moment := from_epoch_ms(value)):
        return to_stamp(moment)
    coded = (told.get("domain") or {}).get("codedValues") or ()
    meaning = next((each.get("name") for each in coded if each.get("code") == value), None)
    if meaning is not None and meaning != value:
        return f"{value} ({meaning})"
    return value if isinstance(value, str | int | float | bool) else str(value)


def _crs(saved: SavedLayers, layer: int) -> str | None:
    raw, header = saved.described.get(layer, {}), saved.in_rows.get(layer, {}).get("header") or {}
    extent = raw.get("extent") or {}
    return crs_of(header.get("spatialReference") or extent.get("spatialReference"))
