"""The contract of a store: every kind of store passes these tests unchanged. It is added to `KINDS`."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pandas
import pytest
from buckets import new_bucket, sign_in
from saved import STARTED, begin_sample, sample_outcomes, save_sample

from agolkit.errors import NoSuchBackup, StoreBusy, StoreDamaged, StoreError, UsageError
from agolkit.layout import tree_path
from agolkit.store import Lease, Spool, Store, open_store

Opener = Callable[..., Store]
KINDS = ["local", "moto", pytest.param("ceph", marks=pytest.mark.ceph)]


@pytest.fixture(params=KINDS)
def opener(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opener:
    """Opens the same store again and again, as several runs would."""
    location = str(tmp_path / "store")
    if request.param != "local":
        sign_in(request.getfixturevalue(request.param), monkeypatch)
        location = f"s3://{new_bucket()}/one/store"
    return lambda **how: open_store(location, **how)


@pytest.fixture
def store(opener: Opener) -> Store:
    return opener()


@pytest.fixture
def bound(store: Store) -> Store:
    store.bind("0123456789abcdef", "Smallville")
    return store


def add(store: Store, content: bytes, **spooling: object) -> tuple[str, bool]:
    """Save content; its hash, and whether it was new."""
    with Spool(**spooling) as spool:  # type: ignore[arg-type]
        spool.write(content)
        blob, is_new = store.add_blob(spool)
    assert blob.size == len(content)
    return blob.sha256, is_new


# Primitives


def test_what_is_put_is_found_again(store: Store) -> None:
    """Content under a key is there whole, with its size, and replaced as a whole."""
    store.put("backups/x/a b.txt", b"one")
    store.put("backups/x/a b.txt", b"three")
    assert store.get("backups/x/a b.txt") == store.find("backups/x/a b.txt") == b"three"
    assert store.size("backups/x/a b.txt") == 5
    with store.open("backups/x/a b.txt") as stream:
        stream.seek(2)
        assert stream.read() == b"ree"


def test_what_was_never_put_is_not_there(store: Store) -> None:
    """An absent key has no size and no content, and opening it says so; a folder is no content."""
    store.put("backups/x/y", b"")
    for key in ("backups/z", "backups/x", "backups/x/y/z"):
        assert store.size(key) is None
    assert store.find("backups/z") is None
    assert store.age("backups/z") is None
    with pytest.raises(FileNotFoundError):
        store.open("backups/z")


def test_names_are_listed_in_order_one_level_deep(store: Store) -> None:
    """Files and folders directly below a prefix, sorted; nothing where the prefix is unknown."""
    for key in ("backups/b/1", "backups/a/2", "backups/a/1", "lock"):
        store.put(key, b"")
    assert store.names("backups") == ["a", "b"]
    assert store.names("backups/a") == ["1", "2"]
    assert store.names("nowhere") == []
    assert {"backups", "lock"} <= set(store.names(""))


@pytest.mark.parametrize("key", ["../x", "/x", "a/../../x", "a\\x", "C:x", "a/\0", "", "a//b", "a/nul.txt"])
def test_no_key_leads_outside(store: Store, key: str) -> None:
    """A key that is not a plain relative path is refused, whoever made it."""
    with pytest.raises(StoreError, match="not a path inside a store"):
        store.put(key, b"x")


def test_what_comes_in_pieces_is_there_when_all_of_it_has_come(store: Store) -> None:
    """A long file is put piece by piece, whole or not at all: an error in the middle leaves what was there."""

    def pieces(*, end: bool) -> Iterator[bytes]:
        for number in range(3):
            yield bytes([number]) * 4_000_000
        if not end:
            raise ZeroDivisionError

    store.stream("zips/a.zip", pieces(end=True))
    with store.open("zips/a.zip") as stream:
        store.stream("zips/c.zip", iter(lambda: stream.read(1 << 20), b""))
    assert store.get("zips/c.zip") == store.get("zips/a.zip")
    store.remove("zips/c.zip")
    with pytest.raises(ZeroDivisionError):
        store.stream("zips/a.zip", pieces(end=False))
    with pytest.raises(ZeroDivisionError):
        store.stream("zips/b.zip", pieces(end=False))
    assert store.get("zips/a.zip") == b"".join(pieces(end=True))
    assert store.names("zips") == ["a.zip"]


def test_swap_writes_only_what_was_expected_to_be_there(store: Store) -> None:
    """A key is made once, and overwritten only by whoever knows what is in it."""
    assert store.swap("lock", None, b"1")
    assert not store.swap("lock", None, b"2")
    assert not store.swap("lock", b"0", b"2")
    assert store.get("lock") == b"1"
    assert store.swap("lock", b"1", b"2")
    assert store.get("lock") == b"2"


def test_of_many_that_swap_at_once_one_succeeds(opener: Opener) -> None:
    """Sixteen runs that want the same key at the same moment: one gets it, as its content shows."""
    together = threading.Barrier(16)

    def contend(number: int) -> bool:
        store = opener()
        together.wait()
        return store.swap("lock", None, str(number).encode())

    with ThreadPoolExecutor(16) as executor:
        won = list(executor.map(contend, range(16)))
    assert won.count(True) == 1
    assert opener().get("lock") == str(won.index(True)).encode()


def test_the_store_knows_how_old_a_key_is(store: Store) -> None:
    """Ages are measured by the store's own clock."""
    store.put("lock", b"")
    age = store.age("lock")
    assert age is not None
    assert 0 <= age < 60
    assert abs(store.now() - datetime.now(UTC)).total_seconds() < 60


