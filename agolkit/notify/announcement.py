"""Announcing a scheduled run: that it began, and how it ended, whatever the end was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agolkit.errors import AgolkitError, StoreError
from agolkit.manifest import read_outcomes
from agolkit.news import News, find_news
from agolkit.notify.notice import Notice
from agolkit.notify.sending import Sleep, ping, send
from agolkit.notify.settings import NotifyOptions
from agolkit.options import BackupOptions
from agolkit.progress import pause
from agolkit.report import REPORT
from agolkit.store import open_store


class Announcement:
    """What there is to announce of one run. Made by `announced`."""

    def __init__(self, options: NotifyOptions, say: Callable[[str], object], sleep: Sleep) -> None:
        self.notice: Notice | None = None
        """How the run ended, once it has."""
        self._options = options
        self._say = say
        self._sleep = sleep
        self._scope = ""
        self._store = ""

    def begin(self, parameters: Mapping[str, Any]) -> None:
        """The run with these parameters begins now."""
        self._scope, self._store = str(parameters.get("scope_name", BackupOptions.scope_name)), str(parameters["store"])
        self._say_all(ping(self._options, "start", sleep=self._sleep))

    def end(self, summary: Mapping[str, Any], notebook: str) -> Notice:
        """The run has made a backup; what there is to say of it. `summary` is its `RunSummary` as JSON values."""
        name = summary["backup"]
        store = open_store(summary["store"], create=False)
        try:
            news = find_news(store, store.summary(name), read_outcomes(store, name))
        except StoreError as error:
            self._say(f"What is new is not known: {error}")
            news = News()
        self.notice = Notice(
            organization=store.portal_name,
            scope=self._scope,
            store=store.location,
            exit_code=summary["exit_code"],
            summary=summary,
            news=news,
            report=f"{store.location}/backups/{name}/{REPORT}",
            notebook=notebook,
        )
        return self.notice

    def fail(self, error: Exception) -> None:
        """The run has ended without a backup, because of this."""
        is_ours = isinstance(error, AgolkitError)
        self.notice = Notice(
            organization=self._organization(),
            scope=self._scope,
            store=self._store,
            exit_code=error.exit_code if isinstance(error, AgolkitError) else 1,
            error=str(error) if is_ours else f"Unexpected error ({type(error).__name__}).",
        )

    def send(self) -> None:
        """Send it to whom it concerns, if there is anything to announce."""
        if self.notice is not None:
            self._say_all(send(self.notice, self._options, sleep=self._sleep))

    def _organization(self) -> str:
        try:
            return open_store(self._store, create=False).portal_name if self._store else ""
        except (AgolkitError, OSError):
            return ""

    def _say_all(self, troubles: list[str]) -> None:
        for trouble in troubles:
            self._say(trouble)


@contextmanager
def announced(options: NotifyOptions, *, say: Callable[[str], object], sleep: Sleep = pause) -> Iterator[Announcement]:
    """Within the block, a run that was begun is announced as `options` say, and so is every error that ends it.

    What could not be sent is told to `say`; it changes nothing else.
    """
    announcement = Announcement(options, say, sleep)
    try:
        yield announcement
    except Exception as error:
        if announcement.notice is None:
            announcement.fail(error)
        announcement.send()
        raise
    announcement.send()
