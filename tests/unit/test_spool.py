"""Where a transfer waits until it is complete: counted, hashed, private, and gone afterwards."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path

import pytest

from agolkit.errors import AgolkitError, StoreError, StoreFull, TooLarge
from agolkit.store import Spool
from agolkit.store.spool import IN_MEMORY, RESERVE, room_on


@pytest.mark.parametrize("chunks", [[], [b""], [b"abc"], [b"x" * 700_000] * 5])
def test_a_spool_counts_and_hashes_what_is_written(tmp_path: Path, chunks: list[bytes]) -> None:
    """Size, hash and content are those of all chunks together, in memory or not."""
    content = b"".join(chunks)
    with Spool(tmp_path) as spool:
        for chunk in chunks:
            spool.write(chunk)
        assert spool.size == len(content)
        assert spool.sha256 == hashlib.sha256(content).hexdigest()
        assert spool.read() == content
        assert spool.path().read_bytes() == content
        with spool.open() as stream:
            assert stream.read() == content


def test_small_content_never_touches_the_disk(tmp_path: Path) -> None:
    """Up to 1 MiB stays in memory; one byte more goes to a file that only the owner can read and that goes away."""
    with Spool(tmp_path / "scratch") as spool:
        spool.write(b"x" * IN_MEMORY)
        assert spool.on_disk() is None
        assert not (tmp_path / "scratch").exists()
    with Spool(tmp_path / "scratch") as spool:
        spool.write(b"x" * (IN_MEMORY + 1))
        path = spool.on_disk()
        assert path is not None
        assert path.parent == tmp_path / "scratch"
        if os.name != "nt":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_transfer_that_starts_again_leaves_nothing_of_the_first_try(tmp_path: Path) -> None:
    """After `restart` only what follows counts."""
    with Spool(tmp_path, in_memory=10) as spool:
        spool.write(b"half of the first try")
        spool.restart()
        assert list(tmp_path.iterdir()) == []
        spool.write(b"second")
        assert (spool.size, spool.read()) == (6, b"second")
        assert spool.sha256 == hashlib.sha256(b"second").hexdigest()


def test_a_nearly_full_scratch_disk_is_noticed_before_it_is_full(tmp_path: Path) -> None:
    """The room on the disk is looked at again while a file grows."""
    room = [1 << 30]
    with Spool(tmp_path, in_memory=10, room=lambda _folder: room[0]) as spool:
        spool.write(b"x" * 20)
        room[0] = 1 << 20
        for _ in range(4):
            spool.write(b"x" * (1 << 20))
        with pytest.raises(StoreFull, match=r"no room for 2.1 MB: 1.0 MB of its disk.*stays readable.*option scratch"):
            spool.write(b"x" * (2 << 20))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("room", "error"), [(RESERVE + 1, TooLarge), (RESERVE, StoreFull), (-5, StoreFull)])
def test_what_has_no_room_is_not_begun(tmp_path: Path, room: int, error: type[AgolkitError]) -> None:
    """A length that is stated is compared with the room: one large file is told alone, a full disk ends the run."""
    with Spool(tmp_path / "scratch", room=lambda _folder: room) as spool:
        spool.expect(IN_MEMORY)
        with pytest.raises(error, match=r"no room for 100 GB: .* may be used"):
            spool.expect(100_000_000_000)
        assert list((tmp_path / "scratch").iterdir()) == []


def test_a_disk_that_does_not_say_how_large_it_is_is_written_to(tmp_path: Path) -> None:
    """Some network drives state nothing; they say that they are full when they are."""
    with Spool(tmp_path, in_memory=10, room=lambda _folder: None) as spool:
        spool.expect(100_000_000_000)
        spool.write(b"x" * 20)
        assert spool.size == 20


def test_a_part_of_each_disk_stays_free(tmp_path: Path) -> None:
    """The room on a real disk is less than what is free of it, by 64 MiB at most."""
    total, _, free = shutil.disk_usage(tmp_path)
    room = room_on(tmp_path)
    assert room is not None
    assert abs(free - min(RESERVE, total // 20) - room) < 1 << 28  # others write at the same time


def test_an_unusable_scratch_folder_is_named(tmp_path: Path) -> None:
    """A scratch folder that cannot be made is an error that says which option to change."""
    (tmp_path / "file").write_bytes(b"")
    with Spool(tmp_path / "file" / "scratch", in_memory=1) as spool, pytest.raises(StoreError, match="option scratch"):
        spool.write(b"xy")


def test_a_file_that_is_there_can_become_a_spool(tmp_path: Path) -> None:
    """Its content is counted and hashed, and the file is gone with the spool."""
    path = tmp_path / "made"
    path.write_bytes(b"abc" * 700_000)
    with Spool.over(path) as spool:
        assert spool.size == 2_100_000
        assert spool.sha256 == hashlib.sha256(b"abc" * 700_000).hexdigest()
        assert spool.path() == path
    assert not path.exists()
