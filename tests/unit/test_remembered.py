"""The small memory of a store in a bucket: what it saves, and what it never keeps too long."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import pytest

from agolkit.store import remembered
from agolkit.store.remembered import Remembered

NIGHTS = [f"2026-11-{day:02}T020000Z" for day in range(1, 4)]


class Server:
    """Files under keys, and how often each was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {key_of(night): night.encode() for night in NIGHTS}
        self.asked: Counter[str] = Counter()

    def find(self, key: str) -> bytes | None:
        self.asked[key] += 1
        return self.files.get(key)

    def names(self, folder: str) -> list[str]:
        self.asked[folder] += 1
        return sorted({key.split("/")[1] for key in self.files})


def key_of(night: str, name: str = "backup.json") -> str:
    return f"backups/{night}/{name}"


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def memory(server: Server) -> Remembered:
    return Remembered(server.find, server.names)


def test_within_a_block_each_file_is_read_once(server: Server, memory: Remembered) -> None:
    """The first `backup.json` brings all of them; a manifest is read when it is asked for; what is absent stays so."""
    server.files[key_of(NIGHTS[0], "manifest.jsonl.gz")] = b"items"
    with memory.kept():
        for _ in range(3):
            assert memory.names() == NIGHTS
            assert [memory.find(key_of(night)) for night in NIGHTS] == [night.encode() for night in NIGHTS]
            assert memory.find(key_of(NIGHTS[0], "manifest.jsonl.gz")) == b"items"
            assert memory.find(key_of(NIGHTS[1], "manifest.jsonl.gz")) is None
    assert set(server.asked.values()) == {1}


def test_outside_a_block_everything_is_read_each_time(server: Server, memory: Remembered) -> None:
    """Nothing is left of a block when the outermost one has ended: somebody else may change it from then on."""
    with memory.kept(), memory.kept():
        memory.find(key_of(NIGHTS[0]))
    server.files[key_of(NIGHTS[0])] = b"changed"
    del server.files[key_of(NIGHTS[1])]
    assert memory.find(key_of(NIGHTS[0])) == b"changed"
    assert memory.names() == [NIGHTS[0], NIGHTS[2]]
    with memory.kept():
        assert memory.find(key_of(NIGHTS[0])) == b"changed"
        assert memory.find(key_of(NIGHTS[1])) is None


@pytest.mark.parametrize("written", [key_of(NIGHTS[0]), f"backups/{NIGHTS[0]}", "backups"])
def test_what_is_written_is_read_again(server: Server, memory: Remembered, written: str) -> None:
    """A file, or all that is below a folder, whether the request has succeeded or not; others are kept."""
    with memory.kept():
        memory.find(key_of(NIGHTS[0]))
        with suppress(OSError), memory.changing(written):
            server.files[key_of(NIGHTS[0])] = b"changed"
            server.files[key_of("2026-11-09T020000Z")] = b"new"
            raise OSError("the answer was lost")
        assert memory.find(key_of(NIGHTS[0])) == b"changed"
        assert memory.find(key_of(NIGHTS[1])) == NIGHTS[1].encode()
        assert memory.names() == [*NIGHTS, "2026-11-09T020000Z"]
    assert server.asked[key_of(NIGHTS[1])] == (2 if written == "backups" else 1)


def test_other_files_are_never_remembered(server: Server, memory: Remembered) -> None:
    """The lock, the journal and what somebody may put beside a backup at any time are read each time."""
    with memory.kept():
        for key in (
            "lock",
            "store.json",
            key_of(NIGHTS[0], "unpinned.json"),
            key_of(NIGHTS[0], "journal/000000.jsonl"),
        ):
            for _ in range(2):
                assert memory.find(key) is None
            assert server.asked[key] == 2


def test_manifests_take_a_bounded_room(server: Server, memory: Remembered, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are read first are remembered, the rest is read each time; what is forgotten makes room."""
    monkeypatch.setattr(remembered, "MOST", 10)
    keys = [key_of(night, "manifest.jsonl.gz") for night in NIGHTS[:2]]
    server.files |= dict.fromkeys(keys, b"8 bytes.")
    memory = Remembered(server.find, server.names)
    with memory.kept():
        for key in (*keys, *keys):
            assert memory.find(key) == b"8 bytes."
        assert [server.asked[key] for key in keys] == [1, 2]
        with memory.changing(keys[0]):
            pass
        for key in reversed(keys):
            memory.find(key)
            memory.find(key)
        assert [server.asked[key] for key in keys] == [3, 3]
