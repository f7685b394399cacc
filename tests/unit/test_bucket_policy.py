"""The documents for a bucket: what is in them, which names they take, and what servers make of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import boto3
import pytest
from buckets import new_bucket, sign_in

import agolkit as ak
from agolkit.bucket_policy import Partition
from agolkit.cli import main
from agolkit.errors import UsageError

KEY = "arn:aws:kms:us-east-1:210987654321:key/1234abcd-12ab-34cd-56ef-1234567890ab"

READING = {"s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"}


def documents(location: str, **options: Any) -> dict[str, Any]:
    return {document.name: document.content for document in ak.bucket_policy(location, **options).documents}


def allowed(policy: dict[str, Any]) -> set[str]:
    """Every action that some statement of a policy allows."""
    return {
        action for statement in policy["Statement"] if statement["Effect"] == "Allow" for action in statement["Action"]
    }


# Who may do what


def test_the_nightly_job_cannot_delete() -> None:
    """Only pruning may delete, only thawing may ask back, and nobody may change the bucket itself."""
    made = documents("s3://town-backup")
    jobs = {name: allowed(made[f"iam-{name}"]) for name in ("backup", "prune", "read", "thaw")}
    assert jobs["prune"] - jobs["backup"] == {"s3:DeleteObject"}
    assert jobs["thaw"] - jobs["read"] == {"s3:RestoreObject"}
    assert jobs["read"] == READING
    assert not any("*" in action or "PutBucket" in action for actions in jobs.values() for action in actions)


@pytest.mark.parametrize(
    ("location", "keys", "listed"),
    [("s3://town-backup", "*", None), ("s3://town-backup/gis/town/", "gis/town/*", ["gis/town/*"])],
)
def test_each_policy_ends_at_the_prefix(location: str, keys: str, listed: list[str] | None) -> None:
    """Contents and names are those of the store's prefix, or of the whole bucket where it has none."""
    made = documents(location, share_account="123456789012")
    for policy in (made["iam-backup"], made["iam-prune"], made["iam-read"], made["iam-thaw"], made["bucket-policy"]):
        for statement in policy["Statement"]:
            if statement["Effect"] == "Allow" and "s3:GetObject" in statement["Action"]:
                assert statement["Resource"] == f"arn:aws:s3:::town-backup/{keys}"
            if "s3:ListBucket" in statement["Action"]:
                condition = statement.get("Condition")
                assert condition == (None if listed is None else {"StringLike": {"s3:prefix": listed}})


def test_a_bucket_that_is_not_shared_allows_nobody_anything() -> None:
    """Without an account to share with, the policy of the bucket only refuses what comes without TLS."""
    (only,) = documents("s3://town-backup")["bucket-policy"]["Statement"]
    assert (only["Effect"], only["Principal"], only["Action"]) == ("Deny", "*", "s3:*")
    assert only["Resource"] == ["arn:aws:s3:::town-backup", "arn:aws:s3:::town-backup/*"]
    assert only["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize(
    ("share", "principal"),
    [
        ({"share_account": "123456789012"}, "arn:aws:iam::123456789012:root"),
        ({"share_account": "123456789012", "share_user": "ann"}, "arn:aws:iam::123456789012:user/ann"),
        ({"share_account": "123456789012", "share_user": "role/gis"}, "arn:aws:iam::123456789012:role/gis"),
        ({"share_user": "arn:aws:iam::123456789012:role/team/gis"}, "arn:aws:iam::123456789012:role/team/gis"),
    ],
)
def test_a_share_names_one_principal_and_reads_only(share: dict[str, str], principal: str) -> None:
    """Whom a store is shared with may read it, by the bucket's policy, by its own account's, and by the key's."""
    made = documents("s3://town-backup", kms_key=KEY, **share)
    statements = made["bucket-policy"]["Statement"][1:]
    assert [statement["Principal"] for statement in statements] == [{"AWS": principal}] * 3
    assert allowed(made["bucket-policy"]) == READING
    assert allowed(made["other-account"]) == {*READING, "kms:Decrypt"}
    (of_key,) = made["key-policy"]["Statement"]
    assert (of_key["Principal"], of_key["Action"]) == ({"AWS": principal}, ["kms:Decrypt"])


