"""Every call answers what the portal holds, or raises one of our errors: the portal's bad days."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hand_built import (
    BIG_ID,
    EMPTY_ID,
    FILE_ID,
    MAP_ID,
    ODD_ID,
    PASSWORD,
    ZIP,
    Memory,
    Nowhere,
    small_organization,
)

from agolkit.errors import (
    AgolkitError,
    ConnectionTrouble,
    Forbidden,
    NotAnAnswer,
    NotFound,
    PortalError,
    ServerTrouble,
    SignInError,
    Throttled,
    TokenRejected,
    UsageError,
)
from agolkit.portal import Portal, connect
from agolkit.portal.brake import SPREAD
from agolkit.progress import Pulse, pulse_of_job
from agolkit.sandbox import Fault, Sandbox, Settings
from agolkit.sandbox.organization import Bytes, Item


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(small_organization(), Settings()) as running:
        yield running


@pytest.fixture
def waits() -> list[float]:
    """How long the client wanted to wait between attempts; it never does."""
    return []


@pytest.fixture
def portal(sandbox: Sandbox, waits: list[float]) -> Portal:
    signed_in = connect(
        sandbox.url,
        username="boss",
        password=PASSWORD,
        ca_bundle=sandbox.ca_bundle,
        sleep=waits.append,
        idle_timeout=0.5,
    )
    sandbox.log.clear()
    return signed_in


def error(code: int | None, message: str, details: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """An error as the portal answers it inside HTTP 200."""
    return {"error": {"code": code, "message": message, "details": details or [], **more}}


DATA = f"content/items/{FILE_ID}/data"
GROUPS = f"content/items/{MAP_ID}/groups"
PAGE = "<!DOCTYPE html>\n<html><body>Bad gateway</body></html>"
XHTML = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">
<html xmlns="http://www.w3.org/1999/xhtml"><body>Back soon</body></html>"""


# -- content


def test_data_arrives_as_it_is(portal: Portal) -> None:
    """A download holds the portal's bytes, with the length it stated and the file's own name."""
    sink = Memory()
    received = portal.download(DATA, sink)
    assert sink.content == ZIP
    assert (received.size, received.stated, received.file_name) == (len(ZIP), len(ZIP), "parcels.zip")
    assert received.content_type == "application/zip"
    assert sink.restarts == 1


def test_a_payload_without_a_stated_length(sandbox: Sandbox, portal: Portal) -> None:
    """Chunked data arrives too; there is no length to compare with."""
    sandbox.settings.chunked = True
    sink = Memory()
    assert portal.download(DATA, sink).stated is None
    assert sink.content == ZIP


def test_a_key_named_error_is_content(portal: Portal) -> None:
    """JSON of an item that merely has a key `error` among others is content."""
    sink = Memory()
    portal.download(f"content/items/{ODD_ID}/data", sink)
    assert sink.content == b'{"error": {"code": 1}, "version": "2"}'


@pytest.mark.parametrize(
    "content",
    [
        b'{"error": {"code": 500}, "widgets": []}',
        b'{"error": {"message": "shown to the user"}, "widgets": []}',
        b'{"error": "shown to the user", "widgets": []}',
        json.dumps({"error": {"code": 500, "message": "no"}, "widgets": ["w" * 70_000]}).encode(),
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b'<?xml version="1.0"?><metadata><Error>0.5 m</Error></metadata>',
    ],
)
def test_what_only_resembles_an_error_is_content(sandbox: Sandbox, portal: Portal, content: bytes) -> None:
    """Content with a key or an element of that name, or a large one that holds a whole error, arrives as it is."""
    sandbox.org.items[ODD_ID].data = Bytes(content)
    sink = Memory()
    portal.download(f"content/items/{ODD_ID}/data", sink)
    assert sink.content == content


def test_zero_bytes_are_zero_bytes(portal: Portal) -> None:
    """An empty payload is received as one, not taken for an error."""
    assert portal.download(f"content/items/{EMPTY_ID}/data", Memory()).size == 0


