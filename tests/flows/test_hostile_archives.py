"""Files that are made to do harm, uploaded by a member, sent by a server, or put into a store."""

from __future__ import annotations

import functools
import gzip
import io
import re
import stat
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from fault_town import IDS, fault_town
from hand_built import PASSWORD
from portals import connect
from saved import STARTED, files_below, read_part, save_part, zipped

import agolkit as ak
from agolkit.errors import AgolkitError, CheckFailed, StoreDamaged
from agolkit.kinds.feature_service import pages
from agolkit.kinds.parts import LARGEST_JSON
from agolkit.manifest import MANIFEST, backup_facts, close_backup, read_outcomes, write_manifest
from agolkit.model import Outcome, Reach, Result
from agolkit.sandbox import Fault, Sandbox
from agolkit.sandbox.organization import Bytes, Item, Organization, Repeated, User
from agolkit.store import LocalStore

MB = 1 << 20
BIG = 150 * MB
"""What bombs unpack to."""
NESTED = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


def with_entries(content: bytes, entries: dict[str, bytes], *, links: tuple[str, ...] = ()) -> bytes:
    """An archive with more entries, some of them links to files outside."""
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:
        for name, inside in entries.items():
            archive.writestr(name, inside)
        for name in links:
            link = zipfile.ZipInfo(name)
            link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "/etc/passwd")
    return stream.getvalue()


@functools.cache
def packed(size: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("zeros", bytes(size))
    return stream.getvalue()


ESCAPES = {"../../escape": b"1", "/escape": b"2", "C:\\escape": b"3", "a/../../escape": b"4", "a": b"5", "A": b"6"}
FILES: dict[str, tuple[bytes, str]] = {
    "escapes": (with_entries(zipped({}), ESCAPES, links=("link", "a/link")), ""),
    "nested": (zipped({"1.zip": zipped({"2.zip": packed(MB)})}), ""),
    "zeros": (packed(BIG), ""),
    "bzip2": (packed(BIG, zipfile.ZIP_BZIP2), "compressed by method 12"),
    "lzma": (packed(MB, zipfile.ZIP_LZMA), "compressed by method 14"),
    "encrypted": (zipped({"a": b"1"}).replace(b"\x14\x00\x00\x00", b"\x14\x00\x01\x00"), "encrypted"),
    "cut off": (zipped({"a": b"1"})[:-5], "damaged"),
}
"""What somebody uploads, and what the message says of it."""


@contextmanager
def bounded(*, megabytes: int, seconds: float = 30) -> Iterator[None]:
    """Fails where the block takes more memory at once, or more time, than this."""
    tracemalloc.start()
    began = time.monotonic()
    try:
        yield
        took, peak = time.monotonic() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * MB
    assert took < seconds


def organization(*items: Item) -> Organization:
    org = Organization(id="0123456789abcdef", name="Smallville", url_key="small", admin="boss")
    org.add(User("boss", "The Boss", PASSWORD, "org_admin"), *items)
    return org


def backed_up(sandbox: Sandbox, folder: Path, **options: object) -> tuple[LocalStore, dict[str, Outcome]]:
    """The store after a backup, and the outcomes by title."""
    store = LocalStore(folder / "store")
    ak.backup(connect(sandbox), store, ak.BackupOptions.from_mapping({"attempts": 1, **options}))
    return store, {outcome.item.title: outcome for outcome in read_outcomes(store, store.backup_names()[-1])}


def test_hostile_uploads_are_kept_and_harm_nobody(tmp_path: Path) -> None:
    """Each comes into the store with its bytes, and out of it again; none is unpacked, and the message says why."""
    items = [
        Item(f"{at:032x}", "boss", "Shapefile", title, name="x.zip", data=Bytes(content), data_type="application/zip")
        for at, (title, (content, _)) in enumerate(FILES.items())
    ]
    with Sandbox(organization(*items)) as sandbox, bounded(megabytes=110):
        store, outcomes = backed_up(sandbox, tmp_path)
        assert ak.verify(store, "latest", deep=True).ok
        ak.fetch(store, "latest", tmp_path / "out")
    for title, (content, said) in FILES.items():
        assert outcomes[title].result is Result.VERIFIED
        assert said in outcomes[title].message
        assert bool(said) == bool(outcomes[title].message)
        assert read_part(store, outcomes[title], "data.zip") == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "store"]
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink() or path.name == "escape"]


