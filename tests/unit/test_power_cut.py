"""The power goes, at any moment: what had been flushed by then is a store in which nothing refers to what is lost."""

from __future__ import annotations

import itertools
import json
import os
import random
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from saved import MAP, STARTED, save_part

from agolkit.errors import NoSuchBackup
from agolkit.journal import Journal
from agolkit.layout import tree_path
from agolkit.manifest import backup_facts, close_backup, write_manifest
from agolkit.model import Item, Outcome, Result
from agolkit.options import BackupOptions
from agolkit.store import LocalStore, open_store
from agolkit.verify import verify

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux reads what a handle for writing wrote")


class Disk:
    """What a folder would hold if the power went now.

    Of a file there is what it held when it was last flushed, and before that nobody knows what; of a folder, the names
    that it had when it was last flushed, and each change since may be there or not.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._root = root
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._open: list[int] = []
        """Files whose numbers must not be given to others."""
        self._fsync = os.fsync
        self.at_each: Callable[[], object] = lambda: None
        """Done before each flush, where the power may go."""
        monkeypatch.setattr(os, "fsync", self._flush)

    def _flush(self, handle: int) -> None:
        self.at_each()
        number = os.fstat(handle).st_ino
        if number not in self._contents | self._names:
            self._open.append(os.dup(handle))
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            self._names[number] = {entry.name: entry.inode() for entry in os.scandir(handle)}
        else:
            with open(f"/proc/self/fd/{handle}", "rb") as file:  # the handle itself may be one for writing only
                self._contents[number] = file.read()
        self._fsync(handle)

    def survives_in(self, target: Path, chance: random.Random) -> None:
        """Make in `target` what is there after the power cut."""
        self._survive(self._root, target, self._root.stat().st_ino, chance)

    def _survive(self, now: Path | None, target: Path, number: int, chance: random.Random) -> None:
        target.mkdir()
        current = {entry.name: entry.inode() for entry in os.scandir(now)} if now else {}
        flushed = self._names.get(number, {})
        for name in sorted(current.keys() | flushed.keys()):
            inode = flushed.get(name)
            if inode != current.get(name) and chance.random() < 0.5:
                inode = current.get(name)
            if inode is None:
                continue
            here = now / name if now and current.get(name) == inode else None
            if (here and here.is_dir()) or inode in self._names:
                self._survive(here, target / name, inode, chance)
            else:
                unknown = here.read_bytes() if here else b""
                content = self._contents.get(inode, unknown[: chance.randrange(len(unknown) + 1)])
                (target / name).write_bytes(content)

    def close(self) -> None:
        for handle in self._open:
            os.close(handle)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """The disk under `tmp_path / "store"`."""
    (tmp_path / "store").mkdir()
    disk = Disk(tmp_path / "store", monkeypatch)
    yield disk
    disk.close()


def damages(place: Path) -> Iterator[str]:
    """What is wrong with a store after a power cut, but for backups that had not come to their end."""
    try:
        store = open_store(place, create=False)
    except NoSuchBackup:
        assert not (place / "backups").exists()
        return
    for name in store.backup_names():
        if store.find(f"backups/{name}/journal/000000.jsonl") is None:
            continue  # the name alone: nothing had begun
        for damage in verify(store, name, deep=True).damages:
            if "was killed" not in damage.what:
                yield f"{name}: {damage.path} {damage.what}"


def described(item: Item, day: int) -> bytes:
    """The description of an item, another one each day."""
    return json.dumps({"id": item.id, "snippet": f"as of day {day}"}).encode()


def back_up(store: LocalStore, day: int) -> str:
    """A backup whose every file is new to the store, and whose journal has a segment for each item."""
    started = STARTED.replace(day=day)
    draft = store.begin(started, "default")
    journal = Journal(draft, clock=itertools.count(step=11).__next__)
    outcomes = []
    for number in range(4):
        item = Item(id=f"{number:032x}", title=f"Map {number}", type="Web Map", owner="ann")
        part = save_part(store, "item", "item.json", described(item, day))
        draft.link(tree_path(item, part), part.blob)
        outcomes.append(Outcome(item, Result.VERIFIED, started, "document", (part,)))
        journal.add(outcomes[-1])
    save_part(store, "data", "data.json", b"[%d]" % day)  # of an item that is under way
    journal.close()
    last = save_part(store, "item", "item.json", described(MAP, day))  # after the journal's last segment
    draft.link(tree_path(MAP, last), last.blob)
    outcomes.append(Outcome(MAP, Result.VERIFIED, started, "document", (last,)))
    write_manifest(draft, outcomes)
    options = BackupOptions()
    facts = {"state": "complete", "finished": started, "options": options, "new_bytes": 0, "portal_url": ""}
    close_backup(draft, backup_facts(draft, outcomes, **facts))  # type: ignore[arg-type]
    return draft.name


@pytest.mark.parametrize("seed", range(3))
def test_nothing_refers_to_what_a_power_cut_took(disk: Disk, tmp_path: Path, seed: int) -> None:
    """Before every flush of two backups the power goes: whatever survived, no backup names a file that is lost."""
    chance = random.Random(seed)
    cuts = 0

    def cut() -> None:
        nonlocal cuts
        cuts += 1
        after = tmp_path / f"after cut {cuts}"
        disk.survives_in(after, chance)
        assert list(damages(after)) == [], f"power cut {cuts}"

    disk.at_each = cut
    store = LocalStore(tmp_path / "store")
    store.bind("0123456789abcdef", "Smallville")
    with store.lock("run-1", "ann"):
        name = back_up(store, 23)
    disk.at_each = lambda: None
    disk.survives_in(tmp_path / "after the run", chance)
    assert open_store(tmp_path / "after the run").resolve("latest") == name
    assert verify(open_store(tmp_path / "after the run"), name, deep=True).ok
    disk.at_each = cut
    with store.lock("run-2", "ann"):
        back_up(store, 24)
    assert cuts > 50
