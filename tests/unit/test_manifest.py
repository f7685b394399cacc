"""What a backup says of itself: journal, manifest, AllItems.csv, SHA256SUMS, backup.json."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pandas
import pytest
import referencing
from hypothesis import given
from hypothesis import strategies as st
from saved import LEFT_OUT, MAP, SERVICE, STARTED, begin_sample, sample_outcomes, save_sample

from agolkit.all_items import COLUMNS, all_items_csv
from agolkit.entries import outcome_from_json, outcome_to_json
from agolkit.errors import NoSuchBackup, StoreDamaged
from agolkit.journal import Journal, read_announcements
from agolkit.kinds.under_way import Stretch, UnderWay, noted_outcomes
from agolkit.layout import allowed
from agolkit.manifest import backup_facts, close_backup, load_items, read_outcomes, sum_line, write_manifest
from agolkit.model import Blob, Item, Outcome, Part, Reach, Result
from agolkit.options import BackupOptions
from agolkit.store import LocalStore
from agolkit.store.seal import is_sealed

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
times = st.datetimes(min_value=datetime(1971, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
texts = st.text(st.characters(exclude_categories=()), max_size=20)
items = st.builds(
    Item,
    id=texts,
    title=texts,
    type=texts,
    owner=texts,
    tags=st.lists(texts, max_size=3).map(tuple),
    created=st.none() | times,
    size=st.none() | st.integers(0),
)
paths = texts.filter(lambda text: allowed(text) and ":" not in text)
parts = st.builds(
    Part, name=texts, path=paths, blob=st.builds(Blob, texts, st.integers(0)), reach=st.sampled_from(Reach), proof=texts
)
outcomes = st.builds(
    Outcome, item=items, result=st.sampled_from(Result), observed=times, parts=st.lists(parts, max_size=2).map(tuple)
)


def described(schema: dict[str, Any], value: object, resolve: referencing.Registry[Any]) -> None:
    """Value fits its schema, and the schema names every field of it."""
    jsonschema.Draft202012Validator(schema, registry=resolve).validate(value)
    if isinstance(value, dict) and "properties" in schema:
        assert not set(value) - set(schema["properties"]), "a field that docs/schemas does not describe"
        for name, inner in schema["properties"].items():
            if name in value:
                described(inner, value[name], resolve)
    if isinstance(value, list) and "items" in schema:
        for each in value:
            described(schema["items"], each, resolve)


def test_every_file_fits_its_published_schema(store: LocalStore) -> None:
    """Whatever is written is described in docs/schemas, field by field."""
    schemas = {path.name: json.loads(path.read_text("utf-8")) for path in SCHEMAS.glob("*.json")}
    resolve: referencing.Registry[Any] = referencing.Registry().with_resources(
        (name, referencing.Resource.from_contents(schema)) for name, schema in schemas.items()
    )
    store.bind("0123456789abcdef", "Smallville")
    with store.lock("run-1", "ann"):
        described(schemas["lock.json"], json.loads(store.get("lock")), resolve)
        name, _ = save_sample(store)
    described(schemas["lock.json"], json.loads(store.get("lock")), resolve)
    described(schemas["store.json"], json.loads(store.get("store.json")), resolve)
    described(schemas["backup.json"], json.loads(store.read(name, "backup.json")), resolve)
    lines = gzip.decompress(store.read(name, "manifest.jsonl.gz")).splitlines()
    assert len(lines) == 3
    for line in lines:
        described(schemas["manifest-line.json"], json.loads(line), resolve)
    assert store.names(f"backups/{name}/journal") == ["000000.jsonl", "000001.jsonl", "000002.jsonl"]
    for segment in store.names(f"backups/{name}/journal"):
        for line in store.read(name, f"journal/{segment}").splitlines():
            described(schemas["journal-line.json"], json.loads(line), resolve)


def test_a_backup_that_is_taken_up_fits_the_schemas_too(store: LocalStore) -> None:
    """So do the options in the journal, the line that says who took it up, and backup.json before and after the end."""
    schemas = {path.name: json.loads(path.read_text("utf-8")) for path in SCHEMAS.glob("*.json")}
    resolve: referencing.Registry[Any] = referencing.Registry().with_resources(
        (name, referencing.Resource.from_contents(schema)) for name, schema in schemas.items()
    )
    options = BackupOptions()
    name = store.begin(STARTED, "default", options=asdict(options)).name
    draft = store.resume(name, STARTED)
    described(schemas["backup.json"], json.loads(store.read(name, "backup.json")), resolve)
    Journal(draft).resumed({"run_id": "run-2", "started": "2026-11-23T02:00:00Z"})
    blob = Blob("3f" * 32, 5)
    photo = Outcome(SERVICE, Result.STOPPED, STARTED, parts=(Part("attachment", "a/1.jpg", blob, Reach.LENGTH),))
    under_way = UnderWay(draft, Journal(draft))
    under_way.note(photo)
    stretch = Stretch(SERVICE.id, 0, "3f" * 32, {"lastEditDate": 1}, 1, 5, {"fields": []}, "4f" * 32)
    under_way.keep_rows(stretch, b"rows")
    for segment in ("000000", "000001", "000002", "000003"):
        described(schemas["journal-line.json"], json.loads(store.read(name, f"journal/{segment}.jsonl")), resolve)
    facts = backup_facts(
        draft, [], state="complete", finished=STARTED, options=options, new_bytes=0, portal_url="https://example.org"
    )
    close_backup(draft, facts)
    described(schemas["backup.json"], json.loads(store.read(name, "backup.json")), resolve)
    assert facts["resumed"] == "2026-11-23T02:00:00Z"


def test_the_schemas_are_schemas() -> None:
    """Each published schema is itself valid and says what it describes."""
    for path in SCHEMAS.glob("*.json"):
        schema = json.loads(path.read_text("utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["$id"] == path.name
        assert schema["title"]


@given(outcome=outcomes)
def test_an_outcome_is_read_back_exactly(outcome: Outcome) -> None:
    """A line of the manifest loses nothing, whatever the texts are, and ignores what it does not know."""
    line = json.loads(json.dumps(outcome_to_json(outcome)))
    assert outcome_from_json(line | {"new": 1}) == outcome


def test_a_finished_backup_is_read_from_its_manifest(store: LocalStore) -> None:
    """Every item once, with every part; and the manifest is the one whose hash backup.json gives."""
    name, saved = save_sample(store)
    found = read_outcomes(store, "latest")
    assert sorted(found, key=lambda outcome: outcome.item.id) == sorted(saved, key=lambda outcome: outcome.item.id)
    facts = json.loads(store.read(name, "backup.json"))
    manifest = store.read(name, "manifest.jsonl.gz")
    assert facts["files"]["manifest.jsonl.gz"]["sha256"] == hashlib.sha256(manifest).hexdigest()
    assert set(facts["files"]) == {"AllItems.csv", "SHA256SUMS", "manifest.jsonl.gz", "organization.json"}


def test_what_was_checked_names_the_layers() -> None:
    """Of up to three layers each says its own numbers; of more there is the sum, so that a row stays readable."""

    def rows(layer: int, of: int) -> Part:
        proof = f"layer {layer}, {of - 1:,} of {of:,} ids"
        return Part("rows", f"rows/{layer}.jsonl.gz", Blob("0" * 64, 1), Reach.CONTENT, proof)

    def listed(layer: int, some: str) -> Part:
        path = f"attachments/{layer}.jsonl.gz"
        return Part("attachments", path, Blob("0" * 64, 1), Reach.PARSED, f"layer {layer}, {some}")

    item = Part("item", "item.json", Blob("0" * 64, 1), Reach.PARSED)
    few = Outcome(SERVICE, Result.VERIFIED, NOON, parts=(item, rows(0, 12_409), rows(7, 2)))
    assert few.checked == "rows content: layer 0, 12,408 of 12,409 ids; rows content: layer 7, 1 of 2 ids; item parsed"
    lists = (listed(0, "2 listed"), listed(1, "3,000 listed, 4 reused"), listed(2, "0 listed"), listed(3, "1 listed"))
    many = replace(few, parts=(item, *(rows(layer, 1_001) for layer in range(4)), *lists))
    lists_said = "attachments parsed: 4 layers, 3,003 listed, 4 reused"
    assert many.checked == f"rows content: 4 layers, 4,000 of 4,004 ids; item parsed; {lists_said}"


def test_backup_json_holds_its_own_hash(store: LocalStore) -> None:
    """`own_sha256` is the hash of the file while that value is empty, so that anybody can check it with `sed`."""
    name, _ = save_sample(store)
    content = store.read(name, "backup.json")
    stated = json.loads(content)["own_sha256"]
    unsealed = content.replace(f'"own_sha256": "{stated}"'.encode(), b'"own_sha256": ""')
    assert hashlib.sha256(unsealed).hexdigest() == stated
    assert is_sealed(content)
    assert not is_sealed(content.replace(b"nightly", b"weekly."))
    assert not is_sealed(unsealed)


def test_the_same_outcomes_make_the_same_bytes(store: LocalStore) -> None:
    """Neither the order in which items were finished nor the time of writing shows."""
    first, saved = begin_sample(store)
    second, _ = begin_sample(store)
    write_manifest(first, saved)
    write_manifest(second, saved[::-1])
    assert first.files == second.files


def test_another_manifest_is_noticed(store: LocalStore) -> None:
    """A manifest that is missing or was exchanged is damage, not another backup's items."""
    name, _ = save_sample(store)
    path = store.root / "backups" / name / "manifest.jsonl.gz"
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(StoreDamaged, match="not the one"):
        read_outcomes(store, name)
    path.unlink()
    with pytest.raises(StoreDamaged, match="no manifest"):
        read_outcomes(store, name)
    with pytest.raises(NoSuchBackup):
        read_outcomes(store, "2020")


