"""A made-up organization of any size, for benchmarks and for tests of counting and paging."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from agolkit.sandbox.city import payloads
from agolkit.sandbox.city.apps import dashboard, instant_app
from agolkit.sandbox.city.builder import KEYWORDS, LENGTH, PARSED, ROWS
from agolkit.sandbox.city.hosted import places
from agolkit.sandbox.city.ids import DAY, FIRST_STAMP, LAST_STAMP, hex_id
from agolkit.sandbox.city.maps import MAP_EXTENT, layer_entry, web_map
from agolkit.sandbox.city.people import make_user
from agolkit.sandbox.organization import Bytes, Folder, Group, Item, Organization, Service

_TOPICS = ("Water", "Streets", "Parks", "Zoning", "Permits", "Snow", "Lighting", "Schools", "Noise", "Crime", "Flood")
_SORTS = ("map", "status", "draft", "2024", "final", "copy", "test")
_TYPES = (
    "Web Map",
    "Web Map",
    "Web Map",
    "Web Mapping Application",
    "Web Mapping Application",
    "Dashboard",
    "PDF",
    "CSV",
)


def generated(
    items: int = 12_000, owners: int = 250, folders: int = 600, groups: int = 120, services: int = 500
) -> Organization:
    """An organization with exactly these numbers of items (hosted services included), owners, folders and groups.

    A few owners have most of the items, everybody has some, titles repeat, many items were made in the same second.
    Each item has an expectation and a thumbnail, each but the services has data of 1 to 4 KB, one in ten has metadata,
    one in ten has resources.

    Raises
    ------
    ValueError
        A number is negative, there is no owner, or there are more services than items.
    """
    counts = {"items": items, "owners": owners, "folders": folders, "groups": groups, "services": services}
    for name, count in counts.items():
        least = 1 if name == "owners" else 0
        if count < least:
            raise ValueError(f"{name} must be at least {least}, not {count}.")
    if services > items:
        raise ValueError(f"services are items too: {services} services do not fit into {items} items.")

    org = Organization(id="bIgC1tyGener4ted", name="Generated City", url_key="generated-city")
    chance = random.Random(repr(counts))
    names = _add_people(org, owners)
    weights = list(itertools.accumulate(rank**-1.1 for rank in range(1, owners + 1)))
    homes = _add_folders(org, chance.choices(names, cum_weights=weights, k=folders))
    teams = _add_groups(org, [names[at % owners] for at in range(groups)], chance)
    seconds = (LAST_STAMP - FIRST_STAMP) // 1000
    moments = [FIRST_STAMP + chance.randrange(seconds) * 1000 for _ in range(items // 5 + 1)]
    hosted = set(chance.sample(range(items), services))
    makers = [*names[:items], *chance.choices(names, cum_weights=weights, k=max(0, items - owners))]
    chance.shuffle(makers)
    for at, owner in enumerate(makers):
        shared = chance.sample(teams, k=min(len(teams), chance.choice((0, 0, 1, 2))))
        created = chance.choice(moments)
        one = Item(
            id=hex_id("generated item", at),
            owner=owner,
            type="Feature Service",
            title=f"{chance.choice(_TOPICS)} {chance.choice(_SORTS)}",
            folder=chance.choice(homes[owner]),
            created=created,
            modified=min(LAST_STAMP, created + chance.randrange(200 * DAY)),
            tags=["generated", _TOPICS[at % len(_TOPICS)].lower()],
            snippet="Made for measuring.",
            access="shared" if shared else chance.choice(("private", "org", "public")),
            groups=shared,
            thumbnail=("ago_downloaded.png", payloads.png((40 * (at % 6), 90, 120))),
        )
        if at in hosted:
            _host(org, one, at)
        else:
            _fill(one, at, chance)
        org.add(one)
    return org


def _add_people(org: Organization, owners: int) -> list[str]:
    """The administrator, who owns the most, and publishers; returns their names."""
    names = ["city_admin", *(f"user{at:04}" for at in range(1, owners))]
    for name in names:
        org.add(
            make_user(name, name.replace("user", "User "), "org_admin" if name == "city_admin" else "org_publisher")
        )
    org.admin = names[0]
    return names


def _add_folders(org: Organization, owners: Sequence[str]) -> dict[str, list[str | None]]:
    """One folder for each owner named; returns where each owner's items may lie. Titles repeat between owners only."""
    homes: dict[str, list[str | None]] = {name: [None] for name in org.users}
    for at, owner in enumerate(owners):
        round_, topic = divmod(len(homes[owner]) - 1, len(_TOPICS))
        folder = Folder(hex_id("generated folder", at), f"{_TOPICS[topic]} {round_}", owner, FIRST_STAMP + at * 1000)
        org.add(folder)
        homes[owner].append(folder.id)
    return homes


