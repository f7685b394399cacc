"""What a copy is to do with each backup of the source. Pure: both stores are only read."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any, Literal

from agolkit.errors import StoreDamaged
from agolkit.journal import journal_lines
from agolkit.manifest import manifest_lines, read_outcomes
from agolkit.model import Blob
from agolkit.report import REPORT
from agolkit.store import Store
from agolkit.store.seal import is_sealed

Action = Literal["copy", "replace", "same", "keep", "leave out", "differs", "damaged"]
"""`replace`: that of the source is the later state; `keep`: that of the target is; `differs`: a person must decide."""

Forgotten = Mapping[str, datetime]
"""The ids of forgotten items, each with the last time that it was."""

_NOT_COMPARED = frozenset(["tree", "own_sha256"])
"""Of `backup.json`: what says how a store shows a backup, and not what the backup is."""


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one backup."""

    name: str
    state: str
    action: Action
    reason: str
    content: bytes = b""
    """Its `backup.json` in the source."""
    missing: tuple[Blob, ...] = ()
    """What it needs and neither the target nor a step before this one has."""

    @property
    def facts(self) -> dict[str, Any]:
        """What its `backup.json` says."""
        facts: dict[str, Any] = json.loads(self.content)
        return facts


def find_steps(source: Store, target: Store, names: Collection[str]) -> Iterator[Step]:
    """A step for each of these backups, oldest first."""
    held = {blob.sha256: blob.size for blob in target.stored()}
    forgotten = cache(partial(forgotten_items, target))
    for name in sorted(names):
        content = source.find(f"backups/{name}/backup.json")
        if content is None and source.size(f"backups/{name}/{REPORT}") is None:
            yield Step(name, "unfinished", "leave out", _UNFINISHED)
            continue
        if not content or not is_sealed(content):
            what = "was changed" if content else "is missing or empty"
            yield Step(name, "unknown", "damaged", f"its backup.json {what}; agolkit repair makes it anew")
            continue
        facts = json.loads(content)
        state = str(facts["state"])
        if state == "unfinished":
            yield Step(name, state, "leave out", _UNFINISHED)
        elif state == "removed":
            yield Step(name, state, "leave out", "it is what an interrupted removal has left")
        elif "forgetting" in facts:
            yield Step(name, state, "differs", _being_forgotten(source))
        else:
            yield _step(source, target, name, content, held, forgotten)


_UNFINISHED = "its run was killed or is still at work; the next run ends it"


def forgotten_items(store: Store) -> Forgotten:
    """What was forgotten in any backup of a store."""
    found: dict[str, datetime] = {}
    for name in store.backup_names():
        facts = store.summary(name)
        for note in (*facts.get("forgotten", ()), *facts.get("forgetting", {}).get("items", ())):
            when = datetime.fromisoformat(note["when"])
            found[note["item_id"]] = max(when, found.get(note["item_id"], when))
    return found


def _step(
    source: Store,
    target: Store,
    name: str,
    content: bytes,
    held: dict[str, int],
    forgotten: Callable[[], Forgotten],
) -> Step:
    """The step for a finished backup; `held` gets the blobs that it brings."""
    facts = json.loads(content)
    state = str(facts["state"])
    action, reason = _compared(facts, target)
    missing: dict[str, Blob] = {}
    if action in ("copy", "replace", "same"):
        try:
            if action == "copy" and (back := _coming_back(source, facts, forgotten())):
                return Step(name, state, "differs", _would_come_back(source, target, back))
            for blob in needed_blobs(source, facts):
                if held.get(blob.sha256) != blob.size:
                    missing[blob.sha256] = blob
        except (StoreDamaged, ValueError, KeyError, TypeError) as error:
            return Step(name, state, "damaged", f"its lists cannot be read: {error}")
    held |= {blob.sha256: blob.size for blob in missing.values()}
    return Step(name, state, action, reason, content, tuple(missing.values()))


