"""An organization in which everything is named to do harm: all of it is saved, proven, fetched and read as it is."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hand_built import PASSWORD
from naughty import NAMES, collisions, is_formula, names, objections
from portals import connect
from saved import files_below, read_part

import agolkit as ak
from agolkit.forms import look
from agolkit.kinds.feature_service.conversion.files import FORMATS, Format
from agolkit.layout import exact_path, item_folder
from agolkit.manifest import read_outcomes
from agolkit.model import Result
from agolkit.progress import Narrator
from agolkit.sandbox import Sandbox
from agolkit.sandbox.city.hosted import attachments, places
from agolkit.sandbox.city.payloads import png
from agolkit.sandbox.organization import Bytes, Folder, Group, Item, Organization, Service, User
from agolkit.store import LocalStore

RESOURCES, PICTURES, SURVEY = "a" * 32, "b" * 32, "c" * 32
LONGEST = 149
LAYERS = [
    "../../escape",
    "CON",
    "a:b|c?",
    "\x1b[31mred",
    "ß",
    "SS",
    "=1+1",
    "",
    "漢" * 80,
    "x'; DROP TABLE y; --",
    "cafe\u0301",
]


def of_http(name: str) -> bool:
    """Whether a name can stand in an address: no half characters, control characters, empty folders or dots for one."""
    return not {"", ".", ".."} & set(name.split("/")) and not re.search("[\ud800-\udfff\x00-\x1f\x7f-\x9f]", name)


def hostile_organization() -> Organization:
    """Titles, types, file names, folders, groups, resources, pictures, layers and attachments with all odd names."""
    org = Organization(id="0123456789abcdef", name="<b>\x1b[31m=1+1", url_key="small", admin="boss")
    org.add(
        User("boss", "<script>", PASSWORD, "org_admin"), User("ann", "=cmd|' /C calc'!A0", PASSWORD, "org_publisher")
    )
    for at, name in enumerate(names()):
        if name.strip():
            org.add(Folder(f"{at:04x}" + "f" * 28, name, "ann"))
    folders = [*org.folders, None]
    for at, name in enumerate(NAMES):
        org.add(
            Item(
                f"{at:032x}",
                "ann",
                ("PDF", "Web Map", name)[at % 3],
                name,
                folder=folders[at % len(folders)],
                name=name if of_http(name) else "plain.pdf",
                tags=[name],
                data=Bytes(b"%PDF-1.7 of " + str(at).encode()) if at % 3 == 0 else Bytes(b'{"at": %d}' % at),
                data_type="application/pdf" if at % 3 == 0 else "application/json",
                url="https://example.org/x;=1+1?token=" + "SECRET" * 2 if at % 9 == 1 else None,
            )
        )
    org.add(
        Group("d" * 32, "=1+1</td><script>", "boss", members=["ann"]),
        Item(RESOURCES, "ann", "Web Map", "Named", data=Bytes(b"{}"), groups=["d" * 32]),
        Item(PICTURES, "ann", "Web Map", "Pictures", data=Bytes(b"{}")),
        Item(SURVEY, "ann", "Feature Service", "Survey", service="survey", type_keywords=["Hosted Service"]),
    )
    some = [name for name in names() if of_http(name)]
    org.items[RESOURCES].resources = {name: f"resource {at}".encode() for at, name in enumerate(some)}
    org.items[PICTURES].screenshots = [name for name in NAMES if of_http(name)][::4]
    org.items[PICTURES].info = {name: png((1, 2, at)) for at, name in enumerate(org.items[PICTURES].screenshots)}
    layers = [places(at, "Layer", 4) for at, _ in enumerate(LAYERS)]
    for layer, name in zip(layers, LAYERS, strict=True):
        layer.name = name
    layers[0].attachments = attachments(layers[0], 3)
    held = [one for ones in (layers[0].attachments or {}).values() for one in ones]
    for one, name in zip(
        held, ["../../escape.exe", "CON.txt", "a:b.jpg", "\ud800.png", "=1+1.csv", "x" * 300], strict=False
    ):
        one.name = name
    org.add(Service("survey", SURVEY, layers=layers))
    return org


class Saved:
    """The organization, and the backup that was made of it."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.org = sandbox.org
        self.folder = folder
        self.said: list[str] = []
        self.store = LocalStore(folder / "store")
        options = ak.BackupOptions(feature_format="rows")
        self.summary = ak.backup(connect(sandbox), self.store, options, progress=Narrator(self.said.append))
        self.name = self.summary.backup
        self.outcomes = {outcome.item.id: outcome for outcome in read_outcomes(self.store, self.name)}

    @property
    def tree(self) -> Path:
        return self.folder / "store" / "backups" / self.name

    def text(self, name: str) -> str:
        return self.store.read(self.name, name).decode("utf-8-sig")

    def contents(self) -> list[bytes]:
        """Content of every part of every item."""
        return [read_part(self.store, each, part.path) for each in self.outcomes.values() for part in each.parts]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saved]:
    with Sandbox(hostile_organization()) as sandbox:
        yield Saved(sandbox, tmp_path_factory.mktemp("named"))


