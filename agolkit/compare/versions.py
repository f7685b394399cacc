"""The versions of one item, through all backups of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agolkit.compare.items import WHOLE, compare_versions
from agolkit.errors import NoSuchBackup, StoreError
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, Result, shown
from agolkit.store import Store

if TYPE_CHECKING:
    import pandas

_TIMES = ("observed", "modified")
COLUMNS = ("backup", "observed", "modified", "result", "title", "owner", "version", "what")


def history(store: Store, item_id: str) -> pandas.DataFrame:
    """The versions of an item: one row per backup that has it, oldest first. `fetch` takes any of them.

    Columns: `backup`; `observed` (when the item was looked at) and `modified` (as the portal states it), in UTC;
    `result`; `title`; `owner`; `version` (`Int64`), which counts up when the item differs from the version before, and
    is missing where the item was not saved whole; `what` differs from the version before, in plain words. What counts
    as a difference is as in `compare`. A backup that cannot be read has a row that says so in `what`.

    Raises
    ------
    NoSuchBackup
        No backup of the store has the item. Trying again does not help.
    """
    import pandas

    rows: list[dict[str, Any]] = []
    earlier: list[tuple[Outcome, int]] = []
    for backup in store.backup_names():
        try:
            outcome = next(iter(read_outcomes(store, backup, only={item_id})), None)
        except StoreError as error:
            rows.append({"backup": backup, "what": str(error)})
            continue
        if outcome is not None:
            rows.append({"backup": backup, **_facts(outcome), **_version(store, earlier, outcome)})
    if not any("result" in row for row in rows):
        raise NoSuchBackup(f"No backup in {store.location} has an item {item_id}.")
    frame = pandas.DataFrame(rows, columns=list(COLUMNS))
    types: dict[str, Any] = dict.fromkeys(COLUMNS, str) | dict.fromkeys(_TIMES, "datetime64[us, UTC]")
    return frame.fillna({name: "" for name in COLUMNS if name not in (*_TIMES, "version")}).astype(
        types | {"version": "Int64"}
    )


def _facts(outcome: Outcome) -> dict[str, Any]:
    item = outcome.item
    return {
        "observed": outcome.observed,
        "modified": item.modified,
        "result": str(outcome.result),
        "title": shown(item.title),
        "owner": item.owner,
    }


def _version(store: Store, earlier: list[tuple[Outcome, int]], outcome: Outcome) -> dict[str, Any]:
    """The version that an item is of, after those before; of one that was not saved whole, only what differs."""
    before = earlier[-1] if earlier else None
    if outcome.result in (Result.EXCLUDED, Result.STOPPED, Result.FAILED):
        return {"what": outcome.message}
    what = ""
    number = 1
    if before:
        changes = compare_versions(store, before[0], outcome, listed=0)
        what, number = str(changes), before[1] + changes.is_changed
    # What one backup could not save must not seem to come back in the next.
    if before is None or outcome.result in WHOLE or before[0].result not in WHOLE:
        earlier.append((outcome, number))
        return {"what": what, "version": number}
    return {"what": what}
