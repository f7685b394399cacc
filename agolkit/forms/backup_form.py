"""The form of the backup notebook: choose, preview, start, stop, see the result."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import fields
from html import escape
from typing import TYPE_CHECKING, Any, get_type_hints

import ipywidgets as widgets

import agolkit as ak
from agolkit.errors import AgolkitError, UsageError
from agolkit.forms.board import Board
from agolkit.forms.fields import Chooser, Field, option_field
from agolkit.forms.look import STYLE
from agolkit.model import RunSummary
from agolkit.options import BackupOptions, nearest

if TYPE_CHECKING:
    import pandas

    from agolkit.portal import Portal

MORE = {
    "What is taken": ("groups", "query", "scope_name", "label"),
    "What is left out": ("exclude_types", "exclude_folders", "exclude_owners", "exclude_ids"),
    "How layers are saved": ("feature_format", "attachments", "views", "export_max_bytes", "max_tile_bytes"),
    "How it is kept": (
        *("full", "full_every", "tree", "zip", "resume_within", "scratch"),
        *("accept", "alarm_items", "alarm_rows", "dry_run"),
    ),
    "Speed and patience": (
        *("workers", "exports", "attempts", "connect_timeout", "idle_timeout", "export_timeout", "item_timeout"),
    ),
}
RESULT_COLUMNS = ["title", "type", "owner", "folder", "access", "saved_bytes", "message", "result"]


class BackupForm(widgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """A form that backs up an organization and never blocks the notebook.

    Without `portal` it signs in from the environment or `profile`, and asks where neither has a sign-in. `items` is
    the result as a DataFrame, `run` its summary, `plan` the last preview.

    Raises
    ------
    UsageError
        An unknown keyword; the message says where it belongs.
    """

    def __init__(
        self,
        portal: Portal | None = None,
        *,
        url: str = "",
        profile: str = "",
        store: str = "backups",
        options: BackupOptions | None = None,
        **unknown: Any,
    ) -> None:
        _refuse(unknown)
        options = options or BackupOptions()
        hints = get_type_hints(BackupOptions)
        self.portal: Portal | None = None
        self.plan: pandas.DataFrame | None = None
        self.run: RunSummary | None = None
        self._profile = profile
        self._held = ""
        self._cancel = threading.Event()
        self._threads: list[threading.Thread] = []

        self.url = widgets.Text(
            url or os.environ.get("AGOLKIT_URL", ""), description="Portal", placeholder="https://www.arcgis.com"
        )
        self.username = widgets.Text(description="User")
        # Sent when the field is left, not at each key: what is typed is never part of a saved widget state.
        self.password = widgets.Password(description="Password", continuous_update=False)
        self.sign_in = widgets.Button(description="Sign in", icon="sign-in", button_style="primary")
        self.head = widgets.HTML()
        self.store = Field(
            "store",
            widgets.Text(store),
            read=str.strip,
            hint="The folder, or s3://bucket/prefix, where backups are kept.",
        )
        self.fields: dict[str, Field] = {
            each.name: option_field(each.name, hints[each.name], getattr(options, each.name))
            for each in fields(options)
        }
        self.preview = widgets.Button(description="Preview", icon="search", tooltip="Show what would be done")
        self.start = widgets.Button(description="Start", icon="play", button_style="success", tooltip="Back up now")
        self.stop = widgets.Button(
            description="Stop", icon="stop", tooltip="End the run; what is saved stays", disabled=True
        )
        self.error = widgets.HTML()
        self.board = Board()
        self._sign_in_card = _card(widgets.HBox([self.url, self.username, self.password, self.sign_in]))
        super().__init__(self._layout())
        self.add_class("agk-form")

        self.password.observe(self._hold_password, "value")
        self.sign_in.on_click(lambda _: self._work("Signing in …", self._sign_in_by_hand))
        self.preview.on_click(lambda _: self._work("Looking at every item …", self._preview))
        self.start.on_click(lambda _: self._work("Listing every item …", self._run))
        self.stop.on_click(lambda _: self._stop())
        if portal is not None:
            self._signed_in(portal)
        else:
            self._say_who("Signing in …")
            self._in_background(self._sign_in_by_itself)

    @property
    def options(self) -> BackupOptions:
        """What the fields say. A wrong option is marked at its field and raised as `UsageError`."""
        for field in self.fields.values():
            field.mark("")
        try:
            return BackupOptions(**{name: field.value for name, field in self.fields.items()})
        except UsageError as error:
            self._mark(error)
            raise

    @property
    def items(self) -> pandas.DataFrame:
        """The result of the last run, one row for each item; empty before there is one."""
        import pandas

        if self.run is None or not self.run.backup:
            return pandas.DataFrame()
        return ak.load_items(ak.open_store(self.run.store), self.run.backup)

    def wait(self) -> None:
        """Come back when nothing is in work any more."""
        while working := [thread for thread in self._threads if thread.is_alive()]:
            for thread in working:
                thread.join()

    def _layout(self) -> list[widgets.Widget]:
        top = _row([self.store, self.fields["exclude_tags"]], wide=True)
        lists = _row([self.fields[name] for name in ("types", "folders", "owners")], wide=True)
        more = widgets.Accordion(
            [_row([_column(title, [self.fields[n] for n in names]) for title, names in MORE.items()])]
        )
        more.set_title(0, "More options")
        buttons = widgets.HBox([self.preview, self.start, self.stop])
        return [
            widgets.HTML(STYLE),
            self.head,
            self._sign_in_card,
            _card(top, lists),
            more,
            buttons,
            self.error,
            self.board,
        ]

    # Signing in

    def _hold_password(self, change: dict[str, Any]) -> None:
        if change["new"]:
            self._held = change["new"]
            self.password.value = ""
            self.password.placeholder = "taken, not kept"

    def _sign_in_by_hand(self) -> None:
        password, self._held = self._held, ""
        self.password.placeholder = ""
        username = self.username.value.strip()
        if not username or not password:
            raise UsageError("Type the user name and the password, then press Sign in.")
        self._signed_in(ak.connect(self._url(), username=username, password=password))

    def _sign_in_by_itself(self) -> None:
        try:
            self._signed_in(ak.connect(self._url(), profile=self._profile or None))
        except UsageError as error:  # nothing to sign in with: the fields ask for it
            self._say_who("Sign in", str(error))
        except AgolkitError as error:
            self._say_who("Not signed in")
            self._say_error(error)

    def _url(self) -> str | None:
        return self.url.value.strip() or None

    def _signed_in(self, portal: Portal) -> None:
        self.portal = portal
        self._sign_in_card.layout.display = "none"
        reach = "every member's items" if portal.can_see_all else "only the items of this account"
        self._say_who(portal.org_name, f"{portal.url} · signed in as {portal.username} · {reach}")
        self._in_background(lambda: self._fill_lists(portal))

    def _fill_lists(self, portal: Portal) -> None:
        everything = BackupOptions(exclude_tags=[], exclude_types=[])
        try:
            items = ak.list_items(portal, everything)
        except AgolkitError as error:
            self.board.say(f"The lists could not be filled: {error}")
            self.board.draw()
            return
        for name, column in (("types", "type"), ("folders", "folder"), ("owners", "owner")):
            chooser: Chooser = self.fields[name].widget
            chooser.offer({str(each): int(count) for each, count in items[column].value_counts().items()})

    # Preview, start, stop

    def _preview(self) -> None:
        options = self.options
        plan = ak.plan_backup(self._portal(), ak.open_store(self._folder()), options)
        self.plan = plan
        counts = ", ".join(f"{count:,} {action}" for action, count in plan["action"].value_counts().items())
        size = plan["size_bytes"].sum()
        known = f" · at least {size / 1e6:,.1f} MB" if size else ""
        self.board.show(f"<b>Plan: {len(plan):,} items</b> · {escape(counts)}{known}", plan.drop(columns="item_id"))

    def _run(self) -> None:
        options = self.options
        if options.dry_run:
            self._preview()
            return
        portal, store = self._portal(), ak.open_store(self._folder())
        self._cancel.clear()
        self.stop.disabled = False
        self.run = ak.backup(portal, store, options, progress=self.board, cancel=self._cancel)
        self.board.finish(self.run, self.items.reindex(columns=RESULT_COLUMNS))

    def _stop(self) -> None:
        self.stop.disabled = True
        self._cancel.set()
        self.board.say("Stopping: no new item begins, what is saved stays.")

    def _portal(self) -> Portal:
        if self.portal is None:
            raise UsageError("Sign in first.")
        return self.portal

    def _folder(self) -> str:
        if not self.store.value:
            self.store.mark("Name a folder or a bucket for the backups.")
            raise UsageError("Name a folder or a bucket for the backups.")
        self.store.mark("")
        return str(self.store.value)

    # Threads and errors

    def _work(self, doing: str, work: Callable[[], None]) -> None:
        """Do `work` without blocking the notebook; one thing at a time."""
        self._say_error(None)
        buttons = (self.sign_in, self.preview, self.start)
        for button in buttons:
            button.disabled = True

        def guarded() -> None:
            try:
                with self.board.live(doing):
                    work()
            except AgolkitError as error:
                self._say_error(error)
            except Exception as error:  # a thread has nobody above it: unseen, the form would only seem to hang
                self._say_error(error)
                raise
            finally:
                self.stop.disabled = True
                for button in buttons:
                    button.disabled = False

        self._in_background(guarded)

    def _in_background(self, work: Callable[[], None]) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=work, name="agolkit-form", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _mark(self, error: UsageError) -> None:
        """Show a wrong option at its field: its name begins the message, or stands in it."""
        words = str(error).split()
        if words and words[0] in self.fields:
            self.fields[words[0]].mark(str(error))

    def _say_error(self, error: BaseException | None) -> None:
        said = "" if error is None else str(error) if isinstance(error, AgolkitError) else f"Unexpected: {error!r}"
        self.error.value = f'<div class="agk-error" role="alert">{escape(said)}</div>' if said else ""

    def _say_who(self, title: str, more: str = "") -> None:
        self.head.value = (
            f'<div class="agk-head"><b>{escape(title)}</b><div class="agk-hint">{escape(more)}</div></div>'
        )


def _card(*children: widgets.Widget) -> widgets.VBox:
    card = widgets.VBox(children)
    card.add_class("agk-card")
    return card


def _row(children: list[widgets.Widget], *, wide: bool = False) -> widgets.HBox:
    row = widgets.HBox(children)
    row.add_class("agk-row")
    if wide:
        row.add_class("agk-wide")
    return row


def _column(title: str, children: list[Field]) -> widgets.VBox:
    return widgets.VBox([widgets.HTML(f"<b>{escape(title)}</b>"), *children])


def _refuse(unknown: dict[str, Any]) -> None:
    for name in unknown:
        if name in {each.name for each in fields(BackupOptions)}:
            raise UsageError(f"{name} is a backup option: BackupForm(options=ak.BackupOptions({name}=...)).")
        known = ["portal", "url", "profile", "store", "options"]
        raise UsageError(f"BackupForm has no argument {name!r}." + nearest(name, known))