def test_everything_is_saved_byte_for_byte(saved: Saved) -> None:
    """No name costs an item its result, and what is saved is what the portal holds under that name."""
    assert {outcome.result for outcome in saved.outcomes.values()} == {Result.VERIFIED}
    assert {outcome.item.title for outcome in saved.outcomes.values()} == {
        item.title for item in saved.org.items.values()
    }
    for item in saved.org.items.values():
        outcome = saved.outcomes[item.id]
        exact = {exact_path(part): read_part(saved.store, outcome, part.path) for part in outcome.parts}
        assert json.loads(exact["item.json"])["title"] == item.title
        for prefix, files in (("resources/", item.resources), ("info/", item.info)):
            for name, content in files.items():
                assert exact[prefix + name] == content
        if item.data is not None:
            assert b"".join(item.data.chunks()) in exact.values()
    held = [one for ones in (saved.org.services["survey"].layers[0].attachments or {}).values() for one in ones]
    parts = [part for part in saved.outcomes[SURVEY].parts if part.name == "attachment"]
    assert sorted(part.exact_name or "" for part in parts) == sorted(one.name for one in held)
    assert ak.verify(saved.store, saved.name, deep=True).ok


def test_every_file_has_a_good_name_inside_the_store(saved: Saved) -> None:
    """Nothing stands beside the store; below the backup every path is short, good everywhere, and no other's."""
    assert [path.name for path in saved.folder.iterdir()] == ["store"]
    paths = [path.relative_to(saved.tree).as_posix() for path in saved.tree.rglob("*") if path.is_file()]
    assert len(paths) > len(saved.outcomes)
    assert [(path, objections(path, longest=LONGEST)) for path in paths if objections(path, longest=LONGEST)] == []
    assert collisions(paths) == []
    if os.name != "nt":
        below = list((saved.folder / "store").rglob("*"))
        assert not [path for path in below if path.is_symlink()]
        assert {path.stat().st_mode & 0o077 for path in [saved.folder / "store", *below]} == {0}


@pytest.mark.parametrize("to", ["out", "out.zip"])
def test_what_is_fetched_stays_inside(saved: Saved, tmp_path: Path, to: str) -> None:
    """A folder and a zip file hold every part under a name that leads nowhere else; in a zip, good on any system."""
    place = tmp_path / "here"
    place.mkdir()
    ak.fetch(saved.store, saved.name, place / to)
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert [path.name for path in place.iterdir()] == [to]
    if to.endswith(".zip"):
        with zipfile.ZipFile(place / to) as archive:
            members = archive.infolist()
            assert archive.testzip() is None
            found = {member.filename: archive.read(member) for member in members}
        assert len(found) == len(members)
        assert {member.external_attr >> 16 for member in members} == {0o100600}  # files, and no links
        assert [name for name in found if objections(name, longest=1000)] == []
        assert collisions(found) == []
    else:
        found = files_below(place / to)
        assert not [path for path in place.rglob("*") if path.is_symlink()]
    folders = tuple(f"{item_folder(outcome.item)}/" for outcome in saved.outcomes.values())
    assert sorted(content for path, content in found.items() if path.startswith(folders)) == sorted(saved.contents())


