"""The backup form, used as a person uses it: fields filled, buttons clicked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import ipywidgets as widgets
import pytest
from itables.widget import ITable

import agolkit as ak
from agolkit.errors import UsageError
from agolkit.forms.board import Board
from agolkit.forms.fields import Chooser, Field
from agolkit.model import Item, Outcome, Result
from agolkit.progress import Event
from agolkit.sandbox import Fault, Sandbox


@pytest.fixture
def form(signed_in: Sandbox) -> Iterator[ak.BackupForm]:
    """A form that is signed in, with its lists filled."""
    form = ak.BackupForm(url=signed_in.url, store="store")
    form.wait()
    yield form
    form.wait()


def text_of(widget: widgets.Widget) -> str:
    """All HTML in a widget and in what it holds."""
    own = str(widget.value) if isinstance(widget, widgets.HTML) else ""
    return own + "".join(text_of(child) for child in getattr(widget, "children", ()))


def tables_in(widget: widgets.Widget) -> list[ITable]:
    if isinstance(widget, ITable):
        return [widget]
    return [table for child in getattr(widget, "children", ()) for table in tables_in(child)]


def fields_in(widget: widgets.Widget) -> list[Field]:
    """The fields that are shown in a widget."""
    own = [widget] if isinstance(widget, Field) else []
    return own + [field for child in getattr(widget, "children", ()) for field in fields_in(child)]


def test_it_has_a_field_for_every_option() -> None:
    """Every option has a field in the form, that shows its default and gives it back unchanged."""
    form = ak.BackupForm(url="https://127.0.0.1:1", store="store")
    form.wait()
    assert set(form.fields) == {each.name for each in fields(ak.BackupOptions)}
    assert {field.name for field in fields_in(form)} == {"store", *form.fields}
    assert form.options == ak.BackupOptions()
    chosen = ak.BackupOptions(
        folders=["Parks"], groups=["Planning"], exclude_tags=["a", "b c"], accept={"WMS": "not ours"}, workers=3
    )
    assert ak.BackupForm(url="https://127.0.0.1:1", options=chosen).options == chosen


def test_the_lists_show_what_the_organization_has(form: ak.BackupForm, signed_in: Sandbox) -> None:
    """Types, folders and owners are offered with the number of their items; nothing ticked means all."""
    chooser = form.fields["types"].widget
    shown = [box.description for box in chooser.boxes if box.layout.display != "none"]
    maps = sum(item.type == "Web Map" for item in signed_in.org.items.values())
    chooser.find.value = "web map"
    assert f"Web Map ({maps})" in [*shown, chooser.boxes[0].description]
    chooser.boxes[0].value = True
    assert form.options.types == ["Web Map"]
    assert form.options.folders == form.options.owners == []
    assert signed_in.org.name in form.head.value


def test_a_chooser_keeps_what_is_ticked_out_of_sight() -> None:
    """Typing narrows the list, and never changes what is ticked; what the portal does not have stays choosable."""
    chooser = Chooser(["Gone"])
    chooser.offer({f"Folder {number}": number for number in range(500)})
    chooser.find.value = "folder 499"
    assert [box.description for box in chooser.boxes if box.layout.display != "none"] == ["Folder 499 (499)"]
    chooser.boxes[0].value = True
    chooser.find.value = ""
    assert chooser.value == ["Gone", "Folder 499"]
    assert [box.value for box in chooser.boxes[:3]] == [True, True, False]
    chooser.boxes[1].value = False
    assert chooser.value == ["Folder 499"]


def test_preview_shows_the_plan_and_changes_nothing(form: ak.BackupForm, signed_in: Sandbox) -> None:
    """*Preview* shows each item with what would be done and why, and writes nothing."""
    form.preview.click()
    form.wait()
    assert form.plan is not None
    assert set(form.plan["item_id"]) == set(signed_in.org.items)
    assert f"Plan: {len(signed_in.org.items)} items" in text_of(form.board)
    assert len(tables_in(form.board)) == 1
    assert not Path("store").exists()
    assert signed_in.log.writes() == []


@pytest.mark.slow
def test_start_makes_a_backup_without_blocking(form: ak.BackupForm, signed_in: Sandbox) -> None:
    """*Start* comes back at once, works in the background, and ends with the result table and what is not protected."""
    signed_in.settings.latency = 0.01
    form.start.click()
    assert form.run is None
    assert form.start.disabled
    form.wait()
    assert form.run is not None
    assert form.run.state == "complete"
    assert set(form.items["item_id"]) == set(signed_in.org.items)
    assert form.board.bar.value == form.board.bar.max == len(signed_in.org.items)
    said = text_of(form.board)
    assert f"Not fully protected: {len(form.run.failures)}" in said
    assert all(failure.message.split("'")[0] in said for failure in form.run.failures)
    assert len(tables_in(form.board)) == 1
    assert (form.start.disabled, form.stop.disabled) == (False, True)


@pytest.mark.slow
def test_stop_ends_the_run_and_keeps_what_is_saved(form: ak.BackupForm, signed_in: Sandbox) -> None:
    """*Stop* ends the run; the backup so far is there, and the rest is `stopped`."""
    signed_in.settings.latency = 0.1
    form.fields["workers"].widget.value = 2
    begun = threading.Event()
    form.board.bar.observe(lambda _: begun.set(), "value")
    form.start.click()
    assert begun.wait(60)
    form.stop.click()
    form.wait()
    assert form.run is not None
    assert form.run.state == "stopped"
    assert form.run.counts[Result.STOPPED] > 0
    assert "is stopped" in text_of(form.board)


def test_a_refused_sign_in_is_a_sentence(signed_in: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong password is said in the form, kept nowhere, sent once, and the next try may be right."""
    monkeypatch.delenv("AGOLKIT_PASSWORD")
    form = ak.BackupForm(store="store")
    form.wait()
    assert form.portal is None
    assert "AGOLKIT_PASSWORD" in form.head.value
    form.start.click()
    form.wait()
    assert "Sign in first" in form.error.value

    signed_in.log.clear()
    form.username.value = signed_in.username
    form.password.value = "wrong-password"
    assert form.password.value == ""
    form.sign_in.click()
    form.wait()
    assert "refuses to sign" in form.error.value
    assert len([entry for entry in signed_in.log.entries if "generateToken" in entry.path]) == 1

    form.password.value = signed_in.password
    form.sign_in.click()
    form.wait()
    assert form.portal is not None
    assert form.error.value == ""
    kept = repr(vars(form)) + repr([widget.get_state() for widget in (form.password, form.username, form.url)])
    assert signed_in.password not in kept
    assert "wrong-password" not in kept


