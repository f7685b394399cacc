"""A finished backup of the practice city, for the tests that compare it with the city."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from portals import connect
from saved import read_part

import agolkit as ak
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome
from agolkit.sandbox import Sandbox, city
from agolkit.sandbox.organization import Item
from agolkit.store import Store


@dataclass
class Run:
    """A backup, and the city that it was made of."""

    sandbox: Sandbox
    portal: ak.Portal
    store: Store
    summary: ak.RunSummary
    outcomes: dict[str, Outcome]
    before: dict[str, Item]

    def saved(self, item_id: str, path: str) -> bytes:
        """The bytes of one part."""
        return read_part(self.store, self.outcomes[item_id], path)


@contextmanager
def backed_up_springfield(folder: Path, options: ak.BackupOptions) -> Iterator[Run]:
    """The city, saved below `folder`; the portal is open as long as the block runs."""
    with Sandbox(city.springfield()) as sandbox:
        before = copy.deepcopy(sandbox.org.items)
        portal = connect(sandbox)
        store = ak.open_store(folder / "springfield")
        summary = ak.backup(portal, store, options)
        outcomes = {outcome.item.id: outcome for outcome in read_outcomes(store, "latest")}
        yield Run(sandbox, portal, store, summary, outcomes, before)
