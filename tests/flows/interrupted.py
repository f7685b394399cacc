"""A town whose backups are interrupted, for the tests that compare what comes of them with an undisturbed one."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

from portals import connect

import agolkit as ak
from agolkit.entries import outcome_to_json
from agolkit.manifest import read_outcomes
from agolkit.model import Result
from agolkit.progress import Event
from agolkit.sandbox import Sandbox, city
from agolkit.sandbox.organization import Organization
from agolkit.store import Store

EDITED = 1_700_000_000_000
_PAYLOAD = re.compile(r"/items/([0-9a-f]{32})/(?:data|export)$")
_REUSED = re.compile(r", [\d,]+ reused")


def town(items: int = 20) -> Organization:
    """A small organization in which three hosted services say when they were edited last."""
    org = city.generated(items=items, owners=2, folders=2, groups=1, services=3)
    for service in org.services.values():
        for layer in service.all():
            layer.last_edit = EDITED
    return org


def back_up(sandbox: Sandbox, store: Store, *, stop_after: int = 0, **options: Any) -> ak.RunSummary:
    """A backup, stopped once so many items are finished."""
    cancel = threading.Event()

    def listen(event: Event) -> None:
        if 0 < stop_after <= event.done and event.stage == "items":
            cancel.set()

    sandbox.log.clear()
    wanted = ak.BackupOptions.from_mapping({"workers": 2, **options})
    return ak.backup(connect(sandbox), store, wanted, progress=listen, cancel=cancel)


def fetched(sandbox: Sandbox) -> set[str]:
    """Ids of the items of the organization whose content was asked for since the log was cleared."""
    asked = {found[1] for entry in sandbox.log.entries if (found := _PAYLOAD.search(entry.path))}
    return asked & sandbox.org.items.keys()  # the data of export items was asked for too


def verified(store: Store, backup: str) -> set[str]:
    """Ids of the items that a backup has proven."""
    return {outcome.item.id for outcome in read_outcomes(store, backup) if outcome.result is Result.VERIFIED}


def content(store: Store, backup: str = "latest") -> dict[str, Any]:
    """Every item of a backup by id, without times, numbers of attempts, and what was taken from earlier backups; of an
    export, which differs each time, the proof alone."""
    found = {}
    for outcome in read_outcomes(store, backup):
        line = outcome_to_json(outcome)
        for name in ("observed", "attempts", "seconds"):
            del line[name]
        for part in line["parts"]:
            part["proof"] = _REUSED.sub("", part.get("proof", ""))
            if part["name"] in ("geodatabase", "tiles"):
                del part["sha256"], part["size"]
        found[outcome.item.id] = line
    return found


def tree(store: Store, backup: str) -> set[str]:
    """The files in the item folders of a backup."""
    folder = Path(store.location, "backups", backup)
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if len(path.parts) > 2}
