"""The page people read: complete about what is not protected, safe to open, small."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from saved import MAP, begin_sample, sample_outcomes, save_sample

import agolkit as ak
from agolkit.manifest import LOOK_BACK
from agolkit.model import Blob, Item, Outcome, Part, Reach, Result, in_bytes
from agolkit.report import make_report
from agolkit.report.beside import Beside, look_beside
from agolkit.report.figures import duration, percent
from agolkit.report.page import report_page
from agolkit.store import LocalStore

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FACTS: dict[str, Any] = {
    "name": "2026-11-23T110000Z",
    "state": "complete",
    "started": "2026-11-23T11:00:00Z",
    "finished": "2026-11-23T12:04:00Z",
    "scope": "default",
    "label": "nightly",
    "agolkit": "1.2.3",
    "portal": {"url": "https://example.org/portal", "id": "abc", "name": "Smallville"},
    "options": {"workers": 4, "attempts": 3},
    "saved_bytes": 25_000_000,
    "new_bytes": 1_200,
}


def outcome(number: int, result: Result = Result.VERIFIED, message: str = "", **facts: Any) -> Outcome:
    """One item; facts named like a field of `Item` are the item's."""
    of_item = {name: facts.pop(name) for name in ("title", "type", "owner", "size", "modified") if name in facts}
    defaults = {"title": f"Title {number}", "type": "PDF", "owner": "ann", "size": 1000, "modified": NOON}
    item = Item(id=f"{number:032x}", **(defaults | of_item))
    return Outcome(item, result, NOON, message=message, **facts)


def page(outcomes: Sequence[Outcome], beside: Beside = Beside(), **facts: Any) -> str:  # noqa: B008
    return report_page(outcomes, FACTS | facts, beside=beside, location="/srv/backups")


def section(html: str, heading: str) -> str:
    """What stands below a heading, up to the next."""
    return html.split(f"<h2>{heading}</h2>")[1].split("<h2>")[0]


def words(html: str) -> str:
    """What a person reads: the text, without marks."""
    return " ".join(unescape(re.sub("<[^>]*>", " ", html)).split())


MIXED = [
    outcome(1, parts=(Part("data", "data.pdf", Blob("0" * 64, 4_000_000), Reach.LENGTH),), size=3_000_000),
    outcome(2, left_out=("attachments",), type="Feature Service"),
    outcome(3, Result.FAILED, "the portal says: no", size=7_000_000),
    outcome(4, Result.PARTIAL, "rows: 8 of 9 came", type="Feature Service"),
    outcome(5, Result.PARTIAL, "rows: 10 of 1,200 came", type="Feature Service", left_out=("thumbnail",)),
    outcome(6, Result.PARTIAL, "tiles are not saved", type="Map Service", size=None),
    outcome(7, Result.STOPPED, "the run was stopped"),
    outcome(8, Result.EXCLUDED, "tag 'x' is in exclude_tags"),
    outcome(9, Result.DESCRIBED, "The portal holds no data for this item."),
]


def test_every_item_that_is_not_protected_is_listed_once_with_its_reason() -> None:
    """The list names each such item once, below its reason or with it; a verified item with all parts is not in it."""
    listed = section(page(MIXED), "What is not protected")
    for each in MIXED:
        assert listed.count(each.item.id) == (each.item.id != MIXED[0].item.id)
    said = words(listed)
    assert "left out by an option: attachments" in said
    for each in MIXED[2:]:
        assert each.message.rstrip(".") in said


def test_the_worst_comes_first() -> None:
    """Failed, partial, stopped, left out, excluded, described: in this order, whatever the order of the items."""
    said = words(section(page(MIXED[::-1]), "What is not protected"))
    headings = ["Failed: 1", "Partial: 3", "Stopped: 1", "something left out: 1", "Excluded: 1", "Described: 1"]
    assert sorted(headings, key=said.index) == headings


