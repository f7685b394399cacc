"""Documents that make a bucket a safe place for a store, from names alone: nothing is contacted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from agolkit.bucket_policy import access, settings
from agolkit.bucket_policy.names import Partition, Place, check_key, find_place, find_principal
from agolkit.errors import UsageError

__all__ = ["BucketPolicy", "Document", "Partition", "bucket_policy"]


@dataclass(frozen=True, slots=True)
class Document:
    """One document that AWS takes as it is."""

    name: str
    """Of its file, without `.json`."""
    title: str
    content: dict[str, Any]
    command: str
    """Of the AWS command line, to be run where the file is; empty where there is none."""
    where: str
    """In the console of AWS."""

    def __str__(self) -> str:
        how = [f"Console: {self.where}", *([f"Command: {self.command}"] if self.command else [])]
        heading = f"{self.title} ({self.name}.json)"
        return "\n".join([heading, "-" * len(heading), *how, json.dumps(self.content, indent=2)])


@dataclass(frozen=True, slots=True)
class BucketPolicy:
    """Ready documents for the bucket of a store, and what to know of them."""

    store: str
    documents: tuple[Document, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        notes = "\n".join(f"- {note}" for note in self.notes)
        return "\n\n".join([*map(str, self.documents), f"To know\n-------\n{notes}"])

    def to_json(self) -> dict[str, Any]:
        return {
            "store": self.store,
            "documents": {document.name: document.content for document in self.documents},
            "commands": {document.name: document.command for document in self.documents},
            "notes": list(self.notes),
        }


def bucket_policy(
    location: str,
    *,
    share_account: str = "",
    share_user: str = "",
    kms_key: str = "",
    partition: Partition = "aws",
    zips_standard_days: int = 15,
    zips_days: int = 120,
    versions_days: int = 30,
) -> BucketPolicy:
    """The documents for a store at `s3://bucket/prefix`. The bucket need not exist; nothing is contacted.

    Parameters
    ----------
    share_account
        Id of another AWS account that may read the store: all of it, or only `share_user`.
    share_user
        A user (`NAME`) or role (`role/NAME`) of that account, or its ARN, which names the account as well.
    kms_key
        ARN of the key of KMS that encrypts the bucket; empty: S3's own keys do.
    zips_standard_days, zips_days
        Days after which a zip is archived, and removed.
    versions_days
        Days for which a bucket with versioning keeps what was overwritten or removed.

    Raises
    ------
    UsageError
        AWS has no such names, or would not take such days. Trying again does not help.
    """
    place = find_place(location, partition)
    shared_with = find_principal(share_account, share_user, partition) if share_account or share_user else ""
    if kms_key:
        check_key(kms_key, partition)
    if not 0 <= zips_standard_days < zips_days:
        raise UsageError(
            f"A zip cannot be archived after {zips_standard_days} days and removed after {zips_days}: it must be "
            "archived on day 0 or later, and removed after that."
        )
    if versions_days < 1:
        raise UsageError(f"Earlier versions are kept for a day at least, not for {versions_days}.")
    rules = settings.lifecycle(
        place, zips_standard_days=zips_standard_days, zips_days=zips_days, versions_days=versions_days
    )
    documents = [*_of_bucket(place, shared_with, kms_key, rules), *_of_jobs(place, kms_key)]
    if shared_with:
        documents += _of_share(place, shared_with, kms_key)
    return BucketPolicy(
        place.location, tuple(documents), tuple(_notes(place, shared_with, kms_key, zips_standard_days, zips_days))
    )


def _of_bucket(place: Place, shared_with: str, kms_key: str, rules: dict[str, Any]) -> list[Document]:
    def put(name: str, title: str, content: dict[str, Any], call: str, where: str) -> Document:
        return Document(name, title, content, f"aws s3api {call} file://{name}.json --bucket {place.bucket}", where)

    sharing = f", read by {shared_with}" if shared_with else ""
    return [
        put(
            "public-access-block",
            "No public access",
            dict(settings.PUBLIC_ACCESS_BLOCK),
            "put-public-access-block --public-access-block-configuration",
            "S3, the bucket, Permissions, Block public access: block all",
        ),
        put(
            "ownership-controls",
            "Everything belongs to the owner of the bucket",
            dict(settings.OWNERSHIP),
            "put-bucket-ownership-controls --ownership-controls",
            "S3, the bucket, Permissions, Object Ownership: ACLs disabled",
        ),
        put(
            "encryption",
            "Encryption by default",
            settings.encryption(kms_key),
            "put-bucket-encryption --server-side-encryption-configuration",
            "S3, the bucket, Properties, Default encryption",
        ),
        put(
            "bucket-policy",
            f"Policy of the bucket: TLS only{sharing}",
            access.policy_of_bucket(place, shared_with),
            "put-bucket-policy --policy",
            "S3, the bucket, Permissions, Bucket policy",
        ),
        put(
            "lifecycle",
            "Rules for zips, unfinished uploads and earlier versions",
            rules,
            "put-bucket-lifecycle-configuration --lifecycle-configuration",
            "S3, the bucket, Management, Lifecycle rules: make the same rules by hand; the console takes no JSON",
        ),
    ]


def _of_jobs(place: Place, kms_key: str) -> list[Document]:
    def create(job: str, title: str, content: dict[str, Any]) -> Document:
        named = "-".join(["agolkit", job, place.bucket, *place.prefix.split("/")]).strip("-")[:128]
        command = f"aws iam create-policy --policy-name {named} --policy-document file://iam-{job}.json"
        where = "IAM, Policies, Create policy, JSON; then attach it to a user or role"
        return Document(f"iam-{job}", title, content, command, where)

    return [
        create("backup", "For the nightly job: it cannot delete", access.backup_policy(place, kms_key)),
        create("prune", "For the job that prunes and archives", access.prune_policy(place, kms_key)),
        create("read", "For people who read backups", access.read_policy(place, kms_key)),
        create("thaw", "For people who also ask back what is archived", access.thaw_policy(place, kms_key)),
    ]


def _of_share(place: Place, shared_with: str, kms_key: str) -> list[Document]:
    kind, _, path = shared_with.rpartition(":")[2].partition("/")
    kind, name = ("user", "NAME") if kind == "root" else (kind, path.rpartition("/")[2])
    command = (
        f"aws iam put-{kind}-policy --{kind}-name {name} --policy-name agolkit-read "
        "--policy-document file://other-account.json"
    )
    documents = [
        Document(
            "other-account",
            "For the other account: its administrator allows the same there",
            access.read_policy(place, kms_key),
            command,
            "IAM of the other account, the user or role, Add permissions, Create inline policy, JSON",
        )
    ]
    if kms_key:
        documents.append(
            Document(
                "key-policy",
                "To add to the policy of the key",
                access.policy_of_key(shared_with),
                "",
                "Key Management Service, the key, Key policy, Edit: add the statement to those that are there",
            )
        )
    return documents


def _notes(place: Place, shared_with: str, kms_key: str, zips_standard_days: int, zips_days: int) -> list[str]:
    notes = [
        "Each document replaces what the bucket has of its kind. If it has a policy or lifecycle rules already, add "
        "these to them.",
        "No rule moves or removes what is in blobs/ or backups/ now: a rule knows how old a file is, not whether last "
        "night's backup needs it. Only `agolkit prune` knows; never add such a rule.",
        "A job that cannot delete can still overwrite, `lock` as well as blobs. Versioning keeps what was there: "
        f"aws s3api put-bucket-versioning --bucket {place.bucket} --versioning-configuration Status=Enabled",
    ]
    if (archived := zips_days - zips_standard_days) < settings.BILLED_DAYS:
        notes.append(
            f"DEEP_ARCHIVE is billed for {settings.BILLED_DAYS} days at least: a zip removed after {archived} days "
            f"there is paid for until day {zips_standard_days + settings.BILLED_DAYS}."
        )
    if place.prefix:
        notes.append(
            "TLS only, no public access, encryption and ownership hold for the whole bucket, the other documents for "
            f"{place.prefix} alone."
        )
    if shared_with:
        notes.append(
            f"{shared_with} must exist before the policy of the bucket is saved. Both accounts must allow it: this one "
            "by the policy of the bucket, the other one by other-account.json. It reads everything in the store."
        )
    if kms_key:
        notes.append(
            "Set AGOLKIT_S3_ENCRYPTION=aws:kms and AGOLKIT_S3_KMS_KEY_ID for the jobs. The key's policy must let IAM "
            "policies of its account count, as that of a new key does."
        )
    return notes
