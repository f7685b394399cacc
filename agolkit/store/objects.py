"""A store in a bucket: Amazon S3, and servers that speak its language."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, Literal

from agolkit import layout
from agolkit.errors import CheckFailed, StoreError
from agolkit.model import Blob
from agolkit.progress import beat
from agolkit.store import tiers
from agolkit.store.base import Store
from agolkit.store.blobs import BLOB_NAME, Stored, blob_key
from agolkit.store.bucket import ARCHIVED, TOGETHER, Bucket, BucketSettings, split_location
from agolkit.store.reader import Reader
from agolkit.store.refusals import Unsettled, code_of
from agolkit.store.remembered import BACKUPS, Remembered
from agolkit.store.spool import CHUNK, Spool

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import S3Store

    from agolkit.store.lease import Lease

AT_ONCE = 8 << 20
"""Bytes that one request may carry; more goes up in parts of this size, or larger ones where these were too many."""
PARTS = 9_000
"""Parts of an upload at most: S3 takes 10,000."""
SIDE_BY_SIDE = 4
"""Parts of one upload that are under way at once; and uploads in parts. Together they bound the memory."""
UNKNOWN_PART = 64 << 20
"""Bytes of a part where nobody knows how much comes: enough for 640 GB."""
RETRIES = 10
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between the tries of a conditional request, which is repeated only after a look at what the last one did."""


