"""Old blobs of a bucket move to the archive, and nothing that may be needed soon does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from buckets import new_bucket, sign_in
from dated import save
from nights_in_a_bucket import ARCHIVE, KEEP, TODAY, archive, data_of, save_nights, size_of, text, tiers

import agolkit as ak
from agolkit.errors import MayNotRemove, StoreError, UsageError
from agolkit.model import Blob
from agolkit.store import BucketSettings, LocalStore, Store, open_store
from agolkit.store.blobs import blob_key
from agolkit.tiering import Fate

KINDS = ["moto", pytest.param("ceph", marks=pytest.mark.ceph)]


@pytest.fixture(params=KINDS)
def location(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    sign_in(request.getfixturevalue(request.param), monkeypatch)
    return f"s3://{new_bucket()}/a/store"


@pytest.fixture
def bucket(location: str) -> Store:
    return open_store(location)


def head(store: Store, sha256: str) -> dict[str, object]:
    name, _, prefix = store.location.removeprefix("s3://").partition("/")
    return dict(boto3.client("s3").head_object(Bucket=name, Key=f"{prefix}/{blob_key(sha256)}"))


def test_the_plan_says_what_would_move_and_why_the_rest_stays(bucket: Store) -> None:
    """By numbers, bytes and dollars; planning moves nothing."""
    names = save_nights(bucket)
    plan = ak.plan_prune(bucket, KEEP, archive=ARCHIVE)
    assert list(plan["name"]) == names
    tiering = plan.attrs["tiering"]
    shares = {fate: (share.blobs, share.bytes) for fate, share in tiering.shares.items() if share.blobs}
    old = sum(size_of(f"{ago} days ago") for ago in (40, 30, 20))
    assert shares[Fate.MOVES] == (3, old)
    assert shares[Fate.SMALL][0] == 3
    assert shares[Fate.RECENT][0] == len(list(bucket.stored())) - 6
    assert tiering.moves == {data_of(bucket, name, "b") for name in names[:3]}
    assert f"Moves to the archive: 3 files, {old // 1000} KB, less than a cent a month." in str(tiering)
    assert "To move it to DEEP_ARCHIVE costs less than a cent once" in str(tiering)
    assert json.loads(json.dumps(tiering.to_json()))["shares"][0]["blobs"] == 3
    assert tiers(bucket) == {"STANDARD": len(list(bucket.stored()))}


def test_what_was_planned_moves_and_nothing_else(bucket: Store) -> None:
    """A second time there is nothing to do; what has moved is as it was, encrypted as it was."""
    names = save_nights(bucket)
    moving = data_of(bucket, names[0], "b")
    before = head(bucket, moving)
    done = ak.prune(bucket, ak.plan_prune(bucket, KEEP, archive=ARCHIVE))
    assert (done.removed, done.moved) == ((), 3)
    assert str(done).endswith(f" Moved to the archive: 3 files, {done.moved_bytes // 1000} KB.")
    assert tiers(bucket)["DEEP_ARCHIVE"] == 3
    after = head(bucket, moving)
    for fact in ("ContentLength", "ETag", "ContentType", "ServerSideEncryption", "Metadata"):
        assert after.get(fact) == before.get(fact), fact
    again = ak.plan_prune(bucket, KEEP, archive=ARCHIVE)
    assert again.attrs["tiering"].moves == frozenset()
    assert again.attrs["tiering"].shares[Fate.ARCHIVED].blobs == 3
    assert ak.prune(bucket, again).moved == 0
    for name in names[3:]:
        assert ak.verify(bucket, name, deep=True).ok


def test_old_zips_move_too_where_a_rule_says_so(bucket: Store) -> None:
    """They have a rule of their own; the newest of the scope stays at hand; a second time nothing is to do."""
    names = save_nights(bucket)
    zips = [ak.publish_zip(bucket, name) for name in names[:3]]
    archive = ak.Archive(ARCHIVE.after, zips_after="1d")
    plan = ak.plan_prune(bucket, KEEP, archive=archive)
    assert plan.attrs["tiering"].zips == {each.name: each.bytes for each in zips[:2]}
    assert ak.prune(bucket, ak.plan_prune(bucket, KEEP, archive=ARCHIVE)).moved_zips == ()
    assert ak.prune(bucket, plan).moved_zips == tuple(each.name for each in zips[:2])
    assert list(bucket.classes_below("zips").values()) == ["DEEP_ARCHIVE", "DEEP_ARCHIVE", "STANDARD"]
    assert ak.plan_prune(bucket, KEEP, archive=archive).attrs["tiering"].zips == {}
    assert list(ak.list_zips(bucket)["name"]) == [each.name for each in zips]


def test_another_class_can_be_chosen(bucket: Store) -> None:
    """What lies there is in the archive as well, whoever has put it there."""
    save_nights(bucket)
    ak.prune(bucket, ak.plan_prune(bucket, KEEP, archive=ak.Archive("35d", "GLACIER")))
    assert tiers(bucket)["GLACIER"] == 1
    archive(bucket)
    assert (tiers(bucket)["GLACIER"], tiers(bucket)["DEEP_ARCHIVE"]) == (1, 2)


def test_never_more_than_was_planned_and_never_what_must_stay(bucket: Store) -> None:
    """What a plan leaves out stays; what it should not have moved stays too; a new backup makes the plan void."""
    names = save_nights(bucket)
    plan = ak.plan_prune(bucket, KEEP, archive=ARCHIVE)
    whole = plan.attrs["tiering"]
    plan.attrs["tiering"] = replace(whole, moves=frozenset([data_of(bucket, names[1], "b")]))
    assert ak.prune(bucket, plan).moved == 1
    plan.attrs["tiering"] = replace(whole, moves=frozenset(bucket.blobs()))
    assert ak.prune(bucket, plan).moved == 2
    save(bucket, TODAY, {"b": text("30 days ago")}, scope="other")
    with pytest.raises(UsageError, match="The store has changed since the plan was made"):
        ak.prune(bucket, plan)


def test_what_goes_is_removed_and_not_moved(bucket: Store) -> None:
    """Of backups that go, and of archived blobs that nothing needs any more, nothing is left."""
    names = save_nights(bucket)
    archive(bucket)
    plan = ak.plan_prune(bucket, ak.Keep(within="25d"), archive=ARCHIVE)
    assert plan.attrs["tiering"].early.blobs == 2
    assert "before the end of what is billed at least: 2 files" in str(plan.attrs["tiering"])
    done = ak.prune(bucket, plan)
    assert (done.removed, done.moved) == (tuple(names[:2]), 0)
    assert tiers(bucket)["DEEP_ARCHIVE"] == 1


def test_an_archived_blob_that_is_needed_again_is_written_again(bucket: Store) -> None:
    """The new backup can be read at once, and so can the old ones that have the same."""
    names = save_nights(bucket)
    archive(bucket)
    bucket.survey()
    newest = save(bucket, TODAY + 0, {"a": text("same"), "b": text("30 days ago")}, label="again")
    assert tiers(bucket)["DEEP_ARCHIVE"] == 2
    again = open_store(bucket.location)
    assert ak.verify(again, newest, deep=True).archived == 0
    assert ak.verify(again, names[1], deep=True).archived == 0


def test_a_store_that_has_looked_knows_what_it_moved_since(bucket: Store) -> None:
    """It never takes an archived blob for one that is at hand."""
    save_nights(bucket)
    moving = next(each for each in bucket.stored() if each.size == size_of("40 days ago"))
    blob = Blob(moving.sha256, moving.size)
    bucket.survey()
    assert bucket.at_hand(blob)
    bucket.set_class(blob_key(blob.sha256), "DEEP_ARCHIVE")
    assert not bucket.at_hand(blob)


def test_new_blobs_of_a_cheaper_class_move_as_well(location: str) -> None:
    """From any class that can be read at once."""
    store = open_store(location, settings=BucketSettings(storage_class="STANDARD_IA"))
    save_nights(store)
    archive(store)
    assert tiers(store)["DEEP_ARCHIVE"] == 3
    assert tiers(store)["STANDARD"] == 0


def test_a_folder_has_no_archive(store: LocalStore) -> None:
    """It is said, and nothing is done."""
    save_nights(store)
    with pytest.raises(UsageError, match=r"has no archive class; only stores in a bucket \(s3://…\) have"):
        ak.plan_prune(store, KEEP, archive=ARCHIVE)
    with pytest.raises(StoreError, match="has no class DEEP_ARCHIVE"):
        store.set_class(blob_key("0" * 64), "DEEP_ARCHIVE")
    assert ak.thaw(store, "latest").is_ready


def deny(store: Store, *actions: str) -> None:
    """Forbid something to everybody, by a policy of the bucket."""
    name = store.location.removeprefix("s3://").partition("/")[0]
    everything = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    rule = {"Effect": "Deny", "Principal": "*", "Action": list(actions), "Resource": everything}
    boto3.client("s3").put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [rule]}))


def test_who_may_not_delete_leaves_no_half_removed_backup(bucket: Store) -> None:
    """It is tried with a small object before anything is removed; moving needs no such right."""
    names = save_nights(bucket)
    deny(bucket, "s3:DeleteObject")
    plan = ak.plan_prune(bucket, ak.Keep(within="25d"))
    with pytest.raises(MayNotRemove, match="These credentials may not delete in the store"):
        ak.prune(bucket, plan)
    assert list(bucket.backups()["state"]) == ["complete"] * 5
    assert bucket.backup_names() == names
    archive(bucket)
    assert tiers(bucket)["DEEP_ARCHIVE"] == 3


def test_a_large_blob_is_copied_in_parts(bucket: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is as it was, with what it was given when it was written."""
    from agolkit.store import Spool
    from agolkit.store import tiers as module

    monkeypatch.setattr(module, "LARGE", 6 << 20)
    monkeypatch.setattr(module, "PART", 5 << 20)
    bucket.bind("0123456789abcdef", "Smallville")
    with Spool() as spool:
        spool.write(b"0123456789abcdef" * (1 << 20))
        blob, _ = bucket.add_blob(spool)
    before = head(bucket, blob.sha256)
    bucket.set_class(blob_key(blob.sha256), "STANDARD_IA")
    after = head(bucket, blob.sha256)
    assert after["StorageClass"] == "STANDARD_IA"
    for fact in ("ContentLength", "ContentType", "ServerSideEncryption", "Metadata"):
        assert after.get(fact) == before.get(fact), fact
    with bucket.copied(blob.sha256) as copy:
        assert copy.size == 16 << 20
    bucket.set_class(blob_key(blob.sha256), "STANDARD_IA")
    assert head(bucket, blob.sha256)["LastModified"] == after["LastModified"]


@pytest.mark.ceph
def test_where_the_archive_can_be_read_no_thaw_is_needed(
    ceph: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A server may have classes of these names, and no archive: everything is read as ever."""
    sign_in(ceph, monkeypatch)
    store = open_store(f"s3://{new_bucket()}")
    names = save_nights(store)
    archive(store)
    assert tiers(store)["DEEP_ARCHIVE"] == 3
    assert ak.thaw(store, names[0]).is_ready
    assert ak.fetch(store, names[0], tmp_path / "out").items == 3
    assert ak.verify(store, names[0], deep=True).archived == 0
