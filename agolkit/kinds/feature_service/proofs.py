"""What was proven of a saved service, proven again from the store alone: rows, geodatabase and attachments."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyogrio

from agolkit.errors import CheckFailed
from agolkit.kinds.feature_service.definition import GEODATABASE, load_definition, rows_path, saved_rows
from agolkit.kinds.feature_service.geodatabase import geodatabase_in, layer_counts
from agolkit.kinds.feature_service.views import is_view
from agolkit.model import Outcome, Part, Result
from agolkit.packed import unpacked_lines
from agolkit.store.storage import Blobs

Trouble = tuple[Part, str]


def service_troubles(store: Blobs, outcome: Outcome, whole: Collection[Part]) -> Iterator[Trouble]:
    """What is wrong with the rows, the geodatabase and the attachments of an item, each with the part it is about.

    Looks only inside the parts that are `whole`: what is wrong with the bytes of the others is known.
    """
    parts = {part.path: part for part in outcome.parts}
    definition = next((part for part in whole if part.name == "definition"), None)
    try:
        facts = load_definition(store, whole)
    except ValueError as error:
        if definition:
            yield definition, f"it cannot be read: {error}"
        return
    if definition:
        yield from _unlisted(definition, facts, parts)
    for part in whole:
        match part.name:
            case "rows":
                yield from _in_rows(store, part, saved_rows(facts))
            case "geodatabase" if facts.get("geodatabase"):
                view = is_view(outcome.item, facts)
                yield from _in_geodatabase(store, part, facts["geodatabase"], may_hold_more=view)
            case "attachments":
                yield from _in_attachments(store, part, parts, is_verified=outcome.result is Result.VERIFIED)


def _unlisted(definition: Part, facts: Mapping[str, Any], parts: Mapping[str, Part]) -> Iterator[Trouble]:
    """Parts that the definition names and the manifest does not."""
    named = [rows_path(entry["id"]) for entry in facts.get("rows") or ()]
    if facts.get("geodatabase"):
        named.append(GEODATABASE)
    for path in named:
        if path not in parts:
            yield definition, f"it names {path}, which the manifest does not"


def _in_rows(store: Blobs, part: Part, saved: Mapping[int, int]) -> Iterator[Trouble]:
    number = 0
    try:
        wanted = saved.get(int(Path(part.path).name.split(".")[0]))
        with _lines(store, part) as lines:
            for line in lines:
                # As text, because Python refuses to make numbers of more than 4,300 digits, which may stand here.
                if not isinstance(json.loads(line, parse_int=str).get("attributes"), dict):
                    raise ValueError("the next is no row")
                number += 1
                if wanted is not None and number > wanted:  # by one, or by as many as fit into a bomb
                    yield part, f"it has more than {wanted:,} rows"
                    return
    except (ValueError, AttributeError, RecursionError) as error:
        yield part, f"it is not well-formed after {number:,} lines: {error}"
        return
    if wanted is not None and number != wanted:
        yield part, f"it has {number:,} rows instead of {wanted:,}"


def _in_geodatabase(
    store: Blobs, part: Part, entries: Collection[Mapping[str, Any]], *, may_hold_more: bool
) -> Iterator[Trouble]:
    """A view's geodatabase may hold more rows than the view showed, as when it was proven."""
    try:
        with store.copied(part.blob.sha256) as spool:
            held = layer_counts(geodatabase_in(spool.path()))
    except (CheckFailed, ValueError, pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        yield part, f"it cannot be opened: {error}"
        return
    for entry in entries:
        name, wanted = entry["layer"], entry["rows"]
        if name not in held:
            yield part, f"it has no layer {name!r}"
            continue
        rows, attachments = held[name]
        if rows < wanted or (rows > wanted and not may_hold_more):
            yield part, f"its layer {name!r} has {rows:,} rows instead of {wanted:,}"
        if attachments < entry["attachments"]:
            yield part, f"its layer {name!r} has {attachments:,} attachments instead of {entry['attachments']:,}"


def _in_attachments(store: Blobs, listing: Part, parts: Mapping[str, Part], *, is_verified: bool) -> Iterator[Trouble]:
    """The list of a layer's attachments, and its attachments: each is listed, each listed one is saved, in its size."""
    listed: dict[str, int] = {}
    try:
        with _lines(store, listing) as lines:
            for line in lines:
                entry = json.loads(line)
                listed[entry["path"]] = entry["size"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        yield listing, f"it is not well-formed after {len(listed):,} lines: {error!r}"
        return
    folder = listing.path.split(".")[0] + "/"
    for path in sorted(listed.keys() | {path for path in parts if path.startswith(folder)}):
        part = parts.get(path)
        if part is None:
            if is_verified:  # what could not be saved is listed too, and makes an item partial
                yield listing, f"it names {path}, which the manifest does not"
        elif path not in listed:
            yield part, f"it is not named in {listing.path}"
        elif part.blob.size != listed[path]:
            yield part, f"it has {part.blob.size:,} bytes, and {listed[path]:,} in {listing.path}"


@contextmanager
def _lines(store: Blobs, part: Part) -> Iterator[Iterator[bytes]]:
    """The lines of a part. Lists of attachments were not compressed in the first backups."""
    with store.open_blob(part.blob.sha256) as stream:
        if part.path.endswith(".gz"):
            yield unpacked_lines(stream)
        else:
            yield iter(stream)
