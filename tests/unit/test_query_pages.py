"""Reading the answer of a query without changing a byte of its features."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agolkit.errors import NotAnAnswer
from agolkit.kinds.feature_service.pages import parse_page
from agolkit.portal import ServiceLayer

LAYER = ServiceLayer.from_json({"id": 0, "name": "Trees", "objectIdField": "FID", "maxRecordCount": 1000})

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(rows=st.lists(st.dictionaries(st.text(), values), max_size=6), indent=st.sampled_from([None, 1]), after=values)
def test_every_feature_keeps_its_text(rows: list[dict[str, object]], indent: int | None, after: object) -> None:
    """Whatever a feature holds, its line parses to the same values, and its numbers are spelled as they came."""
    features = [{"attributes": {**row, "FID": number}} for number, row in enumerate(rows)]
    answer = {"fields": [{"alias": '"features": ['}], "features": features, "more": after}
    page, is_cut = parse_page(json.dumps(answer, indent=indent).encode(), LAYER)
    assert [json.loads(line) for line in gzip.decompress(page.lines).decode().split("\n")[:-1]] == features
    assert list(page.object_ids) == list(range(len(rows)))
    assert not is_cut


def test_numbers_are_not_rewritten() -> None:
    """A coordinate with more digits than a float holds is saved digit by digit."""
    text = b'{"features":[{"attributes":{"FID":7},"geometry":{"x":1.000000000000000000012,"y":-1E2}}]}'
    page, _ = parse_page(text, LAYER)
    assert (
        gzip.decompress(page.lines) == b'{"attributes":{"FID":7},"geometry":{"x":1.000000000000000000012,"y":-1E2}}\n'
    )


@pytest.mark.parametrize("order", [0, 1])
def test_a_page_that_was_cut_is_noticed(order: int) -> None:
    """`exceededTransferLimit` is seen before and after the features."""
    members = ['"exceededTransferLimit": true', '"features": []']
    page, is_cut = parse_page(("{" + ",".join(members[:: 1 if order else -1]) + "}").encode(), LAYER)
    assert is_cut
    assert gzip.decompress(page.lines) == b""


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b'{"features": [',
        b'{"features": [{"attributes": {"FID": 1}}',
        b'{"features": [{"attributes": {}}]}',
        b'{"features": [{"attributes": {"FID": null}}]}',
        b'{"features": [1]}',
        b'{"features": []',
        b"\xff\xfe",
    ],
)
def test_what_is_no_answer_is_refused(text: bytes) -> None:
    """A cut-off or foreign answer is an error, never an empty page."""
    with pytest.raises(NotAnAnswer):
        parse_page(text, LAYER)