def test_items_with_the_same_reason_share_it() -> None:
    """A reason is said once for all its items, the biggest first; where numbers differ, each item has its own."""
    same = [outcome(k, Result.FAILED, "no", size=k) for k in range(1, 31)]
    differing = [outcome(k, Result.PARTIAL, f"{k} of 90 rows") for k in range(31, 34)]
    html = section(page(same + differing), "What is not protected")
    assert html.count("<details") == 2
    assert "no 30 items, 465 B" in words(html)
    assert html.index(same[29].item.id) < html.index(same[0].item.id)
    assert "… of … rows" in words(html)
    assert all(words(html).count(f"{k} of 90 rows") == 1 for k in range(31, 34))


def test_what_is_accepted_is_marked_with_the_reason() -> None:
    """An accepted item stays in the list, after the others, with the reason for which it is accepted."""
    html = page(MIXED, options={"accept": {"mapservice": "no licence for <tiles>", MIXED[7].item.id: "never shown"}})
    said = words(section(html, "What is not protected"))
    assert "tiles are not saved Accepted: no licence for <tiles> 1 item" in said
    assert said.count("Accepted") == 1
    assert said.index("rows:") < said.index("tiles are not saved") < said.index("Stopped")


def test_an_item_says_when_it_was_last_verified() -> None:
    """What an earlier backup holds is named with the item; the others were never verified, where any backup tells."""
    beside = Beside({MIXED[2].item.id: ("2026-11-20T020000Z", NOON - timedelta(days=3))}, looked_at=7)
    html = section(page(MIXED, beside), "What is not protected")
    said = words(html)
    assert said.count("last verified 2026-11-20, in backup 2026-11-20T020000Z") == 1
    assert said.count("never verified") == 5
    assert "Never verified, neither now nor in the 7 backups before: 5 items." in said
    described = words(html.split("Described: 1")[1])
    assert "never verified" not in described
    first = words(section(page(MIXED), "What is not protected"))
    assert first.startswith("No backup before this one tells whether these items were ever verified. Failed")
    assert "never verified" not in first


def test_a_run_that_was_stopped_says_why() -> None:
    """Why the run ended before its time stands first, with how many items it did not reach; safe to open."""
    stopped = {"state": "stopped", "stopped_by": "The portal refuses <everything>. Try again later."}
    left = [outcome(number, Result.STOPPED, "not reached") for number in range(10, 22)]
    said = words(section(page([outcome(1), *left], **stopped), "What is protected"))
    why = "This run ended before its time. The portal refuses <everything>. Try again later."
    assert said.startswith(f"{why} 12 items not reached.")
    assert words(section(page([outcome(1)], **stopped), "What is protected")).startswith(f"{why} The next run")
    assert "before its time" not in page([outcome(1)])


def test_what_is_not_an_item_is_listed_too() -> None:
    """What was left behind in the portal, and what of the organization could not be read, stand below the items."""
    beside = Beside(unread=("users: shown only to <administrators>", "settings: the portal says: no"))
    said = words(
        section(page([outcome(1)], beside, left_behind=["item x: delete it by hand"]), "What is not protected")
    )
    assert said.startswith("Every item is verified")
    assert "Left behind in the portal: 1 item x: delete it by hand" in said
    assert "Of the organization itself, not read: 2 users: shown only to <administrators> settings: the portal" in said
    assert "Left behind" not in page([outcome(1)])
    assert "not read" not in page([outcome(1)])


def test_the_numbers_agree() -> None:
    """Counts and bytes of the coverage are those of the outcomes, and nothing is rounded up to all."""
    said = words(section(page(MIXED), "What is protected"))
    assert "22 % of items 2 of 9 verified" in said
    assert "36 % of bytes 4.0 MB verified, 7.0 MB not; the size of 1 item is not known" in said
    assert re.search(r"partial .*? 3 2\.0 KB", said)
    types = words(section(page(MIXED), "By item type"))
    assert "Feature Service 1 of 3 3.0 KB" in types
    almost = [outcome(k) for k in range(2000)] + [outcome(2000, Result.FAILED, "no")]
    assert "99 % of items 2,000 of 2,001 verified" in words(page(almost))