def test_names_with_blanks_and_signs(sandbox: Sandbox, portal: Portal) -> None:
    """A resource whose name holds a blank, `#`, `?` or other scripts is asked for by its whole name."""
    names = ["images/a b#c.png", "images/水?.json"]
    sandbox.org.items[MAP_ID].resources = {name: name.encode() for name in names}
    assert sorted(row["resource"] for row in portal.resources(MAP_ID)) == sorted(names)
    for name in names:
        sink = Memory()
        portal.download(f"content/items/{MAP_ID}/resources/{name}", sink)
        assert sink.content == name.encode()


def test_a_large_download_needs_no_memory(portal: Portal) -> None:
    """300 MB pass through without a trace in memory."""
    portal.download(DATA, Nowhere())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sink = Nowhere()
    assert portal.download(f"content/items/{BIG_ID}/data", sink).size == sink.size == 300_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


def test_each_chunk_is_a_sign_of_life(portal: Portal) -> None:
    """A download beats while it gets on, and ends at once when the run is stopped."""

    class Stopping(Nowhere):
        def write(self, chunk: bytes) -> None:
            super().write(chunk)
            pulse.expired = True

    with pulse_of_job(Pulse()) as pulse:
        portal.download(DATA, Nowhere())
        assert pulse.last is not None
        sink = Stopping()
        with pytest.raises(ConnectionTrouble, match="No progress"):
            portal.download(f"content/items/{BIG_ID}/data", sink)
    assert sink.size < 10_000_000


def test_a_slow_download_shows_that_it_lives(portal: Portal) -> None:
    """Every 16 KiB are a sign of life, so that a slow transfer is neither given up nor deaf to a stop."""
    beats: list[int] = []

    def clock() -> float:
        beats.append(1)
        return 0.0

    with pulse_of_job(Pulse(clock=clock)):
        portal.download(DATA, Nowhere())
    assert len(beats) > len(ZIP) / (16 * 1024)


# -- errors are never content


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(DATA, body=error(400, "Item does not exist or is inaccessible.", messageCode="CONT_0001")), NotFound),
        (Fault(DATA, body=error(403, "You do not have permissions.", messageCode="GWM_0003")), Forbidden),
        (Fault(DATA, body=error(500, "Error invoking service", messageCode="CONT_0044")), ServerTrouble),
        (Fault(DATA, body=error(504, "Your request has timed out.")), ServerTrouble),
        (Fault(DATA, body=error(None, "Something else")), PortalError),
        (Fault(DATA, body={"code": 200, "message": None, "status": "failure"}), PortalError),
        (Fault(DATA, body={"code": 400, "message": "bare"}), PortalError),
        (Fault(DATA, body={"error": {"code": 500, "message": "no"}, "timestamp": 1}), ServerTrouble),
        (Fault(DATA, body={"error": "unauthorized"}), PortalError),
        (Fault(DATA, body=b'\xef\xbb\xbf{"error": {"code": 404, "message": "no"}}'), NotFound),
        (Fault(DATA, body=PAGE), NotAnAnswer),
        (Fault(DATA, body="\ufeff" + PAGE), NotAnAnswer),
        (Fault(DATA, body=XHTML), NotAnAnswer),
        (Fault(DATA, body='<html xmlns="http://www.w3.org/1999/xhtml"><head/></html>'), NotAnAnswer),
        (Fault(DATA, body="<?xml version='1.0'?>\n<Error><Code>SlowDown</Code></Error>"), NotAnAnswer),
        (Fault("/objects/", cut_after=1000), NotAnAnswer),
        (Fault(DATA, status=404), NotFound),
        (Fault(DATA, status=403), Forbidden),
        (Fault(DATA, status=502), ServerTrouble),
        (Fault(DATA, status=418), PortalError),
        (Fault(DATA, delay=0.8), ConnectionTrouble),
    ],
)
def test_what_is_no_data_is_an_error(
    sandbox: Sandbox, portal: Portal, fault: Fault, expected: type[AgolkitError]
) -> None:
    """An error, a web page, a cut-off or missing answer is never taken for an item's data."""
    sandbox.faults.add(fault)
    with pytest.raises(AgolkitError) as caught:
        portal.download(DATA, Memory())
    assert isinstance(caught.value, expected)
    assert FILE_ID in str(caught.value)
    assert fault.struck == (3 if caught.value.transient else 1)


