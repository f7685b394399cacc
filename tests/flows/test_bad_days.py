"""Bad days of the portal, kind by kind: what is recovered, what is said, and that nothing wrong is called verified."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from portals import connect
from saved import zipped

import agolkit as ak
from agolkit.model import Outcome, Result
from agolkit.progress import Event, Progress
from agolkit.sandbox import Fault, Sandbox, Settings, city
from agolkit.sandbox.organization import Bytes, Item, Service


@pytest.fixture
def sandbox() -> Sandbox:
    org = city.generated(items=1, owners=1, folders=1, groups=1, services=1)
    return Sandbox(org, Settings(redirect_data=False))


def add_item(sandbox: Sandbox, item_type: str, content: bytes, **facts: object) -> Item:
    item = Item("e" * 32, sandbox.org.admin, item_type, "A thing", data=Bytes(content), created=1_700_000_000_000)
    for name, value in facts.items():
        setattr(item, name, value)
    sandbox.org.add(item)
    return item


def outcome_of(
    sandbox: Sandbox, item: Item, store: Path, *, progress: Progress | None = None, **options: object
) -> Outcome:
    """Back up one item with all its waits cut short, and check that nothing is left behind."""
    held = set(sandbox.org.items)
    portal = connect(sandbox)
    outcomes: list[Outcome] = []

    def listen(event: Event) -> None:
        if event.outcome:
            outcomes.append(event.outcome)
        if progress:
            progress(event)

    ak.backup(
        portal,
        ak.open_store(store),
        ak.BackupOptions.from_mapping({"types": [item.type], "exclude_types": [], **options}),
        progress=listen,
    )
    assert set(sandbox.org.items) == held
    assert not sandbox.org.recycle_bin
    return next(outcome for outcome in outcomes if outcome.item.id == item.id)


NOT_YOURS = {"error": {"code": 403, "message": "Not yours.", "details": []}}
TIMED_OUT = {"error": {"code": 504, "message": "Timed out.", "details": []}}
FAILED = {"status": "failed", "statusMessage": "No room."}
OH = {"error": {"code": 500, "message": "Oh.", "details": []}}
EXPORTED = "items/(?!ITEM)[0-9a-f]{32}/data$"
ROWS = "saved as rows, because there is no geodatabase: "

EXPORT_FAULTS: dict[str, tuple[Fault, str]] = {
    "the answer to the export request is lost, the export is not": (Fault(path="/export$", cut_after=0, times=1), ""),
    "the export request is answered with 504 in HTTP 200": (Fault(path="/export$", body=TIMED_OUT, times=1), ""),
    "the export may not be made": (Fault(path="/export$", body=NOT_YOURS), ROWS + "the portal says: Not yours"),
    "the state of the job cannot be asked for a while": (Fault(path="/status$", status=503, times=4), ""),
    "the job says a word that nobody knows": (Fault(path="/status$", body={"status": "pondering"}, times=3), ""),
    "the job fails once": (Fault(path="/status$", body=FAILED, times=1), ""),
    "the job always fails": (Fault(path="/status$", body=FAILED), ROWS + "The job failed on the server: No room."),
    "the geodatabase is a zip of nothing": (Fault(path=EXPORTED, body=zipped({})), ROWS + "the zip holds 0"),
    "the geodatabase is no zip at all": (Fault(path=EXPORTED, body=b"\0\1" * 999), ROWS + "the zip is damaged"),
}


@pytest.mark.parametrize("name", EXPORT_FAULTS)
def test_an_export_on_a_bad_day(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    """Every row is proven in the end, in a geodatabase or as rows with the reason; no export item is left."""
    fault, note = EXPORT_FAULTS[name]
    with sandbox:
        item = next(item for item in sandbox.org.items.values() if item.service)
        strikes = sandbox.faults.add(replace(fault, path=fault.path.replace("ITEM", item.id)))
        outcome = outcome_of(sandbox, item, tmp_path / "store", feature_format="fgdb")
    assert strikes.struck
    assert outcome.result is Result.VERIFIED, outcome.message
    assert outcome.message.startswith(note)
    assert bool(outcome.message) == bool(note)
    assert {part.name for part in outcome.parts} & {"geodatabase", "rows"} == {"rows" if note else "geodatabase"}


SERVICE_FAULTS: dict[str, tuple[Fault, str]] = {
    "the count of rows lies": (Fault(path="/query$", body={"count": 12_345}), "rows of layer"),
    "no layer lists its rows": (Fault(path="/query$", body=OH), "the portal says: Oh (500)"),
    "the service does not say what its layers are": (Fault(path="/FeatureServer/layers$", body=OH), "definition"),
    "the service does not answer at all": (Fault(path="/FeatureServer", status=503), "definition"),
}


@pytest.mark.parametrize("name", SERVICE_FAULTS)
@pytest.mark.parametrize("feature_format", ["fgdb", "rows"])
def test_a_feature_service_on_a_bad_day(sandbox: Sandbox, tmp_path: Path, name: str, feature_format: str) -> None:
    """A service whose rows cannot be proven is partial with the server's words, whatever the format."""
    fault, words = SERVICE_FAULTS[name]
    with sandbox:
        item = next(item for item in sandbox.org.items.values() if item.service)
        strikes = sandbox.faults.add(replace(fault))
        outcome = outcome_of(sandbox, item, tmp_path / "store", feature_format=feature_format)
    assert strikes.struck
    assert outcome.result is Result.PARTIAL
    assert words in outcome.message
    assert not any(part.name in ("geodatabase", "rows") for part in outcome.parts)


