"""Hosted feature services: the service, its layers, their queries, and the administrator's definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.routing import Route

from agolkit.sandbox.access import find_service
from agolkit.sandbox.answers import Json, ServiceError, no_permission
from agolkit.sandbox.call import Call, route
from agolkit.sandbox.layers import VERSION, describe_layer, describe_layers, describe_service
from agolkit.sandbox.organization import Item, Layer, Service
from agolkit.sandbox.rows import numbers, query
from agolkit.sandbox.state import State
from agolkit.sandbox.views import Source, administers, source_of, sources_of, view_definition


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
        route(state, services + one + "/sources", view_sources),
        route(state, services + one + "/queryContingentValues", contingent_values),
        route(state, services + one + "/{layer:int}", one_layer),
        route(state, services + one + "/{layer:int}/query", query_layer),
        route(state, admin + one, admin_root),
        route(state, admin + one + "/{layer:int}", admin_layer),
    ]


async def server_info(call: Call) -> Mapping[str, Any]:
    """Where the tokens of this server come from: the portal."""
    return {
        "currentVersion": VERSION,
        "owningSystemUrl": call.state.portal_url,
        "authInfo": {
            "isTokenBasedSecurity": True,
            "tokenServicesUrl": f"{call.state.portal_url}/sharing/rest/generateToken",
        },
    }


def find_layer(call: Call) -> Source:
    """Return the layer that the path names, if the caller may see its service."""
    service, _ = find_service(call)
    wanted = int(call.part("layer"))
    for layer in service.all():
        if layer.id == wanted:
            return source_of(call, service, layer)
    raise ServiceError(400, "Invalid URL", details=["Invalid URL"])


def _administers(call: Call, item: Item) -> None:
    if not administers(call.signed_in(), item):
        raise no_permission()


async def service_root(call: Call) -> Mapping[str, Any]:
    """The service: its layers, tables and capabilities."""
    return describe_service(call, *find_service(call))


async def view_sources(call: Call) -> Mapping[str, Any]:
    """The services that a view takes its rows from."""
    service, _ = find_service(call)
    # No source says how a service that is no view answers; here it has no sources.
    services = [
        {
            "name": source.name,
            "type": source.server_type,
            "url": call.state.service_url(source),
            "serviceItemId": source.item_id,
        }
        for source in sources_of(call.org, service)
    ]
    return {"currentVersion": VERSION, "services": services}


async def contingent_values(call: Call) -> Mapping[str, Any]:
    """Which values go together, for the layers asked for or for all."""
    service, _ = find_service(call)
    wanted = numbers(call.params.get("layers", "").strip("[] "), "layers")
    sets = [
        {"layerId": layer.id, "fieldGroups": layer.field_groups}
        for layer in service.all()
        if layer.field_groups and (not wanted or layer.id in wanted)
    ]
    return {"typeCodes": ["Unknown", "Any", "Null", "Code", "Range"], "contingentValueSets": sets}


async def all_layers(call: Call) -> Mapping[str, Any]:
    """All layers and tables in full."""
    return describe_layers(call, *find_service(call))


async def one_layer(call: Call) -> Mapping[str, Any]:
    """One layer or table in full."""
    _, item = find_service(call)
    return describe_layer(find_layer(call), item)


async def query_layer(call: Call) -> Mapping[str, Any]:
    """The rows that a query finds."""
    source = find_layer(call)
    if source.layer.sub_layers is not None or "Query" not in source.service.capabilities.split(","):
        raise ServiceError(400, "Requested operation is not supported by this service.")
    return query(call, source)


async def admin_root(call: Call) -> Mapping[str, Any]:
    """The service as its owner and administrators see it, layers in full."""
    service, item = find_service(call)
    _administers(call, item)
    answer = describe_service(call, service, item)
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
    service, item = find_service(call)
    _administers(call, item)
    return _admin_layer(call, service, find_layer(call).layer, item)


def _admin_layer(call: Call, service: Service, layer: Layer, item: Item) -> Json:
    """A layer's JSON with `adminLayerInfo`: of a view, where its rows come from and what it leaves out."""
    answer = describe_layer(source_of(call, service, layer), item)
    about: Json = {
        "geometryField": {"name": "Shape", "srid": layer.wkid} if layer.geometry_type else None,
        "tableName": f"{call.org.id}.{service.name.upper()}_{layer.name.upper().replace(' ', '_')}",
        "xssTrustedFields": "",
    }
    if definition := view_definition(call.org, service, layer):
        about["viewLayerDefinition"] = definition
        about["isViewUpdateable"] = layer.join is None
    if layer.view_where:
        answer["viewDefinitionQuery"] = layer.view_where
    answer["adminLayerInfo"] = about
    return answer
