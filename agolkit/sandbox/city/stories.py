"""StoryMaps and Web Experiences of Springfield, published and not, and the JSON they hold."""

from __future__ import annotations

from collections.abc import Sequence

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.builder import PARSED, RESOURCES, Builder
from agolkit.sandbox.city.features import Json
from agolkit.sandbox.city.ids import item_id, stamp


def _story(title: str, web_map: str | None, paragraphs: Sequence[str], images: Sequence[str] = ()) -> Json:
    """The data of a StoryMap: cover, paragraphs, a map and images, in a tree of nodes."""
    nodes: Json = {
        "n-cover0": {"type": "storycover", "data": {"type": "full", "title": title, "summary": paragraphs[0][:80]}}
    }
    for at, text in enumerate(paragraphs):
        nodes[f"n-text{at:02}"] = {"type": "text", "data": {"type": "paragraph", "text": text}}
    resources: Json = {"r-theme0": {"type": "story-theme", "data": {"themeId": "summit"}}}
    for at, image in enumerate(images):
        nodes[f"n-img{at:03}"] = {
            "type": "image",
            "data": {"image": f"r-img{at:03}", "alt": ""},
            "config": {"size": "wide"},
        }
        resources[f"r-img{at:03}"] = {
            "type": "image",
            "data": {"resourceId": image, "provider": "item-resource", "height": 133, "width": 200},
        }
    if web_map:
        nodes["n-map000"] = {"type": "webmap", "data": {"map": "r-map000", "extent": None}}
        resources["r-map000"] = {
            "type": "webmap",
            "data": {"itemId": web_map, "itemType": "Web Map", "type": "default"},
        }
    children = list(nodes)
    nodes["n-root00"] = {
        "type": "story",
        "data": {"storyTheme": "r-theme0"},
        "config": {"coverDate": "first-published"},
        "children": children,
    }
    return {"root": "n-root00", "nodes": nodes, "resources": resources, "actions": []}


def _experience(title: str, web_map: str) -> Json:
    widget = {
        "uri": "widgets/arcgis/map/",
        "label": "Map",
        "useDataSources": [{"dataSourceId": "dataSource_1"}],
        "config": {"toolConfig": {}},
    }
    layout = {
        "type": "FIXED",
        "order": ["0"],
        "content": {"0": {"type": "WIDGET", "widgetId": "widget_1", "bbox": {"width": "100%", "height": "92.5%"}}},
    }
    page = {
        "id": "home",
        "type": "NORMAL",
        "mode": "FIT_WINDOW",
        "label": title,
        "isDefault": True,
        "layout": {"LARGE": "layout_1"},
    }
    sources = {
        "dataSource_1": {
            "id": "dataSource_1",
            "type": "WEB_MAP",
            "itemId": web_map,
            "portalUrl": "https://springfield.maps.example.org",
        }
    }
    return {
        "pages": {"home": page},
        "layouts": {"layout_1": layout},
        "widgets": {"widget_1": widget},
        "dataSources": sources,
        "theme": "themes/default/",
        "exbVersion": "1.17.0",
        "attributes": {"title": title},
    }


def add_stories(city: Builder) -> None:
    """Add stories and experiences; the maps they show are known by their keys."""
    _add_stories(city)
    _add_experiences(city)


def _add_stories(city: Builder) -> None:
    """Published stories with a draft beside the data, one draft that was never published, a theme."""
    for key, owner, title, shown in (
        ("forest story", "parks@springfield.example", "A city of trees 🌳", "tree map"),
        ("flood story", "l.haddad", "فيضان ٢٠١٩: ما تعلمناه", "facility map"),
    ):
        moment = stamp("draft", key)
        images = [f"{name}.png" for name in ("1700000000001", "1700000000002")]
        whole = _story(
            title, item_id(shown), ["Every tree has a number.", "“The oaks were here first.” — old saying"], images
        )
        draft = payloads.as_json({**whole, "draftOnly": True}).content
        pictures = {name: payloads.png((10, 90, 10 + 50 * at)) for at, name in enumerate(images)}
        resources = {f"draft_{moment}.json": draft, **pictures, "oembed.json": b'{"version":"1.0","type":"rich"}'}
        keywords = (
            "smstatuspublished",
            f"smdraftresourceid:draft_{moment}.json",
            f"smpublisheddate:{moment}",
            "smversionpublished:25.10",
        )
        url = f"https://storymaps.example.com/stories/{item_id(key)}"
        city.item(
            key,
            owner,
            "StoryMap",
            title,
            PARSED,
            keywords=keywords,
            data=payloads.as_json(whole),
            resources=resources,
            url=url,
            access="public",
        )
    moment = stamp("draft", "draft story")
    draft = payloads.as_json(_story("Untitled story", None, ["Lorem ipsum, to be written."])).content
    draft_keywords = ("smstatusdraft", f"smdraftresourceid:draft_{moment}.json", "smversiondraft:25.10")
    city.item(
        "draft story",
        "open.data",
        "StoryMap",
        "Untitled story",
        RESOURCES,
        keywords=draft_keywords,
        resources={f"draft_{moment}.json": draft},
    )
    theme = {"variant": {"baseVariantId": "summit"}, "settings": {"colors": {"themeColor1": "#2e753e"}}}
    city.item(
        "story theme",
        "parks@springfield.example",
        "StoryMap Theme",
        "Springfield green",
        PARSED,
        data=payloads.as_json(theme),
        relations=(("Theme2Story", "forest story"),),
    )


def _add_experiences(city: Builder) -> None:
    """Published, changed since, and never published: then the data is `{}` and the app is in the resources."""
    for key, owner, title, shown, status in (
        ("experience", "planning.team", "Zoning explorer", "zoning map", "Published"),
        ("experience 2", "Transport_GIS", "Where is my bus?", "street map", "Changed"),
        ("experience 3", "planning.team", "Untitled experience 12", "zoning map", "Draft"),
    ):
        config = payloads.as_json(_experience(title, item_id(shown)))
        resources = {
            "config/config.json": config.content,
            "image-resources-list/image-resources-list.json": b"{}",
            "images/widget_1/banner (final) #2.png": payloads.png((120, 20, 60), 64, 32),
        }
        city.item(
            key,
            owner,
            "Web Experience",
            title,
            PARSED,
            keywords=(f"status: {status}", "version:1.17.0"),
            data=payloads.as_json({}) if status == "Draft" else config,
            resources=resources,
            url=f"https://experience.example.com/experience/{item_id(key)}",
        )
