"""Edits of hosted feature layers: rows added, updated and deleted, alone or in one request.

Source: the REST pages "Apply Edits" (of a service, and of a layer), "Add Features", "Update Features" and "Delete
Features". The numbers of the errors, but for 1003, are this portal's own: no source lists them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from agolkit.sandbox.access import find_service, may
from agolkit.sandbox.answers import Json, ServiceError, no_permission, render, token_required
from agolkit.sandbox.call import Call, route
from agolkit.sandbox.organization import Change, Layer, Organization, Service
from agolkit.sandbox.state import State, now
from agolkit.sandbox.views import origin_of
from agolkit.sandbox.where import compile_where

_KEYS = {"add": "addResults", "update": "updateResults", "delete": "deleteResults"}
_NEEDS = {"add": "Create", "update": "Update", "delete": "Delete"}


def routes(state: State) -> list[Route]:
    """Return the routes of edits."""
    one = state.services_path + "/{service}/{server_type}"
    layer = one + "/{layer:int}"
    return [
        route(state, one + "/applyEdits", apply_to_service),
        route(state, layer + "/applyEdits", apply_to_layer),
        route(state, layer + "/addFeatures", add_features),
        route(state, layer + "/updateFeatures", update_features),
        route(state, layer + "/deleteFeatures", delete_features),
    ]


class Editing:
    """The edits of one layer that one request makes; none is made before `finish`."""

    def __init__(self, call: Call, layer_id: int) -> None:
        self.call = call
        self.service, self.layer, self.allowed = find_editable(call, layer_id)
        self.by_global_id = call.flag("useGlobalIds")
        if not isinstance(self.layer.features, list):
            # A layer that is made up row by row keeps none of them.
            raise ServiceError(400, "Requested operation is not supported by this service.")
        oid = self.layer.object_id_field
        self.rows: dict[int, Json] = {row["attributes"][oid]: row for row in self.layer.features}
        used = [one.object_id for one in self.service.changes if one.layer == self.layer.id]
        self.last_id = max([0, *self.rows, *used])
        self.changes: list[Change] = []
        self.results: dict[str, list[Json]] = {}

    def carry_out(self, edits: Mapping[str, Any]) -> None:
        """Make the `adds`, `updates` and `deletes` of a request, each with a result of its own."""
        steps: tuple[tuple[str, Callable[[Any], Json]], ...] = (
            ("add", self._add),
            ("update", self._update),
            ("delete", self._delete),
        )
        for how, step in steps:
            some = edits.get(f"{how}s") or []
            if some:
                require_one(self.call, self.allowed, _NEEDS[how])
            self.results[how] = [step(each) for each in some]

    def _add(self, feature: Json) -> Json:
        global_id = self.layer.global_id_field
        values = self._known(feature)
        moment, who = now(), self.call.user.username if self.call.user else ""
        self.last_id += 1
        values[self.layer.object_id_field] = self.last_id
        if global_id and not (self.by_global_id and values.get(global_id)):
            values[global_id] = new_global_id()
        values |= self._stamps("creationDateField", moment, "creatorField", who)
        values |= self._stamps("editDateField", moment, "editorField", who)
        row: Json = {"attributes": {field["name"]: values.get(field["name"]) for field in self.layer.fields}}
        if self.layer.geometry_type:
            row["geometry"] = feature.get("geometry")
        self.rows[self.last_id] = row
        return self._done("add", row)

    def _update(self, feature: Json) -> Json:
        values = self._known(feature)
        key = self.layer.global_id_field if self.by_global_id else self.layer.object_id_field
        found = self._find(values.get(key or ""))
        if found is None:
            return failed(values.get(self.layer.object_id_field), 1001, "The feature does not exist.")
        row = self.rows[found]
        fixed = {self.layer.object_id_field, self.layer.global_id_field}
        new = {name: value for name, value in values.items() if name not in fixed}
        who = self.call.user.username if self.call.user else ""
        new |= self._stamps("editDateField", now(), "editorField", who)
        geometry = {"geometry": feature["geometry"]} if "geometry" in feature else {}
        self.rows[found] = row | geometry | {"attributes": row["attributes"] | new}
        return self._done("update", self.rows[found])

    def _delete(self, wanted: int | str) -> Json:
        found = self._find(wanted)
        if found is None:
            return failed(None if self.by_global_id else wanted, 1001, "The feature does not exist.")
        return self._done("delete", self.rows.pop(found))

    def _known(self, feature: Json) -> Json:
        """The attributes that the layer has; others are passed over, and case does not matter."""
        names = {field["name"].lower(): field["name"] for field in self.layer.fields}
        given = feature.get("attributes") or {}
        return {names[name.lower()]: value for name, value in given.items() if name.lower() in names}

    def _stamps(self, date: str, moment: int, user: str, who: str) -> Json:
        """What editor tracking notes, where the layer tracks its editors."""
        tracked = self.layer.definition.get("editFieldsInfo") or {}
        return {tracked[key]: value for key, value in ((date, moment), (user, who)) if tracked.get(key)}

    def _find(self, wanted: Any) -> int | None:
        """The object id of a row named by its object id or, where the request says so, by its GlobalID."""
        if not self.by_global_id:
            return int(wanted) if str(wanted).isdigit() and int(wanted) in self.rows else None
        field, text = self.layer.global_id_field or "", str(wanted).strip("{}").upper()
        every = self.rows.items()
        return next((oid for oid, row in every if str(row["attributes"].get(field)).strip("{}").upper() == text), None)

    def _done(self, how: Any, row: Json) -> Json:
        attributes = row["attributes"]
        object_id, global_id = attributes[self.layer.object_id_field], attributes.get(self.layer.global_id_field or "")
        self.changes.append(Change(self.layer.id, "features", how, object_id, global_id or ""))
        return {"objectId": object_id, "uniqueId": object_id, "globalId": global_id, "success": True}

    @property
    def is_whole(self) -> bool:
        """Whether every edit could be made."""
        return all(result["success"] for results in self.results.values() for result in results)

    def take_back(self) -> None:
        """Make none of the edits after all: each result that was good says so."""
        for results in self.results.values():
            for at, result in enumerate(results):
                if result["success"]:
                    results[at] = failed(result["objectId"], 1003, "Operation rolled back.")

    def finish(self) -> None:
        """Make the edits that could be made."""
        assert isinstance(self.layer.features, list)
        self.layer.features[:] = self.rows.values()
        attachments = self.layer.attachments or {}
        for object_id in [change.object_id for change in self.changes if change.how == "delete"]:
            for one in attachments.pop(object_id, ()):
                self.changes.append(Change(self.layer.id, "attachments", "delete", object_id, one.global_id, one.id))
        note(self.call.org, self.service, self.layer, self.changes)


def find_editable(call: Call, layer_id: int) -> tuple[Service, Layer, set[str]]:
    """Return the service and the layer that hold the rows of the one that is named, and how the caller may edit them:
    the owner and administrators in any way, others as the capabilities of the service say."""
    if call.request.method != "POST":
        raise ServiceError(405, "Method not allowed.")
    service, item = find_service(call)
    shown = next((layer for layer in service.all() if layer.id == layer_id), None)
    if shown is None:
        raise ServiceError(400, "Invalid URL", details=["Invalid URL"])
    user, every = call.user, {"Create", "Update", "Delete"}
    if user and (user.username == item.owner or may(user, "features:user:fullEdit")):
        allowed = every
    elif user and not may(user, "features:user:edit"):
        allowed = set()
    else:
        allowed = every & set(service.capabilities.split(","))
    return *(origin_of(call.org, service, shown) or (service, shown)), allowed


def require_one(call: Call, allowed: set[str], *needed: str) -> None:
    """Refuse an edit for which the caller has none of the capabilities that it needs."""
    if allowed.isdisjoint(needed):
        raise no_permission() if call.user else token_required()


def note(org: Organization, service: Service, layer: Layer, changes: Sequence[Change]) -> None:
    """Note edits with the layer, the views of it, and change tracking. The item's own stamp stays as it is."""
    if not changes:
        return
    service.changes += changes
    moment = max(now(), layer.last_edit + 1)
    for other in org.services.values():
        for one in other.all():
            if one is layer or origin_of(org, other, one) == (service, layer):
                one.last_edit = moment


