"""The rows of a long layer, some of which the run before this one had read already.

A page that was read again costs time, one that was edited since and is not read again is a wrong backup. So rows are
taken over only where the service says when the layer was edited, and that was before they were read; and where their
ids are still all that there are between the first and the last of them.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

from agolkit.errors import AgolkitError, StoreError
from agolkit.kinds.feature_service.definition import layers_by_id
from agolkit.kinds.feature_service.pages import Page, read_pages
from agolkit.kinds.feature_service.views import is_view
from agolkit.kinds.saving import Saving
from agolkit.kinds.under_way import Stretch
from agolkit.portal import FeatureService, ServiceLayer
from agolkit.progress import beat, shielded

LONG = 4 << 20
"""Bytes of compressed rows that make a stretch; they are in the memory until then."""
SECONDS = 30.0
"""How long it takes at most until rows that have come are kept. A layer that is read within it costs nothing more."""


class Stretches:
    """The rows of one layer: those that are kept from the run before, the others from the service, which it keeps."""

    def __init__(
        self, saving: Saving, service: FeatureService, layer: ServiceLayer, definition: Mapping[str, Any]
    ) -> None:
        self._saving = saving
        self._service = service
        self._layer = layer
        self._is_view = is_view(saving.item, definition)
        # The stamps are compared for themselves: those of the definition may have moved before the rows were read.
        source = [service.url, {**layers_by_id(definition).get(layer.id, {}), "editingInfo": None}]
        self._source = hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()
        self.taken = 0
        """Bytes of the rows that were taken from the run before, the last time that all were read."""

    def pages(self, object_ids: array[int], stamps: Mapping[str, Any], *, anew: bool) -> Iterator[Page]:
        """The rows with these ids, which are in order.

        Parameters
        ----------
        stamps
            When the layer was last edited, as it said before it listed the ids.
        anew
            Take nothing from the run before.
        """
        self.taken = at = 0
        # The stamps of a view need not move with those of its source.
        can_tell = bool(stamps.get("lastEditDate")) and not self._is_view
        for stretch in self._fitting(stamps) if can_tell and not anew else ():
            begin, end = bisect_left(object_ids, stretch.first), bisect_right(object_ids, stretch.last)
            page = self._page(stretch) if begin >= at else None
            if page is None or array("q", sorted(page.object_ids)) != object_ids[begin:end]:
                continue
            yield from self._fetched(object_ids, at, begin, stamps if can_tell else None)
            self.taken += page.size
            yield page
            beat()
            at = end
        yield from self._fetched(object_ids, at, len(object_ids), stamps if can_tell else None)

    def _fitting(self, stamps: Mapping[str, Any]) -> Iterator[Stretch]:
        """What was read of the same layer, in the same form, when it had been edited last at the same time."""
        for stretch in self._saving.context.under_way.stretches(self._saving.item.id, self._layer.id):
            if stretch.source == self._source and stretch.stamps == stamps:
                yield stretch

    def _page(self, stretch: Stretch) -> Page | None:
        """The rows of a stretch; `None` where its file is not what it was."""
        content = self._saving.context.under_way.rows(stretch)
        if content is None:
            return None
        with gzip.open(io.BytesIO(content)) as lines:
            name = self._layer.object_id_field
            object_ids = array("q", (int(json.loads(line)["attributes"][name]) for line in lines))
        return Page(content, len(content), object_ids, stretch.header)

    def _fetched(
        self, object_ids: array[int], begin: int, end: int, stamps: Mapping[str, Any] | None
    ) -> Iterator[Page]:
        """Rows from the service; with stamps, those of a layer that takes long are kept as they come."""
        waiting: list[Page] = []
        since = time.monotonic()
        try:
            for page in read_pages(self._saving, self._service, self._layer, object_ids, begin, end):
                if stamps is not None:
                    waiting.append(page)
                    is_long = sum(len(each.lines) for each in waiting) >= LONG
                    if is_long or time.monotonic() - since >= SECONDS:
                        self._keep(waiting, stamps)
                        waiting, since = [], time.monotonic()
                yield page
        except AgolkitError as error:
            if stamps is not None and not isinstance(error, StoreError):
                with shielded():
                    self._keep(waiting, stamps)
            raise

    def _keep(self, pages: list[Page], stamps: Mapping[str, Any]) -> None:
        object_ids = [object_id for page in pages for object_id in page.object_ids]
        if not object_ids:
            return
        content = b"".join(page.lines for page in pages)
        stretch = Stretch(
            item_id=self._saving.item.id,
            layer=self._layer.id,
            source=self._source,
            stamps=stamps,
            first=min(object_ids),
            last=max(object_ids),
            header=pages[0].header,
            sha256=hashlib.sha256(content).hexdigest(),
        )
        self._saving.context.under_way.keep_rows(stretch, content)
