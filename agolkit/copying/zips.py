"""Zips of a store copied to another one, but for those that would bring back what was forgotten there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping

from agolkit.copying.steps import Forgotten
from agolkit.errors import StoreDamaged, StoreError
from agolkit.store import Store
from agolkit.store.spool import CHUNK
from agolkit.zips import PublishedZip, items_in_zip, note_zip, read_zips


def copy_zip(source: Store, target: Store, published: PublishedZip, check: Callable[..., None]) -> None:
    """Bring one zip, checked on its way.

    Raises
    ------
    StoreDamaged
        It is not what was published. The target is as it was.
    Archived
        It lies in an archive. Trying again helps when it was asked back.
    """
    target.stream(published.key, _pieces(source, published, check))
    target.flush()
    check(now=True)
    note_zip(target, published)


def zips_to_copy(source: Store, target: Store) -> list[PublishedZip]:
    """The zips of the source that the target does not list."""
    there = {each.name: each.sha256 for each in read_zips(target)}
    return [each for each in read_zips(source) if there.get(each.name) != each.sha256]


def holds_forgotten(store: Store, published: PublishedZip, forgotten: Forgotten) -> bool:
    """Whether a zip holds an item that was forgotten after its backup was made; one that was saved again since may."""
    item_ids = [item_id for item_id, when in forgotten.items() if published.started < when]
    return bool(item_ids and items_in_zip(store, published.name, item_ids))


def zips_left(target: Store, forgotten: Mapping[str, Collection[str]]) -> Iterator[PublishedZip]:
    """The zips of the target with items that the source has forgotten in their backups, those that cannot be read
    included."""
    for published in read_zips(target) if forgotten else ():
        item_ids = forgotten.get(published.backup, ())
        try:
            if item_ids and items_in_zip(target, published.name, item_ids):
                yield published
        except StoreError:
            yield published


def _pieces(source: Store, published: PublishedZip, check: Callable[..., None]) -> Iterator[bytes]:
    """The content of a zip; `StoreDamaged` at its end where it is not what was published."""
    digest = hashlib.sha256()
    with source.open(published.key) as stream:
        while piece := stream.read(CHUNK):
            check()
            digest.update(piece)
            yield piece
    if digest.hexdigest() != published.sha256:
        raise StoreDamaged(f"{published.key} in {source.location} is not what was published.")
