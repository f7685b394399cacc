"""Saved layers made by hand: a backup with one feature service, its rows or its geodatabase as the portal sent them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from saved import STARTED, save_part

from agolkit.journal import Journal
from agolkit.model import Item, Outcome, Part, Result
from agolkit.store import LocalStore

SERVICE_ID = "5e" * 16
SERVICE = Item(id=SERVICE_ID, title="Survey", type="Feature Service", owner="ann")


def field(name: str, kind: str, **more: Any) -> dict[str, Any]:
    """A field of a layer; `kind` is what follows `esriFieldType`."""
    return {"name": name, "type": f"esriFieldType{kind}", "alias": name, "domain": None, **more}


def header(fields: Sequence[Mapping[str, Any]], geometry: str | None = None, wkid: int = 102100, **more: Any) -> Any:
    """What a query answers beside its features; `geometry` is what follows `esriGeometry`."""
    told: dict[str, Any] = {"objectIdFieldName": "OBJECTID", "fields": list(fields), **more}
    if geometry:
        told |= {"geometryType": f"esriGeometry{geometry}", "spatialReference": {"wkid": wkid}}
    return told


def row(geometry: Any = None, **attributes: Any) -> dict[str, Any]:
    """A feature."""
    return {"attributes": attributes} | ({} if geometry is None else {"geometry": geometry})


def rows_part(store: LocalStore, layer: int, rows: Iterable[Mapping[str, Any]]) -> Part:
    """The saved rows of a layer."""
    lines = "".join(json.dumps(each) + "\n" for each in rows)
    return save_part(store, "rows", f"rows/{layer}.jsonl.gz", gzip.compress(lines.encode(), mtime=0))


def attachment_parts(store: LocalStore, layer: int, photos: Mapping[tuple[int, int], bytes]) -> list[Part]:
    """Attachments as files, by object id and attachment id, with the list of them."""
    parts, lines = [], []
    for (object_id, number), content in photos.items():
        path = f"attachments/{layer}/{object_id}-{number}.jpg"
        parts.append(save_part(store, "attachment", path, content))
        fact = {"id": number, "name": f"{number}.jpg", "size": len(content), "contentType": "image/jpeg"}
        fact |= {"globalId": f"0a{number:030x}", "parentObjectId": object_id, "path": path}
        lines.append(json.dumps(fact) + "\n")
    listing = gzip.compress("".join(lines).encode(), mtime=0)
    return [*parts, save_part(store, "attachments", f"attachments/{layer}.jsonl.gz", listing)]


def save_service(store: LocalStore, definition: Mapping[str, Any], parts: Iterable[Part]) -> Outcome:
    """A backup that holds one service with these parts; the outcome of the service."""
    store.bind("0123456789abcdef", "Smallville")
    told = save_part(store, "definition", "service.json", json.dumps(definition).encode())
    about = save_part(store, "item", "item.json", b"{}")
    outcome = Outcome(SERVICE, Result.VERIFIED, STARTED, "feature service", (about, told, *parts))
    journal = Journal(store.begin(STARTED, "default"))
    journal.add(outcome)
    journal.close()
    return outcome


def save_rows(
    store: LocalStore, layers: Mapping[str, tuple[Any, Sequence[Mapping[str, Any]]]], parts: Iterable[Part] = ()
) -> Outcome:
    """A service whose layers (name → header and rows; ids count from 0) are saved as rows."""
    described = [
        {"id": at, "name": name, "type": "Feature Layer", **told} for at, (name, (told, _)) in enumerate(layers.items())
    ]
    entries = [{"id": at, "rows": len(rows), "header": told} for at, (told, rows) in enumerate(layers.values())]
    saved = [rows_part(store, at, rows) for at, (_, rows) in enumerate(layers.values())]
    definition = {"layers": {"layers": described, "tables": []}, "rows": entries}
    return save_service(store, definition, [*saved, *parts])
