"""Hosted tiles, vector tiles, scenes and imagery: saved as the package that they were published from, else exported.

An export is asked for only where the owner of the service allows it and it is not larger than `max_tile_bytes`: no
setting is ever changed. What cannot be had is in this portal alone, so the item is then `partial`, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from urllib.parse import quote

from agolkit.errors import JobFailed, PortalError, TooLarge
from agolkit.kinds.archive import proven_members
from agolkit.kinds.file import keep_file
from agolkit.kinds.fingerprint import service_stamp
from agolkit.kinds.jobs import wait_for_job
from agolkit.kinds.saving import Saving
from agolkit.kinds.scenes import save_scene
from agolkit.kinds.tile_package import Place, prove_origin, read_package
from agolkit.model import Item, Reach, Sink, in_bytes, plain
from agolkit.portal import Portal, TileEstimate, TileFacts, TileService, package_ending

PACKAGES = frozenset(
    plain(item_type)
    for item_type in (
        "3DTiles Package",
        "3DTiles Package (3D Object)",
        "3DTiles Package (Gaussian Splat)",
        "3DTiles Package (Integrated Mesh)",
        "Compact Tile Package",
        "Scene Package",
        "Service Definition",
        "Tile Package",
        "Vector Tile Package",
    )
)
SERVER = re.compile(r"^(.*/(\w+Server))(?:/|$)")
"""The root of a service, and its type, in the url of an item, which may lead to a layer of it."""

TOO_MANY_TILES = "001564"
"""The error of an export job that would be larger than the service allows; where it states no estimate, only this says
so, and asking again does not help."""
FEWER_TILES = (
    "The owner can raise the number of tiles that may be exported, in the item's settings, or export packages of a "
    "part each by hand."
)


def save_tiles(saving: Saving) -> None:
    """Save the package of the service, or else its tiles; without either the service is `partial`."""
    found = SERVER.match(saving.item.url.partition("?")[0])
    url, server = (found[1], found[2]) if found else (saving.item.url, "")
    # Where a service does not tell, its tiles are fetched by every run.
    stamp = partial(root_stamp, saving.portal, saving.item.url)
    saving.attempt("service", lambda: saving.stamps.update(service={"root": stamp()}))
    saving.part("source", partial(_save_source, saving))
    if any(part.name == "source" for part in saving.parts):
        return
    match server:
        case "MapServer" | "VectorTileServer" | "ImageServer":
            saving.part("tiles", partial(_save_exported, saving, TileService(saving.portal, url)))
        case "SceneServer":
            saving.part("tiles", partial(_save_scene, saving, url))
        case _:
            _note_missing(saving, "services of this type cannot be exported; keep the data that it was made of")


def _save_source(saving: Saving) -> None:
    """Save the package, if the service still has one; note the feature layer that it was made of, if there is one."""
    raw = saving.portal.related(saving.item.id, ["Service2Data", "Service2Service"], "forward")
    related = [Item.from_json(each) for each in raw]
    source = next((other for other in related if plain(other.type) in PACKAGES), None)
    if source is not None:
        with saving.context.spool() as spool:
            received = saving.portal.download(f"content/items/{quote(source.id)}/data", spool, params={"f": "json"})
            keep_file(saving, spool, received, of=source, part="source")
        saving.notes.append(f"its tiles are saved as the {source.type} {source.title!r} that they were published from")
    for layer in related:
        if plain(layer.type) == "featureservice":
            holds = "which this run saves too" if layer.id in saving.context.in_scope else "which this run leaves out"
            saving.notes.append(f"it was published from the feature layer {layer.title!r}, {holds}")


def _save_exported(saving: Saving, service: TileService) -> None:
    """Have the service pack all its tiles, fetch the package, and prove that it is of this service."""
    options, facts = saving.context.options, service.facts()
    estimate = TileEstimate(None, None)
    obstacle = _obstacle(facts)
    if not obstacle:
        estimate = _estimate(saving, service, facts)
        obstacle = _too_much(estimate, facts, options.max_tile_bytes)
    if obstacle:
        _note_missing(saving, obstacle)
        return
    with saving.context.spool() as spool:
        job_id = service.start_export(facts.levels)
        try:
            wait_for_job(lambda: service.job_status(job_id), allowed=options.export_timeout)
        except JobFailed as error:
            if TOO_MANY_TILES in str(error):
                raise TooLarge(f"{error} {FEWER_TILES}") from None
            raise
        address = service.package(job_id)
        service.fetch_package(address, Bounded(spool, options.max_tile_bytes))
        members, ending = proven_members(spool), package_ending(address)
        package = read_package(spool.path(), ending)
        if not package.tiles:
            # A package in the older form cannot be looked into.
            proof, reach, levels = f"zip, {members:,} files", Reach.PARSED, in_ranges(facts.levels)
        else:
            is_same = prove_origin(spool.path(), package, facts, partial(_served_tile, saving, service))
            levels = in_ranges(package.levels)
            if facts.is_exact and (lacking := in_ranges(set(facts.levels) - package.levels)):
                saving.missing.append(
                    f"tiles of levels {lacking}: the service has them, the package does not. Run again; if it stays "
                    "so, export a package of these levels by hand"
                )
            expected = f" ({estimate.tiles:,} estimated)" if estimate.tiles else ""
            proof = f"{package.tiles:,} tiles of levels {levels}{expected}"
            proof += f", {len(package.largest)} of them compared with the service" if is_same else ", by their extent"
            reach = Reach.CONTENT if is_same else Reach.PARSED
        saving.keep("tiles", spool, f"tiles{ending}", reach, proof)
    saving.notes.append(f"its tiles of levels {levels} are saved as a package that the service made of them")


def _obstacle(facts: TileFacts) -> str:
    """Why the tiles cannot be exported at all; empty: they can."""
    if not facts.levels:
        return "it draws its pictures on request and has no tiles to export; keep the images that it was made of"
    if not facts.export_allowed:
        return "export of its tiles is not allowed; the owner can allow it in the item's settings"
    return ""


def _too_much(estimate: TileEstimate, facts: TileFacts, most: int) -> str:
    """Why the tiles are too many or too large; empty: they are not, or the service does not say."""
    if estimate.size and estimate.size > most:
        return (
            f"its tiles are about {in_bytes(estimate.size)}, more than max_tile_bytes ({in_bytes(most)}) allows; raise "
            "it, or export a package by hand"
        )
    if estimate.tiles and facts.most_tiles and estimate.tiles > facts.most_tiles:
        at_once = f"more than the service exports at once ({facts.most_tiles:,})"
        return f"its {estimate.tiles:,} tiles are {at_once}. {FEWER_TILES}"
    return ""


def _estimate(saving: Saving, service: TileService, facts: TileFacts) -> TileEstimate:
    """How much an export would be. Not every service can say; then only the download itself is bounded."""
    if service.is_vector:
        return TileEstimate(None, None)
    try:
        job_id = service.start_estimate(facts.levels)
        wait_for_job(lambda: service.job_status(job_id), allowed=saving.context.options.export_timeout)
        return service.estimate(job_id)
    except PortalError:
        return TileEstimate(None, None)


def _served_tile(saving: Saving, service: TileService, place: Place) -> bytes:
    """A tile as the service serves it; empty where it has none there."""
    with saving.context.spool() as spool:
        try:
            service.fetch_tile(place.level, place.row, place.column, spool)
        except PortalError as error:
            if error.transient:
                raise
            return b""
        return spool.read()


def _save_scene(saving: Saving, url: str) -> None:
    obstacle = save_scene(saving, url, lambda sink: Bounded(sink, saving.context.options.max_tile_bytes))
    if obstacle:
        _note_missing(saving, obstacle)


def _note_missing(saving: Saving, why: str) -> None:
    # The reason comes early: tables show the beginning of a message only.
    saving.missing.append(f"data: no package saved, and {why}")


def root_stamp(portal: Portal, url: str) -> str:
    """What a service of tiles, scenes or imagery says of itself."""
    found = SERVER.match(url.partition("?")[0])
    return service_stamp(portal.get_json(found[1] if found else url))


class Bounded:
    """A sink that takes no more bytes than allowed: for what states no size before it comes."""

    def __init__(self, sink: Sink, most: int) -> None:
        self._sink = sink
        self._most = most
        self._size = 0

    def restart(self) -> None:
        self._size = 0
        self._sink.restart()

    def expect(self, size: int) -> None:
        self._check(size)
        self._sink.expect(size)

    def write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        self._check(self._size)
        self._sink.write(chunk)

    def _check(self, size: int) -> None:
        if size > self._most:
            raise TooLarge(
                f"The package is more than max_tile_bytes ({in_bytes(self._most)}) allows; raise it, or export one by "
                "hand."
            )


def in_ranges(levels: Iterable[int]) -> str:
    """Levels in words: `0 to 5, 7`."""
    ranges: list[list[int]] = []
    for level in sorted(levels):
        if ranges and ranges[-1][-1] == level - 1:
            ranges[-1][1:] = [level]
        else:
            ranges.append([level])
    return ", ".join(" to ".join(map(str, each)) for each in ranges)
