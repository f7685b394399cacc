"""Names of AWS: checked for what AWS would refuse, and for what its policies would read as something else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from agolkit.errors import UsageError
from agolkit.store.bucket import split_location

Partition = Literal["aws", "aws-us-gov", "aws-cn"]
PARTITIONS: tuple[Partition, ...] = ("aws", "aws-us-gov", "aws-cn")
"""The public regions, GovCloud (US), and China: nothing of one can be named in another."""

# "General purpose bucket naming rules" (docs.aws.amazon.com)
_NOT_A_BUCKET = re.compile(r".*\.\..*|\d+\.\d+\.\d+\.\d+")  # two dots in a row, an IP address
_NOT_FIRST = ("xn--", "sthree-", "amzn-s3-demo-")
_NOT_LAST = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")

# In a policy * and ? stand for anything, and ${…} for a variable.
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_LONGEST_PREFIX = 200

_ACCOUNT = re.compile(r"[0-9]{12}")
_PRINCIPAL = re.compile(r"(user|role)/([\w+=,.@-]+/)*[\w+=,.@-]{1,64}", re.ASCII)
_KEY = re.compile(r"arn:(?P<partition>[a-z-]+):kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store lies: all keys of a bucket, or those below a prefix."""

    bucket: str
    prefix: str
    """Of its keys: empty, or with `/` at its end."""
    partition: Partition

    @property
    def location(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def bucket_arn(self) -> str:
        return f"arn:{self.partition}:s3:::{self.bucket}"

    @property
    def keys_arn(self) -> str:
        """Of everything in the store."""
        return f"{self.bucket_arn}/{self.prefix}*"


def find_place(location: str, partition: Partition) -> Place:
    """The place that `s3://bucket/prefix` names; `UsageError` where it is not that, or AWS has no such names."""
    if partition not in PARTITIONS:
        raise UsageError(f"{partition!r} is no partition of AWS; there are {', '.join(PARTITIONS)}.")
    bucket, prefix = split_location(location)
    if _NOT_A_BUCKET.fullmatch(bucket) or bucket.startswith(_NOT_FIRST) or bucket.endswith(_NOT_LAST):
        raise UsageError(f"AWS takes no bucket named {bucket!r}; take a name such as springfield-agol-backup.")
    if not prefix:
        return Place(bucket, "", partition)
    if not _PREFIX.fullmatch(prefix) or len(prefix) > _LONGEST_PREFIX:
        raise UsageError(
            f"{prefix!r} is no prefix that a policy can name: take letters, digits, '.', '_' and '-', with '/' "
            f"between parts, {_LONGEST_PREFIX} characters at most."
        )
    return Place(bucket, f"{prefix}/", partition)


def find_principal(account: str, user: str, partition: Partition) -> str:
    """The ARN of whom a store is shared with: all of an account (its `root`), or one user or role of it.

    `user` is the name of a user, `user/NAME`, `role/NAME`, or an ARN, which also names the account.
    """
    if user.startswith("arn:"):
        parts = user.split(":", 5)
        if len(parts) < 6 or parts[2:4] != ["iam", ""] or not _PRINCIPAL.fullmatch(parts[5]):
            raise UsageError(
                f"{user!r} is no ARN of a user or role; it reads arn:{partition}:iam::123456789012:user/NAME or "
                "…:role/NAME. Of somebody who is signed in to a role, name the role."
            )
        if parts[1] != partition:
            raise UsageError(
                f"{user!r} is of the partition {parts[1]!r}, the bucket of {partition!r}; see --partition."
            )
        if account and account != parts[4]:
            raise UsageError(f"{user!r} is of the account {parts[4]}, not of {account}; leave one of the two out.")
        account, user = parts[4], parts[5]
    if not _ACCOUNT.fullmatch(account):
        which = f"{account!r} is no account id of AWS" if account else "Of which account is the user? Name its id"
        raise UsageError(f"{which}: 12 digits, without hyphens; the console shows it at the top right.")
    if not user:
        return f"arn:{partition}:iam::{account}:root"
    if "/" not in user:
        user = f"user/{user}"
    if not _PRINCIPAL.fullmatch(user):
        raise UsageError(f"{user!r} is no name of a user or role; write NAME, user/NAME, role/NAME, or the whole ARN.")
    return f"arn:{partition}:iam::{account}:{user}"


def check_key(key: str, partition: Partition) -> None:
    """Raise `UsageError` where `key` is not the ARN of a key of KMS, as policies need it."""
    match = _KEY.fullmatch(key)
    if not match or match["partition"] != partition:
        raise UsageError(
            f"{key!r} is no key that a policy can name: give its ARN, arn:{partition}:kms:REGION:ACCOUNT:key/ID "
            "(console: Key Management Service, the key, General configuration), not its id or alias."
        )