def test_hostile_documents_are_refused_in_bounds(tmp_path: Path) -> None:
    """XML that multiplies itself and JSON without a floor cost one part each; a document without end is a file."""
    laughs = b'<!DOCTYPE m [<!ENTITY a "ha">' + b"".join(
        b'<!ENTITY %c "%b">' % (98 + at, b"&%c;" % (97 + at) * 10) for at in range(12)
    )
    metadata = {
        "laughs": laughs + b']><m t="&m;"/>',
        "outside": b'<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><m>&x;</m>',
        "deep": b"<m>" * 50_000,
    }
    items = [
        Item(f"{at:032x}", "boss", "Web Map", title, data=Bytes(b"{}"), metadata=content, type_keywords=["Metadata"])
        for at, (title, content) in enumerate(metadata.items())
    ]
    endless = Repeated(b'[{"a": 1}, ', LARGEST_JSON + 1)
    items += [
        Item("e" * 32, "boss", "Web Map", "nested", data=Bytes(NESTED)),
        Item("f" * 32, "boss", "Web Map", "endless", data=endless),
    ]
    with Sandbox(organization(*items)) as sandbox, bounded(megabytes=110):
        store, outcomes = backed_up(sandbox, tmp_path)
        assert ak.verify(store, "latest", deep=True).ok
    assert "metadata: what the portal sent is not XML" in outcomes["laughs"].message
    assert outcomes["outside"].result is Result.VERIFIED
    assert read_part(store, outcomes["outside"], "metadata.xml") == metadata["outside"]
    assert "metadata: what the portal sent is not XML" in outcomes["deep"].message
    assert outcomes["nested"].result is Result.PARTIAL
    data = next(part for part in outcomes["endless"].parts if part.name == "data")
    assert (outcomes["endless"].result, data.reach, data.blob.size) == (Result.VERIFIED, Reach.LENGTH, endless.size)


@pytest.mark.parametrize(
    "content",
    [
        zipped({"x.gdb": b"<OGRVRTDataSource><OGRVRTLayer name='Trees'><SrcDataSource>%s"}),
        zipped({"x.gdb/x.vrt": b"<OGRVRTDataSource/>", "x.gdb/x.csv": b"GlobalID\n1\n"}),
        with_entries(zipped({"x.gdb/a00000001.gdbtable": b""}), {}, links=("x.gdb/a00000004.gdbtable",)),
        packed(BIG, zipfile.ZIP_BZIP2),
    ],
    ids=["a file that leads elsewhere", "another format", "nothing but links", "a bomb"],
)
def test_an_export_that_is_no_geodatabase_leads_nowhere(tmp_path: Path, content: bytes) -> None:
    """What a server sends as the geodatabase of a layer is opened as one, and as nothing else."""
    with Sandbox(fault_town()) as sandbox:
        address = sandbox.url.replace("127.0.0.1", "localhost") + "/elsewhere"
        sandbox.faults.add(Fault("/data$", body=content.replace(b"%s", b"/vsicurl/" + address.encode())))
        with bounded(megabytes=110):
            _, outcomes = backed_up(sandbox, tmp_path, types=["Feature Service"], feature_format="fgdb")
        outcome = outcomes["The fgdb"]
        assert outcome.result is Result.PARTIAL
        assert not [part for part in outcome.parts if part.name == "geodatabase"]
        assert not [entry for entry in sandbox.log.entries if "elsewhere" in entry.path]


def test_an_answer_without_end_is_not_read() -> None:
    """An answer that should be a list, and has no end, ends that request, and not the memory."""
    with Sandbox(fault_town()) as sandbox:
        portal = connect(sandbox)
        sandbox.faults.add(Fault("/groups$", body=b'{"a": "' + bytes(257 * MB)))
        with bounded(megabytes=900), pytest.raises(AgolkitError, match="longer than any answer should be"):
            portal.get_json(f"content/items/{IDS['map']}/groups")
        sandbox.faults.clear()
        sandbox.faults.add(Fault("/groups$", body=NESTED))
        with pytest.raises(AgolkitError, match="is not JSON"):
            portal.get_json(f"content/items/{IDS['map']}/groups")


