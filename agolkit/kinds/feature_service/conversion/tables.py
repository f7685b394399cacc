"""The saved layers of an item as streams of Arrow batches, alike from saved rows and from a saved geodatabase."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyogrio

from agolkit.errors import CheckFailed
from agolkit.kinds.feature_service.conversion.geometry import NAMES, Encoder, type_name
from agolkit.kinds.feature_service.conversion.schema import GEOMETRY, Column, columns_of, crs_of
from agolkit.kinds.feature_service.definition import (
    GEODATABASE,
    attachments_path,
    layers_by_id,
    load_attachment_list,
    load_definition,
    rows_path,
)
from agolkit.kinds.feature_service.geodatabase import geodatabase_in
from agolkit.model import Outcome, Part
from agolkit.packed import unpacked_lines
from agolkit.store import Spool, Store

ROWS_AT_ONCE = 5_000
TEXT_AT_ONCE = 8 << 20
"""Rows in memory at once: so many, or so many bytes of their JSON."""
BYTES_AT_ONCE = 8 << 20
"""Of attachments in memory at once; a larger one comes alone."""
GEODATABASE_ROWS_AT_ONCE = 1_000
_KEPT = (b"GDAL:OGR:alternative_name", b"GDAL:OGR:width", b"GDAL:OGR:subtype")

ATTACHMENTS = pa.schema(
    [
        ("ATTACHMENTID", pa.int64()),
        ("GLOBALID", pa.string()),
        ("REL_GLOBALID", pa.string()),
        ("REL_OBJECTID", pa.int32()),
        ("CONTENT_TYPE", pa.string()),
        ("ATT_NAME", pa.string()),
        ("DATA_SIZE", pa.int32()),
        ("DATA", pa.binary()),
    ]
)


@dataclass(slots=True)
class Table:
    """A stream of rows and what is known of them."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    object_id: str
    """Name of the column with the object ids."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Esri types (what follows `esriFieldType`) by column, where they are known."""
    columns: list[Column] = field(default_factory=list)
    geometry_type: str | None = None
    """As GDAL names it; `None` for a table."""
    crs: str | None = None
    encoder: Encoder | None = None
    """What made the geometries, and counted what it could not keep."""
    has_curves: bool = False
    """Known when the rows went through."""