def new_global_id() -> str:
    """Return a new GlobalID."""
    return f"{{{uuid.uuid4()}}}".upper()


async def apply_to_layer(call: Call) -> Mapping[str, Any]:
    """Edit one layer."""
    if call.params.get("attachments", "").strip() not in ("", "{}", "null"):
        raise ServiceError(400, "'attachments' is not supported by this portal: use addAttachment.")
    edits = {name: _listed(call, name) for name in ("adds", "updates", "deletes")}
    return {_KEYS[how]: results for how, results in _edit_one(call, edits).items()}


async def apply_to_service(call: Call) -> Response:
    """Edit several layers at once."""
    wanted = _listed(call, "edits")
    editing = [Editing(call, int(edits["id"])) for edits in wanted]
    for one, edits in zip(editing, wanted, strict=True):
        one.carry_out(edits)
    _settle(call, editing)
    named = [{_KEYS[how]: results for how, results in one.results.items()} for one in editing]
    answer = [{"id": edits["id"], **results} for edits, results in zip(wanted, named, strict=True)]
    return render(answer, call.form)


async def add_features(call: Call) -> Mapping[str, Any]:
    """Add rows to one layer."""
    return {"addResults": _edit_one(call, {"adds": _listed(call, "features")})["add"]}


async def update_features(call: Call) -> Mapping[str, Any]:
    """Update rows of one layer."""
    return {"updateResults": _edit_one(call, {"updates": _listed(call, "features")})["update"]}


