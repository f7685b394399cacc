"""Items, folders and bytes in the practice portal."""

from __future__ import annotations

import io
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from caller import Caller
from practice_town import CREW, FILE, FILE_BYTES, MAP, PRIVATE, STORY, TREES, WATER, town

from agolkit.sandbox import Sandbox
from agolkit.sandbox.organization import Item, Organization, Repeated

Open = Callable[..., Sandbox]
NO_ITEM = {
    "error": {
        "code": 400,
        "messageCode": "CONT_0001",
        "message": "Item does not exist or is inaccessible.",
        "details": [],
    }
}


def test_content_of_a_user_comes_in_pages_and_folders(open_sandbox: Open) -> None:
    """The root lists its items and the folders; a folder lists its own; together they are all items of the owner."""
    with Caller(open_sandbox(town()), "ann") as caller:
        root = caller.get("content/users/ann", num=2)
        assert [item["title"] for item in root["items"]] == ["The river", "Trees"]
        assert (root["total"], root["nextStart"]) == (3, 3)
        assert [folder["title"] for folder in root["folders"]] == ["Water"]
        inside = caller.get(f"content/users/ann/{WATER}")
        assert [(item["id"], item["ownerFolder"]) for item in inside["items"]] == [(MAP, WATER)]
        assert "folders" not in inside
        assert caller.get(f"content/users/ann/{'0' * 32}")["error"]["messageCode"] == "CONT_0004"


def test_content_is_for_its_owner_and_administrators(open_sandbox: Open) -> None:
    """Another member is refused with 403, an administrator is not."""
    sandbox = open_sandbox(town())
    with Caller(sandbox, "eve") as eve, Caller(sandbox, "chief") as chief:
        assert eve.get("content/users/bob")["error"]["code"] == 403
        assert eve.get("content/portals/self")["error"]["code"] == 403
        assert chief.get("content/users/bob")["total"] == 2
        assert chief.get("content/portals/self", num=100)["total"] == 6
        assert chief.get("content/users/nobody")["error"]["message"] == "User does not exist or is inaccessible."


def test_private_item_looks_like_none(open_sandbox: Open) -> None:
    """Who may not see an item gets the same answer as for one that does not exist."""
    with Caller(open_sandbox(town()), "eve") as caller:
        assert caller.get(f"content/items/{PRIVATE}") == NO_ITEM
        assert caller.get(f"content/items/{'0' * 32}") == NO_ITEM
        assert caller.get(f"content/items/{PRIVATE}/data") == NO_ITEM


def test_owner_sees_sharing_folder_and_groups(open_sandbox: Open) -> None:
    """The address below the owner tells access, groups and folder."""
    with Caller(open_sandbox(town()), "chief") as caller:
        own = caller.get(f"content/users/ann/items/{STORY}")
        assert own["sharing"] == {"access": "shared", "groups": [CREW]}
        assert own["item"]["ownerFolder"] is None
        groups = caller.get(f"content/items/{STORY}/groups")
        assert [group["title"] for group in groups["other"]] == ["Field crew"]


def test_sizes_are_those_of_the_data_and_minus_one_for_services(open_sandbox: Open) -> None:
    """An item states the length of its data; a service states -1."""
    with Caller(open_sandbox(town()), "chief") as caller:
        assert caller.get(f"content/items/{FILE}")["size"] == len(FILE_BYTES)
        assert caller.get(f"content/items/{TREES}")["size"] == -1


def test_related_items_go_both_ways(open_sandbox: Open) -> None:
    """A relation is found from either end, and only under its own type."""
    with Caller(open_sandbox(town()), "chief") as caller:
        types = "Map2Service,Service2Data"
        forward = caller.get(f"content/items/{MAP}/relatedItems", relationshipTypes=types, direction="forward")
        assert [item["id"] for item in forward["relatedItems"]] == [TREES]
        back = caller.get(f"content/items/{TREES}/relatedItems", relationshipType="Map2Service", direction="reverse")
        assert [item["id"] for item in back["relatedItems"]] == [MAP]
        none = caller.get(f"content/items/{MAP}/relatedItems", relationshipType="WMA2Code")
        assert none["relatedItems"] == []


def test_answers_come_as_json_pretty_json_and_html(open_sandbox: Open) -> None:
    """`f` chooses the form; without it a person's browser gets a page."""
    with Caller(open_sandbox(town()), "chief") as caller:
        assert caller.raw(f"content/items/{MAP}?f=json").json() == caller.raw(f"content/items/{MAP}?f=pjson").json()
        page = caller.raw(f"content/items/{MAP}")
        assert page.headers["content-type"] == "text/html;charset=utf-8"
        assert page.text.startswith("<!DOCTYPE html>")
        assert caller.raw(f"content/items/{MAP}", "POST", files={"f": (None, "json")}).json()["id"] == MAP