def test_what_is_removed_is_gone_and_nothing_else(store: Store) -> None:
    """One key and its content are removed, and may be put again; a folder is no content, and absence no error."""
    for key in ("backups/x/a.txt", "backups/x/b.txt"):
        store.put(key, b"1")
    for key in ("backups/x/a.txt", "backups/x/a.txt", "backups/x", "nowhere/c.txt"):
        store.remove(key)
        store.flush()
    assert store.names("backups/x") == ["b.txt"]
    store.put("backups/x/a.txt", b"2")
    assert store.get("backups/x/a.txt") == b"2"


# Blobs


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_a_blob_is_saved_once_under_its_hash(bound: Store, size: int) -> None:
    """The same content is new the first time only; its bytes come back exactly."""
    content = b"\xff" * size
    digest, is_new = add(bound, content)
    assert is_new
    assert digest == hashlib.sha256(content).hexdigest()
    assert add(bound, content) == (digest, False)
    assert bound.blob_size(digest) == size
    with bound.open_blob(digest) as stream:
        assert stream.read() == content
    with bound.copied(digest) as spool:
        assert spool.read() == content


def test_a_spool_is_still_readable_after_its_content_was_saved(bound: Store) -> None:
    """Whoever checks a payload may do so before or after saving it; closing the spool leaves the blob alone."""
    spool = Spool(in_memory=3)
    spool.write(b"large content")
    blob, _ = bound.add_blob(spool)
    assert spool.read() == b"large content"
    assert spool.path().read_bytes() == b"large content"
    spool.close()
    assert bound.blob_size(blob.sha256) == 13


def test_equal_content_from_many_threads_is_new_once(bound: Store) -> None:
    """Sixteen threads that save the same four contents: each is new to one of them."""
    contents = [bytes([number % 4]) * 2_000_000 for number in range(16)]
    with ThreadPoolExecutor(16) as executor:
        saved = list(executor.map(lambda content: add(bound, content), contents))
    assert sum(is_new for _, is_new in saved) == 4
    for (digest, _), content in zip(saved, contents, strict=True):
        with bound.copied(digest) as spool:
            assert spool.read() == content


def test_a_missing_blob_is_damage(bound: Store) -> None:
    """Whoever opens a blob that is not there is told which one."""
    with pytest.raises(StoreDamaged, match="Blob 000"):
        bound.open_blob("0" * 64)


def test_a_blob_that_was_removed_is_gone_until_it_is_saved_again(bound: Store) -> None:
    """Its bytes are told, the other blobs stay, and the same content is new once more, even to the same run."""
    kept, gone = add(bound, b"kept")[0], add(bound, b"gone")[0]
    assert bound.remove_blobs([gone]) == 4
    assert bound.remove_blobs([gone]) == 0
    assert list(bound.blobs()) == [kept]
    with pytest.raises(StoreDamaged, match=gone):
        bound.open_blob(gone)
    assert add(bound, b"gone") == (gone, True)
    assert add(bound, b"kept") == (kept, False)


