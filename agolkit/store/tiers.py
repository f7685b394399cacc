"""Classes of storage of a bucket: moving an object to another class, and asking archived ones back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from agolkit.errors import Archived, StoreDamaged

if TYPE_CHECKING:
    from agolkit.store.bucket import Bucket

AT_ONCE = 16
"""Requests that are under way at a time."""
LARGE = 1 << 30
"""Bytes; what is larger is copied in parts: one request for all of it would go without an answer for too long."""
PART = 256 << 20

_RESTORE = re.compile(r'ongoing-request="(true|false)"(?:, expiry-date="([^"]+)")?')
_ENCRYPTED = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled")
"""What every copy has only where it is said,"""
_TOLD = ("Metadata", "ContentType", "ContentDisposition")
"""and what a copy in parts has only where it is said."""

T = TypeVar("T")
R = TypeVar("R")


class Thaw(NamedTuple):
    """How far the thaw of an archived object has come."""

    asked: bool = False
    until: datetime | None = None
    """It can be read until then; `None`: it cannot be read yet."""


def side_by_side(work: Callable[[T], R], given: Iterable[T]) -> Iterator[R]:
    """The results, in order. After an error nothing new is begun."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="agolkit-tiers") as executor:
        try:
            yield from executor.map(work, given)
        finally:
            executor.shutdown(cancel_futures=True)


def set_class(bucket: Bucket, key: str, storage_class: str) -> None:
    """Move an object to another class, by a copy onto itself; it is there whole at any moment."""
    from boto3.s3.transfer import TransferConfig

    client: Any = bucket.client
    name = {"Bucket": bucket.name, "Key": bucket.prefix + key}
    with bucket.trouble(key):
        found: Mapping[str, Any] = client.head_object(**name)
        if found.get("StorageClass", "STANDARD") == storage_class:
            return
        how = {"StorageClass": storage_class, **{each: found[each] for each in _ENCRYPTED if each in found}}
        if found["ContentLength"] <= LARGE:
            client.copy_object(**name, CopySource=name, CopySourceIfMatch=found["ETag"], **how)
        else:
            how |= {each: found[each] for each in _TOLD if each in found}
            config = TransferConfig(multipart_threshold=LARGE, multipart_chunksize=PART)
            client.copy(name, **name, ExtraArgs=how, Config=config)


def ask_back(bucket: Bucket, key: str, tier: Literal["bulk", "standard"], days: int) -> bool:
    """Ask for a copy of an archived object that can be read for so many days; whether nobody had asked already."""
    request: Any = {"Days": days, "GlacierJobParameters": {"Tier": tier.capitalize()}}
    with bucket.trouble(key):
        try:
            bucket.client.restore_object(Bucket=bucket.name, Key=bucket.prefix + key, RestoreRequest=request)
        except bucket.client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] == "RestoreAlreadyInProgress":
                return False
            raise
    return True


def thaw_of(bucket: Bucket, key: str) -> Thaw:
    """How far the thaw of an archived object has come, by a question of its own."""
    with bucket.trouble(key):
        try:
            answer = bucket.client.head_object(Bucket=bucket.name, Key=bucket.prefix + key)
        except bucket.client.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                raise StoreDamaged(f"{key} is missing from the store {bucket.location}.") from None
            raise
    match = _RESTORE.search(answer.get("Restore", ""))
    if not match:
        return Thaw()
    return Thaw(True, parsedate_to_datetime(match[2]) if match[1] == "false" and match[2] else None)


def thaw_listed(found: Mapping[str, Any]) -> Thaw:
    """The same, by what a listing says of an object."""
    told = found.get("RestoreStatus")
    if not told:
        return Thaw()
    return Thaw(True, None if told.get("IsRestoreInProgress") else told.get("RestoreExpiryDate"))


def can_be_read(bucket: Bucket, key: str) -> bool:
    """Whether an archived object can be read although nobody asked it back: some servers only name their classes so."""
    try:
        with bucket.trouble(key):
            bucket.client.get_object(Bucket=bucket.name, Key=bucket.prefix + key, Range="bytes=0-0")["Body"].close()
    except Archived:
        return False
    return True