@pytest.mark.parametrize("body", ["", PAGE, "null", "[]", '"text"', "{", b"\xff\xfe"])
def test_what_is_no_json_is_an_error(sandbox: Sandbox, portal: Portal, body: str | bytes) -> None:
    """An empty answer, a web page or anything but a JSON object is not an answer; it is asked again."""
    fault = sandbox.faults.add(Fault("/groups", body=body))
    with pytest.raises(NotAnAnswer):
        portal.get_json(GROUPS)
    assert fault.struck == 3


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (error(400, "Cannot perform query. Invalid query parameters."), ServerTrouble),
        (error(400, "Unable to get results"), ServerTrouble),
        (
            error(
                400, "Cannot perform query. Invalid query parameters.", ["'Invalid field: date' parameter is invalid"]
            ),
            PortalError,
        ),
        (error(400, "'type' and 'title' property required."), PortalError),
        (error(400, "User folder does not exist.", messageCode="CONT_0004"), NotFound),
        (error(400, "Group does not exist or is inaccessible.", messageCode="CONT_0006"), NotFound),
        ({"error": {"code": 503, "message": "An error occurred.", "details": None}}, ServerTrouble),
        ({"error": {"code": "500", "message": "An error occurred.", "details": "text"}}, ServerTrouble),
        ({"success": False, "error": {"code": 400, "message": "no"}}, PortalError),
        ({"success": False}, PortalError),
    ],
)
def test_errors_inside_200(sandbox: Sandbox, portal: Portal, body: dict[str, Any], expected: type[PortalError]) -> None:
    """Each form of an error inside HTTP 200 becomes the class that fits; a final one is not tried again.

    "Cannot perform query" is what a service under load says, unless the details name the invalid parameter.
    """
    fault = sandbox.faults.add(Fault("/groups", body=body))
    with pytest.raises(PortalError) as caught:
        portal.get_json(GROUPS)
    assert type(caught.value) is expected
    assert fault.struck == (3 if expected.transient else 1)


def test_secrets_that_a_server_echoes_are_not_said(sandbox: Sandbox, portal: Portal) -> None:
    """A token that the server repeats in its words does not get into the message."""
    sandbox.faults.add(Fault("/groups", body=error(400, "Bad request: ?f=json&token=abc123&x=1, password: 'hunter2'")))
    with pytest.raises(PortalError) as caught:
        portal.get_json(GROUPS)
    assert "abc123" not in str(caught.value) + caught.value.words
    assert "hunter2" not in str(caught.value) + caught.value.words


@pytest.mark.parametrize(
    "echo",
    [
        "X-Esri-Authorization: Bearer hidden1",
        "?X-Amz-Signature=hidden1&X-Amz-Credential=hidden2/us-east-1&x=1",
        "https://store.example/x?Expires=1&Signature=hidden1&sig=hidden2",
        "redirect_uri=https%3A%2F%2Fx%3Ftoken%3Dhidden1",
        '{\\"access_token\\": \\"hidden1\\"}',
    ],
)
def test_signatures_that_a_server_echoes_are_not_said(sandbox: Sandbox, portal: Portal, echo: str) -> None:
    """Neither a bearer token nor the signature of an address gets into the message, however it is written."""
    sandbox.faults.add(Fault("/groups", body=error(400, "Bad request", [echo])))
    with pytest.raises(PortalError) as caught:
        portal.get_json(GROUPS)
    assert "Bad request" in str(caught.value)
    assert "hidden" not in str(caught.value) + caught.value.words


# -- trying again