def test_every_blob_is_listed_and_nothing_else(bound: Store) -> None:
    """A file that somebody has put among the blobs is not taken for one."""
    digests = {add(bound, bytes([number]))[0] for number in range(20)}
    first = min(digests)
    for stranger in ("blobs/notes.txt", f"blobs/{first[:2]}/desktop.ini", f"blobs/{first[:2]}/{'0' * 63}g"):
        bound.put(stranger, b"")
    listed = list(bound.blobs())
    assert len(listed) == 20
    assert set(listed) == digests


# Whose store it is


def test_opening_a_store_writes_nothing(opener: Opener) -> None:
    """A new store is made on first use; only then can it be opened without `create`."""
    store = opener()
    assert store.backups().empty
    with pytest.raises(NoSuchBackup, match="no store"):
        opener(create=False)
    store.bind("0123456789abcdef", "Smallville")
    assert opener(create=False).portal_name == "Smallville"
    assert "read without the program" in store.get("README.txt").decode()


def test_a_store_belongs_to_one_organization(opener: Opener, bound: Store) -> None:
    """Another organization's run is refused by name; the same one may come again."""
    opener().bind("0123456789abcdef", "Smallville")
    with pytest.raises(StoreError, match="belongs to Smallville"):
        opener().bind("fedcba9876543210", "Gotham")
    assert json.loads(bound.get("store.json"))["portal_id"] == "0123456789abcdef"


def test_a_newer_format_is_only_read(opener: Opener, store: Store) -> None:
    """What a newer agolkit wrote can be read, and every way of writing says why it cannot be written."""
    name, _ = save_sample(store)
    facts = json.loads(store.get("store.json"))
    store.put("store.json", json.dumps(facts | {"format": "2.0", "unknown": 1}).encode())
    newer = opener()
    assert newer.resolve("latest") == name
    with Spool() as spool:
        for write in (
            lambda: newer.bind("0123456789abcdef", "Smallville"),
            lambda: newer.lock("run", "ann"),
            lambda: newer.begin(STARTED, "default"),
            lambda: newer.add_blob(spool),
            lambda: newer.remove_blobs(["0" * 64]),
        ):
            with pytest.raises(StoreError, match=r"format 2\.0"):
                write()


def test_a_damaged_store_file_is_said(opener: Opener, store: Store) -> None:
    """A store.json that is no JSON is not taken for a new store."""
    store.put("store.json", b"{")
    with pytest.raises(StoreDamaged, match=r"store\.json"):
        opener()


# The lease


def test_a_second_run_is_told_who_holds_the_store(opener: Opener, bound: Store) -> None:
    """While a lease is held nobody else gets one; afterwards the next run does."""
    with bound.lock("run-1", "ann") as lease:
        lease.check()
        with pytest.raises(StoreBusy, match=r"ann on .*since 20\d\d-"), opener().lock("run-2", "bob"):
            pass
        lease.check()
    assert json.loads(bound.get("lock"))["state"] == "released"
    with opener().lock("run-2", "bob") as next_lease:
        next_lease.check()


@pytest.mark.usefixtures("bound")
def test_of_many_runs_one_gets_the_store(opener: Opener) -> None:
    """Eight runs that begin at the same moment: one works, seven are told to wait."""
    together = threading.Barrier(8)
    holding: list[int] = []

    def run(number: int) -> bool:
        together.wait()
        try:
            with opener().lock(f"run-{number}", "ann"):
                holding.append(number)
                together.wait()
        except StoreBusy:
            together.wait()
            return False
        return True

    with ThreadPoolExecutor(8) as executor:
        assert list(executor.map(run, range(8))).count(True) == 1
    assert len(holding) == 1


def test_a_stale_lease_is_taken_over_and_its_owner_notices(opener: Opener, bound: Store) -> None:
    """A run that slept too long loses the store, is told so when it checks, and does not release the other's lease."""
    with bound.lock("run-1", "ann") as sleeper, Lease(opener(), "run-2", "bob", stale_after=0) as taker:
        taker.check()
        with pytest.raises(StoreBusy, match=r"lost its hold.*bob"):
            sleeper.check()
        sleeper.renew()
        taker.check()
    assert json.loads(bound.get("lock"))["run_id"] == "run-2"


def test_a_torn_lock_is_held_until_it_is_stale(opener: Opener, bound: Store) -> None:
    """A lock that cannot be read may be a run's that lives."""
    bound.put("lock", b'{"state": "he')
    with pytest.raises(StoreBusy), opener().lock("run-2", "bob"):
        pass
    with Lease(opener(), "run-2", "bob", stale_after=0) as lease:
        lease.check()


