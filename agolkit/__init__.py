"""Dated, proven backups of an ArcGIS Online or ArcGIS Enterprise organization.

```python
import agolkit as ak

portal = ak.connect("https://www.arcgis.com", username="nightly", password=...)
store = ak.open_store("backups/springfield")
ak.backup(portal, store, ak.BackupOptions(exclude_tags=["no-backup"]))
ak.load_items(store, "latest")
```

Everything is imported at first use, because what it builds on takes seconds to import.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agolkit.alarms import standing_alarms, unpin
    from agolkit.backup import backup
    from agolkit.bucket_policy import bucket_policy
    from agolkit.compare import compare, compare_item, history
    from agolkit.copying import copy, plan_copy
    from agolkit.errors import AgolkitError
    from agolkit.fetch import fetch
    from agolkit.forget import forget, plan_forget
    from agolkit.forms import BackupForm
    from agolkit.inventory import list_items
    from agolkit.kinds.feature_service.conversion.frames import load_layer
    from agolkit.manifest import load_items
    from agolkit.model import Result, RunSummary
    from agolkit.options import BackupOptions
    from agolkit.plan import plan_backup
    from agolkit.portal import Portal, connect
    from agolkit.pruning import plan_prune, prune
    from agolkit.repair import plan_repair, repair
    from agolkit.report import show_report
    from agolkit.retention import Keep
    from agolkit.sizes import list_sizes
    from agolkit.store import BucketSettings, Store, open_store
    from agolkit.thawing import thaw
    from agolkit.tiering import Archive
    from agolkit.verify import VerifyReport, verify
    from agolkit.zips import list_zips, publish_zip

_HOMES = {
    "AgolkitError": "agolkit.errors",
    "Archive": "agolkit.tiering",
    "BackupForm": "agolkit.forms",
    "BackupOptions": "agolkit.options",
    "BucketSettings": "agolkit.store",
    "Keep": "agolkit.retention",
    "Portal": "agolkit.portal",
    "Result": "agolkit.model",
    "RunSummary": "agolkit.model",
    "Store": "agolkit.store",
    "VerifyReport": "agolkit.verify",
    "backup": "agolkit.backup",
    "bucket_policy": "agolkit.bucket_policy",
    "compare": "agolkit.compare",
    "compare_item": "agolkit.compare",
    "connect": "agolkit.portal",
    "copy": "agolkit.copying",
    "fetch": "agolkit.fetch",
    "history": "agolkit.compare",
    "forget": "agolkit.forget",
    "list_items": "agolkit.inventory",
    "list_sizes": "agolkit.sizes",
    "list_zips": "agolkit.zips",
    "load_items": "agolkit.manifest",
    "load_layer": "agolkit.kinds.feature_service.conversion.frames",
    "open_store": "agolkit.store",
    "plan_backup": "agolkit.plan",
    "plan_copy": "agolkit.copying",
    "plan_forget": "agolkit.forget",
    "plan_prune": "agolkit.pruning",
    "plan_repair": "agolkit.repair",
    "prune": "agolkit.pruning",
    "publish_zip": "agolkit.zips",
    "repair": "agolkit.repair",
    "show_report": "agolkit.report",
    "standing_alarms": "agolkit.alarms",
    "thaw": "agolkit.thawing",
    "unpin": "agolkit.alarms",
    "verify": "agolkit.verify",
}

__all__ = [
    "AgolkitError",
    "Archive",
    "BackupForm",
    "BackupOptions",
    "BucketSettings",
    "Keep",
    "Portal",
    "Result",
    "RunSummary",
    "Store",
    "VerifyReport",
    "backup",
    "bucket_policy",
    "compare",
    "compare_item",
    "connect",
    "copy",
    "fetch",
    "forget",
    "history",
    "list_items",
    "list_sizes",
    "list_zips",
    "load_items",
    "load_layer",
    "open_store",
    "plan_backup",
    "plan_copy",
    "plan_forget",
    "plan_prune",
    "plan_repair",
    "prune",
    "publish_zip",
    "repair",
    "show_report",
    "standing_alarms",
    "thaw",
    "unpin",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"agolkit has no {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps `agolkit.backup` the function, although a module of that name is imported as well."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _HOMES.get(name) == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
