"""A survey with 10,000 photographs: memory stays flat, and one more photo costs about one photo.

Run with `pytest -m benchmark -s`. Bytes and memory are conditions; times are printed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from peak import PEAK

from agolkit.sandbox import city
from agolkit.sandbox.city.large import large_layer, photo
from agolkit.sandbox.organization import Bytes, Organization

pytestmark = [pytest.mark.benchmark, pytest.mark.slow, pytest.mark.timeout(3600)]

ROWS, EACH = 2500, 4
PHOTO = 2_000_000
"""Bytes of a photograph, as field apps send them."""
DISTINCT = 40
"""Contents that take turns, so that the store of the first backup stays small."""
MOST = 400_000_000
"""Bytes that the process which makes the backup may have at most, Python and all libraries included."""

BACKUP = """
import json, sys, time
import agolkit as ak

url, ca_bundle, username, password, place = sys.argv[1:]
portal = ak.connect(url, username=username, password=password, ca_bundle=ca_bundle)
began = time.perf_counter()
summary = ak.backup(portal, ak.open_store(place), ak.BackupOptions(types=["Feature Service"]))
took = time.perf_counter() - began
most = peak()
checked = ak.load_items(ak.open_store(place), "latest")["checked"].iloc[0]
print(json.dumps({"seconds": took, "peak": most, "summary": str(summary), "checked": checked}))
"""


def survey(rows: int) -> Organization:
    """An organization with nothing but one service of one layer that tracks its changes."""
    org = city.generated(items=1, owners=1, folders=1, groups=1, services=1)
    service = next(iter(org.services.values()))
    layer = large_layer(0, "Survey", rows, attachments_per_row=EACH, photo_bytes=PHOTO)
    contents = [Bytes(b"".join(photo(seed, PHOTO).chunks())) for seed in range(DISTINCT)]
    for at, one in enumerate(one for some in (layer.attachments or {}).values() for one in some):
        one.payload = contents[at % DISTINCT]
    service.layers, service.tables = [layer], []
    service.capabilities += ",ChangeTracking"
    return org


def back_up(served: Any, place: Path) -> dict[str, Any]:
    """Make a backup in a process of its own; what it took."""
    where = [served.url, served.ca_bundle, served.username, served.password, str(place)]
    done = subprocess.run([sys.executable, "-c", PEAK + BACKUP, *where], stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def add_photo(served: Any, content: bytes) -> None:
    """Hang one more photo on a row, as a field app does."""
    org = survey(1)
    services = f"{served.url.removesuffix('/portal')}/{org.id}/arcgis/rest/services"
    with requests.Session() as session:
        session.trust_env, session.verify = False, served.ca_bundle
        form = {"f": "json", "username": served.username, "password": served.password, "client": "referer"}
        form["referer"] = served.url
        token = session.post(f"{served.url}/sharing/rest/generateToken", data=form, timeout=60).json()["token"]
        url = f"{services}/{next(iter(org.services))}/FeatureServer/0/1/addAttachment"
        files = {"attachment": ("new.jpg", content, "image/jpeg")}
        answer = session.post(url, data={"f": "json", "token": token}, files=files, timeout=60).json()
        assert answer["addAttachmentResult"]["success"], answer


def sizes(store: Path) -> dict[int, int]:
    """Every file of a store with its size; its other names are not counted again."""
    found = (path.stat() for path in store.rglob("*") if path.is_file())
    return {each.st_ino: each.st_size for each in found}


def test_one_more_photo_costs_about_one_photo(serve: Callable[..., Any], tmp_path: Path) -> None:
    """10,000 photos are saved in less than 400 MB; one more costs two photos of transfer and storage at most."""
    place, count = tmp_path / "store", ROWS * EACH
    served = serve(survey, {"rows": ROWS})
    first = back_up(served, place)
    print(f"\n{count:,} photos: {first['seconds']:,.0f} s, {served.sent():,} bytes, peak {first['peak'] / 1e6:,.0f} MB")
    assert "1 verified" in first["summary"]
    assert f"{count:,} listed" in first["checked"]

    before = sizes(place)
    add_photo(served, b"".join(photo(4711, PHOTO).chunks()))
    served.sent()
    second = back_up(served, place)
    sent = served.sent()
    new = sum(size for inode, size in sizes(place).items() if inode not in before)
    print(f"one more: {second['seconds']:,.0f} s, {sent:,} bytes, peak {second['peak'] / 1e6:,.0f} MB, {new:,} stored")
    assert "1 verified" in second["summary"]
    assert f"{count + 1:,} listed, {count:,} reused" in second["checked"]
    assert max(first["peak"], second["peak"]) < MOST
    assert sent <= 2 * PHOTO
    assert new <= 2 * PHOTO
