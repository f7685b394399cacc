"""What differs between two versions of one item, part by part."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agolkit.compare.archives import archive_differences
from agolkit.compare.descriptions import description_differences, item_differences, sharing_differences
from agolkit.compare.difference import MISSING, UNREADABLE, Change, Difference, difference, not_compared, tally
from agolkit.compare.documents import document_differences
from agolkit.compare.services import compare_services
from agolkit.model import Outcome, Part, Result, counted, in_bytes
from agolkit.store import Store

WHOLE = (Result.VERIFIED, Result.DESCRIBED)
"""Results of items of which nothing is missing: what is not saved of them, the portal did not have."""

_OF_LAYERS = ("geodatabase", "rows", "attachments", "attachment")
_LAST = ("definition", "rows", "attachments")
"""What comes last when differences are told in words, in this order."""
_OF_MANY = ("picture", "info", "resource")
"""Parts of which an item may have several; they are told apart by their path."""
_OF_ONE_PAYLOAD = ("source", "tiles")
"""What tiles were published from, or an export of them."""
_WORDS = {"overrides": "popups and symbols", "picture": "pictures", "info": "form", "resource": "resources"}
_DOCUMENTS = (".json", ".ipynb")
_LARGEST = 100_000_000
"""Bytes of a document that is compared as one."""


@dataclass(slots=True)
class ItemChanges:
    """How an item differs between two backups."""

    differences: list[Difference] = field(default_factory=list)
    rows: Mapping[Change, int] = field(default_factory=dict)
    """How many rows differ; `differences` may list fewer."""
    result: str = ""
    """How the verdicts differ; that is a difference of the backups, not of the item."""

    @property
    def is_changed(self) -> bool:
        """Whether the item itself is known to differ."""
        return bool(self.rows) or any(each.change != "not compared" for each in self.differences)

    def __str__(self) -> str:
        """In plain words: `title, sharing; data: 3 changes; rows: +12 -1 ~4`."""
        fields: dict[str, None] = {}
        parts: dict[str, list[Difference]] = {}
        for each in self.differences:
            if each.part in ("item", "sharing"):
                fields[each.where.split(" / ")[0] if each.part == "item" else "sharing"] = None
            else:
                parts.setdefault(each.part, []).append(each)
        if self.rows:
            parts.setdefault("rows", [])
        said = [self._said(part, parts[part]) for part in sorted(parts, key=_rank)]
        return "; ".join(filter(None, [", ".join(fields), *said, self.result]))

    def _said(self, part: str, differences: Sequence[Difference]) -> str:
        word = _WORDS.get(part, part)
        counts = self.rows if part == "rows" else Counter(each.change for each in differences)
        number = sum(counts.values()) - counts.get("not compared", 0)
        if not number:
            return f"{word}: not compared"
        if part in ("rows", "attachments"):
            return f"{word}: {tally(counts)}"
        is_whole = number == 1 and not differences[0].where
        return word if is_whole else f"{word}: {counted(number, 'change')}"


def _rank(part: str) -> int:
    return _LAST.index(part) if part in _LAST else -1


def compare_versions(store: Store, before: Outcome, after: Outcome, *, listed: int) -> ItemChanges:
    """How an item differs between two backups; at most `listed` rows of each layer, added, removed and changed.

    A part that one of the backups could not save is not called added or removed.
    """
    changes = ItemChanges()
    if before.item != after.item:
        changes.differences += item_differences(before.item, after.item)
    if before.result != after.result:
        changes.result = f"result: {after.result} instead of {before.result}"
    old, new = _by_key(before), _by_key(after)
    if "sharing" not in old or "sharing" not in new:
        changes.differences += _access_differences(before, after)
    for key in [*old, *(key for key in new if key not in old)]:
        one, other = old.get(key), new.get(key)
        if one and other and one.blob.sha256 == other.blob.sha256:
            continue
        if one and other:
            changes.differences += _guarded(store, one, other)
        elif key in _OF_ONE_PAYLOAD and all(any(form in side for form in _OF_ONE_PAYLOAD) for side in (old, new)):
            if one:
                changes.differences.append(not_compared(key, "", "one backup has the original, the other an export"))
        elif (before if other else after).result in WHOLE:
            changes.differences.append(_whole_part(one, other))
    if "definition" in old and "definition" in new and _layer_blobs(before) != _layer_blobs(after):
        try:
            service = compare_services(store, before, after, listed=listed)
            changes.differences += service.differences
            changes.rows = service.rows
        except UNREADABLE as error:
            changes.differences.append(not_compared("definition", "", error))
    return changes


def _by_key(outcome: Outcome) -> dict[str, Part]:
    """The parts that are compared one by one, by what makes two of them the same part."""
    return {
        f"{part.name} {part.path}" if part.name in _OF_MANY else part.name: part
        for part in outcome.parts
        if part.name not in _OF_LAYERS
    }


def _layer_blobs(outcome: Outcome) -> set[tuple[str, str]]:
    return {(part.path, part.blob.sha256) for part in outcome.parts if part.name in (*_OF_LAYERS, "definition")}


def _access_differences(before: Outcome, after: Outcome) -> Iterator[Difference]:
    if before.item.access != after.item.access:
        yield difference("sharing", ["access"], before.item.access, after.item.access)


def _guarded(store: Store, before: Part, after: Part) -> list[Difference]:
    """The differences between two files; of damaged ones the reason why they cannot be told."""
    try:
        return list(_part_differences(store, before, after))
    except UNREADABLE as error:
        return [not_compared(before.name, _place(after), error)]


def _part_differences(store: Store, before: Part, after: Part) -> Iterator[Difference]:
    where = [place] if (place := _place(after)) else []
    match before.name:
        case "definition":  # with its layers
            return
        case "item":
            yield from description_differences(_json(store, before), _json(store, after))
            return
        case "sharing":
            yield from sharing_differences(_json(store, before), _json(store, after))
            return
        case "relations":
            told = document_differences("relations", _json(store, before), _json(store, after), ordered=False)
            yield from told
            return
    if before.path.endswith(_DOCUMENTS) and after.path.endswith(_DOCUMENTS) and _is_small(before) and _is_small(after):
        for each in document_differences(before.name, _json(store, before), _json(store, after)):
            place = " / ".join(filter(None, [*where, each.where]))
            yield Difference(each.part, place, each.change, each.before, each.after)
        return
    inside = archive_differences(store, before, after, where)
    if inside is None:
        yield _whole_part(before, after)
    else:
        yield from inside


def _whole_part(before: Part | None, after: Part | None) -> Difference:
    """The difference of files that are not looked into: their length, and their hash."""
    told = [
        MISSING if part is None else f"{in_bytes(part.blob.size)}, sha256 {part.blob.sha256[:8]}…"
        for part in (before, after)
    ]
    part = after or before
    assert part
    return difference(part.name, filter(None, [_place(part)]), *told)


def _place(part: Part) -> str:
    """The portal's name of one of several files."""
    return (part.exact_name or part.path.split("/", 1)[-1]) if part.name in _OF_MANY else ""


def _is_small(part: Part) -> bool:
    return part.blob.size <= _LARGEST


def _json(store: Store, part: Part) -> Any:
    with store.copied(part.blob.sha256) as spool:
        return json.loads(spool.read())