def test_a_wrong_option_is_marked_at_its_field(form: ak.BackupForm) -> None:
    """A wrong option stops the start, is said in the form, and marked where it is until it is right."""
    form.fields["workers"].widget.value = 0
    form.start.click()
    form.wait()
    assert "workers must be greater than 0" in form.error.value
    assert "workers must be greater than 0" in form.fields["workers"].error
    assert form.fields["exports"].error == ""
    form.fields["workers"].widget.value = 4
    assert form.options.workers == 4
    assert form.fields["workers"].error == ""
    form.store.widget.value = " "
    form.start.click()
    form.wait()
    assert "Name a folder" in form.store.error


def test_what_the_portal_does_not_know_is_said(form: ak.BackupForm) -> None:
    """A folder that does not exist is an error in the form, with the nearest one suggested; nothing is written."""
    form.fields["folders"].widget.tick("Water Netwrk")
    form.start.click()
    form.wait()
    assert "Water Network" in form.error.value
    assert form.run is None


def test_trouble_with_the_portal_is_said(form: ak.BackupForm, signed_in: Sandbox) -> None:
    """When the portal stops answering, the form says so in a sentence, and can be used again."""
    signed_in.faults.add(Fault(path="/content/users/", status=400, body={"error": {"code": 400, "message": "Sorry."}}))
    form.preview.click()
    form.wait()
    assert 'role="alert"' in form.error.value
    assert not form.preview.disabled


def test_an_unknown_keyword_says_where_it_belongs() -> None:
    """A misspelt keyword gets the nearest one, an option is sent to `options`."""
    with pytest.raises(UsageError, match="Did you mean 'portal'"):
        ak.BackupForm(portl=None)
    with pytest.raises(UsageError, match=r"options=ak\.BackupOptions\(workers=\.\.\.\)"):
        ak.BackupForm(workers=4)


def test_titles_are_shown_and_not_run() -> None:
    """HTML in a title is text in the form."""
    board = Board()
    item = Item(id="0" * 32, title="<script>alert(1)</script>", type="PDF", owner="<b>me</b>")
    outcome = Outcome(item, Result.FAILED, observed=datetime.now(UTC), message="<img src=x>")
    with board.live("Working"):
        board(Event("items", "<i>news</i>", done=1, total=1, outcome=outcome))
    said = text_of(board)
    assert "<script" not in said
    assert "<img" not in said
    assert "<i>" not in said
    assert "&lt;script&gt;" in said


def test_many_items_are_few_updates() -> None:
    """12,000 items in one go reach the browser in a handful of updates, not in thousands."""
    board = Board()
    updates: list[object] = []
    board.bar.observe(updates.append, "value")
    item = Item(id="0" * 32, title="Map", type="Web Map", owner="me")
    outcome = Outcome(item, Result.VERIFIED, observed=datetime.now(UTC))
    with board.live("Working"):
        for done in range(12_000):
            board(Event("items", done=done + 1, total=12_000, outcome=outcome))
    assert board.bar.value == 12_000
    assert len(updates) < 100
