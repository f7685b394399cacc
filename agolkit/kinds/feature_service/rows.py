"""The rows of a hosted layer as the service sends them, and the proof that they are all there.

All object ids first, then pages by ranges of ids, several at once, each halved when the server gives up on it. What is
saved are the bytes of each feature as received, one Esri JSON feature a line.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from agolkit.errors import CheckFailed, ConnectionTrouble, NotAnAnswer, ServerTrouble
from agolkit.kinds.saving import Saving
from agolkit.model import Reach
from agolkit.portal import FeatureService, ServiceLayer
from agolkit.progress import beat
from agolkit.store import Spool

PAGES_AT_ONCE = 4
READS = 3
"""How often a layer that is edited meanwhile is read."""

_DECODE = json.JSONDecoder().raw_decode
_FEATURES = re.compile(r'"features"\s*:\s*\[')
_SEPARATORS = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows as they were received."""

    lines: bytes
    """One feature a line."""
    object_ids: tuple[int, ...]
    header: Mapping[str, Any]
    """The rest of the answer: geometry type, spatial reference, fields."""


@dataclass(slots=True)
class SavedRows:
    """What was read of one layer."""

    layer: ServiceLayer
    object_ids: set[int] = field(default_factory=set)
    header: Mapping[str, Any] = field(default_factory=dict)
    """What the answers said beside the features; empty where there are no rows."""


def save_rows(saving: Saving, service: FeatureService, layer: ServiceLayer) -> SavedRows:
    """Save all rows of a layer.

    While edits come between, the layer is read again, three times at most. What still differs then is noted as
    missing, with the numbers; what could be read is kept nevertheless.
    """
    for read in range(1, READS + 1):
        with saving.context.spool() as spool:
            before = service.edit_stamps(layer)
            saved = read_rows(saving, service, layer, service.object_ids(layer), spool)
            ids = saved.object_ids
            served = set(service.object_ids(layer))
            moved = service.edit_stamps(layer) != before
            if (ids == served and not moved) or read == READS:
                proof = f"{len(ids & served):,} of {len(served):,} ids"
                saving.keep("rows", spool, f"rows/{layer.id}.jsonl.gz", Reach.CONTENT, proof)
                break
    if ids != served or moved:
        why = "edited while they were read" if moved else f"{len(ids - served):,} that the service does not list"
        saving.missing.append(f"rows of layer {layer.name!r}: {proof}, {why}")
    return saved


def read_rows(
    saving: Saving, service: FeatureService, layer: ServiceLayer, object_ids: list[int], spool: Spool
) -> SavedRows:
    """Write the rows with these ids to `spool`, in the order of their ids, each page compressed; what came."""
    saved = SavedRows(layer)
    spool.restart()
    spool.write(gzip.compress(b"", mtime=0))  # also a layer without rows is a file that opens
    for page in pages(saving, service, layer, object_ids):
        if not saved.object_ids.isdisjoint(page.object_ids):
            raise CheckFailed(f"layer {layer.name!r}: the server sent a row twice.")
        saved.object_ids.update(page.object_ids)
        saved.header = saved.header or page.header
        spool.write(gzip.compress(page.lines, compresslevel=6, mtime=0))
    return saved


def pages(saving: Saving, service: FeatureService, layer: ServiceLayer, object_ids: list[int]) -> Iterator[Page]:
    """The rows with these ids, page by page in order; the next few are fetched while one is worked on."""
    ranges = deque(object_ids[at : at + layer.page] for at in range(0, len(object_ids), layer.page))
    ahead: deque[Future[list[Page]]] = deque()
    with ThreadPoolExecutor(PAGES_AT_ONCE, thread_name_prefix="agolkit-pages") as executor:
        try:
            while ranges or ahead:
                while ranges and len(ahead) < PAGES_AT_ONCE:
                    ahead.append(
                        executor.submit(copy_context().run, fetch_pages, saving, service, layer, ranges.popleft())
                    )
                yield from ahead.popleft().result()
                beat()
        finally:
            for future in ahead:
                future.cancel()


def fetch_pages(saving: Saving, service: FeatureService, layer: ServiceLayer, some: list[int]) -> list[Page]:
    """The rows of one range of ids, in several pages where the server gives up on it or cuts it."""
    try:
        with saving.context.spool() as spool:
            service.fetch_rows(layer, some[0], some[-1], spool)
            page, is_cut = parse_page(spool.read(), layer)
        if not is_cut:
            return [page]
        trouble: Exception = NotAnAnswer(f"layer {layer.name!r}: the server cuts the row {some[0]} off.")
    except (ServerTrouble, NotAnAnswer, ConnectionTrouble) as error:
        if not error.transient:
            raise
        trouble = error
    if len(some) == 1:
        raise trouble
    half = len(some) // 2
    return fetch_pages(saving, service, layer, some[:half]) + fetch_pages(saving, service, layer, some[half:])


def parse_page(content: bytes, layer: ServiceLayer) -> tuple[Page, bool]:
    """The features of a query answer with their own bytes, and whether the server left some out.

    Raises
    ------
    NotAnAnswer
        It is not the answer of a query. Trying again may help.
    """
    try:
        text = content.decode("utf-8-sig")
    except ValueError:
        raise NotAnAnswer(f"layer {layer.name!r}: the answer to a query is no text.") from None
    begin = _FEATURES.search(text)  # inside a text of the answer its quotation marks would be escaped
    if begin is None:
        raise NotAnAnswer(f"layer {layer.name!r}: the answer to a query holds no features.")
    lines: list[str] = []
    object_ids: list[int] = []
    try:
        at = _after_separators(text, begin.end())
        while text[at] != "]":
            feature, end = _DECODE(text, at)
            object_ids.append(int(feature["attributes"][layer.object_id_field]))
            lines.append(text[at:end].replace("\r", " ").replace("\n", " ") + "\n")
            at = _after_separators(text, end)
        header = json.loads(text[: begin.end()] + text[at:])
        is_cut = bool(header.pop("exceededTransferLimit", False))
        del header["features"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise NotAnAnswer(f"layer {layer.name!r}: the answer to a query cannot be read ({error}).") from None
    return Page("".join(lines).encode(), tuple(object_ids), header), is_cut


def _after_separators(text: str, at: int) -> int:
    found = _SEPARATORS.match(text, at)
    return found.end() if found else at
