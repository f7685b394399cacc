"""A bucket: how it is reached, and what only S3's own API tells of it or does to it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from agolkit.errors import MayNotRemove, StoreError, UsageError
from agolkit.store.refusals import refusals
from agolkit.store.tiers import Thaw, thaw_listed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from obstore.store import ClientConfig, S3Store

ARCHIVED = frozenset(["GLACIER", "DEEP_ARCHIVE"])
"""Classes of storage whose objects cannot be read before they were asked back."""
CLASSES = ("STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "REDUCED_REDUNDANCY")
"""Classes that new blobs may have: their objects can be read at once."""
ENCRYPTIONS = ("AES256", "aws:kms", "none")

TIMEOUT = timedelta(seconds=300)
"""Of one request, from its beginning to its end: a part of 8 MiB takes that long at 28 kB/s."""
IDLE = timedelta(seconds=60)
CONNECT = timedelta(seconds=10)
ATTEMPTS = 6
"""Of a request that only S3's own API knows, all together."""
TOGETHER = 1000
"""Objects that one request lists or removes."""
LISTERS = 16
"""Listings of a large bucket that go on at once, one for each first letter of the blobs' names."""

_BUCKET = re.compile(r"(?=.{3,63}$)[a-z0-9][a-z0-9.-]*[a-z0-9]")
_LONG = ("backups", "blobs", "damaged", "zips")
"""Folders of a store whose files may be so long that they go up in parts."""
_EVERYBODY = ("/AllUsers", "/AuthenticatedUsers")


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """How blobs are stored in a bucket. Who may reach it, and where it is, is said as AWS's own tools have it said.

    Raises
    ------
    UsageError
        A setting is not one of those that there are.
    """

    storage_class: str = "STANDARD"
    """Of new blobs; `CLASSES` lists those that can be read at once."""
    encryption: Literal["AES256", "aws:kms", "none"] = "AES256"
    """By the server: with its own keys, with a key of its key service, or as the bucket itself is set."""
    kms_key_id: str = ""
    """Of the key service; empty: its default key."""

    def __post_init__(self) -> None:
        if self.storage_class not in CLASSES:
            raise UsageError(f"{self.storage_class!r} is no class for new blobs; there are {', '.join(CLASSES)}.")
        if self.encryption not in ENCRYPTIONS:
            raise UsageError(f"{self.encryption!r} is no encryption; there are {', '.join(ENCRYPTIONS)}.")
        if self.kms_key_id and self.encryption != "aws:kms":
            raise UsageError("A key of the key service goes with the encryption aws:kms only.")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> BucketSettings:
        """The settings that `AGOLKIT_S3_STORAGE_CLASS`, `AGOLKIT_S3_ENCRYPTION` and `AGOLKIT_S3_KMS_KEY_ID` make."""
        names = {"storage_class": "STORAGE_CLASS", "encryption": "ENCRYPTION", "kms_key_id": "KMS_KEY_ID"}
        found = {field: environment.get(f"AGOLKIT_S3_{name}", "").strip() for field, name in names.items()}
        return cls(**{field: value for field, value in found.items() if value})  # type: ignore[arg-type]


class Listed(NamedTuple):
    """An object as a listing has it."""

    key: str
    size: int
    tier: str
    written: datetime
    thaw: Thaw


def split_location(location: str) -> tuple[str, str]:
    """The bucket and the prefix (without `/` around it) of `s3://bucket/prefix`; `UsageError` where it is not that."""
    match = re.fullmatch(r"s3://([^/?#]*)(?:/([^?#]*))?", location)
    if "@" in location:  # it is not said again
        raise UsageError("The address of a bucket has no place for keys. Give them as AWS's own tools have them given.")
    if not match or not _BUCKET.fullmatch(match[1]):
        raise UsageError(
            f"{location!r} does not name a bucket; write s3://bucket or s3://bucket/prefix. A bucket's name has 3 to "
            "63 lower-case letters, digits and hyphens, and a letter or digit at both ends."
        )
    prefix = (match[2] or "").strip("/")
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise UsageError(f"{location!r} has an empty part, or one of dots, in its prefix.")
    return match[1], prefix


