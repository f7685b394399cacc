"""The HTTP session: where the token goes, time-outs, proxies, and what `arcgis` gets of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hand_built import FILE_ID, MAP_ID, PASSWORD, ZIP, Memory, Nowhere, small_organization

from agolkit.errors import ConnectionTrouble, Forbidden, PortalError, Unreachable
from agolkit.portal import Portal, connect
from agolkit.sandbox import Fault, Sandbox, Settings
from agolkit.sandbox.organization import Bytes, Item

DATA = f"content/items/{FILE_ID}/data"
GROUPS = f"content/items/{MAP_ID}/groups"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(small_organization(), Settings()) as running:
        yield running


def sign_in(sandbox: Sandbox, **changes: Any) -> Portal:
    arguments: dict[str, Any] = {"username": "boss", "password": PASSWORD, "ca_bundle": sandbox.ca_bundle}
    portal = connect(sandbox.url, **({"sleep": lambda _: None} | arguments | changes))
    sandbox.log.clear()
    return portal


def test_the_token_stays_home_on_a_redirect(sandbox: Sandbox) -> None:
    """Data that the portal keeps on another host is fetched there without the token."""
    sandbox.settings.redirect_data = True
    sink = Memory()
    sign_in(sandbox).download(DATA, sink)
    assert sink.content == ZIP
    at_home, abroad = sandbox.log.entries
    assert (at_home.host.partition(":")[0], at_home.signed_in) == ("127.0.0.1", True)
    assert (abroad.host.partition(":")[0], abroad.signed_in) == ("localhost", False)


def test_another_name_of_the_same_portal_gets_no_token(sandbox: Sandbox) -> None:
    """Whatever an answer leads to, only a host that the portal names as its own sees the token.

    The sandbox would take the token under its other name too; it says in its log that none came.
    """
    abroad = sandbox.url.replace("127.0.0.1", "localhost")
    portal = sign_in(sandbox)
    sandbox.faults.add(
        Fault("/groups", status=302, body="", headers={"Location": f"{abroad}/sharing/rest/community/self?f=json"})
    )
    with pytest.raises(PortalError):
        portal.get_json(GROUPS)
    assert [entry.signed_in for entry in sandbox.log.entries if entry.host.startswith("localhost")] in (
        [False],
        [False] * 3,
    )


def test_a_redirect_within_the_portal_is_signed(sandbox: Sandbox) -> None:
    """A redirect to one of the portal's own hosts carries the token."""
    sandbox.faults.add(
        Fault("/groups", status=302, body="", headers={"Location": f"{sandbox.url}/sharing/rest/community/self?f=json"})
    )
    assert sign_in(sandbox).get_json(GROUPS)["username"] == "boss"


def test_foreign_addresses_are_not_asked(sandbox: Sandbox) -> None:
    """An address on a host that is not the portal's own is refused before anything is sent, whoever wrote it there."""
    with Sandbox(small_organization(), Settings()) as other:
        portal = sign_in(sandbox)
        address = f"{other.url}/sharing/rest/portals/self"
        assert not portal.owns(address)
        assert portal.owns(sandbox.url.upper())
        for ask in (lambda: portal.get_json(address), lambda: portal.download(address, Nowhere())):
            with pytest.raises(Forbidden, match="not on one of this portal's own servers"):
                ask()
        assert other.log.entries == []


def test_an_http_address_of_the_portal_is_asked_over_https(sandbox: Sandbox) -> None:
    """Older items name their service by `http`; it is the portal's own all the same, and asked over https."""
    sandbox.settings.redirect_data = False
    portal = sign_in(sandbox)
    address = f"{portal.rest_url}/{DATA}".replace("https://", "http://")
    assert portal.owns(address)
    sink = Memory()
    portal.download(address, sink)
    assert sink.content == ZIP
    assert portal.get_json(address.removesuffix("/data"))["id"] == FILE_ID
    assert all(entry.signed_in for entry in sandbox.log.entries)


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example\\@{host}/x",
        "https://evil.example@{host}/x",
        "https://{host}\\@evil.example/x",
        "https://{host}@evil.example/x",
        "https://{host}:0@evil.example/x",
        "https://evil.example\t@{host}/x",
        "https://evil.example#@{host}/x",
        "https://evil.example?@{host}/x",
        "http://evil.example\\@{host}/x",
        "ftp://{host}/x",
        "https://{host}.evil.example/x",
        "https://[{host}/x",
        "https://127.0.0.1:port/x",
    ],
)
def test_an_address_in_doubt_is_not_the_portals_own(sandbox: Sandbox, address: str) -> None:
    """Where two readers of an address could disagree whose it is, no token goes there, and nothing is asked."""
    portal = sign_in(sandbox)
    host = sandbox.url.split("/")[2]
    assert not portal.owns(address.format(host=host))
    with pytest.raises(Forbidden):
        portal.get_json(address.format(host=host))
    assert sandbox.log.entries == []


def test_a_redirect_to_plain_http_is_not_followed(sandbox: Sandbox) -> None:
    """Nothing is fetched without encryption."""
    sandbox.faults.add(Fault("/data", status=302, body="", headers={"Location": "http://127.0.0.1:9/data"}))
    with pytest.raises(PortalError, match="not https"):
        sign_in(sandbox).download(DATA, Nowhere())


