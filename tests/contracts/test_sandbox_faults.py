"""What faults make of the portal's own answers, and a portal that is gone for a while."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from caller import Caller
from practice_town import FILE, FILE_BYTES, MAP, TREES, town

from agolkit.sandbox import Fault, Sandbox

Open = Callable[..., Sandbox]
DATA = f"content/items/{FILE}/data"


def test_the_json_of_an_answer_can_be_changed(open_sandbox: Open) -> None:
    """The portal does what was asked, and its answer is not what it should be; what is no JSON stays."""
    sandbox = open_sandbox(town("enterprise"), shuffle_ties=False)

    def doubled(answer: dict[str, Any]) -> dict[str, Any]:
        return answer | {"results": answer["results"] * 2}

    with Caller(sandbox, "chief") as caller:
        whole = caller.get("search", q="water")["results"]
        fault = sandbox.faults.add(Fault(r"/search$|/data$", change=doubled))
        assert caller.get("search", q="water")["results"] == whole * 2
        assert caller.raw(DATA).content == FILE_BYTES
        assert fault.struck == 2
        sandbox.faults[:] = [Fault(r"/export$", change=lambda _: {"error": {"code": 500, "message": "Oh."}})]
        items = len(sandbox.org.items)
        answer = caller.post("content/users/chief/export", itemId=TREES, exportFormat="CSV", title="A copy")
        assert answer["error"]["message"] == "Oh."
        assert len(sandbox.org.items) == items + 1


@pytest.mark.parametrize("wrong", [lambda body: gzip.compress(body)[:-9], lambda _: b"\x1f\x8b but not gzip"])
def test_compression_can_be_broken(open_sandbox: Open, wrong: Callable[[bytes], bytes]) -> None:
    """An answer that says gzip may be cut off, or be anything else."""
    sandbox = open_sandbox(town("enterprise"))
    sandbox.faults.add(Fault(r"/data$", rewrite=wrong, headers={"Content-Encoding": "gzip"}))
    with Caller(sandbox, "chief") as caller:
        answer = caller.raw(DATA, stream=True)
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.raw.read(decode_content=False) == wrong(FILE_BYTES)


def test_the_stated_length_can_be_wrong(open_sandbox: Open) -> None:
    """Of an answer that states more than it has, the end never comes; of one that states less, no more comes."""
    sandbox = open_sandbox(town("enterprise"))
    sandbox.faults[:] = [Fault(r"/data$", longer=5, times=1), Fault(r"/data$", longer=-5, times=1)]
    with Caller(sandbox, "chief") as caller:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            caller.raw(DATA)
        assert caller.raw(DATA).content == FILE_BYTES[:-5]
        assert caller.raw(DATA).content == FILE_BYTES


def test_an_answer_can_state_no_length(open_sandbox: Open) -> None:
    """One answer can be chunked, small or large."""
    sandbox = open_sandbox(town("enterprise"))
    sandbox.faults.add(Fault(r"/data$|/self$", chunked=True))
    with Caller(sandbox, "chief") as caller:
        answer = caller.raw(DATA)
        assert answer.content == FILE_BYTES
        assert "content-length" not in answer.headers
        assert caller.get("portals/self")["name"] == "Town"


def test_an_answer_can_stall_or_be_slow(open_sandbox: Open) -> None:
    """A stalled answer ends when the client gives up, and is not under way any more; a slow one comes in the end."""
    sandbox = open_sandbox(town("enterprise"))
    sandbox.faults[:] = [
        Fault(r"/data$", cut_after=100, stalls=True, times=1),
        Fault(r"/data$", bandwidth=len(FILE_BYTES) * 5),
    ]
    with Caller(sandbox, "chief") as caller:
        with pytest.raises(requests.exceptions.ConnectionError):
            caller.session.get(caller.rest + DATA, timeout=0.2)
        began = time.perf_counter()
        assert caller.raw(DATA).content == FILE_BYTES
        assert time.perf_counter() - began >= 0.19
    assert [entry.bytes_out for entry in sandbox.log.entries] == [100, len(FILE_BYTES)]
    assert not sandbox.log.entries[0].is_under_way


def test_chances_are_the_same_each_time(open_sandbox: Open) -> None:
    """A fault can strike at random; with the same seed the same requests are struck."""
    sandbox = open_sandbox(town())
    sandbox.faults.add(Fault(r"/self$", status=503, chance=0.3))
    rounds = []
    with Caller(sandbox, "chief") as caller:
        for _ in range(2):
            sandbox.faults.seed(7)
            rounds.append([caller.raw("portals/self?f=json").status_code for _ in range(40)])
    assert rounds[0] == rounds[1]
    assert 4 <= rounds[0].count(503) <= 20


def test_a_fault_can_strike_each_address_by_itself(open_sandbox: Open) -> None:
    """What is counted by path strikes each path so many times, whatever is asked between."""
    sandbox = open_sandbox(town())
    fault = sandbox.faults.add(Fault("", status=503, times=2, by_path=True))
    with Caller(sandbox, "chief") as caller:
        paths = ["portals/self?f=json", "info?f=json"] * 3
        assert [caller.raw(path).status_code for path in paths] == [503] * 4 + [200] * 2
    assert fault.struck == 4


def test_a_token_is_noticed_wherever_it_comes(open_sandbox: Open) -> None:
    """The log tells of each request whether a token came with it, also where nobody asks for one."""
    sandbox = open_sandbox(town())
    with Caller(sandbox, "chief") as chief, Caller(sandbox) as nobody:
        chief.raw("https://localhost:{}/objects/x/y".format(sandbox.url.split(":")[2].split("/")[0]))
        nobody.raw("info?f=json")
        nobody.raw("info?f=json&token=" + sandbox.new_token())
    assert [entry.token_came for entry in sandbox.log.entries] == [True, False, True]


def test_somebody_else_acts_right_before_an_answer(open_sandbox: Open) -> None:
    """What others do meanwhile is in the answer."""
    sandbox = open_sandbox(town())
    sandbox.faults.add(Fault(rf"/items/{MAP}$", action=lambda: sandbox.org.items.pop(MAP)))
    with Caller(sandbox, "chief") as caller:
        assert caller.get(f"content/items/{MAP}")["error"]["messageCode"] == "CONT_0001"


def test_a_portal_can_be_gone_for_a_while(open_sandbox: Open) -> None:
    """Connections are hung up and refused; later the same portal answers at the same address, jobs done meanwhile."""
    sandbox = open_sandbox(town(), export_seconds=0.1)
    with Caller(sandbox, "chief") as caller:
        job = caller.post("content/users/chief/export", itemId=TREES, exportFormat="CSV", title="A copy")
        for _ in range(2):
            sandbox.go_away()
            with pytest.raises(requests.exceptions.ConnectionError):
                caller.get("portals/self")
            sandbox.come_back()
            assert caller.get("portals/self")["name"] == "Town"
        assert caller.wait_for("chief", job)["status"] == "completed"
