"""Hosted tiles, vector tiles, scenes and imagery: saved as the package that they were published from.

The service itself hands out single tiles only. Where its package is gone, the data is in this portal alone.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from agolkit.kinds.file import keep_file
from agolkit.kinds.saving import Saving
from agolkit.model import Item, plain

PACKAGES = frozenset(
    plain(item_type)
    for item_type in (
        "3DTiles Package",
        "3DTiles Package (3D Object)",
        "3DTiles Package (Gaussian Splat)",
        "3DTiles Package (Integrated Mesh)",
        "Compact Tile Package",
        "Scene Package",
        "Service Definition",
        "Tile Package",
        "Vector Tile Package",
    )
)
NOT_SAVED = (
    "data: what it serves lives in this portal, the package that it was published from is gone, and this version "
    "cannot save the tiles themselves; export a package of it by hand"
)


def save_tiles(saving: Saving) -> None:
    """Save the package of the service, if there is one; without it the service is `partial`."""
    saving.part("source", partial(_save_source, saving))


def _save_source(saving: Saving) -> None:
    related = [Item.from_json(raw) for raw in saving.portal.related(saving.item.id, ["Service2Data"], "forward")]
    source = next((other for other in related if plain(other.type) in PACKAGES), None)
    if source is None:
        saving.missing.append(NOT_SAVED)
        return
    with saving.context.spool() as spool:
        received = saving.portal.download(f"content/items/{quote(source.id)}/data", spool, params={"f": "json"})
        keep_file(saving, spool, received, of=source, part="source")
    saving.notes.append(f"its tiles are saved as the {source.type} {source.title!r} that they were published from")