@pytest.mark.parametrize(
    ("fault", "waited"),
    [
        (Fault("/data", status=429, headers={"Retry-After": "7"}, times=1), 7.0),
        (Fault("/data", body=error(429, "exceeded", ["maximum allowed. Retry after 60 sec."]), times=1), 60.0),
    ],
)
def test_the_portal_says_how_long_to_wait(
    sandbox: Sandbox, portal: Portal, waits: list[float], fault: Fault, waited: float
) -> None:
    """Retry-After is honoured, from the header or from the portal's words."""
    sandbox.faults.add(fault)
    sink = Memory()
    portal.download(DATA, sink)
    assert waited - 0.5 <= sum(waits) <= waited * (1 + SPREAD) + 0.5
    assert sink.content == ZIP
    assert sink.restarts == 2


@pytest.mark.parametrize(
    ("fault", "refusals", "waited"),
    [
        (Fault(DATA, body=error(429, "API calls quota exceeded. Retry after 60 sec.")), 11, 600),
        (Fault(DATA, status=429, headers={"Retry-After": "86400"}), 3, 600),
        (Fault(DATA, status=429), 16, 1 + 2 + 4 + 8 + 16 + 32 + 9 * 60),
    ],
)
def test_a_portal_that_refuses_everything_is_given_up(
    sandbox: Sandbox, portal: Portal, waits: list[float], fault: Fault, refusals: int, waited: float
) -> None:
    """After ten minutes in which nothing was accepted the portal's own words are the answer; nobody waits longer."""
    sandbox.faults.add(fault)
    with pytest.raises(Throttled, match=r"429.* refused every request for 10 minutes"):
        portal.download(DATA, Memory())
    assert fault.struck == refusals
    assert waited - 1 <= sum(waits) <= waited * (1 + SPREAD) + 1
    assert portal.item(MAP_ID)["id"] == MAP_ID


def test_a_cut_off_download_starts_again(sandbox: Sandbox, portal: Portal) -> None:
    """After a broken connection the sink starts from nothing and holds the whole file once."""
    sandbox.faults.add(Fault("/objects/", cut_after=600_000, times=2))
    sink = Memory()
    portal.download(DATA, sink)
    assert sink.content == ZIP
    assert sink.restarts == 3


def test_an_export_is_never_asked_for_twice(sandbox: Sandbox, portal: Portal) -> None:
    """A request that makes something is sent once, whatever the answer."""
    fault = sandbox.faults.add(Fault("/export", status=503))
    with pytest.raises(ServerTrouble):
        portal.start_export("boss", FILE_ID, title="t", tags=["agolkit-export"], export_format="File Geodatabase")
    assert fault.struck == 1


def test_deleting_what_is_gone_is_success(sandbox: Sandbox, portal: Portal) -> None:
    """An item is deleted past the recycle bin; deleting it again is no error."""
    portal.delete_item("boss", FILE_ID)
    portal.delete_item("boss", FILE_ID)
    assert FILE_ID not in sandbox.org.items
    assert FILE_ID not in sandbox.org.recycle_bin


# -- the token


INVALID = error(498, "Invalid token.")


def sign_ins(sandbox: Sandbox) -> int:
    """How often the password was sent since the log was cleared."""
    return sum(entry.path.endswith("/generateToken") for entry in sandbox.log.entries)


@pytest.mark.parametrize("fault", [Fault("/content/", body=INVALID, times=1), Fault("/content/", status=498, times=1)])
def test_a_rejected_token_is_renewed_and_the_request_repeated(
    sandbox: Sandbox, portal: Portal, waits: list[float], fault: Fault
) -> None:
    """498 in the middle of a run: one sign-in, one repetition, no waiting, and nobody notices."""
    sandbox.faults.add(replace(fault, action=sandbox.revoke_tokens))
    sink = Memory()
    portal.download(DATA, sink)
    assert sink.content == ZIP
    assert sign_ins(sandbox) == 1
    assert waits == []


