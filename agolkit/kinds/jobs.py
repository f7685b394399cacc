"""Jobs on the server: waiting for one to end, and exporting an item by way of a temporary item."""

from __future__ import annotations

import time
from collections.abc import Callable

from agolkit.errors import ConnectionTrouble, JobFailed, PortalError
from agolkit.kinds.exports import Export
from agolkit.kinds.saving import Saving
from agolkit.model import Sink
from agolkit.progress import beat, pause
from agolkit.trace import tell

FIRST_LOOK = 0.05
LONGEST_LOOK = 2.0
"""Seconds between two questions for the state of a job; each wait is twice as long as the last."""


def wait_for_job(ask: Callable[[], tuple[str, str]], *, allowed: float) -> None:
    """Return when the job is done, at most `allowed` seconds later.

    `ask` answers the state (`completed`, `failed` or another word) and the server's message. A state that nobody
    knows, or trouble while asking, is waited out until the end.

    Raises
    ------
    JobFailed
        It failed, was lost, or is not done in time. Doing it again may help.
    """
    began = time.monotonic()
    try:
        _wait(ask, allowed)
    except JobFailed as error:
        tell("job", result="failed", seconds=round(time.monotonic() - began, 3), message=str(error))
        raise
    tell("job", result="completed", seconds=round(time.monotonic() - began, 3))


def _wait(ask: Callable[[], tuple[str, str]], allowed: float) -> None:
    end = time.monotonic() + allowed
    look = FIRST_LOOK
    said = "nothing"
    while time.monotonic() < end:
        try:
            said, message = ask()
        except (PortalError, ConnectionTrouble) as error:
            if not error.transient:
                raise JobFailed(f"The job was lost on the server: {error}") from None
            said = str(error)
        else:
            if said == "completed":
                return
            if said == "failed":
                raise JobFailed(f"The job failed on the server: {message or 'it gave no reason'}")
        beat()
        pause(look)
        look = min(look * 2, LONGEST_LOOK)
    raise JobFailed(f"The job was not done after {allowed:,.0f} seconds; the server's last word was {said!r}.")


def export_into(saving: Saving, sink: Sink, export_format: str) -> None:
    """Have the portal export the item to a new one, fetch that, and delete it whatever happens."""
    ledger, owner = saving.context.exports, saving.item.owner
    export = ledger.open(owner, saving.item.id)
    try:
        _make_export(saving, export, export_format)
        saving.portal.download(f"content/items/{export.item_id}/data", sink, params={"f": "json"})
    finally:
        ledger.close(export)


def _make_export(saving: Saving, export: Export, export_format: str) -> None:
    """Return when the export item is there. A lost answer is no reason to ask twice: the item is looked for first."""
    ledger, portal = saving.context.exports, saving.portal
    job_id = ""
    try:
        job = portal.start_export(
            export.owner, saving.item.id, title=export.title, tags=ledger.tags, export_format=export_format
        )
        export.item_id, job_id = job.export_item_id, job.job_id
    except (PortalError, ConnectionTrouble) as error:
        if not error.transient:
            raise
        export.is_lost = True
        export.item_id = ledger.find(export)
        if export.item_id is None:
            raise JobFailed(f"The portal did not begin the export: {error}") from None
    wait_for_job(
        lambda: portal.job_status(export.owner, str(export.item_id), job_id),
        allowed=saving.context.options.export_timeout,
    )
