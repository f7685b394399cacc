"""`BackupOptions`: what a run covers and how it goes about it; the parameters of the backup notebook."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from agolkit.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class BackupOptions:
    """What to back up, and how. Frozen; every field has a default, so `BackupOptions()` covers everything.

    An empty list means *all*. Names are matched without regard to case. Seconds and bytes throughout.

    Raises
    ------
    UsageError
        A value has the wrong type or is out of range; the message says what is allowed. Trying again does not help.
    """

    scope_name: str = "default"
    """Names the scope; resuming and `latest` go by it."""
    folders: list[str] = field(default_factory=list)
    """Folder titles (or `owner/folder`) to back up."""
    owners: list[str] = field(default_factory=list)
    """User names whose items to back up."""
    groups: list[str] = field(default_factory=list)
    """Ids or titles of groups whose items to back up."""
    types: list[str] = field(default_factory=list)
    """Item types to back up."""
    query: str = ""
    """Extra portal search expression; an item must match it."""
    exclude_tags: list[str] = field(default_factory=lambda: ["no-backup"])
    """An item with one of these tags is left out."""
    exclude_types: list[str] = field(default_factory=lambda: ["Service Definition"])
    exclude_ids: list[str] = field(default_factory=list)
    exclude_folders: list[str] = field(default_factory=list)
    exclude_owners: list[str] = field(default_factory=list)
    feature_format: Literal["auto", "fgdb", "rows", "both"] = "auto"
    """How hosted feature layers are saved: `fgdb`, a File Geodatabase made by the portal, attachments inside; `rows`,
    the features as served and each attachment as a file; `auto`: rows where there are attachments or more than
    `export_max_bytes`, else fgdb. What cannot be exported is always saved as rows."""
    export_max_bytes: int = 1_000_000_000
    """Bytes of a service, as the portal states them, above which `auto` takes rows."""
    attachments: bool = True
    """Save attachments where rows are saved; a geodatabase always holds them."""
    views: Literal["auto", "definition", "rows"] = "auto"
    """What is saved of a view beside its definition, filters and sources: `rows`, its rows too; `definition`, nothing
    more; `auto`: its rows only where their source is not in the same backup."""
    max_tile_bytes: int = 2_000_000_000
    """Bytes, as the portal estimates them, up to which the tiles of a hosted layer are exported where the package that
    it was published from is gone."""
    full: bool = False
    """Fetch everything again, also what has not changed, and report what had changed without a sign."""
    full_every: int = 30
    """Every so many runs of the scope fetch everything again; 0: only with `full`."""
    tree: Literal["auto", "copy", "none"] = "auto"
    """The browsable folder tree: `auto` makes hard links where the file system has them."""
    zip: bool = False
    """Also publish the backup as one zip."""
    workers: int = 16
    """Items in work at once."""
    exports: int = 8
    """Server-side export jobs in flight at once."""
    attempts: int = 3
    """Attempts for each request or export job."""
    connect_timeout: float = 10
    """Seconds until a connection stands."""
    idle_timeout: float = 60
    """Seconds without a byte after which a request is given up."""
    export_timeout: float = 1800
    """Seconds for one server-side job."""
    item_timeout: float = 1800
    """Seconds without any progress after which an item is given up."""
    resume_within: float = 86_400
    """Seconds since its beginning within which an unfinished backup of the scope is taken up; 0: never."""
    scratch: str | None = None
    """Folder where transfers are spooled; `None`: the system's temporary folder."""
    accept: dict[str, str] = field(default_factory=dict)
    """Item ids or types whose `partial` or `failed` is known and accepted, each with a reason."""
    alarm_items: float = 0.2
    """Share of the items of the last complete backup of the scope; when more are gone or left out, an alarm is raised
    and the backups before it are pinned. 1: never."""
    alarm_rows: float = 0.5
    """Share of the rows of a layer; when more are gone, the same. 1: never."""
    label: str = ""
    """Free text kept with the backup."""
    dry_run: bool = False
    """Show the plan, save nothing."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for each in fields(self):
            value = getattr(self, each.name)
            wanted = _misfit(value, hints[each.name])
            if wanted:
                raise UsageError(f"{each.name} must be {wanted}, not {value!r}.")
        for name in (
            "export_max_bytes",
            "max_tile_bytes",
            "workers",
            "exports",
            "attempts",
            "connect_timeout",
            "idle_timeout",
            "export_timeout",
            "item_timeout",
        ):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} must be greater than 0, not {getattr(self, name)!r}.")
        for name in ("resume_within", "full_every"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be 0 or greater, not {getattr(self, name)!r}.")
        for name in ("alarm_items", "alarm_rows"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must be from 0 to 1, not {getattr(self, name)!r}.")
        if not self.scope_name.strip():
            raise UsageError("scope_name must not be empty.")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> BackupOptions:
        """Options from names and values; an unknown name is a `UsageError` that suggests the nearest known one."""
        known = [each.name for each in fields(cls)]
        for name in values:
            if name not in known:
                raise UsageError(f"There is no option {name!r}." + nearest(name, known))
        return cls(**values)

    @classmethod
    def from_variables(cls, variables: Mapping[str, Any]) -> BackupOptions:
        """Options from a notebook's variables (`globals()`): takes those named like a field, ignores all others."""
        return cls(**{each.name: variables[each.name] for each in fields(cls) if each.name in variables})


def nearest(word: str, known: list[str]) -> str:
    """A sentence that suggests the known words nearest to `word`; empty where nothing is near."""
    by_lower = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), by_lower, n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(repr(by_lower[name]) for name in close)}?" if close else ""


def _misfit(value: Any, hint: Any) -> str:
    """What `value` should have been, in words; empty where it fits the type hint."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "" if value in args else "one of " + ", ".join(repr(choice) for choice in args)
    if origin is list:
        return "" if isinstance(value, list) and all(isinstance(each, str) for each in value) else "a list of texts"
    if origin is dict:
        fits = isinstance(value, dict) and all(isinstance(text, str) for pair in value.items() for text in pair)
        return "" if fits else "a mapping of texts to texts"
    if hint is bool:
        return "" if isinstance(value, bool) else "true or false"
    if hint in (int, float):
        allowed: tuple[type, ...] = (int,) if hint is int else (int, float)
        word = "a whole number" if hint is int else "a number"
        return "" if isinstance(value, allowed) and not isinstance(value, bool) else word
    if hint is str:
        return "" if isinstance(value, str) else "a text"
    return "" if value is None or isinstance(value, str) else "a text or nothing"
