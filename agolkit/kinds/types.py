"""Every item type that is known by name: its kind, what its payload is, and what to know of it for a backup.

An open set: a type that is not here is saved too, as what comes. The names are those of arcgis' `ItemTypeEnum`, the
REST page "Items and item types", and Esri's hub-common and solution.js; they are compared without regard to case and
blanks, because these lists spell some of them differently. `?` stands for what no list says.
"""

from __future__ import annotations

from dataclasses import dataclass

from agolkit.model import plain


@dataclass(frozen=True, slots=True)
class ItemType:
    """What is known of an item type."""

    name: str
    kind: str
    payload: str
    """`JSON`, `resources`, the endings of a file, `service`, `url`, `none`, and what these are joined of."""
    note: str = ""
    elsewhere: str = ""
    """What of its content only another API of the portal holds, as a sentence: such an item is `partial`."""


# name | payload | note

_DOCUMENTS = """
Activity | ? |
Analysis Model | JSON |
API Key | none | the key itself never comes back; the items that it opens are its relations
App Bundle | ? |
Application | none or JSON | a registration for signing in; its secret never comes back
Application Configuration | JSON |
Application SDK | ? |
Big Data Analytic | JSON? |
Big Data File Share | JSON |
Color Set | JSON |
Content Category Set | JSON | the organization's own categories are in organization.json
Dashboard | JSON, resources | maps and layers stand in it by id
Data Pipeline | JSON | its schedule is a task of its owner and is not saved
Data Store | JSON | its credentials never come back
Deep Learning Studio Project | JSON |
Discussion | JSON |
Excalibur Imagery Project | JSON |
Feature Collection | JSON | its features are in the JSON, unless it names a file at some address
Feature Collection Template | JSON |
Featured Items | none | what it features are its relations
Feed | JSON? |
GeoBIM Application | JSON |
GeoBIM Project | JSON | the models that it links stay in the cloud of their maker
Group Layer | JSON | its layers stand in it by id
Hub Event | JSON |
Hub Initiative | JSON, resources | its groups stand in its properties, by id
Hub Initiative Template | JSON |
Hub Page | JSON, resources |
Hub Project | JSON, resources |
Hub Site Application | JSON, resources | the registration of its address in ArcGIS Hub is not saved
Indoors Map Configuration | JSON |
Insights Data Engineering Model | JSON |
Insights Data Engineering Workbook | JSON |
Insights Model | JSON |
Insights Page | JSON |
Insights Theme | JSON |
Insights Workbook | JSON, resources | its pages, models and themes are items of their own
Investigation | JSON | the graph is not in it
IPS Configuration | JSON |
Kernel Gateway Connection | JSON | its credentials never come back
Knowledge Graph | service |
Knowledge Graph Layer | JSON | the graph is not in it
Knowledge Graph Web Investigation | JSON | the graph is not in it
Knowledge Studio Project | JSON | the graph is not in it
Legend | ? |
Map Area | JSON | its packages are items of their own; the schedule of their updates is not saved
Map Showcase | JSON |
Media Layer | JSON, resources | the picture or film is a resource
Mission | JSON |
Mission Report | JSON |
Mission Template | JSON |
Mobile Application | JSON |
Notebook | JSON, resources | its schedule is a task of its owner and is not saved
Notebook Code Snippet Library | JSON |
Notebook Code Snippets | JSON |
Operation View | JSON | of a product that was retired
Oriented Imagery Catalog | JSON | its layers stand in it by address; they and the pictures are not in it
Ortho Mapping Project | JSON | the imagery is not in it
Ortho Mapping Template | JSON |
QuickCapture Project | resources | the project is the resource qc.project.json
Real Time Analytic | JSON? |
Reality Mapping Project | JSON? | the imagery is not in it
Reality Studio Project | ? | the imagery is not in it
Relational Database Connection | JSON | its password never comes back
Site Application | JSON, resources |
Site Page | JSON, resources |
SMX Item | JSON | of StoryMaps.com
SMX Map | JSON | of StoryMaps.com
SMX Theme | JSON | of StoryMaps.com
Solution | JSON, resources | what it deployed are its relations
StoryMap | JSON, resources | pictures are resources, and so is a draft that is not published yet
StoryMap Theme | JSON, resources |
Style | resources, JSON? |
Suitability Model | JSON |
Symbol Set | JSON |
Urban Model | JSON | its plans are in feature services of their own
Urban Project | JSON |
User License Type Extension | ? |
Viewer Configuration | JSON or url |
Web Experience | JSON, resources | an app that is not published yet is the resource config/config.json
Web Experience Template | JSON, resources |
Web Link Chart | JSON | the graph is not in it
Web Map | JSON, resources | layers stand in it by id and by address; drawn features are in the JSON
Web Mapping Application | JSON, resources | one without JSON only registers an address
Web Scene | JSON, resources | layers stand in it by id and by address; pictures of slides may be resources
Workflow | JSON? |
Workforce Project | JSON | the layers of its assignments are items of their own
"""

