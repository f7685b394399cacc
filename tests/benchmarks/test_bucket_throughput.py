"""How fast content goes into a bucket and comes back, beside the plain S3 client with as many threads in the same run.

Run with `pytest -m benchmark -s`. Each side works in a process of its own that tells its most memory; the sides take
turns and the best of three turns counts. Only ratios and memory are conditions. The plain client reads no content
twice and checks no hash; a store hashes what it sends and what it gets.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
import obstore
import pytest
from buckets import new_bucket, sign_in
from obstore.store import S3Store
from peak import PEAK

import agolkit as ak

pytestmark = [pytest.mark.benchmark, pytest.mark.slow, pytest.mark.timeout(3600)]

ROUNDS = 3
THREADS = 16
"""Those of a run."""
LARGE = {"ceph": 1_000_000_000, "moto": 200_000_000}
"""Bytes. What moto does with a part takes longer than to send it."""
SMALL = 2_000
LISTED = 100_000
MOST = 300_000_000
"""Bytes that a process which moves content may have at most, Python and all libraries included."""

CHILD = """
import json, os, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

side, what, bucket, prefix, folder, threads = sys.argv[1:]
paths = sorted(Path(folder).iterdir())
names = json.loads(sys.stdin.read())

if side == "store":
    import agolkit as ak
    from agolkit.store import Spool
    store = ak.open_store(f"s3://{bucket}/{prefix}")
    store.bind("0123456789abcdef", "Springfield")
    if what == "up":
        spools = [Spool.over(path) for path in paths]
        jobs = [lambda spool=spool: store.add_blob(spool)[0].size for spool in spools]
    elif what == "down":
        def get(name):
            with store.copied(name, Path(folder)) as spool:
                return spool.size
        jobs = [lambda name=name: get(name) for name in names]
    else:
        jobs = [store.survey]
