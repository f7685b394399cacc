"""Where backups are kept: `open_store` opens a store, `Store` is what every store can do."""

from __future__ import annotations

import os
from contextlib import nullcontext, suppress
from pathlib import Path

from agolkit.errors import StoreError, UsageError
from agolkit.store.base import Store
from agolkit.store.bucket import BucketSettings
from agolkit.store.draft import Draft
from agolkit.store.lease import Lease
from agolkit.store.local import LocalStore
from agolkit.store.spool import Spool

__all__ = ["BucketSettings", "Draft", "Lease", "LocalStore", "Spool", "Store", "open_store"]


def open_store(
    location: str | os.PathLike[str],
    *,
    create: bool = True,
    damaged: bool = False,
    settings: BucketSettings | None = None,
) -> Store:
    """The store in a folder, or in a bucket: `s3://bucket/prefix`.

    A new one is made in a new or empty place when something is first written to it; a bucket must be there. Where the
    bucket's server is and who signs in is said as AWS's own tools have it said: by `AWS_PROFILE`, `AWS_ACCESS_KEY_ID`
    and so on, by `AWS_ENDPOINT_URL_S3` for a server that is not Amazon's, or by the role of this computer.

    Parameters
    ----------
    damaged
        Open one whose `store.json` is lost too, for `repair`, which looks for what that said.
    settings
        How new blobs are stored in a bucket; else the variables `AGOLKIT_S3_*` of the environment say so.

    Raises
    ------
    UsageError
        `location` is neither a folder's path nor a bucket.
    NoSuchBackup
        There is no store, and `create` is false.
    StoreError
        The place holds something else, cannot be reached or read, or its `store.json` is damaged. Trying again helps
        where a server could not be reached.
    """
    text = os.fspath(location)
    if not text.strip():
        raise UsageError("Name the folder or the bucket of the store.")
    store: Store
    if text.startswith("s3://"):
        from agolkit.store.objects import BucketStore

        store = BucketStore(text, settings)
    elif "://" in text:
        raise UsageError(f"{text!r} is neither a folder nor a bucket; a bucket is written s3://bucket/prefix.")
    else:
        store = LocalStore(Path(text).expanduser().absolute())
    with suppress(StoreError) if damaged else nullcontext():
        store.inspect(create=create)
    return store
