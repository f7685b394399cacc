"""How the portal differs from a backup by now. It is only read, and of the items nothing but their descriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import datetime
from typing import Any

from agolkit.errors import AgolkitError, Forbidden, NotFound, SignInError, StoreDamaged, Unreachable, UsageError
from agolkit.inventory import take_inventory
from agolkit.kinds.feature_service.definition import layers_by_id, load_definition, saved_rows
from agolkit.model import Item, Outcome, Result, from_epoch_ms, to_stamp
from agolkit.options import BackupOptions
from agolkit.portal import FeatureService, Portal, ServiceLayer
from agolkit.store.base import Store
from agolkit.verify.report import Difference


def list_differences(
    store: Store, facts: Mapping[str, Any], outcomes: Sequence[Outcome], portal: Portal
) -> tuple[Difference, ...]:
    """Every item that is new, gone or changed in the portal, in the order of the backup, new ones last.

    Raises
    ------
    UsageError
        The backup was never finished, or its scope is empty by now. Final.
    StoreError
        The store is another organization's. Final.
    Unreachable, PortalError
        The items could not be listed completely. Trying again later may help.
    """
    if facts["state"] == "unfinished":
        raise UsageError(f"Backup {facts['name']} was never finished; run again to finish it, or compare another one.")
    store.check_owner(portal.org_id, portal.org_name)
    known = {each.name for each in fields(BackupOptions)}  # another version may have had other options
    options = BackupOptions.from_mapping({name: value for name, value in facts["options"].items() if name in known})
    inventory = take_inventory(portal, options)
    live = {item.id: item for item in inventory.items}
    left_out = {item.id: reason for item, reason in inventory.excluded}
    saved = [outcome for outcome in outcomes if outcome.parts]
    unsaved = {outcome.item.id: outcome for outcome in outcomes if not outcome.parts}

    def compare(outcome: Outcome) -> str:
        item_id = outcome.item.id
        if item_id in live:
            return _changes(store, portal, outcome, live[item_id])
        return (
            f"the scope leaves it out by now: {left_out[item_id]}" if item_id in left_out else _absence(portal, item_id)
        )

    with ThreadPoolExecutor(options.workers, thread_name_prefix="agolkit-verify") as executor:
        compared = [(outcome.item, what) for outcome, what in zip(saved, executor.map(compare, saved), strict=True)]
    new = live.keys() - {item.id for item, _ in compared}
    compared += [(item, _why_new(item, unsaved.get(item.id))) for item in inventory.items if item.id in new]
    return tuple(Difference(item.id, item.title, what) for item, what in compared if what)


def _absence(portal: Portal, item_id: str) -> str:
    """Where an item is that the inventory does not have."""
    try:
        item = Item.from_json(portal.item(item_id))
    except NotFound:
        return "it is gone from the portal"
    except Forbidden:
        return "this account may not see it any more"
    return f"it is no longer in scope; it belongs to {item.owner}"


def _why_new(item: Item, unsaved: Outcome | None) -> str:
    """Why an item of the portal is not in the backup."""
    if unsaved is not None:
        said = f": {unsaved.message}" if unsaved.message else ""
        return f"it is not saved in the backup, where it is {unsaved.result}{said}"
    return f"it is not in the backup; it was created {_moment(item.created)}"


def _changes(store: Store, portal: Portal, outcome: Outcome, live: Item) -> str:
    """How an item differs from what was saved; empty where it does not."""
    saved = outcome.item
    found = []
    if live.modified != saved.modified:
        found.append(f"it was modified {_moment(live.modified)}; the backup has it of {_moment(saved.modified)}")
    try:
        definition = load_definition(store, outcome.parts)
    except (StoreDamaged, ValueError):
        definition = {}  # damage, which is reported as such
    rows = saved_rows(definition)
    if rows:
        found += _changes_of_layers(FeatureService(portal, live.url), definition, rows)
    # The portal works out the size of a hosted layer anew now and then; its rows say more.
    if outcome.result is Result.VERIFIED and live.size != saved.size and not rows:
        found.append(f"the portal states {_size(live.size)}, and {_size(saved.size)} when it was saved")
    return "; ".join(found)


def _changes_of_layers(service: FeatureService, definition: Mapping[str, Any], rows: Mapping[int, int]) -> list[str]:
    """How the layers of a service differ from those that were saved with these numbers of rows."""
    try:
        live = layers_by_id(service.describe())
        counts = {number: service.count(ServiceLayer.from_json(live[number])) for number in rows if number in live}
    except (SignInError, Unreachable):
        raise
    except AgolkitError as error:
        return [f"its layers could not be compared: {error}"]
    saved = layers_by_id(definition)
    found = [f"layer {raw.get('name')!r} is new" for number, raw in live.items() if number not in saved]
    for number in rows:
        name = saved[number].get("name")
        if number not in live:
            found.append(f"layer {name!r} is gone")
        elif counts[number] != rows[number]:
            found.append(f"layer {name!r} has {counts[number]:,} rows, and {rows[number]:,} in the backup")
        elif (edited := _last_edit(live[number])) > _last_edit(saved[number]):
            found.append(f"layer {name!r} was edited {_moment(from_epoch_ms(edited))}")
    return found


def _last_edit(layer: Mapping[str, Any]) -> int:
    """The latest of a layer's edit stamps, epoch milliseconds; 0 where it has none."""
    stamps = (layer.get("editingInfo") or {}).values()
    return max((stamp for stamp in stamps if isinstance(stamp, int)), default=0)


def _moment(moment: datetime | None) -> str:
    return to_stamp(moment) if moment else "at a time that the portal does not state"


def _size(size: int | None) -> str:
    return "no size" if size is None else f"{size:,} bytes"