class SavedLayers:
    """What a backup holds of the layers of one item."""

    def __init__(self, store: Store, outcome: Outcome) -> None:
        self.store = store
        self.parts: dict[str, Part] = {part.path: part for part in outcome.parts}
        self.definition = definition = load_definition(store, outcome.parts)
        self.described = layers_by_id(definition)
        self.proven = {each["id"]: each for each in definition.get("geodatabase") or ()}
        self.in_geodatabase = {layer: str(each["layer"]) for layer, each in self.proven.items()}
        self.in_rows = {each["id"]: each for each in definition.get("rows") or ()}

    @property
    def ids(self) -> list[int]:
        """Ids of the layers of which rows are saved in either form."""
        return sorted({*self.in_geodatabase, *self.in_rows})

    def name(self, layer: int) -> str:
        """The layer's name in its service."""
        return str(self.described.get(layer, {}).get("name") or self.in_geodatabase.get(layer) or f"layer {layer}")

    def copied(self, path: str, scratch: Path | None = None) -> Spool:
        """The content of one of the item's parts, its hash checked."""
        return self.store.copied(self.parts[path].blob.sha256, scratch)

    @contextmanager
    def geodatabase(self, scratch: Path | None = None) -> Iterator[str]:
        """What GDAL opens to read the saved geodatabase."""
        with self.copied(GEODATABASE, scratch) as spool:
            yield geodatabase_in(spool.path())

    @contextmanager
    def rows(
        self, layer: int, *, scratch: Path | None = None, for_geodatabase: bool = False, keep_arcs: bool = False
    ) -> Iterator[Table]:
        """The saved rows of a layer."""
        raw, header = self.described.get(layer, {}), self.in_rows[layer].get("header") or {}
        fields = header.get("fields") or raw.get("fields") or []
        object_id = (
            header.get("objectIdFieldName")
            or raw.get("objectIdField")
            or next((each["name"] for each in fields if each.get("type") == "esriFieldTypeOID"), "OBJECTID")
        )
        columns = columns_of(fields, object_id, for_geodatabase=for_geodatabase)
        schema = pa.schema([column.field(for_geodatabase=for_geodatabase) for column in columns])
        table = Table(
            schema=schema,
            batches=iter(()),
            object_id=next(column.name for column in columns if column.source == object_id),
            types={column.name: column.type for column in columns},
            columns=columns,
        )
        if told := header.get("geometryType") or raw.get("geometryType"):
            has_z, has_m = (bool(header.get(flag, raw.get(flag))) for flag in ("hasZ", "hasM"))
            table.geometry_type = type_name(NAMES.get(told, "MultiPolygon"), has_z, has_m)
            # A geodatabase that GDAL writes has no way to say that a height or measure is not set.
            table.encoder = Encoder(has_z, has_m, unset=0.0 if for_geodatabase else math.nan, keep_arcs=keep_arcs)
            extent = raw.get("extent") or {}
            table.crs = crs_of(header.get("spatialReference") or extent.get("spatialReference") or {"wkid": 4326})
            table.schema = schema.append(pa.field(GEOMETRY, pa.binary()))
        with self.copied(rows_path(layer), scratch) as spool, spool.open() as packed:
            table.batches = _rows(packed, table, self.in_rows[layer].get("rows"), for_geodatabase=for_geodatabase)
            yield table

    def attachments(
        self, layer: int, global_ids: Mapping[int, str], *, scratch: Path | None, for_geodatabase: bool
    ) -> Table:
        """The attachments that are saved as files; `global_ids` are those of the rows, by object id."""
        types = {"GLOBALID": "GUID", "REL_GLOBALID": "GUID"}
        at = ATTACHMENTS.get_field_index("REL_OBJECTID")
        schema = ATTACHMENTS if for_geodatabase else ATTACHMENTS.set(at, pa.field("REL_OBJECTID", pa.int64()))
        columns = [Column(each.name, each.name, types.get(each.name, ""), "", 0, None) for each in schema]

        def batches() -> Iterator[pa.RecordBatch]:
            some: list[tuple[Any, ...]] = []
            size = 0
            for fact in self.listed_attachments(layer):
                content = None
                if fact["path"] in self.parts:
                    with self.copied(fact["path"], scratch) as spool:
                        content = spool.read()
                some.append((
                    fact["id"], fact.get("globalId"),
                    global_ids.get(fact["parentObjectId"]), fact["parentObjectId"],
                    fact.get("contentType"), fact.get("name"), fact.get("size"), content,
                ))  # fmt: skip
                size += len(content or b"")
                if size >= BYTES_AT_ONCE or len(some) >= ROWS_AT_ONCE:
                    yield batch(some)
                    some, size = [], 0
            yield batch(some)

        def batch(some: list[tuple[Any, ...]]) -> pa.RecordBatch:
            values = [list(each) for each in zip(*some, strict=True)] if some else [[]] * len(columns)
            arrays = [
                column.array(each, for_geodatabase=for_geodatabase) if column.type else pa.array(each, kind.type)
                for column, each, kind in zip(columns, values, schema, strict=True)
            ]
            return pa.record_batch(arrays, schema=schema)

        return Table(schema, batches(), "ATTACHMENTID", types)

    def listed_attachments(self, layer: int) -> Iterator[dict[str, Any]]:
        """What the service said of each attachment of a layer, with the `path` of its file."""
        path = attachments_path(layer)
        if path in self.parts:
            yield from load_attachment_list(self.store, self.parts[path])

    @contextmanager
    def geodatabase_rows(self, geodatabase: str, layer: int) -> Iterator[Table]:
        """The rows of a layer in the saved geodatabase."""
        fields = self.described.get(layer, {}).get("fields") or []
        offsets = {each["name"].casefold() for each in fields if each.get("type") == "esriFieldTypeTimestampOffset"}
        with open_table(geodatabase, self.in_geodatabase[layer], offsets=offsets) as table:
            names = {name.casefold(): name for name in table.schema.names}
            told = columns_of(fields, table.object_id, for_geodatabase=True)
            table.columns = [
                replace(each, name=names[each.name.casefold()]) for each in told if each.name.casefold() in names
            ]
            yield table


