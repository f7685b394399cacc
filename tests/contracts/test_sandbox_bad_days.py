"""Faults, slowness and the request log of the practice portal."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from caller import Caller
from practice_town import FILE, FILE_BYTES, MAP, PASSWORDS, PRIVATE, TREES, town

from agolkit.sandbox import Fault, Sandbox

Open = Callable[..., Sandbox]
RATE_LIMIT = {"error": {"code": 429, "message": "Unable to complete operation.", "details": ["Retry after 60 sec."]}}


def test_fault_answers_in_place_of_the_portal(open_sandbox: Open) -> None:
    """A fault can be an HTTP status with headers, an error inside 200, a page of a proxy, or bytes."""
    sandbox = open_sandbox(town())
    with Caller(sandbox, "chief") as caller:
        sandbox.faults.add(Fault(r"/portals/self$", status=429, headers={"Retry-After": "2"}))
        answer = caller.raw("portals/self?f=json")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
        assert answer.headers["content-type"] == "text/html"
        sandbox.faults[:] = [Fault(r"/search$", body=RATE_LIMIT)]
        assert caller.raw("search?f=json").status_code == 200
        assert caller.get("search") == RATE_LIMIT
        assert caller.get("portals/self")["name"] == "Town"
        sandbox.faults[:] = [Fault(r"/data$", status=503, body="<html>Down</html>")]
        assert caller.raw(f"content/items/{MAP}/data").text == "<html>Down</html>"
        sandbox.faults[:] = [Fault(r"/data$", body=b"\x00\x01", headers={"Content-Type": "application/zip"})]
        answer = caller.raw(f"content/items/{MAP}/data")
        assert (answer.content, answer.headers["content-type"]) == (b"\x00\x01", "application/zip")


def test_fault_strikes_when_and_as_often_as_it_should(open_sandbox: Open) -> None:
    """A fault lets some requests pass, strikes some times, and only the method that it names."""
    sandbox = open_sandbox(town())
    fault = sandbox.faults.add(Fault(r"/search$", method="POST", status=500, skip=1, times=2))
    with Caller(sandbox, "chief") as caller:
        assert caller.raw("search?f=json").status_code == 200
        codes = [caller.raw("search", "POST", data={"f": "json", "q": "water"}).status_code for _ in range(4)]
        assert codes == [200, 500, 500, 200]
        assert fault.struck == 2


def test_answer_can_be_cut_off(open_sandbox: Open) -> None:
    """A cut answer ends before its stated length, large or small, with one connection lost and no more."""
    sandbox = open_sandbox(town("enterprise"))
    with Caller(sandbox, "chief") as caller:
        sandbox.faults.add(Fault(r"/data$", cut_after=1000, times=2))
        answer = caller.raw(f"content/items/{FILE}/data", stream=True)
        assert answer.headers["content-length"] == str(len(FILE_BYTES))
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            answer.content  # noqa: B018 - reading it is the test
        sandbox.faults.add(Fault(r"/portals/self$", cut_after=10, times=1))
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            caller.get("portals/self")
        assert caller.get("portals/self")["name"] == "Town"
        assert sandbox.log.entries[0].bytes_out == 1000


def test_slowness_can_be_set_while_the_portal_runs(open_sandbox: Open) -> None:
    """Latency, delay of a fault, and bandwidth each make an answer take its time."""
    sandbox = open_sandbox(town("enterprise"))
    with Caller(sandbox, "chief") as caller:
        caller.get("info")

        def seconds(path: str) -> float:
            began = time.perf_counter()
            caller.raw(path)
            return time.perf_counter() - began

        sandbox.settings.latency = 0.1
        assert seconds("info?f=json") >= 0.1
        sandbox.settings.latency = 0
        sandbox.faults.add(Fault(r"/info$", delay=0.1))
        assert seconds("info?f=json") >= 0.1
        sandbox.settings.bandwidth = len(FILE_BYTES) * 5
        assert seconds(f"content/items/{FILE}/data") >= 0.19


def test_log_says_who_asked_for_what_without_secrets(open_sandbox: Open) -> None:
    """Each request is logged with user, status and bytes; tokens and passwords are not."""
    sandbox = open_sandbox(town())
    with Caller(sandbox) as caller:
        caller.get("generateToken", username="ann", password=PASSWORDS["ann"])
        token = sandbox.new_token("bob")
        caller.get("search", q="water", token=token)
        caller.raw("nothing//here?f=json&TOKEN=" + token)
        first, second, third = sandbox.log.entries
    assert (first.user, first.signed_in) == (None, False)
    assert first.query == "f=json&username=ann"
    assert (second.user, second.signed_in, second.status, second.method) == ("bob", True, 200, "GET")
    assert second.bytes_out > 100
    assert second.milliseconds > 0
    assert third.path == "/portal/sharing/rest/nothing/here"
    assert token not in str(sandbox.log.entries)
    assert PASSWORDS["ann"] not in str(sandbox.log.entries)


def test_log_knows_writes_and_unsigned_requests_for_content(open_sandbox: Open) -> None:
    """Writes are told from POSTs that only read; requests for content without a token stand out."""
    sandbox = open_sandbox(town())
    with Caller(sandbox, "ann") as ann, Caller(sandbox) as nobody:
        ann.post("search", q="water")
        ann.post(f"content/items/{MAP}")
        ann.raw(f"content/items/{FILE}/data")
        ann.post("content/users/ann/export", itemId=TREES, exportFormat="CSV", title="Copy")
        ann.post(f"content/users/ann/items/{MAP}/delete")
        nobody.get(f"content/items/{PRIVATE}")
        nobody.get("portals/self")
    assert [entry.path.rsplit("/", 1)[1] for entry in sandbox.log.writes()] == ["export", "delete"]
    assert [entry.path.rsplit("/", 1)[1] for entry in sandbox.log.unsigned_content()] == [PRIVATE]
    sandbox.log.clear()
    assert sandbox.log.entries == []


def test_log_counts_requests_under_way_at_once(open_sandbox: Open) -> None:
    """The highest number of requests at once is known."""
    sandbox = open_sandbox(town(), latency=0.3)
    callers = [Caller(sandbox, "chief") for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda caller: caller.get("portals/self"), callers))
    for caller in callers:
        caller.session.close()
    assert sandbox.log.most_in_flight == 6


def test_unknown_address_is_an_error_inside_http_200(open_sandbox: Open) -> None:
    """What the portal does not know is answered as it answers everything: JSON, 200."""
    with Caller(open_sandbox(town()), "chief") as caller:
        answer = caller.raw("no/such/thing?f=json")
        assert answer.status_code == 200
        assert answer.json() == {"error": {"code": 400, "message": "Invalid URL", "details": ["Invalid URL"]}}


def test_portal_says_what_it_is(open_sandbox: Open) -> None:
    """The representation answers: which organization, which mode, where."""
    sandbox = open_sandbox(town())
    assert repr(sandbox) == f"<Sandbox 'Town', online, {sandbox.url}>"
    assert (sandbox.username, sandbox.password) == ("chief", PASSWORDS["chief"])
    sandbox.stop()
    assert repr(sandbox) == "<Sandbox 'Town', online, not running>"
    assert not sandbox.ca_bundle.exists()


def test_request_units_run_out(open_sandbox: Open) -> None:
    """Services refuse with JSON inside HTTP 200, the Sharing API with HTTP 429; queries say what they cost."""
    sandbox = open_sandbox(town(), request_units_per_minute=12, minute_seconds=60)
    service = f"{sandbox.url.removesuffix('/portal')}/{sandbox.org.id}/arcgis/rest/services/Trees/FeatureServer"
    with Caller(sandbox, "chief") as caller:
        for used in (5, 10):
            answer = caller.raw(f"{service}/0/query?f=json&where=1=1&returnCountOnly=true")
            assert answer.headers["x-esri-org-request-units-per-min"] == f"usage={used};max=12"
            assert answer.headers["x-esri-query-request-units"] == "5"
            assert "count" in answer.json()
        assert "x-esri-query-request-units" not in caller.raw(f"{service}?f=json").headers
        refused = caller.raw(f"{service}/0/query?f=json&where=1=1&returnCountOnly=true")
        assert (refused.status_code, "Retry-After" in refused.headers) == (200, False)
        error = refused.json()["error"]
        assert error["code"] == 429
        assert error["details"] == [
            "API calls quota exceeded (16)! maximum allowed (12) per Minute. Retry after 60 sec."
        ]
        assert caller.get("portals/self")["name"] == "Town"
        refused = caller.raw("portals/self?f=json")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
        assert refused.json()["error"]["code"] == 429
        assert caller.raw("generateToken", "POST", data={"f": "json"}).status_code == 200
        assert sandbox.refused_requests == 2


def test_request_units_come_back_with_the_next_minute(open_sandbox: Open) -> None:
    """Who waits as long as the refusal says is served."""
    sandbox = open_sandbox(town(), request_units_per_minute=1, minute_seconds=0.2)
    with Caller(sandbox, "chief") as caller:
        for _ in range(3):
            answer = caller.raw("portals/self?f=json")
            if answer.status_code == 429:
                time.sleep(float(answer.headers["Retry-After"]))
                answer = caller.raw("portals/self?f=json")
            assert answer.json()["name"] == "Town"
