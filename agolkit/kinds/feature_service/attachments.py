"""The attachments of a hosted layer, each a file of its own, so that one new photo costs one photo."""

from __future__ import annotations

import gzip
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from agolkit.errors import CheckFailed, NotAnAnswer
from agolkit.kinds.feature_service.bookmark import Bookmark
from agolkit.kinds.feature_service.definition import attachments_path
from agolkit.kinds.feature_service.reuse import Reusable, identity, reusable
from agolkit.kinds.parts import length_reach
from agolkit.kinds.saving import Saving
from agolkit.layout import extension
from agolkit.model import Reach
from agolkit.portal import AttachmentFact, FeatureService, ServiceLayer
from agolkit.progress import beat

T = TypeVar("T")

AT_ONCE = 4
ROWS_AT_ONCE = 200
"""Rows of one question for attachments; questions and transfers in flight."""
READS = 3
"""How often the list is read again while the layer is edited."""


def save_attachments(
    saving: Saving,
    service: FeatureService,
    layer: ServiceLayer,
    object_ids: Sequence[int],
    definition: Mapping[str, Any],
    bookmark: Bookmark,
) -> None:
    """Save every attachment of these rows, and the list of what belongs to which row.

    The list, `attachments/<layer>.jsonl.gz`, holds a line for each: what the service says of it, and its `path`. One
    that cannot be had is named as missing; the others go on.

    Parameters
    ----------
    definition
        Service and layers as they were before anything else of the service was read.
    """
    work = _Attachments(saving, service, layer, bookmark)
    stamps = service.edit_stamps(layer)
    facts = _listed(service, layer, object_ids)
    work.reusable = reusable(saving, service, layer, definition, facts)
    work.take(facts)
    # Without a second look the list is still true of what was saved.
    saving.part(
        f"attachments of layer {layer.name!r}", partial(_settle, work, service, layer, object_ids, stamps, facts)
    )
    work.finish()


def _settle(
    work: _Attachments,
    service: FeatureService,
    layer: ServiceLayer,
    object_ids: Sequence[int],
    stamps: Mapping[str, Any],
    facts: Sequence[AttachmentFact],
) -> None:
    """Read the list again, and save what differs, until the layer is as it was before the list was read.

    Raises
    ------
    NotAnAnswer
        It is still edited. What it says has the numbers.
    """
    for _ in range(READS):
        before, stamps = stamps, service.edit_stamps(layer)
        if stamps and stamps == before:
            return
        newer = _listed(service, layer, object_ids)
        now, then = ({identity(fact.raw) for fact in some} for some in (newer, facts))
        if now == then:  # what was edited is no attachment
            return
        facts = newer
        work.take(facts)
    raise NotAnAnswer(f"edited while they were read, at last {len(now - then):,} new and {len(then - now):,} gone")


