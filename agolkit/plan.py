"""What a backup would do to each item, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agolkit.inventory import take_inventory
from agolkit.kinds.feature_service.views import VIEW
from agolkit.kinds.reference import HOSTED
from agolkit.kinds.registry import FEATURE_SERVICE, REFERENCE, kind_of
from agolkit.kinds.types import known_type
from agolkit.model import Item, shown
from agolkit.options import BackupOptions
from agolkit.portal import Portal
from agolkit.resume import Known, look_back
from agolkit.store import Store
from agolkit.unchanged import may_stand

if TYPE_CHECKING:
    import pandas

_ROWS_OF_VIEWS = {
    "auto": "; its rows too, unless their source is in this backup",
    "definition": ", without its rows",
    "rows": ", and its rows",
}


def plan_backup(portal: Portal, store: Store, options: BackupOptions | None = None) -> pandas.DataFrame:
    """What a backup would do to each item, and why; it changes nothing.

    Returns
    -------
    pandas.DataFrame
        One row per item, those left out included, in the order in which a run begins them. Columns: `item_id`,
        `title`, `type`, `owner`, `folder`, `action` (`fetch`; `reuse`, of an earlier backup; `keep`, of an interrupted
        one; `exclude`), `reason` (plain words), `size_bytes` (`Int64`; missing where the portal does not know).

    Raises
    ------
    UsageError, StoreError, PortalError
        As `backup` would.
    """
    import pandas

    store.check_owner(portal.org_id, portal.org_name)
    options = options or BackupOptions()
    known = look_back(store, options, datetime.now(UTC))
    inventory = take_inventory(portal, options, known=known.ids)
    in_scope = frozenset(item.id for item in inventory.items)
    planned = [(item, *_action(store, item, options, known, in_scope)) for item in in_order(inventory.items)]
    planned += [(item, "exclude", reason) for item, reason in inventory.excluded]
    rows: list[dict[str, Any]] = [
        {
            "item_id": item.id,
            "title": shown(item.title),
            "type": shown(item.type),
            "owner": item.owner,
            "folder": shown(item.folder),
            "action": action,
            "reason": reason,
            "size_bytes": item.size,
        }
        for item, action, reason in planned
    ]
    return pandas.DataFrame(rows).astype({"size_bytes": "Int64"})


def _action(
    store: Store, item: Item, options: BackupOptions, known: Known, in_scope: frozenset[str]
) -> tuple[str, str]:
    """What a run does to an item, as far as its listing tells, and why."""
    before = known.of(item.id)
    if before is None or not may_stand(store, before, item, in_scope):
        return "fetch", _what(item, options)
    unless = " unless its data was edited" if HOSTED in item.type_keywords else ""
    if known.interrupted and item.id in known.interrupted.proven:
        backup = f"saved by the backup {known.interrupted.name} that was interrupted"
        return "keep", f"{backup}, and unchanged{unless}"
    return "reuse", f"unchanged since it was saved on {before.observed:%Y-%m-%d}{unless}"


def _what(item: Item, options: BackupOptions) -> str:
    """What a run does to an item, as far as that is known before it begins."""
    kind = kind_of(item)
    if kind in (FEATURE_SERVICE, REFERENCE) and HOSTED not in item.type_keywords:
        return "save its description and url; it refers to data that this portal does not host"
    if kind is FEATURE_SERVICE and VIEW in item.type_keywords:
        return f"a view: save its definition and sources{_ROWS_OF_VIEWS[options.views]}"
    known = known_type(item.type)
    return f"{kind.plan}; {known.elsewhere}" if known and known.elsewhere else kind.plan


def in_order(items: Sequence[Item]) -> list[Item]:
    """The items as a run begins them: jobs on the server first, because they go on by themselves, then by size."""
    return sorted(items, key=lambda item: (kind_of(item) is not FEATURE_SERVICE, -(item.size or 0)))