# The journal


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def segments(store: LocalStore, backup: str) -> Iterator[int]:
    """Lines of each segment that a run wrote."""
    for name in store.names(f"backups/{backup}/journal")[1:]:
        yield len(store.read(backup, f"journal/{name}").splitlines())


def test_a_journal_is_written_every_100_items_or_10_seconds(store: LocalStore) -> None:
    """What has waited for either is on the disk; the rest follows when the journal is closed."""
    store.bind("0123456789abcdef", "Smallville")
    draft, clock = store.begin(NOON, "default"), Clock()
    journal = Journal(draft, clock=clock)
    for number in range(250):
        journal.add(Outcome(replace(MAP, id=f"{number:032x}"), Result.FAILED, NOON))
    assert list(segments(store, draft.name)) == [100, 100]
    clock.now = 9.9
    journal.tick()
    assert len(read_outcomes(store, draft.name)) == 200
    clock.now = 10
    journal.tick()
    assert len(read_outcomes(store, draft.name)) == 250
    journal.add(Outcome(SERVICE, Result.FAILED, NOON))
    journal.close()
    assert list(segments(store, draft.name)) == [100, 100, 50, 1]
    assert len(read_outcomes(store, draft.name)) == 251


def test_a_long_segment_is_compressed(store: LocalStore) -> None:
    """An item of many files takes little room in the journal, and is read from it as it was noted."""
    store.bind("0123456789abcdef", "Smallville")
    draft = store.begin(NOON, "default")
    blob = Blob("3f" * 32, 5)
    parts = [Part("attachment", f"attachments/0/{number}-1.jpg", blob, Reach.LENGTH) for number in range(10_000)]
    outcome = Outcome(SERVICE, Result.VERIFIED, NOON, parts=tuple(parts))
    journal = Journal(draft)
    journal.add(outcome)
    journal.close()
    segment = store.root / "backups" / draft.name / "journal" / "000001.jsonl.gz"
    assert segment.stat().st_size < 100_000
    assert read_outcomes(store, draft.name) == [outcome]
    segment.chmod(0o600)
    segment.write_bytes(segment.read_bytes()[:1000])
    with pytest.raises(StoreDamaged, match=r"000001\.jsonl\.gz"):
        read_outcomes(store, draft.name)


