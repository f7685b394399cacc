"""Web maps, apps, dashboards, stories and every other item whose content is JSON; also every type nobody knows yet."""

from __future__ import annotations

from functools import partial
from typing import Any

from agolkit.errors import CheckFailed
from agolkit.kinds.file import keep_file
from agolkit.kinds.parts import LARGEST_JSON, extension_of, fetch_data, json_in
from agolkit.kinds.resource_content import note_absent_content
from agolkit.kinds.saving import MOST_SAID, Saving
from agolkit.kinds.secrets import without_secrets
from agolkit.kinds.sites import note_site
from agolkit.kinds.types import known_type
from agolkit.model import Reach, counted, plain
from agolkit.portal import Received
from agolkit.store import Spool

WITH_SECRETS = frozenset(
    plain(item_type)
    for item_type in (
        "API Key",
        "Application",
        "Big Data File Share",
        "Data Store",
        "Kernel Gateway Connection",
        "Relational Database Connection",
    )
)
"""Item types whose data may hold what opens somebody's database, cloud store or server."""


def save_document(saving: Saving) -> None:
    """Save the data as the bytes received; a parsed copy is the check. What is no JSON is saved and checked as a file.

    Some documents keep their content in resources only (drafts, styles, QuickCapture projects): then there is no data.
    Of connections the data is saved without its secrets.
    """
    saving.part("data", partial(_save_data, saving))


def _save_data(saving: Saving) -> None:
    with saving.context.spool() as spool:
        received = fetch_data(saving, spool)
        document = json_in(spool)
        if received.size and plain(saving.item.type) in WITH_SECRETS:
            _keep_without_secrets(saving, spool, document)
        elif received.size:
            _keep(saving, spool, received, document)
        elif saving.item.url:
            saving.described = "The portal holds no data for this item; it is an address only."
    note_absent_content(saving, document)
    note_site(saving, document)
    known = known_type(saving.item.type)
    if known is not None and known.elsewhere:
        saving.missing.append(known.elsewhere)


def _keep(saving: Saving, spool: Spool, received: Received, document: Any) -> None:
    if document is not None:
        saving.keep("data", spool, f"data{extension_of(received, saving.item) or '.json'}", Reach.PARSED)
    elif "json" in received.content_type and spool.size <= LARGEST_JSON:
        raise CheckFailed(
            "the portal calls it JSON, but it is not. Run again; if it stays so, let the item's owner save it again."
        )
    else:
        keep_file(saving, spool, received)


def _keep_without_secrets(saving: Saving, spool: Spool, document: Any) -> None:
    """Keep the data of a connection: as received where nothing in it speaks of a secret, else written anew."""
    if document is None:
        raise CheckFailed(
            "it may hold secrets, and it is not JSON in which they can be found; it is not saved. Keep by other means "
            "what is needed to set the connection up again."
        )
    withheld: list[str] = []
    cleaned = without_secrets(document, "data", withheld)
    if not withheld:
        saving.keep("data", spool, "data.json", Reach.PARSED)
        return
    said = counted(len(withheld), "secret") + " left out"
    saving.keep_json("data", "data.json", cleaned, said)
    saving.notes.append(f"data: {said} ({', '.join(withheld[:MOST_SAID])}), to be entered again after a restore")