def test_a_lease_is_renewed_while_the_run_works(bound: Store) -> None:
    """The renewing thread writes the lock again at each interval, with the time of its own clock."""
    waited: list[float] = []
    renewed_twice = threading.Event()

    def wait(over: threading.Event, seconds: float) -> bool:
        waited.append(seconds)
        if len(waited) <= 2:
            return False
        renewed_twice.set()
        return over.wait()

    times = iter(datetime(2026, 11, 23, 2, minute, tzinfo=UTC) for minute in range(60))
    with Lease(bound, "run-1", "ann", interval=30, clock=lambda: next(times), wait=wait) as lease:
        assert renewed_twice.wait(60)
        facts = json.loads(bound.get("lock"))
        lease.check()
    assert waited == [30, 30, 30]
    assert facts["since"] == "2026-11-23T02:00:00Z"
    assert facts["renewed"] == "2026-11-23T02:03:00Z"


# Backups


def test_backups_are_listed_oldest_first(store: Store) -> None:
    """One row per backup with the right dtypes: complete, stopped, and killed."""
    complete, outcomes = save_sample(store)
    stopped, _ = save_sample(store, started=STARTED.replace(day=24), state="stopped")
    killed, _ = begin_sample(store, started=STARTED.replace(day=25))
    table = store.backups()
    assert list(table["name"]) == [complete, stopped, killed.name]
    assert list(table["state"]) == ["complete", "stopped", "unfinished"]
    assert list(table["scope"]) == ["default"] * 3
    assert list(table["label"]) == ["nightly"] * 3
    assert str(table["started"].dtype).endswith("UTC]")
    assert list(table["started"]) == [pandas.Timestamp(STARTED.replace(day=day)) for day in (23, 24, 25)]
    assert table["finished"].isna().tolist() == [False, False, True]
    first = table.iloc[0]
    assert (first["items"], first["verified"], first["partial"], first["excluded"], first["failed"]) == (3, 1, 1, 1, 0)
    assert first["saved_bytes"] == sum(outcome.saved_bytes for outcome in outcomes)
    assert first["fetched_bytes"] == outcomes[0].saved_bytes
    assert first["new_bytes"] == 4711
    assert table["items"].isna().tolist() == [False, False, True]
    assert str(table["items"].dtype) == "Int64"
    assert list(store.backups().columns) == list(table.columns)


def test_latest_is_the_newest_complete_backup(store: Store) -> None:
    """Stopped and killed runs are found by name only, and by the beginning of a name that is unique."""
    with pytest.raises(NoSuchBackup, match="no complete backup yet"):
        store.resolve("latest")
    stopped, _ = save_sample(store, started=STARTED.replace(day=24), state="stopped")
    with pytest.raises(NoSuchBackup, match=rf"no complete backup yet; name one of: {stopped} \(stopped\)"):
        store.resolve("latest")
    complete, _ = save_sample(store)
    assert store.resolve("latest") == store.resolve("latest", scope="default") == complete
    assert store.resolve(stopped) == store.resolve("2026-11-24") == stopped
    with pytest.raises(NoSuchBackup, match=f"more than one.*{complete}, {stopped}"):
        store.resolve("2026-11")
    for unknown in ("2025", "", "../blobs"):
        with pytest.raises(NoSuchBackup):
            store.resolve(unknown)
    with pytest.raises(NoSuchBackup, match="'weekly'"):
        store.resolve("latest", scope="weekly")


def test_two_backups_of_one_second_have_names_of_their_own(bound: Store) -> None:
    """A name is never used twice, and a name that begins another's is still found."""
    first, second = bound.begin(STARTED, "default"), bound.begin(STARTED, "default")
    assert (first.name, second.name) == ("2026-11-23T020000Z", "2026-11-23T020000Z-2")
    assert bound.resolve(first.name) == first.name


def test_a_file_of_a_backup_is_read_by_name(store: Store, tmp_path: Path) -> None:
    """What a draft writes or copies in is read again, and a file that is not there is said."""
    draft, _ = begin_sample(store)
    source = tmp_path / "executed.ipynb"
    source.write_bytes(b"{}" * 1_000_000)
    draft.put_file("backup.ipynb", source)
    draft.write("report.html", b"<html>")
    assert store.read(draft.name, "backup.ipynb") == source.read_bytes()
    assert store.read(draft.name, "report.html") == b"<html>"
    assert draft.files["report.html"].size == 6
    with pytest.raises(NoSuchBackup, match="has no log"):
        store.read(draft.name, "log.jsonl")


