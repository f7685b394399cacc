"""Names inside a backup: whatever the portal calls its things, paths stay inside, short, and good on every system."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agolkit import layout
from agolkit.model import Blob, Item, Part, Reach

ITEM_ID = "0123456789abcdef" * 2
# fmt: off
NAUGHTY = [
    "", " ", ".", "..", "...", "/", "//", "\\", "a/", "/a", "a//b", "./a", "a/./b", "a/../b", "../a", "..\\a", "a\\b",
    "/etc/passwd", "C:", "C:a", "C:\\a", "c:/a", "\\\\server\\share", "//server/share", "\\\\?\\C:\\a", "~/a",
    "CON", "con", "Con.txt", "NUL", "NUL.tar.gz", "aux.", "PRN ", "COM1", "COM¹.txt", "lpt9.x.y", "CONIN$", "a/nul/b",
    "a\0b", "a\nb", "a\rb", "a\tb", "\x7f", "\x1b", "a\u202eb", "\ufeffa", "\u200b", "\u2028", "\ud800", "\udfff.png",
    "a.", "a ", " a", "a. .", ".a", "-rf", "--help", "*", "?", "a:b", "a|b", 'a"b', "<a>", "%00", "%2e%2e%2f", "$HOME",
    "e\u0301.png", "\u00e9.png", "ﬁ.png", "ß", "İ", "\u0131", "日本語.png", "𠮷野家", "Ω≈ç√∫",
    "ثم نفس", "नक्शा", "👩‍👩‍👧‍👦.png",
    "Z͑ͫ̓aͫ̓ͪ̂", "r", "R", "r/0123456789ab.png", "R/x.png", "journal", "backup.json", "a" * 300, "x" * 200 + ".png",
    "a/" * 100 + "b",
    "=1+1", "'; DROP TABLE items; --", "<script>alert(1)</script>", "null", "None", "NaN", "1.0", "0",
]
# fmt: on
names = st.one_of(
    st.sampled_from(NAUGHTY),
    st.text(max_size=80),
    st.text(st.characters(exclude_categories=()), max_size=30),
    st.lists(st.sampled_from([*NAUGHTY, "a", "B", "b", "images"]), min_size=1, max_size=4).map("/".join),
)
anything = st.one_of(names, st.text(st.sampled_from("aAbB/.\\ rR:"), max_size=12))


def assert_safe(path: str) -> None:
    """A path stays below where it starts, on POSIX and on Windows, is the same file on both, and can be written."""
    assert len(path.encode("utf-16-le")) // 2 < 150
    assert not PurePosixPath(path).is_absolute()
    windows = PureWindowsPath(path)
    assert not windows.drive
    assert not windows.root
    assert windows.as_posix() == path
    for name in path.split("/"):
        assert name not in ("", ".", "..")
        assert len(name.encode()) <= 255
        assert not re.match(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³]|conin\$|conout\$) *(\.|$)", name.casefold())
        assert not re.search(r'[<>:"\\|?*\x00-\x1f]', name)
        assert name.rstrip(". ") == name
        assert unicodedata.normalize("NFC", name) == name


def item(title: str, item_type: str = "Web Map", item_id: str = ITEM_ID) -> Item:
    return Item(id=item_id, title=title, type=item_type, owner="ann")


def test_a_folder_of_an_item_tells_its_type_title_and_id() -> None:
    """An ordinary item's folder reads as people expect."""
    assert layout.item_folder(item("Water mains (2024)")) == f"Web Map/Water mains _2024_~{ITEM_ID}"
    assert layout.item_folder(item("Straßenkarte: नक्शा")) == f"Web Map/Straßenkarte_ नक्शा~{ITEM_ID}"
    assert layout.item_folder(item("")) == f"Web Map/untitled~{ITEM_ID}"
    assert layout.item_folder(item("x", "")) == f"no type/x~{ITEM_ID}"


@given(title=anything, item_type=anything, item_id=st.one_of(st.just(ITEM_ID), anything))
def test_every_item_gets_a_safe_folder_with_room_for_its_parts(title: str, item_type: str, item_id: str) -> None:
    """No title, type or id leads outside, and the longest part path still fits."""
    folder = layout.item_folder(item(title, item_type, item_id))
    assert_safe(f"{folder}/{'p' * layout.LONGEST_PART}")
    kind, name = folder.split("/")
    assert kind.casefold() not in layout.OWN_NAMES
    assert re.fullmatch(r".{1,40}~[0-9a-f]{32}", name)


@given(first=anything, second=anything)
def test_items_with_different_ids_never_share_a_folder(first: str, second: str) -> None:
    """The id decides, whatever the titles are."""
    if first != second:
        assert layout.item_folder(item("x", item_id=first)) != layout.item_folder(item("x", item_id=second))


def test_an_item_type_never_takes_the_name_of_a_file_of_the_backup() -> None:
    """A type called like one of the backup's own files gets a folder of another name."""
    assert layout.item_folder(item("x", "Journal")).startswith("Journal_/")
    assert layout.item_folder(item("x", "SHA256SUMS")).startswith("SHA256SUMS_/")


