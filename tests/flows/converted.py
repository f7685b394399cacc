"""What saved layers were converted to, as other programs read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyogrio
from layers_by_hand import SERVICE

from agolkit.fetch import fetch
from agolkit.layout import item_folder
from agolkit.store import LocalStore

FORMATS = ["gdb", "gpkg", "parquet"]


def converted(store: LocalStore, to: Path, format: Any) -> tuple[Any, Path]:
    """What the fetch says, and the item's folder."""
    return fetch(store, store.backups()["name"][0], to, format=format), to / item_folder(SERVICE)


def read(path: Path, layer: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Facts and rows of a layer as GDAL reads them, geometries as shapely's, by the column `geometry`."""
    with pyogrio.open_arrow(path, layer=layer, return_fids=True, datetime_as_string=True) as (facts, stream):
        rows = pa.RecordBatchReader.from_stream(stream).read_all().to_pylist()
    if facts["geometry_type"]:
        for each in rows:
            each["geometry"] = each.pop(facts["geometry_name"])
    return facts, rows