class _Attachments:
    """The attachments of one layer on their way into the store, by their path."""

    def __init__(self, saving: Saving, service: FeatureService, layer: ServiceLayer, bookmark: Bookmark) -> None:
        self._saving = saving
        self._service = service
        self._layer = layer
        self._bookmark = bookmark
        self.reusable: Mapping[tuple[object, ...], Reusable] = {}
        self._facts: dict[str, AttachmentFact] = {}
        self._trouble: dict[str, str] = {}
        """Why an attachment could not be had."""
        self._taken: set[str] = set()
        """Paths of what an earlier run had saved."""

    def take(self, facts: Sequence[AttachmentFact]) -> None:
        """Save what is listed and not saved yet, and drop what is saved and not listed any more."""
        listed = {_path(self._layer, fact): fact for fact in facts}
        kept = {path: fact for path, fact in self._facts.items() if listed.get(path) == fact}
        if gone := self._facts.keys() - kept.keys():
            self._saving.parts[:] = [part for part in self._saving.parts if part.path not in gone]
            self._bookmark.reused -= gone
        self._facts = listed
        self._trouble = {path: trouble for path, trouble in self._trouble.items() if path in kept}
        self._taken &= kept.keys()
        # All that is there already first: what is noted from here on then says no less than the backups before.
        new = [path for path in listed if path not in kept and not self._reuse(path)]
        self._bookmark.begin(attachments_path(self._layer.id), self._packed_list)
        for _ in in_flight(partial(self._save, path) for path in new):
            beat()
            self._bookmark.tick()

    def finish(self) -> None:
        """Save the list."""
        # In the order of the list, and not in that in which they came: the same layer makes the same manifest.
        place = {path: number for number, path in enumerate(self._facts, 1)}
        self._saving.parts.sort(key=lambda part: place.get(part.path, 0))
        sizes = {part.path: part.blob.size for part in self._saving.parts}
        proof = f"layer {self._layer.id}, {len(self._facts):,} listed"
        reused = self._taken & self._bookmark.reused
        proof += f", {len(reused):,} reused" if reused else ""
        proof += f", {len(self._trouble):,} missing" if self._trouble else ""
        self._saving.missing += self._trouble.values()
        self._saving.context.reused_bytes.add(sum(sizes[path] for path in self._taken))
        with self._saving.context.spool() as spool:
            spool.write(self._packed_list())
            self._saving.keep("attachments", spool, attachments_path(self._layer.id), Reach.PARSED, proof)

    def _packed_list(self) -> bytes:
        sizes = {part.path: part.blob.size for part in [*self._saving.parts]}
        lines = [
            json.dumps({**fact.raw, "size": sizes.get(path, fact.size), "path": path}, ensure_ascii=False)
            for path, fact in self._facts.items()
        ]
        text = "".join(line + "\n" for line in lines)
        return gzip.compress(text.encode(errors="backslashreplace"), compresslevel=6, mtime=0)

    def _reuse(self, path: str) -> bool:
        """Whether the copy of an earlier run could be taken."""
        fact = self._facts[path]
        found = self.reusable.get(identity(fact.raw))
        if found is None or (fact.size and found.part.blob.size != fact.size):
            return False
        if not self._saving.context.store.holds(found.part.blob):
            return False
        beat()
        self._saving.parts.append(replace(found.part, path=path))
        self._taken.add(path)
        if not found.is_of_this_backup:
            self._bookmark.reused.add(path)
        return True

    def _save(self, path: str) -> None:
        fact = self._facts[path]
        name = f"attachment {fact.name} of row {fact.object_id}"
        if trouble := self._saving.attempt(name, partial(self._fetch, path, fact), is_one_of_many=True):
            self._trouble[path] = trouble

    def _fetch(self, path: str, fact: AttachmentFact) -> None:
        with self._saving.context.spool() as spool:
            received = self._service.fetch_attachment(self._layer, fact, spool)
            if fact.size and received.size != fact.size:
                raise CheckFailed(
                    f"{received.size:,} bytes came, the service lists {fact.size:,}. Run again; if it stays so, the "
                    "file in the portal is not whole: attach it again."
                )
            self._saving.keep("attachment", spool, path, length_reach(received), exact_name=fact.name or None)


def _listed(service: FeatureService, layer: ServiceLayer, object_ids: Sequence[int]) -> list[AttachmentFact]:
    """The attachments of all these rows; some requests are made at the same time."""

    def of(some: Sequence[int]) -> list[AttachmentFact]:
        return list(service.attachments(layer, {object_id: str(object_id) for object_id in some}))

    some = (object_ids[at : at + ROWS_AT_ONCE] for at in range(0, len(object_ids), ROWS_AT_ONCE))
    facts = [fact for facts in in_flight(partial(of, each) for each in some) for fact in facts]
    return sorted(facts, key=lambda fact: (fact.object_id, fact.id))


def in_flight(work: Iterable[Callable[[], T]]) -> Iterator[T]:
    """What each call returns, in order; a few are under way at a time, however many there are."""
    ahead: deque[Future[T]] = deque()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="agolkit-attachments") as executor:
        try:
            for call in work:
                ahead.append(executor.submit(copy_context().run, call))
                if len(ahead) > AT_ONCE:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _path(layer: ServiceLayer, fact: AttachmentFact) -> str:
    return f"attachments/{layer.id}/{fact.object_id}-{fact.id}{extension(fact.name)}"
