"""A small town that has every kind of part, and what may happen to a file: what damage is tried on."""

from __future__ import annotations

from agolkit.sandbox import city
from agolkit.sandbox.organization import Organization

TITLES = (
    *("Urban Forest", "Parks", "Snow Plow Routes", "Damage assessment", "Historic map 1898", "Weather radar"),
    *("With screenshots, banner and a large thumbnail", "Aerial photo of 1958", "Bridge in 3D"),
)
"""Of a few items that have every kind of part between them."""
PARTS = (
    *("attachment", "attachments", "data", "definition", "geodatabase", "info", "item", "metadata", "overrides"),
    *("picture", "relations", "resource", "rows", "sharing", "source", "thumbnail", "tiles"),
)
OWN_FILES = (
    *("AllItems.csv", "SHA256SUMS", "backup.json", "log.jsonl", "manifest.jsonl.gz", "organization.json"),
    "report.html",
)


def small_town() -> Organization:
    """The items of these titles, and those that they are related to, without the rest of the city."""
    org = city.springfield()
    chosen = [item for item in org.items.values() if item.title in TITLES]
    kept = {item.id for item in chosen} | {other for item in chosen for _, other in item.relations}
    for item_id in org.items.keys() - kept:
        del org.items[item_id]
    return org


HARMS = (
    *("missing", "emptied", "truncated", "made longer", "replaced by another file"),
    *("one flipped byte", "first byte flipped", "replaced by as many bytes"),
)
SEEN_BY_SIZE = HARMS[:5]


def harmed(harm: str, content: bytes, other: bytes) -> bytes | None:
    """What becomes of a file's content; `None`: the file is gone."""
    match harm:
        case "missing":
            return None
        case "emptied":
            return b""
        case "truncated":
            return content[:-1]
        case "made longer":
            return content + b"\n"
        case "replaced by another file":
            return other
        case "one flipped byte":
            return _flipped(content, len(content) // 2)
        case "first byte flipped":
            return _flipped(content, 0)
    return bytes(len(content))


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
