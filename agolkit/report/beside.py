"""What a store holds beside the list of items that a report needs: earlier backups, and gaps of the organization."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from agolkit.manifest import LOOK_BACK, read_outcomes
from agolkit.model import Outcome, Result
from agolkit.news import News
from agolkit.store.base import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Beside:
    """What is known of the gaps of a backup from elsewhere in its store."""

    verified: Mapping[str, tuple[str, datetime]] = field(default_factory=dict)
    """Of items that are not verified: id → the newest earlier backup in which they were, and when they were saved."""
    looked_at: int = 0
    """Earlier backups that were read for it."""
    unread: tuple[str, ...] = ()
    """What of the organization itself could not be read, each with the reason."""
    news: News | None = None
    """What is new since the last complete backup of the scope."""


def look_beside(store: Store, backup: str, outcomes: Iterable[Outcome]) -> Beside:
    """What the store says of a backup's gaps; a damaged file says nothing, and never raises."""
    wanted = {outcome.item.id: outcome.result for outcome in outcomes if outcome.result is not Result.VERIFIED}
    # An item whose data is somewhere else never was: that is no reason to read another backup.
    hoped = {item_id for item_id, result in wanted.items() if result is not Result.DESCRIBED}
    verified: dict[str, tuple[str, datetime]] = {}
    looked_at = 0
    for name in islice((name for name in reversed(store.backup_names()) if name < backup), LOOK_BACK):
        if hoped <= verified.keys():
            break
        try:
            earlier = read_outcomes(store, name, only=wanted)
        except Exception:  # whatever is wrong with an old backup is for `verify` to tell; this report must go on
            log.warning("The report of %s does without the backup %s, which cannot be read.", backup, name)
            continue
        looked_at += 1
        for outcome in earlier:
            if outcome.result is Result.VERIFIED and outcome.item.id in wanted:
                verified.setdefault(outcome.item.id, (name, outcome.observed))
    return Beside(verified, looked_at, _unread(store, backup))


def _unread(store: Store, backup: str) -> tuple[str, ...]:
    """What `organization.json` says that it does not hold."""
    content = store.find(f"backups/{backup}/organization.json")
    try:
        return tuple(str(sentence) for sentence in json.loads(content or b"")["missing"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ("organization.json is missing or cannot be read",)