def test_an_announcement_is_on_the_disk_before_anything_is_made(store: LocalStore) -> None:
    """A killed run's export items can be found, and are no items of the backup."""
    store.bind("0123456789abcdef", "Smallville")
    draft = store.begin(NOON, "default")
    Journal(draft).announce({"title": "agolkit run-1"})
    assert read_announcements(store, draft.name) == [{"title": "agolkit run-1"}]
    assert read_outcomes(store, draft.name) == []


def test_what_is_under_way_is_on_the_disk_at_once_and_never_late(store: LocalStore) -> None:
    """It is no item of the backup. A job that goes on behind the end of its run writes nothing into the journal."""
    store.bind("0123456789abcdef", "Smallville")
    draft = store.begin(NOON, "default")
    journal = Journal(draft)
    under_way = UnderWay(draft, journal)
    part = Part("attachment", "attachments/0/1-1.jpg", Blob("3f" * 32, 5), Reach.LENGTH)
    under_way.note(Outcome(SERVICE, Result.STOPPED, NOON, parts=(part,), how="fetched"))
    assert list(segments(store, draft.name)) == [1]
    assert [(outcome.parts, fetched) for outcome, fetched in noted_outcomes(store, draft.name)] == [
        ((part,), {part.path})
    ]
    assert read_outcomes(store, draft.name) == []
    journal.close()
    under_way.note(Outcome(SERVICE, Result.STOPPED, NOON, parts=(part,), how="fetched"))
    assert list(segments(store, draft.name)) == [1]


