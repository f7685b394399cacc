"""What must not be written down: finds tokens, keys and passwords in JSON, and leaves them out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_SECRET = re.compile(r"token|secret|passw|passphrase|pwd|credential|signature|securityq|securitya|key(?!word)", re.I)
_NO_SECRET = ("urlKey", "maxTokenExpirationMinutes")
_NAMES = r"(?:\w*token|\w*secret|\w*password|\w*key|sig|signature)"
_SECRET_IN_TEXT = re.compile(
    rf"(?P<parameter>(?:^|[?&;]){_NAMES}=)[^&#\s\"'<>]+"
    rf"|(?P<json>[\"']{_NAMES}[\"']\s*:\s*[\"'])[^\"']+"
    r"|(?P<scheme>://)[^/\s@\"'<>]+:[^/\s@\"'<>]+(?P<at>@)",
    re.I,
)


def without_secrets(value: Any, path: str, withheld: list[str]) -> Any:
    """`value` without what may be a secret; where something was left out or cut, its path is added to `withheld`.

    A key whose name speaks of a token, key or password is left out with all it holds, unless that is empty or a yes or
    no. In texts, the values of such parameters of an address, or of such keys of JSON, are replaced by `…`.
    """
    if isinstance(value, Mapping):
        kept = {}
        for name, inner in value.items():
            if _SECRET.search(name) and name not in _NO_SECRET and inner and inner is not True:
                withheld.append(f"{path}.{name}")
            else:
                kept[name] = without_secrets(inner, f"{path}.{name}", withheld)
        return kept
    if isinstance(value, list):
        return [without_secrets(inner, f"{path}[{at}]", withheld) for at, inner in enumerate(value)]
    if isinstance(value, str):
        cut = _SECRET_IN_TEXT.sub(r"\g<parameter>\g<json>\g<scheme>…\g<at>", value)
        if cut != value:
            withheld.append(path)
        return cut
    return value
