"""Names that mean harm or are merely odd: judged by rules that are written here, and not by our own."""

# ruff: noqa: RUF001

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naughty import NAMES, collisions, is_formula, names, objections, taken_for

from agolkit import layout
from agolkit.addresses import without_query, without_secrets
from agolkit.all_items import all_items_csv
from agolkit.console import plain
from agolkit.forms import look
from agolkit.kinds.feature_service.conversion.schema import unique_names
from agolkit.manifest import sum_line
from agolkit.model import Blob, Item, Outcome, Part, Reach, Result

ID = "0123456789abcdef" * 2
LONGEST = 149
MOMENT = datetime(2026, 11, 23, tzinfo=UTC)

odd = st.one_of(
    st.sampled_from(NAMES),
    st.text(st.characters(exclude_categories=()), max_size=40),
    st.lists(st.sampled_from(NAMES), min_size=2, max_size=3).map("/".join),
    st.lists(st.sampled_from(NAMES), min_size=2, max_size=3).map("".join),
    st.text(st.sampled_from("aAäÄßSsİiIıKk\u212a\u0301e. ~:/\\\0\u202e"), max_size=8),
)


def item(title: str = "x", item_type: str = "Web Map", item_id: str = ID) -> Item:
    return Item(id=item_id, title=title, type=item_type, owner="ann")


def test_the_rules_of_the_tests_see_what_is_wrong() -> None:
    """What stands in the list is mostly refused by the rules here, and what is ordinary is not."""
    for name in (
        "../x",
        "/x",
        "C:x",
        "a\\b",
        "CON",
        "com¹.txt",
        "a.",
        "a ",
        "a\0",
        "cafe\u0301",
        "\u202ex",
        "\ud800",
        "ä" * 200,
    ):
        assert objections(name, longest=LONGEST), name
    for name in ("a.png", "images/b c.png", "Übersicht.png", "CONSOLE.txt", "com10", "日本.png", "PROGRA~1"):
        assert objections(name, longest=LONGEST) == [], name
    for one, other in (("a", "A"), ("é", "e\u0301"), ("K", "\u212a"), ("ß", "SS"), ("a/b", "A"), ("ς", "Σ")):
        assert collisions([one, other]), (one, other)
    assert not collisions(["a/b", "a/c", "b", "r/1", "r/2"])


@pytest.mark.parametrize("prefix", ["resources/", "info/"])
def test_all_odd_names_of_one_item_have_a_place_of_their_own(prefix: str) -> None:
    """The whole list at once, as the names of one item: each has its own path, inside, short, on every system."""
    folder = layout.item_folder(item("x" * 300, "y" * 300))
    placed = layout.safe_paths(names(), prefix)
    assert list(placed) == sorted(names())
    paths = [path for path, _ in placed.values()]
    for path in paths:
        assert objections(f"{folder}/{path}", longest=LONGEST) == [], path
        assert path.startswith(prefix)
    assert collisions(paths) == []
    parts = [Part("resource", path, Blob("0" * 64, 0), Reach.LENGTH, exact_name=kept) for path, kept in placed.values()]
    assert [layout.exact_path(part) for part in parts] == [prefix + name for name in placed]


@given(st.lists(odd, max_size=6))
@settings(max_examples=300)
def test_no_two_names_of_one_item_meet(some: list[str]) -> None:
    """Whichever names an item has, no file system takes two of their paths for one, or for a folder of the other."""
    paths = [path for path, _ in layout.safe_paths(some, "resources/").values()]
    assert collisions(paths) == []
    assert [found for path in paths for found in objections(f"{'x' * 104}/{path}", longest=LONGEST)] == []


@given(odd, odd, odd)
@settings(max_examples=300)
def test_every_title_and_type_makes_a_folder_inside(title: str, item_type: str, item_id: str) -> None:
    """Two names below the backup's folder, whatever title, type and id hold, with room for the longest part."""
    for given_id in (ID, item_id):
        folder = layout.item_folder(item(title, item_type, given_id))
        assert objections(f"{folder}/{'p' * layout.LONGEST_PART}", longest=LONGEST) == []
        assert folder.count("/") == 1
        assert re.fullmatch("[0-9a-f]{32}", folder.rpartition("~")[2])
    own = ("AllItems.csv", "manifest.jsonl.gz", "SHA256SUMS", "organization.json", "report.html", "log.jsonl")
    first = layout.item_folder(item(title, item_type)).split("/")[0]
    for name in (*own, "backup.ipynb", "backup.json", "journal"):
        assert not taken_for(name) & taken_for(first)


@given(odd, st.booleans())
def test_what_a_system_is_given_stays_inside(name: str, windows: bool) -> None:
    """What `allowed` lets pass leads nowhere else: on Windows by all rules, elsewhere by those for what is above."""
    if layout.allowed(name, windows=windows):
        found = objections(name, longest=10_000)
        assert not set(found) & {"leads elsewhere", "no text", "a name too long for ext4"}
        assert not (windows and found)
        assert not any(ord(each) < 32 for each in name)


