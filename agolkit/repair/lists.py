"""The lists of one backup: which of them are damaged, and what they are made anew from."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from agolkit.all_items import ALL_ITEMS, all_items_csv
from agolkit.errors import StoreDamaged
from agolkit.journal import journal_lines
from agolkit.manifest import MANIFEST, SUMS, packed_manifest, read_outcomes, sha256_sums, totals
from agolkit.model import Outcome
from agolkit.repair.findings import Action, Finding, Mend
from agolkit.repair.whole import (
    LOG,
    UNREADABLE,
    WHOLE,
    facts_elsewhere,
    journal_outcomes,
    named,
    rebuilt_facts,
    unpacked_manifest,
    write_rebuilt,
    write_whole,
)
from agolkit.report import REPORT, make_report
from agolkit.store import Draft, Store
from agolkit.store.seal import is_sealed

Outcomes = Callable[[], Sequence[Outcome]]
FROM_A_COPY = "only a copy of the store can bring it back (--from)"


@dataclass(frozen=True)
class Content:
    """What a backup holds, as it will be known when its lists are mended."""

    name: str
    tree: str
    outcomes: Outcomes
    """Read again each time: those of all backups do not fit into memory together."""


def look_at_lists(
    store: Store, name: str, *, deep: bool, other: Store | None, portal: Mapping[str, str]
) -> tuple[Content | None, list[Mend]]:
    """What a backup holds (`None` where nobody knows any more, or nothing counts), and how its lists are mended."""
    content = store.find(f"backups/{name}/{WHOLE}")
    if content and is_sealed(content):
        facts = json.loads(content)
        if facts["state"] == "removed":
            return None, []
        if "forgetting" in facts:
            how = f"agolkit forget {store.location} with any item of it ends it"
            cut_short = Finding(_key(name, WHOLE), "a removal of items has not come to its end", "lost", how, (name,))
            known, mends = _of_unfinished(store, name)
            return known, [Mend((cut_short,)), *mends]
        return (
            _of_unfinished(store, name) if facts["state"] == "unfinished" else _of_finished(store, facts, deep, other)
        )
    if content is None and store.size(_key(name, REPORT)) is None:
        return _of_unfinished(store, name) if store.names(f"backups/{name}/journal") else (None, [])
    return _without_whole(
        store, name, other, portal, "its content was changed" if content else "it is missing or empty"
    )


def _of_unfinished(store: Store, name: str) -> tuple[Content | None, list[Mend]]:
    """Of a killed run, or of one whose lists are being written anew: nothing of it is made by us."""
    try:
        read_outcomes(store, name)
    except StoreDamaged as error:
        how = f"move backups/{name} out of the store; what it needs is not known"
        return None, [Mend((Finding(f"backups/{name}", str(error), "lost", how, (name,)),))]
    return Content(name, "none", partial(read_outcomes, store, name)), []


def _of_finished(
    store: Store, facts: Mapping[str, Any], deep: bool, other: Store | None
) -> tuple[Content | None, list[Mend]]:
    """Of a backup whose `backup.json` is whole, and says what the other files are."""
    name = facts["name"]
    broken = dict(_broken(store, facts, deep))
    outcomes: Outcomes | None = partial(_unpacked, store, name)  # without its `backup.json`, which may be damaged
    mends = list(_of_its_journal(store, facts))
    if MANIFEST in broken:  # what else is broken may be made of it
        made = _copied(other, facts, MANIFEST)
        outcomes = partial(read_outcomes, other, name) if made and other else None
        if made is None and (found := journal_outcomes(store, name)):
            counts_alike = totals(found).items() <= facts.items()
            if not counts_alike:
                broken |= {path: "it does not say what the journal says" for path in _MADE if path in facts["files"]}
            how = "made of the journal" + ("" if counts_alike else ", which has other items than backup.json says")
            outcomes = partial(journal_outcomes, store, name)
            made = _Made("rebuild", how, partial(_packed, outcomes))
        mends.append(_mend(store, name, MANIFEST, broken.pop(MANIFEST), made))
    for path, what in broken.items():
        made = _copied(other, facts, path)
        if made is None and path == LOG:
            made = _log_of_segments(store, facts)
        if made is None and path in _MADE and outcomes:
            made = _Made("rebuild", "made of the manifest", partial(_MADE[path], store, name))
        mends.append(_mend(store, name, path, what, made))
    return Content(name, facts["tree"], outcomes) if outcomes else None, mends


def _of_its_journal(store: Store, facts: Mapping[str, Any]) -> Iterator[Mend]:
    """What is wrong with the journal of a stopped backup, which a run may still go on with."""
    try:
        if facts["state"] == "stopped":
            journal_lines(store, facts["name"])
    except StoreDamaged as error:
        how = f"put it back from a copy of the store, or move backups/{facts['name']} out of the store"
        yield Mend((Finding(f"backups/{facts['name']}/journal", str(error), "lost", how, (facts["name"],)),))


def _without_whole(
    store: Store, name: str, other: Store | None, portal: Mapping[str, str], what: str
) -> tuple[Content | None, list[Mend]]:
    """Of a backup whose `backup.json` is lost."""
    key = _key(name, WHOLE)
    facts = facts_elsewhere(store, other, name) if other else None
    if facts is not None and other:
        _, mends = _of_finished(store, facts, True, other)
        found = Finding(key, what, "restore", f"from {other.location}", (name,))
        restored = Content(name, facts["tree"], partial(_unpacked, store, name))  # backup.json is not there yet
        return restored, [Mend((found,), partial(write_whole, store, facts)), *mends]
    facts = rebuilt_facts(store, name, portal)
    if facts is None:
        outcomes = unpacked_manifest(store, name)
        content = Content(name, "none", partial(_unpacked, store, name)) if outcomes else None
        return content, [Mend((Finding(key, what, "lost", FROM_A_COPY, (name,)),))]
    if facts["state"] == "unfinished":
        how = "made of the journal; it is unfinished, as after a run that was killed"
        content = Content(name, "none", partial(journal_outcomes, store, name))
    else:
        how = f"made of the manifest, the journal and the log; it is {facts['state']}"
        content = Content(name, facts["tree"], partial(_unpacked, store, name))
    return content, [Mend((Finding(key, what, "rebuild", how, (name,)),), partial(write_rebuilt, store, facts))]


class _Made(NamedTuple):
    """How a file is made anew."""

    action: Action
    how: str
    make: Callable[[], bytes]


def _mend(store: Store, name: str, path: str, what: str, made: _Made | None) -> Mend:
    """The step that writes a file of a backup anew; none where that cannot be."""
    if made is None:
        return Mend((Finding(_key(name, path), what, "lost", FROM_A_COPY, (name,)),))
    found = Finding(_key(name, path), what, made.action, made.how, (name,))
    return Mend((found,), partial(_write, store, name, path, made.make))


def _write(store: Store, name: str, path: str, make: Callable[[], bytes]) -> None:
    """Write a file, and `backup.json` where it names another one."""
    content = make()
    Draft(store, name).write(path, content)
    facts = json.loads(store.get(_key(name, WHOLE)))
    if facts["files"][path] != named(content):
        facts["files"][path] = named(content)
        write_whole(store, facts | (totals(_unpacked(store, name)) if path == MANIFEST else {}))


def _unpacked(store: Store, name: str) -> Sequence[Outcome]:
    return unpacked_manifest(store, name) or ()


def _packed(outcomes: Outcomes) -> bytes:
    return packed_manifest(outcomes())


def _sums(store: Store, name: str) -> bytes:
    return sha256_sums(read_outcomes(store, name))


def _table(store: Store, name: str) -> bytes:
    return all_items_csv(read_outcomes(store, name))


def _report(store: Store, name: str) -> bytes:
    return make_report(store, read_outcomes(store, name), store.summary(name)).encode()


_MADE: Mapping[str, Callable[[Store, str], bytes]] = {SUMS: _sums, ALL_ITEMS: _table, REPORT: _report}
"""What is made of the manifest."""


def _copied(other: Store | None, facts: Mapping[str, Any], path: str) -> _Made | None:
    """A file as another store has it, if it is the one that `backup.json` names."""
    content = other.find(_key(facts["name"], path)) if other else None
    if content is None or other is None or named(content) != facts["files"][path]:
        return None
    return _Made("restore", f"from {other.location}", lambda: content)


def _log_of_segments(store: Store, facts: Mapping[str, Any]) -> _Made | None:
    """The log made of the pieces that it was made of, if that is the one that `backup.json` names."""
    folder = _key(facts["name"], "log")

    def joined() -> bytes:
        return b"".join(gzip.decompress(store.get(f"{folder}/{name}")) for name in store.names(folder))

    try:
        return _Made("rebuild", "made of its segments", joined) if named(joined()) == facts["files"][LOG] else None
    except UNREADABLE:
        return None


def _broken(store: Store, facts: Mapping[str, Any], deep: bool) -> Iterator[tuple[str, str]]:
    """The files that are not what `backup.json` says, and what is wrong with each."""
    for path, expected in facts["files"].items():
        key = _key(facts["name"], path)
        size = store.size(key)
        if size is None:
            yield path, "it is missing"
        elif size != expected["size"]:
            yield path, f"it has {size:,} bytes instead of {expected['size']:,}"
        elif (deep or path == MANIFEST) and named(store.get(key)) != expected:
            yield path, "its content was changed"


def _key(name: str, path: str) -> str:
    return f"backups/{name}/{path}"