async def delete_features(call: Call) -> Mapping[str, Any]:
    """Delete the rows of one layer that ids or a clause name."""
    wanted = _listed(call, "objectIds")
    if not wanted and call.params.get("where"):
        _, layer, _ = find_editable(call, int(call.part("layer")))
        test = compile_where(call.params["where"], [field["name"] for field in layer.fields])
        rows = [row["attributes"] for row in layer.features if test is None or test(row["attributes"])]
        wanted = [row[layer.object_id_field] for row in rows]
    elif not wanted:
        raise ServiceError(400, "'objectIds' or 'where' must be specified.")
    return {"deleteResults": _edit_one(call, {"deletes": wanted})["delete"]}


def _edit_one(call: Call, edits: Mapping[str, Any]) -> dict[str, list[Json]]:
    editing = Editing(call, int(call.part("layer")))
    editing.carry_out(edits)
    _settle(call, [editing])
    return editing.results


def _settle(call: Call, editing: Sequence[Editing]) -> None:
    """Make the edits, or none of them where one cannot be made and the request does not say otherwise."""
    if call.flag("rollbackOnFailure", default=True) and not all(one.is_whole for one in editing):
        for one in editing:
            one.take_back()
        return
    for one in editing:
        one.finish()


def _listed(call: Call, name: str) -> list[Any]:
    """A list in JSON, or ids separated by commas."""
    text = call.params.get(name, "").strip()
    if not text:
        return []
    if text[0] not in "[{":
        return [part.strip() for part in text.split(",")]
    try:
        value = json.loads(text)
    except ValueError:
        raise ServiceError(400, f"'{name}' parameter is invalid") from None
    return value if isinstance(value, list) else [value]


def failed(object_id: Any, code: int, description: str) -> Json:
    """Return the result of an edit that was not made."""
    return {"objectId": object_id, "success": False, "error": {"code": code, "description": description}}
