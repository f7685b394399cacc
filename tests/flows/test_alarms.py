"""Mass-change alarms: what raises one, what does not, and who may say that the change was meant."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from interrupted import back_up, town
from saved import STARTED, sample_outcomes, save_part

import agolkit as ak
from agolkit.alarms import find_alarms
from agolkit.errors import NoSuchBackup
from agolkit.manifest import backup_facts, close_backup, read_outcomes, write_manifest
from agolkit.model import Item, Outcome, Result, RunSummary
from agolkit.sandbox import Sandbox
from agolkit.sandbox.organization import Organization
from agolkit.store import Draft, LocalStore

ALL = frozenset(["portal:admin:viewItems", "portal:admin:viewUsers", "portal:user:createItem"])


def outcome(number: int, result: Result = Result.VERIFIED) -> Outcome:
    return Outcome(Item(id=f"{number:032x}", title=f"map {number}", type="Web Map", owner="ann"), result, STARTED)


def save(store: LocalStore, day: int, outcomes: list[Outcome], scope: str = "default", **facts: Any) -> Draft:
    """A complete backup of that day."""
    store.bind("0123456789abcdef", "Smallville")
    draft = store.begin(STARTED - timedelta(days=100 - day), scope, tree="none")
    write_manifest(draft, outcomes)
    told = {"account": {"username": "ann", "privileges": sorted(ALL)}, **facts}
    options = ak.BackupOptions(scope_name=scope)
    close_backup(
        draft,
        backup_facts(
            draft,
            outcomes,
            state="complete",
            finished=STARTED,
            options=options,
            new_bytes=0,
            portal_url="https://x",
            **told,
        ),
    )
    return draft


def alarms(store: LocalStore, now: list[Outcome], *, privileges: frozenset[str] = ALL, **options: Any) -> list[str]:
    return find_alarms(store, now, options=ak.BackupOptions(**options), privileges=privileges)


def test_a_first_run_raises_no_alarm(store: LocalStore) -> None:
    """There is nothing to compare the first backup of a scope with, whatever other scopes hold."""
    assert alarms(store, [outcome(1)]) == []
    save(store, 1, [outcome(number) for number in range(10)], scope="other")
    assert alarms(store, [outcome(1)]) == []


def test_many_vanished_items_raise_an_alarm(store: LocalStore) -> None:
    """A third of the items is gone or left out: one sentence with the numbers and some names."""
    name = save(store, 1, [outcome(number) for number in range(30)]).name
    now = [outcome(number, Result.EXCLUDED if number < 22 else Result.FAILED) for number in range(20, 30)]
    now += [outcome(number) for number in range(12)]
    assert alarms(store, now) == [
        f"10 of the 30 items that the backup {name} covers are not covered any more: 8 were not found, 2 are left out; "
        "among them Web Map 0000000000000000000000000000000c, Web Map 0000000000000000000000000000000d, "
        "Web Map 0000000000000000000000000000000e."
    ]
    assert alarms(store, now, alarm_items=0.4) == [], "the threshold is an option"


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (range(30), range(6, 40)),  # a fifth, and no more
        (range(4), range(0)),  # all of a few
        (range(10), range(10)),
    ],
)
def test_few_vanished_items_raise_none(store: LocalStore, before: range, now: range) -> None:
    """What comes and goes from day to day is no alarm."""
    left_out = [outcome(number, Result.EXCLUDED) for number in range(100, 150)]  # these were not covered before either
    save(store, 1, [outcome(number) for number in before] + left_out)
    assert alarms(store, [outcome(number) for number in now]) == []


def test_lost_privileges_raise_an_alarm(store: LocalStore) -> None:
    """An account that may do less than it could is named with what it lost; one that may do more is not."""
    name = save(store, 1, [outcome(1)]).name
    assert alarms(store, [outcome(1)], privileges=frozenset(["portal:user:createItem", "new"])) == [
        f"The account has lost 2 privileges since the backup {name}, and may see less than it did: "
        "portal:admin:viewItems, portal:admin:viewUsers."
    ]
    assert alarms(store, [outcome(1)], privileges=ALL | {"new"}) == []


def test_a_damaged_backup_before_ends_no_run(store: LocalStore, caplog: pytest.LogCaptureFixture) -> None:
    """Where the last backup cannot be read, no alarm is raised, and the log says why."""
    draft = save(store, 1, [outcome(1)])
    store.put(f"backups/{draft.name}/manifest.jsonl.gz", b"torn")
    assert alarms(store, []) == []
    assert "has a manifest that is not the one its backup.json names" in caplog.text


def emptied(org: Organization, most: int) -> int:
    """The number of layers with at least 20 rows that had more than `most` and now have so many."""
    emptied = 0
    for service in org.services.values():
        for layer in service.all():
            if len(layer.features) >= 20:
                emptied += 1
                layer.features = list(layer.features)[:most]
                layer.last_edit += 1000
    return emptied


def rows_before(sentence: str) -> int:
    return int(sentence.split()[-1].rstrip(".").replace(",", ""))


@pytest.mark.parametrize("feature_format", ["rows", "fgdb"])
def test_a_layer_that_lost_most_of_its_rows_raises_an_alarm(
    open_sandbox: Callable[..., Sandbox], store: LocalStore, feature_format: str
) -> None:
    """Each layer that was emptied is named with its numbers of rows, however its rows are saved."""
    org = town()
    sandbox = open_sandbox(org)
    first = back_up(sandbox, store, feature_format=feature_format).backup
    before = sorted(len(layer.features) for service in org.services.values() for layer in service.all())
    layers = emptied(org, 9)
    again = back_up(sandbox, store, feature_format=feature_format, scope_name="again").backup
    privileges = frozenset(store.summary(first)["account"]["privileges"])
    found = alarms(store, read_outcomes(store, again), privileges=privileges)
    assert layers == len(found) > 0
    for sentence, rows in zip(sorted(found, key=rows_before), before[-layers:], strict=True):
        assert re.fullmatch(
            rf"Layer \d+ of Feature Service [0-9a-f]{{32}} has 9 rows; in the backup {first} it had {rows:,}\.",
            sentence,
        )
    assert alarms(store, read_outcomes(store, again), privileges=privileges, alarm_rows=1) == []


def service(store: LocalStore, definition: dict[str, Any]) -> Outcome:
    """A hosted service whose `service.json` says this."""
    item = Item(id="5" * 32, title="Trees", type="Feature Service", owner="ann")
    part = save_part(store, "definition", "service.json", json.dumps(definition).encode())
    return Outcome(item, Result.VERIFIED, STARTED, "feature service", (part,))


LAYERS = {"layers": [{"id": 0, "name": "Elms"}], "tables": []}


@pytest.mark.parametrize(
    ("now", "raised"),
    [
        ({"layers": LAYERS, "rows": [{"id": 0, "rows": 49}]}, 1),
        ({"layers": {"layers": [{"id": 1}]}, "rows": [{"id": 1, "rows": 100}]}, 1),  # another layer instead
        ({"layers": LAYERS, "rows": [{"id": 0, "rows": 50}]}, 0),
        ({"layers": LAYERS, "rows": []}, 0),  # it is there, and was not saved, which the item's own message tells
        ({"view": {"sources": []}, "layers": LAYERS}, 0),
        ({"root": {}}, 0),
    ],
)
def test_a_layer_counts_as_emptied_only_where_its_rows_were_looked_for(
    store: LocalStore, now: dict[str, Any], raised: int
) -> None:
    """Rows that an option leaves out, or that could not be read, are no loss; a layer that is gone is."""
    store.bind("0123456789abcdef", "Smallville")
    save(store, 1, [service(store, {"layers": LAYERS, "geodatabase": [{"id": 0, "rows": 100}]})])
    assert len(alarms(store, [service(store, now)])) == raised


def test_a_summary_says_its_alarms() -> None:
    """People and machines read in the summary of a run what raised an alarm."""
    counts = dict.fromkeys(Result, 0)
    run = RunSummary("b", "s", "complete", counts, 0, 0, 1.0, (), (), 7, alarms=("Half is gone.",))
    assert "\n  ALARM: Half is gone.\n" in str(run)
    assert run.to_json()["alarms"] == ["Half is gone."]
    later = RunSummary("c", "s", "complete", counts, 0, 0, 1.0, (), (), 7, standing=("b",))
    assert "The alarm of the backup b still stands." in str(later)


def test_an_alarm_stands_until_somebody_ends_it(store: LocalStore) -> None:
    """Alarms are listed with what they say, and no more once they are ended, one by one or all."""
    quiet = save(store, 1, [outcome(1)]).name
    names = [save(store, day, [outcome(1)], alarms=[f"sentence {day}"]).name for day in (2, 3, 4)]
    assert [alarm.backup for alarm in ak.standing_alarms(store)] == names
    assert str(ak.standing_alarms(store)[0]) == f"{names[0]}, scope 'default':\n  sentence 2"
    assert ak.standing_alarms(store, quiet) == ak.unpin(store, quiet) == []
    assert [alarm.sentences for alarm in ak.unpin(store, names[1])] == [("sentence 3",)]
    assert [alarm.backup for alarm in ak.standing_alarms(store)] == [names[0], names[2]]
    assert [alarm.backup for alarm in ak.unpin(store)] == [names[0], names[2]]
    assert ak.standing_alarms(store) == ak.unpin(store) == []
    with pytest.raises(NoSuchBackup):
        ak.unpin(store, "1999")


def test_an_ended_alarm_leaves_the_backup_unharmed(store: LocalStore) -> None:
    """Verification finds nothing wrong with a backup whose alarm was raised and ended."""
    store.bind("0123456789abcdef", "Smallville")
    name = save(store, 1, sample_outcomes(store), alarms=["half is gone"]).name
    ak.unpin(store)
    assert ak.verify(store, name, deep=True).damages == ()
