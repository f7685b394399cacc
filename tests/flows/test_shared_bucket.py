"""A bucket in which others have put something too: it is no damage, no hindrance, and never removed."""

from __future__ import annotations

import boto3
import pytest
from buckets import new_bucket, sign_in
from dated import save

import agolkit as ak
from agolkit.errors import StoreError
from agolkit.manifest import read_outcomes
from agolkit.store import open_store
from agolkit.store.blobs import blob_key

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


def test_a_repair_sees_what_came_since_the_store_was_opened(bucket: str) -> None:
    """A notebook keeps stores open for weeks, and knows from its last look what was there: that is looked up anew."""
    store, other = open_store(f"s3://{bucket}/one"), open_store(f"s3://{bucket}/other")
    for each in (store, other):
        ak.verify(each, save(each, 0, {"a": "old"}))
    name = save(open_store(store.location), 1, {"a": "new"})
    ak.copy(open_store(store.location), open_store(other.location))
    blob = read_outcomes(store, name)[0].parts[1].blob
    boto3.client("s3").put_object(Bucket=bucket, Key=f"one/{blob_key(blob.sha256)}", Body=bytes(blob.size))
    assert list(ak.plan_repair(store, deep=True)["action"]) == ["set aside"]
    assert list(ak.plan_repair(store, deep=True, other=other)["action"]) == ["restore"]
    assert ak.repair(store, deep=True, other=other).exit_code == 0
    assert ak.verify(store, name, deep=True).ok
