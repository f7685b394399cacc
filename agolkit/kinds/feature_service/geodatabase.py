"""The rows of a hosted service as a File Geodatabase that the portal makes, and the proof that it holds them all."""

from __future__ import annotations

import hashlib
import warnings
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyogrio

from agolkit.errors import CheckFailed
from agolkit.kinds.archive import DAMAGED, open_archive, proven_members
from agolkit.kinds.feature_service.definition import GEODATABASE
from agolkit.kinds.feature_service.rows import count_common, edited_between
from agolkit.kinds.jobs import export_into
from agolkit.kinds.saving import Saving
from agolkit.model import Reach, counted
from agolkit.portal import FeatureService, ServiceLayer, plain_id
from agolkit.progress import beat

# Only ids and lengths are read here; that pyogrio would drop the M values of a geometry does not matter to them.
warnings.filterwarnings("ignore", r"Measured \(M\) geometry types are not supported", UserWarning)

CATALOG = "a00000001.gdbtable"
"""The one file that every File Geodatabase has."""
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


@dataclass(frozen=True, slots=True)
class ServedRows:
    """The rows of a layer as the service lists them."""

    keys: array[int]
    """A `key_of` each GlobalID, in order."""
    global_ids: Mapping[int, str]
    """Object id → GlobalID, for layers with attachments."""

    @property
    def count(self) -> int:
        return len(self.keys)


def save_geodatabase(
    saving: Saving, service: FeatureService, layers: Sequence[ServiceLayer], *, is_view: bool
) -> list[dict[str, Any]]:
    """Export, fetch, prove and keep the geodatabase; which of its layers holds which layer of the service.

    Raises
    ------
    JobFailed
        The portal could not make it, or not in time. Trying again may help.
    CheckFailed
        It does not hold what the service serves, or a layer was edited between the beginning of the export and the
        end of the proof; the message says which, with the numbers. Trying again helps where rows were edited meanwhile.
    """
    before = [service.edit_stamps(layer) for layer in layers]
    with saving.context.spool() as spool:
        export_into(saving, spool, "File Geodatabase")
        members = proven_members(spool)
        proven = prove(spool.path(), service, layers, is_view=is_view)
        for layer, stamps in zip(layers, before, strict=True):
            if moved := edited_between(stamps, service.edit_stamps(layer)):
                raise CheckFailed(f"layer {layer.name!r} was {moved} while it was exported.")
        rows, attachments = sum(each.rows for each in proven), sum(each.attachments for each in proven)
        proof = f"{counted(len(layers), 'layer')}, {rows:,} of {counted(rows, 'row')}, "
        proof += f"{counted(attachments, 'attachment')}, {counted(members, 'file')}"
        by_id = all(layer.global_id_field or not each.rows for layer, each in zip(layers, proven, strict=True))
        saving.keep("geodatabase", spool, GEODATABASE, Reach.CONTENT if by_id else Reach.PARSED, proof)
    return [
        {"id": each.id, "layer": each.geodatabase_layer, "rows": each.rows, "attachments": each.attachments}
        for each in proven
    ]


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
            served = served_rows(service, layer)
            name = _matching(geodatabase, free, layer, served, is_view=is_view)
            free.remove(name)
            attachments = 0
            if layer.has_attachments:
                attachments = prove_attachments(
                    geodatabase, names, name, layer, service, served.global_ids, is_view=is_view
                )
            proven.append(ProvenLayer(layer.id, name, served.count, attachments))
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pa.ArrowException, ValueError) as error:
        raise CheckFailed(f"the geodatabase cannot be read ({error}).") from None
    return proven


def served_rows(service: FeatureService, layer: ServiceLayer) -> ServedRows:
    """The rows of a layer as the service lists them now.

    Raises
    ------
    CheckFailed
        It counts another number of rows than it lists. Trying again helps where rows were edited meanwhile.
    """
    keys: list[int] = []
    global_ids: dict[int, str] = {}
    for page in service.row_ids(layer):
        beat()
        keys += map(key_of, page.values())
        if layer.has_attachments:
            global_ids |= page
    served = ServedRows(array("q", sorted(keys)), global_ids)
    counted = service.count(layer)
    if counted != served.count:
        raise CheckFailed(f"layer {layer.name!r}: {served.count:,} ids listed, {counted:,} rows counted.")
    return served


