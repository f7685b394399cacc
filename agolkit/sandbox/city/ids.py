"""Ids and stamps made of words, so that the same city comes out every time and on every machine."""

from __future__ import annotations

import hashlib
import uuid

FIRST_STAMP = 1_672_531_200_000
"""2023-01-01, the day of the city's oldest item, in epoch milliseconds."""
LAST_STAMP = 1_782_864_000_000
"""2026-07-01: nothing in the city is younger."""
HOUR = 3_600_000
DAY = 24 * HOUR


def hex_id(*words: object) -> str:
    """The 32 hexadecimal digits that a portal would use as the id of an item, folder, group or user."""
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()[:32]


def item_id(key: str) -> str:
    """The id of the Springfield item with this key; known before the item is made, so items can refer to each other."""
    return hex_id("springfield", "item", key)


def global_id(*words: object) -> str:
    """A GlobalID as hosted layers write it: a GUID in braces, upper case."""
    return f"{{{uuid.UUID(hex_id(*words))}}}".upper()


def number(*words: object, below: int) -> int:
    """A whole number from 0 up to `below`, always the same for the same words."""
    return int(hex_id("number", *words)[:12], 16) % below


def stamp(*words: object, after: int = FIRST_STAMP, before: int = LAST_STAMP) -> int:
    """Epoch milliseconds from `after` up to `before`, always the same for the same words."""
    return after + number("stamp", *words, below=max(1, before - after))
