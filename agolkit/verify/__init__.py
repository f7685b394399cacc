"""Whether a backup is still what was saved, and what has changed in the portal since."""

from __future__ import annotations

from agolkit.portal import Portal
from agolkit.store.base import Store
from agolkit.thawing import frozen_blobs, hashes_of
from agolkit.verify.differences import list_differences
from agolkit.verify.inspection import Inspection
from agolkit.verify.items import check_items
from agolkit.verify.own_files import check_own_files
from agolkit.verify.report import Damage, Difference, VerifyReport

__all__ = ["Damage", "Difference", "VerifyReport", "verify"]


def verify(store: Store, backup: str = "latest", *, deep: bool = False, portal: Portal | None = None) -> VerifyReport:
    """Whether everything that a backup lists is there and unharmed.

    Always: `backup.json` is as it was written and names this manifest, every blob and file is there with its size,
    SHA256SUMS and AllItems.csv say what the manifest says, and the tree is whole. With `deep`, every byte is read
    again and its hash compared, and what was proven when it was saved is proven again from the store alone: archives,
    JSON, XML and pictures open, geodatabases and rows hold the proven number of rows, each listed attachment is there
    with its size. Items that were removed with `forget` are counted, and no damage; so is what lies in an archive class
    and cannot be read before a thaw. Changes nothing.

    Parameters
    ----------
    portal
        Compare the backup with this portal as well, over the scope that the backup was made of; nothing is changed
        there. What differs is no damage: the portal goes on while a backup stands still.

    Raises
    ------
    NoSuchBackup
        There is no such backup. Damage is no error here: it is in the report.
    UsageError
        With `portal`: the backup was never finished, or its scope is empty by now. Final.
    StoreError
        With `portal`: the store is another organization's. Final.
    """
    name = store.resolve(backup)
    inspection = Inspection(store, name, deep=deep)
    facts, outcomes = check_own_files(inspection)
    store.survey()
    differences = list_differences(store, facts, outcomes, portal) if portal is not None and outcomes else None
    inspection.frozen = frozen_blobs(store, hashes_of(outcomes))
    check_items(inspection, outcomes, has_tree=facts.get("tree") in ("links", "copy"))
    return VerifyReport(
        backup=name,
        state=str(facts.get("state", "unknown")),
        deep=deep,
        files=len(inspection.sizes),
        bytes=sum(inspection.sizes.values()),
        damages=tuple(inspection.damages),
        forgotten=len({note["item_id"] for note in facts.get("forgotten", ())}),
        archived=len(inspection.frozen),
        archived_bytes=sum(inspection.frozen.values()),
        differences=differences,
    )
