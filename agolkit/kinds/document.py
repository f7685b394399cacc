"""Web maps, apps, dashboards, stories and every other item whose content is JSON; also every type nobody knows yet."""

from __future__ import annotations

from functools import partial

from agolkit.errors import CheckFailed
from agolkit.kinds.file import keep_file
from agolkit.kinds.parts import extension_of, fetch_data, is_json
from agolkit.kinds.saving import Saving
from agolkit.model import Reach


def save_document(saving: Saving) -> None:
    """Save the data as the bytes received; a parsed copy is the check. What is no JSON is saved and checked as a file.

    Some documents keep their content in resources only (drafts, styles, QuickCapture projects): then there is no data.
    """
    saving.part("data", partial(_save_data, saving))


def _save_data(saving: Saving) -> None:
    with saving.context.spool() as spool:
        received = fetch_data(saving, spool)
        if received.size == 0:
            return
        if is_json(spool):
            saving.keep("data", spool, f"data{extension_of(received, saving.item) or '.json'}", Reach.PARSED)
        elif "json" in received.content_type:
            raise CheckFailed("the portal calls it JSON, but it is not.")
        else:
            keep_file(saving, spool, received)