@pytest.mark.parametrize("tree", ["auto", "copy", "none"])
def test_the_tree_shows_what_was_saved(store: Store, tree: str) -> None:
    """With links or copies, every part is in the tree with its content; without a tree, nothing is."""
    draft, outcomes = begin_sample(store, tree=tree)
    for outcome in outcomes:
        for part in outcome.parts:
            key = f"backups/{draft.name}/{tree_path(outcome.item, part)}"
            if draft.tree == "none":
                assert store.size(key) is None
            else:
                with store.copied(part.blob.sha256) as spool:
                    assert store.get(key) == spool.read()
                assert store.is_linked(part.blob.sha256, key) == (draft.tree == "links")


def test_the_tree_never_shows_two_files_under_one_name(store: Store) -> None:
    """Showing the same blob again is no harm; another blob under its name is refused."""
    draft, _ = begin_sample(store)
    if draft.tree != "links":
        pytest.skip("this store has no links")
    first, second = (part.blob for part in sample_outcomes(store)[0].parts[:2])
    draft.link("Web Map/x/a.json", first)
    draft.link("Web Map/x/a.json", first)
    with pytest.raises(StoreError, match="Two different files"):
        draft.link("Web Map/x/a.json", second)


@pytest.mark.parametrize("ended", [True, False])
def test_a_backup_can_be_taken_up(store: Store, ended: bool) -> None:
    """It is unfinished again and keeps how it began, its journal and its files; the tree begins anew."""
    name = save_sample(store, state="stopped")[0] if ended else begin_sample(store)[0].name
    journal = store.names(f"backups/{name}/journal")
    began = store.get(f"backups/{name}/journal/000000.jsonl")
    draft = store.resume(name, STARTED.replace(hour=3), tree="copy")
    facts = store.summary(name)
    assert (facts["state"], facts["scope"], facts["label"]) == ("unfinished", "default", "nightly")
    assert (facts["started"], facts["resumed"]) == ("2026-11-23T02:00:00Z", "2026-11-23T03:00:00Z")
    assert (draft.name, draft.tree) == (name, "copy")
    assert store.names(f"backups/{name}/journal") == journal
    assert store.get(f"backups/{name}/journal/000000.jsonl") == began
    own = {"organization.json", "manifest.jsonl.gz", "AllItems.csv", "SHA256SUMS"} if ended else set()
    assert set(store.names(f"backups/{name}")) == {"backup.json", "journal", *own}
    outcome = sample_outcomes(store)[0]
    draft.link(tree_path(outcome.item, outcome.parts[0]), outcome.parts[0].blob)
    assert store.size(f"backups/{name}/{tree_path(outcome.item, outcome.parts[0])}") == outcome.parts[0].blob.size


def test_what_is_cleared_is_gone_and_nothing_else(store: Store) -> None:
    """Everything below a folder is removed; a file, and what is not there, are no folders."""
    for key in ("backups/x/a/b.txt", "backups/x/a/c/d.txt", "backups/x/ab.txt"):
        store.put(key, b"1")
    for prefix in ("backups/x/a", "backups/x/ab.txt", "backups/x/z"):
        store.clear(prefix)
    assert store.names("backups/x") == ["ab.txt"]
    store.put("backups/x/a/b.txt", b"2")
    assert store.get("backups/x/a/b.txt") == b"2"


def test_a_blob_that_is_not_there_cannot_be_shown(store: Store) -> None:
    """A tree refers only to blobs that exist."""
    draft, outcomes = begin_sample(store)
    blob = outcomes[0].parts[0].blob
    missing = type(blob)("0" * 64, 1)
    if draft.tree != "none":
        with pytest.raises(StoreError, match="Blob 000"):
            draft.link("Web Map/x/a.json", missing)


def test_only_folders_and_buckets_can_be_opened() -> None:
    """Other locations are a usage error, not a folder of that name."""
    for location in ("gs://bucket/prefix", "https://example.org/x", " "):
        with pytest.raises(UsageError):
            open_store(location)
