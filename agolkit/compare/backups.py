"""Two backups side by side: which items are new, gone or changed, and what changed in one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING

from agolkit.compare.difference import Change, Difference
from agolkit.compare.items import compare_versions
from agolkit.errors import NoSuchBackup
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome, Result, counted, shown
from agolkit.store import Store
from agolkit.thawing import check_thawed, hashes_of

if TYPE_CHECKING:
    import pandas

COLUMNS = ("item_id", "title", "type", "owner", "change", "what")
LISTED = 200
"""Rows of a layer that are listed, of those added, removed and changed each."""
MOST = 2_000
"""Differences of one part that are listed."""
_SCOPE = ("folders", "owners", "groups", "types", "query")
_EXCLUSIONS = ("exclude_tags", "exclude_types", "exclude_ids", "exclude_folders", "exclude_owners")


def compare(store: Store, a: str, b: str, *, items: Iterable[str] = ()) -> pandas.DataFrame:
    """What is not in backup `b` as it was in backup `a`: one row per item that differs; empty where none does.

    Columns, all text: `item_id`; `title`, `type` and `owner` as in `b`, or in `a` where `b` has no such item; `change`
    (`added`, `removed`, `changed`); `what` in plain words: `title, sharing; data: 3 changes; rows: +12 -1 ~4`. Rows
    are in the order of the manifest, by type and title.

    Only what differs is read, and from the store alone. No change are: counts of views, ratings and comments; the
    stamp of the last save, by itself; an export that the server packed anew with the same content; the order of keys;
    stamps, extents and software versions in the definition of a service. An item that one of the backups could not
    save whole is a difference of results (`result: partial instead of verified`), and not one of the item.

    Parameters
    ----------
    a, b
        Names of backups, beginnings of names, or `"latest"`; `b` need not be the later one.
    items
        Ids; without any, all items are compared.

    Raises
    ------
    NoSuchBackup
        There is no such backup, or neither has such an item. Trying again does not help.
    StoreDamaged
        The manifest of one of the backups is missing or was changed.
    """
    import pandas

    wanted = set(items)
    before, after = _outcomes(store, a, wanted), _outcomes(store, b, wanted)
    if unknown := wanted - before.keys() - after.keys():
        raise NoSuchBackup(f"Neither backup has an item {', '.join(sorted(unknown))}.")
    absent = _why_absent(store, a, b)
    rows = []
    for item_id in {**before, **after}:
        old, new = before.get(item_id), after.get(item_id)
        change, what = _change(store, old, new, absent)
        if what:
            item = (new or old).item  # type: ignore[union-attr]
            rows.append((item.id, shown(item.title), item.type, item.owner, change, what))
    rows.sort(key=lambda row: (row[2], row[1], row[0]))
    return pandas.DataFrame(rows, columns=list(COLUMNS), dtype=str)


def compare_item(store: Store, a: str, b: str, item_id: str) -> pandas.DataFrame:
    """What changed in one item from backup `a` to backup `b`: one row per difference; empty where there is none.

    Columns, all text: `part` (`item`, `sharing`, `data`, `definition`, `rows`, `attachments`, …), `where`, `change`
    (`added`, `removed`, `changed`; or `not compared`, and then `after` says why), `before`, `after`. Long values are
    shortened to the place where they differ.

    In documents, elements of lists are matched by what identifies them (id, item id, name, title), so an inserted
    layer is one addition. Rows of layers are matched by GlobalID, or by object id where a layer has none. 200 added,
    removed and changed rows of each layer are listed, and 2,000 differences of any other part; then a row says how
    many more there are. Files that are no JSON and no zip archive tell their sizes and hashes.

    Raises
    ------
    NoSuchBackup
        There is no such backup, or one of them does not have the item: then `compare` says which.
    StoreDamaged
        The manifest of one of the backups is missing or was changed.
    Archived
        What differs lies in an archive class and cannot be read before a thaw.
    """
    import pandas

    found = []
    for backup in (a, b):
        outcome = _outcomes(store, backup, {item_id}).get(item_id)
        if outcome is None:
            raise NoSuchBackup(f"There is no item {item_id} in the backup {store.resolve(backup)}.")
        found.append(outcome)
    for backup, one, other in zip((a, b), found, reversed(found), strict=True):
        same = hashes_of([other])
        differing = tuple(part for part in one.parts if part.blob.sha256 not in same)
        check_thawed(store, store.resolve(backup), [replace(one, parts=differing)], [item_id])
    changes = compare_versions(store, *found, listed=LISTED)
    told = [asdict(each) for each in _shortened(changes.differences)]
    return pandas.DataFrame(told, columns=[each.name for each in fields(Difference)], dtype=str)


def _outcomes(store: Store, backup: str, wanted: set[str]) -> dict[str, Outcome]:
    return {outcome.item.id: outcome for outcome in read_outcomes(store, backup, only=wanted)}


def _change(store: Store, old: Outcome | None, new: Outcome | None, absent: tuple[str, str]) -> tuple[Change, str]:
    """What became of one item, and in words; no words where nothing did."""
    is_out = [each is not None and each.result is Result.EXCLUDED for each in (old, new)]
    if all(each is None or out for each, out in zip((old, new), is_out, strict=True)):
        return "changed", ""
    if old and is_out[0]:
        return "added", f"left out of the first backup: {old.message}"
    if new and is_out[1]:
        return "removed", f"left out of the second backup: {new.message}"
    if old and new:
        return "changed", str(compare_versions(store, old, new, listed=0))
    return ("added", absent[0] or "new") if new else ("removed", absent[1] or "gone")


def _why_absent(store: Store, a: str, b: str) -> tuple[str, str]:
    """What is to be said of an item that only `b` has, and of one that only `a` has; nothing where it is plain."""
    facts = [store.summary(store.resolve(backup)) for backup in (a, b)]
    scopes = [{name: each.get("options", {}).get(name) for name in (*_SCOPE, *_EXCLUSIONS)} for each in facts]
    other = "the scopes of the two backups are not the same" if scopes[0] != scopes[1] else ""
    said = []
    for which, each in zip(("first", "second"), facts, strict=True):
        cut = f"the {which} backup was never finished" if each["state"] == "unfinished" else ""
        reasons = "; ".join(filter(None, [cut, other]))
        said.append(f"not in the {which} backup: {reasons}" if reasons else "")
    return said[0], said[1]


def _shortened(differences: Iterable[Difference]) -> list[Difference]:
    """The differences, of each part only so many, and then how many more there are."""
    kept: dict[str, list[Difference]] = {}
    more: dict[str, int] = {}
    for each in differences:
        some = kept.setdefault(each.part, [])
        if len(some) < MOST or each.part == "rows":
            some.append(each)
        else:
            more[each.part] = more.get(each.part, 0) + 1
    for part, number in more.items():
        kept[part].append(Difference(part, f"and {counted(number, 'more difference')}", "changed"))
    return [each for some in kept.values() for each in some]