@pytest.mark.parametrize("name", names()[: len(NAMES)], ids=range(len(NAMES)))
def test_an_ending_is_harmless(name: str) -> None:
    """Of an attachment's or a file's own name only the ending comes into a path."""
    assert re.fullmatch(r"(\.[a-z0-9]{1,8})?", layout.extension(name))
    assert objections(f"attachments/0/1-1{layout.extension(name)}", longest=LONGEST) == []


@given(st.lists(odd, min_size=1, max_size=4))
def test_names_of_layers_make_files_and_tables(some: list[str]) -> None:
    """A converted layer is called after its name, without what a file system or a database would stumble over."""
    made = unique_names(some, plain=True)
    for name in made:
        assert objections(f"{name}~0.parquet", longest=LONGEST) == []
        assert "/" not in name
    assert len({each.casefold() for each in made}) == len(some)


def cells_in(table: bytes, separator: str) -> list[str]:
    """Every cell as a spreadsheet has it that separates by this."""
    rows = csv.reader(io.StringIO(table.decode("utf-8-sig"), newline=""), delimiter=separator)
    return [cell for row in rows for cell in row]


def listed(texts: Sequence[str]) -> bytes:
    return all_items_csv(
        Outcome(
            Item(id=ID, title=text, type=text, owner=text, folder=text, tags=(text, text), url=text),
            Result.FAILED,
            MOMENT,
            groups=(text,),
            left_out=(text,),
            message=text,
        )
        for text in texts
    )


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@given(st.lists(odd, min_size=1, max_size=3))
def test_no_cell_is_a_formula(separator: str, texts: list[str]) -> None:
    """Wherever a spreadsheet cuts the file into cells, by comma, semicolon or tab, none begins as a formula does."""
    for cell in cells_in(listed(texts), separator):
        assert not is_formula(cell), cell


def test_known_injections_are_texts() -> None:
    """The well-known payloads, alone, in full-width signs, behind quotes and behind others' separators."""
    attack = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "＋1", "－1", "＠1", " =1", "\ufeff=1"]
    attack += ["a;=1", 'a;"=1"', "a\t=1", "a\n=1", "a;\u00a0=1", 'x";=1', "a;;;+1", "1;-2"]
    for text in [*attack, *names()]:
        for separator in ",;\t":
            assert [cell for cell in cells_in(listed([text]), separator) if is_formula(cell)] == [], text
    assert cells_in(listed(["plain; text - with = signs"]), ",")[25] == "plain; text - with = signs"


@given(odd)
def test_what_is_printed_steers_no_terminal(text: str) -> None:
    """No control character, no escape sequence and nothing that turns the reading around comes to a terminal."""
    assert all(each.isprintable() or each in "\n\u200c\u200d" for each in plain(text))
    assert not set(plain(text)) & set("\x1b\x07\x08\x7f\x9b\u202e\u2066\r")


def test_what_some_scripts_need_is_printed() -> None:
    """The joiners without which Persian and many emoji fall apart are kept."""
    for text in ("می\u200cخواهم", "👩\u200d👧", "Ärger 日本"):
        assert plain(text) == text


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(f"{tag} {' '.join(name for name, _ in attrs)}".strip())


@given(odd)
def test_the_form_shows_names_as_texts(text: str) -> None:
    """Neither titles nor messages become markup in the form's lists."""
    outcome = Outcome(Item(id=ID, title=text, type=text, owner=text), Result.FAILED, MOMENT, message=text)
    assert _Tags(look.item_lines([outcome])).found == ["div", "span class", "span class"]
    assert _Tags(look.sentence(text)).found == []


@given(odd)
def test_a_list_of_sums_has_one_line_for_a_file(path: str) -> None:
    """`sha256sum -c` reads each name as one name, whatever is in it."""
    line = sum_line("0" * 64, path)
    assert line.count("\n") == 1
    assert "\r" not in line


@pytest.mark.parametrize(
    ("address", "listed", "said"),
    [
        ("https://a/b?f=json", "https://a/b?f=json", "https://a/b"),
        ("https://a/b?token=SECRET&f=json", "https://a/b?token=…&f=json", "https://a/b"),
        ("https://a/b?f=json&access_token=SECRET#x", "https://a/b?f=json&access_token=…#x", "https://a/b"),
        ("https://a/b#access_token=SECRET", "https://a/b#access_token=…", "https://a/b"),
        ("https://me:SECRET@a/b", "https://a/b", "https://a/b"),
        ("https://SECRET@a:1/b@c", "https://a:1/b@c", "https://a:1/b@c"),
        ("https://:SECRET@a", "https://a", "https://a"),
        ("https://a?X-Amz-Signature=SECRET&X-Amz-Date=1", "https://a?X-Amz-Signature=…&X-Amz-Date=1", "https://a"),
        ("https://a?sv=1&sig=SECRET", "https://a?sv=1&sig=…", "https://a"),
        ("https://a?apiKey=SECRET;Password=SECRET", "https://a?apiKey=…;Password=…", "https://a"),
        ("no address: a@b?", "no address: a@b?", "no address: a@b"),
    ],
)
def test_addresses_are_said_without_what_opens_them(address: str, listed: str, said: str) -> None:
    """In lists the secret parameters are cut, in messages the whole query; names and passwords are in neither."""
    assert without_secrets(address) == listed
    assert without_query(address) == said
