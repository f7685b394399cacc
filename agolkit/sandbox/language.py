"""The search language of the portal: words, fields, phrases, wildcards, ranges, AND, OR, NOT, +, -, parentheses.

Source: the page "Search reference" of the REST API. Words side by side are joined with AND.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

from agolkit.sandbox.answers import ServiceError


class Fields(Protocol):
    """Where a test looks fields up; a field that does not exist is `None`."""

    def get(self, name: str, /) -> Any: ...


Test = Callable[[Fields], bool]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<mark>[()]|&&|\|\||[+!-](?=[^\s]))
    | (?:(?P<field>[A-Za-z_]+):\s*)?(?:
        (?P<range>[\[{]\s*\S+\s+TO\s+\S+?\s*[\]}])
      | "(?P<phrase>(?:[^"\\]|\\.)*)"
      | '(?P<single>[^']*)'(?=[\s)]|$)
      | (?P<open>\()
      | (?P<word>[^\s()"]+)
      )
    )""",
    re.VERBOSE,
)
_WORD = re.compile(r"\w+", re.UNICODE)

EXACT = frozenset({"id", "owner", "group", "access", "orgid", "accountid", "username", "role", "ownerfolder"})
"""Fields whose whole value has to be given."""
WHOLE = frozenset({"type", "tags", "typekeywords", "categories"})
"""Fields in which a phrase has to be a whole value."""


@lru_cache(maxsize=256)
def compile_query(query: str, words: tuple[str, ...]) -> Test:
    """Return the test for `query`; words without a field are looked for in the fields `words`."""
    parser = _Parser(query, words)
    test = parser.any_of() if parser.tokens else (lambda _fields: True)
    if parser.at < len(parser.tokens):
        raise ServiceError(400, "Unable to perform query. Invalid query.", details=["Unbalanced parentheses"])
    return test


def owner_in(query: str) -> str | None:
    """Return the owner that a query is limited to, where that is plain to see (`owner:name` joined by AND)."""
    if re.search(r"\bOR\b|\bNOT\b|\|\||[-!]\w|\(", query):
        return None
    match = re.search(r'(?:^|\s)owner:\s*(?:"([^"*?]+)"|([^\s"()*?]+))', query)
    return (match[1] or match[2]) if match else None


class _Parser:
    """Recursive descent: OR binds weaker than AND, NOT strongest."""

    def __init__(self, query: str, words: Sequence[str]) -> None:
        self.words = words
        self.at = 0
        self.tokens: list[re.Match[str]] = []
        end = 0
        while match := _TOKEN.match(query, end):
            self.tokens.append(match)
            end = match.end()
        if query[end:].strip():
            raise ServiceError(
                400, "Unable to perform query. Invalid query.", details=[f"Cannot parse at character {end + 1}"]
            )

    def mark(self) -> str:
        """The mark or operator that comes next, or nothing."""
        if self.at >= len(self.tokens):
            return ")"
        token = self.tokens[self.at]
        if token["mark"]:
            return token["mark"]
        return token["word"] if not token["field"] and token["word"] in ("AND", "OR", "NOT") else ""

    def any_of(self) -> Test:
        tests = [self.all_of()]
        while self.at < len(self.tokens) and self.mark() in ("OR", "||"):
            self.at += 1
            tests.append(self.all_of())
        return tests[0] if len(tests) == 1 else lambda fields: any(test(fields) for test in tests)

    def all_of(self) -> Test:
        tests = []
        while self.mark() not in (")", "OR", "||"):
            if self.mark() in ("AND", "&&"):
                self.at += 1
            else:
                tests.append(self.one())
        return tests[0] if len(tests) == 1 else lambda fields: all(test(fields) for test in tests)

    def one(self) -> Test:
        mark = self.mark()
        token = self.tokens[self.at]
        self.at += 1
        if mark in ("NOT", "!", "-"):
            if self.at >= len(self.tokens):
                raise ServiceError(400, "Unable to perform query. Invalid query.", details=["Nothing follows NOT"])
            test = self.one()
            return lambda fields: not test(fields)
        if mark == "+":
            return self.one()
        if mark == "(":
            return self.group(None)
        if token["open"]:
            return self.group(token["field"].lower() if token["field"] else None)
        return _leaf(token, self.words)

    def group(self, field: str | None) -> Test:
        outer = self.words
        if field:
            self.words = (field,)
        test = self.any_of()
        self.words = outer
        if self.at >= len(self.tokens):
            raise ServiceError(400, "Unable to perform query. Invalid query.", details=["Unbalanced parentheses"])
        self.at += 1
        return test