def test_a_killed_run_is_read_as_far_as_it_came(store: LocalStore) -> None:
    """Without backup.json the journal counts; a torn last line is left out, and an item noted twice counts once."""
    draft, saved = begin_sample(store)
    assert read_outcomes(store, draft.name) == saved
    again = json.dumps(outcome_to_json(replace(saved[0], result=Result.PARTIAL))).encode()
    path = store.root / "backups" / draft.name / "journal" / "000003.jsonl"
    path.write_bytes(again + b"\n" + again[:40])
    found = read_outcomes(store, draft.name)
    assert [outcome.result for outcome in found] == [Result.PARTIAL, Result.PARTIAL, Result.EXCLUDED]
    path.write_bytes(again[:40] + b"\n" + again)
    with pytest.raises(StoreDamaged, match=r"000003\.jsonl, line 1"):
        read_outcomes(store, draft.name)


# AllItems.csv


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_all_items_is_for_spreadsheets(store: LocalStore) -> None:
    """UTF-8 with BOM, the agreed columns, one row an item, lists readable, nothing that would be run."""
    name, _ = save_sample(store)
    content = store.read(name, "AllItems.csv")
    assert content.startswith(b"\xef\xbb\xbfitem_id,title,")
    table = {row["item_id"]: row for row in rows(content)}
    assert len(rows(content)) == len(table) == 3
    assert list(table[MAP.id]) == list(COLUMNS)
    assert COLUMNS[-1] == "result"
    row = table[MAP.id]
    assert row["title"] == "'" + MAP.title
    assert row["tags"] == "blue; green; no"
    assert row["created"] == "2020-01-02T03:04:05.678000Z"
    assert row["size_bytes"] == "25"
    assert row["files"] == "7"
    assert row["groups"] == "Field crew"
    assert (store.root / "backups" / name / row["path"] / "item.json").is_file()
    assert table[SERVICE.id]["message"] == "'-1 row"
    assert table[SERVICE.id]["size_bytes"] == ""
    assert table[LEFT_OUT.id]["title"] == r"half \ud800 a pair"
    assert table[LEFT_OUT.id]["path"] == ""


def test_the_columns_are_those_of_the_format_page() -> None:
    """docs/format.md names every column, in order."""
    page = (SCHEMAS.parent / "format.md").read_text("utf-8")
    section = page.split("## AllItems.csv")[1].split("\n\n")[2]
    named = [word for word in section.split("`")[1::2] if word in COLUMNS]
    assert tuple(named) == COLUMNS


@given(
    text=st.one_of(
        texts, st.builds("{}{}".format, st.sampled_from(["=", "+", "-", "@", "\t", "\r", " =", "\uff1d"]), texts)
    )
)
def test_no_cell_is_a_formula(text: str) -> None:
    """However a text begins, a spreadsheet shows it and does not run it; the rows stay one for each item."""
    content = all_items_csv([Outcome(replace(MAP, title=text, tags=(text,)), Result.FAILED, NOON, message=text)])
    (row,) = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    for column in ("title", "tags", "message"):
        assert (
            not row[column]
            .lstrip(" ")
            .startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
        )


