"""The export items of a run: announced before they are made, deleted whatever happens, never mistaken for others.

They are the only thing agolkit ever writes to an organization. Title and tag carry the run's id, so each can be found
again even where the answer to its making was lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agolkit.errors import ConnectionTrouble, NotFound, PortalError
from agolkit.inventory import EXPORT_TAG
from agolkit.portal import Portal
from agolkit.progress import beat, shielded


@dataclass(eq=False, slots=True)
class Export:
    """One export item that may exist in the portal: in whose content, under which title."""

    owner: str
    title: str
    item_id: str | None = None
    """Its id, once the portal has told it."""


class ExportLedger:
    """Which export items of this run may exist in the portal. Safe to use from many threads.

    Parameters
    ----------
    announce
        Called with owner, title and item id before an export item is made; it returns when that is durable.
    slots
        Export jobs in flight at once.
    """

    def __init__(
        self, portal: Portal, run_id: str, *, announce: Callable[[Mapping[str, str]], None], slots: int
    ) -> None:
        self.portal = portal
        self.run_tag = f"{EXPORT_TAG}-{run_id}"
        self.slots = threading.Semaphore(slots)
        self._announce = announce
        self._open: list[Export] = []
        self._made = 0
        self._lock = threading.Lock()

    @property
    def tags(self) -> list[str]:
        return [EXPORT_TAG, self.run_tag]

    def open(self, owner: str, item_id: str) -> Export:
        """Announce an export item of `item_id` that is about to be made in the content of `owner`."""
        beat()  # a job that was given up must not begin anything
        with self._lock:
            self._made += 1
            export = Export(owner, f"{self.run_tag}-{item_id[:8]}-{self._made}")
        self._announce({"owner": owner, "title": export.title, "item_id": item_id})
        with self._lock:
            self._open.append(export)
        return export

    def find(self, export: Export) -> str | None:
        """Id of the export item in the portal, matched by owner, title and the run's own tag; `None`: not there."""
        for raw in self.portal.find_by_title(export.owner, export.title):
            if self.run_tag in (raw.get("tags") or []) and raw.get("owner") == export.owner:
                return str(raw["id"])
        return None

    def close(self, export: Export) -> str:
        """Delete the export item permanently, if it is there; a sentence where it could not be deleted now.

        Goes on when the run was stopped. What fails here is tried again by `close_all` at the end of the run, and
        does not touch what was fetched.
        """
        try:
            with shielded():
                if self._is_there(export):
                    self.portal.delete_item(export.owner, str(export.item_id))
        except (PortalError, ConnectionTrouble) as error:
            return f"Delete the item {export.title!r} of {export.owner} by hand: {error}"
        with self._lock:
            if export in self._open:  # a job that ends late and the end of the run may both have deleted it
                self._open.remove(export)
        return ""

    def close_all(self) -> list[str]:
        """Delete every export item that is still open; a sentence for each that could not be deleted."""
        return [sentence for sentence in map(self.close, list(self._open)) if sentence]

    def _is_there(self, export: Export) -> bool:
        """Whether the item exists and is ours: its owner, title and tags say so, not its id alone."""
        if export.item_id is None:
            export.item_id = self.find(export)
            return export.item_id is not None
        try:
            raw = self.portal.owner_view(export.owner, export.item_id)["item"]
        except NotFound:
            return False
        return self.run_tag in (raw.get("tags") or []) and raw.get("owner") == export.owner