@contextmanager
def open_table(
    geodatabase: str, name: str, *, offsets: Iterable[str] = (), at_once: int = GEODATABASE_ROWS_AT_ONCE
) -> Iterator[Table]:
    """A table of a geodatabase. `offsets` (lower case) are fields that have a time zone in each row: they are text."""
    special: dict[str, Any] = {"datetime_as_string": True} if offsets else {}
    with pyogrio.open_arrow(geodatabase, layer=name, return_fids=True, batch_size=at_once, **special) as (
        facts,
        stream,
    ):
        reader = pa.RecordBatchReader.from_stream(stream)
        batches = iter(reader)
        geometry = str(facts["geometry_name"] or "") if facts["geometry_type"] else ""
        first = next(batches, None)
        schema = pa.schema([_field(each, geometry, offsets) for each in reader.schema])
        yield Table(
            schema=schema,
            batches=(_cast(batch, schema) for batch in chain([first] if first else [], batches)),
            object_id=str(facts["fid_column"]),
            geometry_type=_measured(facts["geometry_type"], first.column(geometry)) if geometry and first else
            facts["geometry_type"],
            crs=facts["crs"],
        )  # fmt: skip


def _field(found: pa.Field, geometry: str, offsets: Iterable[str]) -> pa.Field:
    """A field as GDAL reads it, with dates in UTC, and codes where GDAL has looked up their meaning."""
    if found.name == geometry:
        return pa.field(GEOMETRY, pa.binary())
    metadata = found.metadata or {}
    is_date = pa.types.is_timestamp(found.type) or metadata.get(b"GDAL:OGR:type") == b"DateTime"
    kind = found.type.index_type if pa.types.is_dictionary(found.type) else found.type
    if is_date and found.name.casefold() not in offsets:
        kind = pa.timestamp("ms", "UTC")
    return pa.field(found.name, kind, metadata={key: metadata[key] for key in _KEPT if key in metadata} or None)


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    arrays = []
    for array, wanted in zip(batch.columns, schema, strict=True):
        if pa.types.is_dictionary(array.type):
            array = array.indices
        if pa.types.is_string(array.type) and pa.types.is_timestamp(wanted.type):
            array = pc.utf8_rtrim(array, "Z").cast(pa.timestamp("ms"))
        arrays.append(array.cast(wanted.type))
    return pa.record_batch(arrays, schema=schema)


def _measured(name: str, geometries: pa.Array) -> str:
    """The name of a geometry type with its M values, which pyogrio leaves out."""
    wkb = next((each.as_py() for each in geometries if each.is_valid), None)
    flags = struct.unpack_from("<I", wkb, 1)[0] // 1000 if wkb else 0
    return type_name(name.removesuffix(" Z"), flags == 3, True) if flags >= 2 else name


def _rows(packed: IO[bytes], table: Table, most: int | None, *, for_geodatabase: bool) -> Iterator[pa.RecordBatch]:
    count = 0
    for features in _features(unpacked_lines(packed)):
        count += len(features)
        if most is not None and count > most:
            raise CheckFailed(f"more than {most:,} rows are saved.")
        attributes = [feature["attributes"] for feature in features]
        arrays = [
            column.array([row.get(column.source) for row in attributes], for_geodatabase=for_geodatabase)
            for column in table.columns
        ]
        if table.encoder:
            try:
                shapes = [table.encoder(feature.get("geometry")) for feature in features]
            except (struct.error, TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError):
                raise CheckFailed("a geometry is not as the service describes it.") from None
            arrays.append(pa.array(shapes, pa.binary()))
        yield pa.record_batch(arrays, schema=table.schema)


def _features(lines: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    some: list[bytes] = []
    size = 0
    try:
        for line in lines:
            some.append(line)
            size += len(line)
            if len(some) >= ROWS_AT_ONCE or size >= TEXT_AT_ONCE:
                yield json.loads(b"[" + b",".join(some) + b"]")
                some, size = [], 0
        yield json.loads(b"[" + b",".join(some) + b"]")
    except (ValueError, RecursionError) as error:
        raise CheckFailed(f"the saved rows cannot be read ({error}).") from None
