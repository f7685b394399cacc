"""What a copy has done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agolkit.errors import StoreDamaged
from agolkit.model import counted, in_bytes, one_line

DIFFERS = 3
"""The exit code where a person has to decide."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied and what was not. `str()` and `repr()` say it in plain words."""

    source: str
    target: str
    backups: tuple[str, ...]
    """Those that were copied, or brought to a later state."""
    same: int
    """Backups that the target had already."""
    blobs: int
    """Files that the target did not hold before."""
    bytes: int
    """Of these."""
    zips: int
    left_out: Mapping[str, str]
    """Why a backup (its name) or a zip (its key) was not copied, where that is no fault: the backup is not finished, or
    the target is ahead."""
    differing: Mapping[str, str]
    """What a person has to decide on: of a backup (its name) that was not copied, or whose archived files were not; of
    a zip (its key) that lies in an archive, or of one of the target."""
    damages: tuple[str, ...]
    """What is missing or damaged in the source, and therefore in the copy."""

    @property
    def exit_code(self) -> int:
        """0; 4 where something is damaged, or 3 where a person has to decide, as the command line ends."""
        return StoreDamaged.exit_code if self.damages else DIFFERS if self.differing else 0

    def to_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {**asdict(self), "exit_code": self.exit_code}

    def __str__(self) -> str:
        moved = f"{counted(self.blobs, 'file')} that were missing there, {in_bytes(self.bytes)}"
        zips = f", and {counted(self.zips, 'zip')}" if self.zips else ""
        lines = [
            f"{counted(len(self.backups), 'backup')} copied from {self.source} to {self.target}{zips}: {moved}. "
            f"{counted(self.same, 'backup')} had been there already."
        ]
        lines += [f"  not copied: {name}: {why}" for name, why in self.left_out.items()]
        lines += [f"  to decide: {name}: {why}" for name, why in self.differing.items()]
        lines += [f"  DAMAGED: {what}" for what in self.damages]
        if self.damages:
            lines.append("  All else of these backups is copied. `agolkit repair` says what can be mended.")
        return "\n".join(map(one_line, lines))

    __repr__ = __str__
