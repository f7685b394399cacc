"""What must not be written down: finds tokens, keys and passwords in JSON, and leaves them out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_SECRET = re.compile(
    r"token|secret|passw|passphrase|pwd|credential|signature|authorization|securityq|securitya|key(?!word)"
    r"|^(?:pass|pw|sas)$",
    re.I,
)
_NO_SECRET = ("urlKey", "maxTokenExpirationMinutes")
_NAMES = r"(?:\w*token|\w*secret|\w*passw(?:or)?d|\w*passphrase|\w*pwd|\w*key|sig|\w*signature)"
_SECRET_IN_TEXT = re.compile(
    rf"(?P<parameter>(?:^|[?&;<\s]){_NAMES}\s*=\s*[\"']?)[^&#\s\"'<>]+"
    rf"|(?P<json>[\"']{_NAMES}[\"']\s*:\s*[\"'])[^\"']+"
    rf"|(?P<element><{_NAMES}>)[^<]+"
    r"|(?P<bearer>\bbearer\s+)\S+"
    r"|(?P<scheme>://)[^/\s@\"'<>]+:[^/\s@\"'<>]+(?P<at>@)",
    re.I,
)


def without_secrets(value: Any, path: str, withheld: list[str]) -> Any:
    """`value` without what may be a secret; where something was left out or cut, its path is added to `withheld`.

    A key whose name speaks of a token, key or password is left out with all it holds, unless that is empty or a yes or
    no; of a pair of `name` and `value`, the name speaks of the value. In texts, the values of such parameters are
    replaced by `…`; a text that is JSON is looked through like any other.
    """
    if isinstance(value, Mapping):
        kept = {}
        pair = {str(name).casefold(): inner for name, inner in value.items()}
        named = f"{pair.get('name', '')} {pair.get('key', '')}" if "value" in pair else ""
        for name, inner in value.items():
            spoken = named if name.casefold() == "value" else name
            if _SECRET.search(spoken) and name not in _NO_SECRET and inner and inner is not True:
                withheld.append(f"{path}.{name}")
            else:
                kept[name] = without_secrets(inner, f"{path}.{name}", withheld)
        return kept
    if isinstance(value, list):
        return [without_secrets(inner, f"{path}[{at}]", withheld) for at, inner in enumerate(value)]
    if isinstance(value, str):
        return _text_without_secrets(value, path, withheld)
    return value


def _text_without_secrets(text: str, path: str, withheld: list[str]) -> str:
    known = len(withheld)
    if text.lstrip()[:1] in ("{", "["):
        try:
            cleaned = without_secrets(json.loads(text), path, withheld)
        except (ValueError, RecursionError):
            del withheld[known:]
        else:
            return text if len(withheld) == known else json.dumps(cleaned, ensure_ascii=False)
    cut = _SECRET_IN_TEXT.sub(r"\g<parameter>\g<json>\g<element>\g<bearer>\g<scheme>…\g<at>", text)
    if cut != text:
        withheld.append(path)
    return cut