class BucketStore(Store):
    """A store in `s3://bucket/prefix`. What is put is durable, with all its copies, when the server has said so.

    The server has to honour conditional requests (`If-None-Match`, `If-Match`): each run tries it before it writes.
    """

    removed_together = TOGETHER
    place = "prefix"
    is_far = True

    def __init__(
        self,
        location: str,
        settings: BucketSettings | None = None,
        *,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        name, prefix = split_location(location)
        self.bucket = Bucket(name, prefix, settings or BucketSettings.from_environment())
        super().__init__(self.bucket.location)
        self._objects = self.bucket.objects(retries=RETRIES)
        self._once = self.bucket.objects(retries=0)
        self._sleep = sleep
        self._uploads = threading.BoundedSemaphore(SIDE_BY_SIDE)
        self._found: dict[bytes, tuple[int, str]] | None = None
        self._finding = threading.Lock()
        self._remembered = Remembered(super().find, self._list)

    # The primitives

    def open(self, key: str) -> IO[bytes]:
        return io.BufferedReader(Reader(self.bucket, self._objects, self._name(key)))

    def get(self, key: str) -> bytes:
        import obstore

        with self.bucket.trouble(key):
            return bytes(obstore.get(self._objects, self._name(key)).bytes())

    def size(self, key: str) -> int | None:
        import obstore

        try:
            with self.bucket.trouble(key):
                return int(obstore.head(self._objects, self._name(key))["size"])
        except FileNotFoundError:
            return None

    def find(self, key: str) -> bytes | None:
        return self._remembered.find(key)

    def names(self, prefix: str) -> list[str]:
        return self._remembered.names() if prefix == BACKUPS else self._list(prefix)

    def keep(self, key: str, spool: Spool, *, read_only: bool = False) -> None:
        name = self._name(key)
        settings = self._settings() if read_only else {}
        if spool.size > AT_ONCE:
            part = max(AT_ONCE, -(-spool.size // PARTS))
            side_by_side = max(1, SIDE_BY_SIDE * AT_ONCE // part)
            with self._uploads:
                self._put(name, _checked(spool), chunk_size=part, max_concurrency=side_by_side, **settings)
            if self.size(key) != spool.size:
                raise StoreError(f"{key} in {self.location} is not as long as what was sent. Is the server sound?")
            return
        content = b"".join(_checked(spool))
        if read_only and not self._is_listed(key) and self._create(name, content, settings):
            return
        self._put(name, content, use_multipart=False, **settings)

    def stream(self, key: str, pieces: Iterable[bytes]) -> None:
        import obstore

        # Not `put`: it would ask for the pieces where no other request can be made, and they may come from a bucket.
        with (
            self._uploads,
            self.bucket.trouble(key),
            obstore.open_writer(self._objects, self._name(key), buffer_size=UNKNOWN_PART, max_concurrency=2) as upload,
        ):
            for piece in pieces:
                upload.write(piece)

    def swap(self, key: str, old: bytes | None, new: bytes) -> bool:
        name, is_unsettled = self._name(key), False
        for seconds in (*PAUSES, None):
            found, tag = self._tagged(name)
            if found != old:
                return is_unsettled and found == new  # it was done, and its answer was lost
            try:
                return self._put_if(self._once, name, new, tag)
            except Unsettled:
                if seconds is None:
                    raise
                is_unsettled = True
                self._sleep(seconds)
        raise AssertionError  # the last try returns or raises

    def age(self, key: str) -> float | None:
        return self.bucket.age(self._name(key))

    def now(self) -> datetime:
        return self.bucket.now()

    def flush(self) -> None:
        pass  # what was put is durable

    def tidy(self) -> None:
        self._check_conditions()
        self.bucket.end_uploads()

    def remove(self, key: str) -> None:
        with self._remembered.changing(key):
            self.bucket.remove(self._name(key))

    def clear(self, prefix: str) -> None:
        with self._remembered.changing(prefix):
            self.bucket.remove_all([each.key for each in self.bucket.listing(self._name(prefix))])

    # What differs from a folder

    def bind(self, portal_id: str, portal_name: str) -> None:
        if not self.portal_id:
            self.bucket.check_private()
        super().bind(portal_id, portal_name)

    def lock(self, run_id: str, who: str) -> Lease:
        self._found = None  # each run looks for itself
        return super().lock(run_id, who)

    def check_removable(self) -> None:
        self.bucket.check_removable()

    def has_classes(self) -> bool:
        return True

    def classes_below(self, folder: str) -> dict[str, str]:
        return {each.key.rpartition("/")[2]: each.tier for each in self.bucket.listing(folder)}

    def set_class(self, key: str, storage_class: str) -> None:
        self._check_writable()
        tiers.set_class(self.bucket, self._name(key), storage_class)
        self._found = None  # what the last look has found is not so any more

    def ask_back(self, key: str, tier: Literal["bulk", "standard"], days: int) -> bool:
        return tiers.ask_back(self.bucket, self._name(key), tier, days)

    def reading_once(self) -> AbstractContextManager[None]:
        return self._remembered.kept()

    # Blobs: one listing instead of a question for each

    def stored(self) -> Iterator[Stored]:
        for listed in self.bucket.listing("blobs"):
            match = BLOB_NAME.fullmatch(listed.key.rpartition("/")[2])
            if match and listed.key == blob_key(match[1]):
                yield Stored(match[1], *listed[1:])

    def blobs(self) -> Iterator[str]:
        return iter(sorted(each.sha256 for each in self.stored()))

    def archived(self, wanted: Collection[str]) -> list[Stored]:
        cold = [each for each in self.stored() if each.tier in ARCHIVED and each.sha256 in wanted]
        if not cold or self.bucket.is_amazon:  # its listing tells of thaws
            return cold
        if tiers.can_be_read(self.bucket, blob_key(cold[0].sha256)) and not self._thaw(cold[0]).asked:
            return []
        return [each._replace(thaw=thaw) for each, thaw in zip(cold, tiers.side_by_side(self._thaw, cold), strict=True)]

    def _thaw(self, blob: Stored) -> tiers.Thaw:
        return tiers.thaw_of(self.bucket, blob_key(blob.sha256))

    def survey(self) -> None:
        with self._finding:
            self._found = self._look()

    def blob_size(self, sha256: str) -> int | None:
        found = self._found
        if found is None:
            return super().blob_size(sha256)
        return found.get(bytes.fromhex(sha256), (None, ""))[0]

    def at_hand(self, blob: Blob) -> bool:
        with self._finding:
            if self._found is None:
                self._found = self._look()
            size, tier = self._found.get(bytes.fromhex(blob.sha256), (None, ""))
        return size == blob.size and tier not in ARCHIVED

    def add_blob(self, spool: Spool) -> tuple[Blob, bool]:
        blob, is_new = super().add_blob(spool)
        self._note(blob.sha256, (blob.size, self.bucket.settings.storage_class))
        return blob, is_new

    def remove_blobs(self, chosen: Sequence[str]) -> int:
        self._check_writable()
        if self._found is None:
            self.survey()
        size = sum(self.blob_size(sha256) or 0 for sha256 in chosen)
        self.bucket.remove_all([blob_key(sha256) for sha256 in chosen])
        for sha256 in chosen:
            self._proven.discard(sha256)
            self._note(sha256, None)
        return size

    def _is_there(self, blob: Blob) -> bool:
        # The server compares its own check sums when it reads and copies; what it has is what was sent.
        return self.at_hand(blob)

    def _look(self) -> dict[bytes, tuple[int, str]]:
        return {bytes.fromhex(each.sha256): (each.size, each.tier) for each in self.stored()}

    def _note(self, sha256: str, found: tuple[int, str] | None) -> None:
        with self._finding:
            if self._found is not None and found is not None:
                self._found[bytes.fromhex(sha256)] = found
            elif self._found is not None:
                self._found.pop(bytes.fromhex(sha256), None)

    # How they work

    def _name(self, key: str) -> str:
        if not layout.allowed(key):
            raise StoreError(f"{key!r} is not a path inside a store.")
        return key

    def _list(self, prefix: str) -> list[str]:
        return self.bucket.names(prefix.rstrip("/"))

    def _settings(self) -> dict[str, Any]:
        chosen = self.bucket.settings.storage_class
        return {} if chosen == "STANDARD" else {"attributes": {"Storage-Class": chosen}}

    def _put(self, name: str, content: bytes | Iterator[bytes], **how: Any) -> None:
        import obstore

        with self.bucket.trouble(name), self._remembered.changing(name):
            obstore.put(self._objects, name, content, **how)

    def _create(self, name: str, content: bytes, settings: dict[str, Any]) -> bool:
        """Put content where nothing is; whether it is there now, by whomever."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        try:
            with self.bucket.trouble(name, conditional=True):
                obstore.put(self._objects, name, content, mode="create", **settings)
        except AlreadyExistsError:
            return self.size(name) == len(content)
        return True

    def _is_listed(self, key: str) -> bool:
        """Whether a blob is known to be there: damaged or archived, so that it has to be written over."""
        match = BLOB_NAME.fullmatch(key.rpartition("/")[2])
        return match is not None and bytes.fromhex(match[1]) in (self._found or {})

    def _tagged(self, name: str) -> tuple[bytes | None, str | None]:
        """What is under a name, and the tag by which the server knows that content."""
        import obstore

        try:
            with self.bucket.trouble(name):
                answer = obstore.get(self._objects, name)
                return bytes(answer.bytes()), answer.meta["e_tag"]
        except FileNotFoundError:
            return None, None

    def _put_if(self, client: S3Store, name: str, content: bytes, tag: str | None) -> bool:
        """Put content where nothing is, or the content of this tag; whether that was so."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        # Ceph knows its tags without the quotes that it gives them with. Both tries have their condition.
        modes: list[PutMode] = ["create"] if tag is None else [{"e_tag": tag}, {"e_tag": tag.strip('"')}]
        for mode in modes:
            try:
                with self.bucket.trouble(name, conditional=True), self._remembered.changing(name):
                    obstore.put(client, name, content, mode=mode)
            except (AlreadyExistsError, PreconditionError) as error:
                if code_of(error) == "ConditionalRequestConflict":
                    raise Unsettled(f"{name} in {self.location} is written by somebody else now.") from None
            else:
                return True
        return False

    def _check_conditions(self) -> None:
        """Raise `StoreError` where the server does not honour conditions, so that two runs could write at a time.

        It is asked to write over `store.json`, with what is in it, on a condition that does not hold.
        """
        content = self.find("store.json")
        if content is None:
            return
        no_tag_of_ours = '"' + 32 * "0" + '"'
        if any(self._put_if(self._objects, "store.json", content, tag) for tag in (None, no_tag_of_ours)):
            raise StoreError(
                f"The server of {self.location} does not honour conditional requests (If-None-Match, If-Match), so two "
                "runs could write to the store at once. Use a server that does, or a newer version of this one."
            )


def _checked(spool: Spool) -> Iterator[bytes]:
    """The content of a spool, in pieces; `CheckFailed` at its end where the disk has not kept what was written."""
    digest = hashlib.sha256()
    with spool.open() as stream:
        while piece := stream.read(CHUNK):
            beat()
            digest.update(piece)
            yield piece
    if digest.hexdigest() != spool.sha256:
        raise CheckFailed("The scratch folder does not hold what was written to it; the disk may be failing.")
