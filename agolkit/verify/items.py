"""The items of a backup: every blob, what is inside it, and the tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agolkit.errors import StoreDamaged
from agolkit.kinds.feature_service.proofs import service_troubles
from agolkit.layout import tree_path
from agolkit.model import Outcome, Part
from agolkit.store.blobs import blob_key
from agolkit.verify.contents import OPAQUE, trouble_inside
from agolkit.verify.inspection import Inspection


def check_items(inspection: Inspection, outcomes: Iterable[Outcome], *, has_tree: bool) -> None:
    """Look at every part of every item; a damaged blob is named once for each item that needs it."""
    for outcome in inspection.near.each(outcomes) if inspection.deep else outcomes:
        damaged: dict[str, list[str]] = {}
        for part in outcome.parts:
            if inspection.blob_trouble(part.blob):
                damaged.setdefault(part.blob.sha256, []).append(part.path)
        for digest, paths in damaged.items():
            part = next(part for part in outcome.parts if part.blob.sha256 == digest)
            named = f"part{'s' if len(paths) > 1 else ''} {', '.join(paths)}"
            inspection.add(blob_key(digest), f"{inspection.blob_trouble(part.blob)} ({named})", outcome.item)
        if inspection.deep:
            unread = damaged.keys() | inspection.frozen.keys()
            whole = [part for part in outcome.parts if part.blob.sha256 not in unread]
            for part, what in _troubles_inside(inspection, outcome, whole):
                inspection.add(blob_key(part.blob.sha256), f"{what} (part {part.path})", outcome.item)
        if has_tree:
            for part in outcome.parts:
                _check_in_tree(inspection, outcome, part)


def _troubles_inside(inspection: Inspection, outcome: Outcome, whole: list[Part]) -> Iterator[tuple[Part, str]]:
    """What is wrong inside parts whose bytes are those that the manifest names."""
    sound = []
    for part in whole:
        if part.name in OPAQUE:
            sound.append(part)
            continue
        with inspection.near.open_blob(part.blob.sha256) as stream:
            what = trouble_inside(outcome.item, part, stream)
        if what:
            yield part, what
        else:
            sound.append(part)
    try:
        yield from service_troubles(inspection.near, outcome, sound)
    except StoreDamaged as error:  # it was whole a moment ago: the disk, or somebody, is at it right now
        inspection.add("blobs", str(error), outcome.item)


def _check_in_tree(inspection: Inspection, outcome: Outcome, part: Part) -> None:
    path = tree_path(outcome.item, part)
    if not inspection.store.is_linked(part.blob.sha256, inspection.key(path)):
        what = inspection.trouble(inspection.key(path), part.blob)
        if what:
            inspection.add(path, f"{what}, in the tree; fetch takes the blob instead", outcome.item)
