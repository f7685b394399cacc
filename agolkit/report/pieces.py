"""Pieces that several sections of the page are made of."""

from __future__ import annotations

from html import escape
from typing import Any

from agolkit.model import Outcome, Result

TOP = 10
"""Items in a list of the biggest, the slowest and so on, and rows of a list that stands unfolded."""

MEANING = {
    Result.FAILED: "Nothing useful could be saved.",
    Result.PARTIAL: "Something is saved, something that is named below is not.",
    Result.STOPPED: "The run ended before these items were reached. The next run saves them.",
    Result.VERIFIED: "Every part that was asked for is saved and was checked.",
    Result.EXCLUDED: "Left out by an option, which the reason names. Change it, and the next run saves them.",
    Result.DESCRIBED: "The data lives outside this portal, or there is none; the description is saved.",
}
"""What each result means to the reader, the worst first; of the verified, those are listed that left something out."""

ITEM_COLUMNS = "<th scope=col>Item<th scope=col>Type, owner<th scope=col>"


def row(outcome: Outcome, last: str, note: str = "") -> str:
    """A row of a list of items: what it is, whose, and `last`, which the list is about."""
    item = outcome.item
    where = f"<bdi>{escape(item.owner)}</bdi>" + (f" / <bdi>{escape(item.folder)}</bdi>" if item.folder else "")
    return (
        f"<tr><th scope=row><bdi>{escape(item.title) or 'no title'}</bdi><code>{escape(item.id)}</code>{note}"
        f"<td>{escape(item.type)}<small>{where}</small><td>{last}\n"
    )


def value_text(value: Any) -> str:
    """The value of an option, for people."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return "; ".join(f"{name} ({text})" for name, text in value.items())
    return str(value)
