"""Views that take their rows from several hosted services."""

from __future__ import annotations

from dataclasses import replace

from agolkit.sandbox.city.builder import VIEW, Builder
from agolkit.sandbox.city.features import field
from agolkit.sandbox.city.hosted import VIEW_CAPABILITIES, hosted_item
from agolkit.sandbox.organization import Join, Layer


def add_views(city: Builder) -> None:
    """Add a view of four services, and one that joins the hydrants with their first inspection."""
    _add_overview(city)
    _add_joined(city)


def _shown(city: Builder, service: str, layer_id: int) -> Layer:
    return next(layer for layer in city.org.services[service].all() if layer.id == layer_id)


def _add_overview(city: Builder) -> None:
    """Layers whose ids are not those that they have in their sources."""

    def of(at: int, service: str, layer_id: int) -> Layer:
        return replace(_shown(city, service, layer_id), id=at, relationships=[], source=(service, layer_id))

    layers = [of(0, "Streets", 0), of(1, "Water_Network", 2), of(2, "Zoning", 4)]
    layers[0].view_where = "Lanes >= 3"
    layers[2].hidden_fields = ("Number",)
    tables = [of(5, "Business_Licenses", 0)]
    rest = {"tables": tables, "capabilities": VIEW_CAPABILITIES, "view_of": "Streets"}
    hosted_item(
        city,
        "overview",
        "city_admin",
        "City Overview",
        city.service("City_Overview", "overview", layers=layers, **rest),
        expected=VIEW,
        keywords=("View Service",),
        relations=tuple(("Service2Data", key) for key in ("streets", "water", "zoning", "licenses")),
    )


def _add_joined(city: Builder) -> None:
    """Read-only, as joined views are; a hydrant that nobody inspected has nulls."""
    hydrants = _shown(city, "Water_Network", 0)
    names = {f"Inspection_{name}": name for name in ("Inspected", "Flow", "Passed")}
    kinds = {"Inspected": "Date", "Flow": "Single"}
    view = replace(
        hydrants,
        name="Hydrants and inspections",
        fields=[*hydrants.fields, *(field(name, kinds.get(source, "String")) for name, source in names.items())],
        features=[],
        attachments={},
        relationships=[],
        source=("Water_Network", 0),
        join=Join("Water_Network", 3, "GlobalID", "HydrantID", names),
    )
    rest = {"capabilities": "Query", "view_of": "Water_Network"}
    hosted_item(
        city,
        "inspected hydrants",
        "p.waters",
        "Hydrants and their inspections",
        city.service("Hydrants_inspected", "inspected hydrants", layers=[view], **rest),
        expected=VIEW,
        folder="Water Network",
        keywords=("View Service",),
        relations=(("Service2Data", "water"),),
    )
