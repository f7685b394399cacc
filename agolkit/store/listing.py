"""The table of a store's backups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agolkit.model import Result

if TYPE_CHECKING:
    import pandas

    from agolkit.store.base import Store

_TEXTS = ("name", "state", "scope", "label", "stopped_by")
_TIMES = ("started", "finished")
_NUMBERS = ("items", *(str(result) for result in Result), "saved_bytes", "fetched_bytes", "new_bytes")


def list_backups(store: Store) -> pandas.DataFrame:
    """One row per backup, oldest first; the columns are described at `Store.backups`."""
    import pandas

    found: list[dict[str, Any]] = []
    with store.reading_once():
        for name in store.backup_names():
            facts = store.summary(name)
            found.append({**facts, **facts.get("counts", {})})
    columns: dict[str, pandas.Series[Any]] = {}
    for column in (*_TEXTS, *_TIMES, *_NUMBERS, "agolkit"):
        values = [facts.get(column) for facts in found]
        if column in _TIMES:
            columns[column] = pandas.to_datetime(pandas.Series(values, dtype=object), utc=True, format="ISO8601")
        elif column in _NUMBERS:
            columns[column] = pandas.Series(values, dtype="Int64")
        else:
            columns[column] = pandas.Series([value or "" for value in values], dtype=str)
    return pandas.DataFrame(columns)
