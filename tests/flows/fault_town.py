"""A town with one item of each kind, for tests of bad days: what it holds, and whether a backup holds exactly that."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hand_built import PASSWORD
from saved import zipped

import agolkit as ak
from agolkit.model import Outcome, Part
from agolkit.sandbox import Sandbox
from agolkit.sandbox.city.hosted import attachments, places
from agolkit.sandbox.city.payloads import png
from agolkit.sandbox.organization import Bytes, Folder, Item, Layer, Organization, Service, User
from agolkit.sandbox.tile_cache import Tiles, write_package
from agolkit.store import Store

IDS = {name: f"{at:032x}" for at, name in enumerate(("map", "file", "form", "fgdb", "rows", "view", "tiles"), start=1)}
"""Kind of item → id of the item of that kind."""
OLD = 1_700_000_000_000
TILES = Tiles(8, 10, (-9_990_000.0, 4_820_000.0, -9_970_000.0, 4_840_000.0))
FORM = {"form.json": b'{"questions": [1, 2, 3]}', "forminfo.json": b'{"name": "survey"}'}
RESOURCES = {"images/logo.png": png((9, 9, 9), 16, 16), "config/a b.json": b'{"a": 1}'}


def fault_town() -> Organization:
    """One item of each kind in the folder of one owner, and a bystander of whom nothing is expected."""
    org = Organization(id="0123456789abcdef", name="Smallville", url_key="small", admin="boss")
    org.add(User("boss", "The Boss", PASSWORD, "org_admin"), User("ann", "Ann", PASSWORD, "org_publisher"))
    org.add(Folder("f" * 32, "Work", "ann"), Folder("e" * 32, "Elsewhere", "ann"))
    trees, survey = places(0, "Trees", 12), places(0, "Survey", 12)
    trees.max_record_count = survey.max_record_count = 5
    survey.attachments = attachments(survey, 3)
    shown = places(0, "Survey", 12)
    hosted = ["Hosted Service"]
    org.add(
        Service("trees", IDS["fgdb"], layers=[trees]),
        Service("survey", IDS["rows"], layers=[survey]),
        Service("shown", IDS["view"], layers=[shown], view_of="survey", capabilities="Query"),
        Service("drawn", IDS["tiles"], server_type="MapServer", capabilities="Map,TilesOnly", tiles=TILES),
        _item("map", "Web Map", data=Bytes(json.dumps({"operationalLayers": [], "version": "2.31"}).encode())),
        _item("file", "PDF", name="plan.pdf", data=Bytes(b"%PDF-1.7 " + b"a plan. " * 99), data_type="application/pdf"),
        _item("form", "Form", name="form.zip", data=Bytes(zipped({"a.json": b"1" * 999})), data_type="application/zip"),
        _item("fgdb", "Feature Service", service="trees", type_keywords=hosted),
        _item("rows", "Feature Service", service="survey", type_keywords=hosted),
        _item("view", "Feature Service", service="shown", type_keywords=[*hosted, "View Service"]),
        _item("tiles", "Map Service", service="drawn", type_keywords=hosted),
    )
    org.items[IDS["view"]].relations = [("Service2Data", IDS["rows"])]
    org.items[IDS["map"]].resources = dict(RESOURCES)
    org.items[IDS["map"]].metadata = b"<metadata><title>Map</title></metadata>"
    org.items[IDS["map"]].type_keywords = ["Metadata"]
    org.items[IDS["map"]].thumbnail = ("map.png", png((40, 90, 120)))
    org.items[IDS["form"]].info = dict(FORM)
    return org


def _item(kind: str, item_type: str, **facts: Any) -> Item:
    stamp = OLD + list(IDS).index(kind) * 1000
    return Item(IDS[kind], "ann", item_type, f"The {kind}", folder="f" * 32, created=stamp, modified=stamp, **facts)


class Truth:
    """What a portal holds, to compare the verified items of a backup with."""

    def __init__(self, sandbox: Sandbox, store: Store, folder: Path) -> None:
        self.org = sandbox.org
        self.store = store
        self.folder = folder

    def check(self, backup: str, outcome: Outcome) -> None:
        """Assert that everything a backup holds of an item is what the portal holds of it."""
        item = self.org.items[outcome.item.id]
        parts = {part.path: part for part in outcome.parts}
        assert self._json(parts["item.json"])["title"] == item.title
        if item.data is not None:
            data = next(part for part in outcome.parts if part.name == "data")
            assert self._bytes(data) == b"".join(item.data.chunks())
        for name, content in item.resources.items():
            assert self._bytes(parts[f"resources/{name}"]) == content
        for name, content in item.info.items():
            assert self._bytes(parts[f"info/{name}"]) == content
        if item.metadata:
            assert self._bytes(parts["metadata.xml"]) == item.metadata
        if item.thumbnail:
            assert self._bytes(parts["thumbnail.png"]) == item.thumbnail[1]
        service = self.org.services.get(item.service or "")
        if service and service.tiles:
            self._check_tiles(service, parts["tiles.tpkx"])
        elif service:
            self._check_service(backup, item, service, parts)

    def _check_service(self, backup: str, item: Item, service: Service, parts: Mapping[str, Part]) -> None:
        definition = self._json(parts["service.json"])
        assert [layer["name"] for layer in definition["layers"]["layers"]] == [layer.name for layer in service.layers]
        names = [field["name"] for field in definition["layers"]["layers"][0]["fields"]]
        assert names == [field["name"] for field in service.layers[0].fields]
        if service.view_of:
            assert [each["item_id"] for each in definition["view"]["sources"]] == [IDS["rows"]]
            return
        layer = service.layers[0]
        if "rows/0.jsonl.gz" in parts:
            lines = gzip.decompress(self._bytes(parts["rows/0.jsonl.gz"])).splitlines()
            assert [json.loads(line)["attributes"] for line in lines] == [row["attributes"] for row in layer.features]
            self._check_attachments(layer, parts)
        if "layers.gdb.zip" in parts:
            frame = ak.load_layer(self.store, backup, item.id)
            held = {row["attributes"]["GlobalID"].upper(): row["attributes"]["Name"] for row in layer.features}
            assert dict(zip(frame["GlobalID"].str.upper(), frame["Name"], strict=True)) == held
            assert len(frame) == len(layer.features)

    def _check_attachments(self, layer: Layer, parts: Mapping[str, Part]) -> None:
        held = {
            f"{object_id}-{one.id}": b"".join(one.payload.chunks())
            for object_id, some in (layer.attachments or {}).items()
            for one in some
        }
        saved = [part for part in parts.values() if part.name == "attachment"]
        assert {part.path.rpartition("/")[2].partition(".")[0]: self._bytes(part) for part in saved} == held

    def _check_tiles(self, service: Service, part: Part) -> None:
        path = self.folder / "packed"
        write_package(path, service, range(TILES.first_level, TILES.last_level + 1))
        assert _bundles(self._bytes(part)) == _bundles(path.read_bytes())

    def _bytes(self, part: Part) -> bytes:
        with self.store.open_blob(part.blob.sha256) as stream:
            return stream.read()

    def _json(self, part: Part) -> Any:
        return json.loads(self._bytes(part))


def _bundles(package: bytes) -> dict[str, bytes]:
    """The files of tiles in a package."""
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name.endswith(".bundle")}
