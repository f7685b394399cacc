"""What earlier backups hold that still stands: the items whose fingerprint is today what it was when they were saved.

An item is reused only where its listing, the groups that have it, and one cheap question each about its service,
resources and metadata are answered as they were then. Whatever is not certain is fetched. What only says where an item
stands and who sees it (folder, owner, sharing) is saved anew by itself, without the item's content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, replace
from typing import Any

from agolkit.errors import ConnectionTrouble, PortalError, StoreDamaged, StoreError
from agolkit.kinds.feature_service.stamps import same_stamps
from agolkit.kinds.fingerprint import content_stamp, description_stamp, resources_stamp
from agolkit.kinds.metadata import same_metadata
from agolkit.kinds.parts import save_description
from agolkit.kinds.reference import HOSTED
from agolkit.kinds.registry import FEATURE_SERVICE, kind_of
from agolkit.kinds.saving import RunContext, Saving
from agolkit.kinds.tiles import root_stamp
from agolkit.manifest import read_outcomes
from agolkit.model import Item, Outcome, Result
from agolkit.options import BackupOptions
from agolkit.portal import FeatureService
from agolkit.store import Store

SAVING_OPTIONS = ("feature_format", "export_max_bytes", "attachments", "views", "max_tile_bytes")
"""What decides which parts of an item are saved, and in which form. Options that choose the items may differ, because
the inventory is made anew; those of speed, patience and the tree change nothing of what is saved."""

ROWS = ("rows", "geodatabase")
OF_PLACE = ("description", "groups")
"""Stamps of where an item stands and who sees it: they say nothing of its content."""
NO_CONTENT = ("item", "sharing", "geodatabase", "tiles", "definition")
"""Parts whose bytes may differ although no content was edited: they say where an item stands, or the server makes them
anew each time, or puts its counters into them."""


def find_proven(store: Store, options: BackupOptions) -> dict[str, Outcome]:
    """What the newest complete backup of each scope has proven with the same saving options, by item id.

    A backup that is damaged is passed over: to tell is for `verify`.
    """
    found: dict[str, Outcome] = {}
    scopes: set[str] = set()
    for name in reversed(store.backup_names()):
        try:
            facts = store.summary(name)
            if facts["state"] != "complete" or facts["scope"] in scopes:
                continue
            scopes.add(facts["scope"])
            if saved_alike(facts.get("options", {}), options):
                for outcome in read_outcomes(store, name):
                    if is_proven(outcome):
                        found.setdefault(outcome.item.id, outcome)
        except (StoreDamaged, KeyError, TypeError, ValueError):
            continue
    return found


def runs_since_full(store: Store, options: BackupOptions) -> int:
    """How many runs of the scope it is since one fetched everything; 0: this one does.

    It does where it is told to, where `full_every` runs have passed, and where it is the first run of the store. Each
    backup has its own number, because those before it may have been deleted.
    """
    since, is_first = 1, True
    for name in reversed(store.backup_names()):
        try:
            facts = store.summary(name)
            if facts["state"] != "complete":
                continue
            is_first = False
            if facts["scope"] == options.scope_name:
                since = facts["since_full"] + 1
                break
        except (StoreDamaged, KeyError, TypeError):
            continue
    is_due = is_first or 0 < options.full_every <= since
    return 0 if options.full or is_due else since


def saved_alike(before: Mapping[str, Any], options: BackupOptions) -> bool:
    """Whether a backup with the options `before` has saved the same parts, in the same form."""
    wanted = asdict(options)
    return all(name in before and before[name] == wanted[name] for name in SAVING_OPTIONS)


def is_proven(outcome: Outcome) -> bool:
    """Whether an outcome may be reused at all, if nothing has changed."""
    stamps = outcome.fingerprint
    if outcome.result not in (Result.VERIFIED, Result.DESCRIBED) or not stamps or not isinstance(stamps, dict):
        return False
    # Somebody may have edited it; the rest of it is only compared.
    service, needs = stamps.get("service", {}), stamps.get("needs", [])
    return isinstance(service, dict) and isinstance(needs, list) and all(isinstance(each, str) for each in needs)


def is_listed_alike(store: Store, before: Outcome, item: Item) -> bool:
    """Whether an item is what it was, as far as its listing tells, and its files are there; nobody is asked."""
    stamps, kind = before.fingerprint, kind_of(item)
    if (before.kind, stamps.get("recipe"), stamps.get("content")) != (kind.name, kind.recipe, content_stamp(item)):
        return False
    try:
        return all(store.at_hand(part.blob) for part in before.parts)
    except (StoreError, TypeError):  # no blob has such a name; and of a store that is out of order, saving tells
        return False


def may_stand(store: Store, before: Outcome, item: Item, in_scope: Set[str]) -> bool:
    """Whether an item is listed as it was, and is of a sort of which the portal can say whether it was edited.

    What is needed beside it, such as the source of a view, has to be `in_scope`.
    """
    if not set(before.fingerprint.get("needs", ())) <= in_scope:
        return False
    service = before.fingerprint.get("service") or {}
    if HOSTED in item.type_keywords and (not service or None in service.values()):
        return False
    # The rows of a view are edited in its sources, and its own stamps need not move.
    if "view" in service and any(part.name in ROWS for part in before.parts):
        return False
    return is_listed_alike(store, before, item)


def stand(context: RunContext, before: Outcome, item: Item) -> Outcome | None:
    """What was saved of an item, with its description of today; `None` where it may have changed."""
    if not may_stand(context.store, before, item, context.in_scope):
        return None
    saving = Saving(context, item)
    try:
        if not _same_content(saving, before):
            return None
        described = _same_description(saving, before) or _described_anew(saving)
    except (PortalError, ConnectionTrouble, StoreDamaged, KeyError, TypeError, ValueError, AttributeError):
        return None  # saving the item anew tells what the matter is, if anything still is
    if not described:
        return None
    anew = {part.path: part for part in saving.parts}
    context.reused_bytes.add(sum(part.blob.size for part in before.parts if part.path not in anew))
    if not anew:
        return before
    parts = tuple(anew.get(part.path, part) for part in before.parts)
    stamps = {**before.fingerprint, **saving.stamps, "description": description_stamp(item, saved=saving.item)}
    return replace(before, item=saving.item, parts=parts, groups=saving.groups, fingerprint=stamps)


def _same_content(saving: Saving, before: Outcome) -> bool:
    """Whether what the listing does not tell of is as it was."""
    item, portal, stamps = saving.item, saving.portal, before.fingerprint
    if HOSTED in item.type_keywords:
        service = stamps["service"]
        if kind_of(item) is FEATURE_SERVICE:
            if not same_stamps(FeatureService(portal, item.url), service):
                return False
        elif service != {"root": root_stamp(portal, item.url)}:
            return False
    if "resources" in stamps and stamps["resources"] != resources_stamp(portal.resources(item.id)):
        return False
    return "metadata" not in stamps or same_metadata(portal, item.id, stamps["metadata"])


def _same_description(saving: Saving, before: Outcome) -> bool:
    """Whether folder, owner, access and groups are as they were, as far as that shows without asking for the item."""
    item, shared, titles = saving.item, saving.context.shared, saving.context.group_titles
    groups = before.fingerprint["groups"]
    # A group that does not say what it holds may have got the item since.
    if before.fingerprint["description"] != description_stamp(item) or not shared.keys() >= titles.keys():
        return False
    has_it = [group for group, items in shared.items() if item.id in items]
    return sorted(groups) == sorted(has_it) and sorted(before.groups) == sorted(titles[group] for group in has_it)


def _described_anew(saving: Saving) -> bool:
    """Save the description of an item whose content is as it was; whether it is still the one that was listed."""
    listed = saving.item
    save_description(saving)
    return saving.item.modified == listed.modified


def changed_without_sign(before: Mapping[str, Outcome], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The items whose content has changed though their fingerprint has not: what only a full run can find."""
    return [
        outcome
        for outcome in outcomes
        if (old := before.get(outcome.item.id)) is not None
        and _signs(old) == _signs(outcome)
        and _content(old) != _content(outcome)
    ]


def _signs(outcome: Outcome) -> dict[str, Any]:
    return {name: stamp for name, stamp in outcome.fingerprint.items() if name not in OF_PLACE}


def _content(outcome: Outcome) -> set[tuple[str, str]]:
    return {(part.path, part.blob.sha256) for part in outcome.parts if part.name not in NO_CONTENT}
