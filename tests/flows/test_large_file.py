"""Memory does not grow with the size of a file."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from agolkit.sandbox import Sandbox, city
from agolkit.sandbox.organization import Item, Repeated

GIGABYTE = 1_000_000_000
CHILD = r"""
import json, sys
import agolkit as ak

def peak_memory():
    # Bytes; from /proc where there is one, because getrusage tells the parent's peak where that was higher.
    try:
        with open("/proc/self/status") as facts:
            return int(next(line for line in facts if line.startswith("VmHWM")).split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows counts memory another way
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

url, username, password, ca_bundle, store = sys.argv[1:]
portal = ak.connect(url, username=username, password=password, ca_bundle=ca_bundle)
summary = ak.backup(portal, ak.open_store(store), ak.BackupOptions(types=["Mobile Map Package"]))
print(json.dumps(summary.to_json()))
print(peak_memory())
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
            [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, timeout=300, check=False
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
