"""Opening a saved layer: the way from a backup to a GeoDataFrame."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agolkit.errors import NoSuchBackup, UsageError
from agolkit.kinds.feature_service.geodatabase import geodatabase_in
from agolkit.manifest import read_outcomes
from agolkit.store import Store

if TYPE_CHECKING:
    import geopandas
    import pandas


def load_layer(store: Store, backup: str, item_id: str, *, layer: int = 0) -> geopandas.GeoDataFrame | pandas.DataFrame:
    """A saved layer as a GeoDataFrame, a table as a DataFrame: one row per feature, one column per field.

    Parameters
    ----------
    backup
        Name of a backup, or `"latest"`.
    layer
        Id of the layer in its service.

    Raises
    ------
    NoSuchBackup
        There is no such backup, or the item is not in it.
    UsageError
        The item has no saved rows, or no such layer; the message lists those that there are.
    """
    import pyogrio

    outcome = next((each for each in read_outcomes(store, store.resolve(backup)) if each.item.id == item_id), None)
    if outcome is None:
        raise NoSuchBackup(f"There is no item {item_id} in the backup {backup}.")
    parts = {part.name: part for part in outcome.parts}
    if "geodatabase" not in parts or "definition" not in parts:
        raise UsageError(f"{outcome.item.title!r} ({outcome.item.type}) has no saved layers in this backup.")
    with store.open_blob(parts["definition"].blob.sha256) as stream:
        saved = {each["id"]: each["layer"] for each in json.load(stream)["geodatabase"]}
    if layer not in saved:
        raise UsageError(f"{outcome.item.title!r} has no saved layer {layer}; there are {sorted(saved)}.")
    with store.copied(parts["geodatabase"].blob.sha256) as spool:
        return pyogrio.read_dataframe(geodatabase_in(spool.path()), layer=saved[layer])
