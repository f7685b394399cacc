"""Rows of a layer of any size, made when they are asked for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload


@dataclass(frozen=True)
class SortedRows(Sequence[dict[str, Any]]):
    """Features made one by one when they are asked for, in the order of their object ids.

    A layer of any size needs no memory, and is searched by object id without making a feature. A slice makes none
    either.
    """

    object_ids: Sequence[int]
    """Rising; `range` takes no memory."""
    make: Callable[[int], dict[str, Any]]
    """Returns the feature with an object id, always the same."""

    def __len__(self) -> int:
        return len(self.object_ids)

    @overload
    def __getitem__(self, at: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, at: slice) -> SortedRows: ...
    def __getitem__(self, at: int | slice) -> dict[str, Any] | SortedRows:
        if isinstance(at, slice):
            return SortedRows(self.object_ids[at], self.make)
        return self.make(self.object_ids[at])

    def between(self, first: float, last: float) -> SortedRows:
        """Return the features with object ids from `first` to `last`, both included."""
        return self[bisect_left(self.object_ids, first) : bisect_right(self.object_ids, last)]

    def matching(self, test: Callable[[dict[str, Any]], object]) -> SortedRows:
        """Return the features that pass a test, none of which is kept."""
        ids = [object_id for object_id, row in zip(self.object_ids, self, strict=True) if test(row)]
        return SortedRows(ids, self.make)

    def among(self, object_ids: Iterable[int]) -> SortedRows:
        """Return the features with these object ids, as far as they exist."""
        return SortedRows([one for one in sorted(set(object_ids)) if self.between(one, one)], self.make)
