"""Thirty days of a small city: edits of every sort, bad days, a mass deletion, and a prune each night.

In a folder, and in a bucket, where the prune moves to the archive what only backups of more than 15 days need.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from buckets import new_bucket, sign_in
from interrupted import town
from portals import connect

import agolkit as ak
from agolkit.errors import Archived
from agolkit.layout import backup_name
from agolkit.manifest import read_outcomes
from agolkit.model import Result, to_stamp
from agolkit.prices import Charge, Prices
from agolkit.progress import Event
from agolkit.retention import Keep
from agolkit.sandbox import Fault, Sandbox
from agolkit.sandbox.city.large import photo
from agolkit.sandbox.edits import note
from agolkit.sandbox.organization import Attachment, Bytes, Change, Item, Organization
from agolkit.store import Store
from agolkit.store.seal import sealed

DAY = timedelta(days=1)
KEEP = Keep(daily=7, weekly=3)
LONGER = Keep(within="22d")
DELETION, MEANT = 20, 25
"""The day on which most items are deleted, and the day on which somebody says that this was meant."""


def yesterday(store: Store) -> None:
    """Let a day pass: every backup was made a day earlier than it says."""
    for name in store.backup_names():
        facts = store.summary(name)
        moments = {
            key: to_stamp(datetime.fromisoformat(facts[key]) - DAY)
            for key in ("started", "finished", "resumed")
            if key in facts
        }
        earlier = backup_name(datetime.fromisoformat(moments["started"]))
        rename(store, f"backups/{name}", f"backups/{earlier}")
        facts = {key: value for key, value in facts.items() if key != "own_sha256"} | moments
        if store.size(f"backups/{earlier}/backup.json") is not None:
            store.put(f"backups/{earlier}/backup.json", sealed(facts | {"name": earlier}))
        else:
            first = f"backups/{earlier}/journal/000000.jsonl"
            began = json.loads(store.get(first))
            began["run"]["started"] = moments["started"]
            store.put(first, json.dumps(began).encode() + b"\n")


def rename(store: Store, old: str, new: str) -> None:
    """Give a folder another name."""
    if not store.has_classes():
        Path(store.location, old).rename(Path(store.location, new))
        return
    bucket, client = store.location.removeprefix("s3://"), boto3.client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{old}/"):
        for key in [each["Key"] for each in page.get("Contents", ())]:
            client.copy_object(Bucket=bucket, Key=new + key.removeprefix(old), CopySource=f"{bucket}/{key}")
            client.delete_object(Bucket=bucket, Key=key)


def city() -> Organization:
    """Forty items, two of them with files that are large beside what a backup says of them, three hosted layers."""
    org = town(40)
    large = [item for item in org.items.values() if item.data][:12]
    for number, item in enumerate(large):
        item.type, item.type_keywords, item.name = "Image", [], f"{number}.jpg"
        item.data, item.data_type = photo(number, 3_000_000), "image/jpeg"
    for service in org.services.values():
        service.layers[0].attachments = {}
    return org


class Days:
    """What people do, each day something else; all of it by chance, from a seed."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.org = sandbox.org
        self.chance = random.Random(30)
        self.number = 0

    def pass_one(self) -> None:
        self.number += 1
        for edit in self.chance.sample(self.edits(), 4):
            edit()

    def edits(self) -> list[Callable[[], None]]:
        return [self.edit, self.rename, self.share, self.publish, self.add, self.delete, self.add_row, self.add_photo]

    def some(self) -> Item:
        return self.chance.choice([item for item in self.org.items.values() if not item.service])

    def touch(self, item: Item) -> None:
        item.modified += 1000 * self.number

    def edit(self) -> None:
        item = self.some()
        if item.type != "Image":
            item.data = Bytes(json.dumps({"version": "2.31", "day": self.number}).encode())
        else:
            item.data = photo(1000 + self.number, 3_000_000)
        self.touch(item)

    def rename(self) -> None:
        item = self.some()
        item.title = f"Renamed on day {self.number}"
        self.touch(item)

    def share(self) -> None:
        item = self.some()
        item.groups = [] if item.groups else [next(iter(self.org.groups))]

    def publish(self) -> None:
        item = self.some()
        item.access = "org" if item.access == "public" else "public"

    def add(self) -> None:
        self.org.add(
            replace(self.some(), id=f"{0xADD0000 + self.number:032x}", title=f"New on day {self.number}", service=None)
        )

    def delete(self) -> None:
        del self.org.items[self.some().id]

    def add_row(self) -> None:
        for service in list(self.org.services.values())[:1]:
            layer = service.layers[0]
            row = json.loads(json.dumps(layer.features[0]))
            object_id = 1 + max(each["attributes"][layer.object_id_field] for each in layer.features)
            row["attributes"][layer.object_id_field] = object_id
            if layer.global_id_field:
                row["attributes"][layer.global_id_field] = f"{{00000000-0000-0000-0000-{object_id:012X}}}"
            layer.features.append(row)
            note(self.org, service, layer, [Change(0, "features", "add", object_id, "", 0)])

    def add_photo(self) -> None:
        service = list(self.org.services.values())[1]
        layer = service.layers[0]
        assert layer.attachments is not None
        object_id = int(layer.features[0]["attributes"][layer.object_id_field])
        one = Attachment(
            self.number, f"{self.number}.jpg", "image/jpeg", photo(self.number, 400_000), f"{{{self.number}}}"
        )
        layer.attachments.setdefault(object_id, []).append(one)
        note(self.org, service, layer, [Change(0, "attachments", "add", object_id, one.global_id, one.id)])

    def delete_most(self) -> None:
        for item in [item for item in self.org.items.values() if not item.service][:25]:
            del self.org.items[item.id]


