"""The rows of a hosted service as a File Geodatabase that the portal makes, and the proof that it holds them all."""

from __future__ import annotations

import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyogrio

from agolkit.errors import CheckFailed, ConnectionTrouble, JobFailed, PortalError
from agolkit.kinds.exports import Export
from agolkit.kinds.file import proven_members
from agolkit.kinds.saving import Saving
from agolkit.model import Reach
from agolkit.portal import FeatureService, ServiceLayer, plain_id
from agolkit.progress import beat, pause
from agolkit.store import Spool

# Only ids and lengths are read here; that pyogrio would drop the M values of a geometry does not matter to them.
warnings.filterwarnings("ignore", r"Measured \(M\) geometry types are not supported", UserWarning)

FIRST_LOOK = 0.25
LONGEST_LOOK = 2.0
"""Seconds between two questions for the state of an export job; each wait is half as long again as the last."""


IDS_AT_ONCE = 50_000
ATTACHMENTS_AT_ONCE = 4
"""Rows of the geodatabase in memory at once; an attachment may have many megabytes."""


@dataclass(frozen=True, slots=True)
class ProvenLayer:
    """A layer of the service and the geodatabase's layer that was proven to hold its rows."""

    id: int
    geodatabase_layer: str
    rows: int
    attachments: int


def save_geodatabase(saving: Saving, service: FeatureService, layers: Sequence[ServiceLayer]) -> list[dict[str, Any]]:
    """Export, fetch, prove and keep the geodatabase; which of its layers holds which layer of the service.

    Raises
    ------
    JobFailed
        The portal could not make it, or not in time. Trying again may help.
    CheckFailed
        It does not hold what the service serves; the message has the numbers. Trying again helps where rows were
        edited meanwhile.
    """
    is_view = "View Service" in saving.item.type_keywords
    with saving.context.spool() as spool:
        export_into(saving, spool)
        members = proven_members(spool)
        proven = prove(spool.path(), service, layers, is_view=is_view)
        rows, attachments = sum(each.rows for each in proven), sum(each.attachments for each in proven)
        proof = f"{len(layers)} layers, {rows:,} of {rows:,} rows, {attachments:,} attachments, {members} files"
        by_id = all(layer.global_id_field or not each.rows for layer, each in zip(layers, proven, strict=True))
        saving.keep("geodatabase", spool, "layers.gdb.zip", Reach.CONTENT if by_id else Reach.PARSED, proof)
    return [{"id": each.id, "layer": each.geodatabase_layer} for each in proven]


def export_into(saving: Saving, spool: Spool) -> None:
    """Have the portal make a geodatabase of the item, fetch it, and delete the export item whatever happens."""
    ledger, owner = saving.context.exports, saving.item.owner
    export = ledger.open(owner, saving.item.id)
    try:
        make_export(saving, export)
        saving.portal.download(f"content/items/{export.item_id}/data", spool, params={"f": "json"})
    finally:
        ledger.close(export)


def make_export(saving: Saving, export: Export) -> None:
    """Return when the export item is there. A lost answer is no reason to ask twice: the item is looked for first."""
    ledger = saving.context.exports
    job_id = ""
    try:
        job = saving.portal.start_export(export.owner, saving.item.id, title=export.title, tags=ledger.tags)
        export.item_id, job_id = job.export_item_id, job.job_id
    except (PortalError, ConnectionTrouble) as error:
        if not error.transient:
            raise
        export.is_lost = True
        export.item_id = ledger.find(export)
        if export.item_id is None:
            raise JobFailed(f"The portal did not begin the export: {error}") from None
    wait_for_export(saving, export, job_id)


def wait_for_export(saving: Saving, export: Export, job_id: str) -> None:
    """Return when the job is done. A state that nobody knows, or trouble while asking, is waited out until the end."""
    allowed = saving.context.options.export_timeout
    end = time.monotonic() + allowed
    look = FIRST_LOOK
    said = "nothing"
    while time.monotonic() < end:
        try:
            said, message = saving.portal.job_status(export.owner, str(export.item_id), job_id)
        except (PortalError, ConnectionTrouble) as error:
            if not error.transient:
                raise JobFailed(f"The export was lost on the server: {error}") from None
            said = str(error)
        else:
            if said == "completed":
                return
            if said == "failed":
                raise JobFailed(f"The export failed on the server: {message or 'it gave no reason'}")
        beat()
        pause(look)
        look = min(look * 1.5, LONGEST_LOOK)
    raise JobFailed(f"The export was not done after {allowed:,.0f} seconds; the server's last word was {said!r}.")