def test_an_export_that_never_ends_is_given_up(tmp_path: Path) -> None:
    """After `export_timeout` the job is given up, the rows are saved instead, and the export item is deleted."""
    org = city.generated(items=1, owners=1, folders=1, groups=1, services=1)
    with Sandbox(org, Settings(export_seconds=3600)) as sandbox:
        item = next(item for item in org.items.values() if item.service)
        outcome = outcome_of(sandbox, item, tmp_path / "store", feature_format="fgdb", export_timeout=0.6, attempts=1)
    assert outcome.result is Result.VERIFIED
    assert "not done after" in outcome.message
    assert "processing" in outcome.message


def test_a_row_that_is_not_exported_is_noticed(tmp_path: Path, sandbox: Sandbox) -> None:
    """A geodatabase that lacks a row the service serves is not accepted, and the numbers are said."""
    with sandbox:
        item = next(item for item in sandbox.org.items.values() if item.service)
        assert item.service
        layer = sandbox.org.services[item.service].all()[0]
        rows = len(layer.features)
        served = [feature["attributes"] for feature in layer.features]
        served.append({**served[0], "OBJECTID": 99_999, "GlobalID": "{00000000-0000-0000-0000-00000000BEEF}"})
        answer = {"count": len(served), "features": [{"attributes": row} for row in served]}
        sandbox.faults.add(Fault(path=rf"/{layer.id}/query$", method="POST", body=answer))
        outcome = outcome_of(sandbox, item, tmp_path / "store", feature_format="fgdb")
    assert outcome.result is Result.PARTIAL  # the rows cannot be read either: their ids are not listed
    assert not any(part.name == "geodatabase" for part in outcome.parts)
    assert f"{rows:,} of {rows + 1:,} rows" in outcome.message


