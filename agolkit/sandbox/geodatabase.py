"""Files that export jobs make: real file geodatabases, and the other formats that GDAL writes.

A file geodatabase holds one table a layer, with its object ids and global ids, and one table `<layer>__ATTACH` with the
bytes of the attachments. Domains and relationship classes are missing: the writer cannot make them. It keeps the moment
of a timestamp with offset, but not the offset; curves are written as the vertices that approximate them.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyogrio

from agolkit.sandbox.answers import Json
from agolkit.sandbox.geometry import encoder, type_name
from agolkit.sandbox.organization import Attachment, Layer

_BATCH = 5_000
_ATTACHMENT_BATCH = 8 << 20
_FLAT = ("CSV", "XLSX")
"""Writers without geometries; points get the columns `x` and `y`."""
_ARROW: dict[str, pa.DataType] = {
    "esriFieldTypeOID": pa.int64(),
    "esriFieldTypeInteger": pa.int32(),
    "esriFieldTypeSmallInteger": pa.int16(),
    "esriFieldTypeBigInteger": pa.int64(),
    "esriFieldTypeDouble": pa.float64(),
    "esriFieldTypeSingle": pa.float32(),
    "esriFieldTypeDate": pa.timestamp("ms", "UTC"),
    "esriFieldTypeDateOnly": pa.date32(),
    "esriFieldTypeTimeOnly": pa.time32("ms"),
    "esriFieldTypeTimestampOffset": pa.timestamp("ms", "UTC"),
}


@dataclass(frozen=True)
class Format:
    """A format of export: who writes it, and what the portal calls the result."""

    driver: str
    item_type: str
    suffix: str
    media_type: str
    holds_many: bool
    """Whether one file takes several layers."""
    type_of_many: str | None = None
    """Item type of a zip file with one file for each layer."""


FORMATS = {
    "File Geodatabase": Format("OpenFileGDB", "File Geodatabase", ".gdb", "application/zip", True),
    "Shapefile": Format("ESRI Shapefile", "Shapefile", ".shp", "application/zip", False, "Shapefile"),
    "CSV": Format("CSV", "CSV", ".csv", "text/csv", False, "CSV Collection"),
    "GeoJson": Format("GeoJSON", "GeoJson", ".geojson", "application/geo+json", False, "GeoJson"),
    "geoPackage": Format("GPKG", "GeoPackage", ".gpkg", "application/geopackage+sqlite3", True),
    "Excel": Format(
        "XLSX",
        "Microsoft Excel",
        ".xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        True,
    ),
}


@dataclass(frozen=True)
class Table:
    """A layer's rows as they stand when the job begins."""

    layer: Layer
    fields: Sequence[Json]
    rows: Sequence[Json]
    attachments: dict[int, list[Attachment]] | None


