"""Sizes, times and counts as people read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from agolkit.model import Outcome, Result, in_bytes


def sums(outcomes: Iterable[Outcome]) -> tuple[Counter[Result], Counter[Result]]:
    """Items and bytes of each result."""
    items: Counter[Result] = Counter()
    sizes: Counter[Result] = Counter()
    for outcome in outcomes:
        items[outcome.result] += 1
        sizes[outcome.result] += size_of(outcome)
    return items, sizes


def size_of(outcome: Outcome) -> int:
    """Bytes of an item: what the portal states, or what was saved where that is more."""
    return max(outcome.item.size or 0, outcome.saved_bytes)


def size_is_unknown(outcome: Outcome) -> bool:
    """Whether neither the portal nor what was saved says how large the item is."""
    return outcome.item.size is None and outcome.result not in (Result.VERIFIED, Result.DESCRIBED)


def size_text(outcome: Outcome) -> str:
    """The size of an item in words."""
    return "unknown" if size_is_unknown(outcome) else in_bytes(size_of(outcome))


def by_size(outcome: Outcome) -> tuple[int, str, str]:
    """Sorts items, the biggest first."""
    return -size_of(outcome), outcome.item.title, outcome.item.id


def modified(outcome: Outcome) -> datetime:
    """When the item was last modified; now, where the portal does not say."""
    return outcome.item.modified or outcome.observed


def count(number: int) -> str:
    """`1 item`, `12,000 items`."""
    return f"{number:,} item{'' if number == 1 else 's'}"


def percent(part: int, whole: int) -> str:
    """`87 %`, rounded down, so that 100 % means all."""
    return f"{100 * part // whole} %" if whole else "nothing"


def duration(seconds: float) -> str:
    """`3.9 s`, `4 min 10 s`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def moment(stamp: str | None) -> str:
    """`2026-11-23 02:00 UTC`."""
    return f"{datetime.fromisoformat(stamp):%Y-%m-%d %H:%M} UTC" if stamp else "an unknown time"
