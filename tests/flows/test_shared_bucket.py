"""A bucket in which others have put something too: it is no damage, no hindrance, and never removed."""

from __future__ import annotations

import boto3
import pytest
from buckets import new_bucket, sign_in

from agolkit.errors import StoreError
from agolkit.store import open_store

PORTAL = "0123456789abcdef", "Smallville"


@pytest.fixture(params=["moto", pytest.param("ceph", marks=pytest.mark.ceph)])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    sign_in(request.getfixturevalue(request.param), monkeypatch)
    return new_bucket()


def put(bucket: str, *keys: str) -> None:
    for key in keys:
        boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=b"")


def test_a_folder_that_the_console_has_made_may_become_a_store(bucket: str) -> None:
    """The console makes a folder as an empty object whose key ends in a slash: nothing is in it."""
    put(bucket, "new/", "other/", "other/notes.txt")
    with pytest.raises(StoreError, match=r"it holds 'notes.txt'"):
        open_store(f"s3://{bucket}/other")
    store = open_store(f"s3://{bucket}/new")
    store.bind(*PORTAL)
    put(bucket, "new/backups/", "new/blobs/", "new/blobs/aa/", "new/zips/", "new/backups/2026-11-23T020000Z/")
    assert store.names("") == ["README.txt", "backups", "blobs", "store.json", "zips"]
    assert store.names("backups") == ["2026-11-23T020000Z"]
    assert store.names("backups/2026-11-23T020000Z") == store.names("zips") == list(store.blobs()) == []


def test_keys_that_are_no_paths_hinder_nobody(bucket: str) -> None:
    """What other programs have put there may have empty parts, or dots, in its key."""
    store = open_store(f"s3://{bucket}")
    store.bind(*PORTAL)
    put(bucket, "a//b", "/c", "../d", "blobs//e", "backups//f", "backups/./g")
    assert open_store(f"s3://{bucket}").portal_id == PORTAL[0]
    assert set(store.names("backups")) <= {"."}
    assert list(store.blobs()) == []


def test_uploads_of_a_store_below_another_are_not_ended(bucket: str) -> None:
    """A run of one store ends what was left half done there, and not what a run of the other is about to complete."""
    client = boto3.client("s3")
    outer, inner = open_store(f"s3://{bucket}"), open_store(f"s3://{bucket}/inner")
    for store in (outer, inner):
        store.bind(*PORTAL)
    for key in ("blobs/aa/x", "zips/x.zip", "inner/blobs/aa/x", "inner/zips/x.zip"):
        client.create_multipart_upload(Bucket=bucket, Key=key)
    with outer.lock("run", "somebody"):
        left = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [each["Key"] for each in left] == ["inner/blobs/aa/x", "inner/zips/x.zip"]
