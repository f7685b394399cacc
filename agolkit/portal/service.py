"""A hosted feature service: its definition, and the ids of its rows and attachments.

Source of the requests: the REST pages "Feature Service", "Layer", "Query", "Query Attachments", "Attachment Infos" and
"Extract Changes". Pages are cut by object id, not by offset, so that an edit between two pages can neither double nor
drop a row.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agolkit.errors import NotAnAnswer
from agolkit.model import Sink
from agolkit.portal.bodies import Received
from agolkit.portal.client import Portal

OBJECT_IDS_A_REQUEST = 200
LARGEST_PAGE = 2000


@dataclass(frozen=True, slots=True)
class ServiceLayer:
    """One layer or table of a service, as far as its rows are concerned."""

    id: int
    name: str
    object_id_field: str
    global_id_field: str | None
    has_attachments: bool
    lists_attachments: bool
    """Whether it answers for the attachments of many rows at once; older servers do so for one row only."""
    page: int
    """Rows that the server gives at once."""
    fields: frozenset[str]
    """Names of its fields, in lower case, but for those that a geodatabase makes itself."""

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> ServiceLayer:
        object_id = raw.get("objectIdField") or next(
            (field["name"] for field in raw.get("fields") or () if field.get("type") == "esriFieldTypeOID"), "OBJECTID"
        )
        return cls(
            id=int(raw["id"]),
            name=str(raw.get("name", "")),
            object_id_field=object_id,
            global_id_field=raw.get("globalIdField") or None,
            has_attachments=bool(raw.get("hasAttachments")),
            lists_attachments=bool((raw.get("advancedQueryCapabilities") or {}).get("supportsQueryAttachments")),
            page=max(1, min(int(raw.get("maxRecordCount") or 1000), LARGEST_PAGE)),
            fields=frozenset(
                str(field["name"]).casefold()
                for field in raw.get("fields") or ()
                if field.get("type") not in ("esriFieldTypeOID", "esriFieldTypeGeometry")
            ),
        )


@dataclass(frozen=True, slots=True)
class AttachmentFact:
    """What the service says of one attachment."""

    parent: str
    """GlobalID of the row, as `plain_id` has it; the object id as text where the layer has no GlobalIDs."""
    object_id: int
    """Object id of the row."""
    id: int
    name: str
    size: int
    """Bytes; 0 where the service does not state them."""
    raw: Mapping[str, Any]
    """All that the service says of it, and as `parentObjectId` the object id of its row."""


def plain_id(global_id: object) -> str:
    """A GlobalID in the form in which it is compared: upper case, without braces."""
    return str(global_id).strip("{}").upper()


def _object_id(value: Any, layer: ServiceLayer) -> int:
    """An object id that a service tells; some write it as text, or as `3.0`."""
    try:
        object_id = int(value)
    except (TypeError, ValueError, OverflowError):
        object_id = None
    if object_id is None or abs(object_id) >> 63 or (isinstance(value, float) and value != object_id):
        raise NotAnAnswer(f"Layer {layer.name!r} has a row whose object id is {value!r:.40}.")
    return object_id


def _ids(answer: Mapping[str, Any]) -> list[int]:
    """Ids of the layers and tables that an answer names; both lists must be there."""
    lists = [answer.get("layers"), answer.get("tables")]
    if not all(isinstance(each, list) for each in lists):
        raise NotAnAnswer("The service does not say which layers and tables it has.")
    return sorted(int(raw["id"]) for each in lists for raw in each or ())


class FeatureService:
    """Reads one hosted feature service through the portal's session."""

    def __init__(self, portal: Portal, url: str) -> None:
        self.portal = portal
        self.url = url.rstrip("/")

    def describe(self) -> dict[str, Any]:
        """`{"root": …, "layers": {"layers": […], "tables": […]}}`: the service, and each layer and table in full.

        Raises
        ------
        NotAnAnswer
            The two do not name the same layers. Trying again may help.
        """
        root, full = self.root(), self.layers()
        named = [_ids(each) for each in (root, full)]
        if named[0] != named[1]:
            raise NotAnAnswer(f"The service names the layers {named[0]}, but describes the layers {named[1]}.")
        return {"root": root, "layers": full}

    def root(self) -> dict[str, Any]:
        """The service itself; of its layers only ids and names."""
        return self.portal.get_json(self.url)

    def layers(self) -> dict[str, Any]:
        """`{"layers": […], "tables": […]}`: each layer and table in full."""
        return self.portal.get_json(f"{self.url}/layers")

    def admin(self) -> dict[str, Any]:
        """The administrator's definition, which holds view sources and filters; for owner and administrators."""
        return self.portal.get_json(self.url.replace("/rest/services/", "/rest/admin/services/"))

    def contingent_values(self) -> dict[str, Any]:
        """Which values of some fields go together, in all layers that have such rules."""
        return self.portal.get_json(f"{self.url}/queryContingentValues", needs={"contingentValueSets": list})

    def sources(self) -> list[dict[str, Any]]:
        """The services whose rows a view shows: `{"name": …, "serviceItemId": …}`."""
        return list(self.portal.get_json(f"{self.url}/sources", needs={"services": list})["services"])

    def count(self, layer: ServiceLayer) -> int:
        """Number of rows."""
        answer = self._query(layer, {"where": "1=1", "returnCountOnly": "true"})
        if not isinstance(answer.get("count"), int):
            raise NotAnAnswer(f"Layer {layer.name!r} did not say how many rows it has.")
        return int(answer["count"])

    def row_ids(self, layer: ServiceLayer) -> Iterator[dict[int, str]]:
        """Object id → GlobalID (as `plain_id` has it; the object id as text where there is none), page by page."""
        last: int | None = None
        wanted = [name for name in (layer.object_id_field, layer.global_id_field) if name]
        while True:
            answer = self._query(
                layer,
                {
                    "where": "1=1" if last is None else f"{layer.object_id_field}>{last}",
                    "outFields": ",".join(wanted),
                    "orderByFields": layer.object_id_field,
                    "returnGeometry": "false",
                    "resultRecordCount": str(layer.page),
                },
            )
            rows = [feature["attributes"] for feature in answer.get("features") or ()]
            page: dict[int, str] = {}
            for row in rows:
                object_id = _object_id(row.get(layer.object_id_field), layer)
                page[object_id] = plain_id(row.get(layer.global_id_field)) if layer.global_id_field else str(object_id)
            if page:
                yield page
            if not rows or (not answer.get("exceededTransferLimit") and len(rows) < layer.page):
                return
            last = max(page)

    def attachments(self, layer: ServiceLayer, rows: Mapping[int, str]) -> Iterator[AttachmentFact]:
        """Every attachment of the given rows (object id → GlobalID), each once."""
        object_ids = sorted(rows)
        seen: set[tuple[int, int]] = set()
        for at in range(0, len(object_ids), OBJECT_IDS_A_REQUEST):
            try:
                some = list(self._attachments_of(layer, object_ids[at : at + OBJECT_IDS_A_REQUEST]))
                for object_id, info in some:
                    key = object_id, int(info["id"])
                    if object_id in rows and key not in seen:
                        seen.add(key)
                        name, size = str(info.get("name") or ""), max(0, int(info.get("size") or 0))
                        raw = {**info, "parentObjectId": object_id}
                        yield AttachmentFact(rows[object_id], *key, name, size, raw)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise NotAnAnswer(f"Layer {layer.name!r} lists attachments in an unknown form ({error!r}).") from None

    def _attachments_of(self, layer: ServiceLayer, some: list[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """(object id, what is said of an attachment) of a few rows; of fewer, where all is too much for one answer."""
        if len(some) == 1 or not layer.lists_attachments:
            for object_id in some:
                address = f"{self.url}/{layer.id}/{object_id}/attachments"
                infos = self.portal.get_json(address, needs={"attachmentInfos": list})["attachmentInfos"]
                yield from ((object_id, info) for info in infos)
            return
        params = {"objectIds": ",".join(map(str, some)), "resultRecordCount": "100000"}
        address = f"{self.url}/{layer.id}/queryAttachments"
        answer = self.portal.get_json(address, params, post=True, needs={"attachmentGroups": list})
        if answer.get("exceededTransferLimit"):
            half = len(some) // 2
            yield from self._attachments_of(layer, some[:half])
            yield from self._attachments_of(layer, some[half:])
            return
        for group in answer["attachmentGroups"]:
            yield from ((int(group["parentObjectId"]), info) for info in group.get("attachmentInfos") or ())

    def attachment_counts(self, layer_id: int) -> list[tuple[int, int]]:
        """(object id, number of attachments) of the rows of a layer that have some.

        Only where the layer `supportsQueryAttachmentsCountOnly`.
        """
        params = {"definitionExpression": "1=1", "returnCountOnly": "true", "resultRecordCount": "100000"}
        address = f"{self.url}/{layer_id}/queryAttachments"
        counts: dict[int, int] = {}
        while True:
            answer = self.portal.get_json(address, params, post=True, needs={"attachmentGroups": list})
            try:
                page = {int(group["parentObjectId"]): int(group["count"]) for group in answer["attachmentGroups"]}
            except (KeyError, TypeError, ValueError) as error:
                raise NotAnAnswer(f"Layer {layer_id} counts its attachments in an unknown form ({error!r}).") from None
            is_new = not page.keys() <= counts.keys()
            counts |= page
            if not answer.get("exceededTransferLimit"):
                return sorted(counts.items())
            if not is_new:
                raise NotAnAnswer(f"Layer {layer_id} counts the attachments of {len(counts):,} rows only.")
            params["resultOffset"] = str(len(counts))

    def changes(self, layer: ServiceLayer, since: int) -> dict[str, Any]:
        """What was edited in a layer since a generation of its change tracking: ids of rows, and attachments.

        The answer of "Extract Changes", or `{"statusUrl": …}`: the job whose `resultUrl` has it.
        """
        params = {
            "layers": f"[{layer.id}]",
            "layerServerGens": json.dumps([{"id": layer.id, "serverGen": since}]),
            "returnInserts": "true",
            "returnUpdates": "true",
            "returnDeletes": "true",
            "returnIdsOnly": "true",
            "returnAttachments": "true",
            "returnAttachmentsDataByUrl": "true",
            "dataFormat": "json",
        }
        return self.portal.get_json(f"{self.url}/extractChanges", params, post=True)

    def fetch_attachment(self, layer: ServiceLayer, fact: AttachmentFact, sink: Sink) -> Received:
        """Stream the bytes of one attachment into `sink`."""
        address = f"{self.url}/{layer.id}/{fact.object_id}/attachments/{fact.id}"
        # Asking for JSON changes no file; without it a rejected token would be told in a web page, and not be renewed.
        return self.portal.download(address, sink, params={"f": "json"})

    def edit_stamps(self, layer: ServiceLayer) -> Mapping[str, Any]:
        """When rows, attachments and schema of the layer were last edited; empty where the service does not say."""
        raw = self.portal.get_json(f"{self.url}/{layer.id}")
        return raw.get("editingInfo") or {}

    def object_ids(self, layer: ServiceLayer) -> array[int]:
        """The object id of every row, sorted: the one answer that no record limit cuts."""
        answer = self._query(layer, {"where": "1=1", "returnIdsOnly": "true"})
        if "objectIds" not in answer:
            raise NotAnAnswer(f"Layer {layer.name!r} did not list its object ids.")
        return array("q", sorted(_object_id(each, layer) for each in answer["objectIds"] or ()))

    def fetch_row_range(self, layer: ServiceLayer, first: int, last: int, sink: Sink) -> Received:
        """Stream the query answer with all rows from object id `first` to `last`, geometry in full, into `sink`."""
        name = layer.object_id_field
        return self._fetch_where(layer, f"{name}>={first} AND {name}<={last}", sink)

    def fetch_rows(self, layer: ServiceLayer, object_ids: Sequence[int], sink: Sink) -> Received:
        """Stream the query answer with the rows of these object ids, geometry in full, into `sink`."""
        return self._fetch_where(layer, f"{layer.object_id_field} IN ({','.join(map(str, object_ids))})", sink)

    def _fetch_where(self, layer: ServiceLayer, where: str, sink: Sink) -> Received:
        params = {
            "f": "json",
            "where": where,
            "outFields": "*",
            "orderByFields": layer.object_id_field,
            "returnGeometry": "true",
            "returnZ": "true",
            "returnM": "true",
            "returnTrueCurves": "true",
            "resultRecordCount": str(layer.page),
        }
        return self.portal.download(f"{self.url}/{layer.id}/query", sink, params=params, compressed=True)

    def _query(self, layer: ServiceLayer, params: dict[str, str]) -> dict[str, Any]:
        return self.portal.get_json(f"{self.url}/{layer.id}/query", params, post=True)
