"""What a hosted feature service says of itself and of its layers."""

from __future__ import annotations

from agolkit.sandbox.answers import Json
from agolkit.sandbox.call import Call
from agolkit.sandbox.changes import tracking
from agolkit.sandbox.organization import Item, Layer, Service
from agolkit.sandbox.shapes import extent, spatial_reference
from agolkit.sandbox.views import Source, source_of, sources_of

VERSION = 11.4
_OTHERS = ("Query", "Update", "Delete")


def describe_service(call: Call, service: Service, item: Item) -> Json:
    """Return the service: its layers, tables and capabilities."""
    answer: Json = {
        "currentVersion": VERSION,
        "serviceItemId": item.id,
        "serviceDescription": service.description,
        "capabilities": service.capabilities,
        "layers": [],
        "tables": [],
    }
    if service.server_type != "FeatureServer":
        return answer
    everything = service.all()
    wkid = next((layer.wkid for layer in everything if layer.geometry_type), 4326)
    answer |= {
        "isView": service.view_of is not None,
        "isUpdatableView": service.view_of is not None and not any(layer.join for layer in everything),
        "hasVersionedData": False,
        "supportsDisconnectedEditing": False,
        "hasStaticData": False,
        "hasSyncEnabledViews": False,
        "maxRecordCount": min((layer.max_record_count for layer in everything), default=2000),
        "supportedQueryFormats": "JSON",
        "supportedExportFormats": "csv,shapefile,filegdb,geoPackage,geojson,excel",
        "description": service.description,
        "copyrightText": "",
        "spatialReference": spatial_reference(wkid),
        "allowGeometryUpdates": True,
        "units": "esriDecimalDegrees" if wkid == 4326 else "esriMeters",
        "supportsAppend": True,
        "syncEnabled": "Sync" in service.capabilities.split(","),
        "supportsApplyEditsWithGlobalIds": True,
        "supportsQueryContingentValues": any(layer.field_groups for layer in everything),
        "editorTrackingInfo": _editor_tracking(service),
        "layers": [
            _entry(service, layer) | {"geometryType": layer.geometry_type}
            if layer.geometry_type
            else _entry(service, layer)
            for layer in service.layers
        ],
        "tables": [_entry(service, layer) for layer in service.tables],
    }
    if len(sources_of(call.org, service)) > 1:
        answer["isMultiServicesView"] = True
    return answer | tracking(service)


def _editor_tracking(service: Service) -> Json:
    """Whether authors are kept, and whether others see their rows; the service says it once for all of its layers."""
    access = [layer.definition.get("ownershipBasedAccessControlForFeatures") or {} for layer in service.all()]
    allowed = {name: all(one.get(f"allowOthersTo{name}", True) for one in access) for name in _OTHERS}
    return {
        "enableEditorTracking": any(layer.definition.get("editFieldsInfo") for layer in service.all()),
        "enableOwnershipAccessControl": not all(allowed.values()),
        **{f"allowOthersTo{name}": is_allowed for name, is_allowed in allowed.items()},
        **{f"allowAnonymousTo{name}": is_allowed for name, is_allowed in allowed.items()},
    }


def _group_of(service: Service, layer: Layer) -> Layer | None:
    return next((group for group in service.layers if layer.id in (group.sub_layers or ())), None)


def _entry(service: Service, layer: Layer) -> Json:
    group = _group_of(service, layer)
    return {
        "id": layer.id,
        "name": layer.name,
        "parentLayerId": group.id if group else -1,
        "defaultVisibility": True,
        "subLayerIds": list(layer.sub_layers) if layer.sub_layers is not None else None,
        "minScale": 0,
        "maxScale": 0,
        "type": layer.type,
    }


def describe_layers(call: Call, service: Service, item: Item) -> Json:
    """Return all layers and tables of a service in full."""
    return {
        "layers": [describe_layer(source_of(call, service, layer), item) for layer in service.layers],
        "tables": [describe_layer(source_of(call, service, layer), item) for layer in service.tables],
    }


def describe_layer(source: Source, item: Item) -> Json:
    """Return one layer or table in full."""
    layer, service = source.layer, source.service
    group = _group_of(service, layer)
    answer: Json = {
        "currentVersion": VERSION,
        "id": layer.id,
        "name": layer.name,
        "type": layer.type,
        "serviceItemId": item.id,
        "parentLayer": {"id": group.id, "name": group.name} if group else None,
        "defaultVisibility": True,
    }
    if layer.sub_layers is not None:
        names = {one.id: one.name for one in service.all()}
        return answer | {"subLayers": [{"id": one, "name": names[one]} for one in layer.sub_layers]}
    has_attachments = layer.attachments is not None
    answer |= {
        "isView": service.view_of is not None,
        "displayField": "",
        "description": "",
        "copyrightText": "",
        "editingInfo": {
            "lastEditDate": layer.last_edit,
            "schemaLastEditDate": layer.schema_last_edit,
            "dataLastEditDate": layer.last_edit,
        },
        "editFieldsInfo": None,
        "ownershipBasedAccessControlForFeatures": None,
        "relationships": layer.relationships,
        "isDataVersioned": False,
        "hasContingentValuesDefinition": bool(layer.field_groups),
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
            "supportsTrueCurve": layer.geometry_type in ("esriGeometryPolyline", "esriGeometryPolygon"),
            "supportsQueryAttachments": has_attachments,
            "supportsQueryAttachmentsCountOnly": has_attachments,
            "supportsQueryAttachmentsWithReturnUrl": has_attachments,
            "supportsReturningQueryExtent": True,
            "supportsReturningGeometryCentroid": False,
            "supportsSqlExpression": False,
        },
        "useStandardizedQueries": True,
        "hasAttachments": has_attachments,
        "htmlPopupType": "esriServerHTMLPopupTypeAsHTMLText",
        "hasM": layer.has_m,
        "hasZ": layer.has_z,
        "objectIdField": layer.object_id_field,
        "uniqueIdField": {"name": layer.object_id_field, "isSystemMaintained": True},
        "globalIdField": layer.global_id_field or "",
        "typeIdField": "",
        "subtypeField": "",
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
    if has_attachments:
        answer["attachmentProperties"] = [
            {"name": name, "isEnabled": True} for name in ("name", "size", "contentType", "keywords")
        ]
    if layer.geometry_type:
        answer |= {
            "geometryType": layer.geometry_type,
            "minScale": 0,
            "maxScale": 0,
            "extent": layer.extent
            or extent(layer, source.rows())
            or {"xmin": None, "ymin": None, "xmax": None, "ymax": None},
        }
    if layer.view_where:
        answer["definitionQuery"] = layer.view_where
    return answer | layer.definition
