"""Backups in a bucket: what is particular to it, beside the contract that every store keeps."""

from __future__ import annotations

import hashlib
import itertools
import json
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import boto3
import pytest
from buckets import new_bucket, sign_in
from forwarder import LOSE_ANSWER, LOSE_REQUEST, Forwarder, Request, forwarding, no_fault
from interrupted import back_up, content, town

import agolkit as ak
from agolkit.errors import CheckFailed, MayNotRemove, NoSuchBackup, StoreError, UsageError
from agolkit.manifest import read_outcomes
from agolkit.model import Blob
from agolkit.sandbox import Sandbox
from agolkit.store import BucketSettings, Spool, open_store
from agolkit.store import bucket as bucket_module
from agolkit.store import objects as objects_module
from agolkit.store.blobs import blob_key
from agolkit.store.bucket import split_location
from agolkit.store.objects import AT_ONCE, BucketStore
from agolkit.verify import near as near_module

PORTAL = "0123456789abcdef", "Smallville"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(town(30)) as sandbox:
        yield sandbox


@pytest.fixture(params=["moto", pytest.param("ceph", marks=pytest.mark.ceph)])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forwarder]:
    """The way to a server of buckets, which can lose things."""
    with forwarding(request.getfixturevalue(request.param)) as way:
        sign_in(way.url, monkeypatch)
        yield way


@pytest.fixture
def store(way: Forwarder) -> BucketStore:
    assert way.url
    return opened(new_bucket())


def opened(bucket: str, **how: object) -> BucketStore:
    store = open_store(f"s3://{bucket}/agol", **how)  # type: ignore[arg-type]
    assert isinstance(store, BucketStore)
    return store


def save(store: BucketStore, content: bytes) -> Blob:
    with Spool() as spool:
        spool.write(content)
        return store.add_blob(spool)[0]


def once(method: str, part: str, fault: int) -> Callable[[Request], int | None]:
    """The fault for the first request of this method with this in its path."""
    numbers = itertools.count()

    def rule(request: Request) -> int | None:
        return fault if request.method == method and part in request.path and next(numbers) == 0 else None

    return rule


# Whole runs


def test_a_backup_in_a_bucket_holds_what_one_in_a_folder_holds(
    sandbox: Sandbox, store: BucketStore, tmp_path: Path
) -> None:
    """Every item and part is the same in both; every byte is proven again, and a fetched backup opens as a zip."""
    folder = ak.open_store(tmp_path / "store")
    assert back_up(sandbox, store).exit_code == back_up(sandbox, folder).exit_code == 0
    assert content(store) == content(folder)
    assert ak.verify(store, deep=True).ok
    done = ak.fetch(store, "latest", tmp_path / "fetched.zip")
    assert done.items == len(sandbox.org.items)
    with zipfile.ZipFile(tmp_path / "fetched.zip") as archive:
        assert archive.testzip() is None


def test_an_unchanged_run_asks_the_bucket_for_no_blob(sandbox: Sandbox, store: BucketStore, way: Forwarder) -> None:
    """One listing tells which blobs are there: the second run puts none, gets none, and asks for none."""
    back_up(sandbox, store)
    way.requests.clear()
    summary = back_up(sandbox, store)
    assert summary.new_bytes == 0
    assert way.count(part="/blobs/") == 0
    assert way.count("GET", "prefix=agol/blobs/") + way.count("GET", "prefix=agol%2Fblobs%2F") == 1
    assert len(way.requests) < 120


def test_a_run_reads_once_what_describes_each_earlier_backup(
    sandbox: Sandbox, store: BucketStore, way: Forwarder
) -> None:
    """A request for each backup that is kept, and one for the newest list of items; so does the table of backups."""
    for _ in range(3):
        back_up(sandbox, store)
    way.requests.clear()
    back_up(sandbox, store)
    assert way.count("GET", "/backup.json") == 4  # and its own, which is not there yet
    assert way.count("GET", "/manifest.jsonl.gz") == 1
    way.requests.clear()
    assert len(store.backups()) == 4
    assert len(way.requests) == 1 + 4


