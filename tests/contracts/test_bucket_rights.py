"""What a server that enforces policies lets people do who have the printed ones: one that nobody here wrote."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from buckets import new_bucket, sign_in

import agolkit as ak
from agolkit.errors import StoreError
from agolkit.store import Spool, Store, open_store

pytestmark = pytest.mark.ceph

OTHER = "arn:aws:iam:::user/other"
"""A user as a RADOS Gateway without tenants names it: without an account."""


@pytest.fixture
def bucket(ceph: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket, signed in as its owner."""
    sign_in(ceph, monkeypatch)
    return new_bucket()


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sign in as somebody who owns nothing, from now on."""

    def sign_in_as_other() -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "othersecret")

    return sign_in_as_other


def apply(bucket: str, policy: dict[str, Any]) -> None:
    """Make a policy that of the bucket; one that names nobody, as those of IAM do, is given to the other user."""
    given = [{"Principal": {"AWS": OTHER}, **statement} for statement in policy["Statement"]]
    client().put_bucket_policy(Bucket=bucket, Policy=json.dumps({**policy, "Statement": given}))


def client() -> Any:
    """S3's own API, for whoever is signed in now: a session of its own, because boto3's default one remembers."""
    return boto3.Session().client("s3")


def document(location: str, name: str) -> dict[str, Any]:
    made = ak.bucket_policy(location, share_account="123456789012", share_user="other")
    content = next(each.content for each in made.documents if each.name == name)
    shared: dict[str, Any] = json.loads(json.dumps(content).replace("arn:aws:iam::123456789012:user/other", OTHER))
    return shared


def made_store(location: str) -> Store:
    store = open_store(location)
    store.bind("0123456789abcdef", "Smallville")
    return store


def add(store: Store, content: bytes) -> str:
    with Spool() as spool:
        spool.write(content)
        return store.add_blob(spool)[0].sha256


def refused(call: Any, **arguments: Any) -> bool:
    """Whether the server refuses a call of S3's own API."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"] == "AccessDenied"
    return False


@pytest.mark.parametrize("prefix", ["", "/gis"])
def test_whom_a_store_is_shared_with_reads_it_and_writes_nothing(bucket: str, other: Any, prefix: str) -> None:
    """The other account's user opens the store and reads its blobs, and can neither add nor remove anything."""
    location = f"s3://{bucket}{prefix}"
    sha256 = add(made_store(location), b"saved")
    apply(bucket, document(location, "bucket-policy"))
    other()
    store = open_store(location, create=False)
    with store.open_blob(sha256) as stream:
        assert stream.read() == b"saved"
    assert list(store.blobs()) == [sha256]
    assert store.now().tzinfo is not None
    with pytest.raises(StoreError, match="may not"):
        add(store, b"more")
    with pytest.raises(StoreError, match="may not"):
        store.remove_blobs([sha256])
    assert list(store.blobs()) == [sha256]


def test_the_nightly_job_saves_and_cannot_delete(bucket: str, other: Any) -> None:
    """With the policy for backups alone a run takes the store, saves what is small and large, and removes nothing."""
    made_store(f"s3://{bucket}")
    apply(bucket, document(f"s3://{bucket}", "iam-backup"))
    other()
    store = open_store(f"s3://{bucket}")
    with store.lock("run", "nightly") as lease:
        saved = sorted([add(store, b"small"), add(store, b"x" * 20_000_000)])
        lease.renew()
    assert sorted(store.blobs()) == saved
    s3 = client()
    begun = s3.create_multipart_upload(Bucket=bucket, Key="blobs/left")
    store.tidy()
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads"), begun["UploadId"]
    with pytest.raises(StoreError, match="may not"):
        store.remove_blobs([saved[0]])
    for key in ("lock", "store.json"):
        assert refused(s3.delete_object, Bucket=bucket, Key=key)
    assert sorted(store.blobs()) == saved


@pytest.mark.parametrize("name", ["bucket-policy", "iam-backup", "iam-prune", "iam-read", "iam-thaw"])
def test_nothing_outside_the_prefix_can_be_seen(bucket: str, other: Any, name: str) -> None:
    """A policy for one prefix opens neither the contents nor the names of what else is in the bucket."""
    owner = client()
    for key in ("gis/store.json", "gisland/secret", "payroll/secret"):
        owner.put_object(Bucket=bucket, Key=key, Body=b"{}")
    apply(bucket, document(f"s3://{bucket}/gis", name))
    other()
    s3 = client()
    assert not refused(s3.get_object, Bucket=bucket, Key="gis/store.json")
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket, Prefix="gis/")["Contents"]] == [
        "gis/store.json"
    ]
    for prefix in ("", "g", "gis", "gisland/", "payroll/"):
        assert refused(s3.list_objects_v2, Bucket=bucket, Prefix=prefix), prefix
    for key in ("gisland/secret", "payroll/secret"):
        assert refused(s3.get_object, Bucket=bucket, Key=key)
        assert refused(s3.put_object, Bucket=bucket, Key=key, Body=b"")
        assert refused(s3.delete_object, Bucket=bucket, Key=key)
    assert refused(s3.delete_object, Bucket=bucket, Key="gis/store.json") == (name != "iam-prune")
