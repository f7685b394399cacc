"""A hosted tile, vector tile or image service: which tiles it has, and their export as a package.

Source of the requests: the REST pages "Export Tiles", "Estimate Export Tile Size", "Job" and "Result" of map, image
and vector tile services, and "Tile Package Specification". ArcGIS Online says in the job what ArcGIS Enterprise says in
a result of it; either is understood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from agolkit.errors import NotAnAnswer
from agolkit.model import Sink
from agolkit.portal.answers import without_secrets
from agolkit.portal.bodies import Received
from agolkit.portal.client import Portal

COMPACT = "esriMapCacheStorageModeCompactV2"
PACKAGES = (".tpkx", ".vtpk", ".tpk")
"""What an export is called: tiles in the form above, vector tiles, and tiles as servers before 10.7 pack them."""
STATES = {
    "esriJobSucceeded": "completed",
    "esriJobFailed": "failed",
    "esriJobTimedOut": "failed",
    "esriJobCancelling": "failed",
    "esriJobCancelled": "failed",
    "esriJobDeleted": "failed",
}
"""The last states of a job, in the words that item exports have for them."""


@dataclass(frozen=True, slots=True)
class TileFacts:
    """What a service says of its tiles."""

    levels: tuple[int, ...]
    """Levels of detail that have tiles; empty where the service has none."""
    is_exact: bool
    """Whether the service says which levels have tiles, and not only which its tiling scheme knows."""
    extent: Mapping[str, Any]
    export_allowed: bool
    most_tiles: int | None
    """So many may be exported at once."""

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> TileFacts:
        listed = [int(lod["level"]) for lod in (raw.get("tileInfo") or {}).get("lods") or ()]
        first, last = raw.get("minLOD"), raw.get("maxLOD")
        is_exact = False
        if isinstance(first, int) and isinstance(last, int):
            is_exact = True
            # The tiling scheme goes further, down to levels for which no tile was made.
            listed = [level for level in listed if first <= level <= last]
        most = raw.get("maxExportTilesCount")
        return cls(
            levels=tuple(sorted(listed)),
            is_exact=is_exact,
            extent=raw.get("fullExtent") or {},
            export_allowed=raw.get("exportTilesAllowed") is True,
            most_tiles=most if isinstance(most, int) and most > 0 else None,
        )


@dataclass(frozen=True, slots=True)
class TileEstimate:
    """How large an export would be, as far as the service says."""

    size: int | None
    """Bytes."""
    tiles: int | None


@contextmanager
def _in_known_form(what: str) -> Iterator[None]:
    """Turn what goes wrong with an answer in another form into `NotAnAnswer`."""
    try:
        yield
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise NotAnAnswer(f"{what} comes in an unknown form ({error!r}).") from None


class TileService:
    """Reads one hosted service of tiles through the portal's session."""

    def __init__(self, portal: Portal, url: str) -> None:
        self.portal = portal
        self.url = url.rstrip("/")
        self.is_vector = self.url.endswith("/VectorTileServer")

    @_in_known_form("The description of the service")
    def facts(self) -> TileFacts:
        """Which tiles there are, and whether they may be exported."""
        return TileFacts.from_json(self.portal.get_json(self.url))

    def start_estimate(self, levels: tuple[int, ...]) -> str:
        """Have the size of an export worked out; the id of the job. Vector tile services do not do that."""
        return self._start("estimateExportTilesSize", levels)

    def start_export(self, levels: tuple[int, ...]) -> str:
        """Have the tiles of these levels packed, in the whole extent and as they are; the id of the job.

        The package lies on the server, which deletes it after a while. No item is made in the portal.
        """
        return self._start("exportTiles", levels)

    def _start(self, operation: str, levels: tuple[int, ...]) -> str:
        params: dict[str, str] = {"levels": ",".join(map(str, levels))}
        if not self.is_vector:
            params |= {"tilePackage": "true", "exportBy": "LevelID", "optimizeTilesForSize": "false"}
            params |= {"storageFormatType": COMPACT}
        # Asked again where no answer came: a second job costs the server time, and leaves nothing behind.
        return str(self.portal.get_json(f"{self.url}/{operation}", params, needs={"jobId": str})["jobId"])

    @_in_known_form("The state of the export")
    def job_status(self, job_id: str) -> tuple[str, str]:
        """(`completed`, `failed` or the server's own word, message) of a job."""
        job = self._job(job_id)
        said = str(job.get("jobStatus") or job.get("status") or "")
        messages = [each.get("description") for each in job.get("messages") or () if isinstance(each, dict)]
        reason = job.get("message") or (messages[-1] if messages else "") or ""
        return STATES.get(said) or without_secrets(said), without_secrets(str(reason))

    @_in_known_form("The estimate of the export")
    def estimate(self, job_id: str) -> TileEstimate:
        """What an estimate that is completed came to."""
        job = self._job(job_id)
        result = self._result(job_id, job)
        told = result if isinstance(result, dict) else {}
        return TileEstimate(
            _number(told.get("totalSize") or job.get("estimatedTilesSize")),
            _number(told.get("totalTilesToExport") or job.get("estimatedNumTiles")),
        )

    @_in_known_form("The result of the export")
    def package(self, job_id: str) -> str:
        """Address of the one package that an export has made.

        Raises
        ------
        NotAnAnswer
            It names none, or several.
        """
        job = self._job(job_id)
        found = (job.get("output") or {}).get("outputUrl") or []
        if not found:
            result = self._result(job_id, job)
            address = result.get("url") if isinstance(result, dict) else result
            if not isinstance(address, str):
                raise NotAnAnswer("The export is completed, but its job names no result.")
            # The result is a folder of the server with the package in it; some servers name the package itself.
            found = [address] if package_ending(address) else _files(self.portal.get_json(address))
        packages = [each for each in ([found] if isinstance(found, str) else found) if package_ending(str(each))]
        if len(packages) != 1:
            raise NotAnAnswer(f"The export is completed, but it names {len(packages)} packages instead of one.")
        return str(packages[0])

    def fetch_package(self, address: str, sink: Sink) -> Received:
        """Stream a package into `sink`; ArcGIS Online keeps it in a cloud store, which gets no token."""
        return self.portal.download(address, sink, elsewhere=True)

    def fetch_tile(self, level: int, row: int, column: int, sink: Sink) -> Received:
        """Stream one tile, as the service serves it, into `sink`."""
        ending = ".pbf" if self.is_vector else ""
        return self.portal.download(f"{self.url}/tile/{level}/{row}/{column}{ending}", sink)

    def _job(self, job_id: str) -> dict[str, Any]:
        return self.portal.get_json(f"{self.url}/jobs/{quote(job_id, safe='')}")

    def _result(self, job_id: str, job: Mapping[str, Any]) -> object:
        """The value of a job's result; `None` where it has none."""
        for result in (job.get("results") or {}).values():
            address = f"{self.url}/jobs/{quote(job_id, safe='')}/{result['paramUrl']}"
            return self.portal.get_json(address).get("value")
        return None


def package_ending(address: str) -> str:
    """The ending of a package's file name, such as `.tpkx`; empty where an address leads to something else."""
    path = urlsplit(address).path.lower()
    return next((ending for ending in PACKAGES if path.endswith(ending)), "")


def _files(listing: Mapping[str, Any]) -> list[str]:
    """Addresses of the files in a folder of the server."""
    return [str(file["url"]) for file in listing.get("files") or () if isinstance(file, dict) and file.get("url")]


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and value > 0 else None