def test_file_data_is_redirected_to_an_address_that_needs_no_token(open_sandbox: Open) -> None:
    """Online, a file's data is behind a signed address on another host that works for a while."""
    sandbox = open_sandbox(town())
    with Caller(sandbox, "bob") as caller, Caller(sandbox) as nobody:
        answer = caller.raw(f"content/items/{FILE}/data", allow_redirects=False)
        assert answer.status_code == 302
        address = answer.headers["location"]
        assert urlsplit(address).hostname == "localhost"
        assert nobody.raw(address).content == FILE_BYTES
        assert nobody.raw(address.replace("signature=", "signature=0")).status_code == 403
        assert caller.raw(f"content/items/{MAP}/data", allow_redirects=False).status_code == 200
        sandbox.settings.redirect_seconds = -1
        expired = caller.raw(f"content/items/{FILE}/data", allow_redirects=False).headers["location"]
        assert nobody.raw(expired).status_code == 403
        sandbox.settings.redirect_data = False
        assert caller.raw(f"content/items/{FILE}/data", allow_redirects=False).content == FILE_BYTES
        assert all("signature" not in entry.query for entry in sandbox.log.entries)


def test_enterprise_sends_data_itself(open_sandbox: Open) -> None:
    """In Enterprise mode there is no redirect, and the file keeps its name, length, and tag."""
    with Caller(open_sandbox(town("enterprise")), "bob") as caller:
        answer = caller.raw(f"content/items/{FILE}/data", allow_redirects=False)
        assert answer.content == FILE_BYTES
        assert answer.headers["content-disposition"] == 'attachment; filename="parcels.zip"'
        assert answer.headers["content-length"] == str(len(FILE_BYTES))
        assert answer.headers["etag"]


def test_ranges_of_data(open_sandbox: Open) -> None:
    """A range is answered with 206 and those bytes; one past the end with 416; another tag with everything."""
    with Caller(open_sandbox(town("enterprise")), "bob") as caller:
        path = f"content/items/{FILE}/data"
        tag = caller.raw(path).headers["etag"]
        part = caller.raw(path, headers={"Range": "bytes=1000-1999", "If-Range": tag})
        assert (part.status_code, part.content) == (206, FILE_BYTES[1000:2000])
        assert part.headers["content-range"] == f"bytes 1000-1999/{len(FILE_BYTES)}"
        assert caller.raw(path, headers={"Range": "bytes=-10"}).content == FILE_BYTES[-10:]
        assert caller.raw(path, headers={"Range": f"bytes={len(FILE_BYTES)}-"}).status_code == 416
        assert caller.raw(path, headers={"Range": "bytes=5-9", "If-Range": '"old"'}).status_code == 200


def test_chunked_data_states_no_length(open_sandbox: Open) -> None:
    """With chunked encoding the bytes are the same and the length is not told."""
    with Caller(open_sandbox(town("enterprise"), chunked=True), "bob") as caller:
        answer = caller.raw(f"content/items/{FILE}/data")
        assert answer.content == FILE_BYTES
        assert "content-length" not in answer.headers


def test_item_without_data_answers_nothing(open_sandbox: Open) -> None:
    """An item that has no data answers an empty body."""
    with Caller(open_sandbox(town()), "chief") as caller:
        answer = caller.raw(f"content/items/{TREES}/data")
        assert (answer.status_code, answer.content) == (200, b"")


def test_thumbnail_metadata_and_resources(open_sandbox: Open) -> None:
    """The other bytes of an item come as they are, names with blanks and `#` included."""
    with Caller(open_sandbox(town()), "chief") as caller:
        assert caller.raw(f"content/items/{MAP}/info/thumbnail/map.png").content == b"\x89PNG thumbnail"
        metadata = caller.raw(f"content/items/{MAP}/info/metadata/metadata.xml")
        assert metadata.content == b"<metadata><title>Water mains</title></metadata>"
        listed = caller.get(f"content/items/{STORY}/resources", num=500)
        assert [(one["resource"], one["size"]) for one in listed["resources"]] == [
            ("draft_1.json", 12),
            ("images/a b#1.png", 10),
        ]
        assert caller.get(f"content/items/{STORY}/resources", num=1)["nextStart"] == 2
        assert caller.raw(f"content/items/{STORY}/resources/images/a%20b%231.png").content == b"\x89PNG image"
        packed = caller.raw(f"content/users/ann/items/{STORY}/resources/export?f=zip").content
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            assert archive.namelist() == ["draft_1.json", "images/a b#1.png"]


def test_absent_metadata_is_an_error_inside_http_200(open_sandbox: Open) -> None:
    """Metadata that does not exist is answered as JSON with code 400 and `CONT_0036`."""
    with Caller(open_sandbox(town()), "chief") as caller:
        answer = caller.raw(f"content/items/{STORY}/info/metadata/metadata.xml?f=json")
        assert answer.status_code == 200
        assert answer.json()["error"]["messageCode"] == "CONT_0036"


def test_large_data_takes_no_memory(open_sandbox: Open) -> None:
    """A payload of hundreds of megabytes is made while it is sent, and arrives whole."""
    size = 300_000_007
    with Caller(open_sandbox(town(big=size)), "bob") as caller:
        tracemalloc.start()
        try:
            answer = caller.raw(f"content/items/{FILE}/data", stream=True)
            pieces = [len(piece) for piece in answer.iter_content(1 << 20)]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert sum(pieces) == size
        assert peak < 64 << 20


