"""Blobs of a bucket that are fetched before they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from buckets import new_bucket, sign_in
from forwarder import Forwarder, forwarding

from agolkit.errors import StoreDamaged
from agolkit.model import Blob
from agolkit.store import LocalStore, Spool, Store, ahead, open_store
from agolkit.store.ahead import Ahead


@pytest.fixture
def way(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forwarder]:
    with forwarding(moto) as way:
        sign_in(way.url, monkeypatch)
        yield way


@pytest.fixture
def bucket(way: Forwarder) -> Store:
    assert way.url
    store = open_store(f"s3://{new_bucket()}/agol")
    store.bind("0123456789abcdef", "Smallville")
    return store


def save(store: Store, *contents: bytes) -> list[Blob]:
    blobs = []
    for content in contents:
        with Spool() as spool:
            spool.write(content)
            blobs.append(store.add_blob(spool)[0])
    return blobs


def test_copies_come_in_order_and_before_they_are_asked_for(
    bucket: Store, way: Forwarder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next ones are on their way, no more than so many; a large one is left to whoever asks for it."""
    monkeypatch.setattr(ahead, "WAITING", 3)
    monkeypatch.setattr(ahead, "SMALL", 10)
    contents = [b"a", b"b", b"large" * 3, b"c", b"d", b"e"]
    blobs = save(bucket, *contents)
    way.requests.clear()
    with Ahead(bucket, blobs) as copies:
        for blob, content in zip(blobs, contents, strict=True):
            copy = copies.take(blob.sha256)
            assert (copy is None) == (len(content) > 10)
            if copy:
                with copy:
                    assert copy.read() == content
    assert way.count("GET", "/blobs/") == 5


def test_what_nobody_asks_for_any_more_leaves_nothing_behind(bucket: Store, tmp_path: Path) -> None:
    """Copies that were made and not wanted are removed from the scratch folder; what is damaged is said when asked."""
    blobs = save(bucket, b"x" * 2_000_000, b"y" * 2_000_000)
    bucket.remove_blobs([blobs[0].sha256])
    with Ahead(bucket, blobs, tmp_path) as copies, pytest.raises(StoreDamaged, match="is missing"):
        copies.take(blobs[0].sha256)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_copied_of_a_store_that_is_near(store: LocalStore) -> None:
    """Its files are read where they lie."""
    store.bind("0123456789abcdef", "Smallville")
    (blob,) = save(store, b"a")
    with Ahead(store, [blob]) as copies:
        assert copies.take(blob.sha256) is None
