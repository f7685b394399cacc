"""An organization made of answers that real portals gave, where a collection of them lies beside the repository."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agolkit.sandbox.organization import Bytes, Folder, Group, Item, Layer, Organization, Service, User

SAMPLES = Path(__file__).parents[2].parent / "shared" / "samples"
OWNER = "boss"
PASSWORD = "correct horse battery staple"
MADE_HERE = ("id", "owner", "orgId", "isOrgItem", "ownerFolder", "protected", "itemControl", "contentOrigin")
"""Keys of an item's JSON that are of this organization, and not those recorded."""
OF_THE_LAYER = ("id", "name", "type", "fields", "geometryType", "objectIdField", "globalIdField", "maxRecordCount")
OF_THE_SERVICE = ("serviceItemId", "parentLayer", "subLayers", "relationships", "extent")
OF_OLD_SERVERS = ("ownershipBasedAccessControlForFeatures",)
"""Keys that have another form in a hosted layer: there it is an object, here a yes or no."""

Json = dict[str, Any]


def digits(*words: object) -> str:
    """32 hexadecimal digits for an id."""
    return hashlib.sha256("/".join(map(str, words)).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def read(path: Path) -> Any:
    """The JSON of one sample."""
    return json.loads(path.read_bytes())


def recorded_organization() -> Organization:
    """An organization without items; its users, groups and properties are recorded ones."""
    org = Organization(id="0123456789abcdef", name="Recorded", url_key="recorded", admin=OWNER)
    org.add(User(OWNER, "The Boss", PASSWORD, "org_admin", id=digits(OWNER)))
    for user in read(SAMPLES / "users-groups" / "restjs-usersearchresponse.json")["results"]:
        name, role = user["username"], user["role"] if user["role"] in ("org_publisher", "org_user") else "org_user"
        org.add(User(name, user["fullName"], PASSWORD, role, email=user["email"], created=user["created"]))
    for name in ("terria-group-search-results", "restjs-groupsearchresponse"):
        for group in read(SAMPLES / "users-groups" / f"{name}.json")["results"]:
            told = {key: group[key] for key in ("id", "title", "tags", "created", "modified", "access", "capabilities")}
            org.add(Group(owner=OWNER, snippet=group["snippet"] or "", description=group["description"] or "", **told))
    org.settings = read(SAMPLES / "portal" / "restjs-portalsettingsresponse.json")
    return org


def add_recorded_items(org: Organization) -> list[Item]:
    """Every recorded item, with the JSON, the data and the resources that were recorded of it."""
    payloads = {path.stem: path for folder in ("item-data", "item-data-templated") for path in _files(folder)}
    listed = read(SAMPLES / "resources" / "restjs-getitemresourcesresponse.json")["resources"]
    made = []
    for at, (source, told) in enumerate(_item_answers()):
        payload = payloads.get(source)
        item = Item(
            id=digits("item", at),
            owner=OWNER,
            type=told["type"],
            title=told.get("title") or "",
            created=told.get("created") or at,
            modified=told.get("modified") or at,
            data=Bytes(payload.read_bytes()) if payload else None,
            thumbnail=_thumbnail(told),
            resources={one["resource"]: f"{one['resource']} of {at}".encode() for one in listed} if at % 5 == 0 else {},
            stated={key: value for key, value in told.items() if key not in MADE_HERE},
        )
        org.add(item)
        made.append(item)
    return made


def _files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((SAMPLES / folder).rglob("*.json"))


def _item_answers() -> Iterator[tuple[str, Json]]:
    """Name of the sample and the JSON of each recorded item."""
    for path in _files("items"):
        yield path.stem, read(path)
    for path in _files("items-templated"):
        template = read(path)
        if template["type"] != "Group":
            yield path.stem, template["item"]
    for path in _files("search"):
        for result in read(path)["results"]:
            yield path.stem, result
    for result in read(SAMPLES / "users-groups" / "restjs-groupcontentresponse.json")["items"]:
        yield "group content", result


def _thumbnail(told: Mapping[str, Any]) -> tuple[str, bytes] | None:
    """A picture under the recorded name."""
    name = told.get("thumbnail")
    return (str(name).removeprefix("thumbnail/"), b"\x89PNG\r\n\x1a\n" + bytes(40)) if name else None


def add_recorded_layers(org: Organization) -> list[tuple[str, Item, Layer]]:
    """Each recorded layer or table as a hosted service with a few rows: (name of the sample, item, layer)."""
    made = []
    for path in _files("services/layers", "services/layers-templated"):
        made.append((path.stem, *_host(org, path.stem, read(path))))
    whole = read(SAMPLES / "services" / "restjs-all-layers-and-tables.json")
    for told in (*whole["layers"], *whole["tables"]):
        name = f"all-layers-{told['id']}"
        made.append((name, *_host(org, name, told)))
    return made


def _host(org: Organization, sample: str, told: Json) -> tuple[Item, Layer]:
    fields = [one for one in told["fields"] if one["type"] != "esriFieldTypeGeometry"]
    left_out = (*OF_THE_LAYER, *OF_THE_SERVICE, *OF_OLD_SERVERS)
    by_type = {one["type"]: one["name"] for one in fields}
    layer = Layer(
        id=told["id"],
        name=told["name"],
        fields=fields,
        features=[],
        geometry_type=told.get("geometryType") or None,
        object_id_field=by_type["esriFieldTypeOID"],
        global_id_field=told.get("globalIdField") or by_type.get("esriFieldTypeGlobalID"),
        wkid=_wkid(told),
        max_record_count=told.get("maxRecordCount") or 1000,
        attachments={} if told.get("hasAttachments") else None,
        definition={key: value for key, value in told.items() if key not in left_out},
    )
    layer.features = [_row(layer, nth) for nth in range(1, 4)]
    service = Service(sample.replace("-", "_"), digits("service", sample))
    (service.layers if layer.geometry_type else service.tables).append(layer)
    keywords = ["Data", "Feature Service", "Hosted Service", "Service"]
    item = Item(service.item_id, OWNER, "Feature Service", sample, type_keywords=keywords, service=service.name)
    org.add(service, item)
    return item, layer


def _wkid(told: Json) -> int:
    """Of the extent; templates have a text in its place."""
    extent = told.get("extent")
    reference = extent["spatialReference"] if isinstance(extent, dict) else {}
    return int(reference.get("latestWkid") or reference.get("wkid") or 4326)


def _row(layer: Layer, nth: int) -> Json:
    """A made-up row that fits the fields; the third has nulls wherever a field takes them."""
    row: Json = {"attributes": {field["name"]: _value(field, nth) for field in layer.fields}}
    x, y = 1000.0 + nth, 2000.0 - nth
    corners = [[x, y], [x, y + 5], [x + 5, y], [x, y]]
    if layer.geometry_type == "esriGeometryPoint":
        row["geometry"] = {"x": x, "y": y}
    elif layer.geometry_type == "esriGeometryPolyline":
        row["geometry"] = {"paths": [corners[:3]]}
    elif layer.geometry_type == "esriGeometryPolygon":
        row["geometry"] = {"rings": [corners]}
    return row


def _value(field: Json, nth: int) -> object:
    kind = field["type"].removeprefix("esriFieldType")
    if kind in ("OID", "GlobalID"):
        return nth if kind == "OID" else f"{{00000000-0000-4000-8000-{nth:012}}}"
    if nth == 3 and field.get("nullable", True):
        return None
    domain = (field.get("domain") or {}).get("codedValues")
    if domain:
        return domain[nth % len(domain)]["code"]
    match kind:
        case "Integer" | "SmallInteger":
            return 7 * nth
        case "Double" | "Single":
            return 0.5 * nth
        case "Date":
            return 1_700_000_000_000 + nth
        case "GUID":
            return f"{{11111111-0000-4000-8000-{nth:012}}}"
        case _:
            return f"{field['name']} {nth}"[: field.get("length") or 20]


def add_naughty_names(org: Organization) -> list[str]:
    """Texts that break programs, as titles, tags, folders, file names and resources; returns the texts."""
    texts: list[str] = read(SAMPLES / "odd" / "naughty-strings.json")
    for at, text in enumerate(texts):
        folder = Folder(digits("folder", at), text, OWNER)
        item = Item(
            id=digits("naughty", at),
            owner=OWNER,
            type="Web Map",
            title=text,
            folder=folder.id,
            created=1_700_000_000_000 + at,
            modified=1_700_000_000_000 + at,
            name=text,
            tags=[text],
            snippet=text,
            data=Bytes(json.dumps({"title": text}).encode()),
        )
        if not {"", ".", ".."} & set(text.split("/")):  # no portal takes such a path for a resource
            item.resources = {text: b"named so", f"a/{text}": b"named so, below a folder"}
        org.add(folder, item)
    return texts