def test_many_threads_renew_a_token_once(sandbox: Sandbox, portal: Portal) -> None:
    """When all tokens are revoked, sixteen threads sign in once and lose nothing; nothing goes out unsigned twice."""
    sandbox.revoke_tokens()
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: portal.item(MAP_ID, owner="ann"), range(64)))
    assert {answer["id"] for answer in answers} == {MAP_ID}
    assert sign_ins(sandbox) == 1


def test_a_service_that_takes_no_token_is_no_storm(sandbox: Sandbox, portal: Portal) -> None:
    """Where a token is rejected that the portal itself takes, the request fails, and nobody signs in again."""
    sandbox.faults.add(Fault("/groups", body=error(499, "Token Required", messageCode="GWM_0003")))
    for _ in range(5):
        with pytest.raises(TokenRejected):
            portal.get_json(GROUPS)
    assert sign_ins(sandbox) == 0
    assert portal.item(MAP_ID)["id"] == MAP_ID


def test_a_refused_renewal_is_sent_once(sandbox: Sandbox, portal: Portal) -> None:
    """When the password was changed in the middle of a run, it is tried once, and not again for each remaining item."""
    sandbox.org.users["boss"].password = "changed"
    sandbox.revoke_tokens()
    for _ in range(5):
        with pytest.raises(SignInError, match="refuses to sign 'boss' in"):
            portal.get_json(GROUPS)
        with pytest.raises(SignInError, match="refuses to sign 'boss' in"):
            portal.download(DATA, Nowhere(), params={"f": "json"})
    assert sign_ins(sandbox) == 1


# -- the calls


def test_listing_and_search(portal: Portal) -> None:
    """Users, folders, items, groups and counts are those of the organization."""
    assert [user["username"] for user in portal.users()] == ["boss", "ann", "bob"]
    folders, items = portal.content("ann")
    assert [folder["title"] for folder in folders] == ["Water"]
    assert items == []
    assert [item["id"] for item in portal.content("ann", "f" * 32)[1]] == [MAP_ID]
    assert portal.count() == 5
    assert portal.count('owner:"bob"') == 2
    assert {item["id"] for item in portal.search('type:"Web Map"')} == {MAP_ID, ODD_ID, EMPTY_ID}
    assert [group["title"] for group in portal.groups()] == ["Field crew"]
    assert [item["id"] for item in portal.group_items("d" * 32)] == [EMPTY_ID]
    assert [item["title"] for item in portal.find_by_title("boss", "Parcels")] == ["Parcels"]


def test_equal_rank_loses_nothing(sandbox: Sandbox, portal: Portal) -> None:
    """Results that change places from page to page are found all the same."""
    many_maps(sandbox)
    for item in sandbox.org.items.values():
        item.created = 5
    assert len(portal.search("owner:boss")) == portal.count("owner:boss") == 352
    assert len(portal.content("boss")[1]) == 352


def many_maps(sandbox: Sandbox) -> None:
    for number in range(1000, 1350):
        sandbox.org.add(Item(f"{number:032x}", "boss", "Web Map", f"Map {number}", created=number, data=Bytes(b"{}")))


@pytest.mark.parametrize("also_added", [False, True])
def test_what_is_deleted_between_two_pages_loses_nothing_else(
    sandbox: Sandbox, portal: Portal, also_added: bool
) -> None:
    """A deletion moves the next item from the second page to the first, which was read; it is found all the same.

    Also where an item that was added meanwhile makes up the number.
    """
    many_maps(sandbox)

    def meddle() -> None:
        del sandbox.org.items[f"{1003:032x}"]
        if also_added:
            sandbox.org.add(Item("9" * 32, "boss", "Web Map", "New", created=1_800_000_000_000, data=Bytes(b"{}")))

    for list_ids in (
        lambda: {row["id"] for row in portal.content("boss")[1]},
        lambda: {row["id"] for row in portal.search("owner:boss")},
    ):
        before = dict(sandbox.org.items)
        fault = sandbox.faults.add(Fault("/content/users/boss$|/search$", skip=1, times=1, action=meddle))
        found = list_ids()
        assert fault.struck == 1
        assert {item.id for item in sandbox.org.items.values() if item.owner == "boss"} <= found | {"9" * 32}
        sandbox.org.items.clear()
        sandbox.org.items.update(before)


