"""What differs between two JSON documents, told by what their elements are, not by where they happen to stand.

The elements of a list are matched by what identifies them: an inserted layer is one addition, and not a change of every
layer below it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from agolkit.compare.difference import MISSING, Difference, difference

_IDENTITIES = ("id", "itemId", "layerId", "name", "fieldName", "title", "label", "value", "code", "url")
"""What may tell one element of a list from another; of several that find as many again, the first."""
_NAMES = ("title", "label", "name", "fieldName", "caption")
_LONGEST_ID = 12
_LONGEST_NAME = 60
_ID = re.compile(r".*[\d_-].*")

Path = tuple[str, ...]


def document_differences(
    part: str, before: Any, after: Any, *, ignored: Collection[str] = (), ordered: bool = True
) -> Iterator[Difference]:
    """Every difference between two JSON values, the smallest that can be named.

    No difference are the order of keys, `null` in place of no value, and `1.0` in place of `1`.

    Parameters
    ----------
    ignored
        Keys that are passed over wherever they stand.
    ordered
        Whether the order of a list means something.
    """
    walk = _Walk(frozenset(ignored), ordered)
    for path, one, other in walk.values(before, after, ()):
        yield difference(part, path, one, other)


class _Walk:
    def __init__(self, ignored: frozenset[str], ordered: bool) -> None:
        self._ignored = ignored
        self._ordered = ordered

    def values(self, before: Any, after: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
        """The path of each difference below `path`, and what stands there on either side."""
        before, after = (MISSING if value is None else value for value in (before, after))
        if isinstance(before, dict) and isinstance(after, dict):
            yield from self._objects(before, after, path)
        elif isinstance(before, list) and isinstance(after, list):
            yield from self._lists(before, after, path)
        elif before is not after and (before != after or isinstance(before, bool) != isinstance(after, bool)):
            yield path, before, after

    def _objects(
        self, before: Mapping[str, Any], after: Mapping[str, Any], path: Path
    ) -> Iterator[tuple[Path, Any, Any]]:
        # Apps and stories keep their widgets and nodes as objects, by ids that say nothing to people.
        by_id = all(isinstance(value, dict) for each in (before, after) for value in each.values())
        for key in [*before, *(key for key in after if key not in before)]:
            if key not in self._ignored:
                step = _named(key, after.get(key) or before.get(key) or {}) if by_id else key
                yield from self.values(before.get(key), after.get(key), (*path, step))

    def _lists(self, before: Sequence[Any], after: Sequence[Any], path: Path) -> Iterator[tuple[Path, Any, Any]]:
        everything = [*before, *after]
        if all(isinstance(each, dict) for each in everything):
            identity = _identity(before, after)
            yield from self._matched(before, after, identity, path) if identity else self._alike(before, after, path)
        elif any(isinstance(each, str | dict) for each in everything):
            yield from self._alike(before, after, path)
        elif _plain(before) != _plain(after):  # coordinates and the like: nobody wants them number by number
            yield path, before, after

    def _matched(
        self, before: Sequence[Any], after: Sequence[Any], identity: str, path: Path
    ) -> Iterator[tuple[Path, Any, Any]]:
        """Elements that an identity tells apart."""
        old, new = ({_plain(each[identity]): each for each in some} for some in (before, after))
        for key in [*old, *(key for key in new if key not in old)]:
            step = _label(new.get(key) or old[key], identity)
            yield from self.values(old.get(key), new.get(key), (*path, step))
        kept = [[_label(new[key], identity) for key in some if key in old and key in new] for some in (old, new)]
        if self._ordered and kept[0] != kept[1]:
            yield (*path, "(order)"), ", ".join(kept[0]), ", ".join(kept[1])

    def _alike(self, before: Sequence[Any], after: Sequence[Any], path: Path) -> Iterator[tuple[Path, Any, Any]]:
        """Elements that only their content tells apart; what is left of either side is paired in its order."""
        old, new = _beyond(before, after), _beyond(after, before)
        are_objects = all(isinstance(each, dict) for each in (*old, *new))
        paired = min(len(old), len(new)) if are_objects else 0
        for number in range(paired):
            step = _label(new[number], "") or f"[{number + 1}]"
            yield from self.values(old[number], new[number], (*path, step))
        steps = [[_label(each, "") for each in some] if are_objects else [""] * len(some) for some in (old, new)]
        for each, step in zip(old[paired:], steps[0][paired:], strict=True):
            yield (*path, *filter(None, [step])), each, MISSING
        for each, step in zip(new[paired:], steps[1][paired:], strict=True):
            yield (*path, *filter(None, [step])), MISSING, each
        if self._ordered and not old and not new and list(map(_plain, before)) != list(map(_plain, after)):
            yield (*path, "(order)"), list(before), list(after)


def _identity(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> str:
    """The key by which most elements are found again; empty where none tells the elements of both lists apart."""
    found = {}
    for key in _IDENTITIES:
        old, new = ([each.get(key) for each in some] for some in (before, after))
        told = all(isinstance(value, str | int | float) and value != "" for value in (*old, *new))
        if told and all(len(set(map(_plain, some))) == len(some) for some in (old, new)):
            found[key] = len(set(map(_plain, old)) & set(map(_plain, new)))
    return max(found, key=lambda key: found[key], default="")


def _beyond(some: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """The elements of one list that the other does not have, or not as often."""
    there = Counter(map(_plain, others))
    left = []
    for each in some:
        text = _plain(each)
        if there[text]:
            there[text] -= 1
        else:
            left.append(each)
    return left


def _plain(value: Any) -> str:
    """The same text for what is the same JSON."""
    return json.dumps(value, sort_keys=True)


def _named(key: str, value: Mapping[str, Any]) -> str:
    """The key of an object by which it stands, with its title or type where it has one."""
    name = _name(value) or _name(value.get("data"))
    if not name and _ID.fullmatch(key):
        name = _text(value.get("type"))
    return f"{name} ({key})" if name and name != key else key


def _label(element: Mapping[str, Any], identity: str) -> str:
    """What an element of a list is called: its name, and where that need not be enough its type and id."""
    name, kind = _name(element), _text(element.get("type"))
    told = element.get(identity)
    if not name:
        name, kind = kind, ""
    if identity in ("", *_NAMES):
        return name or str(told or "")
    shortened = str(told) if len(str(told)) <= _LONGEST_ID else f"{str(told)[:8]}…"
    facts = ", ".join(filter(None, [kind, f"{identity} {shortened}"]))
    return f"{name} ({facts})" if name else facts


def _name(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    return next((text for key in _NAMES if (text := _text(value.get(key)))), "")


def _text(value: Any) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
