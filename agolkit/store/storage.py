"""What a kind of storage has to be able to do to hold a store: few things, and an object store can do them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import IO, Literal, Protocol

from agolkit.errors import StoreError
from agolkit.store.spool import Spool


class Blobs(Protocol):
    """Where blobs are read."""

    def open_blob(self, sha256: str) -> IO[bytes]:
        """A stream over a blob; `StoreDamaged` where there is no such blob."""

    def copied(self, sha256: str) -> Spool:
        """A blob's content in a spool, its hash checked; `StoreDamaged` where it is not what it was."""


class Storage(ABC):
    """Content under keys, which are relative paths with `/`. Nothing leaves half a file under a key.

    Errors of the storage itself are `StoreError` (final until somebody acts) or `StoreFull` (room must be made).
    """

    is_far = False
    """Whether each reading costs a request and a transfer, so that a copy is worth its room."""

    def __init__(self, location: str) -> None:
        self.location = location
        """The folder or the URL, for people."""

    @abstractmethod
    def open(self, key: str) -> IO[bytes]:
        """A seekable stream over what is under `key`; `FileNotFoundError` where nothing is."""

    @abstractmethod
    def size(self, key: str) -> int | None:
        """Bytes under `key`; `None` where nothing is."""

    @abstractmethod
    def names(self, prefix: str) -> list[str]:
        """The names directly below `prefix` (without `/` at its end), files and folders, sorted."""

    @abstractmethod
    def keep(self, key: str, spool: Spool, *, read_only: bool = False) -> None:
        """Put the content of `spool` under `key`, replacing what is there. Its name may be lost in a power cut until
        `flush`; its content may not: the key has all of it or does not exist."""

    @abstractmethod
    def stream(self, key: str, pieces: Iterable[bytes]) -> None:
        """Put under `key` what comes in pieces, of any length and never in memory as a whole, replacing what is there.
        Where the pieces end in an error, the key is as it was."""

    @abstractmethod
    def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        """Put `new` under `key`, durably, if `old` is what is there now (`None`: nothing). Whether it was done; of
        several that try at the same time, one succeeds at most."""

    @abstractmethod
    def age(self, key: str) -> float | None:
        """Seconds since `key` was written, both ends measured by the store's own clock; `None` where nothing is."""

    @abstractmethod
    def now(self) -> datetime:
        """The time by the store's own clock."""

    @abstractmethod
    def flush(self) -> None:
        """Return when everything kept so far survives a power cut."""

    @abstractmethod
    def tidy(self) -> None:
        """Remove what a killed run left half done. Only for whoever holds the lease."""

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove what is under `key`, if anything is; not a folder. It may be back after a power cut until `flush`."""

    @abstractmethod
    def clear(self, prefix: str) -> None:
        """Remove everything below `prefix`, if it is a folder. For trees alone: what they show is in the blobs."""

    # Links, where the storage has them

    def can_link(self) -> bool:
        """Whether a second name for a blob costs nothing here."""
        return False

    def link(self, sha256: str, key: str) -> None:
        """Give a blob a second name. Only where `can_link`."""
        raise StoreError(f"The store {self.location} cannot show {key} as a link to blob {sha256}.")

    def is_linked(self, sha256: str, key: str) -> bool:  # noqa: ARG002
        """Whether `key` is a second name of the blob, so that its content need not be looked at."""
        return False

    # Rights, and classes of storage, where the storage has them

    def check_removable(self) -> None:  # noqa: B027  nothing is to be checked in most kinds of storage
        """Raise `MayNotRemove` where these credentials may write and not delete."""

    def has_classes(self) -> bool:
        """Whether content lies in a class of storage here, and can be moved to another one."""
        return False

    def classes_below(self, folder: str) -> dict[str, str]:  # noqa: ARG002
        """The class of storage of each file directly below a folder, by name; empty where there are none."""
        return {}

    def set_class(self, key: str, storage_class: str) -> None:
        """Move what is under `key` to another class; it is there whole at any moment. Only where `has_classes`."""
        raise StoreError(f"The store {self.location} has no class {storage_class} to which {key} could move.")

    def ask_back(self, key: str, tier: Literal["bulk", "standard"], days: int) -> bool:  # noqa: ARG002
        """Ask for what is under `key` in an archive class, to read it for so many days; whether nobody had yet. Only
        where `has_classes`."""
        raise StoreError(f"The store {self.location} has no archive, and {key} can be read.")

    # Small content

    def reading_once(self) -> AbstractContextManager[None]:
        """Reads what describes the backups once for a `with` block, where the storage is far.

        For a look at many backups, and for whoever holds the lease: nobody else may change them meanwhile.
        """
        return nullcontext()

    def get(self, key: str) -> bytes:
        """All of what is under `key`; `FileNotFoundError` where nothing is."""
        with self.open(key) as stream:
            return stream.read()

    def find(self, key: str) -> bytes | None:
        """All of what is under `key`, or `None`."""
        try:
            return self.get(key)
        except FileNotFoundError:
            return None

    def put(self, key: str, content: bytes) -> None:
        """Put `content` under `key`, replacing what is there; it survives a power cut once this returns."""
        with Spool(in_memory=len(content)) as spool:
            spool.write(content)
            self.keep(key, spool)
        self.flush()