def write_file(target: Path, name: str, form: Format, tables: Sequence[Table]) -> str:
    """Write `tables` to `target` in a format, zipped where it is more than one file; return the name of the result."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        if form.holds_many:
            written = [_write(Path(folder) / f"{name}{form.suffix}", form.driver, tables)]
        else:
            names = _table_names(tables)
            written = [
                _write(Path(folder) / f"{one}{form.suffix}", form.driver, [table])
                for one, table in zip(names, tables, strict=True)
            ]
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        if len(files) == 1 and form.driver != "OpenFileGDB":
            files[0].replace(target)
            return f"{name}{written[0].suffix}"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for path in files:
                archive.write(path, path.relative_to(folder).as_posix())
        return f"{name}.zip"


def _write(path: Path, driver: str, tables: Sequence[Table]) -> Path:
    for name, table in zip(_table_names(tables), tables, strict=True):
        _write_table(path, driver, name, table)
        if driver == "OpenFileGDB" and table.attachments is not None:
            _write_attachments(path, f"{name}__ATTACH", table)
    return path


def _table_names(tables: Sequence[Table]) -> list[str]:
    """Names as a geodatabase takes them: letters, digits and underscores, no digit first, none twice."""
    names: list[str] = []
    for table in tables:
        name = re.sub(r"\W", "_", table.layer.name) or "layer"
        name = f"_{name}" if name[0].isdigit() else name
        count = 1
        while (name if count == 1 else f"{name}_{count}").lower() in {one.lower() for one in names}:
            count += 1
        names.append(name if count == 1 else f"{name}_{count}")
    return names


def _write_table(path: Path, driver: str, name: str, table: Table) -> None:
    layer = table.layer
    fields = [field for field in table.fields if field["type"] != "esriFieldTypeGeometry"]
    columns = [
        pa.field(
            field["name"],
            _ARROW.get(field["type"], pa.string()),
            metadata={"GDAL:OGR:alternative_name": field.get("alias") or field["name"]},
        )
        for field in fields
    ]
    encode: Callable[[Json | None], bytes | None] | None = None
    with_x_y = driver in _FLAT and layer.geometry_type == "esriGeometryPoint"
    if with_x_y:
        columns += [pa.field("x", pa.float64()), pa.field("y", pa.float64())]
    elif layer.geometry_type and driver not in _FLAT:
        encode = encoder(layer.geometry_type, layer.has_z, layer.has_m)
        columns.append(pa.field("SHAPE", pa.binary()))
    schema = pa.schema(columns)

    def batches() -> Iterator[pa.RecordBatch]:
        for at in range(0, max(1, len(table.rows)), _BATCH):
            rows = table.rows[at : at + _BATCH]
            values = [[row["attributes"].get(field["name"]) for row in rows] for field in fields]
            if with_x_y:
                values += [[(row.get("geometry") or {}).get(axis) for row in rows] for axis in "xy"]
            elif encode:
                values.append([encode(row.get("geometry")) for row in rows])
            pairs = zip(columns, values, strict=True)
            arrays = [pa.array(map(_fitting(column.type), some), column.type) for column, some in pairs]
            yield pa.record_batch(arrays, schema=schema)

    # Left alone, the writer makes identifiers texts, and dates timestamps with offset.
    kinds: dict[str, list[str]] = {"esriFieldTypeGlobalID": [], "esriFieldTypeGUID": [], "esriFieldTypeDate": []}
    for field in fields:
        kinds.get(field["type"], []).append(field["name"])
    _write_arrow(
        path,
        driver,
        name,
        pa.RecordBatchReader.from_batches(schema, batches()),
        object_id=layer.object_id_field,
        kinds=kinds,
        alias=layer.name,
        geometry_type=type_name(layer.geometry_type or "", layer.has_z, layer.has_m) if encode else None,
        crs=_crs(layer.wkid),
    )


def _fitting(kind: pa.DataType) -> Callable[[Any], Any]:
    """What makes a value fit its column: text columns take anything, whole-number columns what JSON made a float."""
    make: Callable[[Any], Any]
    if pa.types.is_string(kind):
        make = str
    elif pa.types.is_timestamp(kind):
        make = _moment
    elif pa.types.is_integer(kind):
        make = int
    elif pa.types.is_date(kind):
        make = date.fromisoformat
    elif pa.types.is_time(kind):
        make = time.fromisoformat
    else:
        return lambda value: value
    return lambda value: None if value is None else make(value)


def _moment(value: str | float) -> int:
    """Epoch milliseconds, also of the text that a timestamp with offset is."""
    return int(datetime.fromisoformat(value).timestamp() * 1000) if isinstance(value, str) else int(value)


def _crs(wkid: int) -> str:
    if wkid in (102100, 102113, 900913):
        return "EPSG:3857"
    return f"ESRI:{wkid}" if wkid > 32_767 else f"EPSG:{wkid}"


def _write_attachments(path: Path, name: str, table: Table) -> None:
    schema = pa.schema(
        [
            ("ATTACHMENTID", pa.int64()),
            ("GLOBALID", pa.string()),
            ("REL_GLOBALID", pa.string()),
            ("CONTENT_TYPE", pa.string()),
            ("ATT_NAME", pa.string()),
            ("DATA_SIZE", pa.int32()),
            ("DATA", pa.binary()),
        ]
    )

    def batches() -> Iterator[pa.RecordBatch]:
        rows: list[tuple[Any, ...]] = []
        size = 0
        for row in table.rows:
            attributes = row["attributes"]
            parent = attributes.get(table.layer.global_id_field or "")
            for one in (table.attachments or {}).get(attributes[table.layer.object_id_field], []):
                content = b"".join(one.payload.chunks())
                rows.append((one.id, _braced(one.global_id), parent, one.content_type, one.name, len(content), content))
                size += len(content)
                if size >= _ATTACHMENT_BATCH:
                    yield _batch(rows, schema)
                    rows, size = [], 0
        yield _batch(rows, schema)

    _write_arrow(
        path,
        "OpenFileGDB",
        name,
        pa.RecordBatchReader.from_batches(schema, batches()),
        object_id="ATTACHMENTID",
        kinds={"esriFieldTypeGlobalID": ["GLOBALID"], "esriFieldTypeGUID": ["REL_GLOBALID"]},
    )


def _batch(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else [[]] * len(schema)
    return pa.record_batch(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def _braced(global_id: str) -> str:
    return "{" + global_id.strip("{}").upper() + "}"


def _write_arrow(
    path: Path,
    driver: str,
    name: str,
    reader: pa.RecordBatchReader,
    *,
    object_id: str,
    kinds: dict[str, list[str]],
    alias: str = "",
    geometry_type: str | None = None,
    crs: str | None = None,
) -> None:
    options: dict[str, str] = {}
    if driver == "OpenFileGDB":
        options = {"FID": object_id, "TARGET_ARCGIS_VERSION": "ARCGIS_PRO_3_2_OR_LATER"}
        if alias:
            options["LAYER_ALIAS"] = alias
        if types := ",".join(f"{field}={kind}" for kind, names in kinds.items() for field in names):
            options["COLUMN_TYPES"] = types
    elif driver == "GeoJSON":
        options = {"RFC7946": "YES"}
    # Without this the writer gives every row a new global id.
    pyogrio.set_gdal_config_options({"OPENFILEGDB_REGENERATE_GLOBALID": "NO"})
    pyogrio.write_arrow(
        reader,
        path,
        layer=name,
        driver=driver,
        geometry_name="SHAPE" if geometry_type else None,
        geometry_type=geometry_type,
        crs=crs if geometry_type else None,
        layer_options=options,
    )
