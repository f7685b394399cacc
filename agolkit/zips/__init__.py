"""One zip of a backup under `zips/` of its store, for whoever wants a single file to download."""

from __future__ import annotations

import os
import tempfile
import threading
import uuid
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from agolkit.errors import CheckFailed, Stopped, StoreError, UsageError
from agolkit.layout import zip_name
from agolkit.manifest import read_outcomes
from agolkit.model import in_bytes, to_stamp
from agolkit.progress import Event, Progress
from agolkit.store import Lease, Spool, Store
from agolkit.store.holder import user_name
from agolkit.thawing import check_thawed
from agolkit.zips.listing import PublishedZip, items_in_zip, list_zips, note_zip, read_zips, remove_zips
from agolkit.zips.packing import Member, Packing

__all__ = [
    "PublishedZip",
    "items_in_zip",
    "list_zips",
    "note_zip",
    "pack",
    "publish_zip",
    "read_zips",
    "remove_zips",
]


def publish_zip(
    store: Store,
    backup: str = "latest",
    *,
    scratch: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> PublishedZip:
    """Publish a complete backup as one zip under `zips/`, as `fetch` makes it; where that is done already, say where.

    A zip that was published stays as it is. It is streamed: memory does not grow with it, and `scratch` (else the
    system's temporary folder) needs room for its largest file alone. Nothing is under its name until all of it is.

    Parameters
    ----------
    progress
        Called with an `agolkit.progress.Event` at each piece of news.
    cancel
        Set it, from any thread, to stop: nothing is published then.

    Raises
    ------
    UsageError
        The backup is not complete. Final.
    NoSuchBackup
        There is no such backup. Final.
    StoreDamaged
        A file of the backup is missing or not what it was. Nothing was published. Trying again does not help.
    CheckFailed
        What is in the store is not what was written. It is not listed. Trying again may help.
    StoreBusy
        A run holds the store. Trying again helps when it has ended.
    Archived
        A file of the backup lies in an archive class and cannot be read before a thaw. Nothing was published.
    StoreError, StoreFull, TooLarge
        The store or the scratch folder cannot be written, or has no room.
    Stopped
        `cancel` was set.
    """
    name = store.resolve(backup)
    try:
        folder = tempfile.TemporaryDirectory(prefix="agolkit-", dir=scratch, ignore_cleanup_errors=True)
    except OSError as error:
        raise StoreError(f"The scratch folder {str(scratch)!r} cannot be used: {error.strerror}.") from None
    with folder as held, store.lock(uuid.uuid4().hex[:12], user_name()) as lease:
        return pack(store, name, lease, Path(held), progress=progress or _nobody, cancel=cancel or threading.Event())


def pack(
    store: Store, backup: str, lease: Lease, scratch: Path, *, progress: Progress, cancel: threading.Event
) -> PublishedZip:
    """Do what `publish_zip` does, for whoever holds the lease; `backup` is a full name."""
    facts = store.summary(backup)
    if facts["state"] != "complete":
        raise UsageError(f"The backup {backup} is {facts['state']}; only a complete one is published as a zip.")
    if there := next((each for each in read_zips(store) if each.backup == backup), None):
        return there

    def say(text: str) -> None:
        progress(Event("zip", text))

    def check() -> None:
        if cancel.is_set():
            raise Stopped(f"The run was stopped before the zip of the backup {backup} was complete.")

    outcomes = read_outcomes(store, backup)
    check_thawed(store, backup, outcomes)
    Spool(scratch).expect(max((part.blob.size for outcome in outcomes for part in outcome.parts), default=0))
    name = zip_name(facts["portal"].get("url_key") or facts["portal"]["name"], backup)
    say(f"Publishing the backup as zips/{name}: {in_bytes(sum(each.saved_bytes for each in outcomes))} to pack.")
    packing = Packing(store, backup, outcomes, scratch, check=check, say=say)
    lease.check()
    store.stream(f"zips/{name}", packing.pieces())
    store.flush()
    _prove(store, f"zips/{name}", packing)
    published = PublishedZip(
        name=name,
        backup=backup,
        scope=facts["scope"],
        published=to_stamp(datetime.now(UTC).replace(microsecond=0)),
        bytes=packing.bytes,
        files=len(packing.members),
        sha256=packing.sha256,
    )
    lease.check()
    note_zip(store, published)
    say(f"Published as {published}")
    return published


def _prove(store: Store, key: str, packing: Packing) -> None:
    """Raise `CheckFailed` where what is stored is not, by its size and its own list of files, what was written.

    The list stands at the end of a zip and is all that is read: to read the rest would cost a download of it.
    """
    try:
        with store.open(key) as stream, zipfile.ZipFile(stream) as archive:
            members = [Member.of(info) for info in archive.infolist()]
        if store.size(key) == packing.bytes and members == packing.members:
            return
        found = f"it has {len(members):,} files and {store.size(key) or 0:,} bytes"
    except (zipfile.BadZipFile, OSError) as error:
        found = str(error)
    with suppress(StoreError):  # without the right to delete it stays, unlisted, until it is published again
        store.remove(key)
    raise CheckFailed(
        f"{key} is not what was written, {len(packing.members):,} files in {packing.bytes:,} bytes: {found}. It is not "
        "listed. Try again."
    )


def _nobody(_event: Event) -> None:
    """Nobody listens."""
