"""Items at the limits of what a portal takes, and items of which the portal says less, or other, than it holds."""

from __future__ import annotations

import unicodedata

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.builder import EMPTY, LENGTH, NO_CONTENT, NO_DATA, PARSED, RESOURCES, ZIP, Builder
from agolkit.sandbox.city.features import Json
from agolkit.sandbox.city.maps import feature_collection, web_map
from agolkit.sandbox.organization import Bytes, Expectation

_WRONG_SIZE = Expectation("partial", None, "What comes is not as long as the portal states.")
_HOLLOW = Expectation("partial", None, "It is published, but its data is empty.")
_WEB_PAGE = Expectation("verified", "length", "A file that is a web page: its name says so, and its size is stated.")

RESOURCE_NAMES = (
    "images/two  blanks.png",
    " leading blank.png",
    "trailing dot./x.txt",
    "#only/hash#.json",
    "100%.txt",
    "%2e%2e%2fup.txt",
    "a+b=c&d;e.txt",
    "quote'and\"double.txt",
    unicodedata.normalize("NFD", "Übergröße/é.json"),
    unicodedata.normalize("NFC", "Übergröße/é.json"),
    f"{'deep/' * 30}leaf.txt",
    f"{'n' * 196}.txt",
    "Images/Case.png",
    "images/case.png",
    "IMAGES/CASE.png",
    "one/same.txt",
    "two/same.txt",
    "three/same.txt/inside.txt",
    "three/same.txt",
    "com1.json",
    "emoji 🗺️.txt",
    "r/000000000000.txt",
)
"""Paths of resources that no two file systems take alike; the last one looks like a name of a backup's own."""


def add_limits(city: Builder) -> None:
    """Add items whose size, name, metadata, resources or data are not what careless programs expect."""
    _add_sizes(city)
    _add_resources(city)
    _add_without_content(city)
    _add_documents(city)


def _add_sizes(city: Builder) -> None:
    """The size of a file is not known, null, or wrong; the file has no name, or no bytes."""
    pdf, archive = payloads.pdf("Sizes"), payloads.zipped({"readme.txt": "size not known"})
    for at, (kind, name, content, stated, expected) in enumerate(
        (
            ("PDF", "a.pdf", pdf, -1, LENGTH),
            ("PDF", "b.pdf", pdf, 0, LENGTH),
            ("PDF", "c.pdf", pdf, None, LENGTH),
            ("Shapefile", "d.zip", archive, -1, ZIP),
            ("Workflow Manager Package", "e.wpk", archive, len(archive) + 7, _WRONG_SIZE),
        )
    ):
        city.item(
            f"size {at}",
            "planning.team",
            kind,
            "Size not to be trusted",
            expected,
            name=name,
            data=Bytes(content),
            data_type="application/octet-stream",
            stated={"size": stated},
        )
    city.item("null name", "h.larsen", "Code Sample", "No name", ZIP, data=Bytes(archive), data_type="application/zip")
    city.item(
        "zero file", "h.larsen", "CSV", "Upload that failed", EMPTY, data=Bytes(b""), data_type="text/csv", name="x.csv"
    )
    city.item("no file", "h.larsen", "Shapefile", "Never uploaded", NO_DATA, name="parcels.zip")


def _add_resources(city: Builder) -> None:
    """120 pictures, which is more than a page, and names that no two file systems take alike."""
    pictures = {f"pictures/{at:03}.png": payloads.png((2 * at, 40, 90), 4, 4) for at in range(120)}
    city.item(
        "120 pictures",
        "open.data",
        "StoryMap",
        "A hundred and twenty pictures",
        PARSED,
        keywords=("smstatuspublished",),
        data=payloads.as_json({"root": "n-0", "nodes": {}, "resources": {}}),
        resources=pictures,
    )
    named = {name: f"{at}: {name}".encode() for at, name in enumerate(RESOURCE_NAMES)}
    document = payloads.as_json({"values": {"title": "Names"}})
    city.item(
        "names", "Transport_GIS", "Web Mapping Application", "Names of files", PARSED, data=document, resources=named
    )


