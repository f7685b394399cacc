"""Search in the practice portal: the language, the pages, the window."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from caller import Caller
from practice_town import CREW, FILE, MAP, TREES, town

from agolkit.sandbox import Sandbox
from agolkit.sandbox.organization import Item, Organization

Open = Callable[..., Sandbox]


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    with Sandbox(town()) as sandbox, Caller(sandbox, "chief") as signed_in:
        yield signed_in


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("", ["Water mains", "The river", "Parcels", "Bob's own", "Trees", "Oaks"]),
        ("water", ["Water mains", "The river"]),
        ("title:water", ["Water mains"]),
        ("wat*", ["Water mains", "The river"]),
        ('"water mains"', ["Water mains"]),
        ('"mains water"', []),
        ("owner:bob", ["Parcels", "Bob's own"]),
        ("owner:bob AND type:Shapefile", ["Parcels"]),
        ('owner:bob type:"Web Map"', ["Bob's own"]),
        ("-owner:ann", ["Parcels", "Bob's own"]),
        ("NOT owner:bob", ["Water mains", "The river", "Trees", "Oaks"]),
        ("owner:bob OR title:oaks", ["Parcels", "Bob's own", "Oaks"]),
        ('(owner:bob OR owner:ann) AND (type:"Web Map")', ["Water mains", "Bob's own"]),
        ("type:(Shapefile OR StoryMap)", ["The river", "Parcels"]),
        ('type:"web map"', ["Water mains", "Bob's own"]),
        ("type:Feature", ["Trees", "Oaks"]),
        ('tags:"water"', ["Water mains", "The river"]),
        (f"id:{MAP} OR id:{FILE}", ["Water mains", "Parcels"]),
        (f"group:{CREW}", ["The river"]),
        ("access:public", ["Parcels"]),
        ("created:[1700000001000 TO 1700000002000]", ["The river", "Parcels"]),
        ("created:{1700000001000 TO 0000001700000003000}", ["Parcels"]),
        ("modified:[1700000004000 TO *]", ["Trees", "Oaks"]),
        ("accountid:TownTownTownTown title:trees", ["Trees"]),
        ("accountid:another", []),
        ("title:Bob's", ["Bob's own"]),
        ('typekeywords:"Hosted Service"', ["Trees"]),
        ("colour:red", []),
    ],
)
def test_query_finds(caller: Caller, query: str, titles: list[str]) -> None:
    """The language of the search reference finds what it should, in the order asked for."""
    answer = caller.get("search", q=query, num=100, sortField="created")
    assert [item["title"] for item in answer["results"]] == titles
    assert answer["total"] == len(titles)


@pytest.mark.parametrize("query", ["(owner:bob", "owner:bob)", '"open', "NOT"])
def test_query_that_cannot_be_read_is_an_error(caller: Caller, query: str) -> None:
    """A broken query is answered with an error, not with nothing."""
    assert caller.get("search", q=query)["error"]["code"] == 400


def test_search_shows_each_user_what_that_user_may_see(open_sandbox: Open) -> None:
    """Private items are found by their owner and by administrators; group items by the group; public ones by all."""
    sandbox = open_sandbox(town())
    found = {}
    for name in ("chief", "ann", "bob", "eve", None):
        with Caller(sandbox, name) as caller:
            found[name] = {item["title"] for item in caller.get("search", q="", num=100)["results"]}
    assert found["chief"] == {"Water mains", "The river", "Parcels", "Bob's own", "Trees", "Oaks"}
    assert found["ann"] == found["chief"] - {"Bob's own"}
    assert found["bob"] == found["chief"]
    assert found["eve"] == {"Water mains", "Parcels", "Trees", "Oaks"}
    assert found[None] == {"Parcels"}


def crowd(count: int) -> Organization:
    org = town()
    org.items.clear()
    for number in range(count):
        org.add(Item(f"{number:032x}", "ann", "Web Map", f"Map {number}", created=number // 50))
    return org


def test_pages_default_to_ten_and_hold_at_most_a_hundred(open_sandbox: Open) -> None:
    """Without `num` a page has ten results; with any `num` at most a hundred; the last page says so."""
    with Caller(open_sandbox(crowd(120)), "chief") as caller:
        assert len(caller.get("search", q="")["results"]) == 10
        page = caller.get("search", q="", num=5000)
        assert (len(page["results"]), page["num"], page["nextStart"], page["total"]) == (100, 100, 101, 120)
        page = caller.get("search", q="", num=100, start=101)
        assert (len(page["results"]), page["nextStart"]) == (20, -1)
        assert caller.get("search", q="", num=100, start=-1)["results"] == []


def test_order_is_not_stable_among_equals(open_sandbox: Open) -> None:
    """Naive paging meets items twice and others never, because equals change places; a unique sort field does not."""
    sandbox = open_sandbox(crowd(500))
    with Caller(sandbox, "chief") as caller:
        ids = [item["id"] for item in caller.pages("search", "results", q="", num=100, sortField="avgRating")]
        assert len(ids) == 500
        assert len(set(ids)) < 500
        titles = [item["title"] for item in caller.pages("search", "results", q="", num=100, sortField="title")]
        assert len(set(titles)) == 500
        assert titles == sorted(titles, key=str.lower)
        sandbox.settings.shuffle_ties = False
        ids = [item["id"] for item in caller.pages("search", "results", q="", num=100, sortField="avgRating")]
        assert len(set(ids)) == 500


def test_only_the_window_of_a_search_can_be_paged(open_sandbox: Open) -> None:
    """Past the window there is an error; the total tells of all that was found."""
    with Caller(open_sandbox(crowd(500), search_window=300), "chief") as caller:
        page = caller.get("search", q="", num=100, start=201)
        assert (page["total"], len(page["results"]), page["nextStart"]) == (500, 100, -1)
        assert caller.get("search", q="", num=100, start=202)["error"]["code"] == 400


def test_new_items_are_found_after_the_lag_of_the_index(open_sandbox: Open) -> None:
    """While the index lags, an item just made is missing from search and present in its owner's content."""
    with Caller(open_sandbox(town(), index_lag=60), "ann") as caller:
        caller.post("content/users/ann/export", itemId=TREES, exportFormat="CSV", title="Fresh")
        assert caller.get("search", q="title:fresh")["total"] == 0
        assert "Fresh" in [item["title"] for item in caller.get("content/users/ann", num=100)["items"]]


def test_group_and_user_searches(caller: Caller) -> None:
    """Groups and users are found by query, group content by group."""
    assert [one["title"] for one in caller.get("community/groups", q="title:crew")["results"]] == ["Field crew"]
    assert [one["username"] for one in caller.get("community/users", q="username:bo*")["results"]] == ["bob"]
    assert [one["title"] for one in caller.get(f"content/groups/{CREW}/search", q="")["results"]] == ["The river"]
    assert caller.get(f"content/groups/{'0' * 32}/search", q="")["error"]["messageCode"] == "CONT_0006"
