"""What a bucket is asked for when nothing has changed, and how that grows with the items and with the backups kept.

Run with `pytest -m benchmark -s`. A request takes some 30 ms, so what is asked for one after the other must not grow
with what is kept.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from urllib.parse import unquote

import pytest
from buckets import new_bucket, sign_in
from forwarder import Forwarder, Request, forwarding
from portals import connect

import agolkit as ak
from agolkit.manifest import close_backup
from agolkit.sandbox import Sandbox, city
from agolkit.sandbox.organization import Organization
from agolkit.store import Store, open_store

pytestmark = [pytest.mark.benchmark, pytest.mark.slow, pytest.mark.timeout(3600)]

KEPT = (1, 30)
EACH_RUN = 90
"""Requests of an unchanged run, whatever is kept."""
EACH_HUNDRED = 2
"""Requests for each hundred items: the journal and the log are written in segments."""
EACH_BACKUP = 2
"""Requests for each backup that is kept: its `backup.json`, and its list of items where the report looks for some."""
EDITED = 1_700_000_000_000


def town() -> Organization:
    """Four thousand items; the services say when they were edited last."""
    org = city.generated(4_000, owners=250, folders=600, groups=120, services=400)
    for service in org.services.values():
        for layer in service.all():
            layer.last_edit = EDITED
    return org


@pytest.mark.parametrize("make", [city.springfield, town])
def test_an_unchanged_run(make: Callable[[], Organization], moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests by kind with one backup kept and with thirty, and those of what only looks at the store."""
    with forwarding(moto) as way, Sandbox(make()) as sandbox:
        sign_in(way.url, monkeypatch)
        location = f"s3://{new_bucket()}/agol"

        def back_up() -> ak.RunSummary:
            return ak.backup(connect(sandbox), open_store(location), ak.BackupOptions(tree="none"))

        back_up()
        for kept in KEPT:
            store = open_store(location)
            repeat(store, kept - len(store.backup_names()))
            with counted(way, f"{make.__name__}, unchanged run, {kept} kept"):
                assert back_up().new_bytes == 0
            hundreds = len(sandbox.org.items) // 100
            assert len(way.requests) <= EACH_RUN + EACH_HUNDRED * hundreds + EACH_BACKUP * kept
        names = len(open_store(location).backup_names())
        looks: dict[str, tuple[Callable[[Store], object], int]] = {
            "list": (Store.backups, names + 1),
            "latest": (lambda store: store.resolve("latest"), 2),
            "verify": (ak.verify, 60),
            "plan of prune": (lambda store: ak.plan_prune(store, ak.Keep(daily=7)), 2 * names + 5),
            "verify --deep": (lambda store: ak.verify(store, deep=True), 0),
        }
        for what, (look, most) in looks.items():
            store = open_store(location)
            with counted(way, f"{make.__name__}, {what}, {names} kept"):
                found = look(store)
            assert not most or len(way.requests) <= most
        assert isinstance(found, ak.VerifyReport)
        print(
            f"\n  {way.bytes_out:,} bytes came for {found.bytes:,} verified: {way.bytes_out / found.bytes:.2f}", end=""
        )
        assert found.ok


@contextmanager
def counted(way: Forwarder, what: str) -> Iterator[None]:
    """Print the requests of a `with` block by kind."""
    way.requests.clear()
    way.bytes_out = 0
    began = time.perf_counter()
    yield
    seconds = time.perf_counter() - began
    print(f"\n{what}: {len(way.requests):,} requests, {way.bytes_out:,} bytes came, {seconds:.1f} s", end="")
    for kind, number in Counter(map(kind_of, way.requests)).most_common(8):
        print(f"\n  {number:6,}  {kind}", end="")


def kind_of(request: Request) -> str:
    """The request without what differs from one of its kind to the next."""
    path = re.sub(
        r"^/agolkit-[0-9a-f]{12}(/agol)?|[a-z-]*(token|type|after|delimiter)=[^&]*&?", "", unquote(request.path)
    )
    path = re.sub(r"[0-9a-f]{2}/[0-9a-f]{64}|\d{4}-\d\d-\d\dT\d{6}Z(-\d+)?|\d{6}(?=\.jsonl)", "*", path)
    return f"{request.method} {path}"


def repeat(store: Store, number: int) -> None:
    """As many backups more, each a day older, that hold what the oldest holds."""
    for _ in range(number):
        name = store.backup_names()[0]
        facts = store.summary(name)
        started = datetime.fromisoformat(facts["started"]) - timedelta(days=1)
        draft = store.begin(started, facts["scope"], since_full=facts["since_full"], options=facts["options"])
        for path in facts["files"]:
            draft.write(path, store.read(name, path))
        kept = {key: value for key, value in facts.items() if key not in ("files", "own_sha256")}
        close_backup(draft, {**kept, **draft.facts, "name": draft.name})