def _add_groups(org: Organization, owners: Sequence[str], chance: random.Random) -> list[str]:
    """One group for each owner named, with up to eight members; returns their ids."""
    names = list(org.users)
    for at, owner in enumerate(owners):
        title = f"{_TOPICS[at % len(_TOPICS)]} team {at // len(_TOPICS)}"
        members = [name for name in chance.sample(names, k=min(len(names), 8)) if name != owner]
        team = Group(hex_id("generated group", at), title, owner, [owner], members, created=FIRST_STAMP)
        team.modified = FIRST_STAMP + DAY
        org.add(team)
    return list(org.groups)


def _host(org: Organization, item: Item, at: int) -> None:
    """Make the item a hosted service of one small layer."""
    item.service, item.expected = f"Generated_{at}", ROWS
    item.type_keywords = [*KEYWORDS["Feature Service"], "Hosted Service", "Singlelayer"]
    org.add(Service(item.service, item.id, layers=[places(0, f"Layer {at}", 10 + at % 40, wkid=4326)]))


def _fill(item: Item, at: int, chance: random.Random) -> None:
    """Give the item a type and a payload of 1 to 4 KB; one in ten gets metadata, another one in ten resources."""
    item.type = chance.choice(_TYPES)
    item.type_keywords = KEYWORDS.get(item.type, [item.type])
    item.expected = PARSED
    item.data = _document(item, chance)
    if item.type == "PDF":
        item.expected, item.data_type, item.name = LENGTH, "application/pdf", f"scan {at}.pdf"
    elif item.type == "CSV":
        item.expected, item.data_type, item.name = LENGTH, "text/csv", f"table_{at}.csv"
    elif item.type == "Web Map":
        item.extent = MAP_EXTENT
    if at % 10 == 0:
        item.metadata, item.type_keywords = payloads.metadata_xml(item.title), [*item.type_keywords, "Metadata"]
    if at % 10 == 5:
        item.resources = {"images/a.png": payloads.png((10, 10, 10), 16, 16), "config/a.json": b'{"a":1}'}


def _document(item: Item, chance: random.Random) -> Bytes:
    other = hex_id("refers to", item.id)
    match item.type:
        case "Web Map":
            url = f"https://services.example.org/{other[:16]}/arcgis/rest/services/Layer/FeatureServer"
            return payloads.as_json(
                web_map([layer_entry(f"Layer {at}", f"{url}/{at}", other) for at in range(chance.randint(1, 3))])
            )
        case "Dashboard":
            return payloads.as_json(dashboard(item.title, other))
        case "Web Mapping Application":
            filler = {"description": f"{item.title}. " * chance.randint(70, 150)}
            return payloads.as_json({**instant_app(other, item.title), "more": filler})
        case "PDF":
            return Bytes(payloads.pdf(item.title, chance.randint(3, 6)))
        case _:
            rows: Sequence[Sequence[object]] = [
                (at, item.title, chance.randrange(1000)) for at in range(chance.randint(60, 120))
            ]
            return Bytes(payloads.csv_text(rows))
