"""`report.html`, the one page people read: what is protected, what is not and why, and the facts of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any

from agolkit.manifest import read_outcomes
from agolkit.model import Outcome
from agolkit.news import find_news
from agolkit.report.beside import look_beside
from agolkit.report.page import report_page
from agolkit.store.base import Store

REPORT = "report.html"
"""Its name in a backup."""

__all__ = ["REPORT", "make_report", "show_report"]


def make_report(store: Store, outcomes: Sequence[Outcome], facts: Mapping[str, Any]) -> str:
    """The report of a backup as one HTML page, with what its store knows of the items that it could not verify.

    `facts` is what `backup.json` says of the run; of a killed run, how it began.
    """
    beside = replace(look_beside(store, facts["name"], outcomes), news=find_news(store, facts, outcomes))
    return report_page(outcomes, facts, beside=beside, location=store.location)


def show_report(store: Store, backup: str = "latest") -> Any:
    """The report of a backup, to be shown in a notebook: an `IPython.display.HTML` with the page in a frame.

    It is made anew from the manifest; of a killed run, from its journal. Raises what `read_outcomes` raises.
    """
    from IPython.display import HTML

    name = store.resolve(backup)
    facts = {"portal": {"name": store.portal_name, "id": store.portal_id}, **store.summary(name)}
    page = make_report(store, read_outcomes(store, name), facts)
    # Without a box around it, IPython takes the frame for a mistake and warns.
    return HTML(  # type: ignore[no-untyped-call]
        f'<div><iframe title="Report of the backup {name}" sandbox width="100%" height="720" frameborder="0" '
        f'srcdoc="{escape(page)}"></iframe></div>'
    )