def geodatabase_in(path: Path) -> str:
    """What GDAL opens: the one geodatabase folder inside the zip, whatever the zip itself is called.

    Raises
    ------
    CheckFailed
        There is none in it, or it is no archive that can be read.
    """
    try:
        with path.open("rb") as stream, open_archive(stream) as archive:
            names = [name.split("/") for name in archive.namelist()]
    except (NotImplementedError, *DAMAGED) as error:
        raise CheckFailed(f"the zip cannot be read ({error}).") from None
    found = sorted({folder for folder, *inside in names if folder.endswith(".gdb") and inside})
    if len(found) != 1:
        raise CheckFailed(f"the zip holds {len(found)} geodatabases instead of one.")
    if [found[0], CATALOG] not in names:
        # GDAL would look for something else that it can open, and there are formats that lead it out of the zip.
        raise CheckFailed(f"the geodatabase {found[0]} in the zip has no {CATALOG}.")
    return f"/vsizip/{{{path}}}/{found[0]}"


def layer_counts(geodatabase: str | Path) -> dict[str, tuple[int, int]]:
    """Layer → (rows, attachments) of a geodatabase; tables of attachments are layers too.

    Raises
    ------
    pyogrio.errors.DataSourceError
        It cannot be opened. Final.
    """
    names = [str(name) for name, _geometry in pyogrio.list_layers(geodatabase)]
    rows = {name: int(pyogrio.read_info(geodatabase, layer=name)["features"]) for name in names}
    return {name: (count, rows.get(f"{name}__ATTACH", 0)) for name, count in rows.items()}


def _matching(geodatabase: str, names: Sequence[str], layer: ServiceLayer, served: ServedRows, *, is_view: bool) -> str:
    """The one of `names` that holds the rows of `layer`; one with its name is looked at first.

    Rows without GlobalIDs, and no rows at all, say nothing of where they came from: there the name must fit too.
    """
    best = ""
    for name in sorted(names, key=lambda name: _letters(name) != _letters(layer.name)):
        is_namesake = _letters(name) == _letters(layer.name)
        facts = pyogrio.read_info(geodatabase, layer=name)
        rows = found = int(facts["features"])
        fields = {str(field).casefold(): str(field) for field in facts["fields"]}
        fits = rows >= served.count if is_view else rows == served.count
        column = fields.get((layer.global_id_field or "").casefold())
        if column and served.count:
            found = count_common(served.keys, _keys(geodatabase, name, column))
            if fits and found == served.count:
                return name
        elif fits and is_namesake and not (layer.global_id_field and served.count) and layer.fields <= set(fields):
            return name
        if not best:
            best = f"{found:,} of {served.count:,} rows are in the geodatabase's layer {name!r}, which has {rows:,}"
    raise CheckFailed(f"layer {layer.name!r}: {best or 'the geodatabase has no layer for it'}.")


def prove_attachments(
    geodatabase: str,
    names: list[str],
    name: str,
    layer: ServiceLayer,
    service: FeatureService,
    served: Mapping[int, str],
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


def _keys(geodatabase: str, layer: str, column: str) -> array[int]:
    """A `key_of` each GlobalID of a geodatabase's layer, in order."""
    keys: list[int] = []
    for batch in _batches(geodatabase, layer, [column], batch=IDS_AT_ONCE):
        keys += (key_of(plain_id(value)) for value in batch.column(column).to_pylist())
    return array("q", sorted(keys))


def key_of(global_id: str) -> int:
    """Eight bytes of a hash that stand for an id: so the ids of a million rows are compared in little memory."""
    return int.from_bytes(hashlib.blake2b(global_id.encode(), digest_size=8).digest(), signed=True)


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
