"""Columns as a layer's own field definitions have them: typed by what the service says, never guessed from rows."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pyproj

from agolkit.errors import CheckFailed
from agolkit.model import shown

GEOMETRY = "geometry"
"""Name of the column with the geometries."""
LONGEST_NAME = 52
"""Of a table in a geodatabase, so that `__ATTACH` fits into its 64 characters."""
LONGEST_TEXT = 65_536
FIRST, LAST = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999, in epoch milliseconds."""

_RESERVED = re.compile(
    r"(?:gdb_|gpkg|sqlite_).*"
    r"|add|alter|and|between|by|column|create|delete|drop|exists|for|from|group|in|insert|into|is|like|not|null|or"
    r"|order|select|set|table|update|values|where",
    re.I,
)
"""Names that the formats keep for themselves, and the words that GDAL's writer of geodatabases changes."""

_TYPES: Mapping[str, pa.DataType] = {
    "OID": pa.int64(),
    "SmallInteger": pa.int16(),
    "Integer": pa.int32(),
    "BigInteger": pa.int64(),
    "Single": pa.float32(),
    "Double": pa.float64(),
    "Date": pa.timestamp("ms", "UTC"),
    "DateOnly": pa.date32(),
    "TimeOnly": pa.time32("ms"),
}
"""All else is text: that of a `TimestampOffset` keeps its offset."""


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a layer."""

    source: str
    """Its name in the service."""
    name: str
    """Its name in the table: as in the service, unless another column has that name."""
    type: str
    """What follows `esriFieldType`."""
    alias: str
    length: int
    domain: Mapping[str, Any] | None

    @property
    def arrow_type(self) -> pa.DataType:
        return _TYPES.get(self.type, pa.string())

    def field(self, *, for_geodatabase: bool) -> pa.Field:
        """The Arrow field, with what GDAL has to know beside the type."""
        metadata = {"GDAL:OGR:alternative_name": self.alias} if self.alias else {}
        if self.type == "String" and 0 < self.length <= LONGEST_TEXT:
            metadata["GDAL:OGR:width"] = str(self.length)
        if self.type == "TimestampOffset" and for_geodatabase:
            metadata["GDAL:OGR:type"] = "DateTime"
        return pa.field(self.name, self.arrow_type, metadata=metadata or None)

    def array(self, values: list[Any], *, for_geodatabase: bool) -> pa.Array:
        """The values as a column; `CheckFailed` where one is not of the type that the service states."""
        if self.type in ("GlobalID", "GUID") and for_geodatabase:
            values = [self._braced(value) if value else None for value in values]
        # A server may write 3.0 for 3; of 3.5 Arrow would silently make 3.
        if pa.types.is_floating(self.arrow_type) or not any(isinstance(value, float) for value in values):
            try:
                array = pa.array(values, self.arrow_type)
                if self.type == "Single" and pc.any(pc.is_inf(array)).as_py():  # too large for it
                    raise self._misfit()
                return array
            except (pa.ArrowException, UnicodeError, TypeError, ValueError, OverflowError):
                pass  # some need a closer look: a number for a text, a date as text
        try:
            return pa.array([_fitted(value, self.arrow_type) for value in values], self.arrow_type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError, OSError):
            raise self._misfit() from None

    def _braced(self, value: Any) -> str:
        """An id in the form that geodatabases have."""
        try:
            return "{" + str(UUID(str(value))).upper() + "}"
        except ValueError:
            raise self._misfit() from None

    def _misfit(self) -> CheckFailed:
        return CheckFailed(f"the field {self.source!r} holds a value that is no {self.type}.")


def _fitted(value: Any, kind: pa.DataType) -> Any:
    """A value as what its column takes; raises where it would not be the same value."""
    if value is None:
        return None
    if pa.types.is_string(kind):
        return shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    if pa.types.is_floating(kind):
        return float(value)
    if pa.types.is_time(kind):
        return time.fromisoformat(value)
    if pa.types.is_date(kind):
        return date.fromisoformat(value)
    if isinstance(value, str) and pa.types.is_timestamp(kind):
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=moment.tzinfo or UTC)
    number = int(value)  # of a date: milliseconds
    if number != float(value):
        raise ValueError
    return number


def columns_of(fields: Iterable[Mapping[str, Any]], object_id: str, *, for_geodatabase: bool) -> list[Column]:
    """The columns of a layer, that of its object ids among them, with names that differ in more than case."""
    told = [field for field in fields if field.get("type") != "esriFieldTypeGeometry"]
    if object_id not in {field["name"] for field in told}:
        told.insert(0, {"name": object_id})
    names = unique_names([field["name"] for field in told], plain=for_geodatabase, taken=[GEOMETRY])
    aliases: set[str] = set()
    columns = []
    for field, name in zip(told, names, strict=True):
        alias = str(field.get("alias") or "")
        is_new = alias.casefold() not in {name.casefold(), *aliases}  # a GeoPackage takes no alias twice
        aliases.add(alias.casefold())
        columns.append(
            Column(
                source=field["name"],
                name=name,
                type="OID" if field["name"] == object_id else str(field.get("type")).removeprefix("esriFieldType"),
                alias=alias if is_new else "",
                length=int(field.get("length") or 0),
                domain=field.get("domain"),
            )
        )
    return columns


def unique_names(names: Sequence[str], *, plain: bool, taken: Iterable[str] = ()) -> list[str]:
    """Names that differ in more than case; `plain` ones are made of letters, digits and `_`, no digit first."""
    used = {name.casefold() for name in taken}
    found = []
    for name in names:
        base = plain_name(name) if plain else name
        unique, count = base, 1
        while unique.casefold() in used:
            count += 1
            unique = f"{base}_{count}"
        used.add(unique.casefold())
        found.append(unique)
    return found


def plain_name(name: str) -> str:
    """A name that every format takes, for tables and files."""
    composed = unicodedata.normalize("NFC", name)  # else macOS would write the file under another name
    plain = re.sub(r"\W+", "_", composed)[:LONGEST_NAME].strip("_") or "layer"
    return plain if plain[0].isalpha() and not _RESERVED.fullmatch(plain) else f"t_{plain}"


def check_for_gdal(batch: pa.RecordBatch) -> None:
    """Raise `CheckFailed` where a value would come into the file as another one."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_string(column.type) and pc.any(pc.match_substring(column, "\0")).as_py():
            raise CheckFailed(f"the field {name!r} holds a text with a NUL character, which would end there.")
        if pa.types.is_timestamp(column.type):
            ends = pc.min_max(column.cast(pa.timestamp("ms")).cast(pa.int64())).as_py()
            if ends["min"] is not None and not FIRST <= ends["min"] <= ends["max"] <= LAST:
                raise CheckFailed(f"the field {name!r} holds a date that is not in the years 1 to 9999.")


def crs_of(spatial_reference: Mapping[str, Any] | None) -> str | None:
    """The spatial reference as GDAL and PROJ name it, such as `EPSG:3857`; `None` where neither knows it."""
    told = spatial_reference or {}
    candidates = [
        f"{authority}:{3857 if code in (102100, 102113, 900913) else code}"
        for code in (told.get("latestWkid"), told.get("wkid"))
        if code
        for authority in ("EPSG", "ESRI")
    ]
    for candidate in filter(None, [*candidates, told.get("wkt"), told.get("wkt2")]):
        try:
            pyproj.CRS.from_user_input(candidate)
        except pyproj.exceptions.CRSError:
            continue
        return str(candidate)
    return None
