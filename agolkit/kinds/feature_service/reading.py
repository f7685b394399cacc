"""Opening a saved layer: the way from a backup to a GeoDataFrame."""

from __future__ import annotations

import gzip
import io
import json
import warnings
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

import pyogrio

from agolkit.errors import NoSuchBackup, UsageError
from agolkit.kinds.feature_service.geodatabase import geodatabase_in
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, Part
from agolkit.store import Store

if TYPE_CHECKING:
    import geopandas
    import pandas

ROWS_AT_ONCE = 5000
_CURVES = ('"curvePaths"', '"curveRings"')


def load_layer(
    store: Store, backup: str, item_id: str, layer: int | None = None
) -> geopandas.GeoDataFrame | pandas.DataFrame:
    """A saved layer as a GeoDataFrame, a table as a DataFrame: one row per feature, one column per field.

    Rows come as GDAL reads them: date fields are datetimes in UTC, coded values stay codes, M values are dropped.
    Object ids are a column where the layer was saved as rows; in a geodatabase they are not.
    True curves are only in the saved rows themselves: such a row has no geometry here, and a warning counts them.

    Parameters
    ----------
    backup
        Name of a backup, or `"latest"`.
    layer
        Id of the layer in its service; `None`: the first one that is saved.

    Raises
    ------
    NoSuchBackup
        There is no such backup, or the item is not in it.
    UsageError
        The item has no saved rows, or no such layer; the message lists those that there are.
    """
    outcome = next((each for each in read_outcomes(store, store.resolve(backup)) if each.item.id == item_id), None)
    if outcome is None:
        raise NoSuchBackup(f"There is no item {item_id} in the backup {backup}.")
    definition = _definition(store, outcome)
    in_geodatabase = {each["id"]: each["layer"] for each in definition.get("geodatabase") or ()}
    in_rows = {each["id"]: each["header"] for each in definition.get("rows") or ()}
    saved = sorted({*in_geodatabase, *in_rows})
    if layer is None:
        layer = saved[0] if saved else 0
    if layer in in_geodatabase:
        with store.copied(_part(outcome, "layers.gdb.zip").blob.sha256) as spool:
            return pyogrio.read_dataframe(geodatabase_in(spool.path()), layer=in_geodatabase[layer])
    if layer in in_rows:
        part = _part(outcome, f"rows/{layer}.jsonl.gz")
        with store.open_blob(part.blob.sha256) as stream:
            return _frame(stream, in_rows[layer] or _described(definition, layer))
    if saved:
        raise UsageError(f"{outcome.item.title!r} has no saved layer {layer}; there are {saved}.")
    raise UsageError(f"{outcome.item.title!r} ({outcome.item.type}) has no saved layers in this backup.")


def _definition(store: Store, outcome: Outcome) -> dict[str, Any]:
    """The saved definition of a service; empty where the item has none."""
    part = next((part for part in outcome.parts if part.name == "definition"), None)
    if part is None:
        return {}
    with store.open_blob(part.blob.sha256) as stream:
        definition: dict[str, Any] = json.load(stream)
    return definition


def _part(outcome: Outcome, path: str) -> Part:
    return next(part for part in outcome.parts if part.path == path)


def _described(definition: Mapping[str, Any], layer: int) -> dict[str, Any]:
    """What a query answer would say beside its features, from the layer's own JSON: for layers without rows."""
    told = definition["layers"]
    raw = next(raw for raw in [*told.get("layers", ()), *told.get("tables", ())] if raw["id"] == layer)
    header = {"fields": raw.get("fields", [])}
    if raw.get("geometryType"):
        header["geometryType"] = raw["geometryType"]
        header["spatialReference"] = (raw.get("extent") or {}).get("spatialReference") or {"wkid": 4326}
    return header


def _frame(stream: IO[bytes], header: Mapping[str, Any]) -> geopandas.GeoDataFrame | pandas.DataFrame:
    import pandas

    curves = 0
    frames = []
    for answer, count in _answers(stream, header):
        frames.append(pyogrio.read_dataframe(io.BytesIO(answer)))
        curves += count
    if curves:
        warnings.warn(f"{curves:,} rows have true curves; their geometry is in the saved rows only.", stacklevel=3)
    return pandas.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]


def _answers(stream: IO[bytes], header: Mapping[str, Any]) -> Iterator[tuple[bytes, int]]:
    """The saved rows as query answers of some thousand features each, one at least; how many have true curves."""
    head = json.dumps({**header, "features": []})[:-2]
    with gzip.open(stream, "rt", encoding="utf-8", newline="\n") as lines:
        some = list(islice(lines, ROWS_AT_ONCE))
        while True:
            yield f"{head}{','.join(some)}]}}".encode(), sum(any(each in line for each in _CURVES) for line in some)
            some = list(islice(lines, ROWS_AT_ONCE))
            if not some:
                return
