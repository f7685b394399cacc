"""The items of Springfield that are files: tables, documents, pictures, geodata, packages, templates."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.builder import DEFINITION, LENGTH, ZIP, Builder
from agolkit.sandbox.city.payloads import package, seven_zip, zipped
from agolkit.sandbox.organization import Bytes, Repeated

_TYPES = {
    "csv": "text/csv",
    "pdf": "application/pdf",
    "png": "image/png",
    "jpg": "image/jpeg",
    "geojson": "application/geo+json",
    "kmz": "application/vnd.google-earth.kmz",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "zip": "application/zip",
}
"""Content types by file extension; all others are `application/octet-stream`."""
_ROWS = (("id", "name", "cost"), (1, 'Pump "A", north', 12.5), (2, "Brücke, süd", -3), (3, "=HYPERLINK(1)", "三"))
_POINTS = ((-89.65, 39.78), (-89.64, 39.79), (-89.66, 39.77))
_CREW, _PARKS = "field.crew", "parks@springfield.example"

Row = tuple[str, str, str, str | None, str, bytes]
"""Key, owner, title, folder, file name, bytes; grouped by item type."""


def add_files(city: Builder) -> None:
    """Add every item whose payload is one file."""
    for kind, (key, owner, title, folder, name, content) in chain(_tables(), _documents(), _geodata(), _packages()):
        expected = ZIP if content.startswith(b"PK") else LENGTH
        city.item(
            key,
            owner,
            kind,
            title,
            DEFINITION if kind == "Service Definition" else expected,
            folder=folder,
            name=name,
            data=Bytes(content),
            data_type=_TYPES.get(name.rsplit(".", 1)[-1], "application/octet-stream"),
            access="public" if owner == "open.data" else "private",
        )
    mosaic = Repeated(block=(b"II*\x00" + bytes(range(252))) * 1024, size=12_000_000)
    item = city.item("mosaic", "Transport_GIS", "Image", "Drone mosaic", LENGTH, data=mosaic, name="mosaic.tif")
    item.data_type = "image/tiff"


def _tables() -> Iterator[tuple[str, Row]]:
    rows, book = payloads.csv_text(_ROWS), payloads.xlsx(_ROWS)
    yield "CSV", ("csv", "p.waters", "Pump costs", "Water Network", "pump costs (2024).csv", rows)
    yield "CSV", ("csv 2", "open.data", "Budget", "Open Data", "budget.csv", payloads.csv_text(_ROWS * 400))
    years = zipped({f"{year}.csv": rows for year in range(2020, 2025)})
    yield "CSV Collection", ("csv collection", "open.data", "Budgets 2020 to 2024", None, "budgets.zip", years)
    yield "Microsoft Excel", ("excel", "planning.team", "Housing units", "Planning", "Housing Units.xlsx", book)
    yield "Microsoft Excel", ("excel 2", "h.larsen", "Mine, please keep", None, "min (å).xlsx", book)
    name = "MemberReport_2025-12-01.csv"
    yield "Administrative Report", ("report", "city_admin", name.removesuffix(".csv"), "Administration", name, rows)


def _documents() -> Iterator[tuple[str, Row]]:
    yield "PDF", ("pdf", "city_admin", "Map of the wards", "Administration", "wards.pdf", payloads.pdf("Wards", 3))
    yield "PDF", ("pdf 2", "l.haddad", "خريطة الطوارئ", "خرائط", "خريطة الطوارئ.pdf", payloads.pdf("Emergency"))
    yield "Image", ("image", _PARKS, "Logo", None, "logo.png", payloads.png((0, 120, 40), 400, 400))
    yield "Image", ("image 2", "s.nakamura", "写真", "地図", "写真 1.jpg", payloads.jpeg("写真"))
    policy = payloads.docx("Keep it for ten years.")
    name = "Backup policy v2 (final).docx"
    yield "Microsoft Word", ("word", "city_admin", "Backup policy", "Administration", name, policy)
    template = payloads.docx("${street} & ${photo}")
    yield "Report Template", ("survey report", _CREW, "Damage report", None, "damage.docx", template)


def _geodata() -> Iterator[tuple[str, Row]]:
    owner, folder = "old.contractor", "Deliverables..."
    survey = payloads.shapefile("survey_points", _POINTS)
    yield "Shapefile", ("shapefile", owner, "Survey points", folder, "survey_points.zip", survey)
    delivery = payloads.geodatabase_zip("Delivery2023")
    yield "File Geodatabase", ("geodatabase", owner, "Delivery 2023", folder, "Delivery2023.gdb.zip", delivery)
    title, left = "Water Network_1704844800", payloads.geodatabase_zip("a5f31c")
    yield "File Geodatabase", ("left over", "p.waters", title, None, f"{title}.zip", left)
    racks = {
        "type": "Feature",
        "properties": {"name": "Café"},
        "geometry": {"type": "Point", "coordinates": _POINTS[0]},
    }
    bikes = payloads.as_json({"type": "FeatureCollection", "features": [racks]}).content
    yield "GeoJson", ("geojson", "open.data", "Bike racks", None, "bike_racks.geojson", bikes)
    clinics = payloads.kmz({"Clinic 1": _POINTS[0], "عيادة": _POINTS[1]})
    yield "KML", ("kml", "l.haddad", "Clinics", None, "clinics.kmz", clinics)
    edits = payloads.sqlite_file("Hydrants", ["H1", "H2"])
    yield "SQLite Geodatabase", ("edits", _CREW, "Offline edits", None, "edits.geodatabase", edits)
    yield (
        "CAD Drawing",
        ("drawing", owner, "Ground floor", None, "ground floor.dwg", b"AC1032" + bytes(range(256)) * 20),
    )


def _packages() -> Iterator[tuple[str, Row]]:
    """What ArcGIS Pro writes; `left over` above and the sources of hosted services are ordinary items too."""
    water, streets = seven_zip("Water_Network.sd"), seven_zip("Streets.sd")
    yield "Service Definition", ("sd", "p.waters", "Water Network", None, "Water_Network.sd", water)
    yield "Service Definition", ("sd 2", "Transport_GIS", "Street Centerlines", None, "Streets.sd", streets)
    tiles = package("historic", {"conf.xml": "<CacheInfo/>"}, size=60_000)
    yield "Tile Package", ("tile package", "p.waters", "Historic map 1898", "Archive", "historic.tpk", tiles)
    city = package("city", {"p12/root.json": "{}"}, size=90_000)
    yield "Vector Tile Package", ("vector tile package", "planning.team", "City basemap", None, "city.vtpk", city)
    area = package("area")
    yield "Vector Tile Package", ("area package", "p.waters", "Downtown tiles", "Water Network", "area.vtpk", area)
    hall = package("hall", {"3dSceneLayer.json": "{}"}, size=200_000)
    yield "Scene Package", ("scene package", "planning.team", "Town hall in 3D", None, "town hall.slpk", hall)
    old = seven_zip("old symbols")
    yield "Layer Package", ("layer package", "old.contractor", "Old symbols", None, "old symbols.lpkx", old)
    field = package("springfield", {"mmpk/city.info": "{}"}, size=2 << 20)
    yield "Mobile Map Package", ("mobile map", _CREW, "Whole city for the field", None, "springfield.mmpk", field)
    style = payloads.sqlite_file("ITEMS", ["Valve"])
    yield "Desktop Style", ("desktop style", "p.waters", "Springfield symbols", None, "springfield.stylx", style)
    signs = zipped({"setup.exe": b"MZ" + bytes(500), "read me.txt": "Run setup."})
    yield "Desktop Application", ("desktop app", "Transport_GIS", "Sign inventory tool", None, "signs.zip", signs)
    finder = package("trees", {"trees.emd": "{}"}, size=300_000)
    yield "Deep Learning Package", ("deep learning", _PARKS, "Tree finder", None, "trees.dlpk", finder)