@pytest.mark.parametrize("room", [near_module.ROOM, 0])
def test_a_deep_verification_gets_once_what_it_looks_into(
    sandbox: Sandbox, store: BucketStore, way: Forwarder, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Each item's blobs are read once, unless they are too large to be kept near; damage is found either way."""
    monkeypatch.setattr(near_module, "ROOM", room)
    name = back_up(sandbox, store).backup
    needed = [{part.blob for part in outcome.parts} for outcome in read_outcomes(store, name)]
    way.requests.clear()
    assert ak.verify(store, deep=True).ok
    assert (way.count("GET", "/blobs/") <= sum(map(len, needed))) == (room > 0)
    changed = [max(blobs, key=lambda blob: blob.size) for blobs in needed if blobs][:2]
    client = boto3.client("s3")
    for blob in changed:
        key = f"agol/{blob_key(blob.sha256)}"
        client.put_object(Bucket=store.bucket.name, Key=key, Body=b"x" * blob.size)
    found = ak.verify(store, deep=True).damages
    assert {damage.path for damage in found} == {blob_key(blob.sha256) for blob in changed}
    assert all("its content was changed" in damage.what for damage in found)


def test_a_stopped_run_in_a_bucket_goes_on(sandbox: Sandbox, store: BucketStore, tmp_path: Path) -> None:
    """The next run takes up the backup that was stopped, and ends as one that nobody stopped."""
    undisturbed = ak.open_store(tmp_path / "store")
    back_up(sandbox, undisturbed)
    assert back_up(sandbox, store, stop_after=10).state == "stopped"
    assert back_up(sandbox, store).kept
    assert len(store.backup_names()) == 1
    assert content(store) == content(undisturbed)


def test_credentials_that_may_not_delete_make_good_backups(sandbox: Sandbox, store: BucketStore) -> None:
    """Backups are made, resumed and repeated; only removing is refused, and says why."""
    refuse = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
        "Resource": f"arn:aws:s3:::{store.bucket.name}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [refuse]})
    boto3.client("s3").put_bucket_policy(Bucket=store.bucket.name, Policy=policy)
    assert back_up(sandbox, store, stop_after=10).state == "stopped"
    assert back_up(sandbox, store).exit_code == 0
    assert back_up(sandbox, store).exit_code == 0
    assert ak.verify(store, deep=True).ok
    for remove in (lambda: store.remove("lock"), lambda: store.clear("backups")):
        with pytest.raises(MayNotRemove, match="may not delete"):
            remove()
    assert ak.verify(store, deep=True).ok


# Large content


def test_a_large_blob_goes_up_in_parts_and_comes_back_in_pieces(store: BucketStore, way: Forwarder) -> None:
    """Its bytes come back from the beginning, from its end and from anywhere between."""
    content = b"".join(number.to_bytes(4) for number in range(5_000_000))
    blob = save(store, content)
    parts = [request for request in way.requests if "partNumber" in request.path]
    assert len(parts) == -(-len(content) // AT_ONCE)
    assert max(request.bytes_in for request in parts) <= AT_ONCE
    with store.open_blob(blob.sha256) as stream:
        assert stream.read() == content
        assert stream.read(1) == b""
        for start in (len(content) - 7, 0, 9_000_001, 9_000_100, 3):
            stream.seek(start)
            assert stream.read(10) == content[start : start + 10]
    with store.copied(blob.sha256) as spool:
        assert spool.size == len(content)


def test_content_that_changed_on_the_scratch_disk_is_never_a_blob(store: BucketStore, tmp_path: Path) -> None:
    """What is sent is hashed once more on its way, small or large; what differs does not get its name."""
    for size in (2 << 20, 20 << 20):
        with Spool(tmp_path) as spool:
            spool.write(b"a" * size)
            path = spool.path()
            spool.on_disk()
            path.write_bytes(b"b" * size)
            with pytest.raises(CheckFailed, match="disk may be failing"):
                store.add_blob(spool)
    assert list(store.blobs()) == []
    assert boto3.client("s3").list_multipart_uploads(Bucket=store.bucket.name).get("Uploads", []) == []


def test_more_blobs_than_one_answer_lists_are_listed_and_removed(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are found, by one look at what is there, and a thousand are removed with each request."""
    with forwarding(moto) as way:
        sign_in(way.url, monkeypatch)
        store = opened(new_bucket())
        store.bind(*PORTAL)
        names = sorted(hashlib.sha256(str(number).encode()).hexdigest() for number in range(1_100))
        client = boto3.client("s3", endpoint_url=moto)
        with ThreadPoolExecutor(16) as executor:
            put = partial(client.put_object, Bucket=store.bucket.name, Body=b"1")
            list(executor.map(lambda name: put(Key=f"agol/blobs/{name[:2]}/{name}"), [*names, "no blob"]))
        assert list(store.blobs()) == names
        store.survey()
        way.requests.clear()
        assert [store.blob_size(name) for name in names] == [1] * len(names)
        assert way.requests == []
        assert store.remove_blobs(names) == len(names)
        assert way.count("POST") == 2
        assert list(store.blobs()) == []


def test_uploads_that_a_killed_run_left_are_ended(store: BucketStore) -> None:
    """Whoever holds the store next ends them: they cost money, and nobody sees them. Those of others stay."""
    client = boto3.client("s3")
    for key in ("agol/blobs/aa/left", "other/left"):
        client.create_multipart_upload(Bucket=store.bucket.name, Key=key)
    with store.lock("run", "somebody"):
        pass
    left = client.list_multipart_uploads(Bucket=store.bucket.name)["Uploads"]
    assert [each["Key"] for each in left] == ["other/left"]


@pytest.mark.usefixtures("way")
def test_the_class_of_blobs_is_a_setting() -> None:
    """Blobs lie in the class that was asked for; what describes them lies in the standard class."""
    store = opened(new_bucket(), settings=BucketSettings(storage_class="STANDARD_IA"))
    store.bind(*PORTAL)
    small, large = save(store, b"small"), save(store, b"large" * (2 << 20))
    assert {each.sha256: each.tier for each in store.stored()} == dict.fromkeys(
        [small.sha256, large.sha256], "STANDARD_IA"
    )
    assert [listed.tier for listed in store.bucket.listing("backups")] == []
    head = boto3.client("s3").head_object(Bucket=store.bucket.name, Key="agol/store.json")
    assert head.get("StorageClass", "STANDARD") == "STANDARD"


def test_blobs_are_encrypted_by_the_server(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each upload asks for it, whatever the bucket is set to; a key of the key service is named with it."""
    sign_in(moto, monkeypatch)
    for settings, wanted in ((None, "AES256"), (BucketSettings(encryption="aws:kms", kms_key_id="our-key"), "aws:kms")):
        store = opened(new_bucket(), settings=settings)
        store.bind(*PORTAL)
        keys = [f"blobs/{blob.sha256[:2]}/{blob.sha256}" for blob in (save(store, b"s"), save(store, b"l" * 9_000_000))]
        for key in [*keys, "store.json"]:
            head = boto3.client("s3").head_object(Bucket=store.bucket.name, Key=f"agol/{key}")
            assert head["ServerSideEncryption"] == wanted
            assert head.get("SSEKMSKeyId", "").endswith("our-key" if settings else "")


# Bad days on the way


def test_an_answer_that_breaks_off_is_asked_for_again_from_there(store: BucketStore, way: Forwarder) -> None:
    """A blob is whole although the connection ended in its middle, twice."""
    content = bytes(range(256)) * 80_000
    blob = save(store, content)
    cuts = iter([5_000_000, 7_000_000])
    way.fault = lambda request: next(cuts, None) if request.method == "GET" and "/blobs/" in request.path else None
    with store.copied(blob.sha256) as spool:
        assert spool.read() == content
    assert next(cuts, None) is None


@pytest.mark.parametrize("fault", [LOSE_REQUEST, LOSE_ANSWER])
def test_a_conditional_request_is_settled_when_its_answer_is_lost(
    store: BucketStore, way: Forwarder, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    """Whether it was done is looked up, never guessed: the one that asked gets the key, made new or written over."""
    monkeypatch.setattr(objects_module, "PAUSES", (0.0, 0.0))
    way.fault = once("PUT", "/lock", fault)
    assert store.swap("lock", None, b"ours")
    way.fault = once("PUT", "/lock", fault)
    assert store.swap("lock", b"ours", b"ours again")
    assert store.get("lock") == b"ours again"
    way.fault = once("PUT", "/lock", fault)
    assert not store.swap("lock", b"ours", b"never")


def test_a_run_survives_lost_requests_and_answers(sandbox: Sandbox, store: BucketStore, way: Forwarder) -> None:
    """Every ninth request to the bucket is lost, or its answer: the backup is whole all the same."""
    numbers = itertools.count(1)

    def lose(_: Request) -> int | None:
        return {0: LOSE_REQUEST, 4: LOSE_ANSWER}.get(next(numbers) % 9)

    way.fault = lose
    assert back_up(sandbox, store).exit_code == 0
    way.fault = no_fault
    assert ak.verify(store, deep=True).ok


@pytest.mark.parametrize("header", ["if-none-match", "if-match"])
def test_a_server_that_ignores_conditions_gets_no_store(
    moto: str, monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    """Two runs could write at once there: the run ends before it writes, and what was there stays."""
    with forwarding(moto) as way:  # one that checks no signature, which a missing header would break
        sign_in(way.url, monkeypatch)
        _no_run_where_conditions_are_ignored(way, opened(new_bucket()), header)


def _no_run_where_conditions_are_ignored(way: Forwarder, store: BucketStore, header: str) -> None:
    store.bind(*PORTAL)
    before = store.get("store.json")
    way.without = (header,)
    with pytest.raises(StoreError, match="does not honour conditional requests"), store.lock("run", "somebody"):
        pass
    assert store.get("store.json") == before
    assert store.holder() is None


# What is wrong with the bucket, or with what was named


@pytest.mark.usefixtures("way")
def test_a_bucket_that_cannot_be_used_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """No bucket, no credentials, no server, something else in it: each says what to do."""
    with pytest.raises(StoreError, match=r"no such bucket.*docs/s3.md"):
        open_store("s3://agolkit-there-is-none/x")
    name = new_bucket()
    with pytest.raises(NoSuchBackup, match=f"no store at s3://{name}/agol"):
        opened(name, create=False)
    boto3.client("s3").put_object(Bucket=name, Key="agol/holiday.jpg", Body=b"")
    with pytest.raises(StoreError, match=r"holds 'holiday.jpg'.*empty prefix"):
        opened(name)
    monkeypatch.setattr(bucket_module, "ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="cannot be reached"):
        opened(name)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match="no credentials"):
        opened(name)


@pytest.mark.usefixtures("way")
def test_a_bucket_that_everybody_may_read_gets_no_store() -> None:
    """Backups hold personal data: nothing is written where the access control list lets everybody in."""
    name = new_bucket()
    boto3.client("s3").put_bucket_acl(Bucket=name, ACL="public-read")
    store = opened(name)
    with pytest.raises(StoreError, match="Everybody may read"):
        store.bind(*PORTAL)
    assert store.names("") == []


@pytest.mark.parametrize(
    ("location", "bucket", "prefix"),
    [
        ("s3://springfield-agol-backup", "springfield-agol-backup", ""),
        ("s3://springfield-agol-backup/", "springfield-agol-backup", ""),
        ("s3://a.b.c/one/two/", "a.b.c", "one/two"),
    ],
)
def test_a_location_names_a_bucket_and_a_prefix(location: str, bucket: str, prefix: str) -> None:
    """Slashes around the prefix do not count."""
    assert split_location(location) == (bucket, prefix)


@pytest.mark.parametrize(
    "location",
    [
        "s3://",
        "s3://key:secret@bucket/x",
        "s3:///x",
        "s3://Upper",
        "s3://ab",
        "s3://a_b_c/x",
        "s3://abc/x?y",
        "s3://abc/a//b",
        "s3://abc/../b",
    ],
)
def test_what_names_no_bucket_is_refused(location: str) -> None:
    """Before anything is sent, and without a word of what may be a secret."""
    with pytest.raises(UsageError) as refused:
        open_store(location)
    assert "secret" not in str(refused.value)


def test_the_settings_of_a_bucket_come_from_the_environment() -> None:
    """What is not set has its default, and what there is not is refused."""
    assert BucketSettings.from_environment({}) == BucketSettings()
    given = {"AGOLKIT_S3_ENCRYPTION": "aws:kms", "AGOLKIT_S3_KMS_KEY_ID": "k", "AGOLKIT_S3_STORAGE_CLASS": "GLACIER_IR"}
    assert BucketSettings.from_environment(given) == BucketSettings("GLACIER_IR", "aws:kms", "k")
    for wrong in ({"storage_class": "DEEP_ARCHIVE"}, {"encryption": "rot13"}, {"kms_key_id": "k"}):
        with pytest.raises(UsageError):
            BucketSettings(**wrong)  # type: ignore[arg-type]
