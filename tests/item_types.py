"""The page docs/item-types.md, made of the table of item types and of what a backup of the practice city has proven.

Write it anew, from the folder of the project: `python tests/item_types.py`
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from portals import connect

import agolkit as ak
from agolkit.kinds.registry import KINDS
from agolkit.kinds.types import ITEM_TYPES, known_type
from agolkit.manifest import read_outcomes
from agolkit.model import PAYLOADS, Outcome, Reach, Result, plain
from agolkit.sandbox import Sandbox, city

PAGE = Path(__file__).parents[1] / "docs" / "item-types.md"
OF_MOST_ITEMS = ("item", "sharing", "thumbnail")
"""Parts that are not named, because nearly every saved item has them."""

INTRODUCTION = """\
# Item types

Which item types agolkit knows, what it saves of each, and how far that is proven. This page is made by
`python tests/item_types.py` from the table of types and from a backup of the practice portal; a test fails when it is
out of date.

An item type belongs to a *kind*: the types that are saved the same way. A type that is not on this page is saved too:
its JSON or its file, its resources and its description. Case and blanks in the name of a type do not matter.

Of every item the description, sharing, pictures, metadata, resources and relations are saved. The column *checked*
names the parts that items of the practice portal have, without description, sharing and thumbnail, which nearly all
have. It says how far each check reaches: `content` (ids, hashes or bytes were compared with what the portal states),
`length` (the number of bytes it states), or `parsed` (well-formed and of the right type; the portal offers no more).
"""

LEFT_OUT = """\
## Left out by default

`exclude_types` names the item types that are left out. By default that is {types}.
Give a list of your own to change it: `exclude_types=[]` leaves out none; in the form, it is under *What is left out*.
What an option leaves out is listed as `excluded` in `AllItems.csv` and in the report, with the option's name. A package
that a hosted layer needs is saved with the layer, whatever its type.
"""

NOT_SAVED = """\
## What is not saved

- Content that the portal does not hold itself. These items are `partial`, and the message says what is missing; name
  the type in `accept` with your reason, and it no longer counts as a failure:
{elsewhere}
- Data on somebody else's server, to which a service or a link points. The item is `described`: its description, url and
  own settings are saved.
- Hosted tiles, scenes and imagery whose package is gone and that the service does not export: it is not allowed, or
  they are larger than `max_tile_bytes`. The item is `partial`.
- Passwords, keys and tokens: the portal does not hand them out, and where data might hold some they are left out.
"""


def outcomes_of(portal: ak.Portal, folder: Path, **options: object) -> list[Outcome]:
    """What a backup with these options makes of the items of a portal."""
    store = ak.open_store(folder)
    ak.backup(portal, store, ak.BackupOptions.from_mapping(options))
    return read_outcomes(store, "latest")


def page(outcomes: Iterable[Outcome]) -> str:
    """The text of the page."""
    by_type: dict[str, list[Outcome]] = defaultdict(list)
    by_kind: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.result is not Result.EXCLUDED:
            by_type[plain(outcome.item.type)].append(outcome)
            by_kind[outcome.kind].append(outcome)
    elsewhere: dict[str, list[str]] = defaultdict(list)
    for each in ITEM_TYPES.values():
        if each.elsewhere:
            elsewhere[each.elsewhere].append(each.name)
    return "\n".join(
        [
            INTRODUCTION,
            _kinds(by_kind),
            LEFT_OUT.format(types=", ".join(f"`{name}`" for name in ak.BackupOptions().exclude_types)),
            NOT_SAVED.format(
                elsewhere="\n".join(f"  - {', '.join(names)}: {said}" for said, names in sorted(elsewhere.items()))
            ),
            _known_types(by_type),
            _unknown_types(by_type),
        ]
    )


def _kinds(by_kind: Mapping[str, Sequence[Outcome]]) -> str:
    rows = []
    for name, kind in KINDS.items():
        types = [each for each in ITEM_TYPES.values() if each.kind == name]
        rows.append((name, str(len(types)), kind.plan, checked(by_kind[name])))
    return "## Kinds\n\n" + _table(("kind", "types", "what a run does", "checked"), rows)


def _known_types(by_type: Mapping[str, Sequence[Outcome]]) -> str:
    default = [plain(name) for name in ak.BackupOptions().exclude_types]
    rows = []
    for key, each in sorted(ITEM_TYPES.items(), key=lambda pair: pair[1].name.casefold()):
        seen = by_type.get(key, [])
        notes = [each.note, each.elsewhere, "left out by default" if key in default else ""]
        how = checked(seen) if seen else f"as other {each.kind}s"
        rows.append((each.name, each.kind, each.payload, how, results(seen), "; ".join(filter(None, notes))))
    head = ("item type", "kind", "payload", "checked", "practice portal", "to know")
    return (
        "## Every known type\n\n"
        "*Practice portal*: the results of its items of this type; *none*: it has no such item. `?`: not known.\n\n"
        + _table(head, rows)
    )


def _unknown_types(by_type: Mapping[str, Sequence[Outcome]]) -> str:
    unknown = {seen[0].item.type: seen for seen in by_type.values() if known_type(seen[0].item.type) is None}
    rows = [(name, seen[0].kind, checked(seen), results(seen)) for name, seen in sorted(unknown.items())]
    return (
        "## Types that nobody knows yet\n\nThe practice portal has made-up ones, to prove that they are saved.\n\n"
        + _table(("item type", "kind", "checked", "practice portal"), rows)
    )


def checked(outcomes: Iterable[Outcome]) -> str:
    """Each part that was saved, the payload first, with how far its checks reach."""
    reaches: dict[str, set[Reach]] = defaultdict(set)
    for outcome in outcomes:
        for part in outcome.parts:
            reaches[part.name].add(part.reach)
    names = [name for name in PAYLOADS if name in reaches]
    names += sorted(set(reaches) - {*PAYLOADS, *OF_MOST_ITEMS})
    said = [f"{name} {' or '.join(reach for reach in Reach if reach in reaches[name])}" for name in names]
    return "; ".join(said) or "description"


def results(outcomes: Iterable[Outcome]) -> str:
    """The results that occur, as a page shows them."""
    found = {outcome.result for outcome in outcomes}
    return ", ".join(result for result in Result if result in found) or "none"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    with TemporaryDirectory() as place, Sandbox(city.springfield()) as sandbox:
        found = outcomes_of(connect(sandbox), Path(place), exclude_types=[])
    PAGE.write_text(page(found), encoding="utf-8")
