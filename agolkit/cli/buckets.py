"""The command that prepares a bucket for a store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

import agolkit as ak
from agolkit import console
from agolkit.cli.arguments import commands, with_json
from agolkit.errors import UsageError

if TYPE_CHECKING:
    from agolkit.bucket_policy import BucketPolicy, Partition

DAYS = click.IntRange(min=0)


@commands.command("bucket-policy", short_help="Print ready documents for the bucket of STORE.")
@click.argument("store")
@click.option("--share-account", default="", metavar="ID", help="Another AWS account that may read the store.")
@click.option("--share-user", default="", metavar="NAME", help="Only this user of it; or role/NAME, or an ARN.")
@click.option("--kms-key", default="", metavar="ARN", help="The key of KMS that encrypts the bucket; else S3's own.")
@click.option("--partition", type=click.Choice(["aws", "aws-us-gov", "aws-cn"]), default="aws", help="Of AWS.")
@click.option("--zips-standard-days", type=DAYS, default=15, show_default=True, help="Then a zip is archived.")
@click.option("--zips-days", type=DAYS, default=120, show_default=True, help="Then a zip is removed.")
@click.option("--versions-days", type=DAYS, default=30, show_default=True, help="Then an earlier version is removed.")
@click.option("--write", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Write each to a .json file.")
@with_json
def bucket_policy(
    store: str,
    share_account: str,
    share_user: str,
    kms_key: str,
    partition: Partition,
    zips_standard_days: int,
    zips_days: int,
    versions_days: int,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Print ready documents for the bucket of STORE (s3://bucket/prefix), which need not exist; nothing is contacted.

    They keep the bucket private and encrypted, allow each job what it needs and no more, archive and remove zips, and
    may share reading with another account.
    """
    made = ak.bucket_policy(
        store,
        share_account=share_account,
        share_user=share_user,
        kms_key=kms_key,
        partition=partition,
        zips_standard_days=zips_standard_days,
        zips_days=zips_days,
        versions_days=versions_days,
    )
    if folder is not None:
        _write(made, folder)
    console.say(json.dumps(made.to_json()) if as_json else made)
    if folder is not None:
        console.say_aside(f"\nThe documents are in {folder}. Run the commands there.")


def _write(made: BucketPolicy, folder: Path) -> None:
    files = {folder / f"{document.name}.json": document.content for document in made.documents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if there := [file for file in files if file.exists()]:
            raise UsageError(f"{there[0]} is there already and is not overwritten; name another folder.")
        for file, content in files.items():
            with file.open("x", encoding="utf-8") as stream:
                stream.write(json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"The documents cannot be written to {folder}: {error.strerror}.") from error