def test_a_refusal_of_another_host_is_tried_again(sandbox: Sandbox) -> None:
    """An address on an object store expires; asking the portal again makes a new one."""
    sandbox.settings.redirect_data = True
    portal = sign_in(sandbox)
    abroad = sandbox.url.replace("127.0.0.1", "localhost")
    gone = Fault("/data$", method="GET", status=302, body="", headers={"Location": f"{abroad}/expired"}, times=1)
    sandbox.faults.add(gone)
    sandbox.faults.add(Fault("/expired", status=403, body="<?xml version='1.0'?><Error/>"))
    sink = Memory()
    portal.download(DATA, sink)
    assert sink.content == ZIP


def test_silence_ends_a_request(sandbox: Sandbox) -> None:
    """A server that sends no byte within the idle time-out is given up."""
    sandbox.faults.add(Fault("/groups", delay=2))
    portal = sign_in(sandbox, idle_timeout=0.2, attempts=1)
    with pytest.raises(ConnectionTrouble, match="no byte arrived"):
        portal.get_json(GROUPS)


def test_a_slow_download_is_not_silence(sandbox: Sandbox) -> None:
    """A download may take longer than the idle time-out, as long as bytes arrive."""
    sandbox.settings.bandwidth = 2_000_000
    assert sign_in(sandbox, idle_timeout=0.3).download(DATA, Nowhere()).size == len(ZIP)


def test_connections_are_kept(sandbox: Sandbox) -> None:
    """Requests are counted, and go through as many threads as there are connections."""
    portal = sign_in(sandbox, pool=8)
    before = portal.requests
    sandbox.settings.latency = 0.4  # long enough that a slow computer has all eight under way
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(portal.get_json, [GROUPS] * 16))
    assert portal.requests - before == 16
    assert sandbox.log.most_in_flight == 8
    assert sandbox.log.unsigned_content() == []


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A portal elsewhere is reached through the system's proxy."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def serve() -> None:
            connection, _ = proxy.accept()
            with connection:
                asked.append(connection.recv(1000).split(b"\r\n")[0])
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("NO_PROXY", "")
        with pytest.raises(Unreachable):
            connect("https://gis.example.com/portal", username="boss", password=PASSWORD, attempts=1)
        thread.join()
    assert [line.split()[:2] for line in asked] == [[b"CONNECT", b"gis.example.com:443"]]


def test_this_machine_is_not_behind_a_proxy(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The practice portal works behind a proxy too: this machine is reached directly."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    assert sign_in(sandbox).username == "boss"


# -- what arcgis gets


@pytest.fixture
def crowded(sandbox: Sandbox) -> Sandbox:
    """The small organization with 24 files, whose data is kept on another host."""
    sandbox.settings.redirect_data = True
    for number in range(100, 124):
        content = Bytes(f"{number}".encode() * 50_000)
        sandbox.org.add(
            Item(
                f"{number:032x}",
                "boss",
                "Shapefile",
                f"File {number}",
                name="same.zip",
                data=content,
                data_type="application/zip",
            )
        )
    return sandbox


@pytest.mark.filterwarnings("ignore")
def test_arcgis_on_our_session(crowded: Sandbox, tmp_path: Path) -> None:
    """The unmodified client signs in through our session, searches, and downloads in threads without harm.

    With its own session the same downloads overwrite each other's sign-in and store errors as files.
    """
    portal = sign_in(crowded)
    gis = portal.gis
    assert gis.users.me.username == "boss"
    assert gis._con.token == portal.gis._con.token != ""
    files = gis.content.search("type:Shapefile", max_items=100)
    assert len(files) == 25

    def download(place: int) -> bool:
        item = files[place % 25]
        path = item.download(save_path=str(tmp_path), file_name=f"{place}.zip")
        expected = crowded.org.items[item.id].data
        return expected is not None and Path(path).read_bytes() == b"".join(expected.chunks())

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(download, range(50)))
    assert gis.session.auth is not None
    abroad = [entry for entry in crowded.log.entries if entry.host.startswith("localhost")]
    assert len(abroad) == 50
    assert not any(entry.signed_in for entry in abroad)
    assert crowded.log.unsigned_content() == []


@pytest.mark.filterwarnings("ignore")
def test_the_rules_hold_for_arcgis_too(sandbox: Sandbox) -> None:
    """Through arcgis, too: reads are repeated, writes are not, and certificates are always checked."""
    portal = sign_in(sandbox)
    gis = portal.gis
    reads = sandbox.faults.add(Fault("/data", status=503, times=2))
    assert gis.session.get(f"{portal.rest_url}/{DATA}").content == ZIP
    assert reads.struck == 2
    writes = sandbox.faults.add(Fault("/delete", status=503))
    assert gis.session.post(f"{portal.rest_url}/content/users/boss/items/{FILE_ID}/delete").status_code == 503
    assert writes.struck == 1
    with pytest.raises(AttributeError):
        gis.session.verify = False
    assert gis.session.verify is True


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("status", [None, 498])
def test_a_rejected_token_is_renewed_for_arcgis_too(sandbox: Sandbox, status: int | None) -> None:
    """A 498 in the middle is not noticed, in reads and in writes; only a token that the portal rejects is renewed."""
    portal = sign_in(sandbox)
    gis = portal.gis
    sandbox.revoke_tokens()
    assert gis.users.search("bo*")[0].username == "boss"
    for method in ("get", "post"):
        body = {"error": {"code": 498, "message": "Invalid token.", "details": []}}
        sandbox.faults.add(Fault("/groups$", status=status, body=body, times=1))
        answer = getattr(gis.session, method)(f"{portal.rest_url}/{GROUPS}", params={"f": "json"})
        assert "admin" in answer.json()
    sign_ins = [entry for entry in sandbox.log.entries if entry.path.endswith("/generateToken")]
    assert len(sign_ins) == 1
