"""The rows of a hosted layer as the service sends them, and the proof that they are all there.

All object ids first, then the pages; edit stamps and ids are looked at before and after. What is saved are the bytes of
each feature as received, one Esri JSON feature a line.
"""

from __future__ import annotations

import gzip
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agolkit.kinds.feature_service.definition import rows_path
from agolkit.kinds.feature_service.edited import find_edited, pages_with
from agolkit.kinds.feature_service.pages import Page
from agolkit.kinds.feature_service.stretches import Stretches
from agolkit.kinds.saving import Saving
from agolkit.model import Reach, counted, from_epoch_ms, to_stamp
from agolkit.portal import FeatureService, ServiceLayer
from agolkit.store import Spool

READS = 3
"""How often a layer that is edited meanwhile is read."""


@dataclass(slots=True)
class SavedRows:
    """What was read of one layer."""

    object_ids: array[int] = field(default_factory=lambda: array("q"))
    """In order."""
    header: Mapping[str, Any] = field(default_factory=dict)
    """What the answers said beside the features; empty where there are no rows."""


def save_rows(saving: Saving, service: FeatureService, layer: ServiceLayer, definition: Mapping[str, Any]) -> SavedRows:
    """Save all rows of a layer, whose `definition` was read before them.

    While edits come between, the layer is read again, three times at most. What still differs then is noted as
    missing, with the numbers; what could be read is kept nevertheless.
    """
    stretches = Stretches(saving, service, layer, definition)
    for read in range(1, READS + 1):
        with saving.context.spool() as spool:
            before, listed = service.edit_stamps(layer), service.object_ids(layer)
            # Where the first reading did not come out right, nothing that was read before it is relied on.
            known = find_edited(saving, service, layer, definition, listed) if read == 1 else None
            if known:
                saved = read_rows(pages_with(saving, service, layer, known, listed), spool)
            else:
                saved = read_rows(stretches.pages(listed, before, anew=read > 1), spool)
            served, count, after = service.object_ids(layer), service.count(layer), service.edit_stamps(layer)
            moved = edited_between(before, after) or ("edited" if listed != served else "")
            is_whole = saved.object_ids == served and count == len(served) and not moved
            if is_whole or read == READS:
                common = count_common(saved.object_ids, served)
                kept = max(0, len(listed) - len(known.edited)) if known else 0
                proof = f"{common:,} of {len(served):,} ids" + (f", {kept:,} reused" if kept else "")
                saving.keep("rows", spool, rows_path(layer.id), Reach.CONTENT, f"layer {layer.id}, {proof}")
                saving.context.reused_bytes.add(spool.size * kept // len(listed) if kept else stretches.taken)
                break
    if not is_whole:
        said = [proof]
        if surplus := len(saved.object_ids) - common:
            said.append(f"{counted(surplus, 'row')} more that the service does not list")
        if count != len(served):
            said.append(f"while it counts {count:,}")
        if moved:
            said.append(f"{moved} while they were read ({len(listed):,} rows before, {len(served):,} after)")
        saving.missing.append(f"rows of layer {layer.name!r}: {', '.join(said)}. Run again when nobody edits it")
    return saved


def read_rows(pages: Iterable[Page], spool: Spool) -> SavedRows:
    """Write the rows of all pages to `spool`, in the order of their ids; what came."""
    saved = SavedRows()
    spool.write(gzip.compress(b"", mtime=0))  # also a layer without rows is a file that opens
    for page in pages:
        saved.object_ids.extend(page.object_ids)
        saved.header = saved.header or page.header
        spool.write(page.lines)
    saved.object_ids = array("q", sorted(saved.object_ids))  # a server need not keep to the order asked for
    return saved


def edited_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What the edit stamps of a layer say was done between two looks at it, in words; empty where nothing was."""
    if before == after:
        return ""
    moments = [from_epoch_ms(after[name]) for name in after if after[name] != before.get(name)]
    latest = max((moment for moment in moments if moment), default=None)
    return f"edited at {to_stamp(latest)}" if latest else "edited"


def count_common(some: array[int], others: array[int]) -> int:
    """How many numbers two arrays in order have in common; what is in both twice counts twice."""
    at = common = 0
    for number in some:
        while at < len(others) and others[at] < number:
            at += 1
        if at < len(others) and others[at] == number:
            at, common = at + 1, common + 1
    return common
