"""Puts items into a city as a portal would have made them: ids, stamps, keywords, thumbnails, expectations."""

from __future__ import annotations

from typing import Any

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.ids import hex_id, item_id, number, stamp
from agolkit.sandbox.city.people import group_id
from agolkit.sandbox.organization import Expectation, Item, Organization, Service

PARSED = Expectation("verified", "parsed", "A JSON document: the portal offers nothing more to compare with.")
RESOURCES = Expectation("verified", "length", "The payload is in the resources, whose sizes the portal lists.")
ZIP = Expectation("verified", "content", "A zip proves its members by their checksums.")
LENGTH = Expectation("verified", "length", "The portal states the size of the file.")
ROWS = Expectation("verified", "content", "Exported as a File Geodatabase and compared with the service by GlobalIDs.")
VIEW = Expectation("verified", "parsed", "A view whose sources are in the backup too is saved as its definition.")
FOREIGN = Expectation("described", None, "The data lives on a server of somebody else.")
EMPTY = Expectation("described", None, "Its data has no bytes.")
NO_DATA = Expectation("described", None, "The portal has no data for this item.")
TILES = Expectation("partial", None, "Its tiles live in this portal, their package is gone, and no export can be had.")
EXPORTED = Expectation("verified", "content", "Its tiles are exported, and some of them compared with the service.")
SCENE = Expectation("verified", "parsed", "The scene is exported as a package, which says of which service it is.")
PACKAGED = Expectation("verified", "content", "Saved as the package that it was published from, a zip.")
TAGGED = Expectation("excluded", None, "One of its tags is no-backup.")
NO_CONTENT = Expectation("partial", None, "Its content is in a resource, which the portal does not list.")
KEPT_ELSEWHERE = Expectation("partial", None, "Another service than the portal keeps what matters of it.")
WITHOUT_SECRETS = Expectation("verified", "parsed", "Its document is saved without the secrets in it.")
DEFINITION = Expectation("excluded", None, "Service Definitions are left out by default.")

KEYWORDS = {
    "Web Map": ["ArcGIS Online", "Explorer Web Map", "Map", "Online Map", "Web Map"],
    "Web Scene": ["3D", "Map", "Scene", "Streaming", "Web Scene", "ViewingMode-Local"],
    "Dashboard": ["Dashboard", "Operations Dashboard", "ArcGIS Dashboards"],
    "StoryMap": ["arcgis-storymaps", "StoryMap", "Web Application"],
    "Web Experience": ["EXB Experience", "JavaScript", "Ready To Use", "Web Application", "Web Experience", "Web Page"],
    "Web Mapping Application": ["JavaScript", "Map", "Mapping Site", "Online Map", "Web Map"],
    "Hub Site Application": ["Hub", "hubSite", "hubSolution", "JavaScript", "OpenData", "Registered App"],
    "Hub Page": ["Hub", "hubPage", "JavaScript", "OpenData"],
    "Hub Initiative": ["Hub", "hubInitiativeV2", "OpenData"],
    "Form": ["Form", "Survey123", "Survey123 Connect", "xForm"],
    "QuickCapture Project": ["QuickCapture", "QuickCapture Project"],
    "Notebook": ["Notebook", "Python", "Standard"],
    "Feature Service": ["ArcGIS Server", "Data", "Feature Access", "Feature Service", "Service"],
    "Map Service": ["ArcGIS Server", "Data", "Map Service", "Service"],
    "Image Service": ["ArcGIS Server", "Data", "Image Service", "Service"],
    "Vector Tile Service": ["ArcGIS Server", "Data", "Service", "Vector Tile Service"],
    "Scene Service": ["ArcGIS Server", "Data", "Scene Service", "Service"],
    "Feature Collection": ["Data", "Feature Collection", "Singlelayer"],
    "Application": ["Application", "Registered App"],
}
"""What the portal itself adds to items of a type; of other types: the type."""
_COLORS = ((0, 92, 131), (46, 117, 62), (140, 60, 20), (90, 60, 130), (60, 60, 60), (170, 120, 0), (0, 120, 120))
_OWN_NAMES = ("thumbnail1696255433518.png", "Vorschau (ä) #1.png")
_LIKELY_TAGS = ("springfield", "water", "transport", "parks", "planning", "2024", "public works", "GIS", "île", "道路")


class Builder:
    """Adds items to `org`. Items refer to each other by keys; nothing has to be made before it is referred to."""

    def __init__(self, org: Organization) -> None:
        self.org = org

    def item(
        self,
        key: str,
        owner: str,
        type: str,
        title: str,
        expected: Expectation,
        *,
        folder: str | None = None,
        keywords: tuple[str, ...] = (),
        groups: tuple[tuple[str, str], ...] = (),
        relations: tuple[tuple[str, str], ...] = (),
        **rest: Any,
    ) -> Item:
        """Add one item.

        `folder` is the title of the owner's folder, `groups` are (owner, title), `relations` are (relationship type,
        key of the other item), `rest` are further fields of `Item`.
        """
        created = stamp("created", key)
        typical = KEYWORDS.get(type, [type])
        if rest.get("metadata"):
            keywords = (*keywords, "Metadata")
        made = Item(
            id=item_id(key),
            owner=owner,
            type=type,
            title=title,
            expected=expected,
            folder=hex_id("folder", owner, folder) if folder is not None else None,
            type_keywords=sorted({*typical, *keywords}),
            groups=[group_id(*group) for group in groups],
            relations=[(name, item_id(other)) for name, other in relations],
            **{
                "created": created,
                "modified": stamp("modified", key, after=created),
                "tags": self._tags(key),
                "snippet": f"{type} of the City of Springfield.",
                "thumbnail": self._thumbnail(key),
                "access": "shared" if groups else "private",
                **rest,
            },
        )
        self.org.add(made)
        return made

    def service(self, name: str, key: str, **rest: Any) -> str:
        """Add the hosted service of the item with this key; returns its name. `rest` are fields of `Service`."""
        self.org.add(Service(name=name, item_id=item_id(key), **rest))
        return name

    def url(self, name: str, layer: int | None = None) -> str:
        """The address that documents made before today have of a hosted feature service."""
        address = f"https://services.example.org/{self.org.id}/arcgis/rest/services/{name}/FeatureServer"
        return address if layer is None else f"{address}/{layer}"

    @staticmethod
    def _tags(key: str) -> list[str]:
        first = number("tag", key, below=len(_LIKELY_TAGS))
        return list(dict.fromkeys(("springfield", _LIKELY_TAGS[first], _LIKELY_TAGS[first // 2])))

    @staticmethod
    def _thumbnail(key: str) -> tuple[str, bytes] | None:
        """Most items have the portal's default name; one in ten has no thumbnail."""
        draw = number("thumbnail", key, below=100)
        if draw < 10:
            return None
        name = "ago_downloaded.png" if draw < 85 else _OWN_NAMES[draw % 2]
        return name, payloads.png(_COLORS[draw % len(_COLORS)])