def test_an_ordinary_resource_keeps_its_name() -> None:
    """A name that is good everywhere is the path, with nothing to remember."""
    assert layout.safe_path("images/widget_12/a.png", "resources/") == ("resources/images/widget_12/a.png", None)
    assert layout.safe_path("Übersicht 1.png", "resources/") == ("resources/Übersicht 1.png", None)


@given(exact=anything)
def test_every_name_gets_a_safe_path_and_is_remembered_if_it_differs(exact: str) -> None:
    """Either the name is the path, or the path is hashed and the exact name kept."""
    path, kept = layout.safe_path(exact, "resources/")
    assert_safe(path)
    assert len(path) <= layout.LONGEST_PART
    if kept is None:
        assert path == f"resources/{exact}"
    else:
        assert kept == exact
        assert re.fullmatch(r"resources/r/[0-9a-f]{12}(\.[a-z0-9]{1,8})?", path)


@given(exact=st.sets(anything, max_size=8))
def test_names_of_one_item_never_meet(exact: set[str]) -> None:
    """No two paths are the same to a file system that ignores case, and none is the folder of another."""
    paths = [path for path, _ in layout.safe_paths(exact, "resources/").values()]
    folded = {layout.fold(path) for path in paths}
    assert len(folded) == len(exact)
    assert not folded & {folder for path in folded for folder in layout.folders_of(path)}


@pytest.mark.parametrize(
    ("exact", "kept"),
    [
        (["a.png", "A.png", "b.png"], ["b.png"]),
        (["stra\u00dfe", "STRASSE"], []),
        (["a", "a/b.png"], ["a/b.png"]),
        (["A", "a/b.png"], ["a/b.png"]),
        (["a/x.png", "A/y.png"], ["a/x.png", "A/y.png"]),
    ],
)
def test_only_names_that_collide_are_hashed(exact: list[str], kept: list[str]) -> None:
    """Which names are kept does not depend on their order."""
    for order in (exact, exact[::-1]):
        paths = layout.safe_paths(order, "resources/")
        assert sorted(name for name in order if paths[name][1] is None) == sorted(kept)


@given(exact=anything)
def test_the_exact_name_is_found_again_from_a_part(exact: str) -> None:
    """What `safe_path` hashes, `exact_path` puts back."""
    path, kept = layout.safe_path(exact, "attachments/3/")
    part = Part("resource", path, Blob("0" * 64, 0), Reach.CONTENT, exact_name=kept)
    assert layout.exact_path(part) == f"attachments/3/{exact}"


def test_a_payloads_file_name_is_not_put_into_its_path() -> None:
    """Only hashed paths get their exact name back; `data.zip` stays `data.zip`."""
    part = Part("data", "data.zip", Blob("0" * 64, 0), Reach.CONTENT, exact_name="../parcels.zip")
    assert layout.exact_path(part) == "data.zip"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/a", "//a/b", "../a", "a/..", "a/../b", "./a", "a//b", "a/", "a\0b", "\ud800"]
)
def test_what_leads_outside_is_allowed_nowhere(name: str) -> None:
    """On POSIX too, absolute paths, `..` and NUL are refused."""
    assert not layout.allowed(name, windows=False)


def test_extensions_are_kept_only_where_they_are_harmless() -> None:
    """Short, plain, lower case, or none."""
    assert layout.extension("Parcels.GDB.ZIP") == ".zip"
    assert [layout.extension(name) for name in ("a", "a.", "a.b c", "a.../x", "a.toolongext", "a.ä", "a.png\n")] == [
        ""
    ] * 7


def test_backup_names_sort_by_time() -> None:
    """A backup is named by the UTC time of its beginning, whatever zone it was given in."""
    moment = datetime(2026, 11, 23, 3, 0, tzinfo=timezone(timedelta(hours=1)))
    assert layout.backup_name(moment) == "2026-11-23T020000Z"
    assert layout.backup_name(moment) < layout.backup_name(moment + timedelta(seconds=1))
    assert layout.is_backup_name(layout.backup_name(datetime.now(UTC)))
    assert not layout.is_backup_name(".DS_Store")


@pytest.mark.parametrize(
    ("organization", "name"),
    [
        ("springfield", "springfield_2026-11-23T020000Z.zip"),
        ("Stadt Zürich: GIS/Geo", "stadt-zurich-gis-geo_2026-11-23T020000Z.zip"),
        ("../..", "organization_2026-11-23T020000Z.zip"),
        ("東京都", "organization_2026-11-23T020000Z.zip"),
        ("x" * 300, f"{'x' * 40}_2026-11-23T020000Z.zip"),
    ],
)
def test_a_zip_has_a_plain_short_name(organization: str, name: str) -> None:
    """Letters and digits of ASCII, whatever the organization calls itself."""
    assert layout.zip_name(organization, "2026-11-23T020000Z") == name
