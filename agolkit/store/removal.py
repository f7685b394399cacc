"""The end of a backup, or of its tree, in steps that may be interrupted at any moment. For whoever holds the lease.

First `backup.json` says `removed`: from then on nobody takes the backup for a complete one, nor goes on with it. Then
all else goes, and `backup.json` last. The blobs are not touched here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agolkit.errors import StoreDamaged, StoreError
from agolkit.layout import OWN_NAMES
from agolkit.store.seal import sealed
from agolkit.store.version import FORMAT

if TYPE_CHECKING:
    from agolkit.store.base import Store
    from agolkit.store.lease import Lease

_TOLD = ("started", "scope", "label", "agolkit")
"""What is still said of a backup while it is removed."""


def begin_removal(store: Store, backup: str) -> None:
    """Say durably that a backup is none any more."""
    facts = store.summary(backup)
    told = {key: facts[key] for key in _TOLD if key in facts}
    key = f"backups/{backup}/backup.json"
    if not store.swap(key, store.find(key), sealed({"format": FORMAT, "name": backup, "state": "removed", **told})):
        raise _changed(store, key)


def _end_removal(store: Store, backup: str) -> None:
    """Remove all that is left of a backup; what says that it is none goes last."""
    folder = f"backups/{backup}"
    for name in store.names(folder):
        if name != "backup.json":
            store.clear(f"{folder}/{name}")
            store.remove(f"{folder}/{name}")
    store.flush()  # a power cut must not bring back a journal without the file that says it is of no use
    store.remove(f"{folder}/backup.json")
    store.clear(folder)
    store.flush()


def half_removed(store: Store) -> list[str]:
    """The backups whose removal was begun and not ended, oldest first."""
    return [name for name in store.backup_names() if _is_half_removed(store, name)]


def _is_half_removed(store: Store, backup: str) -> bool:
    """Whether a folder is what is left of a backup, or of a run that was killed before its first word."""
    try:
        facts = store.summary(backup)
    except StoreDamaged:
        return False
    if facts["state"] == "removed":
        return True
    if "started" in facts:
        return False
    folder = f"backups/{backup}"
    words = [name for name in store.names(f"{folder}/journal") if not name.endswith(".next")]
    return not words and set(store.names(folder)) <= {"journal"}


def finish_removals(store: Store, lease: Lease) -> None:
    """Remove what is left of all backups whose removal was begun."""
    for name in half_removed(store):
        lease.check()
        _end_removal(store, name)


def tree_folders(store: Store, backup: str) -> list[str]:
    """The keys of the folders of item types in a backup's folder."""
    folder = f"backups/{backup}"
    keys = [f"{folder}/{name}" for name in store.names(folder) if name.casefold() not in OWN_NAMES]
    return [key for key in keys if store.size(key) is None]


def drop_tree(store: Store, backup: str) -> None:
    """Remove the tree of a finished backup, which is whole without it; `backup.json` says so first."""
    key = f"backups/{backup}/backup.json"
    content = store.get(key)
    if not store.swap(key, content, sealed({**json.loads(content), "tree": "none"})):
        raise _changed(store, key)
    for folder in tree_folders(store, backup):
        store.clear(folder)
    store.flush()


def _changed(store: Store, key: str) -> StoreError:
    return StoreError(f"{key} in {store.location} was changed by somebody else at this moment. Make the plan again.")