def back_up(sandbox: Sandbox, store: Store, *, stop_after: int = 0) -> ak.RunSummary:
    cancel = threading.Event()

    def listen(event: Event) -> None:
        if 0 < stop_after <= event.done and event.stage == "items":
            cancel.set()

    options = ak.BackupOptions(workers=4, full_every=10, attempts=1)
    return ak.backup(connect(sandbox), store, options, progress=listen, cancel=cancel)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(city()) as sandbox:
        yield sandbox


def live(sandbox: Sandbox, location: str, keep: Keep, archive: ak.Archive | None = None) -> dict[int, int]:
    """Let the thirty days pass; the exit code of each."""
    days, codes = Days(sandbox), {}
    for day in range(1, 31):
        store = ak.open_store(location)
        days.pass_one()
        if day == DELETION:
            days.delete_most()
        if day == MEANT:
            assert [alarm.scope for alarm in ak.unpin(store)] == ["default"]
        if day % 6 == 0:
            victim = days.some()
            days.touch(victim)
            sandbox.faults.add(Fault(rf"{victim.id}/data$", status=500))
        if day % 7 == 0:
            back_up(sandbox, store, stop_after=10)
        codes[day] = back_up(sandbox, store).exit_code
        sandbox.faults.clear()
        ak.prune(store, ak.plan_prune(store, keep, archive=archive))
        yesterday(store)
    return codes


def check(sandbox: Sandbox, store: Store, codes: dict[int, int]) -> dict[str, int]:
    """Every backup that is kept can be proven to the last byte; the sizes of their blobs."""
    assert [day for day, code in codes.items() if code == 7] == list(range(DELETION, MEANT))
    assert {codes[day] for day in codes if day % 6 == 0 and not DELETION <= day < MEANT} == {3}
    kept = store.backup_names()
    assert 7 <= len(kept) <= 26
    blobs: dict[str, int] = {}
    for name in kept:
        report = ak.verify(store, name, deep=True)
        assert (report.ok, report.archived) == (True, 0), name
        for outcome in read_outcomes(store, name):
            blobs |= {part.blob.sha256: part.blob.size for part in outcome.parts}
    # The newest backup is what the portal holds.
    newest = {each.item.id: each for each in read_outcomes(store, "latest")}
    assert newest.keys() == sandbox.org.items.keys()
    for item_id, item in sandbox.org.items.items():
        if item.data and newest[item_id].result is Result.VERIFIED:
            data = next(part for part in newest[item_id].parts if part.name == "data")
            with store.open_blob(data.blob.sha256) as stream:
                assert stream.read() == b"".join(item.data.chunks())
    assert set(store.blobs()) == set(blobs)
    return blobs


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_thirty_days(sandbox: Sandbox, tmp_path: Path) -> None:
    """Every backup that is kept can be proven to the last byte, and the store is hardly larger than what is in it."""
    codes = live(sandbox, str(tmp_path / "store"), KEEP)
    store = ak.open_store(tmp_path / "store")
    assert len(store.backup_names()) <= 11
    unique = sum(check(sandbox, store, codes).values())
    files = {path.stat().st_ino: path.stat().st_size for path in Path(store.location).rglob("*") if path.is_file()}
    print(f"\n{unique:,} bytes of unique content, {sum(files.values()):,} in the store")
    assert unique <= sum(files.values()) <= 1.1 * unique


@pytest.mark.soak
def test_thirty_days_in_a_bucket(sandbox: Sandbox, moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What only old backups need is archived; thawed, they can be fetched and proven as ever, and so can all others."""
    sign_in(moto, monkeypatch)
    location = f"s3://{new_bucket()}"
    prices = Prices({"STANDARD": Charge(0.023), "DEEP_ARCHIVE": Charge(0.0)})  # else a month were too short a time
    codes = live(sandbox, location, LONGER, ak.Archive("15d", prices=prices))
    store = ak.open_store(location)
    tiers = Counter(each.tier for each in store.stored())
    assert tiers["DEEP_ARCHIVE"] > 0
    assert set(tiers) == {"STANDARD", "DEEP_ARCHIVE"}
    cold = [name for name in store.backup_names() if ak.verify(store, name).archived]
    recent = datetime.now(UTC) - 15 * DAY
    assert cold
    assert all(datetime.fromisoformat(store.summary(name)["started"]) < recent for name in cold)
    assert not ak.verify(store, "latest", deep=True).archived
    with pytest.raises(Archived, match=f"agolkit thaw {location} {cold[0]}"):
        ak.fetch(store, cold[0], tmp_path / "out")
    for name in cold:
        ak.thaw(store, name)
    assert ak.fetch(store, cold[0], tmp_path / "out").files > 0
    check(sandbox, store, codes)
    print(f"\n{dict(tiers)}, {len(cold)} backups thawed")
