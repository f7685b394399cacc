"""The export items of a run: announced before they are made, deleted whatever happens, never mistaken for others.

They are the only thing agolkit ever writes to an organization. Title and tag carry the run's id, so each can be found
again even where the answer to its making was lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agolkit.errors import AgolkitError, ConnectionTrouble, NotFound, PortalError
from agolkit.model import Item
from agolkit.portal import Portal
from agolkit.progress import beat, shielded
from agolkit.scope import EXPORT_TAG


@dataclass(eq=False, slots=True)
class Export:
    """One export item that may exist in the portal: in whose content, under which title."""

    owner: str
    title: str
    item_id: str | None = None
    """Its id, once the portal has told it."""
    is_lost: bool = False
    """The portal gave no usable answer: the item may appear yet."""


class ExportLedger:
    """Which export items of this run may exist in the portal. Safe to use from many threads.

    Parameters
    ----------
    announce
        Called with owner, title and item id before an export item is made; it returns when that is durable.
    """

    def __init__(self, portal: Portal, run_id: str, *, announce: Callable[[Mapping[str, str]], None]) -> None:
        self.portal = portal
        self.run_tag = f"{EXPORT_TAG}-{run_id}"
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
        """Id of the export item in the portal; `None`: not there."""
        found = self.portal.find_by_title(export.owner, export.title)
        return next((str(raw["id"]) for raw in found if self._is_ours(raw, export)), None)

    def close(self, export: Export) -> str:
        """Delete the export item permanently, if it is there; a sentence where it could not be deleted now.

        Goes on when the run was stopped. What fails here, and what may appear late, is tried again by `close_all` at
        the end of the run; it does not touch what was fetched.
        """
        try:
            with shielded():
                was_there = self._is_there(export)
                if was_there:
                    self.portal.delete_item(export.owner, str(export.item_id))
        except AgolkitError as error:
            return f"Delete the item {export.title!r} of {export.owner} by hand: {error}"
        with self._lock:
            # A job that ends late and the end of the run may both have deleted it.
            if export in self._open and (was_there or not export.is_lost):
                self._open.remove(export)
        return ""

    def close_all(self) -> list[str]:
        """Delete every export item that is still open; a sentence for each that could not be deleted."""
        return [sentence for sentence in map(self.close, list(self._open)) if sentence]

    def sweep(self, candidates: Iterable[Item], announced: Iterable[Mapping[str, str]]) -> list[str]:
        """Delete the export items that a killed run announced and left behind; a sentence for each that could not be.

        `candidates` are the items that the inventory took for export items of some run.
        """
        known = {(line["owner"], line["title"]) for line in announced}
        trouble = []
        for item in candidates:
            if (item.owner, item.title) in known:
                try:
                    self.portal.delete_item(item.owner, item.id)
                except (PortalError, ConnectionTrouble) as error:
                    trouble.append(f"Delete the item {item.title!r} of {item.owner} by hand: {error}")
        return trouble

    def _is_there(self, export: Export) -> bool:
        """Whether the item exists and is ours."""
        if export.item_id is None:
            export.item_id = self.find(export)
            return export.item_id is not None
        try:
            raw = self.portal.owner_view(export.owner, export.item_id)["item"]
        except NotFound:
            return False
        return self._is_ours(raw, export)

    def _is_ours(self, raw: Mapping[str, Any], export: Export) -> bool:
        """Owner, and the run's own title or tag, must agree: an id alone is never enough to delete."""
        return raw.get("owner") == export.owner and (
            raw.get("title") == export.title or self.run_tag in (raw.get("tags") or ())
        )