def test_payload_is_the_same_from_any_start() -> None:
    """The pieces of a repeated payload from a place on are the end of the whole."""
    payload = Repeated(b"0123456789" * 7, 2_500_003)
    whole = b"".join(payload.chunks())
    assert len(whole) == payload.size
    assert b"".join(payload.chunks(1_234_567)) == whole[1_234_567:]
    assert max(len(piece) for piece in payload.chunks()) == 1 << 20


def test_deleted_items_go_to_the_recycle_bin(open_sandbox: Open) -> None:
    """Without `permanentDelete` an item lies in the bin, is not found any more, and can be restored."""
    sandbox = open_sandbox(town())
    with Caller(sandbox, "bob") as caller:
        assert caller.post(f"content/users/bob/items/{FILE}/delete") == {"success": True, "itemId": FILE}
        assert caller.get(f"content/items/{FILE}") == NO_ITEM
        assert caller.get("search", q=f"id:{FILE}")["total"] == 0
        binned = caller.get("content/users/bob", inRecycleBin="true", foldersContent="true")
        assert [item["id"] for item in binned["items"]] == [FILE]
        assert caller.post(f"content/users/bob/items/{FILE}/restore")["success"]
        assert caller.get(f"content/items/{FILE}")["access"] == "private"
        assert FILE in [item["id"] for item in caller.get("content/users/bob")["items"]]


def test_items_are_deleted_for_good_when_asked_to(open_sandbox: Open) -> None:
    """`permanentDelete`, a second deletion from the bin, or no bin at all: then the item is gone."""
    sandbox = open_sandbox(town())
    with Caller(sandbox, "chief") as caller:
        caller.post(f"content/users/bob/items/{FILE}/delete", permanentDelete="true")
        assert FILE not in sandbox.org.items | sandbox.org.recycle_bin
        for _ in range(2):
            answer = caller.post("content/users/bob/deleteItems", items=PRIVATE)
            assert answer == {"results": [{"itemId": PRIVATE, "success": True}]}
        assert PRIVATE not in sandbox.org.items | sandbox.org.recycle_bin
        sandbox.org.recycle_bin_enabled = False
        caller.post(f"content/users/ann/items/{STORY}/delete")
        assert STORY not in sandbox.org.items | sandbox.org.recycle_bin
        assert caller.get("portals/self")["recycleBinEnabled"] is False


def test_deletion_is_refused_to_others_and_of_protected_items(open_sandbox: Open) -> None:
    """Only the owner and administrators delete; a protected item not even they; and never with GET."""
    sandbox = open_sandbox(town())
    sandbox.org.items[MAP].protected = True
    with Caller(sandbox, "eve") as eve, Caller(sandbox, "ann") as ann:
        assert eve.post(f"content/users/bob/items/{FILE}/delete")["error"]["code"] == 403
        assert "protection" in ann.post(f"content/users/ann/{WATER}/items/{MAP}/delete")["error"]["message"]
        assert ann.get(f"content/users/ann/items/{STORY}/delete")["error"]["code"] == 405
    assert len(sandbox.org.items) == 6


@pytest.mark.parametrize(("mode", "has"), [("online", "urls"), ("enterprise", "servers")])
def test_portal_names_its_servers(open_sandbox: Open, mode: str, has: str) -> None:
    """Online names the hosts of its services, Enterprise its servers; each refuses the other's question."""
    sandbox = open_sandbox(town(mode))  # type: ignore[arg-type]
    with Caller(sandbox, "chief") as caller:
        host = urlsplit(sandbox.url).netloc
        if has == "urls":
            assert caller.get("portals/self/urls")["urls"]["features"]["https"] == [host]
            assert "error" in caller.get("portals/self/servers")
        else:
            assert caller.get("portals/self/servers")["servers"][0]["url"] == f"https://{host}/server"
            assert "error" in caller.get("portals/self/urls")
        assert urlsplit(caller.get(f"content/items/{TREES}")["url"]).netloc == host


def test_large_organization_answers_quickly(open_sandbox: Open) -> None:
    """A page of a hundred of twelve thousand items takes milliseconds, from a folder, the whole, or a search."""
    org = Organization(id="BigBigBigBigBigB", name="Big", url_key="big", admin="chief")
    org.add(*town().users.values())
    org.add(*(Item(f"{number:032x}", f"user{number % 250}", "Web Map", f"Map {number}") for number in range(12_000)))
    org.add(*(Item(f"{number:032x}", "chief", "Web Map", f"Map {number}") for number in range(12_000, 12_100)))
    sandbox = open_sandbox(org)
    with Caller(sandbox, "chief") as caller:
        caller.get("search", q="", num=100, sortField="title")
        sandbox.log.clear()
        began = time.perf_counter()
        for page in range(20):
            caller.get("search", q="", num=100, sortField="title", start=page * 100 + 101)
            caller.get("content/users/chief", num=100)
            caller.get("content/portals/self", num=100, start=page * 100 + 1)
        assert (time.perf_counter() - began) / 60 < 0.1
    times = sorted(entry.milliseconds for entry in sandbox.log.entries)
    assert times[len(times) // 2] < 10
