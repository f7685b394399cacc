"""The files of one backup brought to another store, so that a crash at any moment leaves there what can be read.

Until `backup.json` is there, which comes last, the folder is what a killed run leaves: its journal comes first, and all
blobs that it names have come before. What replaces an earlier state is `unfinished` until then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from agolkit.copying.steps import Step
from agolkit.errors import StoreError
from agolkit.layout import OWN_NAMES, tree_path
from agolkit.manifest import read_outcomes
from agolkit.store import Draft, Spool, Store
from agolkit.store.removal import tree_folders
from agolkit.store.seal import sealed
from agolkit.store.spool import copy_hashed

WHOLE = "backup.json"
FIRST = "journal/000000.jsonl"
_FOLDERS = ("journal", "journal/rows", "log")
_UNPINNED = "unpinned.json"
_ADDED = (_UNPINNED, "backup.ipynb")
"""What may be put beside the files of a backup when it is finished."""
_BEGINNING = ("format", "name", "started", "scope", "label", "agolkit", "full", "since_full", "options", "forgotten")

Each = Callable[[Callable[[str], str], Iterable[str]], Iterator[str]]
"""Calls a function with each of some texts, perhaps in several threads; what it returns."""


def copy_files(
    source: Store,
    target: Store,
    step: Step,
    *,
    tree: Literal["links", "copy", "none"],
    scratch: Path,
    each: Each,
    check: Callable[[], None],
) -> list[str]:
    """Bring the files of a backup and show its tree; what of them is not what `backup.json` names, in words.

    `check` raises where the stores are not held any more: asked last before the backup counts as complete.

    Raises
    ------
    StoreError
        The backup was changed or removed in the source meanwhile. Copying again helps.
    """
    name, facts = step.name, step.facts
    target.flush()
    paths = list(_own_paths(source, name))
    if step.action == "replace":
        begun = {key: facts[key] for key in _BEGINNING if key in facts}
        target.put(f"backups/{name}/{WHOLE}", sealed({**begun, "state": "unfinished"}))
        for path in set(_own_paths(target, name)).difference(paths, [_UNPINNED]):
            target.remove(f"backups/{name}/{path}")
        for folder in tree_folders(target, name):
            target.clear(folder)

    def bring(path: str) -> str:
        return bring_file(source, target, name, path, facts, scratch)

    if FIRST in paths:
        paths.remove(FIRST)
        bring(FIRST)
        target.flush()
    damages = list(filter(None, each(bring, paths)))
    _show_tree(source, target, name, tree)
    target.flush()
    if source.find(f"backups/{name}/{WHOLE}") != step.content:
        raise StoreError(f"The backup {name} was changed in {source.location} while it was copied. Copy again.")
    check()
    facts.pop("own_sha256")
    target.put(f"backups/{name}/{WHOLE}", sealed({**facts, "tree": tree}))
    return damages


def copy_added(source: Store, target: Store, step: Step, scratch: Path) -> None:
    """Bring what was put beside the files of a backup that the target has already."""
    names, held = source.names(f"backups/{step.name}"), target.names(f"backups/{step.name}")
    for path in _ADDED:
        if path in names and path not in held:
            bring_file(source, target, step.name, path, step.facts, scratch)
            target.flush()


def complete_tree(source: Store, target: Store, name: str) -> None:
    """Show in the tree of the target what was not there when the backup was copied; what is shown stays."""
    draft = Draft(target, name, tree=target.summary(name)["tree"])
    for outcome in read_outcomes(source, name) if draft.tree != "none" else ():
        for part in outcome.parts:
            path = tree_path(outcome.item, part)
            if target.size(f"backups/{name}/{path}") is None and target.at_hand(part.blob):
                draft.link(path, part.blob)


def bring_file(source: Store, target: Store, name: str, path: str, facts: Mapping[str, Any], scratch: Path) -> str:
    """Copy one file of a backup; where it is not the one that `backup.json` names, what is wrong, in words."""
    key = f"backups/{name}/{path}"
    try:
        with Spool(scratch) as spool:
            with source.open(key) as stream:
                digest, _ = copy_hashed(stream, spool)
            target.keep(key, spool)
    except FileNotFoundError as error:
        raise StoreError(
            f"{key} has vanished from {source.location} while it was copied: somebody removes backups. Copy again."
        ) from error
    except OSError as error:
        return f"{key}: it cannot be read ({error.strerror}); the disk may be failing."
    named = facts["files"].get(path)
    return f"{key}: its content was changed." if named and named["sha256"] != digest else ""


def _own_paths(store: Store, name: str) -> Iterator[str]:
    """The files of a backup beside its tree and `backup.json`, the journal first."""
    for folder in _FOLDERS:
        for each in store.names(f"backups/{name}/{folder}"):
            if each.endswith((".jsonl", ".jsonl.gz")):
                yield f"{folder}/{each}"
    for each in store.names(f"backups/{name}"):
        if each.casefold() in OWN_NAMES and each not in (*_FOLDERS, WHOLE):
            yield each


def _show_tree(source: Store, target: Store, name: str, tree: Literal["links", "copy", "none"]) -> None:
    """Show what was saved as a run does; what is damaged in the source is not shown."""
    draft = Draft(target, name, tree=tree)
    for outcome in read_outcomes(source, name) if tree != "none" else ():
        for part in outcome.parts:
            if target.at_hand(part.blob):
                draft.link(tree_path(outcome.item, part), part.blob)
