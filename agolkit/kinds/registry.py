"""Item type → kind. An open set: a type that is not listed is saved as what the portal answers for it.

Sources of the names: `ItemTypeEnum` of arcgis, the REST page "Items and item types", Esri's hub-common and solution.js.
They are compared without regard to case and blanks, because the lists spell some of them differently.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from agolkit.kinds.document import save_document
from agolkit.kinds.feature_service import save_feature_service
from agolkit.kinds.file import save_file
from agolkit.kinds.parts import save_description, save_parts
from agolkit.kinds.reference import save_reference
from agolkit.kinds.saving import RunContext, Saving
from agolkit.model import Item, Outcome, plain
from agolkit.progress import attempts_noted


@dataclass(frozen=True, slots=True)
class Kind:
    """A family of item types that are saved the same way."""

    name: str
    save: Callable[[Saving], None]
    plan: str
    """What a run will do to such an item, in plain words."""


LOOKS = 2
"""How often an item is saved that is edited meanwhile."""

DOCUMENT = Kind("document", save_document, "save its JSON, resources and description")
FILE = Kind("file", save_file, "save its file, resources and description")
FEATURE_SERVICE = Kind(
    "feature service", save_feature_service, "save its layers, as a File Geodatabase or as rows, and its definition"
)
REFERENCE = Kind("reference", save_reference, "save the package that it was published from, if the portal still has it")


def _names(text: str) -> frozenset[str]:
    return frozenset(plain(name) for name in text.strip().splitlines())


def kind_of(item: Item) -> Kind:
    """The kind that saves this item; never an error."""
    name = plain(item.type)
    if name in FEATURE_SERVICES:
        return FEATURE_SERVICE
    if name in REFERENCES:
        return REFERENCE
    if name in FILES:
        return FILE
    return DOCUMENT


def save_item(context: RunContext, item: Item) -> Outcome:
    """Save one item with all its parts, and judge it: the job that the engine runs for each item.

    Raises
    ------
    Stopped, TimedOut
        The run, or this item's time, has ended.
    StoreError, SignInError
        The store cannot be written to, or the portal not be read, any more: no item can be saved.
    """
    began = time.monotonic()
    kind = kind_of(item)
    for look in range(1, LOOKS + 1):
        saving = context.in_work[item.id] = Saving(context, item)
        save_parts(saving)
        kind.save(saving)
        saving.part("item", partial(save_description, saving))
        # The rows of a service have edit stamps of their own, and its export may move `modified`.
        if saving.item.modified == item.modified or kind is FEATURE_SERVICE:
            break
        if look == LOOKS:
            saving.missing.append("it was edited while it was saved; the parts may be of different moments")
        item = saving.item
    context.in_work.pop(item.id, None)  # it is gone already where the item was given up meanwhile
    return saving.outcome(kind=kind.name, attempts=attempts_noted(), seconds=time.monotonic() - began)


FEATURE_SERVICES = _names("Feature Service\nTable")

REFERENCES = _names("""
3DTiles Service
AppBuilder Extension
Document Link
Experience Builder Widget
Geocoding Service
Geodata Service
Geoenrichment Service
Geometry Service
Geoprocessing Service
Globe Service
Image Service
Knowledge Graph
Map Service
Network Analysis Service
OGCFeatureServer
Operations Dashboard Extension
Relational Database Catalog Service
Scene Service
Server
Stream Service
Symbol Service
Vector Tile Service
Video Service
WCS
WFS
WMS
WMTS
Workflow Manager Service
""")

FILES = _names("""
360 VR Experience
3DTiles Package
3DTiles Package (3D Object)
3DTiles Package (Gaussian Splat)
3DTiles Package (Integrated Mesh)
Addin Package
Administrative Report
AllSource Project
Apache Parquet
AppBuilder Widget Package
Arcade Module
ArcGIS Pro Add In
ArcGIS Pro Configuration
ArcPad Package
Basemap Package
CAD Drawing
CityEngine Web Scene
Code Attachment
Code Sample
Compact Tile Package
CSV
CSV Collection
Data Package Collection
Deep Learning Package
Desktop Add In
Desktop Application
Desktop Application Template
Desktop Style
Earth configuration
Esri Classification Schema
Esri Classifier Definition
Esri Spectral Library
Experience Builder Widget Package
Explorer Add In
Explorer Layer
Explorer Map
Export Package
File Geodatabase
Form
GeoJson
GeoPackage
Geoprocessing Package
Geoprocessing Package (Pro version)
Geoprocessing Sample
Globe Document
GML
Image
Image Collection
Insights Script
Insights Workbook Package
iWork Keynote
iWork Numbers
iWork Pages
KML
KML Collection
Layer
Layer File
Layer Package
Layer Template
Layout
Living Atlas Export Package
Locator Package
Map Document
Map Package
Map Service Definition
Map Template
Microsoft Excel
Microsoft Powerpoint
Microsoft Word
Mobile Basemap Package
Mobile Map Package
Mobile Scene Package
Native Application
Native Application Installer
Native Application Template
netCDF
Operations Dashboard Add In
PDF
Pro Layer
Pro Layer Package
Pro Map
Pro Map Package
Pro Presentation
Pro Project
Pro Report
Pro Report Template
Project Package
Project Template
Published Map
Raster function template
Replication Package
Report Template
Rule Package
Scene Document
Scene Package
Scene Package Part
Service Definition
Shapefile
SQLite Geodatabase
Statistical Data Collection
Survey123 Add In
Task File
Tile Package
Toolbox Package
Vector Tile Package
Visio Document
Web AppBuilder Widget
Windows Mobile Package
Windows Viewer Add In
Workflow Manager Package
""")
