"""What is inside a saved part: that it opens, as it did when it was saved."""

from __future__ import annotations

import json
from typing import IO

from agolkit.kinds.archive import DAMAGED, ZIP, open_archive
from agolkit.kinds.metadata import root_name
from agolkit.kinds.parts import HEAD, LARGEST_JSON
from agolkit.kinds.picture import picture_ending
from agolkit.layout import extension
from agolkit.model import Item, Part, Reach

OPAQUE = frozenset(["resource", "attachment", "rows", "attachments"])
"""Parts that nothing is said of here: the first two may be anything, the others are looked at with their service."""


def trouble_inside(item: Item, part: Part, stream: IO[bytes]) -> str:
    """What is wrong inside a part of an item; empty where nothing is, or nothing can be said."""
    try:
        match part.name:
            case "item":
                description = _parsed(stream)
                is_its_own = isinstance(description, dict) and description.get("id") == item.id
                return "" if is_its_own else "it does not describe this item"
            case "thumbnail" | "picture":
                return "" if picture_ending(stream.read(HEAD)) else "it is not a picture"
            case "metadata":
                root_name(stream)
            case _ if part.reach is not Reach.LENGTH:
                return _trouble_by_type(part.path, stream)
    except ValueError as error:
        return f"it is not well-formed: {error}"
    except RecursionError:
        return ""  # JSON that is nested deeper than Python goes
    return ""


def _trouble_by_type(path: str, stream: IO[bytes]) -> str:
    """What is wrong inside an archive or a JSON file."""
    is_zip = stream.read(len(ZIP)) == ZIP or extension(path) == ".zip"
    stream.seek(0)
    if is_zip:
        return _trouble_in_zip(stream)
    if extension(path) == ".json":
        _parsed(stream)
    return ""


def _trouble_in_zip(stream: IO[bytes]) -> str:
    try:
        with open_archive(stream) as archive:
            # What is encrypted cannot be tested, and was not when it was saved.
            open_to_all = not any(member.flag_bits & 1 for member in archive.infolist())
            bad = archive.testzip() if open_to_all else None
    except DAMAGED as error:
        return f"it is not well-formed: {error}"
    except NotImplementedError:
        return ""  # larger, or made in another way, than what is unpacked here
    return f"{bad} inside it is damaged" if bad else ""


def _parsed(stream: IO[bytes]) -> object:
    """The JSON in a stream; `None` where it is too large to be looked at."""
    content = stream.read(LARGEST_JSON + 1)
    if len(content) > LARGEST_JSON:
        return None
    # As text, because Python refuses to make numbers of more than 4,300 digits, which are well-formed JSON.
    return json.loads(content, parse_int=str)