@pytest.mark.parametrize("format", FORMATS)
def test_layers_are_converted_whatever_they_are_called(saved: Saved, tmp_path: Path, format: Format) -> None:
    """All layers come into the file or the files, with all their rows, and nothing comes beside them."""
    done = ak.fetch(saved.store, saved.name, tmp_path / "out", items=[SURVEY], format=format)
    assert (done.layers, done.rows) == (len(LAYERS), 4 * len(LAYERS))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    for path in files_below(tmp_path / "out"):
        assert objections(path, longest=1000) == []


def test_tables_have_the_exact_names(saved: Saved) -> None:
    """`load_items` has the titles as they are, and `load_layer` every layer."""
    frame = ak.load_items(saved.store, saved.name).set_index("item_id")
    for item in saved.org.items.values():
        assert frame.loc[item.id, "title"] == item.title.encode(errors="backslashreplace").decode()
    for at, _ in enumerate(LAYERS):
        assert len(ak.load_layer(saved.store, saved.name, SURVEY, at)) == 4


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_list_runs_nothing(saved: Saved, separator: str) -> None:
    """However a spreadsheet cuts AllItems.csv into cells, none is a formula; secrets in addresses are cut."""
    rows = csv.reader(io.StringIO(saved.text("AllItems.csv"), newline=""), delimiter=separator)
    cells = [cell for row in rows for cell in row if cell.strip()]
    assert [cell for cell in cells if is_formula(cell)] == []
    assert "SECRET" not in saved.text("AllItems.csv")
    assert len(list(csv.DictReader(io.StringIO(saved.text("AllItems.csv"), newline="")))) == len(saved.outcomes)


class Marks(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_pages_hold_no_markup_of_the_portal(saved: Saved) -> None:
    """Neither the report nor the tables of a notebook have a tag or an attribute that a name brought."""
    marks = Marks(saved.text("report.html"))
    assert not marks.tags & {"script", "img", "svg", "iframe", "a", "object"}
    assert not [name for name in marks.attributes if name.startswith("on") or name in ("src", "href")]
    frame = ak.load_items(saved.store, saved.name)
    tables = [frame._repr_html_(), frame.to_html(), *(str(each) for each in _texts(look.table(frame)))]
    for html in tables:
        assert "<script" not in html
        assert not re.search(r"<(img|svg)", html)


def _texts(widget: Any) -> Iterator[object]:
    """What a widget sends to the browser."""
    for name in set(widget.keys) - {"_esm", "_css"}:  # these are the program, and not the data
        yield getattr(widget, name)


def test_nothing_said_steers_a_terminal(saved: Saved) -> None:
    """Lines of the log, of the command line and of what objects say are one line each, without control characters."""
    for line in saved.said:
        assert line.isprintable(), line
    for line in saved.store.read(saved.name, "log.jsonl").splitlines():
        assert json.loads(line)["stage"]
    run = [sys.executable, "-c", "from agolkit.cli import main; main()"]
    for arguments in (["show"], ["verify", "--deep"], ["show", "--json"]):
        command = [*run, arguments[0], str(saved.folder / "store"), *arguments[1:]]
        done = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8")
        printed = (done.stdout + done.stderr).replace("\x7f", "" if "--json" in arguments else "\x7f")
        assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", printed) is None


def test_a_resource_that_leads_elsewhere_is_not_asked_for(tmp_path: Path) -> None:
    """A name with dots for a folder would be another address of the portal: it is said, and not followed."""
    org = hostile_organization()
    for unwanted in set(org.items) - {RESOURCES}:
        del org.items[unwanted]
    org.items[RESOURCES].resources = {"../../../../community/self": b"x", "a/./b": b"y", "good.txt": b"z"}
    with Sandbox(org) as sandbox:
        portal = connect(sandbox)
        sandbox.log.clear()
        summary = ak.backup(portal, LocalStore(tmp_path / "store"), ak.BackupOptions())
        (outcome,) = summary.failures
        assert outcome.result is Result.PARTIAL
        assert outcome.message.count("would lead elsewhere; it is not asked") == 2
        assert not [entry for entry in sandbox.log.entries if entry.path.endswith(("community/self", "a/b"))]
