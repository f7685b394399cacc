"""Trees that do not show what is saved."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from agolkit.layout import tree_path
from agolkit.model import Blob, counted
from agolkit.repair.blobs import holds, show
from agolkit.repair.findings import Finding, Mend
from agolkit.repair.lists import Content
from agolkit.store import Store


def mend_trees(store: Store, contents: Sequence[Content], *, deep: bool, bad: Collection[str]) -> Iterator[Mend]:
    """A step for each backup whose tree lacks files; `bad` are the hashes of blobs that cannot be shown."""
    for content in contents:
        if content.tree == "none":
            continue
        paths = {
            path: part.blob
            for outcome in content.outcomes()
            for part in outcome.parts
            if part.blob.sha256 not in bad
            and _is_wrong(store, f"backups/{content.name}/{(path := tree_path(outcome.item, part))}", part.blob, deep)
        }
        if paths:
            what = f"{counted(len(paths), 'file')} of its tree missing or changed, such as {min(paths)}"
            found = Finding(f"backups/{content.name}", what, "show", "shown from the blobs", (content.name,))
            yield Mend((found,), partial(_show_all, store, content, paths))


def _is_wrong(store: Store, key: str, blob: Blob, deep: bool) -> bool:
    if store.is_linked(blob.sha256, key):
        return False
    return store.size(key) != blob.size or (deep and not holds(store, key, blob))


def _show_all(store: Store, content: Content, paths: dict[str, Blob]) -> None:
    for path, blob in paths.items():
        show(store, content.name, content.tree, path, blob)
    store.flush()
