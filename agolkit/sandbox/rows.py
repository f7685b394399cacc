"""The rows of a layer as a query sees them: filtered, ordered, cut into pages, with the fields asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agolkit.sandbox.answers import Json
from agolkit.sandbox.call import Call
from agolkit.sandbox.organization import Attachment, Layer, Organization, Service
from agolkit.sandbox.where import compile_where, invalid

_MERCATOR = (102100, 3857, 102113, 900913)
_RADIUS = 6378137.0
_STATISTICS: Mapping[str, Callable[[Sequence[Any]], Any]] = {
    "min": min,
    "max": max,
    "sum": sum,
    "avg": lambda values: sum(values) / len(values),
}


@dataclass(frozen=True)
class Source:
    """A layer of a service together with what it shows: its own rows, or those of the layer that it is a view of."""

    service: Service
    layer: Layer
    features: list[Json]
    attachments: dict[int, list[Attachment]] | None
    restriction: str

    @property
    def fields(self) -> list[Json]:
        """The fields that can be seen."""
        return [field for field in self.layer.fields if field["name"] not in self.layer.hidden_fields]

    @property
    def names(self) -> list[str]:
        """The names of the fields that can be seen."""
        return [field["name"] for field in self.fields]

    def rows(self) -> list[Json]:
        """Return the rows that can be seen; a view's query may use fields that it hides."""
        test = compile_where(self.restriction, [field["name"] for field in self.layer.fields])
        return self.features if test is None else [row for row in self.features if test(row["attributes"])]

    def attached(self, object_id: int) -> list[Attachment]:
        """Return the attachments of a row."""
        return (self.attachments or {}).get(object_id, [])


def source_of(org: Organization, service: Service, layer: Layer) -> Source:
    """Return what a layer shows; a view shows the rows of the layer with its id in the source service."""
    origin = layer
    if service.view_of and service.view_of in org.services:
        origin = next((one for one in org.services[service.view_of].all() if one.id == layer.id), layer)
    attachments = None if layer.attachments is None else origin.attachments
    return Source(service, layer, origin.features, attachments, layer.view_where or "")


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
        ids = [row["attributes"][layer.object_id_field] for row in rows]
        return {"objectIdFieldName": layer.object_id_field, "objectIds": ids}
    if statistics := params.get("outStatistics"):
        return _statistics(source, rows, statistics)
    offset = max(0, call.number("resultOffset", 0))
    count = min(call.number("resultRecordCount", layer.max_record_count), layer.max_record_count)
    chosen = rows[offset : offset + count]
    names = _out_fields(params.get("outFields", ""), source)
    wkid = _out_wkid(params.get("outSR", ""), layer)
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
            shape = _shaper(layer, with_z, with_m, wkid)
    answer["fields"] = [field for field in source.fields if field["name"] in names]
    answer["features"] = [_feature(row, names, shape) for row in chosen]
    if offset + len(chosen) < len(rows):
        answer["exceededTransferLimit"] = True
    return answer


def _wanted(call: Call, source: Source) -> Sequence[Json]:
    """The rows that `where` and `objectIds` leave over."""
    layer, rows = source.layer, source.rows()
    if ids := call.params.get("objectIds"):
        wanted = set(numbers(ids, "objectIds"))
        rows = [row for row in rows if row["attributes"][layer.object_id_field] in wanted]
    elif "where" not in call.params and "time" not in call.params and "geometry" not in call.params:
        raise invalid("'where' clause is missing")
    if test := compile_where(call.params.get("where", ""), source.names):
        rows = [row for row in rows if test(row["attributes"])]
    return rows


def numbers(text: str, name: str) -> list[int]:
    """Return the whole numbers of a comma-separated parameter."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise invalid(f"'{name}' parameter is invalid") from None


def _ordered(rows: Sequence[Json], order: str, source: Source) -> Sequence[Json]:
    names = {name.lower(): name for name in source.names}
    for part in reversed([part.split() for part in order.split(",") if part.strip()]):
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


def spatial_reference(wkid: int) -> Json:
    """Return a spatial reference as the service writes it."""
    return {"wkid": 102100 if wkid in _MERCATOR else wkid, "latestWkid": 3857 if wkid in _MERCATOR else wkid}


def _out_wkid(text: str, layer: Layer) -> int:
    """The spatial reference asked for: the layer's own, or one of WGS 84 and Web Mercator."""
    if not text.strip():
        return layer.wkid
    try:
        asked = json.loads(text)
        wkid = int(asked.get("latestWkid") or asked["wkid"]) if isinstance(asked, dict) else int(asked)
    except (ValueError, KeyError, TypeError):
        raise invalid("'outSR' parameter is invalid") from None
    same = wkid == layer.wkid or (wkid in _MERCATOR and layer.wkid in _MERCATOR)
    if not same and {wkid, layer.wkid} - {4326, *_MERCATOR}:
        raise invalid("'outSR' parameter is invalid")
    return layer.wkid if same else wkid


def _shaper(layer: Layer, with_z: bool, with_m: bool, wkid: int) -> Callable[[Json], Json]:
    """Return what turns a stored geometry into the one to answer."""
    keep = [0, 1] + ([2] if with_z else []) + ([2 + layer.has_z] if with_m else [])
    move = None if wkid == layer.wkid else _to_degrees if wkid == 4326 else _to_meters
    if move is None and len(keep) == 2 + layer.has_z + layer.has_m:
        return lambda geometry: geometry

    def place(position: Sequence[Any]) -> list[Any]:
        cut = [position[at] for at in keep if at < len(position)]
        return [*move(cut[0], cut[1]), *cut[2:]] if move else cut

    def shape(geometry: Json) -> Json:
        if "x" in geometry:
            x, y = geometry["x"], geometry["y"]
            point: Json = dict(zip("xy", move(x, y) if move and x is not None else (x, y), strict=True))
            return point | {
                name: geometry[name] for name, is_kept in (("z", with_z), ("m", with_m)) if is_kept and name in geometry
            }
        answer: Json = {}
        for name, value in geometry.items():
            if name == "points":
                answer[name] = [place(position) for position in value]
            elif name in ("paths", "rings"):
                answer[name] = [[place(position) for position in part] for part in value]
        return answer

    return shape


def _to_meters(x: float, y: float) -> tuple[float, float]:
    return math.radians(x) * _RADIUS, math.log(math.tan(math.pi / 4 + math.radians(y) / 2)) * _RADIUS


def _to_degrees(x: float, y: float) -> tuple[float, float]:
    return math.degrees(x / _RADIUS), math.degrees(2 * math.atan(math.exp(y / _RADIUS)) - math.pi / 2)


def extent(layer: Layer, rows: Sequence[Json]) -> Json | None:
    """Return the extent of rows, or `None` where there is none."""
    xs: list[float] = []
    ys: list[float] = []
    for geometry in (row.get("geometry") for row in rows):
        if not geometry:
            continue
        if "x" in geometry:
            positions = [(geometry["x"], geometry["y"])] if geometry["x"] is not None else []
        else:
            parts = geometry.get("rings") or geometry.get("paths") or [geometry.get("points", [])]
            positions = [position for part in parts for position in part]
        xs += [position[0] for position in positions]
        ys += [position[1] for position in positions]
    if not xs:
        return None
    return {
        "xmin": min(xs),
        "ymin": min(ys),
        "xmax": max(xs),
        "ymax": max(ys),
        "spatialReference": spatial_reference(layer.wkid),
    }
