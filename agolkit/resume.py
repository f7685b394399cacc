"""Going on with a backup that was interrupted: which one, and which of its items are still what they were.

An item is kept only where that is certain. Everything that can change without moving a stamp of the item (who sees it,
what it is related to) is asked for anew; of hosted layers the service has to say that nobody has edited them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from agolkit.errors import ConnectionTrouble, PortalError, StoreDamaged
from agolkit.kinds.feature_service.definition import layers_in, load_definition
from agolkit.kinds.feature_service.views import VIEW, is_view
from agolkit.kinds.parts import save_description, save_relations
from agolkit.kinds.reference import HOSTED
from agolkit.kinds.registry import FEATURE_SERVICE, kind_of, save_item
from agolkit.kinds.saving import RunContext, Saving
from agolkit.layout import safe_paths
from agolkit.manifest import read_outcomes
from agolkit.model import Item, Outcome, Result, from_epoch_ms
from agolkit.options import BackupOptions
from agolkit.portal import FeatureService
from agolkit.progress import TimedOut
from agolkit.store import Store
from agolkit.store.version import agolkit_version

SAVING_OPTIONS = ("feature_format", "export_max_bytes", "attachments", "views", "max_tile_bytes")
"""What decides which parts of an item are saved, and in which form. Options that choose the items may differ, because
the inventory is made anew; those of speed, patience and the tree change nothing of what is saved."""

ASKED_ANEW = ("item", "sharing", "relations")
"""Parts of a kept item that are saved again: they change without moving a stamp of the item."""


@dataclass(frozen=True)
class Interrupted:
    """A backup that a run left unfinished or stopped. Safe to use from many threads."""

    name: str
    proven: Mapping[str, Outcome]
    """Its finished items, by id, that are kept where they are still the same."""
    kept: set[str] = field(default_factory=set)
    """Ids of the items that this run has kept so far."""
    unchecked: set[str] = field(default_factory=set)
    """Ids of the items that stand as they were, because this run was stopped before it had looked at them."""

    def save(self, context: RunContext, item: Item) -> Outcome:
        """The outcome of one item, kept or saved anew: the job that the engine runs for each item."""
        before = self.proven.get(item.id)
        outcome = _kept(context, before, item) if before and may_be_kept(context.store, before, item) else None
        if outcome is None:
            return save_item(context, item)
        self.kept.add(item.id)
        return outcome

    def known(self, context: RunContext, outcome: Outcome) -> Outcome:
        """The outcome, or what is known already of an item that a stopped run has not reached; it is checked later."""
        item, before = outcome.item, self.proven.get(outcome.item.id)
        if outcome.result is not Result.STOPPED or before is None or not _still_stands(context.store, before, item):
            return outcome
        self.unchecked.add(item.id)
        context.reused_bytes.add(before.saved_bytes)
        return before


def find_interrupted(store: Store, options: BackupOptions, now: datetime) -> Interrupted | None:
    """The backup that a run with these options takes up; `None`: it begins a new one.

    Only the newest of the scope can be: an older one would end with a date before that of a backup which it follows.
    """
    for name in reversed(store.backup_names()):
        try:
            facts = store.summary(name)
            if facts.get("scope") != options.scope_name:
                continue
            if not may_be_resumed(facts, options, now):
                return None
            outcomes = read_outcomes(store, name)
        except (StoreDamaged, KeyError, TypeError, ValueError):  # to tell is for `verify`; this run must go on
            return None
        return Interrupted(name, {each.item.id: each for each in outcomes if _is_proven(each)})
    return None


def may_be_resumed(facts: Mapping[str, Any], options: BackupOptions, now: datetime) -> bool:
    """Whether what is known of a backup of the same scope says that a run with these options may take it up."""
    if facts["state"] == "complete" or now - datetime.fromisoformat(facts["started"]) >= timedelta(
        seconds=options.resume_within
    ):
        return False
    before, wanted = facts.get("options", {}), asdict(options)
    same_parts = all(name in before and before[name] == wanted[name] for name in SAVING_OPTIONS)
    return same_parts and facts.get("agolkit") == agolkit_version()  # another version may save and check differently


def may_be_kept(store: Store, before: Outcome, item: Item) -> bool:
    """Whether an item still stands as it was saved, and is of a sort of which the portal can say so."""
    is_hosted = HOSTED in item.type_keywords
    # The tiles of a service can be made anew, and the rows of a view be edited in its sources, and no stamp moves.
    can_be_known = not is_hosted or (kind_of(item) is FEATURE_SERVICE and VIEW not in item.type_keywords)
    return can_be_known and _still_stands(store, before, item)


def _still_stands(store: Store, before: Outcome, item: Item) -> bool:
    """Whether an item is the same by its listing, and its files are there."""
    return before.item == item and all(store.blob_size(part.blob.sha256) == part.blob.size for part in before.parts)


def _is_proven(outcome: Outcome) -> bool:
    return outcome.result in (Result.VERIFIED, Result.DESCRIBED)


def _kept(context: RunContext, before: Outcome, item: Item) -> Outcome | None:
    """What the interrupted run saved of an item, with its description of now; `None` where it may have changed."""
    if not all(context.store.holds(part.blob) for part in before.parts):
        return None
    saving = Saving(context, item)
    try:
        if not (_has_same_resources(saving, before) and _has_same_rows(saving, before)):
            return None
        save_relations(saving)
        save_description(saving)
    except TimedOut:
        raise
    except (PortalError, ConnectionTrouble, StoreDamaged, KeyError, TypeError, ValueError):
        return None  # saving the item anew tells what the matter is, if anything still is
    anew = {part.path: part for part in saving.parts}
    if saving.item != item or anew.keys() != {part.path for part in before.parts if part.name in ASKED_ANEW}:
        return None
    context.reused_bytes.add(sum(part.blob.size for part in before.parts if part.path not in anew))
    parts = tuple(anew.get(part.path, part) for part in before.parts)
    return replace(before, item=saving.item, parts=parts, groups=saving.groups)


def _has_same_resources(saving: Saving, before: Outcome) -> bool:
    """Whether the resources are those that were saved: same paths and sizes, and none was put there since."""
    listed = {str(resource["resource"]): resource for resource in saving.portal.resources(saving.item.id)}
    paths = safe_paths(listed, "resources/")
    now = {paths[name][0]: resource.get("size") for name, resource in listed.items()}
    put = [from_epoch_ms(resource.get("created")) for resource in listed.values()]
    modified = saving.item.modified  # it is not later than the backup, by the portal's own clock
    return now == {part.path: part.blob.size for part in before.parts if part.name == "resource"} and all(
        modified is not None and each is not None and each <= modified for each in put
    )


def _has_same_rows(saving: Saving, before: Outcome) -> bool:
    """Whether a service says that neither rows nor definition were edited; true of everything that has no rows."""
    if HOSTED not in saving.item.type_keywords:
        return True
    saved = load_definition(saving.context.store, before.parts)
    live = FeatureService(saving.portal, saving.item.url).describe()
    layers = layers_in(live["layers"])
    says = all((raw.get("editingInfo") or {}).get("lastEditDate") for raw in layers if raw.get("type") != "Group Layer")
    return says and not is_view(saving.item, live) and all(saved.get(name) == live[name] for name in live)
