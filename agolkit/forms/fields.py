"""Fields of a form: one for each backup option, each with its label, its hint and a place for its error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

import ipywidgets as widgets

from agolkit.forms.look import sentence

SHOWN = 60
"""Check boxes in a list; the rest is found by typing."""

HINTS = {
    "scope_name": "Names this choice of items in the list of backups.",
    "folders": "Nothing ticked: all folders.",
    "owners": "Nothing ticked: all owners.",
    "groups": "Titles or ids, one a line. Empty: shared with any group or none.",
    "types": "Nothing ticked: all types.",
    "query": "An extra search expression of the portal, such as modified:[1700000000000 TO 1800000000000].",
    "exclude_tags": "Items with one of these tags are left out. Separate them with commas.",
    "exclude_types": "Item types, one a line.",
    "exclude_ids": "Item ids, one a line.",
    "exclude_folders": "Folder titles or owner/folder, one a line.",
    "exclude_owners": "User names, one a line.",
    "feature_format": "How hosted layers are saved: fgdb, rows, both, or auto: rows where there are attachments.",
    "export_max_bytes": "Bytes of a service above which auto saves rows.",
    "attachments": "Save the attachments of layers.",
    "views": "Of a view: its definition alone, its rows too, or auto: rows where their source is not saved too.",
    "max_tile_bytes": "Bytes up to which tiles are exported where their package is gone.",
    "full": "Fetch everything again, also what has not changed since the last backup.",
    "full_every": "Every so many runs fetch everything again. 0: only with full.",
    "tree": "Browsable folders: auto makes links where the disk can, copy takes the space twice.",
    "zip": "Also publish the backup as one zip, in the folder zips of the store.",
    "workers": "Items in work at once.",
    "exports": "Export jobs on the portal at once.",
    "attempts": "Attempts for each request or export job.",
    "connect_timeout": "Seconds until a connection stands.",
    "idle_timeout": "Seconds without a byte before a request is given up.",
    "export_timeout": "Seconds for one export job.",
    "item_timeout": "Seconds without progress before an item is given up.",
    "resume_within": "Seconds within which an interrupted backup of this choice is taken up. 0: never.",
    "scratch": "Folder for transfers under way. Empty: the system's temporary folder.",
    "accept": "What may stay incomplete: one a line, an item id or type, a colon, the reason.",
    "alarm_items": "When more than this share of the items is gone, an alarm is raised. 1: never.",
    "alarm_rows": "When more than this share of the rows of a layer is gone, an alarm is raised. 1: never.",
    "label": "Free text kept with the backup.",
    "dry_run": "Show what would be done, save nothing.",
}


class Field(widgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """One option: label, widget, hint, and its error when there is one."""

    def __init__(
        self,
        name: str,
        widget: widgets.DOMWidget,
        *,
        read: Callable[[Any], Any] = lambda shown: shown,
        label: str = "",
        hint: str = "",
    ) -> None:
        self.name = name
        self.widget = widget
        self._read = read
        text = label or name.replace("_", " ").capitalize()
        parts: list[widgets.DOMWidget] = [widget]
        if isinstance(widget, Chooser):
            parts.insert(0, widgets.HTML(f'<div class="agk-label">{sentence(text)}</div>'))
        else:  # a description is a real label of its input: screen readers read it, a click on it goes to the input
            widget.description = text
            widget.tooltip = hint
        widget.layout.width = "auto"
        self._error = widgets.HTML()
        super().__init__([*parts, widgets.HTML(f'<div class="agk-hint">{sentence(hint)}</div>'), self._error])
        self.add_class("agk-field")
        self.mark("")

    @property
    def value(self) -> Any:
        """What the user has chosen, as the option has it."""
        return self._read(self.widget.value)

    @property
    def error(self) -> str:
        return self._message

    def mark(self, message: str) -> None:
        """Show `message` at this field; an empty one takes the mark away."""
        self._message = message
        self._error.value = f'<div class="agk-error" role="alert">{sentence(message)}</div>' if message else ""
        self._error.layout.display = "" if message else "none"
        if message:
            self.add_class("agk-wrong")
        else:
            self.remove_class("agk-wrong")


class Chooser(widgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """A list of check boxes with counts, and a box to find one by typing. Nothing ticked means all."""

    def __init__(self, chosen: Iterable[str]) -> None:
        self.value: list[str] = list(chosen)
        self._counts: dict[str, int] = {}
        self._drawing = False
        self.find = widgets.Text(placeholder="Find …", layout=widgets.Layout(width="auto"))
        self.find.observe(lambda _: self._draw(), "value")
        self._said = widgets.HTML()
        layout = {"display": "none", "width": "auto"}
        self.boxes = [widgets.Checkbox(indent=False, layout=layout) for _ in range(SHOWN)]
        self._shown: list[str] = []
        for box in self.boxes:
            box.observe(self._ticked, "value")
        self._list = widgets.VBox(self.boxes)
        self._list.add_class("agk-list")
        super().__init__([self.find, self._list, self._said])
        self._draw()

    def offer(self, counts: Mapping[str, int]) -> None:
        """Fill the list; `counts` tells how many items each entry has."""
        self._counts = {name: count for name, count in counts.items() if name}
        self._draw()

    def tick(self, *names: str) -> None:
        """Choose `names` and nothing else."""
        self.value = list(names)
        self._draw()

    def _draw(self) -> None:
        wanted = self.find.value.strip().casefold()
        names = sorted({*self._counts, *self.value}, key=lambda name: (name not in self.value, name.casefold()))
        found = [name for name in names if wanted in name.casefold()]
        self._shown = found[: len(self.boxes)]
        self._drawing = True
        with self._list.hold_trait_notifications():
            for at, box in enumerate(self.boxes):
                shown = at < len(self._shown)
                box.layout.display = "" if shown else "none"
                if shown:
                    name = self._shown[at]
                    box.description = f"{name} ({self._counts[name]:,})" if name in self._counts else name
                    box.value = name in self.value
        self._drawing = False
        said = f"all {len(names):,}" if names else "The list fills after the sign-in."
        if self.value:
            said = f"{len(self.value):,} of {len(names):,} ticked"
        if len(found) > len(self._shown):
            said += f" · {len(found) - len(self._shown):,} more: type to find them"
        self._said.value = f'<div class="agk-hint" role="status">{sentence(said)}</div>'

    def _ticked(self, change: Mapping[str, Any]) -> None:
        if self._drawing:
            return
        name = self._shown[self.boxes.index(change["owner"])]
        self.value = [*self.value, name] if change["new"] else [each for each in self.value if each != name]
        self._draw()


def option_field(name: str, kind: Any, value: Any) -> Field:
    """The field that fits an option's type and shows `value`."""
    hint = HINTS[name]
    if name in ("folders", "owners", "types"):
        label = {"types": "Item types"}.get(name, "")
        return Field(name, Chooser(value), read=list, label=label, hint=hint)
    if name == "exclude_tags":
        return Field(name, widgets.Text(", ".join(value)), read=_comma_separated, label="Leave out tags", hint=hint)
    if get_origin(kind) is Literal:
        return Field(name, widgets.Dropdown(options=get_args(kind), value=value), hint=hint)
    if get_origin(kind) is list:
        return Field(name, widgets.Textarea("\n".join(value), rows=3), read=_lines, hint=hint)
    if get_origin(kind) is dict:
        text = "\n".join(f"{key}: {reason}" for key, reason in value.items())
        return Field(name, widgets.Textarea(text, rows=3), read=_pairs, hint=hint)
    if kind is bool:
        return Field(name, widgets.Checkbox(value, indent=False), hint=hint)
    if kind is int:
        return Field(name, widgets.IntText(value), hint=hint)
    if kind is float:
        return Field(name, widgets.FloatText(value), hint=hint)
    read = str.strip if kind is str else lambda text: text.strip() or None
    return Field(name, widgets.Text(value or ""), read=read, hint=hint)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _comma_separated(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _pairs(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in _lines(text))
    return {key.strip(): reason.strip() for key, _, reason in pairs}
