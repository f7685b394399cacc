"""`report.html`, the one page people read: what is protected, what is not and why, and the facts of the run."""

from __future__ import annotations

from html import escape
from typing import Any

from agolkit.manifest import read_outcomes
from agolkit.report.page import report_page
from agolkit.store.base import Store

REPORT = "report.html"
"""Its name in a backup."""

__all__ = ["REPORT", "report_page", "show_report"]


def show_report(store: Store, backup: str = "latest") -> Any:
    """The report of a backup, to be shown in a notebook: an `IPython.display.HTML` with the page in a frame.

    It is made anew from the manifest; of a killed run, from its journal. Raises what `read_outcomes` raises.
    """
    from IPython.display import HTML

    name = store.resolve(backup)
    facts = {"portal": {"name": store.portal_name, "id": store.portal_id}, **store.summary(name)}
    page = report_page(read_outcomes(store, name), facts, location=store.location)
    # Without a box around it, IPython takes the frame for a mistake and warns.
    return HTML(  # type: ignore[no-untyped-call]
        f'<div><iframe title="Report of the backup {name}" sandbox width="100%" height="720" frameborder="0" '
        f'srcdoc="{escape(page)}"></iframe></div>'
    )