class Bucket:
    """One prefix of a bucket, signed in by the usual chain of AWS: environment, profile, role.

    Raises
    ------
    StoreError
        There are no credentials, no such bucket, no right to read it; or the server cannot be reached.
    """

    def __init__(self, name: str, prefix: str, settings: BucketSettings) -> None:
        self.name = name
        self.prefix = f"{prefix}/" if prefix else ""
        self.settings = settings
        self.location = f"s3://{name}/{prefix}".rstrip("/")
        with self.trouble():
            self._session = _session()
            self.client = self._client()
            region = self._headers().get("x-amz-bucket-region")
            if region and region != self.client.meta.region_name:
                self.client = self._client(region)
        self.is_amazon = _is_amazon(self.client)

    def trouble(self, key: str = "", *, conditional: bool = False) -> refusals:
        """Says what went wrong with the bucket, or with a key of it, for a `with` block."""
        return refusals(self.location, key, conditional=conditional)

    def _headers(self) -> Mapping[str, str]:
        """Those of what the server says about the bucket."""
        answer: Mapping[str, Any]
        try:
            answer = self.client.head_bucket(Bucket=self.name)
        except self.client.exceptions.ClientError as error:
            answer = error.response
            # Who may list one prefix only is refused here, and told the region and the time all the same.
            if not self.prefix or answer["ResponseMetadata"]["HTTPStatusCode"] != 403:
                raise
        headers: Mapping[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
        return headers

    def objects(self, *, retries: int) -> S3Store:
        """The client that moves content; each request is repeated so many times."""
        from obstore.auth.boto3 import Boto3CredentialProvider
        from obstore.store import S3Store

        endpoint = str(self.client.meta.endpoint_url)
        by_host = self.is_amazon and "." not in self.name  # no certificate fits a name with dots before Amazon's own
        if by_host:
            endpoint = f"https://{self.name}.{urlsplit(endpoint).netloc}"
        client_options: ClientConfig = {"connect_timeout": CONNECT, "read_timeout": IDLE, "timeout": TIMEOUT}
        client_options["allow_http"] = endpoint.startswith("http://")
        if bundle := _ca_bundle(self._session):
            client_options["root_certificate"] = Path(bundle).read_bytes()
        options: dict[str, Any] = {"checksum_algorithm": "SHA256"} if self.is_amazon else {}
        if self.settings.encryption != "none":
            options["server_side_encryption"] = self.settings.encryption
        if self.settings.kms_key_id:
            options["sse_kms_key_id"] = self.settings.kms_key_id
        return S3Store(
            self.name,
            prefix=self.prefix.rstrip("/") or None,
            region=self.client.meta.region_name,
            endpoint=endpoint,
            virtual_hosted_style_request=by_host,
            credential_provider=Boto3CredentialProvider(self._session, ttl=timedelta(minutes=5)),
            client_options=client_options,
            retry_config={"max_retries": retries, "retry_timeout": timedelta(minutes=3)},
            **options,
        )

    # Time

    def age(self, key: str) -> float | None:
        """Seconds since a key was written, both ends by the server's clock, which tells whole ones."""
        with self.trouble(key):
            try:
                answer = self.client.head_object(Bucket=self.name, Key=self.prefix + key)
            except self.client.exceptions.ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                    return None
                raise
        return max(0.0, (_date_of(answer) - answer["LastModified"]).total_seconds())

    def now(self) -> datetime:
        """The time by the server's clock."""
        with self.trouble():
            return parsedate_to_datetime(self._headers()["date"])

    # Listing

    def listing(self, folder: str) -> Iterator[Listed]:
        """All objects below a folder, in no order. Blobs that do not fit into one answer are asked for side by side, by
        the first letters of their names, which are hashes."""
        with self.trouble(folder):
            first = self.client.list_objects_v2(Prefix=f"{self.prefix}{folder}/", **self._asked())
            if not first["IsTruncated"]:
                yield from self._listed(first)
                return
            letters = "0123456789abcdef" if folder == "blobs" else [""]
            with ThreadPoolExecutor(LISTERS, thread_name_prefix="agolkit-listing") as executor:
                for found in executor.map(self._all_below, [f"{folder}/{letter}" for letter in letters]):
                    yield from found

    def names(self, folder: str) -> list[str]:
        """The names directly below a folder, sorted. A folder that the console has made is an object without a name,
        and an object of others may have an empty part in its key: neither is told."""
        top = self.prefix + (f"{folder}/" if folder else "")
        with self.trouble(folder):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=top, Delimiter="/")
            found = {
                each.get("Key") or each["Prefix"]
                for page in pages
                for each in (*page.get("CommonPrefixes", ()), *page.get("Contents", ()))
            }
        return sorted({key.removeprefix(top).rstrip("/") for key in found} - {""})

    def _all_below(self, prefix: str) -> list[Listed]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Prefix=self.prefix + prefix, **self._asked())
        return [each for page in pages for each in self._listed(page)]

    def _asked(self) -> dict[str, Any]:
        """What a listing asks for; only Amazon's tells of thaws."""
        return {"Bucket": self.name} | ({"OptionalObjectAttributes": ["RestoreStatus"]} if self.is_amazon else {})

    def _listed(self, page: Mapping[str, Any]) -> Iterator[Listed]:
        for found in page.get("Contents", ()):
            key = found["Key"].removeprefix(self.prefix)
            tier = sys.intern(found.get("StorageClass") or "STANDARD")
            yield Listed(key, found["Size"], tier, found["LastModified"], thaw_listed(found))

    # Removal

    def remove(self, key: str) -> None:
        """Remove one object; nothing where it is not there."""
        with self.trouble(key):
            self.client.delete_object(Bucket=self.name, Key=self.prefix + key)

    def remove_all(self, keys: Sequence[str]) -> None:
        """Remove many objects, a thousand with each request."""
        for start in range(0, len(keys), TOGETHER):
            chosen = keys[start : start + TOGETHER]
            try:
                with self.trouble():
                    self._remove_together(chosen)
            except MayNotRemove:  # Ceph refuses it to those who may remove by a policy only
                for key in chosen:
                    self.remove(key)

    def _remove_together(self, keys: Sequence[str]) -> None:
        from botocore.exceptions import ClientError

        wanted = [{"Key": self.prefix + key} for key in keys]
        chosen: Any = {"Objects": wanted, "Quiet": True}
        answer = self.client.delete_objects(Bucket=self.name, Delete=chosen)
        for refused in answer.get("Errors", ()):
            raise ClientError({"Error": {"Code": refused.get("Code", "")}}, "DeleteObjects")

    # Housekeeping

    def end_uploads(self) -> None:
        """End the uploads that a killed run has left half done: they are paid for, and nobody sees them. Without the
        right to, they stay; the bucket's own rules may end them."""
        with suppress(StoreError), self.trouble():
            pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name, Prefix=self.prefix)
            for upload in [upload for page in pages for upload in page.get("Uploads", ())]:
                if upload["Key"].removeprefix(self.prefix).partition("/")[0] not in _LONG:
                    continue  # of another store, below this one's prefix, and perhaps under way
                self.client.abort_multipart_upload(Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"])

    def check_removable(self) -> None:
        """Raise `MayNotRemove` where these credentials may not delete."""
        with self.trouble():
            self.client.put_object(Bucket=self.name, Key=f"{self.prefix}incoming/probe", Body=b"")
            self.client.delete_object(Bucket=self.name, Key=f"{self.prefix}incoming/probe")

    def check_private(self) -> None:
        """Raise `StoreError` where everybody may read the bucket, as far as these credentials may know."""
        with self.trouble():
            if self._told(self._policy_lets_everybody_in):
                raise self._public("its policy")
            grants = self._told(lambda: self.client.get_bucket_acl(Bucket=self.name)["Grants"]) or ()
            if any(str(grant["Grantee"].get("URI", "")).endswith(_EVERYBODY) for grant in grants):
                raise self._public("its access control list")

    def _policy_lets_everybody_in(self) -> bool:
        if _is_amazon(self.client):
            return bool(self.client.get_bucket_policy_status(Bucket=self.name)["PolicyStatus"]["IsPublic"])
        # Others, like Ceph, call every policy public that lets anybody in who is not the owner.
        policy = json.loads(self.client.get_bucket_policy(Bucket=self.name)["Policy"])
        return any(
            statement["Effect"] == "Allow"
            and statement["Principal"] in ("*", {"AWS": "*"}, {"AWS": ["*"]})
            and "Condition" not in statement
            for statement in policy["Statement"]
        )

    def _told(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except (
            self.client.exceptions.ClientError,
            KeyError,
            ValueError,
            TypeError,
        ):  # none, no right to see it, no such call
            return None

    def _public(self, by: str) -> StoreError:
        return StoreError(
            f"Everybody may read the bucket {self.name}, by {by}, and backups hold personal data. Nothing was written: "
            "block public access first; `agolkit bucket-policy` prints how."
        )

    def _client(self, region: str | None = None) -> S3Client:
        from botocore.config import Config

        def make(style: Literal["path", "auto"]) -> S3Client:
            config = Config(
                connect_timeout=CONNECT.total_seconds(),
                read_timeout=IDLE.total_seconds(),
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                max_pool_connections=2 * LISTERS,
                s3={"addressing_style": style},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            )
            client: S3Client = self._session.client("s3", region_name=region, config=config)
            return client

        client = make("auto")
        return client if _is_amazon(client) else make("path")


def _session() -> Any:
    try:
        import boto3
        import obstore  # noqa: F401  said now, and not when the first blob is saved
    except ImportError as error:
        raise UsageError(
            "Stores in a bucket need more packages: pip install 'agolkit[s3]' (in a source checkout: "
            "pip install '.[s3]')."
        ) from error
    session = boto3.Session()
    if session.region_name is None:
        session = boto3.Session(region_name="us-east-1")  # the bucket itself tells its own
    if session.get_credentials() is None:
        raise StoreError(
            "There are no credentials for the bucket: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
            "or give this computer a role."
        )
    return session


def _is_amazon(client: S3Client) -> bool:
    host = urlsplit(str(client.meta.endpoint_url)).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _ca_bundle(session: Any) -> str | None:
    found = session._session.get_config_variable("ca_bundle")  # boto3 has no other way to it
    return str(found) if found else None


def _date_of(answer: Mapping[str, Any]) -> datetime:
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
