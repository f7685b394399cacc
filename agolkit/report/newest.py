"""The section on what is new since the last complete backup of the same scope."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from agolkit.model import Outcome, counted
from agolkit.news import News
from agolkit.report.figures import count
from agolkit.report.pieces import ITEM_COLUMNS, TOP, row


def whats_new(news: News | None) -> str:
    """New failures, what has vanished and what is complete again; nothing where there is nothing to compare with."""
    if news is None or not news.compared_with:
        return ""
    lists = (
        ("New failures", news.failures, "Reason"),
        ("Vanished", news.vanished, "Was"),
        ("Complete again", news.recovered, "Is"),
    )
    said = "".join(_list(heading, outcomes, last) for heading, outcomes, last in lists)
    also = [] if said else ["No new failures, and nothing vanished."]
    also += [f"{counted(news.added, 'new item')}."] if news.added else []
    also += [] if news.is_same_choice else ["The options choose other items than before: what vanished is not known."]
    notes = f"<p>{escape(' '.join(also))}</p>" if also else ""
    since = f'<p class="soft">Since the backup {escape(news.compared_with)}.</p>'
    return f"<section><h2>What is new</h2>{since}{notes}\n{said}</section>\n"


def _list(heading: str, outcomes: Sequence[Outcome], last: str) -> str:
    if not outcomes:
        return ""
    rows = "".join(row(each, escape(f"{each.result}: {each.message}".rstrip(": "))) for each in outcomes)
    table = f'<table class="items"><thead class="unseen"><tr>{ITEM_COLUMNS}{last}</thead>\n<tbody>{rows}</table>'
    opened = " open" if len(outcomes) <= TOP else ""
    many = f'<span class="soft">{count(len(outcomes))}</span>'
    return f"<details{opened}><summary><span>{heading}</span>{many}</summary>\n{table}</details>\n"
