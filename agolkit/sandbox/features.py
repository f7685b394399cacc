"""Hosted feature services: the service, its layers, queries, attachments, and the administrator's definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from agolkit.sandbox.access import can_see, may
from agolkit.sandbox.answers import Json, ServiceError, no_permission, token_required
from agolkit.sandbox.call import Call, route
from agolkit.sandbox.organization import Attachment, Item, Layer, Service
from agolkit.sandbox.rows import Source, extent, numbers, query, source_of, spatial_reference
from agolkit.sandbox.state import State
from agolkit.sandbox.transfer import send_payload
from agolkit.sandbox.where import compile_where

_VERSION = 11.4


def routes(state: State) -> list[Route]:
    """Return the routes of the hosted services."""
    services = state.services_path
    admin = services.replace("/rest/services", "/rest/admin/services")
    server = services.split("/rest/")[0]
    one = "/{service}/{server_type}"
    return [
        route(state, server + "/rest/info", server_info, is_open=True),
        route(state, services + one, service_root),
        route(state, services + one + "/layers", all_layers),
        route(state, services + one + "/{layer:int}", one_layer),
        route(state, services + one + "/{layer:int}/query", query_layer),
        route(state, services + one + "/{layer:int}/queryAttachments", query_attachments),
        route(state, services + one + "/{layer:int}/{object_id:int}/attachments", list_attachments),
        route(state, services + one + "/{layer:int}/{object_id:int}/attachments/{attachment:int}", one_attachment),
        route(state, admin + one, admin_root),
        route(state, admin + one + "/{layer:int}", admin_layer),
    ]


async def server_info(call: Call) -> Mapping[str, Any]:
    """Where the tokens of this server come from: the portal."""
    return {
        "currentVersion": _VERSION,
        "owningSystemUrl": call.state.portal_url,
        "authInfo": {
            "isTokenBasedSecurity": True,
            "tokenServicesUrl": f"{call.state.portal_url}/sharing/rest/generateToken",
        },
    }


def _find(call: Call) -> tuple[Service, Item]:
    """The service that the path names and its item, if the caller may see them."""
    service = call.org.services.get(call.part("service"))
    item = call.org.items.get(service.item_id) if service else None
    if service is None or item is None or service.server_type != call.part("server_type"):
        raise ServiceError(400, "Invalid URL", details=["Invalid URL"])
    if not can_see(call.org, call.user, item):
        raise no_permission() if call.user else token_required()
    return service, item


def _find_layer(call: Call) -> Source:
    service, _ = _find(call)
    wanted = int(call.part("layer"))
    for layer in service.all():
        if layer.id == wanted:
            return source_of(call.org, service, layer)
    raise ServiceError(400, "Invalid URL", details=["Invalid URL"])


def _administers(call: Call, item: Item) -> None:
    user = call.signed_in()
    if user.username != item.owner and not may(user, "portal:admin:updateItems"):
        raise no_permission()


async def service_root(call: Call) -> Mapping[str, Any]:
    """The service: its layers, tables and capabilities."""
    return _describe_service(*_find(call))


def _describe_service(service: Service, item: Item) -> Json:
    if service.server_type != "FeatureServer":
        return {
            "currentVersion": _VERSION,
            "serviceItemId": item.id,
            "serviceDescription": service.description,
            "capabilities": service.capabilities,
            "layers": [],
            "tables": [],
        }
    everything = service.all()
    wkid = everything[0].wkid if everything else 4326
    return {
        "currentVersion": _VERSION,
        "serviceItemId": item.id,
        "isView": service.view_of is not None,
        "isUpdatableView": service.view_of is not None,
        "serviceDescription": service.description,
        "hasVersionedData": False,
        "supportsDisconnectedEditing": False,
        "hasStaticData": False,
        "hasSyncEnabledViews": False,
        "maxRecordCount": min((layer.max_record_count for layer in everything), default=2000),
        "supportedQueryFormats": "JSON",
        "supportedExportFormats": "csv,shapefile,filegdb,geoPackage,geojson,excel",
        "capabilities": service.capabilities,
        "description": service.description,
        "copyrightText": "",
        "spatialReference": spatial_reference(wkid),
        "allowGeometryUpdates": True,
        "units": "esriDecimalDegrees" if wkid == 4326 else "esriMeters",
        "supportsAppend": True,
        "syncEnabled": "Sync" in service.capabilities.split(","),
        "supportsApplyEditsWithGlobalIds": True,
        "layers": [_entry(layer) | {"geometryType": layer.geometry_type} for layer in service.layers],
        "tables": [_entry(layer) for layer in service.tables],
    }


def _entry(layer: Layer) -> Json:
    return {
        "id": layer.id,
        "name": layer.name,
        "parentLayerId": -1,
        "defaultVisibility": True,
        "subLayerIds": None,
        "minScale": 0,
        "maxScale": 0,
        "type": "Feature Layer" if layer.geometry_type else "Table",
    }


async def all_layers(call: Call) -> Mapping[str, Any]:
    """All layers and tables in full."""
    service, item = _find(call)
    return {
        "layers": [_describe_layer(source_of(call.org, service, layer), item) for layer in service.layers],
        "tables": [_describe_layer(source_of(call.org, service, layer), item) for layer in service.tables],
    }


async def one_layer(call: Call) -> Mapping[str, Any]:
    """One layer or table in full."""
    _, item = _find(call)
    return _describe_layer(_find_layer(call), item)


def _describe_layer(source: Source, item: Item) -> Json:
    layer, service = source.layer, source.service
    answer: Json = {
        "currentVersion": _VERSION,
        "id": layer.id,
        "name": layer.name,
        "type": "Feature Layer" if layer.geometry_type else "Table",
        "serviceItemId": item.id,
        "isView": service.view_of is not None,
        "displayField": "",
        "description": "",
        "copyrightText": "",
        "defaultVisibility": True,
        "editingInfo": {
            "lastEditDate": layer.last_edit,
            "schemaLastEditDate": layer.schema_last_edit,
            "dataLastEditDate": layer.last_edit,
        },
        "editFieldsInfo": None,
        "relationships": layer.relationships,
        "isDataVersioned": False,
        "supportsAppend": True,
        "supportsStatistics": True,
        "supportsAdvancedQueries": True,
        "supportsPagination": True,
        "supportsCoordinatesQuantization": False,
        "advancedQueryCapabilities": {
            "supportsPagination": True,
            "supportsStatistics": True,
            "supportsOrderBy": True,
            "supportsDistinct": False,
            "supportsQueryAttachments": layer.attachments is not None,
            "supportsQueryAttachmentsWithReturnUrl": layer.attachments is not None,
            "supportsReturningQueryExtent": True,
            "supportsSqlExpression": False,
        },
        "useStandardizedQueries": True,
        "hasAttachments": layer.attachments is not None,
        "htmlPopupType": "esriServerHTMLPopupTypeAsHTMLText",
        "hasM": layer.has_m,
        "hasZ": layer.has_z,
        "objectIdField": layer.object_id_field,
        "uniqueIdField": {"name": layer.object_id_field, "isSystemMaintained": True},
        "globalIdField": layer.global_id_field or "",
        "typeIdField": "",
        "fields": source.fields,
        "indexes": [],
        "types": [],
        "templates": [],
        "supportedQueryFormats": "JSON",
        "hasStaticData": False,
        "maxRecordCount": layer.max_record_count,
        "standardMaxRecordCount": layer.max_record_count,
        "tileMaxRecordCount": layer.max_record_count,
        "capabilities": service.capabilities,
    }
    if layer.attachments is not None:
        answer["attachmentProperties"] = [
            {"name": name, "isEnabled": True} for name in ("name", "size", "contentType", "keywords")
        ]
    if layer.geometry_type:
        answer |= {
            "geometryType": layer.geometry_type,
            "minScale": 0,
            "maxScale": 0,
            "extent": extent(layer, source.rows()) or {"xmin": None, "ymin": None, "xmax": None, "ymax": None},
        }
    if layer.view_where:
        answer["definitionQuery"] = layer.view_where
    return answer | layer.definition


async def query_layer(call: Call) -> Mapping[str, Any]:
    """The rows that a query finds."""
    source = _find_layer(call)
    if "Query" not in source.service.capabilities.split(","):
        raise ServiceError(400, "Requested operation is not supported by this service.")
    return query(call, source)


async def query_attachments(call: Call) -> Mapping[str, Any]:
    """The attachments of the rows asked for, in groups of one row each."""
    source = _with_attachments(call)
    params, layer = call.params, source.layer
    oid, gid = layer.object_id_field, layer.global_id_field or ""
    rows = source.rows()
    if params.get("objectIds"):
        wanted = set(numbers(params["objectIds"], "objectIds"))
        rows = [row for row in rows if row["attributes"][oid] in wanted]
    elif params.get("globalIds"):
        names = {name.strip().strip("{}").lower() for name in params["globalIds"].split(",")}
        rows = [row for row in rows if str(row["attributes"].get(gid)).strip("{}").lower() in names]
    elif "definitionExpression" in params:
        if test := compile_where(params["definitionExpression"], source.names):
            rows = [row for row in rows if test(row["attributes"])]
    else:
        raise ServiceError(
            400, "Unable to complete operation.", details=["objectIds, globalIds or definitionExpression is required"]
        )
    if call.flag("returnCountOnly"):
        counts = [(row["attributes"], len(source.attached(row["attributes"][oid]))) for row in rows]
        groups = [
            {"parentObjectId": one[oid], "parentGlobalId": one.get(gid), "count": count}
            for one, count in counts
            if count
        ]
        return {"attachmentGroups": groups}
    pairs = [(row["attributes"], one) for row in rows for one in source.attached(row["attributes"][oid])]
    offset = max(0, call.number("resultOffset", 0))
    count = min(call.number("resultRecordCount", layer.max_record_count), layer.max_record_count)
    grouped: dict[int, Json] = {}
    for attributes, attachment in pairs[offset : offset + count]:
        group = grouped.setdefault(
            attributes[oid],
            {"parentObjectId": attributes[oid], "parentGlobalId": attributes.get(gid), "attachmentInfos": []},
        )
        described = _describe_attachment(attachment)
        if call.flag("returnUrl"):
            base = call.state.service_url(source.service)
            described["url"] = f"{base}/{layer.id}/{attributes[oid]}/attachments/{attachment.id}"
        group["attachmentInfos"].append(described)
    answer: Json = {
        "fields": [
            {"name": "attachmentid", "type": "esriFieldTypeOID"},
            {"name": "globalid", "type": "esriFieldTypeGlobalID"},
        ],
        "attachmentGroups": list(grouped.values()),
    }
    if offset + count < len(pairs):
        answer["exceededTransferLimit"] = True
    return answer


def _with_attachments(call: Call) -> Source:
    source = _find_layer(call)
    if source.attachments is None:
        raise ServiceError(400, "Requested operation is not supported by this service.")
    return source


def _describe_attachment(attachment: Attachment) -> Json:
    return {
        "id": attachment.id,
        "globalId": attachment.global_id,
        "name": attachment.name,
        "contentType": attachment.content_type,
        "size": attachment.payload.size,
        "keywords": attachment.keywords,
        "exifInfo": None,
    }


async def list_attachments(call: Call) -> Mapping[str, Any]:
    """The attachments of one row."""
    source, object_id = _row(call)
    return {"attachmentInfos": [_describe_attachment(one) for one in source.attached(object_id)]}


async def one_attachment(call: Call) -> Response:
    """The bytes of one attachment."""
    source, object_id = _row(call)
    for one in source.attached(object_id):
        if one.id == int(call.part("attachment")):
            name = one.name.replace('"', "'").encode("ascii", "replace").decode()
            return send_payload(
                call, one.payload, one.content_type, {"Content-Disposition": f'inline; filename="{name}"'}
            )
    raise ServiceError(400, "Attachment not found.")


def _row(call: Call) -> tuple[Source, int]:
    """The layer and the object id that the path names, if that row can be seen."""
    source, object_id = _with_attachments(call), int(call.part("object_id"))
    if not any(row["attributes"][source.layer.object_id_field] == object_id for row in source.rows()):
        raise ServiceError(400, "Object not found.")
    return source, object_id


async def admin_root(call: Call) -> Mapping[str, Any]:
    """The service as its owner and administrators see it, layers in full."""
    service, item = _find(call)
    _administers(call, item)
    answer = _describe_service(service, item)
    answer["adminServiceInfo"] = {
        "name": service.name,
        "type": service.server_type,
        "status": "Started",
        "cacheMaxAge": 0,
    }
    answer["layers"] = [_admin_layer(call, service, layer, item) for layer in service.layers]
    answer["tables"] = [_admin_layer(call, service, layer, item) for layer in service.tables]
    return answer


async def admin_layer(call: Call) -> Mapping[str, Any]:
    """A layer as its owner and administrators see it."""
    service, item = _find(call)
    _administers(call, item)
    return _admin_layer(call, service, _find_layer(call).layer, item)


def _admin_layer(call: Call, service: Service, layer: Layer, item: Item) -> Json:
    """A layer's JSON with `adminLayerInfo`: of a view, where its rows come from and what it leaves out."""
    answer = _describe_layer(source_of(call.org, service, layer), item)
    about: Json = {
        "geometryField": {"name": "Shape", "srid": layer.wkid} if layer.geometry_type else None,
        "tableName": f"{call.org.id}.{service.name.upper()}_{layer.name.upper().replace(' ', '_')}",
        "xssTrustedFields": "",
    }
    if service.view_of and (source := call.org.services.get(service.view_of)):
        about["viewLayerDefinition"] = {
            "sourceServiceName": source.name,
            "sourceServiceItemId": source.item_id,
            "sourceLayerId": layer.id,
            "sourceLayerFields": "*",
            "table": {
                "name": layer.name,
                "sourceServiceName": source.name,
                "sourceLayerId": layer.id,
                "sourceLayerFields": [
                    {"name": name, "source": name} for name in source_of(call.org, service, layer).names
                ],
            },
        }
        about["isViewUpdateable"] = True
    if layer.view_where:
        answer["viewDefinitionQuery"] = layer.view_where
    answer["adminLayerInfo"] = about
    return answer
