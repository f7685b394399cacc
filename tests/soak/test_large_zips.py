"""Zips beyond what the first format of zips could hold, opened by programs that nobody here wrote; prints figures."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from peak import PEAK
from saved import MAP, STARTED, finish, save_part

from agolkit.model import Item, Outcome, Part, Reach, Result
from agolkit.store import LocalStore, Spool
from agolkit.zips import publish_zip

LARGE = 5_000_000_000
SMALL = 70_000
MOST_MEMORY = 200_000_000
"""Of a process that packs five gigabytes, the toolkit included."""
PROGRAMS = [["unzip", "-tq"], ["7z", "t", "-bd"]]

PUBLISH = (
    PEAK
    + """
import json, sys, time
import agolkit as ak
from agolkit.zips import publish_zip
store = ak.open_store(sys.argv[1])
before, began = peak(), time.monotonic()
done = publish_zip(store, scratch=sys.argv[2])
print(json.dumps({"key": done.key, "seconds": time.monotonic() - began, "before": before, "peak": peak()}))
"""
)


def open_elsewhere(path: Path) -> list[str]:
    """Names of the programs that have proven every file of a zip."""
    programs = [program for program in PROGRAMS if shutil.which(program[0])]
    for program in programs:
        tested = subprocess.run([*program, path], capture_output=True, text=True, check=True)
        assert "Warning" not in tested.stdout + tested.stderr
    if not programs:
        pytest.skip("neither unzip nor 7z is installed")
    return [program[0] for program in programs]


@pytest.mark.soak
def test_a_file_above_four_gigabytes(store: LocalStore, tmp_path: Path) -> None:
    """It is stored as it is, with a file behind it; memory stays flat, and all of it comes out again."""
    store.bind("0123456789abcdef", "Smallville")
    chunk = bytes(range(256)) * 4096
    with Spool(tmp_path) as spool:
        for _ in range(LARGE // len(chunk) + 1):
            spool.write(chunk)
        blob, _ = store.add_blob(spool)
    parts = (
        save_part(store, "item", "item.json", b"{}"),
        Part("data", "data.zip", blob, Reach.PARSED),
        save_part(store, "metadata", "metadata.xml", b"<behind/>"),
    )
    finish(store.begin(STARTED, "default", tree="none"), [Outcome(MAP, Result.VERIFIED, STARTED, "document", parts)])
    run = subprocess.run(
        [sys.executable, "-c", PUBLISH, str(store.root), str(tmp_path)], capture_output=True, text=True, check=True
    )
    figures = json.loads(run.stdout)
    path = store.root / figures["key"]
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename.split("/")[-1]: (info.file_size, info.header_offset) for info in archive.infolist()}
        with archive.open(next(name for name in archive.namelist() if name.endswith("data.zip"))) as entry:
            assert hashlib.file_digest(entry, "sha256").hexdigest() == blob.sha256
    assert sizes["data.zip"][0] > 2**32
    assert sizes["metadata.xml"][1] > 2**32
    print(
        f"\n{path.stat().st_size:,} bytes in {figures['seconds']:.0f} s; peak memory {figures['peak'] / 1e6:,.0f} MB, "
        f"{figures['before'] / 1e6:,.0f} MB before; opened by {', '.join(open_elsewhere(path))}"
    )
    assert figures["peak"] < MOST_MEMORY


@pytest.mark.soak
def test_more_than_65535_files(store: LocalStore, tmp_path: Path) -> None:
    """As many as the first format of zips could not count, each under its name."""
    store.bind("0123456789abcdef", "Smallville")
    part = save_part(store, "resource", "resources/0.txt", b"small")
    outcomes = []
    for number in range(SMALL // 100):
        item = Item(id=f"{number:032x}", title=f"Map {number}", type="Web Map", owner="ann")
        parts = tuple(replace(part, path=f"resources/{each}.txt") for each in range(100))
        outcomes.append(Outcome(item, Result.VERIFIED, STARTED, "document", parts))
    finish(store.begin(STARTED, "default", tree="none"), outcomes)
    run = subprocess.run(
        [sys.executable, "-c", PUBLISH, str(store.root), str(tmp_path)], capture_output=True, text=True, check=True
    )
    figures = json.loads(run.stdout)
    path = store.root / figures["key"]
    with zipfile.ZipFile(path) as archive:
        assert len(set(archive.namelist())) == len(archive.namelist()) > SMALL
    print(
        f"\n{SMALL:,} files in {figures['seconds']:.0f} s; peak memory {figures['peak'] / 1e6:,.0f} MB, "
        f"{figures['before'] / 1e6:,.0f} MB before; opened by {', '.join(open_elsewhere(path))}"
    )
    assert publish_zip(store).files > SMALL