def test_a_key_is_allowed_to_those_who_need_it() -> None:
    """With a key of KMS, jobs may encrypt and decrypt with it, readers may decrypt, and the bucket uses it."""
    made = documents("s3://town-backup", kms_key=KEY)
    for name, actions in (("backup", {"kms:GenerateDataKey", "kms:Decrypt"}), ("read", {"kms:Decrypt"})):
        of_key = [each for each in made[f"iam-{name}"]["Statement"] if each["Resource"] == KEY]
        assert allowed({"Statement": of_key}) == actions
    (rule,) = made["encryption"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    assert "key-policy" not in made


@pytest.mark.parametrize("partition", ["aws-us-gov", "aws-cn"])
def test_every_arn_is_of_the_partition(partition: Partition) -> None:
    """In GovCloud and China every name of AWS begins with that partition."""
    made = json.dumps(documents("s3://town-backup/gis", share_account="123456789012", partition=partition))
    assert made.count("arn:") == made.count(f"arn:{partition}:") > 0


@pytest.mark.parametrize(
    ("user", "begins"),
    [
        ("", "aws iam put-user-policy --user-name NAME "),
        ("ann", "aws iam put-user-policy --user-name ann "),
        ("role/team/gis", "aws iam put-role-policy --role-name gis "),
    ],
)
def test_the_other_account_is_told_its_own_command(user: str, begins: str) -> None:
    """The command for the other account names its user or role, without the path before it."""
    made = ak.bucket_policy("s3://town-backup", share_account="123456789012", share_user=user)
    assert next(each for each in made.documents if each.name == "other-account").command.startswith(begins)


# Rules


@pytest.mark.parametrize("prefix", ["", "gis/"])
def test_no_rule_touches_blobs_and_backups(prefix: str) -> None:
    """What moves or removes current files is for zips alone; everywhere else only what nobody can see goes."""
    rules = documents(f"s3://town-backup/{prefix}", zips_standard_days=20, zips_days=300)["lifecycle"]["Rules"]
    moving = [rule for rule in rules if "Transitions" in rule or "Days" in rule.get("Expiration", {})]
    assert [rule["Filter"] for rule in moving] == [{"Prefix": f"{prefix}zips/"}]
    assert moving[0]["Transitions"] == [{"Days": 20, "StorageClass": "DEEP_ARCHIVE"}]
    assert moving[0]["Expiration"] == {"Days": 300}
    assert all(rule["Filter"]["Prefix"].startswith(prefix) for rule in rules)


@pytest.mark.parametrize(("days", "warned"), [(194, True), (195, False)])
def test_days_that_are_billed_anyway_are_said(days: int, warned: bool) -> None:
    """A zip that leaves the archive before its 180 days is paid for until then, which the notes say."""
    notes = ak.bucket_policy("s3://town-backup", zips_standard_days=15, zips_days=days).notes
    assert any("until day 195" in note for note in notes) == warned


# Names that cannot be


@pytest.mark.parametrize(
    ("location", "options", "words"),
    [
        ("backups/town", {}, "write s3://bucket"),
        ("s3://Town_Backup", {}, "lower-case"),
        ("s3://town..backup", {}, "takes no bucket"),
        ("s3://192.168.5.4", {}, "takes no bucket"),
        ("s3://town-s3alias", {}, "takes no bucket"),
        ("s3://town-backup/a*", {}, "prefix that a policy can name"),
        ("s3://town-backup/${aws:username}", {}, "prefix that a policy can name"),
        ("s3://town-backup/" + "a" * 201, {}, "200 characters"),
        ("s3://town-backup", {"share_account": "1234-5678-9012"}, "12 digits"),
        ("s3://town-backup", {"share_user": "ann"}, "Of which account"),
        ("s3://town-backup", {"share_account": "123456789012", "share_user": "group/x"}, "user/NAME"),
        ("s3://town-backup", {"share_user": "arn:aws:sts::123456789012:assumed-role/gis/ann"}, "name the role"),
        ("s3://town-backup", {"share_user": "arn:aws-cn:iam::123456789012:user/ann"}, "--partition"),
        (
            "s3://town-backup",
            {"share_account": "210987654321", "share_user": "arn:aws:iam::123456789012:user/ann"},
            "not of 210987654321",
        ),
        ("s3://town-backup", {"kms_key": "alias/town"}, "not its id or alias"),
        ("s3://town-backup", {"kms_key": KEY, "partition": "aws-us-gov"}, "arn:aws-us-gov:kms"),
        ("s3://town-backup", {"partition": "moon"}, "aws-us-gov"),
        ("s3://town-backup", {"zips_days": 15}, "removed after that"),
        ("s3://town-backup", {"versions_days": 0}, "for a day at least"),
    ],
)
def test_what_aws_would_refuse_is_refused_first(location: str, options: dict[str, Any], words: str) -> None:
    """A name that AWS does not take, or that a policy reads as something else, is said with what to do."""
    with pytest.raises(UsageError, match=re.escape(words)):
        ak.bucket_policy(location, **options)


# The command


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["bucket-policy", *map(str, args)])
    return ended.value.code, *capsys.readouterr()


