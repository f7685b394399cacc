"""Where backups are kept: `open_store` opens a store, `Store` is what every store can do."""

from __future__ import annotations

import os
from contextlib import nullcontext, suppress
from pathlib import Path

from agolkit.errors import StoreError, UsageError
from agolkit.store.base import Store
from agolkit.store.draft import Draft
from agolkit.store.lease import Lease
from agolkit.store.local import LocalStore
from agolkit.store.spool import Spool

__all__ = ["Draft", "Lease", "LocalStore", "Spool", "Store", "open_store"]


def open_store(location: str | os.PathLike[str], *, create: bool = True, damaged: bool = False) -> Store:
    """The store in a folder. A new one is made in a new or empty folder when something is first written to it.

    With `damaged` also one whose `store.json` is lost, for `repair`, which looks for what that said.

    Raises
    ------
    UsageError
        `location` is not a folder's path.
    NoSuchBackup
        There is no store, and `create` is false.
    StoreError
        The folder holds something else, cannot be read, or its `store.json` is damaged. Trying again does not help.
    """
    text = os.fspath(location)
    if not text.strip():
        raise UsageError("Name the folder of the store.")
    if "://" in text:
        raise UsageError(f"{text!r} is not a folder; this version of agolkit keeps backups in folders only.")
    store = LocalStore(Path(text).expanduser().absolute())
    with suppress(StoreError) if damaged else nullcontext():
        store.inspect(create=create)
    return store
