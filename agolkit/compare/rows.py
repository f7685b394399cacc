"""The rows of one saved layer in two backups, compared in little memory: sixteen bytes a row, whatever a row holds."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agolkit.compare.difference import Change
from agolkit.kinds.feature_service.geodatabase import key_of

Numbers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a saved layer."""

    object_id: int
    global_id: str
    """Empty where the layer has none."""
    values: Mapping[str, Any]
    """By the name of the field in lower case; those of dates are epoch milliseconds."""
    geometry: Any
    """As it was saved."""


class SavedRows(ABC):
    """The rows of one layer of one backup, to be read more than once."""

    names: Sequence[str]
    """Fields, in lower case, without ids and what is worked out from the geometry."""
    has_global_ids: bool

    @abstractmethod
    def digests(self) -> Iterator[int]:
        """Eight bytes of a hash of each row as it was saved, in their order."""

    @abstractmethod
    def read(self, wanted: Callable[[int], bool]) -> Iterator[Row]:
        """The rows at the positions that are wanted, in their order."""


@dataclass(slots=True)
class RowChanges:
    """How the rows of a layer differ."""

    by_global_id: bool
    """Or by object id."""
    with_geometry: bool
    """Whether the geometries could be compared."""
    names: Sequence[str]
    """Fields that were compared, in lower case."""
    counts: dict[Change, int] = field(default_factory=dict)
    listed: list[tuple[Change, Row | None, Row | None]] = field(default_factory=list)
    """Some of them, before and after."""


def compare_rows(before: SavedRows, after: SavedRows, *, listed: int, with_geometry: bool = True) -> RowChanges:
    """Which rows were added, removed and changed, and at most `listed` of each with their values.

    Rows are known by their GlobalIDs; by their object ids where one side has no GlobalIDs or not for each row. Only
    fields that both sides have are compared; others are a difference of the definition.
    """
    # What was saved as the very same bytes need not be looked into.
    old, new = _numbers(before.digests()), _numbers(after.digests())
    wanted = ~np.isin(old, new), ~np.isin(new, old)
    names = [name for name in before.names if name in set(after.names)]
    by_global_id = before.has_global_ids and after.has_global_ids
    while True:
        one, other = (
            _Side(side, which, names, by_global_id=by_global_id, with_geometry=with_geometry)
            for side, which in zip((before, after), wanted, strict=True)
        )
        if not by_global_id or (one.is_unique and other.is_unique):
            break
        by_global_id = False
    both, at_one, at_other = np.intersect1d(one.keys, other.keys, return_indices=True)
    found: dict[Change, Numbers] = {
        "added": np.setdiff1d(other.keys, both),
        "removed": np.setdiff1d(one.keys, both),
        "changed": both[one.contents[at_one] != other.contents[at_other]],
    }
    changes = RowChanges(
        by_global_id, with_geometry, names, {change: len(keys) for change, keys in found.items() if len(keys)}
    )
    if listed:
        some = {change: one.first(keys, listed) if change != "added" else other.first(keys, listed)
                for change, keys in found.items()}  # fmt: skip
        chosen = {key for keys in some.values() for key in keys}
        rows, others = one.rows(chosen), other.rows(chosen)
        changes.listed = [(change, rows.get(key), others.get(key)) for change, keys in some.items() for key in keys]
    return changes


class _Side:
    """What has to be known of the rows of one side: who they are, and a hash of what they hold."""

    def __init__(
        self,
        saved: SavedRows,
        wanted: np.ndarray[Any, np.dtype[np.bool_]],
        names: Sequence[str],
        *,
        by_global_id: bool,
        with_geometry: bool,
    ) -> None:
        self._saved = saved
        self._positions = np.flatnonzero(wanted)
        self._by_global_id = by_global_id
        keys, contents = array("q"), array("q")
        for row in saved.read(wanted.__getitem__):
            keys.append(self._key(row))
            contents.append(_content(row, names, with_geometry=with_geometry))
        self.keys, self.contents = _numbers(keys), _numbers(contents)
        self.is_unique = len(np.unique(self.keys)) == len(self.keys)

    def first(self, keys: Numbers, number: int) -> list[int]:
        """The first of these keys, in the order of the rows."""
        positions = np.flatnonzero(np.isin(self.keys, keys))[:number]
        return [int(key) for key in self.keys[positions]]

    def rows(self, chosen: set[int]) -> dict[int, Row]:
        """The rows with these keys."""
        at = np.flatnonzero(np.isin(self.keys, np.array(sorted(chosen), dtype=np.int64)))
        places = set(self._positions[at].tolist())
        return {self._key(row): row for row in self._saved.read(lambda number: number in places)}

    def _key(self, row: Row) -> int:
        return key_of(row.global_id) if self._by_global_id else row.object_id


def by_object_id(object_id: object) -> str:
    """What a row is called that has no GlobalID, or whose GlobalID is not told."""
    return f"{object_id} (object id)"


def digest(content: bytes) -> int:
    """Eight bytes of a hash, as a number."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), signed=True)


def _content(row: Row, names: Sequence[str], *, with_geometry: bool) -> int:
    values = [row.values.get(name) for name in names]
    geometry = row.geometry if with_geometry else None
    return digest(json.dumps([values, geometry], sort_keys=True, default=repr).encode())


def _numbers(some: Any) -> Numbers:
    return np.fromiter(some, dtype=np.int64)