ZIP, PDF = zipped({"a": b"x" * 9999}), b"%PDF-1.7 and so on"
GONE = {"error": {"code": 498, "message": "Invalid token.", "details": []}}
FILE_FAULTS: dict[str, tuple[str, bytes, Fault | None, Result, str]] = {
    "cut off once": ("a.zip", ZIP, Fault(path="/data$", cut_after=50, times=1), Result.VERIFIED, ""),
    "always cut off": ("a.zip", ZIP, Fault(path="/data$", cut_after=50), Result.PARTIAL, "data"),
    "damaged in the portal": ("a.zip", ZIP.replace(b"xxxx", b"xxxy", 1), None, Result.VERIFIED, "zip is damaged"),
    "locked in the portal": ("a.docx", b"\xd0\xcf\x11\xe0 locked", None, Result.VERIFIED, ""),
    "other bytes once": ("a.pdf", PDF, Fault(path="/data$", body=b"nonsense", times=1), Result.VERIFIED, ""),
    "not of its type": ("a.pdf", b"no pdf, whatever its name says", None, Result.VERIFIED, "not a .pdf"),
    "an HTML page": ("a.pdf", PDF, Fault(path="/data$", status=200, body="<html></html>"), Result.PARTIAL, "web page"),
    "nothing": ("a.pdf", PDF, Fault(path="/data$", status=200, body=b""), Result.PARTIAL, "nothing"),
    "shorter than stated": ("a.pdf", PDF, Fault(path="/data$", body=b"%PDF"), Result.PARTIAL, "4 bytes came"),
    "the token is gone": ("a.pdf", PDF, Fault(path="/data$", body=GONE, times=1), Result.VERIFIED, ""),
    "too many requests": (
        *("a.pdf", PDF, Fault(path="/data$", status=429, headers={"Retry-After": "7"}, times=2), Result.VERIFIED, ""),
    ),
}