def prove(path: Path, service: FeatureService, layers: Sequence[ServiceLayer], *, is_view: bool) -> list[ProvenLayer]:
    """Compare every layer of the service with the geodatabase, by the set of GlobalIDs, else by count and fields.

    A view's geodatabase may hold more rows than the view shows, because the portal exports to its owner without the
    view's filter; all that it shows must be there.

    Raises
    ------
    CheckFailed
        A layer, a row or an attachment is missing, or there are rows that the service does not have.
    """
    try:
        geodatabase = geodatabase_in(path)
        names = [str(name) for name, _geometry in pyogrio.list_layers(geodatabase)]
        free = [name for name in names if not name.endswith(("__ATTACH", "__ATTACHREL"))]
        proven = []
        for layer in layers:
            served = service.row_ids(layer)
            counted = service.count(layer)
            if counted != len(served):
                raise CheckFailed(f"layer {layer.name!r}: {len(served):,} ids listed, {counted:,} rows counted.")
            name = _matching(geodatabase, free, layer, served, is_view=is_view)
            free.remove(name)
            attachments = 0
            if layer.has_attachments:
                attachments = prove_attachments(geodatabase, names, name, layer, service, served, is_view=is_view)
            proven.append(ProvenLayer(layer.id, name, len(served), attachments))
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pa.ArrowException, ValueError) as error:
        raise CheckFailed(f"the geodatabase cannot be read ({error}).") from None
    return proven


def geodatabase_in(path: Path) -> str:
    """What GDAL opens: the one geodatabase folder inside the zip, whatever the zip itself is called.

    Raises
    ------
    CheckFailed
        There is none in it.
    """
    with zipfile.ZipFile(path) as archive:
        folders = {name.split("/")[0] for name in archive.namelist()}
    found = sorted(folder for folder in folders if folder.endswith(".gdb"))
    if len(found) != 1:
        raise CheckFailed(f"the zip holds {len(found)} geodatabases instead of one.")
    return f"/vsizip/{{{path}}}/{found[0]}"


def _matching(
    geodatabase: str, names: Sequence[str], layer: ServiceLayer, served: dict[int, str], *, is_view: bool
) -> str:
    """The one of `names` that holds the rows of `layer`; one with its name is looked at first.

    Rows without GlobalIDs, and no rows at all, say nothing of where they came from: there the name must fit too.
    """
    best = ""
    for name in sorted(names, key=lambda name: _letters(name) != _letters(layer.name)):
        is_namesake = _letters(name) == _letters(layer.name)
        facts = pyogrio.read_info(geodatabase, layer=name)
        rows = found = int(facts["features"])
        fields = {str(field).casefold(): str(field) for field in facts["fields"]}
        fits = rows >= len(served) if is_view else rows == len(served)
        column = fields.get((layer.global_id_field or "").casefold())
        if column and served:
            wanted = set(served.values())
            saved = {plain_id(value) for value in _values(geodatabase, name, column)}
            if fits and wanted <= saved:
                return name
            found = len(wanted & saved)
        elif fits and is_namesake and (layer.global_id_field is None or not served) and layer.fields <= set(fields):
            return name
        if not best:
            best = f"{found:,} of {len(served):,} rows are in the geodatabase's layer {name!r}, which has {rows:,}"
    raise CheckFailed(f"layer {layer.name!r}: {best or 'the geodatabase has no layer for it'}.")


def prove_attachments(
    geodatabase: str,
    names: list[str],
    name: str,
    layer: ServiceLayer,
    service: FeatureService,
    served: dict[int, str],
    *,
    is_view: bool,
) -> int:
    """Number of attachments of the layer, once each was found in the geodatabase with all its bytes.

    Raises
    ------
    CheckFailed
        One is missing or shorter than the service says.
    """
    wanted = Counter((fact.parent, fact.name, fact.size) for fact in service.attachments(layer, served))
    saved: Counter[tuple[str, str, int]] = Counter()
    table = f"{name}__ATTACH"
    if table in names:
        for batch in _batches(geodatabase, table, ["REL_GLOBALID", "ATT_NAME", "DATA"], batch=ATTACHMENTS_AT_ONCE):
            sizes = pc.binary_length(batch.column("DATA"))
            for parent, att_name, size in zip(
                batch.column("REL_GLOBALID"), batch.column("ATT_NAME"), sizes, strict=True
            ):
                saved[plain_id(parent.as_py()), str(att_name.as_py()), int(size.as_py() or 0)] += 1
    lost = wanted - saved
    if lost or (saved - wanted and not is_view):
        raise CheckFailed(
            f"layer {layer.name!r}: {(wanted & saved).total():,} of {wanted.total():,} attachments are there."
        )
    return wanted.total()


def _batches(geodatabase: str, layer: str, columns: list[str], *, batch: int) -> Iterator[pa.RecordBatch]:
    with pyogrio.open_arrow(geodatabase, layer=layer, columns=columns, read_geometry=False, batch_size=batch) as (
        _,
        reader,
    ):
        for batch in pa.RecordBatchReader.from_stream(reader):
            beat()
            yield batch


def _values(geodatabase: str, layer: str, column: str) -> Iterator[object]:
    for batch in _batches(geodatabase, layer, [column], batch=IDS_AT_ONCE):
        yield from batch.column(column).to_pylist()


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
