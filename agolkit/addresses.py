"""Addresses as they may be said and listed: without what opens them."""

from __future__ import annotations

import re

_USER = re.compile(r"(//)[^/?#\s]*@")
_PARAMETER = re.compile(
    r"([?&;#][^=&;#\s]*(?:token|secret|passw|pwd|credential|signature|key|\bsig|\bcode)[^=&;#\s]*=)[^&;#\s]+",
    re.IGNORECASE,
)


def without_secrets(url: str) -> str:
    """The address with `…` for the values of parameters that may be secrets, and without user name and password."""
    return _PARAMETER.sub(r"\1…", _USER.sub(r"\1", url))


def without_query(url: str) -> str:
    """The address up to its query, which may hold the right to read, without user name and password."""
    return _USER.sub(r"\1", re.split("[?#]", url, maxsplit=1)[0])
