"""What changed between backups: in the organization, in one item, in the rows of a layer."""

from __future__ import annotations

from agolkit.compare.backups import compare, compare_item
from agolkit.compare.versions import history

__all__ = ["compare", "compare_item", "history"]