def test_a_perfect_backup_says_so() -> None:
    """Where nothing is missing, the list says that instead of being empty; an empty backup has no percentage."""
    said = words(section(page([outcome(1)]), "What is not protected"))
    assert said.startswith("Every item is verified, with all its parts.")
    assert "nothing of items 0 of 0 verified" in words(page([]))


def test_the_tops_name_the_biggest_slowest_and_oldest() -> None:
    """Ten of each, the first in front; an item counts as old after three years."""
    many = [
        outcome(k, size=k * 1_000_000, seconds=float(k), modified=NOON - timedelta(days=365 * k)) for k in range(1, 21)
    ]
    html = page(many)
    for heading, first, last in (
        ("Biggest items", "20 MB", "11 MB"),
        ("Slowest items", "20 s", "11 s"),
        ("Oldest items", "2006-11-28", "2015-11-26"),
    ):
        rows = section(html, heading).split("<tbody>")[1].split("<tr>")[1:]
        assert [many[19].item.id in rows[0], first in rows[0], last in rows[9], len(rows)] == [True, True, True, 10]
    assert "17 items not modified for 3 years or more, 204 MB." in words(html)
    assert "Largest failures" not in html
    failed = [replace(each, result=Result.FAILED) for each in many]
    assert many[19].item.id in section(page(failed), "Largest failures").split("<tr>")[2]


def test_the_facts_of_the_run() -> None:
    """Where, when, how long, and the options that are not as they are by default."""
    html = page([outcome(1)], options={"workers": 4, "attempts": 3, "folders": ["Parks", "Roads"]})
    said = words(section(html, "The run"))
    for fact in (
        "https://example.org/portal",
        "2026-11-23 11:00 UTC",
        "1 h 4 min",
        "25 MB",
        "agolkit 1.2.3",
        "nightly",
    ):
        assert fact in said
    assert "workers: 4" in said
    assert "attempts" not in said
    assert "/srv/backups" in said
    assert "What lies outside it is not counted here: folders: Parks, Roads." in words(html)


class Seen(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


texts = st.text(st.characters(exclude_categories=()), max_size=20)


@given(title=texts, kind=texts, owner=texts, message=texts, result=st.sampled_from(Result))
def test_no_text_of_the_portal_becomes_markup(title: str, kind: str, owner: str, message: str, result: Result) -> None:
    """Whatever the portal's texts hold, half a surrogate pair included, the page has no tag that is not ours."""
    html = page([outcome(1, result, message, title=title, type=kind, owner=owner)], location=title)
    html.encode()
    ours = Seen(page([outcome(1, result, "x")]))
    seen = Seen(html)
    assert seen.tags <= ours.tags | {"p"}
    assert seen.attributes <= ours.attributes | {"open"}


def test_hostile_titles_are_shown_as_they_are() -> None:
    """Markup is text, and a right-to-left title cannot turn around what stands beside it."""
    html = page([outcome(1, title="<script>alert('x')</script>"), outcome(2, title="دليل \u202e السلامة \ud800")])
    assert "<bdi>&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;</bdi>" in html
    assert "<bdi>دليل \u202e السلامة \\ud800</bdi>" in html


def test_the_page_loads_nothing() -> None:
    """No script, no link, no image, no inline style outside its one style sheet, and a policy that forbids the rest."""
    seen = Seen(page(MIXED))
    assert not seen.tags & {"script", "link", "img", "iframe", "object", "form", "base", "a"}
    assert not seen.attributes & {"src", "href", "style", "onload"}
    assert "default-src 'none'; style-src 'sha256-" in page(MIXED)
    assert "url(" not in page(MIXED)
    assert "@import" not in page(MIXED)


@pytest.mark.parametrize("result", [Result.VERIFIED, Result.FAILED])
def test_a_large_organization_makes_a_small_page(result: Result) -> None:
    """12,000 items make a page below 3 MB in a second, even where all of them failed for reasons of their own."""
    outcomes = [
        outcome(k, result, f"data: the server gave up after {k} of 90,000 bytes" if result is Result.FAILED else "")
        for k in range(12_000)
    ]
    began = time.process_time()
    html = page(outcomes)
    assert time.process_time() - began < 1
    assert len(html.encode()) < (3_000_000 if result is Result.FAILED else 50_000)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (in_bytes(0), "0 B"),
        (in_bytes(999), "999 B"),
        (in_bytes(1_000), "1.0 KB"),
        (in_bytes(9_960), "10 KB"),
        (in_bytes(999_600), "1.0 MB"),
        (in_bytes(2_340_000_000), "2.3 GB"),
        (in_bytes(5e15), "5,000 TB"),
        (duration(0.04), "0.0 s"),
        (duration(59.6), "1 min 0 s"),
        (duration(7_260), "2 h 1 min"),
        (percent(999, 1000), "99 %"),
    ],
)
def test_figures_are_for_people(said: str, meant: str) -> None:
    """Sizes, durations and percentages are short and never promise too much."""
    assert said == meant


