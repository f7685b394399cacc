"""One difference between two versions of an item, and how its values are shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agolkit.errors import AgolkitError, Archived, CheckFailed, StoreDamaged
from agolkit.model import shown

Change = Literal["added", "removed", "changed", "not compared"]

LONGEST = 300
"""Characters of a value that are shown."""
LEAD = 40
"""Characters before the first one that differs, where the beginning of a long text is the same."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was."""

    part: str
    where: str
    """A path for people: `operationalLayers / Hydrants (id 18f0…) / layerDefinition / definitionExpression`."""
    change: Change
    """Of what is `not compared`, `after` says why."""
    before: str = ""
    after: str = ""


UNREADABLE = (StoreDamaged, Archived, CheckFailed, RuntimeError, ValueError, LookupError, TypeError, AttributeError)
"""What is raised where a saved file is damaged, or has not the form that files of its sort have."""


class _Missing:
    """Stands for a value that is not there."""


MISSING = _Missing()


def difference(part: str, where: Iterable[str], before: Any, after: Any) -> Difference:
    """The difference between two values, of which one may be `MISSING`."""
    change: Change = "added" if before is MISSING else "removed" if after is MISSING else "changed"
    texts = "" if before is MISSING else as_text(before), "" if after is MISSING else as_text(after)
    return Difference(part, shown(" / ".join(where)), change, *_excerpts(*texts))


def not_compared(part: str, where: str, reason: object) -> Difference:
    """What stands in the place of differences that cannot be told."""
    said = str(reason) if isinstance(reason, AgolkitError | str) else f"{type(reason).__name__}: {reason}"
    return Difference(part, where, "not compared", after=said)


def as_text(value: Any) -> str:
    """A value as one text: a text as it is, everything else as JSON."""
    return shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def tally(counts: Mapping[Change, int]) -> str:
    """How many were added, removed and changed: `+12 -1 ~4`."""
    signs: dict[Change, str] = {"added": "+", "removed": "-", "changed": "~"}
    return " ".join(f"{sign}{counts[change]:,}" for change, sign in signs.items() if counts.get(change))


def _excerpts(before: str, after: str) -> tuple[str, str]:
    """Two texts, shortened so that the first place where they differ can be seen."""
    start = 0
    if before and after and max(len(before), len(after)) > LONGEST:
        pairs = enumerate(zip(before, after, strict=False))
        same = next((at for at, (one, other) in pairs if one != other), min(len(before), len(after)))
        start = max(0, same - LEAD)
    return _excerpt(before, start), _excerpt(after, start)


def _excerpt(text: str, start: int) -> str:
    end = start + LONGEST
    return ("…" if start and text else "") + text[start:end] + ("…" if len(text) > end else "")