def _add_without_content(city: Builder) -> None:
    """Their content should be in a resource, or in their data, and is not there."""
    for key, kind, title, keywords, rest in (
        ("lost capture", "QuickCapture Project", "Project without its file", (), {}),
        ("lost draft", "StoryMap", "Draft that is gone", ("smstatusdraft", "smdraftresourceid:draft_1.json"), {}),
        (
            "lost experience",
            "Web Experience",
            "Experience that was never saved",
            ("status: Draft",),
            {"data": payloads.as_json({"__not_publish": True})},
        ),
        (
            "lost style",
            "Vector Tile Service",
            "Style without its root",
            ("Vector Tile Style Editor",),
            {"resources": {"sprites/sprite.json": b"{}"}, "url": "https://tiles.example.net/B/VectorTileServer"},
        ),
    ):
        city.item(key, "planning.team", kind, title, NO_CONTENT, keywords=keywords, **rest)
    for key, kind, title, keyword in (
        ("hollow story", "StoryMap", "Published, and nothing in it", "smstatuspublished"),
        ("hollow experience", "Web Experience", "Published, but empty", "status: Published"),
    ):
        kept = {"config/config.json": b"{}"}
        nothing = payloads.as_json({})
        city.item(key, "planning.team", kind, title, _HOLLOW, keywords=(keyword,), data=nothing, resources=kept)
    config = payloads.as_json({"pages": {"home": {}}, "exbVersion": "1.17.0"}).content
    city.item(
        "unpublished",
        "planning.team",
        "Web Experience",
        "Not published yet",
        PARSED,
        keywords=("status: Draft",),
        data=payloads.as_json({"__not_publish": True}),
        resources={"config/config.json": config},
    )
    pictures = {"photo.jpg": payloads.jpeg("a photo beside nothing")}
    city.item("only pictures", "open.data", "Media Layer", "Photo of 1931", RESOURCES, resources=pictures)


def _add_documents(city: Builder) -> None:
    """A document of 5 MB, a web page as a file, metadata that is gone, categories, a foreign owner's group."""
    big: Json = feature_collection("All trees, drawn", 20)
    big["notes"] = ["every tree of the city has a number and a name; " * 100] * 1100
    city.item(
        "huge", "parks@springfield.example", "Feature Collection", "All trees", PARSED, data=payloads.as_json(big)
    )
    page = b"<!DOCTYPE html>\n<html><head><title>Tour</title></head><body>Start</body></html>\n"
    tour: Json = {"data": Bytes(page), "data_type": "text/html", "name": "tour.html"}
    city.item("web page", "l.haddad", "Web Mapping Application", "Tour as a page", _WEB_PAGE, **tour)
    data = payloads.as_json(web_map([]))
    gone = ("Metadata",)
    city.item("no metadata", "p.waters", "Web Map", "Its metadata was deleted", PARSED, keywords=gone, data=data)
    shared = (("city_admin", "Public Safety"), ("planning.team", "Editors"), ("Transport_GIS", "Editors"))
    city.item(
        "categories of all sorts",
        "s.nakamura",
        "Web Map",
        "分類",
        PARSED,
        data=data,
        groups=shared,
        categories=["/Categories/Water/Hydrants & valves", "/Categories/公園 / Parks"],
        stated={"culture": "ja-jp", "accessInformation": "© 防災課", "licenseInfo": "<b>CC BY 4.0</b>"},
    )
    pictures = {f"screenshots/{at}.png": payloads.png((0, 50 * at, 50), 40, 30) for at in range(2)}
    pictures |= {"largeThumbnail/large.png": payloads.png((9, 9, 9), 600, 400), "banner/b.jpg": payloads.jpeg("banner")}
    city.item(
        "pictures",
        "open.data",
        "Web Map",
        "With screenshots, banner and a large thumbnail",
        PARSED,
        data=data,
        info=pictures,
        screenshots=[name for name in pictures if name.startswith("screenshots/")],
        stated={"largeThumbnail": "largeThumbnail/large.png", "banner": "banner/b.jpg"},
    )
    address = "https://feeds.example.com/quakes.csv"
    city.item("collection by url", "s.nakamura", "Feature Collection", "地震 (CSV)", NO_DATA, url=address)
    by_url = Expectation("described", None, "The file lives at an address of somebody else.")
    city.item("kml by url", "l.haddad", "KML", "Ships", by_url, url="https://feeds.example.com/ships.kmz")
