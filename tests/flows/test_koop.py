"""Rows from a feature service that nobody here wrote: Koop, with its quirks.

Needs Node, and a folder where `npm i @koopjs/koop-core @koopjs/provider-file-geojson @koopjs/output-geoservices` was
run, named by AGOLKIT_TEST_KOOP.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from saved import read_part

import agolkit as ak
from agolkit.journal import Journal
from agolkit.kinds.earlier import EarlierBackups
from agolkit.kinds.exports import ExportLedger
from agolkit.kinds.feature_service import save_contents
from agolkit.kinds.saving import RunContext, Saving
from agolkit.kinds.under_way import UnderWay
from agolkit.model import Item, Outcome, Result
from agolkit.portal import FeatureService
from agolkit.portal.client import Portal
from agolkit.portal.session import Pool, PortalSession, trusted_by_system
from agolkit.store import Store
from agolkit.store.lease import utc_now

MODULES = os.environ.get("AGOLKIT_TEST_KOOP", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (MODULES and shutil.which("node")), reason="needs Node, and AGOLKIT_TEST_KOOP with Koop installed"
    ),
]


def feature(number: int, geometry: dict[str, Any]) -> dict[str, Any]:
    properties = {"asset_id": number, "name": f'Hydrant {number}, "Süd"\n消火栓', "height": number / 7, "none": None}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def point(number: int) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [-89.65 + number / 1e5, 39.8 + number / 3e5]}


def square(number: int) -> dict[str, Any]:
    x, y = -89.65 + number / 1e4, 39.8
    return {"type": "Polygon", "coordinates": [[[x, y], [x, y + 1], [x + 1, y + 1], [x + 1, y], [x, y]]]}


FILES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "points": ({"idField": "asset_id"}, [feature(number, point(number)) for number in range(1, 4502)]),
    "hashed": ({}, [feature(number, point(number)) for number in range(1, 2402)]),
    "squares": ({"idField": "asset_id"}, [feature(number, square(number)) for number in range(1, 301)]),
    "one": ({"idField": "asset_id"}, [feature(7, point(7))]),
}


@pytest.fixture(scope="module")
def koop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of the services, and the certificate to trust."""
    folder = tmp_path_factory.mktemp("koop")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    cert = authority.issue_cert("127.0.0.1")
    cert.private_key_pem.write_to_path(folder / "key.pem")
    cert.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    (folder / "data").mkdir()
    for name, (metadata, features) in FILES.items():
        shuffled = random.Random(name).sample(features, len(features))
        collection = {"type": "FeatureCollection", "metadata": metadata, "features": shuffled}
        (folder / "data" / f"{name}.geojson").write_text(json.dumps(collection), encoding="utf-8")
    server = Path(__file__).with_name("koop.js")
    process = subprocess.Popen(
        ["node", server, MODULES, folder / "data", folder / "key.pem", folder / "cert.pem"],
        cwd=folder,
        env={**os.environ, "SUPPRESS_NO_CONFIG_WARNING": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        port = process.stdout.readline().removeprefix("port ").strip()
        yield f"https://127.0.0.1:{port}/file-geojson/rest/services", folder / "ca.pem"
        process.kill()


def save(koop: tuple[str, Path], name: str, tmp_path: Path) -> tuple[Outcome, Store]:
    """What a backup saves of the rows of such a service, for once without a portal and its sign-in."""
    url, authority = koop
    session = PortalSession(Pool(trusted_by_system(authority), width=4), connect_timeout=10, idle_timeout=60)
    portal = Portal(session, url, sleep=lambda _seconds: None)
    store = ak.open_store(tmp_path / "store")
    store.bind("k", "Koop")
    options = ak.BackupOptions(feature_format="rows")
    ledger = ExportLedger(portal, "run", announce=lambda _line: None)
    draft = store.begin(utc_now(), "default")
    under_way = UnderWay(draft, Journal(draft))
    context = RunContext(portal, store, options, ledger, tmp_path, {}, EarlierBackups(store), under_way)
    saving = Saving(context, Item.from_json({"id": "a" * 32, "type": "Feature Service", "title": name}))
    service = FeatureService(portal, f"{url}/{name}/FeatureServer")
    save_contents(saving, service, dict(service.describe()))
    return saving.outcome(kind="feature service", attempts=1, seconds=0), store


@pytest.mark.parametrize("name", list(FILES))
def test_every_row_comes_with_its_values(koop: tuple[str, Path], tmp_path: Path, name: str) -> None:
    """Shuffled rows, ids that are hashes, pages capped at 2,000, no edit stamps: all ids, each row once, as served."""
    outcome, store = save(koop, name, tmp_path)
    features = FILES[name][1]
    assert outcome.result is Result.VERIFIED, outcome.message
    assert f"{len(features):,} of {len(features):,} ids" in outcome.checked
    lines = gzip.decompress(read_part(store, outcome, "rows/0.jsonl.gz")).splitlines()
    rows = [json.loads(line) for line in lines]
    saved = {row["attributes"]["asset_id"]: row for row in rows}
    assert len(rows) == len(saved) == len(features)
    for each in features:
        row = saved[each["properties"]["asset_id"]]
        assert {key: row["attributes"][key] for key in each["properties"]} == each["properties"]
        if each["geometry"]["type"] == "Point":
            assert [row["geometry"]["x"], row["geometry"]["y"]] == each["geometry"]["coordinates"]
        else:
            assert sorted(row["geometry"]["rings"][0]) == sorted(each["geometry"]["coordinates"][0])
