"""Pruning with an archive, cut off at any request: nothing is lost, and the next prune ends as if nothing was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import boto3
import botocore.client
import obstore
import pytest
from buckets import new_bucket, sign_in
from dated import begin, save
from nights_in_a_bucket import ARCHIVE, KEEP, TODAY, text

import agolkit as ak
from agolkit.store import Lease, Store, open_store

CALLS = ("put", "get", "head", "list", "list_with_delimiter", "delete")


class PowerCut(BaseException):
    """Nothing catches it, as nothing survives a power cut."""


class Power:
    """Lets so many requests happen, and no more; counts them. The last one happens, and its answer is lost."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lasts: float) -> None:
        self.requests = 0
        self.lasts = lasts
        self._counting = threading.Lock()
        for name in CALLS:
            monkeypatch.setattr(obstore, name, self._counted(getattr(obstore, name)))
        client = botocore.client.BaseClient
        monkeypatch.setattr(client, "_make_api_call", self._counted(client._make_api_call))

    def _counted(self, request: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            with self._counting:
                self.requests += 1
                number = self.requests
            if number > self.lasts:
                raise PowerCut
            answer = request(*args, **named)
            if number == self.lasts:
                raise PowerCut
            return answer

        return counted


def made() -> Store:
    """A killed run that goes, two old backups with large maps, and one of today."""
    store = open_store(f"s3://{new_bucket()}")
    begin(store, TODAY - 50, {"a": text("same"), "b": text("killed")})
    save(store, TODAY - 40, {"a": text("same"), "b": text("40 days ago")})
    save(store, TODAY - 30, {"a": text("same"), "b": text("30 days ago")})
    save(store, TODAY, {"a": text("same"), "b": text("today")})
    return store


def copy(template: Store) -> Store:
    """A bucket with the same in it."""
    client, name = boto3.client("s3"), new_bucket()
    source = template.location.removeprefix("s3://")
    for each in client.list_objects_v2(Bucket=source)["Contents"]:
        client.copy_object(Bucket=name, Key=each["Key"], CopySource={"Bucket": source, "Key": each["Key"]})
    return open_store(f"s3://{name}")


def prune(store: Store) -> None:
    ak.prune(store, ak.plan_prune(store, KEEP, archive=ARCHIVE))


def left(store: Store) -> dict[str, tuple[int, str]]:
    """Every object of the bucket but the lock: how large it is, and where it lies."""
    found = boto3.client("s3").list_objects_v2(Bucket=store.location.removeprefix("s3://"))["Contents"]
    return {each["Key"]: (each["Size"], each["StorageClass"]) for each in found if each["Key"] != "lock"}


@pytest.mark.parametrize("step", [pytest.param(6, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.soak)])
def test_it_may_be_cut_off_at_any_request(step: int, moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each number of requests what stays is whole, nothing recent is archived, and pruning again ends alike."""
    sign_in(moto, monkeypatch)
    template = made()
    names = template.backup_names()
    undisturbed = copy(template)
    with monkeypatch.context() as patch:
        power = Power(patch, float("inf"))
        prune(undisturbed)
    expected = left(undisturbed)
    assert undisturbed.backup_names() == names[1:]
    assert [tier for _, tier in expected.values()].count("DEEP_ARCHIVE") == 2
    assert power.requests > 50
    for lasts in range(1, power.requests, step):
        store = copy(template)
        with monkeypatch.context() as patch:
            Power(patch, lasts)
            with pytest.raises(PowerCut):
                prune(store)
        store = open_store(store.location)
        with Lease(store, "nobody", "the test", stale_after=0):
            pass
        assert set(names[1:]) <= set(store.backup_names())
        assert store.resolve("latest") == names[3]
        assert ak.verify(store, names[3], deep=True).archived == 0
        for name in names[1:]:
            assert ak.verify(store, name).damages == (), f"{name}, cut after {lasts} requests"
        prune(store)
        assert left(store) == expected, f"cut after {lasts} requests"
