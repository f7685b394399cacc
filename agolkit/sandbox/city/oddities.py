"""Items that break careless programs: titles, names and tags as people and machines have really left them."""

from __future__ import annotations

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.builder import EMPTY, LENGTH, PARSED, RESOURCES, TAGGED, ZIP, Builder
from agolkit.sandbox.city.ids import stamp
from agolkit.sandbox.city.maps import layer_entry, web_map
from agolkit.sandbox.organization import Bytes

AWKWARD_TITLES = (
    "CON",
    "NUL.txt",
    "../..",
    '=HYPERLINK("https://evil.example.com","Click me")',
    "+1",
    "@x",
    "First line\nsecond line\tand a tab",
    "Trailing dots...",
    "Trailing blanks   ",
    'All of them: / \\ : * ? " < > |',
    "<script>alert('title')</script>",
    "water mains",
    "Cafe\u0301 A\u030angstro\u0308m Ze\u0323\u0302",
    "👩‍👩‍👧‍👦 family map 🏳️‍🌈",
    "แผนที่น้ำท่วมกรุงเทพ",
    "שלום \u202egpj.exe",
    "水" * 256,
)
"""Titles of Web Maps. `water mains` differs from another item's title by case alone."""


def add_oddities(city: Builder) -> None:
    """Add items with awkward titles, names, tags, resources and data."""
    owners = ("h.larsen", "old.contractor", "planning.team", "p.waters")
    entry = layer_entry("Parks", city.url("Parks", 0))
    for at, title in enumerate(AWKWARD_TITLES):
        data = payloads.as_json(web_map([entry], bookmarks=at % 3))
        folder = "A/B test: old? | new*" if owners[at % 4] == "p.waters" else None
        city.item(
            f"awkward {at}",
            owners[at % 4],
            "Web Map",
            title,
            PARSED,
            folder=folder,
            data=data,
            tags=["=1+1", "a;b", 'say "hi"'],
        )

    _add_tagged(city)
    _add_files(city)
    resources = {
        "a/b.png": payloads.png((1, 0, 0), 8, 8),
        "c/b.png": payloads.png((2, 0, 0), 8, 8),
        "a/c/deep/er/b.png": payloads.png((3, 0, 0), 8, 8),
        "with blank.png": payloads.png((4, 0, 0), 8, 8),
        "hash#1.png": payloads.png((5, 0, 0), 8, 8),
        "percent%20and+plus&more.txt": b"percent",
        "日本/ö.json": b'{"a": 1}',
        "B.png": payloads.png((6, 0, 0), 8, 8),
        "b.png": payloads.png((7, 0, 0), 8, 8),
        "aux.txt": b"a reserved name",
        "empty.txt": b"",
        "notes.json": b"not JSON at all",
    }
    data = payloads.as_json({"source": "x", "values": {}})
    city.item(
        "resources",
        "Transport_GIS",
        "Web Mapping Application",
        "Many resources",
        PARSED,
        data=data,
        resources=resources,
    )
    many = {f"symbols/{at:03}.json": payloads.as_json({"symbol": at}).content for at in range(230)}
    city.item("many resources", "p.waters", "Style", "230 symbols", RESOURCES, resources=many)
    city.item(
        "future",
        "city_admin",
        "Quantum Map",
        "From the future",
        PARSED,
        data=payloads.as_json({"qubits": [0, 1, None], "version": "9.0"}),
    )
    city.item(
        "future file",
        "city_admin",
        "Holo Package",
        "From the future, as a file",
        LENGTH,
        data=Bytes(b"HOLO" + bytes(range(256)) * 9),
        data_type="application/octet-stream",
        name="model.holo",
    )
    city.item("zero", "p.waters", "Dashboard", "Nothing but a title", EMPTY, folder="Archive", data=Bytes(b""))
    city.item(
        "spaced",
        "h.larsen",
        "Operation View",
        "Saved with blanks and a byte order mark",
        PARSED,
        data=Bytes(b'\xef\xbb\xbf{ "widgets" : [ ] }\r\n'),
    )
    tied = stamp("bulk upload")
    for at in range(2):
        city.item(
            f"tie {at}",
            "open.data",
            "Web Map",
            f"Uploaded together {at}",
            PARSED,
            folder="no-backup",
            data=payloads.as_json(web_map([])),
            created=tied,
            modified=tied,
        )


def _add_tagged(city: Builder) -> None:
    """Tags that mean `no-backup`, and tags that only look so."""
    data = payloads.as_json(web_map([]))
    city.item("tagged", "p.waters", "Web Map", "Scratch map", TAGGED, data=data, tags=["no-backup"])
    city.item(
        "tagged 2",
        "Transport_GIS",
        "PDF",
        "Temporary print",
        TAGGED,
        data=Bytes(payloads.pdf("x")),
        data_type="application/pdf",
        name="x.pdf",
        tags=["print", "NO-BACKUP"],
    )
    city.item(
        "not tagged",
        "p.waters",
        "Web Map",
        "Not scratch",
        PARSED,
        data=data,
        tags=["no backup", "no-backups", "backup"],
    )
    city.item(
        "no tags",
        "l.haddad",
        "Web Map",
        "No tags, no snippet",
        PARSED,
        folder="Shared with partners",
        data=data,
        tags=[],
        snippet=None,
        description="",
        groups=(
            ("city_admin", "Public Safety"),
            ("s.nakamura", "防災グループ: 日本語 / English"),
            ("p.waters", "Water Utility"),
        ),
    )


def _add_files(city: Builder) -> None:
    """File names that are null, reserved, foreign or lead upwards."""
    pdf = payloads.pdf("Odd names")
    for at, name in enumerate(
        (None, "CON.pdf", "../../up.pdf", "Übersicht: Teil 1/2?.pdf", f"{'long' * 60}.pdf", "no extension")
    ):
        city.item(
            f"odd file {at}",
            "old.contractor",
            "PDF",
            "Scan",
            LENGTH,
            folder="🚧 Work in progress 🚧",
            data=Bytes(pdf),
            data_type="application/pdf",
            name=name,
        )
    archive = payloads.zipped(
        {"../../outside.txt": "must stay inside", "ok/inside.txt": "fine", "日本.txt": "name in UTF-8"}
    )
    city.item(
        "zip slip",
        "old.contractor",
        "Desktop Application Template",
        "Template",
        ZIP,
        data=Bytes(archive),
        data_type="application/zip",
        name="template.zip",
    )