def test_a_notebook_shows_the_page_in_a_frame(tmp_path: Any) -> None:
    """The frame holds the whole page, runs no scripts, and shows a killed run as far as it got."""
    store = LocalStore(tmp_path / "store")
    name, outcomes = save_sample(store)
    shown = ak.show_report(store, name).data
    assert "sandbox" in shown
    html = unescape(shown.split('srcdoc="')[1].split('"></iframe>')[0])
    assert html == make_report(store, outcomes, store.summary(name))
    draft, _ = begin_sample(store)
    assert "did not end properly" in ak.show_report(store, draft.name).data


def earlier(hour: int, store: LocalStore, **facts: Any) -> str:
    """A backup of the sample that began at this hour."""
    return save_sample(store, started=NOON.replace(hour=hour), **facts)[0]


def test_the_newest_earlier_backup_with_an_item_is_found(tmp_path: Any) -> None:
    """Of several backups that hold an item verified the newest counts, also a killed one, but none from later."""
    store = LocalStore(tmp_path / "store")
    earlier(1, store)
    begin_sample(store, started=NOON.replace(hour=2))
    this = earlier(3, store)
    earlier(4, store)
    lost = [replace(each, result=Result.FAILED) for each in sample_outcomes(store)]
    beside = look_beside(store, this, lost)
    assert dict(beside.verified) == {MAP.id: ("2026-11-23T020000Z", lost[0].observed)}
    assert (beside.looked_at, beside.unread) == (2, ("organization.json is missing or cannot be read",))


def test_damaged_backups_and_old_ones_do_not_hold_up_a_report(tmp_path: Any) -> None:
    """A backup that cannot be read is passed over, whatever is wrong with it; of many, only the newest are read."""
    store = LocalStore(tmp_path / "store")
    names = [earlier(hour, store) for hour in range(4)]
    folder = tmp_path / "store" / "backups"
    (folder / names[1] / "manifest.jsonl.gz").write_bytes(b"no gzip")
    (folder / names[2] / "backup.json").write_bytes(b"[]")
    lost = [replace(each, result=Result.PARTIAL) for each in sample_outcomes(store)]
    beside = look_beside(store, names[3], lost)
    assert [backup for backup, _ in beside.verified.values()] == [names[0]]
    assert beside.looked_at == 1
    for minute in range(1, LOOK_BACK + 1):
        save_sample(store, started=NOON.replace(hour=5, minute=minute), state="stopped")
    never = [replace(outcome(1), result=Result.FAILED)]
    assert look_beside(store, "2026-11-24T000000Z", never).looked_at == LOOK_BACK


def test_the_organizations_own_gaps_are_read(tmp_path: Any) -> None:
    """What organization.json names as missing is passed on; one that is no such file is itself a gap."""
    store = LocalStore(tmp_path / "store")
    name = earlier(1, store)
    file = tmp_path / "store" / "backups" / name / "organization.json"
    for content, unread in (
        (b'{"missing": ["users: no", "roles: no"]}', ("users: no", "roles: no")),
        (b'{"missing": []}', ()),
        (b"[]", ("organization.json is missing or cannot be read",)),
    ):
        file.write_bytes(content)
        assert look_beside(store, name, []).unread == unread