def test_load_items_gives_exact_values(store: LocalStore) -> None:
    """As a DataFrame, texts are the portal's own, times are UTC, whole numbers may be missing, lists are lists."""
    save_sample(store)
    table = load_items(store, "latest")
    assert tuple(table.columns) == COLUMNS
    row = table.set_index("item_id").loc[MAP.id]
    assert row["title"] == MAP.title
    assert row["tags"] == ["blue; green", "no"]
    assert row["groups"] == ["Field crew"]
    assert row["created"] == pandas.Timestamp("2020-01-02T03:04:05.678Z")
    assert str(table["observed"].dtype) == "datetime64[us, UTC]"
    assert str(table["size_bytes"].dtype) == str(table["files"].dtype) == "Int64"
    assert set(table["title"]) > {SERVICE.title, r"half \ud800 a pair"}
    service = table.set_index("item_id").loc[SERVICE.id]
    assert service["size_bytes"] is pandas.NA
    assert service["created"] is pandas.NaT
    assert service["left_out"] == []
    assert table["seconds"].dtype == float
    empty = load_items(store, store.begin(NOON, "default").name)
    assert empty.dtypes.tolist() == table.dtypes.tolist()


@pytest.mark.parametrize(
    "path", ["../../out.txt", "a/../../../out.txt", "/etc/out.txt", "..\\out.txt", "C:out.txt", ""]
)
@pytest.mark.parametrize("is_finished", [True, False])
def test_a_path_that_leads_out_of_the_item_is_damage(store: LocalStore, path: str, is_finished: bool) -> None:
    """What no agolkit wrote is not followed, wherever it comes from."""
    draft, (first, *_) = begin_sample(store, tree="none")
    changed = replace(first, parts=(replace(first.parts[0], path=path),))
    if is_finished:
        write_manifest(draft, [changed])
        facts = backup_facts(
            draft, [changed], state="complete", finished=NOON, options=BackupOptions(), new_bytes=0, portal_url=""
        )
        close_backup(draft, facts)
    else:
        journal = Journal(draft)
        journal.add(changed)
        journal.close()
    with pytest.raises(StoreDamaged, match="is no path inside an item"):
        read_outcomes(store, draft.name)


# SHA256SUMS


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum")
@pytest.mark.parametrize("tree", ["auto", "copy"])
def test_sha256sum_checks_the_tree(store: LocalStore, tree: str) -> None:
    """The system's own tool confirms every file of the tree, and finds a changed one."""
    name, saved = save_sample(store, tree=tree)
    folder = store.root / "backups" / name
    check = ["sha256sum", "--strict", "-c", "SHA256SUMS"]
    done = subprocess.run(check, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.count(": OK") == sum(len(outcome.parts) for outcome in saved)
    (changed,) = folder.glob("Web Map/*/data.json")
    changed.unlink()
    changed.write_bytes(b"changed")
    assert subprocess.run(check, cwd=folder, capture_output=True, check=False).returncode == 1


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum")
def test_odd_names_are_escaped_as_sha256sum_does(tmp_path: Path) -> None:
    """A backslash or a line end in a path is written as the tool itself writes it."""
    digest = hashlib.sha256(b"x").hexdigest()
    for name in ("plain name", "back\\slash", "line\nend", "a\\nb"):
        (tmp_path / name).write_bytes(b"x")
        ours = sum_line(digest, name)
        theirs = subprocess.run(["sha256sum", name], cwd=tmp_path, capture_output=True, check=True).stdout.decode()
        assert ours == theirs


def test_sums_name_the_blob_of_each_file(store: LocalStore) -> None:
    """Without a tree too, each line leads from a path to a blob."""
    name, _ = save_sample(store, tree="none")
    lines = store.read(name, "SHA256SUMS").decode().splitlines()
    assert len(lines) == sum(len(outcome.parts) for outcome in sample_outcomes(store))
    assert all(store.blob_size(line.split("  ")[0]) is not None for line in lines)
    assert lines == sorted(lines, key=lambda line: line.split("  ", 1)[1])
