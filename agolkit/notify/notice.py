"""`Notice`: how a scheduled run ended, for those who were not there; as a subject, as text, as HTML and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from agolkit.model import Outcome, counted, in_bytes, shown
from agolkit.news import News
from agolkit.report.figures import duration

MOST = 20
"""Items that a list names one by one."""

Section = tuple[str, list[str]]
"""A heading, and the lines below it."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """How a run ended: what is new comes first, then what was known, then the numbers and where everything is."""

    exit_code: int
    scope: str = ""
    store: str = ""
    organization: str = ""
    """Empty where the run did not come so far as to know it."""
    error: str = ""
    """Why there is no backup; empty where there is one."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """The run's `RunSummary` as JSON values; empty where there is no backup."""
    news: News = field(default_factory=News)
    report: str = ""
    notebook: str = ""
    is_test: bool = False
    """Nothing has run; somebody tries whether notices arrive."""

    @property
    def is_trouble(self) -> bool:
        """Whether somebody should look: the exit code is not 0, or items have vanished."""
        return self.exit_code != 0 or bool(self.news.vanished)

    @property
    def is_new(self) -> bool:
        """Whether something is otherwise than at the backup before; a run without a backup always is."""
        news = self.news
        return bool(self.error or news.failures or news.vanished or news.recovered)

    @property
    def subject(self) -> str:
        """One line that leads with what is new."""
        if self.is_test:
            return "agolkit: a test of the notifications"
        where = one_line(f"{self.organization or 'the portal'} ({self.scope})" if self.scope else "the portal")
        news, state = self.news, self.summary.get("state")
        if self.error:
            return f"agolkit: no backup of {where}"
        said = [counted(len(news.failures), "new failure")] if news.failures else []
        said += [f"{counted(len(news.vanished), 'item')} vanished"] if news.vanished else []
        if state == "stopped":
            said.append("the run was stopped")
        elif not said and news.known:
            said = ["nothing new", counted(len(news.known), "known failure")]
        elif not said and self.summary.get("left_behind"):
            said = ["something was left behind"]
        elif not said and self.summary.get("not_zipped"):
            said = ["no zip was published"]
        if not said:
            return f"agolkit: {where} is backed up"
        return f"agolkit: {', '.join(said)} in {where}"

    @property
    def sections(self) -> list[Section]:
        """What there is to say, in the order in which it matters."""
        if self.is_test:
            return [("This is a test", ["Whoever reads it will be told how the scheduled backups end."])]
        if self.error:
            return [*self._of_the_run(), *self._where()]
        return [*self._of_the_run(), *news_sections(self.news), *self._summary(), *self._where()]

    @property
    def text(self) -> str:
        """All of it as plain text."""
        return "\n\n".join("\n".join([heading, *(f"  {line}" for line in lines)]) for heading, lines in self.sections)

    @property
    def html(self) -> str:
        """All of it as HTML for a mail; every text of the portal is escaped."""
        body = "".join(
            f"<h3>{escape(heading)}</h3>\n<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>\n"
            if lines
            else f"<h3>{escape(heading)}</h3>\n"
            for heading, lines in self.sections
        )
        head = f'<meta charset="utf-8"><title>{escape(self.subject)}</title>'
        return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{body}</body></html>\n'

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values; the fields are described in `docs/schedule.md`."""
        news = self.news
        return {
            "text": _harmless(f"{self.subject}\n\n{self.text}"),
            "subject": self.subject,
            "organization": self.organization,
            "scope": self.scope,
            "store": self.store,
            "exit_code": self.exit_code,
            "error": self.error,
            "news": {
                "compared_with": news.compared_with,
                "failures": _items(news.failures),
                "vanished": _items(news.vanished),
                "recovered": _items(news.recovered),
                "counts": {
                    "failures": len(news.failures),
                    "known": len(news.known),
                    "vanished": len(news.vanished),
                    "recovered": len(news.recovered),
                    "accepted": news.accepted,
                    "added": news.added,
                },
            },
            "summary": {name: value for name, value in self.summary.items() if name not in ("failures", "left_behind")},
            "left_behind": list(self.summary.get("left_behind", ()))[:MOST],
            "report": self.report,
            "notebook": self.notebook,
        }

    def to_teams(self) -> dict[str, Any]:
        """All of it as an Adaptive Card, as the Workflows of Microsoft Teams take it."""
        # Text runs have no markup: a title cannot become a link or a mention.
        blocks = [_block(self.subject, weight="Bolder", size="Medium")]
        for heading, lines in self.sections:
            blocks.append(_block(heading, weight="Bolder"))
            blocks += [_block(line) for line in lines]
        card = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": blocks,
        }
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        return {"type": "message", "attachments": [attachment]}

    def _of_the_run(self) -> list[Section]:
        """What ended the run before its time, or left something in the portal."""
        sections: list[Section] = []
        if self.error:
            sections.append(("There is no backup of this run", [one_line(self.error)]))
        if self.summary.get("stopped_by"):
            sections.append(("The run was stopped", [one_line(self.summary["stopped_by"])]))
        left = [one_line(sentence) for sentence in self.summary.get("left_behind", ())]
        if left:
            sections.append(("Left behind in the portal", _first(left)))
        if self.summary.get("not_zipped"):
            sections.append(("No zip of the backup was published", [one_line(self.summary["not_zipped"])]))
        return sections

    def _summary(self) -> list[Section]:
        summary = self.summary
        if not summary:
            return []
        counts = ", ".join(f"{count:,} {result}" for result, count in summary["counts"].items() if count)
        sizes = f"{in_bytes(summary['fetched_bytes'])} fetched, {in_bytes(summary['new_bytes'])} new in the store"
        return [
            (
                f"Backup {summary['backup']} is {summary['state']}",
                [
                    f"{counts or 'nothing in scope'}",
                    f"{sizes}, {duration(summary['seconds'])}",
                    *([f"As one zip: {summary['zip']}"] if summary.get("zip") else []),
                ],
            )
        ]

    def _where(self) -> list[Section]:
        places = {"Store": self.store, "Report": self.report, "Notebook": self.notebook}
        lines = [f"{name}: {one_line(place)}" for name, place in places.items() if place]
        return [("Where it is", [*lines, f"Exit code: {self.exit_code}"])]


def news_sections(news: News) -> list[Section]:
    """What is new, and what was wrong before, in sections."""
    since = f" since {news.compared_with}" if news.compared_with else ""
    new = (
        (f"{counted(len(news.failures), 'new failure')}{since}", _said(news.failures)),
        (f"{counted(len(news.vanished), 'item')} vanished{since}", _said(news.vanished, "was ")),
        (f"{counted(len(news.recovered), 'item')} complete again", _said(news.recovered)),
    )
    sections = [(heading, lines) for heading, lines in new if lines]
    if not sections:
        nothing = f"No new failures, and nothing vanished{since}"
        sections = [(nothing if since else "No failures, and no earlier backup to compare with", [])]
    if news.known:
        sections.append((f"{counted(len(news.known), 'failure')} known before", _said(news.known)))
    also = [f"{counted(news.accepted, 'failure')} that you accept"] if news.accepted else []
    also += [counted(news.added, "new item")] if news.added else []
    if not news.is_same_choice:
        also.append("The options choose other items than before, so that nobody knows what has vanished")
    return [*sections, ("Also", also)] if also else sections


def one_line(text: object) -> str:
    """`text` in one line, without what could steer a terminal, a mail header or the direction of writing."""
    return "".join(each if each.isprintable() else "?" for each in " ".join(str(text).split()))


def _said(outcomes: Sequence[Outcome], verb: str = "") -> list[str]:
    """A line for each of the first of these items."""
    lines = []
    for outcome in outcomes[:MOST]:
        item = outcome.item
        said = f"{verb}{outcome.result}: {item.title} ({item.type}, {item.owner}, {item.id})"
        lines.append(one_line(f"{said}: {outcome.message}" if outcome.message else said))
    return _first(lines, len(outcomes))


def _first(lines: list[str], total: int | None = None) -> list[str]:
    more = (len(lines) if total is None else total) - MOST
    return [*lines[:MOST], f"and {more:,} more"] if more > 0 else lines


def _items(outcomes: Iterable[Outcome]) -> list[dict[str, str]]:
    return [
        {
            "item_id": each.item.id,
            "title": shown(each.item.title),
            "type": shown(each.item.type),
            "owner": each.item.owner,
            "message": shown(each.message),
            "result": str(each.result),
        }
        for each in list(outcomes)[:MOST]
    ]


def _harmless(text: str) -> str:
    """`text` in which a title can call nobody: chats take `<!channel>` and `@all` for orders."""
    return text.replace("<", "\u2039").replace(">", "\u203a").replace("@", "@\u200b")


def _block(text: str, **style: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
