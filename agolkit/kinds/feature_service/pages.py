"""The rows of a layer page by page, each feature with the bytes that were received.

Pages are ranges of object ids, several in flight at once, each halved when the server gives up on it or cuts it, or
when it is too large for the memory.
"""

from __future__ import annotations

import json
import re
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from agolkit.errors import ConnectionTrouble, NotAnAnswer, PortalError, ServerTrouble
from agolkit.kinds.saving import Saving
from agolkit.packed import LONGEST_LINE
from agolkit.portal import FeatureService, ServiceLayer
from agolkit.progress import beat

PAGES_AT_ONCE = 4
FEW = 100
"""Rows that are asked for by their ids at once: more would make too long an address."""
GOOD_SIZE = 4 << 20
LARGEST = 8 << 20
"""Bytes of an answer: as many as are asked for once it is known how large the rows are, and the most that is parsed."""

_GZIP = 31
"""The `wbits` with which zlib writes a member of a gzip file, without a time in it."""
_DECODE = json.JSONDecoder().raw_decode
_FEATURES = re.compile(r'"features"\s*:\s*\[')
_SEPARATORS = re.compile(r"[\s,]*")


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows as they were received."""

    lines: bytes
    """One feature a line, compressed: a member of a gzip file."""
    size: int
    """Bytes of the answer."""
    object_ids: array[int]
    header: Mapping[str, Any]
    """The rest of the answer: geometry type, spatial reference, fields."""


def read_pages(
    saving: Saving, service: FeatureService, layer: ServiceLayer, object_ids: array[int], begin: int, end: int
) -> Iterator[Page]:
    """The rows with the ids from `begin` to before `end` of all that there are, which are in order; the next few pages
    are fetched while one is worked on."""
    at, rows = begin, layer.page
    ahead: deque[Future[list[Page]]] = deque()
    with ThreadPoolExecutor(PAGES_AT_ONCE, thread_name_prefix="agolkit-pages") as executor:
        try:
            while ahead or at < end:
                while at < end and len(ahead) < PAGES_AT_ONCE:
                    until = min(end_of_range(object_ids, at, rows), end)
                    some, at = object_ids[at:until], until
                    ahead.append(executor.submit(copy_context().run, fetch_pages, saving, service, layer, some))
                for page in ahead.popleft().result():
                    if page.object_ids:
                        rows = max(1, min(layer.page, GOOD_SIZE * len(page.object_ids) // page.size))
                    yield page
                    beat()
        finally:
            for future in ahead:
                future.cancel()


def fetch_some(
    saving: Saving, service: FeatureService, layer: ServiceLayer, object_ids: Sequence[int]
) -> Iterator[Page]:
    """The rows with these ids, which may be far apart; a few at a time."""
    for at in range(0, len(object_ids), FEW):
        yield from _few(saving, service, layer, object_ids[at : at + FEW])
        beat()


def _few(saving: Saving, service: FeatureService, layer: ServiceLayer, some: Sequence[int]) -> list[Page]:
    if len(some) == 1:
        return fetch_pages(saving, service, layer, array("q", some))
    with saving.context.spool() as spool:
        service.fetch_rows(layer, some, spool)
        page, is_cut = parse_page(spool.read(), layer) if spool.size <= LARGEST else (None, True)
    if page is not None and not is_cut:
        return [page]
    middle = len(some) // 2
    return _few(saving, service, layer, some[:middle]) + _few(saving, service, layer, some[middle:])


def end_of_range(object_ids: array[int], at: int, rows: int) -> int:
    """Where a range of so many ids ends that begins at `at`; an id that comes twice is never on both sides."""
    return bisect_right(object_ids, object_ids[min(at + rows, len(object_ids)) - 1])


def fetch_pages(saving: Saving, service: FeatureService, layer: ServiceLayer, some: array[int]) -> list[Page]:
    """The rows of one range of ids, in several pages where the server gives up on it, cuts it, or sends too much."""
    is_one = some[0] == some[-1]
    try:
        with saving.context.spool() as spool:
            service.fetch_row_range(layer, some[0], some[-1], spool)
            if is_one and spool.size > LONGEST_LINE:
                raise PortalError(
                    f"layer {layer.name!r}: the row {some[0]} has {spool.size:,} bytes, too many to read."
                )
            if spool.size <= LARGEST or is_one:
                page, is_cut = parse_page(spool.read(), layer)
                if not is_cut:
                    return [page]
        trouble: Exception = NotAnAnswer(f"layer {layer.name!r}: the server cuts the row {some[0]} off.")
    except (ServerTrouble, NotAnAnswer, ConnectionTrouble) as error:
        if not error.transient:
            raise
        trouble = error
    if is_one:
        raise trouble
    middle = bisect_left(some, some[len(some) // 2]) or bisect_right(some, some[0])
    return fetch_pages(saving, service, layer, some[:middle]) + fetch_pages(saving, service, layer, some[middle:])


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
    packer = zlib.compressobj(wbits=_GZIP)
    packed: list[bytes] = []
    object_ids = array("q")
    try:
        at = _after_separators(text, begin.end())
        while text[at] != "]":
            feature, end = _DECODE(text, at)
            object_ids.append(int(feature["attributes"][layer.object_id_field]))
            line = text[at:end].replace("\r", " ").replace("\n", " ") + "\n"
            packed.append(packer.compress(line.encode()))
            at = _after_separators(text, end)
        header = json.loads(text[: begin.end()] + text[at:])
        is_cut = bool(header.pop("exceededTransferLimit", False))
        del header["features"]
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, RecursionError) as error:
        raise NotAnAnswer(f"layer {layer.name!r}: the answer to a query cannot be read ({error}).") from None
    packed.append(packer.flush())
    return Page(b"".join(packed), len(content), object_ids, header), is_cut


def _after_separators(text: str, at: int) -> int:
    found = _SEPARATORS.match(text, at)
    return found.end() if found else at
