"""AllItems, the manifest for people: one row an item, as a CSV file for spreadsheets and as a DataFrame."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agolkit.addresses import without_secrets
from agolkit.layout import item_folder
from agolkit.model import Outcome, shown, to_stamp

if TYPE_CHECKING:
    import pandas

ALL_ITEMS = "AllItems.csv"

_LISTS = ("groups", "tags", "left_out")
_TIMES = ("created", "modified", "observed")
_INTEGERS = ("size_bytes", "files", "saved_bytes", "attempts")
COLUMNS = (
    *("item_id", "title", "type", "owner", "folder", "access", "groups", "tags", "created", "modified", "size_bytes"),
    *("url", "kind", "files", "saved_bytes", "how", "observed", "path", "checked", "left_out", "attempts", "seconds"),
    *("message", "result"),
)
"""Of AllItems.csv and of `load_items`."""

# A spreadsheet takes a cell that begins so for a formula (OWASP, "CSV injection"), in full-width form too. Where the
# semicolon or the tab separates cells, as in much of Europe, the quotes of ours mean nothing, and a text is many cells.
_SIGNS = r"=+\-@\uff1d\uff0b\uff0d\uff20"
_FORMULA = re.compile(rf"^(?=[\s\ufeff]*[{_SIGNS}]|[\t\r\n])|(?<=[;\t\r\n])(?=[^\S\r\n]*[\ufeff\"]*[{_SIGNS}])")


def all_items_csv(outcomes: Iterable[Outcome]) -> bytes:
    """AllItems.csv: UTF-8 with BOM, lists joined by `; `, nothing in it that a spreadsheet would run."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for outcome in outcomes:
        row = _row(outcome)
        writer.writerow([_cell(row[column]) for column in COLUMNS])
    return shown(text.getvalue()).encode("utf-8-sig")


def items_frame(outcomes: Iterable[Outcome]) -> pandas.DataFrame:
    """One row per outcome, with the columns of the file and exact values; `manifest.load_items` has the types."""
    import pandas

    rows = [_row(outcome) for outcome in outcomes]
    dtypes: dict[str, Any] = (
        dict.fromkeys(_INTEGERS, "Int64")
        | dict.fromkeys(_LISTS, object)
        | dict.fromkeys(_TIMES, "datetime64[us, UTC]")
        | {"seconds": float}
    )
    columns: dict[str, pandas.Series[Any]] = {}
    for column in COLUMNS:
        values = [row[column] for row in rows]
        if column in _LISTS:
            values = [[shown(text) for text in texts] for texts in values]
        elif column not in dtypes:
            values = [shown(text) for text in values]
        columns[column] = pandas.Series(values, dtype=dtypes.get(column, str))
    return pandas.DataFrame(columns)


def _row(outcome: Outcome) -> dict[str, Any]:
    item = outcome.item
    return {
        "item_id": item.id,
        "title": item.title,
        "type": item.type,
        "owner": item.owner,
        "folder": item.folder,
        "access": item.access,
        "groups": list(outcome.groups),
        "tags": list(item.tags),
        "created": item.created,
        "modified": item.modified,
        "size_bytes": item.size,
        "url": without_secrets(item.url),
        "kind": outcome.kind,
        "files": len(outcome.parts),
        "saved_bytes": outcome.saved_bytes,
        "how": outcome.how,
        "observed": outcome.observed,
        "path": item_folder(item) if outcome.parts else "",
        "checked": outcome.checked,
        "left_out": list(outcome.left_out),
        "attempts": outcome.attempts,
        "seconds": outcome.seconds,
        "message": outcome.message,
        "result": str(outcome.result),
    }


def _cell(value: Any) -> object:
    if isinstance(value, list):
        value = "; ".join(value)
    if isinstance(value, datetime):
        return to_stamp(value)
    if isinstance(value, float):
        return round(value, 3)
    return _FORMULA.sub("'", value) if isinstance(value, str) else value
