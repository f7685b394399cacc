"""How far the attachments of a service have come: noted in the journal now and then, for the run that goes on there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agolkit.errors import AgolkitError, StoreError
from agolkit.journal import SEGMENT_SECONDS
from agolkit.kinds.feature_service.definition import SERVICE
from agolkit.kinds.feature_service.views import is_view
from agolkit.kinds.saving import Saving
from agolkit.model import Outcome, Part, Reach, Result
from agolkit.progress import shielded


class Bookmark:
    """Notes the attachments of one item, once they take longer than the journal waits. For the thread of its job.

    With them it notes what `reuse` asks for: the stamps as they were before anything else was read, and the lists.

    Parameters
    ----------
    definition
        Service and layers as they were before anything else of the service was read.
    """

    def __init__(self, saving: Saving, definition: Mapping[str, Any]) -> None:
        self._saving = saving
        self._described = {name: definition[name] for name in ("root", "layers")}
        self._is_view = is_view(saving.item, definition)  # nothing is ever reused of one
        self._listing: tuple[str, Callable[[], bytes]] | None = None
        self._noted: set[tuple[str, str]] = set()
        self._due = time.monotonic() + SEGMENT_SECONDS
        self.reused: set[str] = set()
        """Paths of what an earlier backup had."""

    def begin(self, path: str, listing: Callable[[], bytes]) -> None:
        """Say what makes the list of the attachments that are fetched from now on, and where it stands."""
        self._listing = path, listing

    def tick(self) -> None:
        """Note what has come, every ten seconds. Call it whenever something has come."""
        if time.monotonic() >= self._due:
            self._note()

    @contextmanager
    def noting_the_end(self) -> Iterator[None]:
        """Note what has come when the item is ended before its time."""
        try:
            yield
        except AgolkitError as error:
            if not isinstance(error, StoreError):
                with shielded():
                    self._note()
            raise

    def _note(self) -> None:
        some = [part for part in [*self._saving.parts] if part.name in ("attachments", "attachment")]
        new = [part for part in some if (part.path, part.blob.sha256) not in self._noted]
        if not self._is_view and any(part.name == "attachment" and part.path not in self.reused for part in new):
            told = [] if self._noted else [self._stored("definition", SERVICE, json.dumps(self._described).encode())]
            if self._listing:
                path, listing = self._listing
                told.append(self._stored("attachments", path, listing()))
                self._listing = None
            self._tell("reused", [part for part in new if part.path in self.reused])
            self._tell("fetched", told + [part for part in new if part.path not in self.reused])
            self._noted.update((part.path, part.blob.sha256) for part in new)
        self._due = time.monotonic() + SEGMENT_SECONDS

    def _stored(self, name: str, path: str, content: bytes) -> Part:
        with self._saving.context.spool() as spool:
            spool.write(content)
            return self._saving.stored(name, spool, path, Reach.PARSED)

    def _tell(self, how: str, parts: list[Part]) -> None:
        if parts:
            item, observed = self._saving.item, self._saving.observed
            outcome = Outcome(item, Result.STOPPED, observed, parts=tuple(parts), how=how)
            self._saving.context.under_way.note(outcome)
