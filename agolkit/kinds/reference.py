"""Items that point to a service or a page: what lives elsewhere is described, what is hosted here is not."""

from __future__ import annotations

from functools import partial

from agolkit.errors import CheckFailed
from agolkit.kinds.parts import fetch, json_in
from agolkit.kinds.resource_content import STYLE_RESOURCE, note_absent_content
from agolkit.kinds.saving import Saving
from agolkit.kinds.tiles import save_tiles
from agolkit.model import Reach

HOSTED = "Hosted Service"
"""Type keyword of a service whose data the portal itself holds."""


def save_reference(saving: Saving) -> None:
    """Save the overrides, if there are some, and say where the data lives.

    A vector tile style has its content in resources, so it is saved whole. Hosted tiles, scenes and imagery live in
    this portal: without them the item is `partial`, never `described`.
    """
    save_overrides(saving)
    if is_hosted_here(saving):
        save_tiles(saving)
    else:
        note_absent_content(saving)
        if STYLE_RESOURCE in (saving.resources or ()):
            saving.lives_elsewhere = False


def is_hosted_here(saving: Saving) -> bool:
    """Whether this portal holds the data of a service; what that means for the verdict is noted."""
    item = saving.item
    if HOSTED not in item.type_keywords:
        saving.lives_elsewhere = True
        saving.described = "It refers to data that this portal does not host; description and url are saved."
        return False
    if not saving.portal.owns(item.url):
        saving.missing.append(
            "data: the service is hosted, but on a server that the portal does not name as its own, which is sent no "
            "token. Let an administrator federate that server with the portal"
        )
        return False
    return True


def save_overrides(saving: Saving) -> None:
    """Save the item's own JSON (popups, symbols, layer settings), which most services do not have."""
    saving.part("overrides", partial(_save_overrides, saving))


def _save_overrides(saving: Saving) -> None:
    with saving.context.spool() as spool:
        received = fetch(saving, "data", spool)
        if received.size > 0:
            if json_in(spool) is None:
                raise CheckFailed("what the portal sent is not JSON. Run again; if it stays so, save the item again.")
            saving.keep("overrides", spool, "data.json", Reach.PARSED)
