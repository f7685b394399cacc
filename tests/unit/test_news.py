"""What is new in a backup: a table of items before and now."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from saved import STARTED, save_part, save_sample

from agolkit.manifest import backup_facts, close_backup, read_outcomes, write_manifest
from agolkit.model import Item, Outcome, Result, RunSummary
from agolkit.news import find_news, what_is_new
from agolkit.notify import Notice
from agolkit.options import BackupOptions
from agolkit.report import make_report
from agolkit.store import LocalStore

ONE = Item(id="1" * 32, title="One", type="Web Map", owner="ann")
GONE = None


def outcome(result: Result | None, item: Item = ONE) -> list[Outcome]:
    """The item with this result; `GONE`: no item."""
    return [] if result is None else [Outcome(item, result, STARTED, message="why")]


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (Result.VERIFIED, Result.VERIFIED, ""),
        (Result.VERIFIED, Result.PARTIAL, "failures"),
        (Result.DESCRIBED, Result.FAILED, "failures"),
        (Result.EXCLUDED, Result.PARTIAL, "failures"),
        (GONE, Result.FAILED, "failures added"),
        (Result.PARTIAL, Result.PARTIAL, "known"),
        (Result.FAILED, Result.FAILED, "known"),
        (Result.FAILED, Result.PARTIAL, "known"),
        (Result.PARTIAL, Result.FAILED, "failures"),
        (Result.FAILED, Result.VERIFIED, "recovered"),
        (Result.PARTIAL, Result.DESCRIBED, "recovered"),
        (Result.PARTIAL, Result.EXCLUDED, ""),
        (Result.PARTIAL, Result.STOPPED, ""),
        (Result.VERIFIED, GONE, "vanished"),
        (Result.FAILED, GONE, "vanished"),
        (Result.VERIFIED, Result.EXCLUDED, ""),
        (Result.EXCLUDED, GONE, ""),
        (GONE, Result.VERIFIED, "added"),
    ],
)
def test_what_is_new(before: Result | None, now: Result | None, said: str) -> None:
    """For each pair of results: what, if anything, is news of the item."""
    news = what_is_new(outcome(before), outcome(now), accept={}, compared_with="2026-11-22T020000Z")
    kinds = ("failures", "known", "vanished", "recovered", "added", "accepted")
    assert " ".join(kind for kind in kinds if getattr(news, kind)) == said


@pytest.mark.parametrize("accept", [{ONE.id.upper(): "known"}, {"web map": "known"}])
@pytest.mark.parametrize("before", [Result.VERIFIED, Result.FAILED, GONE])
def test_what_is_accepted_is_no_news(accept: dict[str, str], before: Result | None) -> None:
    """A failure that `accept` names by id or type is neither new nor known, and not worth a notice."""
    news = what_is_new(outcome(before), outcome(Result.FAILED), accept=accept)
    assert (news.failures, news.known, news.accepted) == ((), (), 1)
    notice = Notice(exit_code=0, scope="nightly", organization="Springfield", news=news)
    assert not notice.is_new
    assert not notice.is_trouble
    assert notice.subject == "agolkit: Springfield (nightly) is backed up"
    assert "1 failure that you accept" in notice.text


def test_a_failure_that_is_accepted_no_longer_was_known() -> None:
    """Where only the acceptance was taken back, the failure is one that was known before."""
    news = what_is_new(outcome(Result.PARTIAL), outcome(Result.PARTIAL), accept={})
    assert (len(news.failures), len(news.known)) == (0, 1)


def test_without_an_earlier_backup_every_failure_is_new() -> None:
    """In the first backup of a scope all failures are new, and no item is added or gone."""
    news = what_is_new(None, outcome(Result.FAILED), accept={})
    assert (len(news.failures), news.added, news.compared_with) == (1, 0, "")


def test_another_choice_of_items_makes_none_vanish() -> None:
    """Where the options choose other items than before, what is not there any more is not called vanished."""
    news = what_is_new(outcome(Result.VERIFIED), [], accept={}, is_same_choice=False)
    assert news.vanished == ()
    assert "nobody knows what has vanished" in Notice(exit_code=0, news=news).text


def close(store: LocalStore, day: int, results: dict[str, Result], **changed: object) -> dict[str, object]:
    """A backup of that many days later, with these results by title."""
    options = BackupOptions.from_mapping({"scope_name": "nightly", **changed})
    draft = store.begin(STARTED + timedelta(days=day), options.scope_name)
    part = save_part(store, "item", "item.json", b"{}")
    outcomes = [
        Outcome(replace(ONE, id=f"{ord(title):032x}", title=title), result, STARTED, parts=(part,))
        for title, result in results.items()
    ]
    write_manifest(draft, outcomes)
    facts = backup_facts(
        draft, outcomes, state="complete", finished=STARTED, options=options, new_bytes=0, portal_url="https://x"
    )
    close_backup(draft, facts)
    return facts


def test_news_are_told_since_the_last_complete_backup_of_the_scope(store: LocalStore) -> None:
    """Backups of other scopes, stopped and damaged ones are passed over; the report leads with what is found."""
    store.bind("0123456789abcdef", "Springfield")
    first = close(store, 0, {"A": Result.VERIFIED, "B": Result.VERIFIED, "C": Result.FAILED})
    close(store, 1, {"A": Result.FAILED}, scope_name="another")
    save_sample(store, started=STARTED + timedelta(days=2), state="stopped")
    damaged = close(store, 3, {"A": Result.FAILED})
    store.put(f"backups/{damaged['name']}/manifest.jsonl.gz", b"no archive")
    last = close(store, 4, {"A": Result.PARTIAL, "C": Result.VERIFIED, "D": Result.VERIFIED})
    outcomes = read_outcomes(store, str(last["name"]))
    news = find_news(store, last, outcomes)
    assert news.compared_with == first["name"]
    titles = [[each.item.title for each in some] for some in (news.failures, news.vanished, news.recovered)]
    assert titles == [["A"], ["B"], ["C"]]
    assert news.added == 1
    page = make_report(store, outcomes, {"state": "complete", **last})
    assert page.index("What is new") < page.index("What is protected")
    assert f"Since the backup {first['name']}" in page
    assert "What is new" not in make_report(store, [], {"state": "complete", **first})
    narrowed = close(store, 5, {"A": Result.VERIFIED}, types=["Web Map"])
    assert not find_news(store, narrowed, outcomes).is_same_choice


def test_long_lists_are_cut_and_say_so() -> None:
    """Of a hundred new failures the notice names twenty, and says how many more there are."""
    many = [Outcome(replace(ONE, id=f"{k:032x}"), Result.FAILED, STARTED) for k in range(100)]
    notice = Notice(exit_code=3, news=what_is_new(None, many, accept={}))
    assert notice.text.count("failed: One") == 20
    assert "  and 80 more" in notice.text
    assert notice.html.count("<li>failed: One") == 20
    assert len(notice.to_json()["news"]["failures"]) == 20
    assert notice.to_json()["news"]["counts"]["failures"] == 100


def test_a_subject_is_one_line_that_leads_with_the_news() -> None:
    """Whatever the portal is called, the subject is one printable line; what is worst is named first."""
    failed, gone = outcome(Result.FAILED), outcome(Result.VERIFIED, replace(ONE, id="2" * 32))
    news = what_is_new(gone, failed, accept={}, compared_with="2026-11-22T020000Z")
    facts = {"organization": "Spring\r\nfield\x1b", "scope": "nightly", "news": news, "exit_code": 3}
    assert Notice(**facts).subject == "agolkit: 1 new failure, 1 item vanished in Spring field? (nightly)"  # type: ignore[arg-type]
    summary = RunSummary("b", "s", "stopped", {}, 0, 0, 1.0, (), (), 130, "The user stopped the run.").to_json()
    stopped = Notice(exit_code=130, scope="nightly", organization="X", summary=summary)
    assert stopped.subject == "agolkit: the run was stopped in X (nightly)"
    assert stopped.text.startswith("The run was stopped\n  The user stopped the run.")
    left = Notice(
        exit_code=3, scope="s", organization="X", summary={**summary, "state": "complete", "left_behind": ["y"]}
    )
    assert left.subject == "agolkit: something was left behind in X (s)"
    known = Notice(exit_code=3, scope="s", organization="X", news=what_is_new(failed, failed, accept={}))
    assert known.subject == "agolkit: nothing new, 1 known failure in X (s)"
