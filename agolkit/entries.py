"""One item of a backup as one line of the journal or the manifest (docs/schemas/manifest-line.json).

The portal's own JSON of the item is not in the line; it is the item's part `item.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agolkit.layout import allowed, item_folder
from agolkit.model import Blob, Item, Outcome, Part, Reach, Result, to_stamp


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """One line of the manifest or the journal."""
    item = outcome.item
    return {
        "item": {
            "id": item.id,
            "title": item.title,
            "type": item.type,
            "owner": item.owner,
            "folder": item.folder,
            "access": item.access,
            "tags": list(item.tags),
            "type_keywords": list(item.type_keywords),
            "created": item.created and to_stamp(item.created),
            "modified": item.modified and to_stamp(item.modified),
            "size": item.size,
            "url": item.url,
        },
        "result": str(outcome.result),
        "observed": to_stamp(outcome.observed),
        "kind": outcome.kind,
        "path": item_folder(item) if outcome.parts else "",
        "parts": [
            {
                "name": part.name,
                "path": part.path,
                "sha256": part.blob.sha256,
                "size": part.blob.size,
                "reach": str(part.reach),
                "proof": part.proof,
                "exact_name": part.exact_name,
            }
            for part in outcome.parts
        ],
        "groups": list(outcome.groups),
        "how": outcome.how,
        "left_out": list(outcome.left_out),
        "attempts": outcome.attempts,
        "seconds": outcome.seconds,
        "message": outcome.message,
        "fingerprint": dict(outcome.fingerprint),
    }


def outcome_from_json(line: Mapping[str, Any]) -> Outcome:
    """The outcome that a line tells of. Fields that are not known are ignored; a missing one is a `KeyError`, a path
    that leads elsewhere a `ValueError`."""
    item = line["item"]
    return Outcome(
        item=Item(
            id=item["id"],
            title=item["title"],
            type=item["type"],
            owner=item["owner"],
            folder=item["folder"],
            access=item["access"],
            tags=tuple(item["tags"]),
            type_keywords=tuple(item["type_keywords"]),
            created=item["created"] and datetime.fromisoformat(item["created"]),
            modified=item["modified"] and datetime.fromisoformat(item["modified"]),
            size=item["size"],
            url=item["url"],
        ),
        result=Result(line["result"]),
        observed=datetime.fromisoformat(line["observed"]),
        kind=line["kind"],
        parts=tuple(map(_part_from_json, line["parts"])),
        groups=tuple(line["groups"]),
        how=line["how"],
        left_out=tuple(line["left_out"]),
        attempts=line["attempts"],
        seconds=line["seconds"],
        message=line["message"],
        fingerprint=line.get("fingerprint") or {},
    )


def _part_from_json(told: Mapping[str, Any]) -> Part:
    path = told["path"]
    # `fetch` would write where nobody asked it to.
    if not allowed(path, windows=False) or "\\" in path or ":" in path:
        raise ValueError(f"{path!r} is no path inside an item.")
    return Part(
        name=told["name"],
        path=path,
        blob=Blob(told["sha256"], told["size"]),
        reach=Reach(told["reach"]),
        proof=told["proof"],
        exact_name=told["exact_name"],
    )


def entry_line(facts: Mapping[str, Any]) -> bytes:
    """Facts as one line of JSON."""
    return json.dumps(facts, separators=(",", ":")).encode() + b"\n"