_FEATURE_SERVICES = """
Feature Service | service, JSON | a view is saved by its definition and sources; one that is not hosted here, by its url
Table | service, JSON | how some lists call a feature service that has no layers
"""

_REFERENCES = """
3DTiles Service | service, JSON | hosted: its package
AppBuilder Extension | url |
Document Link | url |
Experience Builder Widget | url | the widget's files stay at its url
Geocoding Service | url, JSON |
Geodata Service | url |
Geoenrichment Service | url |
Geometry Service | url |
Geoprocessing Service | url, JSON | a tool that was made of a notebook names it in its relations
Globe Service | url |
Image Service | service, JSON | hosted: its package, else an export; pictures drawn on request have neither
Map Service | service, JSON | hosted: its package, else an export where that is allowed
Network Analysis Service | url |
OGCFeatureServer | url, JSON |
Operations Dashboard Extension | url |
Relational Database Catalog Service | url |
Scene Service | service, JSON | hosted: its package, else an export where that is allowed
Server | url |
Stream Service | url | it holds no data
Symbol Service | url |
Vector Tile Service | service, JSON, resources | a style is in its resources; hosted: its package, else an export
Video Service | service |
WCS | url |
WFS | url, JSON | the JSON names its layers
WMS | url, JSON | the JSON names its layers
WMTS | url, JSON | the JSON names its layers
Workflow Manager Service | url |
"""

