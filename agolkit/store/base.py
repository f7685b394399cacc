"""The contract of a store, and everything that is the same for every store.

A kind of store implements the primitives of its storage. The format (names, formats, what is written when) is here,
once.

What must not happen: a key that holds half a file; a backup that names a blob which is not there, even after a power
cut; a blob that changes; two runs writing at the same time.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from agolkit import layout
from agolkit.errors import NoSuchBackup, StoreBusy, StoreDamaged, StoreError
from agolkit.model import Blob, to_stamp
from agolkit.progress import beat
from agolkit.store.blobs import BLOB_NAME, Stored, blob_key
from agolkit.store.draft import Draft, reopened
from agolkit.store.holder import Holder
from agolkit.store.lease import Lease, find_holder, release, utc_now
from agolkit.store.readme import README
from agolkit.store.spool import CHUNK, Spool, copy_hashed
from agolkit.store.storage import Storage
from agolkit.store.version import FORMAT, agolkit_version

if TYPE_CHECKING:
    import pandas

Tree = Literal["auto", "copy", "none"]

_BLOB_FOLDER = re.compile("[0-9a-f]{2}")

# What may lie in a folder that is still free to become a store.
_NOT_FOREIGN = frozenset(
    ["lock", "lock.next", "store.json.next", "readme.txt", "readme.txt.next", "incoming"]
) | frozenset([".ds_store", "thumbs.db", "desktop.ini", "lost+found"])


class Store(Storage):
    """Where backups are kept. Made by `agolkit.open_store`; reading needs no lock, writing does (`lock`)."""

    removed_together = 1
    """Blobs that are deleted at once, between two looks at the lease."""
    place = "folder"
    """What a store of this kind stands in, for people."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.portal_id = ""
        self.portal_name = ""
        self._newer = ""
        self._proven: set[str] = set()
        self._in_work: set[str] = set()
        self._finished = threading.Condition()

    def __repr__(self) -> str:
        of = f" of {self.portal_name} ({self.portal_id})" if self.portal_id else ", not used yet"
        return f"<{type(self).__name__} {self.location}{of}>"

    # Whose store this is

    def inspect(self, *, create: bool) -> None:
        """Read `store.json`. Raises `NoSuchBackup` or `StoreError` where this is no store, nor free to become one."""
        content = self.find("store.json")
        if content is None:
            foreign = [name for name in self.names("") if name.casefold() not in _NOT_FOREIGN]
            if foreign and not create:
                outer = self.outer()
                advice = f"Did you mean {outer}?" if outer else "Name the folder that holds store.json."
                raise StoreError(f"{self.location} is not a store (it holds {foreign[0]!r}). {advice}")
            if foreign:
                raise StoreError(
                    f"{self.location} is not a store and is not empty (it holds {foreign[0]!r}). "
                    f"Name an existing store, or a new or empty {self.place}."
                )
            if not create:
                raise NoSuchBackup(f"There is no store at {self.location}.")
            if outer := self.outer():
                raise StoreError(
                    f"{self.location} lies in the store {outer}, which removes what it does not need. Name a "
                    f"{self.place} outside of it."
                )
            return
        try:
            facts = json.loads(content)
            major = int(str(facts["format"]).split(".")[0])
            self.portal_id, self.portal_name = facts["portal_id"], facts["portal_name"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreDamaged(
                f"{self.location}/store.json cannot be read; restore it from a copy of the store."
            ) from error
        if major > int(FORMAT.split(".")[0]):
            self._newer = facts["format"]

    def outer(self) -> str:
        """The store in whose folder this place lies; empty where it lies in none."""
        return ""

    def bind(self, portal_id: str, portal_name: str) -> None:
        """Make this the store of one organization, on first use; `StoreError` if it is another organization's."""
        self._check_writable()
        if not self.portal_id:
            facts = {
                "format": FORMAT,
                "portal_id": portal_id,
                "portal_name": portal_name,
                "created": to_stamp(utc_now()),
                "agolkit": agolkit_version(),
            }
            self.swap("README.txt", None, README.encode())
            self.swap("store.json", None, _to_json(facts))
            self.inspect(create=True)
            if not self.portal_id:
                raise StoreBusy(f"Another run is making the store {self.location}. Wait ten minutes, and try again.")
        self.check_owner(portal_id, portal_name)

    def check_owner(self, portal_id: str, portal_name: str) -> None:
        """Raise `StoreError` where this is another organization's store; nothing is written."""
        if self.portal_id and self.portal_id != portal_id:
            raise StoreError(
                f"The store {self.location} belongs to {self.portal_name} ({self.portal_id}), not to {portal_name} "
                f"({portal_id}). Each organization needs a store of its own: name another {self.place}."
            )

    def lock(self, run_id: str, who: str) -> Lease:
        """The lease of this store for a `with` block; `StoreBusy` on entry where another run holds it."""
        self._check_writable()
        if self.portal_id and self.size("store.json") is None:
            raise StoreError(
                f"The store {self.location} was there and is gone: it holds no store.json any more. Is the disk or "
                "network share still connected? Nothing was written."
            )
        return Lease(self, run_id, who)

    def holder(self) -> Holder | None:
        """The run that writes to this store, or that was killed while it did; `None` where there is none."""
        return find_holder(self)

    def unlock(self) -> Holder | None:
        """Release the hold of a killed run, and say whose it was; `StoreBusy` where it has shown life just now."""
        self._check_writable()
        return release(self)

    # Blobs

    def add_blob(self, spool: Spool) -> tuple[Blob, bool]:
        """Save what was spooled, once; the blob, and whether it is new to the store. Safe in threads.

        A blob that is there already is read once in a run before it is relied on. If it is not what it was, the proven
        content takes its place.
        """
        self._check_writable()
        blob = Blob(spool.sha256, spool.size)
        with self._alone(blob.sha256):
            is_new = not self._is_there(blob)
            if is_new:
                self.keep(blob_key(blob.sha256), spool, read_only=True)
            self._proven.add(blob.sha256)
            return blob, is_new

    def holds(self, blob: Blob) -> bool:
        """Whether a blob is there and still what was saved; it is read once in a run. Safe in threads."""
        with self._alone(blob.sha256):
            is_there = self._is_there(blob)
            if is_there:
                self._proven.add(blob.sha256)
            return is_there

    def blob_size(self, sha256: str) -> int | None:
        """Bytes of a blob; `None` where the store has no such blob."""
        return self.size(blob_key(sha256))

    def open_blob(self, sha256: str) -> IO[bytes]:
        """A stream over a blob; `StoreDamaged` where the store has no such blob."""
        try:
            return self.open(blob_key(sha256))
        except FileNotFoundError as error:
            raise StoreDamaged(f"Blob {sha256} is missing from the store {self.location}.") from error

    def copied(self, sha256: str, scratch: Path | None = None) -> Spool:
        """A blob's content in a spool, its hash checked; `StoreDamaged` where it is not what it was."""
        spool = Spool(scratch)
        try:
            with self.open_blob(sha256) as stream:
                found, size = copy_hashed(stream, spool)
            if found != sha256:
                raise StoreDamaged(f"Blob {sha256} is not what it was: its {size:,} bytes have the hash {found}.")
        except OSError as error:
            spool.close()
            raise StoreDamaged(f"Blob {sha256} cannot be read: {error.strerror}. The disk may be failing.") from error
        except BaseException:
            spool.close()
            raise
        return spool

    def blobs(self) -> Iterator[str]:
        """The hash of every blob; files that nobody saved are passed over."""
        for folder in filter(_BLOB_FOLDER.fullmatch, self.names("blobs")):
            found = (BLOB_NAME.fullmatch(name) for name in self.names(f"blobs/{folder}"))
            yield from sorted({each[1] for each in found if each and each[1].startswith(folder)})

    def stored(self) -> Iterator[Stored]:
        """Every blob with its size and the class of storage it lies in; nothing is read."""
        for sha256 in self.blobs():
            size = self.blob_size(sha256)
            if size is not None:
                yield Stored(sha256, size)

    def at_hand(self, blob: Blob) -> bool:
        """Whether a blob is there with its size, and can be read now: it is not archived. Nothing is read."""
        return self.blob_size(blob.sha256) == blob.size

    def archived(self, wanted: Collection[str]) -> list[Stored]:  # noqa: ARG002
        """Of these blobs, by their hashes, those in an archive class, and how far each has been asked back."""
        return []

    def survey(self) -> None:
        """Learn by one look what is there, where that costs less than a question for each of many blobs that follow."""

    def remove_blobs(self, chosen: Sequence[str]) -> int:
        """Delete blobs and their copies; bytes of these. Hold the lease, and have proven that no backup needs them."""
        self._check_writable()
        size = 0
        for sha256 in chosen:
            self._proven.discard(sha256)
            keys, number = [blob_key(sha256)], 2
            while self.size(key := blob_key(sha256, number)) is not None:
                keys.append(key)
                number += 1
            size += sum(self.size(key) or 0 for key in keys)
            for key in reversed(keys):  # a copy is found from the one before it
                self.remove(key)
        return size

    # Backups

    def begin(
        self,
        started: datetime,
        scope: str,
        *,
        label: str = "",
        tree: Tree = "auto",
        since_full: int = 0,
        options: Mapping[str, Any] | None = None,
    ) -> Draft:
        """Begin a backup under a name of its own. Hold the lease.

        With `options`, those of the run, a later run can tell whether it may take this backup up. `since_full` says
        how many runs it is since one fetched everything, also what has not changed; 0: this one does.
        """
        self._check_writable()
        self._proven.clear()  # each run looks for itself: a program may keep a store open for weeks
        name = layout.backup_name(started)
        facts: dict[str, Any] = {"started": to_stamp(started), "scope": scope, "label": label}
        facts |= {"agolkit": agolkit_version(), "full": since_full == 0, "since_full": since_full}
        facts |= {} if options is None else {"options": dict(options)}
        number = 1
        while not self.swap(f"backups/{name}/journal/000000.jsonl", None, json.dumps({"run": facts}).encode() + b"\n"):
            number += 1
            name = f"{layout.backup_name(started)}-{number}"
        return Draft(self, name, facts, tree=self._tree(tree))

    def resume(self, backup: str, resumed: datetime, *, label: str = "", tree: Tree = "auto") -> Draft:
        """Take up a backup that a run left unfinished or stopped, in its own folder. Hold the lease.

        Its journal stays the truth until `backup.json` is written again. Its tree begins anew: what the other run
        showed there may have been edited, renamed or deleted since.
        """
        self._check_writable()
        self._proven.clear()
        return Draft(self, backup, reopened(self, backup, resumed, label), tree=self._tree(tree))

    def _tree(self, tree: Tree) -> Literal["links", "copy", "none"]:
        if tree == "auto":
            return "links" if self.can_link() else "none"
        return tree

    def backup_names(self) -> list[str]:
        """The names of all backups, oldest first."""
        return [name for name in self.names("backups") if layout.is_backup_name(name)]

    def read(self, backup: str, name: str) -> bytes:
        """One file of a backup; `NoSuchBackup` where it is not there."""
        content = self.find(f"backups/{backup}/{name}")
        if content is None:
            raise NoSuchBackup(f"The backup {backup} in {self.location} has no {name}.")
        return content

    def summary(self, backup: str) -> dict[str, Any]:
        """What is known of a backup as a whole: its `backup.json`; of a killed run, how it began."""
        content = self.find(f"backups/{backup}/backup.json")
        try:
            if content:
                facts = json.loads(content)
            else:
                begun = self.find(f"backups/{backup}/journal/000000.jsonl") or b"{}"
                facts = {"state": "unfinished", **json.loads(begun).get("run", {})}
            return {"name": backup, "state": facts["state"], **facts}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreDamaged(
                f"The backup {backup} in {self.location} has a backup.json that cannot be read."
            ) from error

    def backups(self) -> pandas.DataFrame:
        """One row per backup, oldest first.

        Columns: `name`, `state` (`complete`, `stopped`, `unfinished`: killed, or still running; `removed`: what an
        interrupted removal has left), `scope`, `label`, `stopped_by` (why a run ended before its time), `started` and
        `finished` (UTC), `items`, one number for each result, `saved_bytes` (what the backup holds), `fetched_bytes`
        (what this run transferred), `new_bytes` (what the store did not hold before), `agolkit`. Numbers of an
        unfinished or removed backup are missing.
        """
        from agolkit.store.listing import list_backups

        return list_backups(self)

    def resolve(self, backup: str, *, scope: str | None = None) -> str:
        """The full name of a backup: `latest` (the newest complete one, of `scope` where named), a name, or the
        beginning of one. `NoSuchBackup` where none or more than one fits; trying again does not help."""
        names = self.backup_names()
        if backup == "latest":
            others = []
            for name in reversed(names):
                facts = self.summary(name)
                if scope in (None, facts.get("scope")):
                    if facts["state"] == "complete":
                        return name
                    others.append(f"{name} ({facts['state']})")
            of = f" of the scope {scope!r}" if scope is not None else ""
            instead = f"; name one of: {', '.join(others)}" if others else ""
            raise NoSuchBackup(f"The store {self.location} has no complete backup{of} yet{instead}.")
        fitting = [backup] if backup in names else [name for name in names if backup and name.startswith(backup)]
        if len(fitting) != 1:
            which = f"more than one backup {backup}…: {', '.join(fitting)}" if fitting else f"no backup {backup!r}"
            raise NoSuchBackup(f"The store {self.location} has {which}.")
        return fitting[0]

    def _check_writable(self) -> None:
        if self._newer:
            raise StoreError(
                f"The store {self.location} has format {self._newer}, which is newer than this agolkit knows. "
                "It can be read; to write to it, install a newer agolkit."
            )

    def _is_there(self, blob: Blob) -> bool:
        """Whether a blob is known, or found, to be what it was when it was saved."""
        if self.blob_size(blob.sha256) != blob.size:
            return False
        if blob.sha256 in self._proven:
            return True
        digest = hashlib.sha256()
        try:
            with self.open_blob(blob.sha256) as stream:
                while chunk := stream.read(CHUNK):
                    beat()
                    digest.update(chunk)
        except OSError:  # a disk that cannot read it any more may still write it anew
            return False
        return digest.hexdigest() == blob.sha256

    @contextmanager
    def _alone(self, sha256: str) -> Iterator[None]:
        """Let one thread at a time save content of this hash; other content is not held up."""
        with self._finished:
            self._finished.wait_for(lambda: sha256 not in self._in_work)
            self._in_work.add(sha256)
        try:
            yield
        finally:
            with self._finished:
                self._in_work.remove(sha256)
                self._finished.notify_all()


def _to_json(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, indent=1).encode() + b"\n"
