"""The `where` clause of a layer's query: the part of SQL-92 that clients send, worked out for one row.

Comparisons, `LIKE`, `IN`, `BETWEEN`, `IS NULL`, `AND`, `OR`, `NOT`, parentheses, numbers, text, `DATE`, `TIME` and
`TIMESTAMP`, `UPPER` and `LOWER`. A comparison with a null is unknown (`None`), and an unknown row is not found.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from agolkit.sandbox.answers import ServiceError

Row = Mapping[str, Any]
Test = Callable[[Row], bool | None]
Value = Callable[[Row], Any]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | '(?P<text>(?:[^']|'')*)'
    | (?P<name>"[^"]+"|[A-Za-z_][\w.]*)
    | (?P<mark><>|!=|<=|>=|[=<>(),+-])
    )""",
    re.VERBOSE,
)
_ID_TERM = re.compile(r'(?P<name>"?\w+"?)\s*(?P<sign>>=|<=|=|<|>)\s*(?P<number>\d+)')
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class _Moment(int):
    """Epoch milliseconds of a date in a clause, with its text: some fields hold texts instead of milliseconds."""

    text: str


def invalid(detail: str) -> ServiceError:
    """The error for a query that cannot be carried out."""
    return ServiceError(400, "Cannot perform query. Invalid query parameters.", details=[detail])


def compile_where(where: str, fields: Collection[str]) -> Test | None:
    """Return the test for a row's attributes, or `None` where every row fits (`1=1`, or nothing)."""
    if where.replace(" ", "") in ("", "1=1"):
        return None
    parser = _Parser(where, {name.lower(): name for name in fields})
    test = parser.any_of()
    if parser.at < len(parser.tokens):
        raise invalid("'where' clause is invalid")
    return test


def id_range(where: str, object_id_field: str) -> tuple[float, float] | None:
    """Return the first and the last object id that a clause allows, or `None` where it is not just about that."""
    first, last = -math.inf, math.inf
    for term in re.split(r"\s+AND\s+", where.strip(), flags=re.IGNORECASE):
        match = _ID_TERM.fullmatch(term.strip())
        if match is None or match["name"].strip('"').lower() != object_id_field.lower():
            return None
        sign, number = match["sign"], int(match["number"])
        if sign in (">", ">=", "="):
            first = max(first, number + (sign == ">"))
        if sign in ("<", "<=", "="):
            last = min(last, number - (sign == "<"))
    return first, last


class _Parser:
    def __init__(self, where: str, names: Mapping[str, str]) -> None:
        self.names = names
        self.at = 0
        self.tokens: list[tuple[str, str]] = []
        end = 0
        while match := _TOKEN.match(where, end):
            kind = match.lastgroup or ""
            self.tokens.append((kind, match[kind]))
            end = match.end()
        if where[end:].strip():
            raise invalid("'where' clause is invalid")

    def word(self) -> str:
        """The mark or name that comes next, in capitals."""
        kind, text = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
        return text.upper() if kind in ("name", "mark") else ""

    def take(self, *words: str) -> bool:
        if self.word() in words:
            self.at += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.take(word):
            raise invalid("'where' clause is invalid")

    def any_of(self) -> Test:
        test = self.all_of()
        while self.take("OR"):
            test = _either(test, self.all_of())
        return test

    def all_of(self) -> Test:
        test = self.one()
        while self.take("AND"):
            test = _both(test, self.one())
        return test

    def one(self) -> Test:
        if self.take("NOT"):
            return _opposite(self.one())
        if self.word() == "(":
            self.at += 1
            test = self.any_of()
            self.expect(")")
            return test
        return self.comparison()

    def comparison(self) -> Test:
        left = self.value()
        if self.take("IS"):
            negated = self.take("NOT")
            self.expect("NULL")
            return lambda row: (left(row) is None) != negated
        negated = self.take("NOT")
        test = self.words_comparison(left)
        return _opposite(test) if negated else test

    def words_comparison(self, left: Value) -> Test:
        if self.take("LIKE"):
            pattern = self.value()
            return lambda row: _like(left(row), pattern(row))
        if self.take("IN"):
            self.expect("(")
            choices = [self.value()]
            while self.take(","):
                choices.append(self.value())
            self.expect(")")
            return lambda row: None if (value := left(row)) is None else any(value == choice(row) for choice in choices)
        if self.take("BETWEEN"):
            low = self.value()
            self.expect("AND")
            high = self.value()
            return _both(_compare(operator.ge, left, low), _compare(operator.le, left, high))
        for sign, compare in _COMPARE.items():
            if self.take(sign):
                return _compare(compare, left, self.value())
        raise invalid("'where' clause is invalid")

    def value(self) -> Value:
        if self.at >= len(self.tokens):
            raise invalid("'where' clause is invalid")
        kind, text = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            number = float(text) if re.search(r"[.eE]", text) else int(text)
            return lambda _row: number
        if kind == "text":
            return lambda _row: text.replace("''", "'")
        if kind == "mark" and text == "-":
            positive = self.value()
            return lambda row: -positive(row)
        if kind == "mark":
            raise invalid("'where' clause is invalid")
        return self.named(text.strip('"'))

    def named(self, name: str) -> Value:
        """A field, or a function or literal that starts with a word."""
        upper = name.upper()
        if upper in ("DATE", "TIMESTAMP", "TIME") and self.at < len(self.tokens) and self.tokens[self.at][0] == "text":
            self.at += 1
            text = self.tokens[self.at - 1][1].strip()
            moment = text if upper == "TIME" else _moment(text)
            return lambda _row: moment
        if upper == "NULL":
            return lambda _row: None
        if upper in ("UPPER", "LOWER") and self.take("("):
            inner = self.value()
            self.expect(")")
            change = str.upper if upper == "UPPER" else str.lower
            return lambda row: None if (value := inner(row)) is None else change(str(value))
        if name.lower() not in self.names:
            raise invalid(f"'Invalid field: {name}' parameter is invalid")
        field = self.names[name.lower()]
        return lambda row: row.get(field)


def _compare(compare: Callable[[Any, Any], bool], left: Value, right: Value) -> Test:
    def test(row: Row) -> bool | None:
        one, other = left(row), right(row)
        if one is None or other is None:
            return None
        if isinstance(one, str) and isinstance(other, _Moment):
            one, other = (_moment(one), other) if "T" in one else (one, other.text[: len(one)])
        try:
            return compare(one, other)
        except TypeError:
            raise invalid("'where' clause is invalid") from None

    return test


def _both(one: Test, other: Test) -> Test:
    def test(row: Row) -> bool | None:
        first = one(row)
        if first is False:
            return False
        second = other(row)
        return second if first or second is False else None

    return test


def _either(one: Test, other: Test) -> Test:
    def test(row: Row) -> bool | None:
        first = one(row)
        if first:
            return True
        second = other(row)
        return second if second or first is False else None

    return test


def _opposite(test: Test) -> Test:
    return lambda row: None if (value := test(row)) is None else not value


def _like(value: Any, pattern: Any) -> bool | None:
    if value is None or pattern is None:
        return None
    shape = re.escape(str(pattern)).replace("%", ".*").replace("_", ".")
    return re.fullmatch(shape, str(value), re.DOTALL) is not None


def _moment(text: str) -> _Moment:
    try:
        read = datetime.fromisoformat(re.sub(r"\s+(?=[+-])", "", text))
    except ValueError:
        raise invalid(f"'{text}' is not a date") from None
    moment = _Moment(read.replace(tzinfo=read.tzinfo or UTC).timestamp() * 1000)
    moment.text = text
    return moment
