"""The hash that `backup.json` has of itself, because no other file could hold it: it is written last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_DIGITS = 64
_AFTER = b'"\n}\n'
"""What follows the hash, which is the last value."""


def sealed(facts: Mapping[str, Any]) -> bytes:
    """The facts as a JSON file with `own_sha256` at its end: the hash of the same file while that is empty."""
    unsealed = json.dumps({**facts, "own_sha256": ""}, indent=1).encode() + b"\n"
    return unsealed.removesuffix(_AFTER) + _digest(unsealed) + _AFTER


def is_sealed(content: bytes) -> bool:
    """Whether a file is, to the byte, what `sealed` made."""
    before, digest = content[: -_DIGITS - len(_AFTER)], content[-_DIGITS - len(_AFTER) : -len(_AFTER)]
    return content.endswith(_AFTER) and _digest(before + _AFTER) == digest


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
