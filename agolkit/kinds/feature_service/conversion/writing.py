"""Writing a table into a file: with GDAL, or as GeoParquet; a watch notes what went by, to compare the file with."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyogrio
import pyproj

from agolkit.kinds.feature_service.conversion.curves import has_curves, is_simple, straight
from agolkit.kinds.feature_service.conversion.schema import GEOMETRY, check_for_gdal
from agolkit.kinds.feature_service.conversion.tables import Table

_NEW_TYPES = {"BigInteger", "DateOnly", "TimeOnly", "TimestampOffset"}
"""Types that a geodatabase has since ArcGIS Pro 3.2; older programs do not open a table that has them."""
_COLUMN_TYPES = {"GlobalID", "GUID", "XML"}
"""Types that have to be told to the writer of geodatabases beside the Arrow type."""


class Watch:
    """Passes batches on, and remembers their ids and how much there was.

    `for_gdal`, which knows arcs, and would change some values without a word: those are an error.
    """

    def __init__(self, table: Table, *, for_gdal: bool = True) -> None:
        self.has_curves = False
        self.straightened = 0
        self.data_bytes = 0
        self.trouble: BaseException | None = None
        self._table = table
        self._for_gdal = for_gdal
        self._ids: list[pa.Array] = []

    def ids(self) -> pa.Array:
        """The ids that went through, in order."""
        return in_order(self._ids)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._table.batches:
                if self._for_gdal:
                    check_for_gdal(batch)
                self._ids.append(batch.column(self._table.object_id).cast(pa.int64()))
                if "DATA" in batch.schema.names:
                    self.data_bytes += data_bytes_in(batch)
                yield self._simple(batch) if self._table.geometry_type else batch
        except (Exception, KeyboardInterrupt) as error:
            self.trouble = error
            raise

    def _simple(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with geometries of which every reader knows the types, but for arcs that are to be kept."""
        at = batch.schema.get_field_index(GEOMETRY)
        shapes = batch.column(at).to_pylist()
        special = [nth for nth, shape in enumerate(shapes) if shape and not is_simple(shape)]
        if not special:
            return batch
        for nth in special:
            is_curved = has_curves(shapes[nth])
            if is_curved and self._for_gdal:
                self.has_curves = True
            else:
                shapes[nth] = straight(shapes[nth])
                self.straightened += is_curved
        return batch.set_column(at, batch.schema.field(at), pa.array(shapes, pa.binary()))


def data_bytes_in(batch: pa.RecordBatch) -> int:
    """Bytes of the attachments in a batch."""
    return int(pc.sum(pc.binary_length(batch.column("DATA"))).as_py() or 0)


def in_order(ids: list[pa.Array]) -> pa.Array:
    """The ids of many batches, sorted."""
    together = pa.concat_arrays(ids) if ids else pa.array([], pa.int64())
    return together.take(pc.sort_indices(together))


def write_layer(path: Path, table: Table, watch: Watch, name: str, title: str) -> None:
    """Write a table into a geodatabase or a GeoPackage, which is made where it is not there."""
    is_geodatabase = path.suffix == ".gdb"
    # Without this the writer gives every row a new GlobalID.
    pyogrio.set_gdal_config_options({"OPENFILEGDB_REGENERATE_GLOBALID": "NO"})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided", UserWarning)
        # GDAL cannot be told that curves will come; `geopackage.finish` puts it right.
        warnings.filterwarnings("ignore", "A geometry of type MULTI(CURVE|SURFACE) is inserted", RuntimeWarning)
        pyogrio.write_arrow(
            pa.RecordBatchReader.from_batches(table.schema, iter(watch)),
            path,
            layer=name,
            driver="OpenFileGDB" if is_geodatabase else "GPKG",
            append=path.exists(),
            geometry_name=GEOMETRY if table.geometry_type else None,
            geometry_type=table.geometry_type,
            crs=table.crs if table.geometry_type else None,
            layer_options=_layer_options(table, name, title, for_geodatabase=is_geodatabase),
        )


def _layer_options(table: Table, name: str, title: str, *, for_geodatabase: bool) -> dict[str, str]:
    options = {"FID": table.object_id}
    if table.geometry_type:
        used = {each.casefold() for each in table.schema.names}
        options["GEOMETRY_NAME"] = next(each for each in ("SHAPE", "GEOM", "SHAPE_") if each.casefold() not in used)
    if for_geodatabase:
        told = [f"{each}=esriFieldType{kind}" for each, kind in table.types.items() if kind in _COLUMN_TYPES]
        options |= {"COLUMN_TYPES": ",".join(told)} if told else {}
        options |= {"LAYER_ALIAS": title} if title else {}
        if _NEW_TYPES & set(table.types.values()):
            options["TARGET_ARCGIS_VERSION"] = "ARCGIS_PRO_3_2_OR_LATER"
        if table.geometry_type and table.crs:
            # A geodatabase holds places on a grid; GDAL's own is of a tenth of a millimeter.
            options["XYSCALE"] = "1e12" if pyproj.CRS.from_user_input(table.crs).is_geographic else "1000000"
            options |= {"ZSCALE": "1000000", "MSCALE": "1000000"}
    elif title:
        options["IDENTIFIER"] = name
        options["DESCRIPTION"] = title
    return options


def write_parquet(path: Path, table: Table, watch: Watch) -> None:
    """Write a table as GeoParquet 1.1 (geoparquet.org), or as Parquet where it has no geometries."""
    schema = table.schema
    if table.geometry_type:
        crs = pyproj.CRS.from_user_input(table.crs).to_json_dict() if table.crs else None
        column: dict[str, Any] = {"encoding": "WKB", "geometry_types": [], "crs": crs}
        told = {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
        schema = schema.with_metadata({"geo": json.dumps(told)})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in watch:
            writer.write_batch(batch)