def _leaf(token: re.Match[str], words: Sequence[str]) -> Test:
    names = (token["field"].lower(),) if token["field"] else tuple(words)
    if token["range"]:
        return _range(names, token["range"])
    phrase = token["phrase"] if token["phrase"] is not None else token["single"]
    tests = [
        _matcher(name, re.sub(r"\\(.)", r"\1", phrase) if phrase is not None else token["word"], phrase is not None)
        for name in names
    ]
    if len(names) == 1:
        return _in_field(names[0], tests[0])
    pairs = tuple(zip(names, tests, strict=True))
    return lambda fields: any(test(value) for name, test in pairs for value in _values(fields.get(name)))


def _in_field(name: str, test: Callable[[Any], bool]) -> Test:
    """The test of a single field, without the detours: an organization is searched item by item."""

    def found(fields: Fields) -> bool:
        value = fields.get(name)
        if isinstance(value, str):
            return test(value)
        return any(test(one) for one in _values(value))

    return found


def _values(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else () if value is None else (value,)


def _matcher(field: str, text: str, is_phrase: bool) -> Callable[[Any], bool]:
    """Return the test of one value of a field."""
    wanted = text.lower()
    if wanted == "*":
        return lambda _value: True
    if "*" in wanted or "?" in wanted:
        pattern = re.compile(re.escape(wanted).replace(r"\*", ".*").replace(r"\?", "."))
        if field in EXACT:
            return lambda value: bool(pattern.fullmatch(str(value).lower()))
        return lambda value: (
            any(pattern.fullmatch(word) for word in _WORD.findall(str(value).lower()))
            or bool(pattern.fullmatch(str(value).lower()))
        )
    if field in EXACT or (is_phrase and field in WHOLE):
        return lambda value: str(value).lower() == wanted
    if wanted.isdecimal():
        return lambda value: (
            value == int(wanted) if isinstance(value, int) else wanted in _WORD.findall(str(value).lower())
        )
    sought = _WORD.findall(wanted)
    count = len(sought)
    if not count:
        return lambda value: wanted in str(value).lower()

    def contains(value: Any) -> bool:
        found = _WORD.findall(str(value).lower())
        return any(found[at : at + count] == sought for at in range(len(found) - count + 1))

    return contains


def _range(names: Sequence[str], text: str) -> Test:
    """Return the test of `[low TO high]`; braces leave the ends out, numbers may have leading zeros."""
    low, high = re.split(r"\s+TO\s+", text[1:-1].strip())
    with_low, with_high = text[0] == "[", text[-1] == "]"

    def inside(value: Any) -> bool:
        bottom, top = (_bound(low, value), _bound(high, value))
        above = bottom is None or (value >= bottom if with_low else value > bottom)
        return bool(above and (top is None or (value <= top if with_high else value < top)))

    return lambda fields: any(inside(value) for name in names for value in _values(fields.get(name)))


def _bound(text: str, value: Any) -> Any:
    if text == "*":
        return None
    if isinstance(value, (int, float)):
        try:
            return int(text)
        except ValueError:
            raise ServiceError(
                400, "Unable to perform query. Invalid query.", details=[f"Not a number: {text}"]
            ) from None
    return text.lower()
