"""How the bucket itself is set: closed to the public, encrypted, owned by one account, tidied by rules."""

from __future__ import annotations

from typing import Any

from agolkit.bucket_policy.names import Place

UNFINISHED_DAYS = 2
"""Days after which an upload that nobody finished is ended: one file never takes that long."""
BILLED_DAYS = 180
"""Days that an object in DEEP_ARCHIVE is billed at least."""

PUBLIC_ACCESS_BLOCK = dict.fromkeys(
    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
)
OWNERSHIP = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def encryption(kms_key: str) -> dict[str, Any]:
    """How S3 encrypts what comes without a wish of its own: with its own keys, or with a key of KMS."""
    if not kms_key:
        return {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    by_key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": kms_key}
    # With a key of the bucket S3 asks KMS once in a while, not for each object: that is most of what KMS costs.
    return {"Rules": [{"ApplyServerSideEncryptionByDefault": by_key, "BucketKeyEnabled": True}]}


def lifecycle(place: Place, *, zips_standard_days: int, zips_days: int, versions_days: int) -> dict[str, Any]:
    """Rules for zips, unfinished uploads and earlier versions.

    None moves or removes what is in `blobs/` or `backups/` now: a rule knows how old a blob is, but not whether a
    backup of last night still needs it. Only `prune` knows.
    """
    whole, zips = {"Prefix": place.prefix}, {"Prefix": f"{place.prefix}zips/"}
    rules = [
        {
            "ID": f"agolkit {place.prefix}unfinished-uploads",
            "Status": "Enabled",
            "Filter": whole,
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UNFINISHED_DAYS},
        },
        {
            "ID": f"agolkit {place.prefix}zips",
            "Status": "Enabled",
            "Filter": zips,
            "Transitions": [{"Days": zips_standard_days, "StorageClass": "DEEP_ARCHIVE"}],
            "Expiration": {"Days": zips_days},
        },
        {
            "ID": f"agolkit {place.prefix}earlier-versions",
            "Status": "Enabled",
            "Filter": whole,
            "NoncurrentVersionExpiration": {"NoncurrentDays": versions_days},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
        },
    ]
    return {"Rules": rules}
