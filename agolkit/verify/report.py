"""What a verification has found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from agolkit.errors import StoreDamaged
from agolkit.model import counted, one_line

SAID = 50
"""Damages, and differences, that the text of a report names; all are in the report itself."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is missing or is not what was saved."""

    item_id: str
    """Empty where it is a file of the backup itself."""
    title: str
    path: str
    """Where it stands: below the backup's folder, or `blobs/…` below the store's."""
    what: str
    """What is wrong with it, in words an administrator understands."""

    def __str__(self) -> str:
        of = f" of {self.title} ({self.item_id})" if self.item_id else ""
        return one_line(f"{self.path}{of}: {self.what}")


@dataclass(frozen=True, slots=True)
class Difference:
    """One item that is not in the portal as the backup has it. No damage: the portal went on."""

    item_id: str
    title: str
    what: str
    """How it differs, in words an administrator understands."""

    def __str__(self) -> str:
        return one_line(f"{self.title} ({self.item_id}): {self.what}")


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was looked at, what is damaged, and what differs. `str()` and `repr()` say it in plain words."""

    backup: str
    state: str
    """Of the backup: `complete`, `stopped` or `unfinished`; `unknown` where backup.json cannot be read."""
    deep: bool
    """Whether every byte was read again, but for what is in the archive."""
    files: int
    """Different files looked at: blobs, and the files of the backup itself."""
    bytes: int
    damages: tuple[Damage, ...]
    forgotten: int = 0
    """Items that `agolkit forget` has removed from the backup; that is no damage."""
    archived: int = 0
    """Blobs that lie in an archive class, and cannot be read before a thaw; that is no damage."""
    archived_bytes: int = 0
    differences: tuple[Difference, ...] | None = None
    """How the portal differs from the backup; `None` where they were not compared."""

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged. Differences do not count."""
        return not self.damages

    @property
    def exit_code(self) -> int:
        """0, or 4 where something is damaged, as the command line ends."""
        return StoreDamaged.exit_code if self.damages else 0

    def to_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {"ok": self.ok, **asdict(self)}

    def __str__(self) -> str:
        how = "read again and compared" if self.deep else "found with the right size"
        seen = f"{counted(self.files, 'file')}, {self.bytes:,} bytes"
        if self.ok:
            lines = [f"Backup {self.backup} ({self.state}) is unharmed: {seen}, {how}."]
        else:
            places = counted(len(self.damages), "place")
            lines = [f"Backup {self.backup} ({self.state}) is damaged in {places}, of {seen}:", *_some(self.damages)]
        if self.archived:
            told = f"In the archive: {counted(self.archived, 'file')} of these, {self.archived_bytes:,} bytes"
            lines.append(told + ("; not read, because that needs `agolkit thaw`." if self.deep else "."))
        if self.forgotten:
            lines.append(f"Removed from it on purpose: {counted(self.forgotten, 'item')}; its backup.json says which.")
        if self.differences:
            lines += [f"The portal differs from it in {counted(len(self.differences), 'item')}:"]
            lines += _some(self.differences)
        elif self.differences is not None:
            lines.append("The portal still holds the same: no item is new, gone or changed since.")
        return "\n".join(lines)

    __repr__ = __str__


def _some(found: tuple[Damage, ...] | tuple[Difference, ...]) -> list[str]:
    """A line for each of the first, and how many there are beside them."""
    lines = [f"  {each}" for each in found[:SAID]]
    return lines if len(found) <= SAID else [*lines, f"  and {len(found) - SAID:,} more."]
