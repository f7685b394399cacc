"""The rows of a layer as a query sees them: filtered, ordered, cut into pages, with the fields asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from agolkit.sandbox.answers import Json
from agolkit.sandbox.call import Call
from agolkit.sandbox.shapes import extent, out_wkid, shaper, spatial_reference
from agolkit.sandbox.sorted_rows import SortedRows
from agolkit.sandbox.views import Source, matching
from agolkit.sandbox.where import compile_where, id_range, invalid

_STATISTICS: Mapping[str, Callable[[Sequence[Any]], Any]] = {
    "min": min,
    "max": max,
    "sum": sum,
    "avg": lambda values: sum(values) / len(values),
}


def query(call: Call, source: Source) -> Json:
    """Return the answer of a layer's `query`."""
    layer, params = source.layer, call.params
    rows = _wanted(call, source)
    if call.flag("returnCountOnly"):
        return {"count": len(rows)}
    if call.flag("returnExtentOnly"):
        return {"count": len(rows), "extent": extent(layer, rows)}
    rows = _ordered(rows, params.get("orderByFields", ""), source)
    if call.flag("returnIdsOnly"):
        return {"objectIdFieldName": layer.object_id_field, "objectIds": _object_ids(rows, source)}
    if statistics := params.get("outStatistics"):
        return _statistics(source, rows, statistics)
    offset = max(0, call.number("resultOffset", 0))
    count = min(call.number("resultRecordCount", layer.max_record_count), layer.max_record_count)
    chosen = rows[offset : offset + count]
    names = _out_fields(params.get("outFields", ""), source)
    wkid = out_wkid(params.get("outSR", ""), layer)
    answer: Json = {"objectIdFieldName": layer.object_id_field, "globalIdFieldName": layer.global_id_field or ""}
    shape: Callable[[Json], Json] | None = None
    if layer.geometry_type:
        answer |= {
            "geometryType": layer.geometry_type,
            "spatialReference": spatial_reference(wkid),
        }
        with_z, with_m = layer.has_z and call.flag("returnZ"), layer.has_m and call.flag("returnM")
        if with_z:
            answer["hasZ"] = True
        if with_m:
            answer["hasM"] = True
        if call.flag("returnGeometry", default=True):
            with_curves = call.flag("returnTrueCurves")
            shape = shaper(layer, with_z=with_z, with_m=with_m, with_curves=with_curves, wkid=wkid)
    answer["fields"] = [field for field in source.fields if field["name"] in names]
    answer["features"] = [_feature(row, names, shape) for row in chosen]
    if offset + len(chosen) < len(rows):
        answer["exceededTransferLimit"] = True
    return answer


def _wanted(call: Call, source: Source) -> Sequence[Json]:
    """The rows that `where` and `objectIds` leave over."""
    rows = source.rows()
    if ids := call.params.get("objectIds"):
        rows = with_ids(rows, numbers(ids, "objectIds"), source)
    elif "where" not in call.params and "time" not in call.params and "geometry" not in call.params:
        raise invalid("'where' clause is missing")
    return fitting(rows, call.params.get("where", ""), source)


def with_ids(rows: Sequence[Json], object_ids: Iterable[int], source: Source) -> Sequence[Json]:
    """Return those of the rows that have one of these object ids."""
    if isinstance(rows, SortedRows):
        return rows.among(object_ids)
    wanted = set(object_ids)
    return [row for row in rows if row["attributes"][source.layer.object_id_field] in wanted]


def fitting(rows: Sequence[Json], where: str, source: Source) -> Sequence[Json]:
    """Return those of the rows that fit a clause."""
    test = compile_where(where, source.names)
    if test is None:
        return rows
    if isinstance(rows, SortedRows) and (ids := id_range(where, source.layer.object_id_field)):
        return rows.between(*ids)
    return matching(rows, test)


def _object_ids(rows: Sequence[Json], source: Source) -> list[int]:
    if isinstance(rows, SortedRows):
        return list(rows.object_ids)
    return [row["attributes"][source.layer.object_id_field] for row in rows]


def numbers(text: str, name: str) -> list[int]:
    """Return the whole numbers of a comma-separated parameter."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise invalid(f"'{name}' parameter is invalid") from None


def _ordered(rows: Sequence[Json], order: str, source: Source) -> Sequence[Json]:
    names = {name.lower(): name for name in source.names}
    parts = [part.split() for part in order.split(",") if part.strip()]
    by_id = source.layer.object_id_field.lower()
    if isinstance(rows, SortedRows) and [[word.lower() for word in part] for part in parts] in (
        [[by_id]],
        [[by_id, "asc"]],
    ):
        return rows
    for part in reversed(parts):
        field = names.get(part[0].lower())
        if field is None:
            raise invalid(f"'Invalid field: {part[0]}' parameter is invalid")
        is_down = len(part) > 1 and part[1].upper() == "DESC"
        rows = sorted(rows, key=lambda row: _rank(row["attributes"].get(field)), reverse=is_down)
    return rows


def _rank(value: Any) -> tuple[bool, Any]:
    return (value is not None, 0 if value is None else value)


def _out_fields(text: str, source: Source) -> set[str]:
    """The fields asked for; the object id always comes along."""
    if text.strip() == "*":
        return set(source.names)
    by_name = {name.lower(): name for name in source.names}
    wanted = {source.layer.object_id_field}
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part.lower() not in by_name:
            raise invalid(f"'Invalid field: {part}' parameter is invalid")
        wanted.add(by_name[part.lower()])
    return wanted


def _feature(row: Json, names: set[str], shape: Callable[[Json], Json] | None) -> Json:
    feature: Json = {"attributes": {name: value for name, value in row["attributes"].items() if name in names}}
    if shape and row.get("geometry") is not None:
        feature["geometry"] = shape(row["geometry"])
    return feature


def _statistics(source: Source, rows: Sequence[Json], text: str) -> Json:
    """The answer to `outStatistics`, without grouping."""
    try:
        wanted = [(one["statisticType"].lower(), one["onStatisticField"], one) for one in json.loads(text)]
    except (ValueError, KeyError, TypeError):
        raise invalid("'outStatistics' parameter is invalid") from None
    attributes: Json = {}
    for kind, field, one in wanted:
        if field not in source.names:
            raise invalid(f"'Invalid field: {field}' parameter is invalid")
        values = [row["attributes"][field] for row in rows if row["attributes"].get(field) is not None]
        result: Any = len(values)
        if kind != "count":
            if kind not in _STATISTICS:
                raise invalid("'outStatistics' parameter is invalid")
            result = _STATISTICS[kind](values) if values else None
        attributes[one.get("outStatisticFieldName", f"{kind}_{field}")] = result
    fields = [{"name": name, "type": "esriFieldTypeDouble", "alias": name} for name in attributes]
    return {"fields": fields, "features": [{"attributes": attributes}]}
