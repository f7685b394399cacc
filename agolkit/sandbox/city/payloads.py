"""Small real files made in code: pictures, zips, office documents, packages. Same arguments, same bytes."""

from __future__ import annotations

import base64
import functools
import io
import json
import random
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from agolkit.sandbox.organization import Bytes

_GREY_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAFA3PEY8MlBGQUZaVVBfeMiCeG5uePWvuZHI////////////////////////////////////////"
    "////////////wAALCAAQABABAREA/8QAFQABAQAAAAAAAAAAAAAAAAAAAwT/xAAWEAADAAAAAAAAAAAAAAAAAAAAAQP/2gAIAQEAAD8ACaKZ"
    "oGaKpo//2Q=="
)
_SEVEN_ZIP = b"7z\xbc\xaf\x27\x1c\x00\x04"
Rows = Sequence[Sequence[object]]


def as_json(value: object) -> Bytes:
    """A JSON document as the portal's own apps write it: compact, UTF-8, no escapes."""
    return Bytes(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


@functools.cache
def png(color: tuple[int, int, int], width: int = 200, height: int = 133) -> bytes:
    """A picture with a two-coloured chequered ground; the default size is a thumbnail's."""
    light = bytes(min(255, value + 40) for value in color)
    lines = [
        b"\x00" + b"".join(light if (x // 20 + y // 20) % 2 else bytes(color) for x in range(width)) for y in (0, 20)
    ]
    pixels = b"".join(lines[(y // 20) % 2] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def jpeg(comment: str) -> bytes:
    """A 16 by 16 grey photograph; the comment inside makes each one different."""
    text = comment.encode()
    return _GREY_JPEG[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + _GREY_JPEG[2:]


def pdf(title: str, pages: int = 1) -> bytes:
    """A PDF that opens: one line of text on each page."""
    kids = " ".join(f"{4 + 2 * page} 0 R" for page in range(pages))
    bodies = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for page in range(pages):
        text = title.encode("ascii", "replace").decode().translate(str.maketrans("()\\", "[]/"))
        stream = f"BT /F1 18 Tf 72 720 Td ({text} - page {page + 1}) Tj ET"
        resources = "<< /Font << /F1 3 0 R >> >>"
        bodies.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] "
            f"/Contents {5 + 2 * page} 0 R /Resources {resources} >>"
        )
        bodies.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    written, starts = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        starts.append(len(written))
        written += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{start:010d} 00000 n \n" for start in starts)
    count = len(bodies) + 1
    trailer = f"xref\n0 {count}\n0000000000 65535 f \n{table}trailer\n<< /Size {count} /Root 1 0 R >>\n"
    return written + f"{trailer}startxref\n{len(written)}\n%%EOF\n".encode()


def zipped(members: Mapping[str, bytes | str], *, store: bool = False) -> bytes:
    """A zip of the members; `store` leaves them uncompressed, as scene and tile packages do."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED if store else zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0))
            member.compress_type = archive.compression
            archive.writestr(member, content)
    return target.getvalue()


def csv_text(rows: Rows) -> bytes:
    """Comma-separated rows with every value in quotes and CRLF line ends."""
    return "".join(
        ",".join('"' + str(value).replace('"', '""') + '"' for value in row) + "\r\n" for row in rows
    ).encode()


def xlsx(rows: Rows, sheet: str = "Sheet1") -> bytes:
    """An Excel workbook of one sheet with text cells."""
    cells = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{_xml(value)}</t></is></c>' for value in row) + "</row>"
        for row in rows
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    return _office(
        {"xl/workbook.xml": "spreadsheetml.sheet.main", "xl/worksheets/sheet1.xml": "spreadsheetml.worksheet"},
        {
            "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{links}"><sheets>'
            f'<sheet name="{_xml(sheet)}" sheetId="1" r:id="rId1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": _links((f"{links}/worksheet", "worksheets/sheet1.xml")),
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>',
        },
    )


def docx(text: str) -> bytes:
    """A Word document of one paragraph."""
    main = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = f"<w:body><w:p><w:r><w:t>{_xml(text)}</w:t></w:r></w:p></w:body>"
    document = {"word/document.xml": f'<w:document xmlns:w="{main}">{body}</w:document>'}
    return _office({"word/document.xml": "wordprocessingml.document.main"}, document)


def kmz(placemarks: Mapping[str, tuple[float, float]]) -> bytes:
    """A zipped KML with one point for each name, (longitude, latitude)."""
    points = "".join(
        f"<Placemark><name>{_xml(name)}</name><Point><coordinates>{x},{y},0</coordinates></Point></Placemark>"
        for name, (x, y) in placemarks.items()
    )
    return zipped(
        {
            "doc.kml": f'<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document>{points}</Document></kml>'
        }
    )


def shapefile(name: str, points: Sequence[tuple[float, float]]) -> bytes:
    """A zipped Shapefile of points with one text column, as people upload them."""
    xs, ys = [x for x, _ in points] or [0.0], [y for _, y in points] or [0.0]

    def header(size: int) -> bytes:
        box = struct.pack("<8d", min(xs), min(ys), max(xs), max(ys), 0, 0, 0, 0)
        return struct.pack(">7i", 9994, 0, 0, 0, 0, 0, size // 2) + struct.pack("<2i", 1000, 1) + box

    shapes = b"".join(struct.pack(">2i", at, 10) + struct.pack("<i2d", 1, x, y) for at, (x, y) in enumerate(points, 1))
    offsets = b"".join(struct.pack(">2i", 50 + 14 * at, 10) for at in range(len(points)))
    column = struct.pack("<11sc4xB15x", b"NAME", b"C", 20)
    table = struct.pack("<B3BIHH20x", 3, 124, 1, 1, len(points), 32 + 32 + 1, 21) + column + b"\r"
    table += (
        b"".join(f" {f'{name} {at}'[:20]:<20}".encode("ascii", "replace") for at in range(1, len(points) + 1)) + b"\x1a"
    )
    return zipped(
        {
            f"{name}.shp": header(100 + len(shapes)) + shapes,
            f"{name}.shx": header(100 + len(offsets)) + offsets,
            f"{name}.dbf": table,
            f"{name}.prj": 'GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],'
            'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]]',
        }
    )


def geodatabase_zip(name: str) -> bytes:
    """A zipped folder that looks like a File Geodatabase from outside; its tables are filler.

    A real one written by GDAL carries fresh GUIDs and the time of day, so its bytes would differ from run to run.
    """
    chance = random.Random(name)
    tables = {
        f"{name}.gdb/a0000000{at}.{end}": b"\x03\x00\x00\x00" + chance.randbytes(600)
        for at in (1, 2, 3)
        for end in ("gdbtable", "gdbtablx")
    }
    return zipped(
        {f"{name}.gdb/gdb": b"\x05\x00\x00\x00\xde\xad\xbe\xef", f"{name}.gdb/timestamps": bytes(384), **tables}
    )


def package(name: str, members: Mapping[str, bytes | str] | None = None, *, size: int = 4096) -> bytes:
    """A zip-based Esri package (.tpk, .vtpk, .slpk, .mmpk …) with `size` bytes that do not compress."""
    info = json.dumps({"name": name, "version": "3.0", "created": "2024-01-01T00:00:00Z"})
    filler = random.Random(name).randbytes(size)
    return zipped({"esriinfo/iteminfo.json": info, **(members or {}), f"v101/{name}.bundle": filler}, store=True)


def seven_zip(name: str, size: int = 4096) -> bytes:
    """A file that starts as the 7z archives do that ArcGIS Pro writes (.sd, .lpkx, .ppkx); the rest is filler."""
    return _SEVEN_ZIP + random.Random(name).randbytes(size)


def sqlite_file(table: str, names: Sequence[str]) -> bytes:
    """A SQLite file with one table, as .geodatabase and .stylx files are."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute(f'CREATE TABLE "{table}" (id INTEGER PRIMARY KEY, name TEXT)')
        connection.executemany(f'INSERT INTO "{table}" (name) VALUES (?)', [(name,) for name in names])
    content = connection.serialize()
    connection.close()
    return content


def notebook(title: str, lines: Sequence[str]) -> Bytes:
    """An .ipynb of a heading and one executed cell, indented as Jupyter writes it."""
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "metadata": {}, "source": [f"# {title}\n"]},
        {
            "cell_type": "code",
            "execution_count": 1,
            "metadata": {"trusted": True},
            "outputs": [{"name": "stdout", "output_type": "stream", "text": ["4500 trees\n"]}],
            "source": [f"{line}\n" for line in lines],
        },
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "esriNotebookRuntime": {"name": "ArcGIS Notebook Python 3 Standard"}},
    }
    return Bytes(json.dumps({**whole, "nbformat": 4, "nbformat_minor": 5}, indent=1, ensure_ascii=False).encode())


def metadata_xml(title: str) -> bytes:
    """ArcGIS metadata as the portal's own editor writes it."""
    identity = f"<idCitation><resTitle>{_xml(title)}</resTitle></idCitation><idPurp>{_xml(title)}</idPurp>"
    esri = "<Esri><CreaDate>20240101</CreaDate><ArcGISFormat>1.0</ArcGISFormat></Esri>"
    body = f'<metadata xml:lang="en">{esri}<dataIdInfo>{identity}</dataIdInfo></metadata>'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'.encode()


def _xml(value: object) -> str:
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _links(*targets: tuple[str, str]) -> str:
    """A relationships part of an office file."""
    each = "".join(
        f'<Relationship Id="rId{at}" Type="{kind}" Target="{path}"/>' for at, (kind, path) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{each}</Relationships>'


def _office(kinds: Mapping[str, str], members: Mapping[str, str]) -> bytes:
    """An Office Open XML file; `kinds` gives the content types of its parts, the main part first."""
    overrides = "".join(
        f'<Override PartName="/{part}" ContentType="application/vnd.openxmlformats-officedocument.{kind}+xml"/>'
        for part, kind in kinds.items()
    )
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>'
    )
    start = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    return zipped({"[Content_Types].xml": types, "_rels/.rels": _links((start, next(iter(kinds)))), **members})