def test_a_row_without_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is longer than what is read of one is named, and the layer is not verified."""
    monkeypatch.setattr(pages, "LARGEST", 4_000)
    monkeypatch.setattr(pages, "LONGEST_LINE", 6_000)
    with Sandbox(fault_town()) as sandbox:
        (sandbox.org.services["survey"].layers[0].features[3]["attributes"])["Name"] = "x" * 5_000
        store, outcomes = backed_up(sandbox, tmp_path, types=["Feature Service"], feature_format="rows")
        assert ak.verify(store, "latest", deep=True).ok
    assert outcomes["The rows"].result is Result.PARTIAL
    assert re.search(r"the row 4 has \d,\d+ bytes, too many to read", outcomes["The rows"].message)
    assert outcomes["The fgdb"].result is Result.VERIFIED


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalStore, Outcome, Outcome]:
    """A store with a layer that is saved as rows, and one that is saved as a geodatabase."""
    with Sandbox(fault_town()) as sandbox:
        store, outcomes = backed_up(sandbox, tmp_path_factory.mktemp("layers"), types=["Feature Service"])
    return store, outcomes["The rows"], outcomes["The fgdb"]


def edited(store: LocalStore, outcome: Outcome, path: str, content: bytes, organization: bytes = b"{}") -> str:
    """The name of a new backup, in which one file of the item is another and every hash fits."""
    other = save_part(store, "x", path, content).blob
    parts = tuple(replace(part, blob=other) if part.path == path else part for part in outcome.parts)
    draft = store.begin(STARTED, "edited", tree="none")
    draft.write("organization.json", organization)
    outcomes = [replace(outcome, parts=parts)]
    write_manifest(draft, outcomes)
    close_backup(
        draft,
        backup_facts(
            draft,
            outcomes,
            state="complete",
            finished=STARTED,
            options=ak.BackupOptions(),
            new_bytes=0,
            portal_url="https://x.test",
        ),
    )
    return draft.name


ROW = b'{"attributes":{"OBJECTID":1}}\n'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: gzip.compress(ROW * 12 + bytes(300 * MB), 1), "a line of more than 268,435,456 bytes"),
        (lambda: gzip.compress(ROW * 500_000, 1), "it has more than 12 rows"),
        (lambda: gzip.compress(NESTED), "not well-formed after 0 lines"),
        (lambda: gzip.compress(ROW)[:-9], "no whole gzip"),
        (lambda: b"no gzip", "no whole gzip"),
    ],
    ids=["a line without end", "rows without end", "nested", "cut off", "no gzip"],
)
def test_edited_rows_are_read_in_bounds(
    layers: tuple[LocalStore, Outcome, Outcome], tmp_path: Path, content: Callable[[], bytes], said: str
) -> None:
    """Whoever edits a store cannot make its reader run out of memory: deep says what is wrong, and so does fetch."""
    store, rows, _ = layers
    name = edited(store, rows, "rows/0.jsonl.gz", content())
    with bounded(megabytes=800):
        (damage,) = ak.verify(store, name, deep=True).damages
        assert said in damage.what
        with pytest.raises(CheckFailed, match="could not be converted"):
            ak.fetch(store, name, tmp_path / "out", items=[rows.item.id], format="gpkg")
        with pytest.raises(AgolkitError):
            ak.load_layer(store, name, rows.item.id)


def test_json_without_a_floor_is_damage(layers: tuple[LocalStore, Outcome, Outcome]) -> None:
    """A definition, or a file of the backup itself, that is nested deeper than anybody reads, is named."""
    store, rows, _ = layers
    name = edited(store, rows, "service.json", NESTED, organization=NESTED)
    damages = ak.verify(store, name, deep=True).damages
    assert [damage.path.partition("/")[0] for damage in damages] == ["organization.json", "blobs"]
    assert all("recursion" in damage.what for damage in damages)


def test_a_geodatabase_is_unpacked_inside(layers: tuple[LocalStore, Outcome, Outcome], tmp_path: Path) -> None:
    """Entries that lead elsewhere, and links, come to nothing; the layer is all that is unpacked."""
    store, _, saved = layers
    content = read_part(store, saved, "layers.gdb.zip")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        folder = archive.namelist()[0].split("/")[0]
    hostile = {f"{folder}/{name}": inside for name, inside in ESCAPES.items()} | ESCAPES
    name = edited(store, saved, "layers.gdb.zip", with_entries(content, hostile, links=(f"{folder}/link",)))
    done = ak.fetch(store, name, tmp_path / "out", items=[saved.item.id], format="gdb")
    assert done.rows == 12
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    inside = files_below(tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_symlink()]
    assert not [path for path in inside if "escape" in path]
    bomb = edited(store, saved, "layers.gdb.zip", packed(BIG, zipfile.ZIP_BZIP2))
    with bounded(megabytes=110), pytest.raises(CheckFailed, match="compressed by method 12"):
        ak.fetch(store, bomb, tmp_path / "bomb", items=[saved.item.id], format="gdb")


@pytest.mark.parametrize("content", [bytes(400 * MB), b"\n".join([NESTED] * 3), b"[]", b'{"item": 1}'])
def test_an_edited_manifest_is_one_error(
    layers: tuple[LocalStore, Outcome, Outcome], content: bytes
) -> None:  # fmt: skip
    """A manifest that unpacks without end, or holds what no agolkit wrote, is damage, said in bounded memory."""
    store = layers[0]
    small = gzip.compress(content, 1)
    draft = store.begin(STARTED, "edited", tree="none")
    draft.write(MANIFEST, small)
    close_backup(draft, {"state": "complete", "items": 1})
    with bounded(megabytes=350), pytest.raises(StoreDamaged, match="cannot be read"):
        read_outcomes(store, draft.name)


def test_an_edited_journal_is_one_error(layers: tuple[LocalStore, Outcome, Outcome]) -> None:
    """The journal of an unfinished backup likewise."""
    store = layers[0]
    draft = store.begin(STARTED, "edited", tree="none")
    draft.write("journal/000001.jsonl.gz", gzip.compress(bytes(400 * MB), 1))
    with bounded(megabytes=350), pytest.raises(StoreDamaged, match="journal"):
        read_outcomes(store, draft.name)
