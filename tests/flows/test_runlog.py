"""`log.jsonl`: what a run did, event by event, also where it was stopped or killed."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
from city_run import Run
from interrupted import back_up, town
from portals import connect
from saved import STARTED

import agolkit as ak
from agolkit.progress import Event
from agolkit.runlog import SEGMENT_SECONDS, RunLog
from agolkit.sandbox import Sandbox
from agolkit.sandbox.faults import Fault
from agolkit.store import LocalStore, Store
from agolkit.trace import step_of, tell, tell_part, tell_retry, telling

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schemas" / "log-line.json").read_text("utf-8"))


def log_of(store: Store, backup: str = "latest") -> list[dict[str, Any]]:
    """The lines of a backup's log."""
    return [json.loads(line) for line in store.read(store.resolve(backup), "log.jsonl").splitlines()]


def test_every_line_is_as_documented(run: Run) -> None:
    """Each line of the city's log has the fields that the schema and the format's page give its event."""
    validator = jsonschema.Draft202012Validator(SCHEMA)
    lines = log_of(run.store, run.summary.backup)
    for line in lines:
        validator.validate(line)
    guide = (Path(__file__).parents[2] / "docs" / "format.md").read_text("utf-8").partition("## log.jsonl")[2]
    events = SCHEMA["properties"]["event"]["enum"]
    assert [line.split("`")[1] for line in guide.splitlines() if line.startswith("| `")][1 : len(events) + 1] == events
    assert {line["event"] for line in lines} >= {"begun", "said", "part", "item", "retry", "job", "ended"}


def test_the_log_says_what_became_of_each_item_and_part(run: Run) -> None:
    """Every item has one line, with the result and the bytes of the manifest, and its parts add up to it."""
    lines = log_of(run.store, run.summary.backup)
    items = {line["item_id"]: line for line in lines if line["event"] == "item"}
    assert len(items) == sum(line["event"] == "item" for line in lines)
    assert {item_id: (line["result"], line["bytes"]) for item_id, line in items.items()} == {
        item_id: (outcome.result, outcome.saved_bytes) for item_id, outcome in run.outcomes.items()
    }
    parts: dict[str, int] = defaultdict(int)
    for line in lines:
        if line["event"] == "part":
            parts[line["item_id"]] += line["bytes"]
    # What agolkit puts together of several answers, service.json, is no part that takes time of its own.
    assert parts == {
        item_id: sum(part.blob.size for part in outcome.parts if part.name != "definition")
        for item_id, outcome in run.outcomes.items()
        if outcome.parts
    }
    missing = {line["item_id"] for line in lines if line["event"] == "part" and line["result"] == "missing"}
    assert missing <= {item_id for item_id, line in items.items() if line["message"]}
    assert (lines[0]["event"], lines[-1]["event"], lines[-1]["result"]) == ("begun", "ended", "complete")
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)


def test_no_secret_is_in_the_log(run: Run) -> None:
    """Neither the password nor a token is in it."""
    text = run.store.read(run.summary.backup, "log.jsonl").decode()
    assert run.sandbox.password not in text
    assert "token=" not in text


def test_a_retry_says_what_failed_and_where(open_sandbox: Callable[..., Sandbox], store: LocalStore) -> None:
    """A request that had to be sent again is in the log with its item, its part and the portal's words."""
    with_maps = town()
    chosen = next(item for item in with_maps.items.values() if item.type == "Web Map")
    sandbox = open_sandbox(with_maps)
    sandbox.faults.add(Fault(f"items/{chosen.id}/data$", status=503, times=1))
    back_up(sandbox, store)
    lines = [line for line in log_of(store) if line.get("item_id") == chosen.id]
    retries = [line for line in lines if line["event"] == "retry"]
    assert [(line["part"], line["attempt"]) for line in retries] == [("data", 1)]
    assert "503" in retries[0]["message"]
    attempts = {line["part"]: line["attempt"] for line in lines if line["event"] == "part"}
    assert attempts["data"] == 2
    assert set(attempts.values()) == {1, 2}


