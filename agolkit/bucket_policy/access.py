"""Who may do what in the bucket: its own policy, and those of the people and jobs that use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agolkit.bucket_policy.names import Place

Statement = dict[str, Any]

_READ = ["s3:GetObject"]
_WRITE = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]


def policy_of_bucket(place: Place, shared_with: str) -> dict[str, Any]:
    """Nothing without TLS, for nobody; and for the ARN `shared_with`, where there is one, to read the store."""
    statements: list[Statement] = [
        {
            "Sid": "OnlyWithTLS",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [place.bucket_arn, f"{place.bucket_arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]
    if shared_with:
        whom = {"Principal": {"AWS": shared_with}}
        statements += [
            {"Sid": f"Shared{statement['Sid']}", **whom, **_without_sid(statement)}
            for statement in _reading(place, _READ)
        ]
    return _policy(statements)


def backup_policy(place: Place, kms_key: str) -> dict[str, Any]:
    """To save backups: read, write, list and end uploads; never delete."""
    return _policy([*_writing(place, _WRITE), *_key(kms_key, ["kms:GenerateDataKey", "kms:Decrypt"])])


def prune_policy(place: Place, kms_key: str) -> dict[str, Any]:
    """To save backups, and to delete and archive what no rule keeps at hand. Writing is what archiving takes."""
    actions = [*_WRITE, "s3:DeleteObject"]
    return _policy([*_writing(place, actions), *_key(kms_key, ["kms:GenerateDataKey", "kms:Decrypt"])])


def read_policy(place: Place, kms_key: str) -> dict[str, Any]:
    """To list, verify and fetch backups."""
    return _policy([*_reading(place, _READ), *_key(kms_key, ["kms:Decrypt"])])


def thaw_policy(place: Place, kms_key: str) -> dict[str, Any]:
    """To read, and to ask back what is archived, which costs money."""
    actions = [*_READ, "s3:RestoreObject"]
    return _policy([*_reading(place, actions), *_key(kms_key, ["kms:Decrypt"])])


def policy_of_key(shared_with: str) -> dict[str, Any]:
    """What is added to the policy of a key, so that somebody of another account can read what it encrypts."""
    principal = {"Principal": {"AWS": shared_with}}
    return _policy([{"Sid": "SharedKey", **principal, "Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": "*"}])


def _reading(place: Place, actions: list[str]) -> list[Statement]:
    # Without the region the console does not open a bucket.
    region = {
        "Sid": "Region",
        "Effect": "Allow",
        "Action": ["s3:GetBucketLocation"],
        "Resource": place.bucket_arn,
    }
    return [_contents(place, actions), _names(place), region]


def _writing(place: Place, actions: list[str]) -> list[Statement]:
    # Neither the list of unfinished uploads nor the question whether a bucket is public can be narrowed to a prefix.
    of_bucket = ["s3:ListBucketMultipartUploads", "s3:GetBucketPolicyStatus", "s3:GetBucketAcl"]
    about = {"Sid": "AboutTheBucket", "Effect": "Allow", "Action": of_bucket, "Resource": place.bucket_arn}
    return [_contents(place, actions), _names(place), about]


def _contents(place: Place, actions: list[str]) -> Statement:
    return {"Sid": "Contents", "Effect": "Allow", "Action": actions, "Resource": place.keys_arn}


def _names(place: Place) -> Statement:
    statement: Statement = {
        "Sid": "Names",
        "Effect": "Allow",
        "Action": ["s3:ListBucket"],
        "Resource": place.bucket_arn,
    }
    if place.prefix:
        statement["Condition"] = {"StringLike": {"s3:prefix": [f"{place.prefix}*"]}}
    return statement


def _key(kms_key: str, actions: list[str]) -> list[Statement]:
    return [{"Sid": "Key", "Effect": "Allow", "Action": actions, "Resource": kms_key}] if kms_key else []


def _without_sid(statement: Mapping[str, Any]) -> Statement:
    return {name: value for name, value in statement.items() if name != "Sid"}


def _policy(statements: list[Statement]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}