_FILES = """
360 VR Experience | .3vr |
3DTiles Package | .3tz |
3DTiles Package (3D Object) | .3tz |
3DTiles Package (Gaussian Splat) | .3tz |
3DTiles Package (Integrated Mesh) | .3tz |
Addin Package | file |
Administrative Report | .csv |
AllSource Project | file |
Apache Parquet | .parquet or .zip |
AppBuilder Widget Package | .zip |
Arcade Module | file |
ArcGIS Pro Add In | .esriaddinx |
ArcGIS Pro Configuration | .proConfigX |
ArcPad Package | .zip |
Basemap Package | .bpk |
CAD Drawing | .zip, .dwg, .dxf or .dgn |
CityEngine Web Scene | .3ws |
Code Attachment | .zip | the code of an app, which names it in its relations
Code Sample | .zip |
Compact Tile Package | .tpkx | may be the only source of a hosted layer
CSV | .csv |
CSV Collection | .zip |
Data Package Collection | file |
Deep Learning Package | .dlpk or .zip |
Desktop Add In | .esriaddin |
Desktop Application | .zip |
Desktop Application Template | .zip |
Desktop Style | .stylx |
Earth configuration | .json or .kmz |
Esri Classification Schema | .ecs |
Esri Classifier Definition | .ecd |
Esri Spectral Library | file |
Experience Builder Widget Package | .zip |
Explorer Add In | .eaz |
Explorer Layer | .nmc |
Explorer Map | .nmf |
Export Package | .epk |
File Geodatabase | .zip |
Form | .zip, form.json, forminfo.json | answers are in its feature service, an item that its relations name
GeoJson | .geojson or .json |
GeoPackage | .gpkg |
Geoprocessing Package | .gpk |
Geoprocessing Package (Pro version) | .gpkx |
Geoprocessing Sample | .zip |
Globe Document | .3dd |
GML | .gml |
Image | .jpg, .jpeg, .png, .tif or .tiff |
Image Collection | .zip |
Insights Script | .py or .r |
Insights Workbook Package | .zip |
iWork Keynote | .zip |
iWork Numbers | .zip |
iWork Pages | .zip |
KML | .kml or .kmz | or a url, of a file that stays there
KML Collection | .zip |
Layer | .lyr or .lyrx | the data that it shows stays where it is
Layer File | .lyr | the data that it shows stays where it is
Layer Package | .lpk or .lpkx |
Layer Template | file |
Layout | .pagx |
Living Atlas Export Package | file |
Locator Package | .gcpk |
Map Document | .mxd | the data that it shows stays where it is
Map Package | .mpk or .mpkx |
Map Service Definition | .msd |
Map Template | .zip |
Microsoft Excel | .xls or .xlsx |
Microsoft Powerpoint | .ppt or .pptx |
Microsoft Word | .doc or .docx |
Mobile Basemap Package | .bpk |
Mobile Map Package | .mmpk |
Mobile Scene Package | .mspk |
Native Application | .zip |
Native Application Installer | file |
Native Application Template | .zip |
netCDF | .nc |
Operations Dashboard Add In | .opdashboardaddin |
PDF | .pdf |
Pro Layer | .lyrx | the data that it shows stays where it is
Pro Layer Package | .lpkx |
Pro Map | .mapx | the data that it shows stays where it is
Pro Map Package | .mpkx |
Pro Presentation | .prsx |
Pro Project | .aprx | the data that it shows stays where it is
Pro Report | .rptx |
Pro Report Template | .rptt |
Project Package | .ppkx |
Project Template | .aptx |
Published Map | .pmf | the data that it shows stays where it is
Raster function template | .rft.xml or .json |
Replication Package | file |
Report Template | .docx or .zip |
Rule Package | .rpk |
Scene Document | .sxd | the data that it shows stays where it is
Scene Package | .slpk or .spk | may be the only source of a hosted layer
Scene Package Part | .slpk |
Service Definition | .sd | may be the only source of a hosted layer; saved with the layer where that needs it
Shapefile | .zip |
SQLite Geodatabase | .geodatabase |
Statistical Data Collection | .zip or .sdcx, resources |
Survey123 Add In | .surveyaddin |
Task File | .esriTasks |
Tile Package | .tpk | may be the only source of a hosted layer
Toolbox Package | .zip |
Vector Tile Package | .vtpk | may be the only source of a hosted layer
Visio Document | .vsd or .vsdx |
Web AppBuilder Widget | .zip | or a url, of a widget whose files stay there
Windows Mobile Package | .zip |
Windows Viewer Add In | .zip |
Workflow Manager Package | .wpk |
"""

_ELSEWHERE = {
    "Big Data Analytic": "its definition lives in ArcGIS Velocity",
    "Discussion": "its posts live in ArcGIS Hub",
    "Feed": "its definition lives in ArcGIS Velocity",
    "Hub Event": "the event itself lives in ArcGIS Hub",
    "Knowledge Graph": "its graph lives in ArcGIS Knowledge",
    "Mission": "the rest of it lives in ArcGIS Mission",
    "Real Time Analytic": "its definition lives in ArcGIS Velocity",
    "Workflow": "its definition lives in ArcGIS Workflow Manager",
}


def _types(kind: str, text: str) -> list[ItemType]:
    rows = ([field.strip() for field in line.split("|")] for line in text.strip().splitlines())
    return [ItemType(name, kind, payload, note, _unread(name)) for name, payload, note in rows]


def _unread(name: str) -> str:
    return f"{_ELSEWHERE[name]}, which agolkit does not read" if name in _ELSEWHERE else ""


ITEM_TYPES = {
    plain(each.name): each
    for each in (
        *_types("document", _DOCUMENTS),
        *_types("feature service", _FEATURE_SERVICES),
        *_types("reference", _REFERENCES),
        *_types("file", _FILES),
    )
}
"""By the form in which names are compared."""


def known_type(name: str) -> ItemType | None:
    """What is known of the type of this name, however it is spelled; `None` of one that nobody knows yet."""
    return ITEM_TYPES.get(plain(name))
