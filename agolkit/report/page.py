"""The page itself: self-contained, no scripts, nothing loaded from anywhere, every text of the portal escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from html import escape
from importlib.resources import files
from typing import Any

from agolkit.model import Outcome, Result, shown
from agolkit.options import BackupOptions
from agolkit.report.figures import (
    by_size,
    count,
    duration,
    in_bytes,
    modified,
    moment,
    percent,
    size_is_unknown,
    size_of,
    size_text,
    sums,
)

TOP = 10
"""Items in a list of the biggest, the slowest and so on, and rows of a list that stands unfolded."""
OLD_YEARS = 3

_MEANING = {
    Result.FAILED: "Nothing useful could be saved.",
    Result.PARTIAL: "Something is saved, something that is named below is not.",
    Result.STOPPED: "The run ended before these items were reached. The next run saves them.",
    Result.VERIFIED: "Every part that was asked for is saved and was checked.",
    Result.EXCLUDED: "Left out because the options say so.",
    Result.DESCRIBED: "The data lives outside this portal, or there is none; the description is saved.",
}
"""What each result means to the reader, the worst first; of the verified, those are listed that left something out."""

_CHOOSING = ("folders", "owners", "groups", "types", "query")
"""Options that choose the items of a backup."""

_ORDER = (Result.VERIFIED, *(result for result in _MEANING if result is not Result.VERIFIED))
"""Of the results in a bar and its legend."""

_ITEMS = "<th scope=col>Item<th scope=col>Type, owner<th scope=col>"
# What differs between two reasons that are the same to a reader: ids and numbers.
_VARYING = re.compile(r"\b[0-9a-f]{32}\b|\d[\d,.]*")


def report_page(outcomes: Sequence[Outcome], facts: Mapping[str, Any], *, location: str) -> str:
    """The report of a backup as one HTML page.

    Every item that is not `verified` is listed with its reason; of the verified, only the biggest and so on.

    Parameters
    ----------
    facts
        What `backup.json` says of the run (see `manifest.backup_facts`); of a killed run, how it began.
    location
        Where the store is, for people.
    """
    style = files("agolkit.report").joinpath("style.css").read_text("utf-8")
    style += "".join(f".w{share} {{ flex: {share} 0 3px; }}\n" for share in range(101))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    name = facts.get("portal", {}).get("name") or "the portal"
    started = moment(facts.get("started"))
    body = (
        f"<header><h1><bdi>{escape(name)}</bdi></h1>"
        f"<p>Backup of {started}, {escape(facts['state'])}</p></header>\n<main>\n"
        + _coverage(outcomes, facts)
        + _not_protected(outcomes, facts)
        + _by_type(outcomes)
        + _tops(outcomes, facts)
        + _run(facts, location)
        + "</main>"
    )
    return shown(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        f"content=\"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Backup of {escape(name)}, {started}</title>\n<style>{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _coverage(outcomes: Sequence[Outcome], facts: Mapping[str, Any]) -> str:
    """How much is verified, in items and bytes, and what the results mean."""
    items, sizes = sums(outcomes)
    total, total_bytes = items.total(), sizes.total()
    saved = sizes[Result.VERIFIED]
    unknown = sum(map(size_is_unknown, outcomes))
    rows = "".join(
        f'<tr><th scope=row><span class="dot {result}"></span>{result}<small>{_MEANING[result]}</small>'
        f'<td class="number">{items[result]:,}<td class="number">{in_bytes(sizes[result])}\n'
        for result in _ORDER
        if items[result]
    )
    ended = {
        "stopped": "<p>This run was stopped before all items were reached.</p>",
        "unfinished": "<p>This run did not end properly. Only what it had finished is listed here.</p>",
    }.get(facts["state"], "")
    return (
        f'<section><h2>What is protected</h2>{ended}\n<div class="covered">'
        f"<div><p><b>{percent(items[Result.VERIFIED], total)}</b> of items</p>"
        f"<p>{items[Result.VERIFIED]:,} of {total:,} verified</p>{_bar(items)}</div>\n"
        f"<div><p><b>{percent(saved, total_bytes)}</b> of bytes</p>"
        f"<p>{in_bytes(saved)} verified, {in_bytes(total_bytes - saved)} not"
        f"{f'; the size of {count(unknown)} is not known' if unknown else ''}</p>{_bar(sizes)}</div></div>\n"
        f'<table><thead><tr><th scope=col>Result<th scope=col class="number">Items'
        f'<th scope=col class="number">Size</thead>\n<tbody>{rows}</table></section>\n'
    )


def _not_protected(outcomes: Iterable[Outcome], facts: Mapping[str, Any]) -> str:
    """Every item that is not verified, or not with all its parts, under its reason; the worst first."""
    listed: dict[Result, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.result is not Result.VERIFIED or outcome.left_out:
            listed[outcome.result].append(outcome)
    options = facts.get("options", {})
    chosen = [f"{name}: {_value(options[name])}" for name in _CHOOSING if options.get(name)]
    choice = (
        "<p>This backup covers a choice of items. What lies outside it is not counted here: "
        f"{escape('; '.join(chosen))}.</p>"
        if chosen
        else ""
    )
    said = "" if listed else "<p>Every item is verified, with all its parts.</p>"
    parts = [
        f'<div class="result"><h3><span class="dot {result}"></span>{_heading(result)}: {count(len(listed[result]))}'
        f"</h3>\n{_groups(listed[result], options.get('accept', {}))}</div>\n"
        for result in _MEANING
        if listed[result]
    ]
    return f"<section><h2>What is not protected</h2>{choice}{said}\n{''.join(parts)}</section>\n"


def _heading(result: Result) -> str:
    return "Verified, with something left out" if result is Result.VERIFIED else result.capitalize()


def _groups(outcomes: Iterable[Outcome], accept: Mapping[str, str]) -> str:
    """Items of one result, folded by reason: those that nobody accepted first, then the most items."""
    groups: dict[tuple[bool, str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        accepted = outcome.accepted(accept)
        key = _VARYING.sub("…", _reason(outcome)).casefold()
        groups[accepted is not None, accepted or "", key].append(outcome)
    ordered = sorted(groups.items(), key=lambda pair: (pair[0][0], -len(pair[1]), pair[0]))
    return "".join(
        _group(members, f'<small class="accepted">Accepted: {escape(reason)}</small>' if is_accepted else "")
        for (is_accepted, reason, _), members in ordered
    )


def _group(members: list[Outcome], mark: str) -> str:
    """The items that share a reason, the biggest first; each with its own words where these differ."""
    same = len({_reason(outcome) for outcome in members}) == 1
    reason = _reason(members[0]) if same else _VARYING.sub("…", _reason(members[0]))
    known = not any(map(size_is_unknown, members))
    rows = "".join(
        _row(outcome, size_text(outcome), "" if same else f"<small>{escape(_reason(outcome))}</small>")
        for outcome in sorted(members, key=by_size)
    )
    opened = " open" if len(members) <= TOP and members[0].result in (Result.FAILED, Result.PARTIAL) else ""
    return (
        f'<details{opened}><summary><span>{escape(reason)}{mark}</span><span class="soft">{count(len(members))}'
        f"{', ' + in_bytes(sum(map(size_of, members))) if known else ''}</span></summary>\n"
        f'<table class="items"><thead class="unseen"><tr>{_ITEMS}Size</thead>\n<tbody>{rows}</table></details>\n'
    )


def _by_type(outcomes: Iterable[Outcome]) -> str:
    """One row for each item type, the most frequent first."""
    by_type: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_type[outcome.item.type].append(outcome)
    rows = []
    for name, members in sorted(by_type.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        items, sizes = sums(members)
        rows.append(
            f"<tr><th scope=row>{escape(name) or 'no type'}"
            f"<td>{items[Result.VERIFIED]:,} of {len(members):,}{_bar(items)}"
            f'<td class="number">{in_bytes(sum(sizes.values()))}\n'
        )
    head = '<tr><th scope=col>Type<th scope=col>Verified<th scope=col class="number">Size</thead>\n<tbody>'
    table = f'<table class="types"><thead>{head}{"".join(rows[:TOP])}</table>\n'
    if len(rows) > TOP:
        table += (
            f"<details><summary><span>{len(rows) - TOP:,} more types</span></summary>\n"
            f'<table class="types"><thead class="unseen">{head}{"".join(rows[TOP:])}</table></details>'
        )
    return f"<section><h2>By item type</h2>\n{table}</section>\n"


def _tops(outcomes: Sequence[Outcome], facts: Mapping[str, Any]) -> str:
    """The largest failures, the biggest, slowest and oldest items."""
    accept = facts.get("options", {}).get("accept", {})
    failures = [
        outcome
        for outcome in outcomes
        if outcome.result in (Result.FAILED, Result.PARTIAL) and outcome.accepted(accept) is None
    ]
    slow = [outcome for outcome in outcomes if outcome.seconds > 0]
    now = max((outcome.observed for outcome in outcomes), default=datetime.now(UTC))
    since = now - timedelta(days=365.25 * OLD_YEARS)
    old = [outcome for outcome in outcomes if modified(outcome) < since]
    old_note = f"{count(len(old))} not modified for {OLD_YEARS} years or more, {in_bytes(sum(map(size_of, old)))}."
    # A short list of failures stands above, the largest first.
    worst = failures if len(failures) > TOP else []
    return (
        _top("Largest failures", "Failed or partial, and not accepted.", worst, by_size, "Size", size_text)
        + _top("Biggest items", "", outcomes, by_size, "Size", size_text)
        + _top("Slowest items", "", slow, lambda each: -each.seconds, "Time", lambda each: duration(each.seconds))
        + _top("Oldest items", old_note, old, modified, "Modified", lambda each: f"{modified(each):%Y-%m-%d}")
    )


def _top(
    title: str,
    note: str,
    outcomes: Iterable[Outcome],
    key: Callable[[Outcome], Any],
    measure: str,
    said: Callable[[Outcome], str],
) -> str:
    first = sorted(outcomes, key=key)[:TOP]
    if not first:
        return ""
    lead = f'<p class="soft">{note}</p>' if note else ""
    return (
        f'<section><h2>{title}</h2>{lead}\n<table class="items"><thead><tr>{_ITEMS}{measure}</thead>\n<tbody>'
        + "".join(_row(outcome, said(outcome)) for outcome in first)
        + "</table></section>\n"
    )


def _run(facts: Mapping[str, Any], location: str) -> str:
    """The facts of the run."""
    defaults = asdict(BackupOptions())
    changed = [
        f"{name}: {_value(value)}"
        for name, value in facts.get("options", {}).items()
        if name not in ("label", "scope_name") and value != defaults.get(name)
    ]
    portal = facts.get("portal", {})
    took = ""
    if "finished" in facts:
        both_ends = datetime.fromisoformat(facts["finished"]) - datetime.fromisoformat(facts["started"])
        took = duration(both_ends.total_seconds())
    rows = {
        "Portal": "\n".join(text for text in (portal.get("name"), portal.get("url"), portal.get("id")) if text),
        "Scope": facts.get("scope"),
        "Label": facts.get("label"),
        "Options": "\n".join(changed) or ("as they are by default" if "options" in facts else ""),
        "Started": moment(facts.get("started")),
        "Duration": took,
        "Saved": in_bytes(facts["saved_bytes"]) if "saved_bytes" in facts else "",
        "New in the store": in_bytes(facts["new_bytes"]) if "new_bytes" in facts else "",
        "Store": location,
        "Backup": facts["name"],
        "Made by": f"agolkit {facts.get('agolkit', '')}",
    }
    said = "".join(
        f"<dt>{name}<dd>{'<br>'.join(f'<bdi>{escape(line)}</bdi>' for line in str(text).splitlines())}\n"
        for name, text in rows.items()
        if text
    )
    return f"<section><h2>The run</h2>\n<dl>{said}</dl></section>\n"


def _row(outcome: Outcome, last: str, note: str = "") -> str:
    item = outcome.item
    where = f"<bdi>{escape(item.owner)}</bdi>" + (f" / <bdi>{escape(item.folder)}</bdi>" if item.folder else "")
    return (
        f"<tr><th scope=row><bdi>{escape(item.title) or 'no title'}</bdi><code>{escape(item.id)}</code>{note}"
        f"<td>{escape(item.type)}<small>{where}</small><td>{last}\n"
    )


def _bar(amounts: Mapping[Result, int]) -> str:
    """How an amount is shared between the results. The numbers stand beside it, so it is not read aloud."""
    total = sum(amounts.values())
    pieces = [(result, round(100 * amounts[result] / total)) for result in _ORDER if amounts[result]]
    inside = "".join(f'<i class="{result} w{share}"></i>' for result, share in pieces)
    return f'<div class="bar" aria-hidden="true">{inside}</div>'


def _reason(outcome: Outcome) -> str:
    """Why an item is not protected, or not wholly; empty where there is nothing to say."""
    left_out = f"left out by an option: {', '.join(outcome.left_out)}" if outcome.left_out else ""
    said = "; ".join(text for text in (outcome.message.rstrip("."), left_out) if text)
    return said or ("" if outcome.result is Result.VERIFIED else "no reason is known")


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return "; ".join(f"{name} ({text})" for name, text in value.items())
    return str(value)
