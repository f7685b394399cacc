"""What a run is doing, drawn: a bar, the last items, a log in plain words, and the result."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import ipywidgets as widgets

from agolkit.forms import look
from agolkit.model import Outcome, Result, RunSummary, counted
from agolkit.progress import Event, Narrator

if TYPE_CHECKING:
    import pandas

DRAW_EVERY = 0.1
"""Seconds between two drawings: 12,000 items must not flood the browser."""

LAST_ITEMS = 8
LOG_LINES = 200
FAILURES = 100


class Board(widgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Progress, log and result of one run after the other: the `progress` of `backup`. Any thread may call it."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: deque[str] = deque(maxlen=LOG_LINES)
        self._done = self._total = 0
        self._narrator = Narrator(self.say)
        self.bar = widgets.IntProgress(min=0, max=1, layout=widgets.Layout(width="auto", height="14px"))
        self.state = widgets.HTML()
        self.last = widgets.HTML()
        self.status_log = widgets.HTML()
        self.outcome = widgets.VBox()
        self._progress = widgets.VBox([self.state, self.bar, self.last])
        super().__init__([self._progress, self.status_log, self.outcome])
        self._begin("")
        self._progress.layout.display = "none"

    def say(self, text: str) -> None:
        """Add a sentence to the log."""
        with self._lock:
            now = datetime.now().astimezone().strftime("%H:%M:%S")
            self._lines.append(f"<div><time>{now}</time>{look.sentence(text)}</div>")
            self._changed = True

    def __call__(self, event: Event) -> None:
        self._narrator(event)
        with self._lock:
            if event.stage == "inventory" and event.done:
                self._doing = f"Listing every item: {event.done:,} of {event.total:,} owners"
            elif event.stage != "inventory":
                self._done, self._total = max(self._done, event.done), max(self._total, event.total)
            if event.outcome is not None:
                self._recent.append(event.outcome)
                self._counts[event.outcome.result] += 1
            self._changed = True

    @contextmanager
    def live(self, doing: str) -> Iterator[None]:
        """Show `doing` and draw what is new, at most ten times a second, until the block ends."""
        self._begin(doing)
        over = threading.Event()

        def draw_until_over() -> None:
            while not over.wait(DRAW_EVERY):
                self.draw()

        thread = threading.Thread(target=draw_until_over, name="agolkit-board", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.draw()
            self._progress.layout.display = "" if self._total else "none"

    def draw(self) -> None:
        """Bring the widgets up to date."""
        with self._lock:
            if not self._changed:
                return
            self._changed = False
            state, recent, lines = self._state(), list(self._recent), list(self._lines)
            self.bar.max, self.bar.value = max(self._total, 1), self._done
        self.state.value = f'<div class="agk-head" role="status">{state}</div>'
        self.last.value = f'<div class="agk-items">{look.item_lines(reversed(recent))}</div>'
        # Newest first inside a reversed column: the log stays scrolled to its end without a script.
        self.status_log.value = f'<div class="agk-log" role="log">{"".join(reversed(lines))}</div>'

    def show(self, sentence: str, frame: pandas.DataFrame, failures: Sequence[Outcome] = ()) -> None:
        """Show how it ended: a sentence of HTML, what is not protected, and the table."""
        parts: list[widgets.DOMWidget] = [widgets.HTML(f'<div class="agk-head" role="status">{sentence}</div>')]
        if failures:
            head = f'<div class="agk-label">Not fully protected: {len(failures):,}</div>'
            more = f'<div class="agk-hint">and {len(failures) - FAILURES:,} more in the table</div>'
            text = head + look.item_lines(failures[:FAILURES]) + (more if len(failures) > FAILURES else "")
            parts.append(widgets.HTML(f'<div class="agk-items agk-failures">{text}</div>'))
        if len(frame):
            parts.append(look.table(frame))
        self.outcome.children = tuple(parts)

    def finish(self, summary: RunSummary, frame: pandas.DataFrame) -> None:
        """Show a run's result."""
        self.bar.bar_style = (
            "danger" if summary.counts.get(Result.FAILED) else "warning" if summary.exit_code else "success"
        )
        counts = "".join(look.badge(result, count) for result, count in summary.counts.items() if count)
        what = look.sentence(f"Backup {summary.backup} is {summary.state}" if summary.backup else "Dry run")
        kept = "" if summary.kept is None else f" · taken up, {counted(summary.kept, 'item')} kept"
        self.show(f"<b>{what}</b> · {summary.seconds:,.0f} s{kept}<br>{counts}", frame, summary.failures)

    def _begin(self, doing: str) -> None:
        with self._lock:
            self._doing, self._began = doing, self._clock()
            self._narrator = Narrator(self.say)
            self._done = self._total = 0
            self._counts: Counter[Result] = Counter()
            self._recent: deque[Outcome] = deque(maxlen=LAST_ITEMS)
            self._changed = True
        self._progress.layout.display = ""
        self.bar.bar_style = "info"
        self.outcome.children = ()
        self.draw()

    def _state(self) -> str:
        if not self._total:
            return look.sentence(self._doing)
        said = f"<b>{self._done:,} of {self._total:,} items</b>"
        missing = self._counts[Result.PARTIAL] + self._counts[Result.FAILED]
        if missing:
            said += f" · {missing:,} not fully protected"
        seconds = self._clock() - self._began
        if self._done and self._done < self._total and seconds > 5:
            left = seconds / self._done * (self._total - self._done)
            said += f" · about {left / 60:,.0f} min left" if left > 90 else f" · about {left:,.0f} s left"
        return said
