"""What a second backup holds, for the tests that compare it with a first one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interrupted import back_up, content

import agolkit as ak
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome
from agolkit.sandbox import Sandbox
from agolkit.sandbox.organization import Item, Layer
from agolkit.store import Store


def outcomes(store: Store, backup: str = "latest") -> dict[str, Outcome]:
    return {each.item.id: each for each in read_outcomes(store, backup)}


def some(sandbox: Sandbox, wanted: Callable[[Item], object]) -> Item:
    """The first item of which this is true."""
    return next(item for item in sandbox.org.items.values() if wanted(item))


def layer_of(sandbox: Sandbox, item: Item) -> Layer:
    return sandbox.org.services[item.service or ""].layers[0]


def saved_json(store: Store, item_id: str, part: str) -> Any:
    found = next(each for each in outcomes(store)[item_id].parts if each.name == part)
    with store.open_blob(found.blob.sha256) as stream:
        return json.load(stream)


def assert_as_a_first_one(sandbox: Sandbox, store: Store, place: Path, *, but: tuple[str, ...] = ("how",)) -> None:
    """The newest backup of a store holds what a backup into an empty store would."""
    anew = ak.open_store(place)
    back_up(sandbox, anew)
    ours, other = content(store), content(anew)
    for line in (*ours.values(), *other.values()):
        for name in but:
            del line[name]
    assert ours == other


def fetched_again(store: Store) -> list[str]:
    return [each.item.id for each in outcomes(store).values() if each.how == "fetched"]
