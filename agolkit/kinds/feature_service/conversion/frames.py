"""Opening a saved layer: the way from a backup to a GeoDataFrame."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pyarrow as pa

from agolkit.errors import NoSuchBackup, UsageError
from agolkit.kinds.feature_service.conversion.curves import is_simple, straight
from agolkit.kinds.feature_service.conversion.schema import GEOMETRY
from agolkit.kinds.feature_service.conversion.tables import SavedLayers
from agolkit.manifest import read_outcomes
from agolkit.store import Store

if TYPE_CHECKING:
    import geopandas
    import pandas


def load_layer(
    store: Store, backup: str, item_id: str, layer: int | None = None
) -> geopandas.GeoDataFrame | pandas.DataFrame:
    """A saved layer as a GeoDataFrame, a table as a DataFrame: one row per feature, one column per field.

    Columns have the names of the fields, the object ids among them, and the types that the service states: whole
    numbers are pandas' nullable integers (`Int16` to `Int64`), dates are datetimes in UTC, date-only and time-only
    fields are `date` and `time` objects, a timestamp with offset is text. Coded values stay codes. Heights (Z) and
    measures (M) stay in the geometries; true curves become lines, never farther off than 1/40,000 of a curve's size.
    An empty geometry is `None`. The frame comes from the saved rows where both forms are saved.

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
    CheckFailed
        Rows hold values that are not of the type that the service states. `fetch` gets them as they were received.
    StoreDamaged
        The saved rows are missing or were changed.
    """
    outcome = next((each for each in read_outcomes(store, store.resolve(backup)) if each.item.id == item_id), None)
    if outcome is None:
        raise NoSuchBackup(f"There is no item {item_id} in the backup {backup}.")
    saved = SavedLayers(store, outcome)
    if not saved.ids:
        raise UsageError(f"{outcome.item.title!r} ({outcome.item.type}) has no saved layers in this backup.")
    chosen = saved.ids[0] if layer is None else layer
    if chosen not in saved.ids:
        raise UsageError(f"{outcome.item.title!r} has no saved layer {chosen}; there are {saved.ids}.")
    with ExitStack() as stack:
        if chosen in saved.in_rows:
            table = stack.enter_context(saved.rows(chosen))
        else:
            geodatabase = stack.enter_context(saved.geodatabase())
            table = stack.enter_context(saved.geodatabase_rows(geodatabase, chosen))
        return _frame(
            pa.Table.from_batches(table.batches, table.schema), table.crs, is_spatial=bool(table.geometry_type)
        )


def _frame(rows: pa.Table, crs: str | None, *, is_spatial: bool) -> geopandas.GeoDataFrame | pandas.DataFrame:
    import geopandas
    import pandas

    integers = {pa.int16(): pandas.Int16Dtype(), pa.int32(): pandas.Int32Dtype(), pa.int64(): pandas.Int64Dtype()}
    plain = rows.drop_columns([GEOMETRY]) if is_spatial else rows
    frame = plain.to_pandas(types_mapper=integers.get)
    if not is_spatial:
        return frame
    shapes = [shape if shape is None or is_simple(shape) else straight(shape) for shape in rows[GEOMETRY].to_pylist()]
    return geopandas.GeoDataFrame(frame, geometry=geopandas.GeoSeries.from_wkb(shapes, crs=crs))