def _coming_back(source: Store, facts: Mapping[str, Any], forgotten: Forgotten) -> set[str]:
    """Items of a backup that were forgotten in the target after it was made; what was saved again since may come."""
    began = datetime.fromisoformat(facts["started"])
    gone = {item_id for item_id, when in forgotten.items() if began < when}
    return gone & {outcome.item.id for outcome in read_outcomes(source, facts["name"], only=gone)} if gone else set()


def _would_come_back(source: Store, target: Store, item_ids: Collection[str]) -> str:
    named = " ".join(f"--item {item_id}" for item_id in sorted(item_ids))
    return (
        f"items that were forgotten in {target.location} would come back; agolkit forget {source.location} {named} "
        "removes them here too"
    )


def needed_blobs(store: Store, facts: Mapping[str, Any]) -> Iterator[Blob]:
    """Every blob that a finished backup refers to, each as often as it does."""
    for text in manifest_lines(store, facts):
        yield from _blobs_of(json.loads(text))
    if facts["state"] == "stopped":  # the next run may go on with it, and reads its journal
        for line in journal_lines(store, facts["name"]):
            yield from _blobs_of(line.get("under_way", line))


def _blobs_of(line: Mapping[str, Any]) -> Iterator[Blob]:
    for part in line.get("parts", ()):
        yield Blob(part["sha256"], part["size"])


def _compared(ours: Mapping[str, Any], target: Store) -> tuple[Action, str]:
    """What is to be done with a finished backup of the source, by what the target has under its name."""
    name = ours["name"]
    there = set(target.names(f"backups/{name}"))
    content = target.find(f"backups/{name}/backup.json") if there else None
    if content and not is_sealed(content):
        return "replace", "its backup.json there was changed"
    try:
        theirs = json.loads(content) if content else target.summary(name)
    except StoreDamaged:
        return "replace", "the beginning of its journal there cannot be read"
    if theirs.get("started", ours["started"]) != ours["started"]:
        return "differs", f"{target.location} has another backup of this name"
    if not content or theirs["state"] == "removed":
        return "copy", "it was begun there" if there else "it is not there"
    if theirs["state"] == "unfinished":
        return "replace", "it is not finished there"
    if "forgetting" in theirs:
        return "differs", _being_forgotten(target)
    if _without_tree(ours) != _without_tree(theirs):
        return _later(ours, theirs, target)
    lost = theirs["files"].keys() - there
    return ("replace", f"{', '.join(sorted(lost))} is missing there") if lost else ("same", "")


def _later(ours: Mapping[str, Any], theirs: Mapping[str, Any], target: Store) -> tuple[Action, str]:
    """Which of two states of one backup is the later one."""
    gone, gone_there = _forgotten(ours), _forgotten(theirs)
    if gone > gone_there:
        return "replace", "items were forgotten since"
    if gone < gone_there:
        return "keep", f"items were forgotten in {target.location}, and would come back"
    if gone != gone_there:
        named = " ".join(f"--item {item_id}" for item_id in sorted(gone - gone_there))
        return "differs", f"other items were forgotten there; agolkit forget {target.location} {named} makes it equal"
    ended, ended_there = _end(ours), _end(theirs)
    if ended != ended_there:
        return ("replace", "it was taken up since") if ended > ended_there else ("keep", "it was taken up there")
    if ("repaired" in ours) != ("repaired" in theirs):
        if "repaired" in ours:
            return "keep", "it was repaired in the first store alone; the copy stays"
        return "replace", "it was repaired in the copy alone; it gets the first store's state"
    return "differs", "its backup.json says something else there; verify both"


def _without_tree(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key not in _NOT_COMPARED}


def _forgotten(facts: Mapping[str, Any]) -> set[str]:
    return {note["item_id"] for note in facts.get("forgotten", ())}


def _end(facts: Mapping[str, Any]) -> tuple[str, str]:
    return facts.get("resumed", ""), facts["finished"]


def _being_forgotten(store: Store) -> str:
    return f"a removal of items has not come to its end; agolkit forget {store.location} ends it"