else:
    import boto3
    from botocore.config import Config
    config = Config(max_pool_connections=2 * int(threads), request_checksum_calculation="when_required",
                    response_checksum_validation="when_required")
    client = boto3.client("s3", config=config)
    def put(path):
        if path.stat().st_size > 8 << 20:
            client.upload_file(str(path), bucket, f"{prefix}/{path.name}")
        else:
            client.put_object(Bucket=bucket, Key=f"{prefix}/{path.name}", Body=path.read_bytes())
        return path.stat().st_size
    def get(name):
        key, path = f"{prefix}/blobs/{name[:2]}/{name}", f"{folder}/{name}"
        if len(names) == 1:
            client.download_file(bucket, key, path)
            size = os.path.getsize(path)
            os.remove(path)
            return size
        return len(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    found = {}
    def listed():
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/blobs/"):
            found.update((each["Key"].rpartition("/")[2], each["Size"]) for each in page["Contents"])
    if what == "up":
        jobs = [lambda path=path: put(path) for path in paths]
    elif what == "down":
        jobs = [lambda name=name: get(name) for name in names]
    else:
        jobs = [listed]

before = peak()
began = time.perf_counter()
with ThreadPoolExecutor(int(threads)) as executor:
    done = list(executor.map(lambda job: job(), jobs))
took = time.perf_counter() - began
most = peak()
if what == "list":
    done = map(store.blob_size if side == "store" else found.get, names)
print(json.dumps({"seconds": took, "before": before, "peak": most, "bytes": sum(done)}))
"""


@pytest.fixture(params=["moto", pytest.param("ceph", marks=pytest.mark.ceph)])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the server that is signed in to."""
    sign_in(request.getfixturevalue(request.param), monkeypatch)
    return str(request.param)


def turn(
    side: str, what: str, bucket: str, prefix: str, folder: Path, *, names: Sequence[str], size: int
) -> dict[str, Any]:
    """Seconds and memory of one side, once; all bytes have come through."""
    command = [sys.executable, "-c", PEAK + CHILD, side, what, bucket, prefix, str(folder), str(THREADS)]
    done = subprocess.run(command, input=json.dumps(names), stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert told["bytes"] == size
    return told


def make(folder: Path, sizes: Sequence[int]) -> list[str]:
    """Files of random content, none like another; their hashes."""
    folder.mkdir()
    source, hashes = random.Random(7), []
    for number, size in enumerate(sizes):
        digest = hashlib.sha256()
        with (folder / f"{number:06}").open("wb") as file:
            for start in range(0, size, 1 << 20):
                digest.update(piece := source.randbytes(min(1 << 20, size - start)))
                file.write(piece)
        hashes.append(digest.hexdigest())
    return hashes


def copy_of(folder: Path, place: Path) -> Path:
    """The same files as links, for a side that removes what it has sent."""
    place.mkdir()
    for path in folder.iterdir():
        os.link(path, place / path.name)
    return place


def tell(server: str, what: str, number: int, size: int, best: dict[str, dict[str, Any]]) -> float:
    """Print one line for each side; how much faster the store is than the plain client."""
    for side, told in best.items():
        speed = f"{size / 1e6 / told['seconds']:6,.0f} MB/s" if size else ""
        speed += f"{number / told['seconds']:8,.0f} files/s" if number > 1 else ""
        memory = f"peak {told['peak'] / 1e6:4,.0f} MB, of which {told['before'] / 1e6:,.0f} MB before"
        print(f"\n{server}, {what}, {side:5}: {told['seconds']:6.2f} s {speed}   {memory}", end="")
    ratio = float(best["plain"]["seconds"] / best["store"]["seconds"])
    print(f"\n{server}, {what}: the store is {ratio:.2f} times as fast as the plain client")
    return ratio


def fastest(turns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return min(turns, key=lambda told: float(told["seconds"]))


@pytest.mark.parametrize("which", ["one large file", "small files"])
def test_up_and_down(server: str, which: str, tmp_path: Path) -> None:
    """A file of up to 1 GB, and 2,000 of some kilobytes to 200 kB, there and back in bounded memory."""
    source = random.Random(1)
    sizes = [LARGE[server]] if which == "one large file" else [source.randint(3_000, 200_000) for _ in range(SMALL)]
    names = make(tmp_path / "files", sizes)
    bucket, all_bytes = new_bucket(), sum(sizes)
    turns: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for number in range(ROUNDS):
        for side in ("plain", "store"):
            folder = copy_of(tmp_path / "files", tmp_path / "sent")
            told = turn(side, "up", bucket, f"{side}-{number}", folder, names=names, size=all_bytes)
            turns[side, "up"].append(told)
            shutil.rmtree(folder)
    (tmp_path / "got").mkdir()
    for _ in range(ROUNDS):
        for side in ("plain", "store"):
            told = turn(side, "down", bucket, "store-0", tmp_path / "got", names=names, size=all_bytes)
            turns[side, "down"].append(told)
    for what in ("up", "down"):
        best = {side: fastest(turns[side, what]) for side in ("plain", "store")}
        ratio = tell(server, f"{which}, {what}", len(sizes), all_bytes, best)
        assert ratio > 0.25
        assert max(told["peak"] for told in turns["store", what]) < MOST


@pytest.mark.ceph
def test_a_listing_of_many_blobs(ceph: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is there is known sooner than by going through one page after the other."""
    sign_in(ceph, monkeypatch)
    bucket = new_bucket()
    names = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(LISTED)]
    ak.open_store(f"s3://{bucket}/agol").bind("0123456789abcdef", "Springfield")
    asyncio.run(fill(bucket, names))
    best: dict[str, dict[str, Any]] = {}
    for side in ("plain", "store"):
        how: dict[str, Any] = {"names": names, "size": LISTED}
        best[side] = fastest([turn(side, "list", bucket, "agol", tmp_path, **how) for _ in range(ROUNDS)])
    tell("ceph", f"a listing of {LISTED:,} blobs", LISTED, 0, best)
    assert best["store"]["peak"] < MOST


async def fill(bucket: str, names: Sequence[str]) -> None:
    """Blobs of one byte."""
    endpoint = str(boto3.client("s3").meta.endpoint_url)
    objects, rest = S3Store(bucket, endpoint=endpoint, client_options={"allow_http": True}), iter(names)

    async def work() -> None:
        for name in rest:
            await obstore.put_async(objects, f"agol/blobs/{name[:2]}/{name}", b"1", use_multipart=False)

    await asyncio.gather(*(work() for _ in range(64)))
