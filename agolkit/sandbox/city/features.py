"""Fields, domains, symbols and rows of hosted layers, shaped as ArcGIS Online writes them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from agolkit.sandbox.city.ids import DAY, FIRST_STAMP, LAST_STAMP, global_id
from agolkit.sandbox.organization import Layer

Json = dict[str, Any]
Make = Callable[[random.Random, int], tuple[Json, Json | None]]
"""Attributes and geometry of the n-th feature (from 1)."""

WEB_MERCATOR = 102100
CENTER = {WEB_MERCATOR: (-9_979_800.0, 4_831_000.0), 4326: (-89.65, 39.78), 26916: (272_500.0, 4_407_000.0)}
"""The middle of Springfield by well-known id of the spatial reference."""
_REACH = {WEB_MERCATOR: 9_000.0, 4326: 0.08, 26916: 7_000.0}
_EDITORS = ("p.waters", "field.crew", "Transport_GIS")
TRACKING = {
    "creationDateField": "CreationDate",
    "creatorField": "Creator",
    "editDateField": "EditDate",
    "editorField": "Editor",
}


def field(
    name: str, kind: str = "String", alias: str | None = None, *, length: int | None = None, domain: Json | None = None
) -> Json:
    """A field of a layer; `kind` is what follows `esriFieldType`. Texts are 255 long unless told."""
    system = kind in ("OID", "GlobalID")
    made: Json = {
        "name": name,
        "type": f"esriFieldType{kind}",
        "alias": alias or name.replace("_", " ").title(),
        "sqlType": {"OID": "sqlTypeInteger", "Integer": "sqlTypeInteger", "Double": "sqlTypeFloat"}.get(
            kind, "sqlTypeOther"
        ),
        "nullable": not system,
        "editable": not system,
        "visible": True,
        "domain": domain,
        "defaultValue": None,
    }
    if kind in ("String", "GlobalID", "GUID"):
        made["length"] = length or (255 if kind == "String" else 38)
    elif kind in ("Date", "DateOnly"):
        made["length"] = 8
    return made


def coded(name: str, *choices: str) -> Json:
    """A coded value domain whose codes are the choices in upper case with `_` for blanks."""
    values = [{"name": choice, "code": choice.upper().replace(" ", "_")} for choice in choices]
    return _domain("codedValue", name, {"codedValues": values})


def value_range(name: str, low: float, high: float) -> Json:
    return _domain("range", name, {"range": [low, high]})


def layer(
    at: int,
    name: str,
    columns: Sequence[Json],
    count: int,
    make: Make,
    *,
    geometry: str | None = None,
    wkid: int = WEB_MERCATOR,
    tracked: bool = False,
    **rest: Any,
) -> Layer:
    """A layer (`geometry` is what follows `esriGeometry`) or table with `count` rows.

    OBJECTID comes first and has gaps, as where rows were deleted; GlobalID comes second. `rest` are fields of `Layer`.
    """
    chance = random.Random(name)
    fields = [field("OBJECTID", "OID", "OBJECTID"), field("GlobalID", "GlobalID", "GlobalID"), *columns]
    if tracked:
        fields += [field(each, "Date" if each.endswith("Date") else "String", length=128) for each in TRACKING.values()]
    rows, object_id, newest = [], 0, FIRST_STAMP
    for nth in range(1, count + 1):
        object_id += 2 if nth % 17 == 0 else 1
        attributes, shape = make(chance, nth)
        attributes = {"OBJECTID": object_id, "GlobalID": global_id(name, at, nth), **attributes}
        if tracked:
            created = random_day(chance)
            edited = min(LAST_STAMP, created + chance.randrange(90 * DAY))
            author, editor = chance.choice(_EDITORS), chance.choice(_EDITORS)
            attributes |= {"CreationDate": created, "Creator": author, "EditDate": edited, "Editor": editor}
            newest = max(newest, edited)
        rows.append({"attributes": attributes, "geometry": shape} if geometry else {"attributes": attributes})
    definition: Json = {"displayField": columns[0]["name"] if columns else "OBJECTID", "description": ""}
    if geometry:
        definition["drawingInfo"] = {"renderer": _renderer(geometry, columns, chance), "transparency": 0}
        definition["templates"] = [_template(name, columns, geometry)]
    if tracked:
        definition["editFieldsInfo"] = dict(TRACKING)
    rest["definition"] = definition | rest.get("definition", {})
    changed = newest if tracked else FIRST_STAMP + chance.randrange(LAST_STAMP - FIRST_STAMP)
    return Layer(
        id=at,
        name=name,
        fields=fields,
        features=rows,
        geometry_type=f"esriGeometry{geometry}" if geometry else None,
        wkid=wkid,
        last_edit=changed,
        schema_last_edit=FIRST_STAMP + DAY,
        **rest,
    )


def related(origin: Layer, destination: Layer, *, key: str, name: str) -> None:
    """Make a one-to-many relationship class: `key` of the destination holds GlobalIDs of the origin."""
    common = {
        "id": len(origin.relationships),
        "name": name,
        "cardinality": "esriRelCardinalityOneToMany",
        "composite": True,
    }
    origin.relationships.append(
        {**common, "relatedTableId": destination.id, "role": "esriRelRoleOrigin", "keyField": "GlobalID"}
    )
    destination.relationships.append(
        {**common, "relatedTableId": origin.id, "role": "esriRelRoleDestination", "keyField": key}
    )


def global_ids(of: Layer) -> list[str]:
    return [row["attributes"]["GlobalID"] for row in of.features]


def object_ids(of: Layer) -> list[int]:
    return [row["attributes"]["OBJECTID"] for row in of.features]


def random_day(chance: random.Random) -> int:
    """Epoch milliseconds of some whole minute in the city's years."""
    return FIRST_STAMP + chance.randrange((LAST_STAMP - FIRST_STAMP) // 60_000) * 60_000


def point(chance: random.Random, wkid: int = WEB_MERCATOR, *, z: float | None = None) -> Json:
    x, y = _place(chance, wkid)
    return {"x": x, "y": y} if z is None else {"x": x, "y": y, "z": z}


def line(chance: random.Random, wkid: int = WEB_MERCATOR, *, parts: int = 1, measured: bool = False) -> Json:
    """A polyline of `parts` paths; `measured` gives each vertex its distance as M."""
    step = _REACH[wkid] / 60
    paths = []
    for _ in range(parts):
        (x, y), measure, path = _place(chance, wkid), 0.0, []
        for _ in range(chance.randint(2, 7)):
            path.append([x, y, measure] if measured else [x, y])
            x, y, measure = x + chance.uniform(-step, step), y + chance.uniform(-step, step), measure + round(step, 3)
        paths.append(path)
    return {"hasM": True, "paths": paths} if measured else {"paths": paths}


def polygon(chance: random.Random, wkid: int = WEB_MERCATOR, *, hole: bool = False) -> Json:
    """A rectangle, clockwise, closed; `hole` cuts a counter-clockwise ring out of it."""
    x, y = _place(chance, wkid)
    w, h = _REACH[wkid] * chance.uniform(0.05, 0.15), _REACH[wkid] * chance.uniform(0.05, 0.15)
    rings = [[[x, y], [x, y + h], [x + w, y + h], [x + w, y], [x, y]]]
    if hole:
        a, b, c, d = x + w / 4, y + h / 4, x + w / 2, y + h / 2
        rings.append([[a, b], [c, b], [c, d], [a, d], [a, b]])
    return {"rings": rings}


def _place(chance: random.Random, wkid: int) -> tuple[float, float]:
    (x, y), reach = CENTER[wkid], _REACH[wkid]
    return x + chance.uniform(-reach, reach), y + chance.uniform(-reach, reach)


def _domain(kind: str, name: str, values: Json) -> Json:
    policies = {"mergePolicy": "esriMPTDefaultValue", "splitPolicy": "esriSPTDefaultValue"}
    return {"type": kind, "name": name, "description": "", **values, **policies}


def _template(name: str, columns: Sequence[Json], geometry: str) -> Json:
    prototype = {"attributes": {column["name"]: column["defaultValue"] for column in columns}}
    return {"name": name, "description": "", "drawingTool": f"esriFeatureEditTool{geometry}", "prototype": prototype}


def _renderer(geometry: str, columns: Sequence[Json], chance: random.Random) -> Json:
    """By the first column with coded values, else one symbol for all."""
    for column in columns:
        domain = column["domain"] or {}
        if domain.get("type") == "codedValue":
            infos = [
                {"value": each["code"], "label": each["name"], "symbol": _symbol(geometry, chance)}
                for each in domain["codedValues"]
            ]
            return {"type": "uniqueValue", "field1": column["name"], "uniqueValueInfos": infos}
    return {"type": "simple", "symbol": _symbol(geometry, chance), "label": "", "description": ""}


def _symbol(geometry: str, chance: random.Random) -> Json:
    color = [chance.randrange(256), chance.randrange(256), chance.randrange(256), 255]
    outline = {"type": "esriSLS", "style": "esriSLSSolid", "color": [64, 64, 64, 255], "width": 0.75}
    if geometry == "Polyline":
        return {**outline, "color": color, "width": 1.5}
    if geometry == "Polygon":
        return {"type": "esriSFS", "style": "esriSFSSolid", "color": color, "outline": outline}
    return {"type": "esriSMS", "style": "esriSMSCircle", "color": color, "size": 6, "outline": outline}