@pytest.mark.parametrize("name", FILE_FAULTS)
def test_a_file_on_a_bad_day(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    """A file is verified when the portal's own bytes arrived, and only then; one that does not open is said."""
    file_name, content, fault, result, words = FILE_FAULTS[name]
    with sandbox:
        item = add_item(sandbox, "Layer Package", content, data_type="application/octet-stream", name=file_name)
        strikes = sandbox.faults.add(replace(fault)) if fault else None
        outcome = outcome_of(sandbox, item, tmp_path / "store")
    assert strikes is None or strikes.struck
    assert outcome.result is result, outcome.message
    assert words in outcome.message
    saved = [part.blob.size for part in outcome.parts if part.name == "data"]
    assert saved == ([len(content)] if result is Result.VERIFIED else [])


PART_FAULTS = {
    "thumbnail": Fault(path="/info/thumbnail", body=b"not a picture at all"),
    "metadata": Fault(path="metadata.xml", body=b"<metadata><unclosed>"),
    "resource a/b.png": Fault(path="resources/a/b.png", body=b"too short"),
    "resources": Fault(path="/resources$", body={"error": {"code": 500, "message": "Oh no.", "details": []}}),
    "relations": Fault(path="/relatedItems$", body={"error": {"code": 500, "message": "Oh no.", "details": []}}),
    "data": Fault(path="/data$", body={"error": {"code": 400, "message": "Item is damaged.", "details": []}}),
}


@pytest.mark.parametrize("name", PART_FAULTS)
def test_a_part_that_cannot_be_saved_makes_the_item_partial(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    """The message names the part; all the others are saved."""
    with sandbox:
        item = add_item(
            sandbox,
            "Web Map",
            b'{"operationalLayers": []}',
            thumbnail=("map.png", b"\x89PNG\r\n\x1a\n more"),
            metadata=b"<metadata/>",
            type_keywords=["Metadata"],
            resources={"a/b.png": b"exactly these bytes", "c/b.png": b"and these"},
        )
        strikes = sandbox.faults.add(replace(PART_FAULTS[name]))
        outcome = outcome_of(sandbox, item, tmp_path / "store")
    assert strikes.struck
    assert outcome.result is Result.PARTIAL
    assert outcome.message.startswith(f"{name}: ")
    saved = {part.exact_name or part.path for part in outcome.parts}
    whole = {"item.json", "sharing.json", "data.json", "thumbnail.png", "metadata.xml"}
    whole |= {"resources/a/b.png", "resources/c/b.png"}
    lost = {
        "thumbnail": {"thumbnail.png"},
        "metadata": {"metadata.xml"},
        "resource a/b.png": {"resources/a/b.png"},
        "resources": {"resources/a/b.png", "resources/c/b.png"},
        "relations": set(),
        "data": {"data.json"},
    }
    assert saved == whole - lost[name]


def test_an_empty_document_is_not_believed(sandbox: Sandbox, tmp_path: Path) -> None:
    """`{}` for a web map of which the portal states more bytes is an answer to nothing, and not its data."""
    with sandbox:
        item = add_item(sandbox, "Web Map", b'{"operationalLayers": []}')
        sandbox.faults.add(Fault(path="/data$", body=b"{}"))
        outcome = outcome_of(sandbox, item, tmp_path / "store")
    assert outcome.result is Result.PARTIAL
    assert "empty document" in outcome.message


def test_an_item_that_is_edited_meanwhile_is_saved_again(sandbox: Sandbox, tmp_path: Path) -> None:
    """When `modified` moved between listing and saving, the parts are fetched once more and are of one moment."""
    with sandbox:
        item = add_item(sandbox, "Web Map", b'{"version": 1}')
        fault = sandbox.faults.add(Fault(path=f"items/{item.id}/data$", delay=0.0, times=1, cut_after=0))

        def edited(event: Event) -> None:
            if event.stage == "inventory" and event.total:
                item.data, item.modified, item.title = Bytes(b'{"version": 2}'), 1_800_000_000_000, "Edited"

        outcome = outcome_of(sandbox, item, tmp_path / "store", progress=edited)
    assert fault.struck
    assert outcome.result is Result.VERIFIED
    assert outcome.item.title == "Edited"


def test_what_was_saved_before_the_time_ran_out_is_kept(sandbox: Sandbox, tmp_path: Path) -> None:
    """An item that hangs is partial with what it had, and the run goes on."""
    with sandbox:
        item = add_item(sandbox, "Web Map", b"{}", thumbnail=("map.png", b"\x89PNG\r\n\x1a\n more"))
        sandbox.faults.add(Fault(path="/data$", delay=4.0))
        outcome = outcome_of(sandbox, item, tmp_path / "store", item_timeout=0.5)
    assert outcome.result is Result.PARTIAL
    assert "No progress" in outcome.message
    assert {part.name for part in outcome.parts} == {"thumbnail", "item"}


def test_a_hosted_service_on_an_unknown_server_is_not_passed_over(sandbox: Sandbox, tmp_path: Path) -> None:
    """A hosted layer that cannot be reached as the portal's own is partial: its data is nowhere else."""
    with sandbox:
        item = add_item(
            sandbox,
            "Feature Service",
            b"",
            url="https://services.example.org/0/arcgis/rest/services/A/FeatureServer",
            type_keywords=["Hosted Service"],
        )
        outcome = outcome_of(sandbox, item, tmp_path / "store")
    assert outcome.result is Result.PARTIAL
    assert "does not name as its own" in outcome.message


def test_the_files_of_a_form_are_saved(sandbox: Sandbox, tmp_path: Path) -> None:
    """What a form keeps below `info/` is a part of it, and so are its pictures."""
    with sandbox:
        item = add_item(
            sandbox, "Form", zipped({"a": b"1"}), name="form.zip", info={"form.json": b"{}", "forminfo.json": b"[]"}
        )
        outcome = outcome_of(sandbox, item, tmp_path / "store")
    assert outcome.result is Result.VERIFIED
    assert {part.path for part in outcome.parts} >= {"info/form.json", "info/forminfo.json"}


def test_pictures_whose_names_differ_in_case_only_are_both_saved(sandbox: Sandbox, tmp_path: Path) -> None:
    """Every picture that the item names is saved, under names that are different files on every system."""
    picture = b"\x89PNG\r\n\x1a\n more"
    names = ["screenshot/A.png", "screenshot/a.png"]
    with sandbox:
        info = {name: picture + name.encode() for name in names}
        item = add_item(sandbox, "Web Map", b"{}", info=info, screenshots=[*names, names[0]])
        outcome = outcome_of(sandbox, item, tmp_path / "store")
    parts = [part for part in outcome.parts if part.name == "picture"]
    assert outcome.result is Result.VERIFIED, outcome.message
    assert sorted(str(part.exact_name) for part in parts) == sorted(names)
    assert len({part.path.casefold() for part in parts}) == 2


def test_an_item_deleted_meanwhile_has_failed(sandbox: Sandbox, tmp_path: Path) -> None:
    """An item that is gone when its turn comes is failed with the portal's words; the run goes on."""
    with sandbox:
        item = add_item(sandbox, "Web Map", b"{}")
        gone = {
            "error": {"code": 400, "messageCode": "CONT_0001", "message": "Item does not exist or is inaccessible."}
        }
        sandbox.faults.add(Fault(path=f"items/{item.id}", body=gone))
        outcome = outcome_of(sandbox, item, tmp_path / "store")
    assert outcome.result is Result.FAILED
    assert "does not exist" in outcome.message
    assert not outcome.parts


@pytest.mark.parametrize(
    ("content", "data_type", "name", "path", "reach"),
    [
        (b'{"future": true}', "application/json", None, "data.json", "parsed"),
        (b"\x01\x02\x03\x04", "application/octet-stream", "thing.holo", "data.holo", "length"),
        (zipped({"a": b"1"}), "application/zip", "thing.zip", "data.zip", "content"),
    ],
)
def test_an_unknown_type_is_saved_as_what_the_portal_answers(
    sandbox: Sandbox, tmp_path: Path, content: bytes, data_type: str, name: str | None, path: str, reach: str
) -> None:
    """A type that nobody knows yet is a document or a file, and is proven like one."""
    with sandbox:
        item = add_item(sandbox, "Type Of Tomorrow", content, data_type=data_type, name=name)
        outcome = outcome_of(sandbox, item, tmp_path / "store")
    assert outcome.result is Result.VERIFIED
    part = next(part for part in outcome.parts if part.name == "data")
    assert (part.path, part.reach, part.blob.size) == (path, reach, len(content))


def hosted_tiles(sandbox: Sandbox, **facts: object) -> Item:
    """A hosted tile layer and the package that it was published from."""
    package = Item(
        "d" * 32, sandbox.org.admin, "Tile Package", "Tiles", data=Bytes(zipped({"a": b"tile"})), name="t.tpkx"
    )
    sandbox.org.add(package, Service("Tiles", "e" * 32, server_type="MapServer"))
    relations = [("Service2Data", package.id)]
    return add_item(
        sandbox, "Map Service", b"", service="Tiles", type_keywords=["Hosted Service"], relations=relations, **facts
    )


def test_hosted_tiles_are_saved_as_their_package(sandbox: Sandbox, tmp_path: Path) -> None:
    """The package's bytes belong to the tile layer too, and a note says what they are."""
    with sandbox:
        outcome = outcome_of(sandbox, hosted_tiles(sandbox), tmp_path / "store")
    assert outcome.result is Result.VERIFIED
    source = next(part for part in outcome.parts if part.name == "source")
    assert (source.path, source.reach, source.blob.size) == ("source.tpkx", "content", len(zipped({"a": b"tile"})))
    assert "Tile Package 'Tiles'" in outcome.message


def test_hosted_tiles_without_their_package_are_partial(sandbox: Sandbox, tmp_path: Path) -> None:
    """When the package cannot be had, the tile layer is partial and never described."""
    with sandbox:
        item = hosted_tiles(sandbox)
        sandbox.faults.add(Fault(path="/d{32}/data", body=NOT_YOURS))
        outcome = outcome_of(sandbox, item, tmp_path / "store")
    assert outcome.result is Result.PARTIAL
    assert outcome.message.startswith("source: the portal says: Not yours (403); data: ")