def test_every_document_is_printed_with_how_to_apply_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The text for people has each document, its file's name, its command and its place in the console."""
    code, out, _ = run(capsys, "s3://town-backup", "--share-account", "123456789012", "--kms-key", KEY)
    made = ak.bucket_policy("s3://town-backup", share_account="123456789012", kms_key=KEY)
    assert code == 0
    for document in made.documents:
        assert f"{document.title} ({document.name}.json)" in out
        assert document.where in out
        assert document.command in out
        assert json.dumps(document.content, indent=2) in out
        assert not document.command or f"file://{document.name}.json" in document.command


def test_documents_are_written_and_never_over_others(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`--write` makes one file a document; where one of them is there already, none is written."""
    folder = tmp_path / "new" / "documents"
    assert run(capsys, "s3://town-backup", "--write", folder, "--json")[0] == 0
    made = documents("s3://town-backup")
    assert {file.stem: json.loads(file.read_text("utf-8")) for file in folder.iterdir()} == made

    for file in folder.iterdir():
        if file.name != "lifecycle.json":
            file.unlink()
    (folder / "lifecycle.json").write_text("mine", "utf-8")
    code, _, err = run(capsys, "s3://town-backup", "--write", folder)
    assert (code, [file.name for file in folder.iterdir()]) == (2, ["lifecycle.json"])
    assert "is not overwritten" in err
    assert (folder / "lifecycle.json").read_text("utf-8") == "mine"


# What servers make of them


@pytest.mark.parametrize("prefix", ["", "/gis"])
def test_a_server_takes_every_document(moto: str, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    """An S3 and IAM server that nobody here wrote takes each document as it is, and gives back the same."""
    sign_in(moto, monkeypatch)
    bucket = new_bucket()
    made = documents(f"s3://{bucket}{prefix}", share_account="123456789012", share_user="ann", kms_key=KEY)
    s3, iam = boto3.client("s3"), boto3.client("iam", endpoint_url=moto, region_name="us-east-1")

    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=made["public-access-block"])
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=made["ownership-controls"])
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=made["encryption"])
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(made["bucket-policy"]))
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=made["lifecycle"])

    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    owned = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
    encrypted = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert (block, owned, encrypted) == (made["public-access-block"], made["ownership-controls"], made["encryption"])
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == made["bucket-policy"]
    assert rules == made["lifecycle"]["Rules"]

    for name in ("iam-backup", "iam-prune", "iam-read", "iam-thaw", "other-account"):
        policy = iam.create_policy(PolicyName=f"{bucket}-{name}", PolicyDocument=json.dumps(made[name]))["Policy"]
        version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId="v1")["PolicyVersion"]
        assert version["Document"] == made[name]
