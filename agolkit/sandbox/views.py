"""What a layer shows: its own rows, or those that a view takes from other layers, as far as the caller may see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agolkit.sandbox.access import may
from agolkit.sandbox.answers import Json
from agolkit.sandbox.call import Call
from agolkit.sandbox.organization import Attachment, Item, Join, Layer, Organization, Service, User
from agolkit.sandbox.sorted_rows import SortedRows
from agolkit.sandbox.where import compile_where


@dataclass(frozen=True)
class Source:
    """A layer of a service together with what it shows."""

    service: Service
    layer: Layer
    features: Sequence[Json]
    attachments: dict[int, list[Attachment]] | None
    author: tuple[str, str] | None = None
    """Field and value that the rows must have to be seen."""

    @property
    def fields(self) -> list[Json]:
        """The fields that can be seen."""
        return [field for field in self.layer.fields if field["name"] not in self.layer.hidden_fields]

    @property
    def names(self) -> list[str]:
        """The names of the fields that can be seen."""
        return [field["name"] for field in self.fields]

    def rows(self) -> Sequence[Json]:
        """Return the rows that can be seen; a view's query may use fields that it hides."""
        rows = self.features
        if test := compile_where(self.layer.view_where or "", [field["name"] for field in self.layer.fields]):
            rows = matching(rows, test)
        if self.author:
            field, name = self.author
            rows = matching(rows, lambda attributes: attributes.get(field) == name)
        return rows

    def attached(self, object_id: int) -> list[Attachment]:
        """Return the attachments of a row."""
        return (self.attachments or {}).get(object_id, [])


def matching(rows: Sequence[Json], test: Callable[[Json], object]) -> Sequence[Json]:
    """Return the rows whose attributes pass a test."""
    if isinstance(rows, SortedRows):
        return rows.matching(lambda row: test(row["attributes"]))
    return [row for row in rows if test(row["attributes"])]


def source_of(call: Call, service: Service, layer: Layer) -> Source:
    """Return what a layer shows to the caller; a view shows the rows of its source."""
    org = call.org
    _, origin = origin_of(org, service, layer) or (service, layer)
    features = _joined(org, origin.features, layer.join) if layer.join else origin.features
    attachments = None if layer.attachments is None else origin.attachments
    author = None
    access = origin.definition.get("ownershipBasedAccessControlForFeatures") or {}
    if access.get("allowOthersToQuery") is False and not administers(call.user, org.items.get(service.item_id)):
        author = (origin.definition["editFieldsInfo"]["creatorField"], call.user.username if call.user else "")
    return Source(service, layer, features, attachments, author)


def administers(user: User | None, item: Item | None) -> bool:
    """Return whether a user owns an item or administers the content of the organization."""
    return user is not None and (
        (item is not None and user.username == item.owner) or may(user, "portal:admin:updateItems")
    )


def origin_of(org: Organization, service: Service, layer: Layer) -> tuple[Service, Layer] | None:
    """Return the service and the layer that a view's layer shows; `None` for a layer with rows of its own."""
    name, layer_id = layer.source or (service.view_of, layer.id)
    return _find(org, name or "", layer_id)


def _find(org: Organization, name: str, layer_id: int) -> tuple[Service, Layer] | None:
    service = org.services.get(name)
    if service is None:
        return None
    return next(((service, layer) for layer in service.all() if layer.id == layer_id), None)


def sources_of(org: Organization, service: Service) -> list[Service]:
    """Return the services that a view shows something of, each once; none, if it is no view."""
    named: list[str] = []
    if service.view_of is not None:
        for layer in service.all():
            named.append(layer.source[0] if layer.source else service.view_of)
            named += [layer.join.service] if layer.join else []
    return [org.services[name] for name in dict.fromkeys(named) if name in org.services]


def _joined(org: Organization, rows: Iterable[Json], join: Join) -> list[Json]:
    """The rows with the fields of their partners."""
    found = _find(org, join.service, join.layer)
    partners: dict[Any, Json] = {}
    for row in found[1].features if found else ():
        partners.setdefault(row["attributes"][join.key], row["attributes"])
    return list(_pairs(rows, partners, join))


def _pairs(rows: Iterable[Json], partners: dict[Any, Json], join: Join) -> Iterator[Json]:
    for row in rows:
        key = row["attributes"][join.parent_key]
        partner = partners.get(key) if key is not None else None
        if partner is None and join.type == "INNER":
            continue
        more = {name: partner[source] if partner else None for name, source in join.fields.items()}
        yield {**row, "attributes": row["attributes"] | more}


def view_definition(org: Organization, service: Service, layer: Layer) -> Json | None:
    """Return where a view's layer has its rows from, as its owner and administrators see it."""
    origin = origin_of(org, service, layer)
    if service.view_of is None or origin is None:
        return None
    source, below = origin
    joined = layer.join.fields if layer.join else {}
    hidden = {*layer.hidden_fields, *joined}
    table: Json = {
        "name": below.name,
        "sourceServiceName": source.name,
        "sourceLayerId": below.id,
        "sourceLayerFields": [_pair(field["name"]) for field in layer.fields if field["name"] not in hidden],
    }
    if layer.join:
        join, second = layer.join, _find(org, layer.join.service, layer.join.layer)
        table["relatedTables"] = [
            {
                "name": second[1].name if second else "",
                "sourceServiceName": join.service,
                "sourceLayerId": join.layer,
                "sourceLayerFields": [_pair(name, join.fields[name]) for name in join.fields],
                "type": join.type,
                "parentKeyFields": [join.parent_key],
                "keyFields": [join.key],
                "topFilter": {"groupByFields": join.key, "orderByFields": "OBJECTID ASC", "topCount": 1},
            }
        ]
        table["materialized"] = False
    return {
        "sourceServiceName": source.name,
        "sourceServiceItemId": source.item_id,
        "sourceLayerId": below.id,
        "sourceLayerFields": "*",
        "table": table,
    }


def _pair(name: str, source: str | None = None) -> Json:
    return {"name": name, "source": source or name}
