"""Items that point to a service or a page: what lives elsewhere is described, what is hosted here is not."""

from __future__ import annotations

from functools import partial

from agolkit.errors import CheckFailed
from agolkit.kinds.parts import fetch_data, is_json
from agolkit.kinds.saving import Saving
from agolkit.model import Reach

NOT_YET = "what it serves lives in this portal and cannot be saved by this version; keep the file it was made from."


def save_reference(saving: Saving) -> None:
    """Save the overrides, if there are some, and say where the data lives.

    A vector tile style has its content in resources, so it is saved whole. Hosted tiles, scenes and imagery live in
    this portal: saving only their description makes the item `partial`, never `described`.
    """
    save_overrides(saving)
    item = saving.item
    if "Hosted Service" in item.type_keywords and saving.portal.owns(item.url):
        saving.missing.append(f"data: {NOT_YET}")
        return
    is_style = item.type == "Vector Tile Service" and any(part.name == "resource" for part in saving.parts)
    saving.lives_elsewhere = not is_style
    saving.described = "The data lives outside this portal; description, sharing and url are saved."


def save_overrides(saving: Saving) -> None:
    """Save the item's own JSON (popups, symbols, layer settings), which most services do not have."""
    saving.part("overrides", partial(_save_overrides, saving))


def _save_overrides(saving: Saving) -> None:
    with saving.context.spool() as spool:
        received = fetch_data(saving, spool)
        if received.size > 0:
            if not is_json(spool):
                raise CheckFailed("what the portal sent is not JSON.")
            saving.keep("overrides", spool, "data.json", Reach.PARSED)
