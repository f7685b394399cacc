"""The section on what is not protected: items by reason, the worst first, then what is not an item."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from agolkit.model import Outcome, Result, in_bytes
from agolkit.news import CHOOSING
from agolkit.report.beside import Beside
from agolkit.report.figures import by_size, count, size_is_unknown, size_of, size_text
from agolkit.report.pieces import ITEM_COLUMNS, MEANING, TOP, row, value_text

_TO_BE_VERIFIED = (Result.FAILED, Result.PARTIAL, Result.STOPPED, Result.EXCLUDED)
"""What an item may be that could be verified: one whose data is somewhere else never is."""

# What differs between two reasons that are the same to a reader: ids and numbers.
_VARYING = re.compile(r"\b[0-9a-f]{32}\b|\d[\d,.]*")


def not_protected(outcomes: Sequence[Outcome], facts: Mapping[str, Any], beside: Beside) -> str:
    """Every item that is not verified, or not with all its parts, under its reason; the worst first."""
    listed: dict[Result, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.result is not Result.VERIFIED or outcome.left_out:
            listed[outcome.result].append(outcome)
    options = facts.get("options", {})
    chosen = [f"{name}: {value_text(options[name])}" for name in CHOOSING if options.get(name)]
    choice = (
        "<p>This backup covers a choice of items. What lies outside it is not counted here: "
        f"{escape('; '.join(chosen))}.</p>"
        if chosen
        else ""
    )
    said = _before(outcomes, beside) if listed else "<p>Every item is verified, with all its parts.</p>"
    parts = [
        f'<div class="result"><h3><span class="dot {result}"></span>{_heading(result)}: {count(len(listed[result]))}'
        f"</h3>\n{_groups(listed[result], options.get('accept', {}), beside)}</div>\n"
        for result in MEANING
        if listed[result]
    ]
    parts += [
        _sentences("Left behind in the portal", facts.get("left_behind", ())),
        _sentences("Of the organization itself, not read", beside.unread),
    ]
    return f"<section><h2>What is not protected</h2>{choice}{said}\n{''.join(parts)}</section>\n"


def _before(outcomes: Iterable[Outcome], beside: Beside) -> str:
    """How many of the items were never verified, as far as earlier backups tell."""
    hoped = [outcome for outcome in outcomes if outcome.result in _TO_BE_VERIFIED]
    never = [outcome for outcome in hoped if outcome.item.id not in beside.verified]
    if hoped and not beside.looked_at:
        return "<p>No backup before this one tells whether these items were ever verified.</p>"
    if not never:
        return ""
    before = f"the {beside.looked_at:,} backups" if beside.looked_at > 1 else "the backup"
    return f"<p>Never verified, neither now nor in {before} before: {count(len(never))}.</p>"


def _heading(result: Result) -> str:
    return "Verified, with something left out" if result is Result.VERIFIED else result.capitalize()


def _sentences(heading: str, sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    listed = "".join(f"<li>{escape(sentence)}\n" for sentence in sentences)
    return f'<div class="result"><h3>{heading}: {len(sentences):,}</h3>\n<ul>{listed}</ul></div>\n'


def _groups(outcomes: Iterable[Outcome], accept: Mapping[str, str], beside: Beside) -> str:
    """Items of one result, folded by reason: those that nobody accepted first, then the most items."""
    groups: dict[tuple[bool, str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        accepted = outcome.accepted(accept)
        key = _VARYING.sub("…", _reason(outcome)).casefold()
        groups[accepted is not None, accepted or "", key].append(outcome)
    ordered = sorted(groups.items(), key=lambda pair: (pair[0][0], -len(pair[1]), pair[0]))
    return "".join(
        _group(members, f'<small class="accepted">Accepted: {escape(reason)}</small>' if is_accepted else "", beside)
        for (is_accepted, reason, _), members in ordered
    )


def _group(members: list[Outcome], mark: str, beside: Beside) -> str:
    """The items that share a reason, the biggest first; each with its own words where these differ."""
    same = len({_reason(outcome) for outcome in members}) == 1
    reason = _reason(members[0]) if same else _VARYING.sub("…", _reason(members[0]))
    known = not any(map(size_is_unknown, members))
    rows = "".join(
        row(
            outcome,
            size_text(outcome),
            ("" if same else f"<small>{escape(_reason(outcome))}</small>") + _last_time(outcome, beside),
        )
        for outcome in sorted(members, key=by_size)
    )
    opened = " open" if len(members) <= TOP and members[0].result in (Result.FAILED, Result.PARTIAL) else ""
    return (
        f'<details{opened}><summary><span>{escape(reason)}{mark}</span><span class="soft">{count(len(members))}'
        f"{', ' + in_bytes(sum(map(size_of, members))) if known else ''}</span></summary>\n"
        f'<table class="items"><thead class="unseen"><tr>{ITEM_COLUMNS}Size</thead>\n<tbody>{rows}</table></details>\n'
    )


def _last_time(outcome: Outcome, beside: Beside) -> str:
    """When an item was last verified, or that it never was; nothing where no earlier backup could tell."""
    if outcome.item.id in beside.verified:
        backup, observed = beside.verified[outcome.item.id]
        return f"<small>last verified {observed:%Y-%m-%d}, in backup {escape(backup)}</small>"
    if beside.looked_at and outcome.result in _TO_BE_VERIFIED:
        return "<small>never verified</small>"
    return ""


def _reason(outcome: Outcome) -> str:
    """Why an item is not protected, or not wholly; empty where there is nothing to say."""
    left_out = f"left out by an option: {', '.join(outcome.left_out)}" if outcome.left_out else ""
    said = "; ".join(text for text in (outcome.message.rstrip("."), left_out) if text)
    return said or ("" if outcome.result is Result.VERIFIED else "no reason is known")
