"""Layers of any size: a request costs what its page costs, and nothing is held in memory."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import pytest
from caller import Caller

from agolkit.sandbox import Sandbox, city
from agolkit.sandbox.city.large import large_layer, photo
from agolkit.sandbox.organization import Layer
from agolkit.sandbox.sorted_rows import SortedRows

ROWS = 1_000_000
Json = dict[str, object]


class Counting:
    """Makes features as another function does, and counts them."""

    def __init__(self, make: Callable[[int], Json]) -> None:
        self.make = make
        self.made = 0

    def __call__(self, object_id: int) -> Json:
        self.made += 1
        return self.make(object_id)


@pytest.fixture(scope="module")
def million() -> tuple[Layer, Counting]:
    layer = large_layer(0, "Sensors", ROWS)
    assert isinstance(layer.features, SortedRows)
    counting = Counting(layer.features.make)
    layer.features = SortedRows(layer.features.object_ids, counting)
    return layer, counting


@pytest.fixture(scope="module")
def caller(million: tuple[Layer, Counting]) -> Iterator[Caller]:
    org = city.generated(items=1, owners=1, folders=0, groups=0, services=1)
    service = next(iter(org.services.values()))
    photos = large_layer(1, "Photos", 10_000, attachments_per_row=2, photo_bytes=50_000)
    service.layers = [million[0], photos]
    with Sandbox(org) as sandbox, Caller(sandbox, "city_admin") as signed_in:
        signed_in.rest = (
            f"{sandbox.url.removesuffix('/portal')}/{org.id}/arcgis/rest/services/{service.name}/FeatureServer/"
        )
        yield signed_in


@pytest.mark.parametrize(
    ("asked", "made", "answered"),
    [
        ({"where": "1=1", "returnCountOnly": "true"}, 0, ROWS),
        ({"where": "1=1", "returnIdsOnly": "true"}, 0, ROWS),
        ({"where": "OBJECTID>1000000", "returnCountOnly": "true"}, 0, ROWS // 2),
        ({"where": "OBJECTID>=1999001 AND OBJECTID<=1999100", "orderByFields": "OBJECTID"}, 50, 50),
        ({"where": "objectid > 1999000 and objectid < 1999100", "orderByFields": "OBJECTID ASC"}, 50, 50),
        ({"where": "1=1", "resultOffset": "900000", "orderByFields": "OBJECTID"}, 2000, 2000),
        ({"where": "OBJECTID=77"}, 1, 1),
        ({"where": "OBJECTID=78"}, 0, 0),
        ({"where": "OBJECTID>9 AND OBJECTID<5"}, 0, 0),
        ({"objectIds": "1,1999999,2,1"}, 2, 2),
    ],
)
def test_only_the_rows_of_the_page_are_made(
    caller: Caller, million: tuple[Layer, Counting], asked: dict[str, str], made: int, answered: int
) -> None:
    """Counts and ids of a million rows make none of them; a page makes its own rows only."""
    million[1].made = 0
    answer = caller.get(caller.rest + "0/query", outFields="*", **asked)
    got = answer.get("count", len(answer.get("objectIds", answer.get("features", ()))))
    assert (million[1].made, got) == (made, answered)


def test_pages_hold_the_rows_of_their_ids(caller: Caller, million: tuple[Layer, Counting]) -> None:
    """What a page answers is what the layer holds, rising by object id; the description makes no row."""
    asked = {"where": "OBJECTID>=500000 AND OBJECTID<=500019", "outFields": "*", "orderByFields": "OBJECTID"}
    features = caller.get(caller.rest + "0/query", **asked)["features"]
    assert features == [million[0].features[at] for at in range(250_000, 250_010)]
    million[1].made = 0
    assert caller.get(caller.rest + "0")["extent"] == million[0].extent
    assert caller.get(caller.rest.rstrip("/"))["layers"][0]["name"] == "Sensors"
    assert million[1].made == 0


def test_other_clauses_find_the_same_as_in_a_small_layer(caller: Caller) -> None:
    """A clause that is not about object ids alone looks at every row."""
    layer = large_layer(1, "Photos", 10_000)
    rows = [row["attributes"] for row in layer.features]
    expected = [row["OBJECTID"] for row in rows if row["Kind"] == "VALVE" and row["OBJECTID"] > 5000]
    answer = caller.get(caller.rest + "1/query", where="Kind='VALVE' AND OBJECTID>5000", returnIdsOnly="true")
    assert answer["objectIds"] == expected
    assert 500 < len(expected) < 2500
    last = caller.get(caller.rest + "1/query", where="1=1", orderByFields="OBJECTID DESC", resultRecordCount=2)
    assert [row["attributes"]["OBJECTID"] for row in last["features"]] == [19_999, 19_997]


def test_attachments_of_a_large_layer(caller: Caller) -> None:
    """Photographs are listed by row and by page, each once, and each is made when its bytes are asked for."""
    url = caller.rest + "1"
    groups = caller.get(f"{url}/queryAttachments", objectIds="1,2,19999")["attachmentGroups"]
    assert [(group["parentObjectId"], len(group["attachmentInfos"])) for group in groups] == [(1, 2), (19_999, 2)]
    listed: list[int] = []
    more = True
    while more:
        asked = {"definitionExpression": "1=1", "resultOffset": len(listed), "resultRecordCount": 2000}
        page = caller.get(f"{url}/queryAttachments", **asked)
        listed += [info["id"] for group in page["attachmentGroups"] for info in group["attachmentInfos"]]
        more = page.get("exceededTransferLimit", False)
    assert listed == list(range(1, 20_001))
    content = caller.raw(f"{url}/19999/attachments/20000").content
    assert len(content) == groups[1]["attachmentInfos"][1]["size"] == 50_000
    assert content[:4] == b"\xff\xd8\xff\xe0"
    assert content != caller.raw(f"{url}/19999/attachments/19999").content


def test_photo_is_the_same_from_every_offset() -> None:
    """A photograph has its size, cannot be compressed, and can be read from anywhere."""
    one = photo(7, 2_500_000)
    content = b"".join(one.chunks())
    assert len(content) == one.size == 2_500_000
    assert len(zlib.compress(content)) > 2_490_000
    for start in (0, 1, 1 << 20, 2_400_001, 2_500_000):
        assert b"".join(one.chunks(start)) == content[start:]
    assert max(len(piece) for piece in one.chunks()) <= 1 << 20
    assert b"".join(photo(8, 2_500_000).chunks()) != content
    assert b"".join(photo(7, 5).chunks()) == content[:5]


def test_a_large_layer_takes_no_memory() -> None:
    """A million rows with all their pages read in turn never take more than some of them would."""
    tracemalloc.start()
    try:
        layer = large_layer(0, "Sensors", ROWS)
        for at in range(0, ROWS, 100_000):
            assert len(list(layer.features[at : at + 2000])) == 2000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000
