"""What the backups of a store hold, read once: for rules, and for sums."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from agolkit.alarms import alarm_stands
from agolkit.errors import StoreDamaged
from agolkit.layout import backup_moment
from agolkit.manifest import read_outcomes
from agolkit.model import Blob, Result
from agolkit.options import BackupOptions
from agolkit.retention import Candidate
from agolkit.store import Store
from agolkit.store.removal import half_removed

_NARROWS = ("folders", "owners", "groups", "types", "query")


class Holdings:
    """What the backups of a store hold, read once: candidates for the rules, and which blobs each of them needs."""

    def __init__(self, store: Store) -> None:
        self.needed: dict[str, tuple[int, int]] = {}
        """Of each blob its size, and the backups that need it as the bits of a number."""
        with store.reading_once():
            self.names = sorted(set(store.backup_names()) - set(half_removed(store)))
            self.candidates = [self._read(store, name, 1 << bit) for bit, name in enumerate(self.names)]

    def _read(self, store: Store, name: str, bit: int) -> Candidate:
        try:
            facts = store.summary(name)
            outcomes = read_outcomes(store, name)
            for outcome in outcomes:
                for part in outcome.parts:
                    self._need(part.blob, bit)
            account, options = facts.get("account") or {}, facts.get("options") or {}
            return Candidate(
                name=name,
                scope=str(facts.get("scope") or ""),
                state=str(facts["state"]),
                started=datetime.fromisoformat(facts["started"]),
                label=str(facts.get("label") or ""),
                verified=frozenset(each.item.id for each in outcomes if each.result is Result.VERIFIED),
                listed=frozenset(each.item.id for each in outcomes),
                narrowed=_narrowed(options),
                account=str(account.get("username") or ""),
                privileges=frozenset(account.get("privileges") or ()),
                alarms=alarm_stands(store, facts),
                resume_within=timedelta(seconds=options.get("resume_within", BackupOptions.resume_within)),
            )
        except (StoreDamaged, ValueError, KeyError, TypeError, AttributeError) as error:
            return Candidate(name, "", "damaged", backup_moment(name), unreadable=str(error))

    def _need(self, blob: Blob, bit: int) -> None:
        size, holders = self.needed.get(blob.sha256, (blob.size, 0))
        self.needed[blob.sha256] = size, holders | bit

    def freed_with(self, going: set[str]) -> dict[str, int]:
        """Bytes of the blobs that only backups which go need, by the newest of these."""
        staying = sum(1 << bit for bit, name in enumerate(self.names) if name not in going)
        freed: dict[str, int] = {}
        for size, holders in self.needed.values():
            if not holders & staying:
                name = self.names[holders.bit_length() - 1]
                freed[name] = freed.get(name, 0) + size
        return freed


def _narrowed(options: Mapping[str, Any]) -> str:
    """What narrows a scope, so that the same choice is the same text; empty where nothing does."""
    if not options:
        return "unknown"
    chosen = {name: options[name] for name in _NARROWS if options.get(name)}
    plain = {
        name: sorted(map(str.casefold, value)) if isinstance(value, list) else value for name, value in chosen.items()
    }
    return json.dumps(plain, sort_keys=True) if plain else ""
