"""The page itself: self-contained, no scripts, nothing loaded from anywhere, every text of the portal escaped."""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from html import escape
from importlib.resources import files
from typing import Any

from agolkit.model import Outcome, Result, in_bytes, shown
from agolkit.options import BackupOptions
from agolkit.report.beside import Beside
from agolkit.report.figures import (
    by_size,
    count,
    duration,
    modified,
    moment,
    percent,
    size_is_unknown,
    size_of,
    size_text,
    sums,
)
from agolkit.report.gaps import not_protected
from agolkit.report.newest import whats_new
from agolkit.report.pieces import ITEM_COLUMNS, MEANING, TOP, row, value_text

OLD_YEARS = 3

_ORDER = (Result.VERIFIED, *(result for result in MEANING if result is not Result.VERIFIED))
"""Of the results in a bar and its legend."""


def report_page(outcomes: Sequence[Outcome], facts: Mapping[str, Any], *, beside: Beside, location: str) -> str:
    """The report of a backup as one HTML page.

    Every item that is not `verified` is listed with its reason; of the verified, only the biggest and so on.

    Parameters
    ----------
    facts
        What `backup.json` says of the run (see `manifest.backup_facts`); of a killed run, how it began.
    beside
        What else the store knows of the items that are not verified, and of the organization.
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
        + whats_new(beside.news)
        + _coverage(outcomes, facts)
        + not_protected(outcomes, facts, beside)
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
        f'<tr><th scope=row><span class="dot {result}"></span>{result}<small>{MEANING[result]}</small>'
        f'<td class="number">{items[result]:,}<td class="number">{in_bytes(sizes[result])}\n'
        for result in _ORDER
        if items[result]
    )
    ended = {
        "stopped": _stopped(facts.get("stopped_by", ""), items[Result.STOPPED]),
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


def _stopped(why: str, not_reached: int) -> str:
    """Why the run ended before its time, and what that means."""
    left = f"{count(not_reached)} not reached. " if not_reached else ""
    return (
        f'<div class="ended"><p><b>This run ended before its time.</b> {escape(why)}</p>'
        f"<p>{left}The next run of this scope goes on from here.</p></div>"
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
        f'<section><h2>{title}</h2>{lead}\n<table class="items"><thead><tr>{ITEM_COLUMNS}{measure}</thead>\n<tbody>'
        + "".join(row(outcome, said(outcome)) for outcome in first)
        + "</table></section>\n"
    )


def _run(facts: Mapping[str, Any], location: str) -> str:
    """The facts of the run."""
    defaults = asdict(BackupOptions())
    changed = [
        f"{name}: {value_text(value)}"
        for name, value in facts.get("options", {}).items()
        if name not in ("label", "scope_name") and value != defaults.get(name)
    ]
    portal = facts.get("portal", {})
    took = ""
    if "finished" in facts:
        began = facts.get("resumed", facts["started"])
        both_ends = datetime.fromisoformat(facts["finished"]) - datetime.fromisoformat(began)
        took = duration(both_ends.total_seconds())
    rows = {
        "Portal": "\n".join(text for text in (portal.get("name"), portal.get("url"), portal.get("id")) if text),
        "Scope": facts.get("scope"),
        "Label": facts.get("label"),
        "Options": "\n".join(changed) or ("as they are by default" if "options" in facts else ""),
        "Started": moment(facts.get("started")),
        "Taken up": f"{moment(facts['resumed'])}, after an interruption" if "resumed" in facts else "",
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


def _bar(amounts: Mapping[Result, int]) -> str:
    """How an amount is shared between the results. The numbers stand beside it, so it is not read aloud."""
    total = sum(amounts.values())
    pieces = [(result, round(100 * amounts[result] / total)) for result in _ORDER if amounts[result]]
    inside = "".join(f'<i class="{result} w{share}"></i>' for result, share in pieces)
    return f'<div class="bar" aria-hidden="true">{inside}</div>'