def test_the_portal_s_moods_are_in_the_log(open_sandbox: Callable[..., Sandbox], store: LocalStore) -> None:
    """A pause that the portal asked for, and a token that was renewed, have a line each."""
    sandbox = open_sandbox(town())
    portal = connect(sandbox)
    sandbox.faults.add(Fault("/data$", status=429, times=1))
    sandbox.revoke_tokens()
    ak.backup(portal, store)
    events = Counter(line["event"] for line in log_of(store))
    assert events["brake"] == 1
    assert events["sign_in"] == 1


def test_a_backup_that_is_taken_up_keeps_the_log_of_the_first_run(
    open_sandbox: Callable[..., Sandbox], store: LocalStore
) -> None:
    """The lines of the run that was interrupted come first, then those of the run that took it up."""
    sandbox = open_sandbox(town())
    first = back_up(sandbox, store, stop_after=5)
    before = log_of(store, first.backup)
    second = back_up(sandbox, store)
    lines = log_of(store)
    assert second.backup == first.backup
    assert lines[: len(before)] == before
    assert [line["result"] for line in lines if line["event"] == "ended"] == ["stopped", "complete"]
    assert lines[len(before)]["event"] == "begun"
    assert lines[0]["run_id"] != lines[len(before)]["run_id"]


def test_a_killed_run_has_its_log(store: LocalStore) -> None:
    """What was told is in the store ten seconds later, or once it is a megabyte, and not in memory any more."""
    now = 0.0
    store.bind("0123456789abcdef", "Smallville")
    draft = store.begin(STARTED, "default")
    log = RunLog(None, clock=lambda: now)

    def segments() -> list[int]:
        folder = f"backups/{draft.name}/log"
        return [len(gzip.decompress(store.get(f"{folder}/{name}")).splitlines()) for name in store.names(folder)]

    with telling(log.hear):
        tell("said", text="before there is a backup")
        log.keep_in(draft)
        log.tick()
        assert segments() == []
        now += SEGMENT_SECONDS
        log.tick()
        assert segments() == [1]
        for _ in range(1100):
            tell("said", text="x" * 1000)
        log.tick()
        assert segments() == [1, 1100]
    assert draft.files == {}
    log.finish(draft)
    assert len(store.read(draft.name, "log.jsonl").splitlines()) == 1101


def test_a_damaged_segment_costs_only_itself(store: LocalStore) -> None:
    """Where a segment cannot be read any more, log.jsonl is made of the others."""
    store.bind("0123456789abcdef", "Smallville")
    draft = store.begin(STARTED, "default")
    log = RunLog(None)
    log.keep_in(draft)
    for number in range(3):
        log(Event("items", f"sentence {number}"))
        log.flush()
    store.put(f"backups/{draft.name}/log/000001.jsonl.gz", b"no archive")
    log.finish(draft)
    kept = [json.loads(line)["text"] for line in store.read(draft.name, "log.jsonl").splitlines()]
    assert kept == ["sentence 0", "sentence 2"]


def test_steps_inside_a_step_are_counted_once() -> None:
    """What an inner step has told as its bytes is not told again by the outer one; its attempts are."""
    told: list[dict[str, Any]] = []
    with telling(told.append, item_id="1"), step_of("all") as outer:
        with step_of("one") as inner:
            tell_retry(1, ValueError("no"), 0.5)
        tell_part(inner, "one", 30, result="saved")
        tell("job", result="completed")
    with telling(told.append):
        tell_part(outer, "all", 100, result="saved")
    tell("said", text="to nobody")
    assert told == [
        {"event": "retry", "item_id": "1", "part": "one", "attempt": 1, "seconds": 0.5, "message": "no"},
        {"event": "part", "item_id": "1", "part": "one", "bytes": 30, "attempt": 2, "result": "saved"},
        {"event": "job", "item_id": "1", "part": "all", "result": "completed"},
        {"event": "part", "part": "all", "bytes": 70, "attempt": 2, "result": "saved"},
    ]
