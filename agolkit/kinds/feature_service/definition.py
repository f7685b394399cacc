"""The definition of a service as `service.json` holds it, and the names of the files that it tells of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agolkit.model import Part
from agolkit.packed import unpacked_lines
from agolkit.store import Store
from agolkit.store.storage import Blobs

SERVICE = "service.json"
GEODATABASE = "layers.gdb.zip"


def rows_path(layer: int) -> str:
    """Where the rows of a layer stand, one Esri JSON feature a line."""
    return f"rows/{layer}.jsonl.gz"


def attachments_path(layer: int) -> str:
    """Where the list of a layer's attachments stands; its attachments are in the folder of the same name."""
    return f"attachments/{layer}.jsonl.gz"


def layers_in(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The JSON of each layer, group of layers and table that an answer of a service describes."""
    return [*(answer.get("layers") or ()), *(answer.get("tables") or ())]


def layers_by_id(definition: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """The JSON of each layer, group of layers and table, by id."""
    return {int(raw["id"]): raw for raw in layers_in(definition.get("layers") or {})}


def saved_rows(definition: Mapping[str, Any]) -> dict[int, int]:
    """Layer id → number of its rows in the backup; without the layers whose rows are not in it."""
    entries = [*(definition.get("geodatabase") or ()), *(definition.get("rows") or ())]
    return {int(entry["id"]): int(entry["rows"]) for entry in entries}


def load_definition(store: Blobs, parts: Iterable[Part]) -> dict[str, Any]:
    """What `service.json` among the parts of an item holds; empty where there is none.

    Raises
    ------
    StoreDamaged, ValueError
        It is missing, or is not what was saved.
    """
    part = next((part for part in parts if part.path == SERVICE), None)
    if part is None:
        return {}
    with store.copied(part.blob.sha256) as spool:
        try:
            definition: dict[str, Any] = json.loads(spool.read())
        except RecursionError as error:
            raise ValueError(str(error)) from None
    return definition


def load_attachment_list(store: Store, part: Part) -> Iterator[dict[str, Any]]:
    """What the service said of each attachment of a layer, with the `path` of its file."""
    with store.copied(part.blob.sha256) as spool, spool.open() as packed:
        yield from map(json.loads, unpacked_lines(packed))
