"""How the forms look: one style sheet, and the few pieces of HTML that they are made of. Every text is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

import ipywidgets as widgets

from agolkit.model import Outcome, Result

if TYPE_CHECKING:
    import pandas

STYLE = """<style>
.agk-form {max-width: 1080px; padding: 4px; overflow: visible; color: var(--jp-ui-font-color1, #222)}
.agk-form .widget-html-content {line-height: 1.4; min-width: 0; overflow: hidden}
.agk-head {padding: 2px 0 6px}
.agk-head b {font-size: 1.2em}
.agk-card, .agk-form > .jupyter-widget-Collapse, .agk-form > .widget-accordion {margin: 0 0 10px; overflow: visible}
.agk-card {border: 1px solid var(--jp-border-color2, #d5d9de); border-radius: 8px; padding: 10px 14px;
  background: var(--jp-layout-color1, #fff)}
.agk-row {flex-flow: row wrap; column-gap: 18px; overflow: visible}
.agk-row > * {flex: 1 1 180px; min-width: 0}
.agk-wide > * {flex-basis: 260px}
.agk-field {overflow: visible; padding: 2px 0 6px}
.agk-field > .widget-inline-hbox {flex-direction: column; align-items: stretch; height: auto}
.agk-field > .widget-inline-hbox > select, .agk-field > .widget-inline-hbox > input {flex: 0 0 auto; width: 100%}
.agk-field > .widget-dropdown > select {min-height: 28px}
.agk-field > .widget-checkbox {flex-direction: row}
.agk-label, .agk-field > .widget-inline-hbox > .widget-label {font-weight: 600; line-height: 1.5; width: auto;
  height: auto; text-align: left; padding: 0}
.agk-hint {color: var(--jp-ui-font-color2, #5c6670); font-size: .88em; line-height: 1.35}
.agk-error {color: #b3261e; font-weight: 600; padding: 2px 0}
.agk-wrong {border-left: 3px solid #b3261e; padding-left: 8px}
.agk-list {height: 180px; overflow-y: auto; overflow-x: hidden; border: 1px solid var(--jp-border-color2, #d5d9de);
  border-radius: 4px; padding: 2px 6px; flex-wrap: nowrap}
.agk-list .widget-checkbox {height: 22px; min-height: 22px; flex: 0 0 auto; margin: 0}
.agk-log {max-height: 180px; overflow-y: auto; line-height: 1.5; font-size: .92em; display: flex;
  flex-direction: column-reverse; border-top: 1px solid var(--jp-border-color2, #d5d9de); margin-top: 6px}
.agk-log time {color: var(--jp-ui-font-color2, #5c6670); margin-right: 8px; font-variant-numeric: tabular-nums}
.agk-items {line-height: 1.7; font-size: .92em}
.agk-items div {white-space: nowrap; overflow: hidden; text-overflow: ellipsis}
.agk-failures div {white-space: normal; padding-left: 92px; text-indent: -92px; line-height: 1.5}
.agk-badge {display: inline-block; min-width: 84px; text-align: center; border-radius: 9px; padding: 0 8px;
  margin-right: 8px; text-indent: 0; box-sizing: border-box; color: #fff; font-size: .88em; line-height: 1.55}
.agk-verified {background: #1b7f4b} .agk-described {background: #44617b} .agk-partial {background: #a35f00}
.agk-failed {background: #b3261e} .agk-excluded, .agk-stopped {background: #6b7178}
.agk-table {overflow-x: auto; max-width: 100%}
.agk-table td {overflow-wrap: break-word} .agk-table th input {width: 100%; min-width: 40px; box-sizing: border-box}
.agk-plain {max-height: 420px; overflow: auto}
</style>"""

PLAIN_ROWS = 200
"""Rows of a table where the sortable one cannot load."""


def sentence(text: object) -> str:
    """`text`, safe inside HTML."""
    return escape(str(text))


def badge(result: Result | str, count: int | None = None) -> str:
    """A result as a small coloured label, with how many where that is given."""
    said = f"{count:,} {result}" if count is not None else str(result)
    return f'<span class="agk-badge agk-{result}">{said}</span>'


def item_lines(outcomes: Iterable[Outcome]) -> str:
    """One line for each item: result, title, type, and what is missing."""
    return "".join(
        f"<div>{badge(outcome.result)}{escape(outcome.item.title)} "
        f'<span class="agk-hint">{escape(outcome.item.type)} · {escape(outcome.item.owner)}'
        f"{' · ' + escape(outcome.message) if outcome.message else ''}</span></div>"
        for outcome in outcomes
    )


def table(frame: pandas.DataFrame) -> widgets.DOMWidget:
    """A DataFrame to sort and filter; a plain one where itables cannot load."""
    try:
        from itables.widget import ITable
    except ImportError:
        plain = widgets.HTML(frame.to_html(max_rows=PLAIN_ROWS, index=False))
        plain.add_class("agk-plain")
        return plain
    sortable = ITable(
        frame.reset_index(drop=True),
        maxBytes=0,  # all rows: a list of what is protected must not be a sample
        showIndex=False,
        column_filters="header",
        classes="display compact",
        style="width:100%",
        autoWidth=False,
    )
    sortable.add_class("agk-table")
    return sortable
