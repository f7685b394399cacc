"""Hosted scenes: exported as a Scene Package, where the service says that it can be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agolkit.errors import CheckFailed
from agolkit.kinds.archive import open_archive, proven_members, read_member
from agolkit.kinds.jobs import export_into
from agolkit.kinds.saving import Saving
from agolkit.model import Reach, Sink
from agolkit.packed import unpacked

EXPORT_FORMAT = "Scene Package"
LAYER = "3dSceneLayer.json"
LARGEST_LAYER = 16 << 20
"""Bytes of the description of a scene."""


def save_scene(saving: Saving, url: str, bounded: Callable[[Sink], Sink]) -> str:
    """Export the scene, prove that the package is of this service, and keep it; else why it cannot be exported.

    The REST page "Export Item" lists Scene Package, but no source says of which scenes. A layer with `Extract` among
    its capabilities is taken for one that can be: so do feature services name it.
    """
    layer = saving.portal.get_json(f"{url}/layers/0")
    capabilities = layer.get("capabilities") or []
    listed = capabilities.split(",") if isinstance(capabilities, str) else capabilities
    if "Extract" not in listed:
        return "the service cannot be exported; keep the data that the scene was made of"
    with saving.context.spool() as spool:
        export_into(saving, bounded(spool), EXPORT_FORMAT)
        members = proven_members(spool)
        _prove_origin(_layer_in(spool.path()), layer)
        saving.keep("tiles", spool, "tiles.slpk", Reach.PARSED, f"zip, {members:,} files, the layer of this service")
    saving.notes.append("it is saved as a Scene Package that the portal made of it")
    return ""


def _layer_in(path: Path) -> dict[str, Any]:
    """What the package says of its layer."""
    with path.open("rb") as stream, open_archive(stream) as archive:
        name = next((name for name in archive.namelist() if name in (LAYER, f"{LAYER}.gz")), None)
        if name is None:
            raise CheckFailed(f"the package holds no {LAYER}.")
        content = read_member(archive, name, most=LARGEST_LAYER)
    try:
        layer = json.loads(unpacked(content, most=LARGEST_LAYER) if name.endswith(".gz") else content)
    except (ValueError, RecursionError):
        layer = None
    if not isinstance(layer, dict):
        raise CheckFailed(f"{LAYER} in the package is not JSON.")
    return layer


def _prove_origin(packed: dict[str, Any], served: dict[str, Any]) -> None:
    """Raise `CheckFailed` where neither the id of the store nor its extent is the one that the service states."""
    stores = [layer.get("store") or {} for layer in (packed, served)]
    for name in ("id", "extent"):
        values = [store.get(name) for store in stores]
        if values[0] is not None and values[0] == values[1]:
            return
    raise CheckFailed("the package is of another scene: neither the id of its store nor its extent is the served one.")
