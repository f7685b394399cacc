"""What is damaged in a store, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from agolkit.errors import StoreDamaged
from agolkit.model import counted, one_line

if TYPE_CHECKING:
    import pandas

Action = Literal["rebuild", "restore", "show", "set aside", "lost"]
"""`rebuild`: made anew from what says the same; `restore`: the same bytes are elsewhere; `show`: the tree is made whole
again; `set aside`: moved to `damaged/`, so that a backup saves it anew; `lost`: nothing here can bring it back."""

SAID = 50
"""Findings that the text of a report names; all are in the report itself."""
_TEXTS = ("where", "item_id", "title", "what", "action", "how")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is missing or is not what was saved."""

    where: str
    """Its key in the store."""
    what: str
    """What is wrong with it."""
    action: Action
    how: str
    """How it is mended, or what to do where it is lost."""
    backups: tuple[str, ...] = ()
    """Those that need it, oldest first."""
    item_id: str = ""
    """Empty where it is no file of an item."""
    title: str = ""

    def __str__(self) -> str:
        of = f" of {self.title} ({self.item_id})" if self.item_id else ""
        newest = f", in {counted(len(self.backups), 'backup')}, the newest {self.backups[-1]}" if self.item_id else ""
        return one_line(f"{self.action}: {self.where}{of}{newest}: {self.what}; {self.how}")


@dataclass(frozen=True, slots=True)
class Mend:
    """One step of a repair, which may be interrupted between any two, and what it mends."""

    findings: tuple[Finding, ...]
    do: Callable[[], tuple[Action, str] | None] | None = None
    """Mends it. What it returns, an action and how, came of it instead of what was planned."""

    def done(self) -> tuple[Finding, ...]:
        """Do it; what came of it."""
        instead = self.do() if self.do else None
        if instead is None:
            return self.findings
        action, how = instead
        return tuple(replace(each, action=action, how=how) for each in self.findings)


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair has done. `str()` and `repr()` say it in plain words."""

    store: str
    mended: tuple[Finding, ...]
    lost: tuple[Finding, ...]
    """What cannot be brought back from here, set aside or missing; a backup saves it anew where the portal has it."""

    @property
    def exit_code(self) -> int:
        """0, or 4 where something is lost, as the command line ends."""
        return StoreDamaged.exit_code if self.lost else 0

    def to_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {**asdict(self), "exit_code": self.exit_code}

    def __str__(self) -> str:
        if not self.mended and not self.lost:
            return f"Nothing is damaged in {self.store}."
        lines = [f"{counted(len(self.mended), 'place')} mended in {self.store}, {len(self.lost):,} lost."]
        found = (*self.lost, *self.mended)
        lines += [f"  {each}" for each in found[:SAID]]
        return "\n".join(lines if len(found) <= SAID else [*lines, f"  and {len(found) - SAID:,} more."])

    __repr__ = __str__


def frame(mends: Iterable[Mend]) -> pandas.DataFrame:
    """The findings as a table."""
    import pandas

    rows = [asdict(finding) for mend in mends for finding in mend.findings]
    return pandas.DataFrame(
        {
            name: pandas.Series(
                [list(row[name]) if name == "backups" else row[name] for row in rows],
                dtype=str if name in _TEXTS else object,
            )
            for name in ("where", "backups", "item_id", "title", "what", "action", "how")
        }
    )
