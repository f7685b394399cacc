"""A hosted feature service: its definition, and the ids of its rows and attachments.

Source of the requests: the REST pages "Feature Service", "Layer", "Query" and "Query Attachments". Pages are cut by
object id, not by offset, so that an edit between two pages can neither double nor drop a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agolkit.errors import NotAnAnswer
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
    page: int
    """Rows that the server gives at once."""

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
            page=min(int(raw.get("maxRecordCount") or 1000), LARGEST_PAGE),
        )


@dataclass(frozen=True, slots=True)
class AttachmentFact:
    """What the service says of one attachment."""

    parent: str
    """GlobalID of the row, as `plain_id` has it; the object id as text where the layer has no GlobalIDs."""
    name: str
    size: int


def plain_id(global_id: object) -> str:
    """A GlobalID in the form in which it is compared: upper case, without braces."""
    return str(global_id).strip("{}").upper()


class FeatureService:
    """Reads one hosted feature service through the portal's session."""

    def __init__(self, portal: Portal, url: str) -> None:
        self.portal = portal
        self.url = url.rstrip("/")

    def root(self) -> dict[str, Any]:
        """The JSON of the service."""
        return self.portal.get_json(self.url)

    def layers(self) -> dict[str, Any]:
        """The full JSON of every layer and table: `{"layers": […], "tables": […]}`."""
        return self.portal.get_json(f"{self.url}/layers")

    def admin(self) -> dict[str, Any]:
        """The administrator's definition, which holds view sources and filters; for owner and administrators."""
        return self.portal.get_json(self.url.replace("/rest/services/", "/rest/admin/services/"))

    def count(self, layer: ServiceLayer) -> int:
        """Number of rows."""
        answer = self._query(layer, {"where": "1=1", "returnCountOnly": "true"})
        if not isinstance(answer.get("count"), int):
            raise NotAnAnswer(f"Layer {layer.name!r} did not say how many rows it has.")
        return int(answer["count"])

    def row_ids(self, layer: ServiceLayer) -> dict[int, str]:
        """Object id → GlobalID (as `plain_id` has it; the object id as text where there is none) of every row."""
        found: dict[int, str] = {}
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
            for row in rows:
                object_id = int(row[layer.object_id_field])
                found[object_id] = plain_id(row[layer.global_id_field]) if layer.global_id_field else str(object_id)
            if not rows or (not answer.get("exceededTransferLimit") and len(rows) < layer.page):
                return found
            last = max(int(row[layer.object_id_field]) for row in rows)

    def attachments(self, layer: ServiceLayer, rows: dict[int, str]) -> Iterator[AttachmentFact]:
        """Every attachment of the given rows (object id → GlobalID)."""
        object_ids = sorted(rows)
        for at in range(0, len(object_ids), OBJECT_IDS_A_REQUEST):
            some = object_ids[at : at + OBJECT_IDS_A_REQUEST]
            answer = self.portal.get_json(
                f"{self.url}/{layer.id}/queryAttachments",
                {"objectIds": ",".join(map(str, some)), "resultRecordCount": "100000"},
                post=True,
            )
            for group in answer.get("attachmentGroups") or ():
                for info in group.get("attachmentInfos") or ():
                    yield AttachmentFact(rows[int(group["parentObjectId"])], str(info["name"]), int(info["size"]))

    def _query(self, layer: ServiceLayer, params: dict[str, str]) -> dict[str, Any]:
        return self.portal.get_json(f"{self.url}/{layer.id}/query", params, post=True)
