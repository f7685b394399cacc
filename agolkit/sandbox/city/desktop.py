"""Files that ArcGIS Pro, ArcMap, offices and cameras write, one or two of each type."""

from __future__ import annotations

from collections.abc import Iterator

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.builder import LENGTH, ZIP, Builder
from agolkit.sandbox.city.payloads import package, seven_zip, zipped
from agolkit.sandbox.organization import Bytes

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_CONTRACTOR, _PLANNING = "old.contractor", "planning.team"

Row = tuple[str, str, str, str, str, bytes]
"""Key, item type, owner, title, file name, bytes."""


def add_desktop(city: Builder) -> None:
    """Add the files; each is small and begins as a real one does."""
    for key, kind, owner, title, name, content in (*_pro(), *_older(), *_offices(), *_scenes(), *_science()):
        expected = ZIP if content.startswith(b"PK") else LENGTH
        city.item(
            key, owner, kind, title, expected, name=name, data=Bytes(content), data_type="application/octet-stream"
        )


def _cim(kind: str) -> bytes:
    """A document of ArcGIS Pro as it lies on a disk: JSON of the Cartographic Information Model."""
    return payloads.as_json({"type": kind, "version": "3.3.0", "build": 52636, "layers": []}).content


def _pro() -> Iterator[Row]:
    yield "pro map", "Pro Map", _PLANNING, "Zoning, for printing", "zoning.mapx", _cim("CIMMapDocument")
    yield "pro layout", "Layout", _PLANNING, "A0 with north arrow", "a0.pagx", _cim("CIMLayoutDocument")
    yield "pro layer", "Layer", "p.waters", "Mains by age", "mains by age.lyrx", _cim("CIMLayerDocument")
    yield "pro report", "Pro Report", _PLANNING, "Parcels by ward", "wards.rptx", _cim("CIMReportDocument")
    yield "pro task", "Task File", "p.waters", "Enter a leak", "leak.esriTasks", _cim("CIMTaskItem")
    yield "pro project", "Project Package", _CONTRACTOR, "Everything of 2023", "2023.ppkx", seven_zip("2023.ppkx")
    yield "pro template", "Project Template", _PLANNING, "Start here", "start.aptx", seven_zip("start.aptx")
    yield "pro tool", "Geoprocessing Package (Pro version)", "p.waters", "Trace", "trace.gpkx", seven_zip("trace.gpkx")
    yield "pro locator", "Locator Package", "city_admin", "Addresses", "addresses.gcpk", seven_zip("addresses.gcpk")
    addin = package("addin", {"Config.daml": "<ArcGIS/>"})
    yield "pro addin", "ArcGIS Pro Add In", "Transport_GIS", "Plow tools", "plow.esriAddInX", addin
    chain = payloads.as_json({"name": "NDVI", "rasterFunction": "BandArithmetic"}).content
    yield "pro function", "Raster function template", "parks@springfield.example", "NDVI", "ndvi.rft.json", chain


def _older() -> Iterator[Row]:
    yield "map document", "Map Document", _CONTRACTOR, "wards_final_FINAL", "wards.mxd", _OLE + bytes(3000)
    yield "map package", "Map Package", _CONTRACTOR, "Wards, packed", "wards.mpk", seven_zip("wards.mpk")
    yield "old layer", "Layer File", _CONTRACTOR, "Old hydrants", "hydrants.lyr", _OLE + bytes(700)
    yield "published map", "Published Map", _CONTRACTOR, "Wards, to look at", "wards.pmf", _OLE + bytes(900)
    yield "explorer map", "Explorer Map", "h.larsen", "My walks", "walks.nmf", b"<?xml version='1.0'?><Map/>"
    tool = zipped({"toolbox.tbx": b"\x00\x01tbx", "scripts/clip.py": "import arcpy\n"})
    yield "sample", "Geoprocessing Sample", _CONTRACTOR, "Clip many", "clip.zip", tool
    yield "rules", "Rule Package", _PLANNING, "Roof shapes", "roofs.rpk", package("roofs", {"rules/roof.cga": "attr h"})
    classes = payloads.as_json({"Organization": "Springfield", "Classes": [{"Code": 1, "Name": "Roof"}]}).content
    yield "schema", "Esri Classification Schema", _PLANNING, "Roof or not", "roofs.ecs", classes


def _offices() -> Iterator[Row]:
    slides = zipped({"[Content_Types].xml": "<Types/>", "ppt/presentation.xml": "<p:presentation/>"})
    yield "slides", "Microsoft Powerpoint", "city_admin", "Budget talk", "Budget talk.pptx", slides
    yield "old slides", "Microsoft Powerpoint", "h.larsen", "Locked slides", "locked.pptx", _OLE + bytes(2000)
    yield "visio", "Visio Document", "p.waters", "Pumping station", "pumps.vsdx", zipped({"visio/document.xml": "<v/>"})
    yield "pages", "iWork Pages", "h.larsen", "Minutes", "minutes.zip", zipped({"Index/Document.iwa": bytes(300)})
    script = b"import pandas\n# 3 Zeilen, gr\xc3\xbc\xc3\x9fe\nprint(1)\n"
    yield "script", "Insights Script", _PLANNING, "Clean names", "clean.py", script
    yield (
        "arcade",
        "Arcade Module",
        "p.waters",
        "Pressure",
        "pressure.js",
        b"export function bar(x) { return x / 1e5; }\n",
    )
    widget = zipped({"manifest.json": '{"name":"clock"}', "dist/runtime/widget.js": "export default 1;"})
    yield "widget", "Experience Builder Widget Package", "Transport_GIS", "Clock", "clock.zip", widget


def _scenes() -> Iterator[Row]:
    mesh = package("mesh", {"tileset.json": '{"asset":{"version":"1.1"}}'})
    yield "mesh", "3DTiles Package (Integrated Mesh)", _PLANNING, "Old town mesh", "old town.3tz", mesh
    yield "city engine", "CityEngine Web Scene", _PLANNING, "Harbour study", "harbour.3ws", seven_zip("harbour.3ws")
    yield "panorama", "360 VR Experience", _PLANNING, "On the tower", "tower.3vr", seven_zip("tower.3vr")
    yield "mobile scene", "Mobile Scene Package", "field.crew", "City in 3D", "city.mspk", package("city.mspk")
    yield (
        "compact tiles",
        "Compact Tile Package",
        "Transport_GIS",
        "Hillshade",
        "hill.tpkx",
        package("hill", {"root.json": "{}"}),
    )


def _science() -> Iterator[Row]:
    places = payloads.sqlite_file("places", ["Well 1", "Well 2"])
    yield "geopackage", "GeoPackage", "open.data", "Wells", "wells.gpkg", places
    yield "parquet", "Apache Parquet", "open.data", "Wells, columns", "wells.parquet", b"PAR1" + bytes(200) + b"PAR1"
    yield "gml", "GML", "s.nakamura", "境界", "境界.gml", "<gml:FeatureCollection>境界</gml:FeatureCollection>".encode()
    yield "climate", "netCDF", "parks@springfield.example", "Rain 1950 to 2020", "rain.nc", b"CDF\x01" + bytes(400)
    routes = zipped({f"route {at}.kml": "<kml/>" for at in range(3)})
    yield "kml collection", "KML Collection", "Transport_GIS", "Bus routes", "routes.zip", routes
    yield (
        "statistics",
        "Statistical Data Collection",
        "city_admin",
        "Census",
        "census.zip",
        zipped({"census.sdcx": "{}"}),
    )
