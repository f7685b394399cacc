"""What is saved of items that a run has not finished: the run that takes its backup up fetches only the rest.

Attachments are blobs already, and the journal names them. Rows come into one blob when the last of them is there; until
then those of a long layer are kept in stretches, each a file of the unfinished backup.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from agolkit.entries import outcome_from_json, outcome_to_json
from agolkit.errors import StoreError
from agolkit.journal import Journal, journal_lines
from agolkit.model import Outcome, Part
from agolkit.store import Draft, Store

log = logging.getLogger(__name__)

ROWS = "journal/rows"
"""Where the stretches of an unfinished backup are."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of a layer that follow each other, and what they were read from."""

    item_id: str
    layer: int
    source: str
    """A hash of the address of the service and of the definition of the layer."""
    stamps: Mapping[str, Any]
    """When the layer was last edited, by itself, before the first of its rows was read."""
    first: int
    last: int
    """Object ids."""
    header: Mapping[str, Any]
    """What the answers said beside the features."""
    sha256: str
    """Of the file."""

    @property
    def path(self) -> str:
        """Its file. The name is a hash of all that is said here: nobody can change that and still find the file."""
        told = json.dumps(asdict(self), sort_keys=True).encode()
        return f"{ROWS}/{hashlib.sha256(told).hexdigest()}.jsonl.gz"


class UnderWay:
    """What a run notes of items that it has not finished, and what the run before it noted. Safe in threads."""

    def __init__(self, draft: Draft, journal: Journal) -> None:
        self._draft = draft
        self._journal = journal
        self._stretches: dict[tuple[str, int], list[Stretch]] = {}
        held = {f"{ROWS}/{name}" for name in draft.store.names(f"backups/{draft.name}/{ROWS}")}
        for line in journal_lines(draft.store, draft.name) if held else ():
            with suppress(TypeError):  # a line that somebody has edited
                if "rows" in line and (each := Stretch(**line["rows"])).path in held:
                    self._stretches.setdefault((each.item_id, each.layer), []).append(each)

    def note(self, outcome: Outcome) -> None:
        """Note what is saved of an item so far; its `how` says whether an earlier backup had it."""
        self._journal.under_way({"under_way": outcome_to_json(outcome)})

    def keep_rows(self, stretch: Stretch, content: bytes) -> None:
        """Keep rows that have come, until the backup is complete."""
        self._draft.write(stretch.path, content)
        self._journal.under_way({"rows": asdict(stretch)})

    def stretches(self, item_id: str, layer: int) -> Sequence[Stretch]:
        """What the run before this one had kept of a layer, by first id."""
        return sorted(self._stretches.get((item_id, layer), ()), key=lambda each: each.first)

    def rows(self, stretch: Stretch) -> bytes | None:
        """The content of a stretch; `None` where it is not what it was."""
        with suppress(StoreError):
            content = self._draft.store.find(f"backups/{self._draft.name}/{stretch.path}")
            if content is not None and hashlib.sha256(content).hexdigest() == stretch.sha256:
                return content
        return None

    def clear(self) -> None:
        """Remove the stretches: every item has come to its end, and its rows are in blobs."""
        try:
            self._draft.store.clear(f"backups/{self._draft.name}/{ROWS}")
        except StoreError as error:  # an account that may delete nothing makes good backups nevertheless
            log.info("Rows that nobody needs any more stay in %s/%s: %s", self._draft.location, ROWS, error)


def noted_outcomes(store: Store, backup: str) -> list[tuple[Outcome, frozenset[str]]]:
    """What the journal of a backup says of items under way, once for each time that one was begun; and the paths of
    what was fetched for it, and not found in an earlier backup."""
    begun: dict[tuple[str, datetime], Outcome] = {}
    parts: dict[tuple[str, datetime], dict[str, Part]] = {}
    fetched: dict[tuple[str, datetime], set[str]] = {}
    for line in journal_lines(store, backup):
        if "under_way" in line:
            with suppress(ValueError, KeyError, TypeError):  # a line that somebody has edited
                outcome = outcome_from_json(line["under_way"])
                key = outcome.item.id, outcome.observed
                begun[key] = outcome
                parts.setdefault(key, {}).update((part.path, part) for part in outcome.parts)
                if outcome.how == "fetched":
                    fetched.setdefault(key, set()).update(part.path for part in outcome.parts)
    return [(replace(begun[key], parts=tuple(parts[key].values())), frozenset(fetched.get(key, ()))) for key in begun]
