"""Memory does not grow with the size of a file, nor time with what a file claims to unpack to."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hand_built import small_organization
from peak import PEAK
from portals import connect

import agolkit as ak
from agolkit.manifest import read_outcomes
from agolkit.model import Result
from agolkit.sandbox import Sandbox, city
from agolkit.sandbox.organization import Bytes, Item, Repeated

GIGABYTE = 1_000_000_000
CHILD = r"""
import json, sys
import agolkit as ak

url, username, password, ca_bundle, store = sys.argv[1:]
portal = ak.connect(url, username=username, password=password, ca_bundle=ca_bundle)
summary = ak.backup(portal, ak.open_store(store), ak.BackupOptions(types=["Mobile Map Package"]))
print(json.dumps(summary.to_json()))
print(peak())
"""


@pytest.mark.slow
def test_a_gigabyte_is_saved_with_little_memory(tmp_path: Path) -> None:
    """A 1 GB file is saved whole and verified with under 300 MB of memory for the whole process."""
    org = city.generated(items=4, owners=1, folders=1, groups=1, services=0)
    payload = Repeated(bytes(range(256)) * 4096 + b"agolkit", GIGABYTE)
    org.add(
        Item("f" * 32, org.admin, "Mobile Map Package", "A large map", name="large.mmpk", data=payload,
             data_type="application/octet-stream", created=1_700_000_000_000, modified=1_700_000_000_000)
    )  # fmt: skip
    with Sandbox(org) as sandbox:
        arguments = [sandbox.url, sandbox.username, sandbox.password, str(sandbox.ca_bundle), str(tmp_path / "store")]
        done = subprocess.run(
            [sys.executable, "-c", PEAK + CHILD, *arguments], capture_output=True, text=True, timeout=300, check=False
        )
    assert done.returncode == 0, done.stderr
    summary, peak = (json.loads(line) for line in done.stdout.splitlines())
    assert summary["counts"]["verified"] == 1
    digest = hashlib.sha256()
    for chunk in payload.chunks():
        digest.update(chunk)
    blob = tmp_path / "store" / "blobs" / digest.hexdigest()[:2] / digest.hexdigest()
    assert blob.stat().st_size == GIGABYTE
    print(f"\n1 GB saved in {summary['seconds']:.1f} s with a peak of {peak / 1e6:.0f} MB")
    assert peak < 300_000_000


def test_a_zip_that_unpacks_without_end_is_saved_as_it_is(tmp_path: Path) -> None:
    """A thousand members that share the same few bytes are not unpacked: the length is the proof, and that is said."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(16 << 20))
        archive.filelist *= 1000  # type: ignore[attr-defined]
    org = small_organization()
    org.add(Item("f" * 32, "ann", "KML", "A small map", name="small.kmz", data=Bytes(packed.getvalue())))
    with Sandbox(org) as sandbox:
        store = ak.open_store(tmp_path / "store")
        ak.backup(connect(sandbox), store, ak.BackupOptions(types=["KML"]))
    (outcome,) = read_outcomes(store, "latest")
    data = next(part for part in outcome.parts if part.name == "data")
    assert (outcome.result, data.reach) == (Result.VERIFIED, "length")
    assert "the zip cannot be tested (it would unpack to 16,777,216,000 bytes)" in outcome.message
    assert ak.verify(store, deep=True).ok
