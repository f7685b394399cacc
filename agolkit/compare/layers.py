"""The saved rows of the layers of an item, from either form, as `rows` compares them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import datetime
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from agolkit.compare.rows import Row, RowChanges, SavedRows, compare_rows, digest
from agolkit.kinds.feature_service.conversion.schema import GEOMETRY
from agolkit.kinds.feature_service.conversion.tables import SavedLayers, Table
from agolkit.kinds.feature_service.definition import rows_path
from agolkit.model import to_stamp
from agolkit.portal import plain_id
from agolkit.store import Spool

_WORKED_OUT = frozenset(["shape_length", "shape_area", "shape__length", "shape__area"])
"""Fields that follow the geometry."""
_SECOND = 1000


class LineRows(SavedRows):
    """Rows as the service sent them, one Esri JSON feature a line."""

    def __init__(self, spool: Spool, raw: Mapping[str, Any], header: Mapping[str, Any]) -> None:
        self._spool = spool
        fields = header.get("fields") or raw.get("fields") or []
        self._object_id = str(header.get("objectIdFieldName") or raw.get("objectIdField") or "OBJECTID").casefold()
        self._global_id = global_id_field(raw)
        self.has_global_ids = bool(self._global_id)
        self.names = _compared((each["name"] for each in fields), self._object_id, self._global_id)

    def digests(self) -> Iterator[int]:
        return map(digest, self._lines())

    def read(self, wanted: Callable[[int], bool]) -> Iterator[Row]:
        for number, line in enumerate(self._lines()):
            if wanted(number):
                feature = json.loads(line)
                values = {name.casefold(): value for name, value in feature["attributes"].items()}
                yield Row(
                    int(values.get(self._object_id) or 0),
                    _global_id(values.get(self._global_id)),
                    values,
                    feature.get("geometry"),
                )

    def _lines(self) -> Iterator[bytes]:
        with self._spool.open() as packed, gzip.open(packed) as lines:
            yield from lines


class TableRows(SavedRows):
    """Rows as a table of a geodatabase, or made such a table, to be compared with one."""

    def __init__(
        self, opened: Callable[[], AbstractContextManager[Table]], raw: Mapping[str, Any], *, in_seconds: bool
    ) -> None:
        self._opened = opened
        self._in_seconds = in_seconds
        self._global_id = global_id_field(raw)
        fields = raw.get("fields") or ()
        self._offsets = [
            each["name"].casefold() for each in fields if each.get("type") == "esriFieldTypeTimestampOffset"
        ]
        with opened() as table:
            self._object_id = table.object_id.casefold()
            found = [name.casefold() for name in table.schema.names]
        self.has_global_ids = self._global_id in found
        self.names = _compared(found, self._object_id, self._global_id)

    def digests(self) -> Iterator[int]:
        for batch in self._batches():
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield digest(repr(row).encode())

    def read(self, wanted: Callable[[int], bool]) -> Iterator[Row]:
        start = 0
        for batch in self._batches():
            some = [at for at in range(batch.num_rows) if wanted(start + at)]
            start += batch.num_rows
            names = [name.casefold() for name in batch.schema.names]
            for each in batch.take(pa.array(some, pa.int64())).to_pylist() if some else ():
                values = dict(zip(names, each.values(), strict=True))
                geometry = values.pop(GEOMETRY, None)
                if self._in_seconds:  # GDAL need not tell the offset that a geodatabase has
                    values |= {name: _moment(values[name]) for name in self._offsets if values.get(name)}
                yield Row(int(values[self._object_id]), _global_id(values.get(self._global_id)), values, geometry)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        with self._opened() as table:
            yield from map(self._plain, table.batches)

    def _plain(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """With dates as epoch milliseconds, as services tell them."""
        columns = [self._number(column) if pa.types.is_timestamp(column.type) else column for column in batch.columns]
        return pa.record_batch(columns, names=batch.schema.names)

    def _number(self, dates: pa.Array) -> pa.Array:
        stamps = dates.cast(pa.timestamp("ms", dates.type.tz), safe=False).cast(pa.int64())
        if self._in_seconds:  # a geodatabase keeps no exact milliseconds
            return pc.multiply(pc.round(pc.divide(stamps.cast(pa.float64()), _SECOND)).cast(pa.int64()), _SECOND)
        return stamps


class OpenLayers:
    """The saved layers of one backup while they are compared; their geodatabase is copied and opened once."""

    def __init__(self, saved: SavedLayers, stack: ExitStack) -> None:
        self.saved = saved
        self._stack = stack

    @cached_property
    def geodatabase(self) -> str:
        """What GDAL opens to read the saved geodatabase."""
        return self._stack.enter_context(self.saved.geodatabase())

    def lines(self, layer: int, stack: ExitStack) -> SavedRows:
        """The rows of a layer as they were sent, open as long as `stack`."""
        spool = stack.enter_context(self.saved.copied(rows_path(layer)))
        return LineRows(spool, self.saved.described.get(layer, {}), self.saved.in_rows[layer].get("header") or {})

    def table(self, layer: int, *, in_seconds: bool) -> SavedRows:
        """The rows of a layer as a table, from whatever form they have."""
        raw, saved = self.saved.described.get(layer, {}), self.saved
        if layer in saved.in_geodatabase:
            return TableRows(lambda: saved.geodatabase_rows(self.geodatabase, layer), raw, in_seconds=in_seconds)
        return TableRows(lambda: saved.rows(layer, for_geodatabase=True), raw, in_seconds=in_seconds)


def compare_layer(before: OpenLayers, after: OpenLayers, layer: int, *, listed: int) -> RowChanges:
    """How the rows of a layer differ that both backups hold, by the form that both have, where there is one."""
    sides = before, after
    in_rows = all(layer in side.saved.in_rows for side in sides)
    same_form = in_rows or all(layer in side.saved.in_geodatabase for side in sides)
    with ExitStack() as stack:
        one, other = (
            side.lines(layer, stack) if in_rows else side.table(layer, in_seconds=not same_form) for side in sides
        )
        return compare_rows(one, other, listed=listed, with_geometry=same_form)


def global_id_field(raw: Mapping[str, Any]) -> str:
    """The name of a layer's field of GlobalIDs, in lower case; empty where it has none."""
    fields = raw.get("fields") or ()
    told = raw.get("globalIdField") or next(
        (each["name"] for each in fields if each.get("type") == "esriFieldTypeGlobalID"), ""
    )
    return str(told).casefold()


def _moment(text: str) -> str:
    return to_stamp(datetime.fromisoformat(text).replace(microsecond=0))


def _global_id(value: Any) -> str:
    return plain_id(value) if value else ""


def _compared(names: Any, *ids: str) -> list[str]:
    """The fields that are compared: all but ids, geometry and what follows from it."""
    left_out = {*ids, *_WORKED_OUT, GEOMETRY, "shape"}
    return [name for name in dict.fromkeys(str(name).casefold() for name in names) if name not in left_out]