@pytest.mark.parametrize(
    ("path", "key", "ask"),
    [
        ("/resources$", "resources", lambda portal: portal.resources(MAP_ID)),
        ("/relatedItems$", "relatedItems", lambda portal: portal.related(MAP_ID, ["Map2Service"], "forward")),
        ("/portals/self/users$", "users", lambda portal: portal.users()),
        ("/portals/self/roles$", "roles", lambda portal: portal.roles()),
        ("/community/groups$", "results", lambda portal: portal.groups()),
        ("/userList$", "users", lambda portal: portal.group_members("d" * 32)),
        ("/content/users/boss$", "items", lambda portal: portal.content("boss")),
        ("/search$", "results", lambda portal: portal.search("owner:boss")),
    ],
)
def test_a_list_shorter_than_it_says_is_no_answer(
    sandbox: Sandbox, portal: Portal, path: str, key: str, ask: Callable[[Portal], object]
) -> None:
    """A list that holds fewer rows than it states is read again, and is never passed off as complete."""
    body = {"total": 2, "start": 1, "num": 0, "nextStart": -1, "nextKey": None, key: []}
    once = sandbox.faults.add(Fault(path, body=body, times=1))
    ask(portal)
    assert once.struck == 1
    sandbox.faults.add(Fault(path, body=body))
    with pytest.raises(NotAnAnswer, match="shows 0 of 2"):
        ask(portal)


def test_an_item_without_its_sharing_is_no_answer(sandbox: Sandbox, portal: Portal) -> None:
    """The owner's view always says with whom an item is shared; one that does not is asked again, then an error."""
    answer = portal.owner_view("ann", MAP_ID)
    fault = sandbox.faults.add(Fault(f"/items/{MAP_ID}$", body={"item": answer["item"]}))
    with pytest.raises(NotAnAnswer, match="no sharing"):
        portal.owner_view("ann", MAP_ID)
    assert fault.struck == 3


def test_too_many_results_are_refused(sandbox: Sandbox, portal: Portal) -> None:
    """A search with more results than a portal shows is an error that says to narrow it."""
    sandbox.faults.add(
        Fault("/search", body={"total": 10_001, "results": [], "start": 1, "num": 100, "nextStart": 101})
    )
    with pytest.raises(UsageError, match="Narrow it"):
        portal.search("type:Map")


def test_one_item(portal: Portal) -> None:
    """The owner's view holds folder and sharing; a wrong owner falls back on the plain description."""
    assert portal.owner_view("ann", MAP_ID)["item"]["ownerFolder"] == "f" * 32
    assert portal.item(MAP_ID, owner="ann")["ownerFolder"] == "f" * 32
    assert portal.item(MAP_ID, owner="bob")["id"] == MAP_ID
    with pytest.raises(NotFound):
        portal.item("9" * 32)


def test_relations_both_ways(sandbox: Sandbox, portal: Portal) -> None:
    """Related items are found forward and in reverse."""
    sandbox.org.items[MAP_ID].relations = [("Map2Service", FILE_ID), ("Survey2Data", ODD_ID)]
    types = ["Map2Service", "Survey2Data", "WMA2Code"]
    assert {row["id"] for row in portal.related(MAP_ID, types, "forward")} == {FILE_ID, ODD_ID}
    assert [row["id"] for row in portal.related(FILE_ID, types, "reverse")] == [MAP_ID]


def test_a_page_that_leads_back_is_an_error(sandbox: Sandbox, portal: Portal) -> None:
    """A paged answer that does not get on ends with an error instead of for ever."""
    sandbox.faults.add(Fault("/users$", body={"users": [], "start": 1, "num": 100, "nextStart": 1}))
    with pytest.raises(NotAnAnswer, match="the page after"):
        portal.users()
