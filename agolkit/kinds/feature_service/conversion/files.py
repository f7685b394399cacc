"""Saved layers as a file that ArcGIS Pro, QGIS or pandas opens: a File Geodatabase, a GeoPackage, or GeoParquet.

Rows stream through in batches, so memory does not grow with the layer. What was written is opened again and compared:
the ids of all rows, the ids and the bytes of all attachments.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio

from agolkit.errors import CheckFailed
from agolkit.kinds.archive import DAMAGED, open_archive
from agolkit.kinds.feature_service.conversion import geopackage
from agolkit.kinds.feature_service.conversion.schema import plain_name, unique_names
from agolkit.kinds.feature_service.conversion.tables import SavedLayers, Table, open_table
from agolkit.kinds.feature_service.conversion.writing import Watch, data_bytes_in, in_order, write_layer, write_parquet
from agolkit.kinds.feature_service.definition import GEODATABASE
from agolkit.kinds.feature_service.geodatabase import ATTACHMENTS_AT_ONCE, IDS_AT_ONCE, layer_counts
from agolkit.layout import allowed
from agolkit.model import Outcome, counted
from agolkit.store import Store
from agolkit.store.spool import CHUNK

Format = Literal["gdb", "gpkg", "parquet"]
FORMATS: tuple[Format, ...] = ("gdb", "gpkg", "parquet")


@dataclass(slots=True)
class Converted:
    """What was made of the layers of one item."""

    layers: int = 0
    rows: int = 0
    attachments: int = 0
    notes: list[str] = field(default_factory=list)
    """What the format could not take as it was."""
    replaced: frozenset[str] = frozenset()
    """Paths of the item's parts whose content is in the new files."""


def convert(store: Store, outcome: Outcome, format: Format, folder: Path) -> Converted | None:
    """Write the saved layers of an item into `folder`; `None` where it has none.

    `layers.gdb`, `layers.gpkg`, or a file `<layer name>~<id>.parquet` for each layer. Attachments become tables
    `<layer>__ATTACH`; those that are saved as files stay files beside Parquet. For `gdb` a saved geodatabase is taken
    as it is, with its domains and relationship classes; for the other formats saved rows come first.

    Raises
    ------
    CheckFailed
        What was saved cannot be written in this format, or what was written is not what was saved. Trying again does
        not help.
    StoreDamaged
        A file of the store is missing or was changed.
    """
    saved = SavedLayers(store, outcome)
    if not saved.ids:
        return None
    conversion = _Conversion(saved, format, folder)
    try:
        if format == "gdb" and saved.in_geodatabase:
            conversion.unpack()
        else:
            conversion.write()
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pa.ArrowException) as error:
        raise CheckFailed(f"GDAL cannot convert it ({error}).") from error
    except (ValueError, RecursionError) as error:
        raise CheckFailed(f"the saved layers cannot be read ({error}).") from error
    except OSError as error:
        if error.errno is not None:  # the disk has one; a stream of Arrow that breaks off has none
            raise
        raise CheckFailed(f"the saved layers cannot be read ({error}).") from error
    except (NotImplementedError, RuntimeError, *DAMAGED) as error:
        raise CheckFailed(f"the saved geodatabase cannot be unpacked ({error}).") from error
    done = conversion.done
    done.layers = len(saved.ids)
    done.replaced = frozenset(path for path in saved.parts if conversion.replaces(path))
    return done


class _Conversion:
    """The layers of one item on their way into one format."""

    def __init__(self, saved: SavedLayers, format: Format, folder: Path) -> None:
        self.saved = saved
        self.format = format
        self.folder = folder
        self.done = Converted()
        self.written: dict[str, Table] = {}
        self.attached: set[int] = set()
        """Layers whose attachments are in a table of the new file."""

    def replaces(self, path: str) -> bool:
        """Whether the content of a part of the item is in the new files."""
        of_attached = tuple(f"attachments/{layer}{mark}" for layer in self.attached for mark in "/.")
        return path == GEODATABASE or path.startswith(("rows/", *of_attached))

    def unpack(self) -> None:
        """The saved geodatabase, as it is."""
        with (
            self.saved.copied(GEODATABASE, self.folder) as spool,
            spool.open() as stream,
            open_archive(stream) as archive,
        ):
            path = self.folder / "layers.gdb"
            path.mkdir()
            for member in archive.infolist():
                outer, _, inside = member.filename.partition("/")
                if outer.endswith(".gdb") and "/" not in inside and allowed(inside):
                    with archive.open(member) as packed, (path / inside).open("wb") as file:
                        shutil.copyfileobj(packed, file, CHUNK)
        held = layer_counts(path)
        for layer, name in self.saved.in_geodatabase.items():
            if name not in held:
                raise CheckFailed(f"the geodatabase has no layer {name!r}.")
            rows, attachments = held[name]
            self.done.rows += rows
            self.done.attachments += attachments
            if f"{name}__ATTACH" in held:
                self.attached.add(layer)

    def write(self) -> None:
        """Every layer with its attachments, from saved rows where there are some, else from the geodatabase."""
        ids = self.saved.ids
        titles = [self.saved.name(layer) for layer in ids]
        names = unique_names(titles, plain=True, taken=[f"{plain_name(title)}__ATTACH" for title in titles])
        with ExitStack() as stack:
            geodatabase = ""
            tables: set[str] = set()
            if set(ids) - self.saved.in_rows.keys():
                geodatabase = stack.enter_context(self.saved.geodatabase(self.folder))
                tables = {str(name) for name, _ in pyogrio.list_layers(geodatabase)}
            for layer, name in zip(ids, names, strict=True):
                if layer in self.saved.in_rows:
                    self._write_rows(layer, name)
                    continue
                with self.saved.geodatabase_rows(geodatabase, layer) as table:
                    self._write_table(table, layer, name)
                attached = f"{self.saved.in_geodatabase[layer]}__ATTACH"
                if attached in tables:
                    with open_table(geodatabase, attached, at_once=ATTACHMENTS_AT_ONCE) as table:
                        self._write_attachments(table, layer, f"{name}__ATTACH")
        if self.format == "gpkg":
            geopackage.finish(self.folder / "layers.gpkg", self.written)

    def _write_rows(self, layer: int, name: str) -> None:
        for_geodatabase = self.format == "gdb"
        parents = {fact["parentObjectId"] for fact in self.saved.listed_attachments(layer)}
        with self.saved.rows(
            layer, scratch=self.folder, for_geodatabase=for_geodatabase, keep_arcs=self.format != "parquet"
        ) as table:
            global_ids: dict[int, str] = {}
            global_id = next((each for each, kind in table.types.items() if kind == "GlobalID"), None)
            if parents and global_id:
                table.batches = _noting(table.batches, (table.object_id, global_id), parents, global_ids)
            rows = self._write_table(table, layer, name)
            expected = self.saved.in_rows[layer].get("rows", rows)
            if rows != expected:
                raise CheckFailed(f"layer {self.saved.name(layer)!r}: {rows:,} of {expected:,} rows are saved.")
        if parents and self.format != "parquet":
            attachments = self.saved.attachments(
                layer, global_ids, scratch=self.folder, for_geodatabase=for_geodatabase
            )
            self._write_attachments(attachments, layer, f"{name}__ATTACH")

    def _write_table(self, table: Table, layer: int, name: str) -> int:
        """Write a layer and compare what was written; the number of its rows."""
        title = self.saved.name(layer)
        watch = Watch(table, for_gdal=self.format != "parquet")
        self._write(table, watch, layer, name, title)
        written = self._ids(layer, name, table.object_id)
        if not written.equals(watch.ids()):
            raise CheckFailed(f"layer {title!r}: {len(written):,} of {len(watch.ids()):,} rows came into the file.")
        table.has_curves = watch.has_curves
        self.written[name] = table
        self._note(table, watch, title)
        self.done.rows += len(written)
        return len(written)

    def _note(self, table: Table, watch: Watch, title: str) -> None:
        if table.geometry_type and table.crs is None:
            self.done.notes.append(f"layer {title!r}: its spatial reference is unknown to GDAL, and not in the file")
        if straightened := watch.straightened + (table.encoder.straightened if table.encoder else 0):
            self.done.notes.append(f"layer {title!r}: curves of {counted(straightened, 'row')} became fine lines")
        if table.encoder and self.format == "gdb" and table.encoder.replaced:
            rows = counted(table.encoder.replaced, "row")
            self.done.notes.append(f"layer {title!r}: heights or measures that are not set are 0 in {rows}")

    def _write_attachments(self, table: Table, layer: int, name: str) -> None:
        watch = Watch(table)
        self._write(table, watch, layer, name, "")
        written = self._ids(layer, name, table.object_id)
        size = sum(self._read(layer, name, ["DATA"], ATTACHMENTS_AT_ONCE, data_bytes_in))
        if not written.equals(watch.ids()) or size != watch.data_bytes:
            raise CheckFailed(
                f"{name}: {len(written):,} of {len(watch.ids()):,} attachments with {size:,} of {watch.data_bytes:,} "
                "bytes came into the file."
            )
        self.done.attachments += len(written)
        self.attached.add(layer)

    def _path(self, layer: int, name: str) -> Path:
        return self.folder / (f"{name}~{layer}.parquet" if self.format == "parquet" else f"layers.{self.format}")

    def _write(self, table: Table, watch: Watch, layer: int, name: str, title: str) -> None:
        path = self._path(layer, name)
        try:
            if self.format == "parquet":
                write_parquet(path, table, watch)
            else:
                write_layer(path, table, watch, name, title)
        except Exception:
            if watch.trouble:  # what went wrong while rows were read; the writer only knows that no more came
                raise watch.trouble from None
            raise

    def _ids(self, layer: int, name: str, column: str) -> pa.Array:
        """The ids in the file, in order."""
        found = list(self._read(layer, name, [column], IDS_AT_ONCE, lambda batch: batch.column(0).cast(pa.int64())))
        return in_order(found)

    def _read(
        self, layer: int, name: str, columns: list[str], at_once: int, what: Callable[[pa.RecordBatch], pa.Array | int]
    ) -> Iterator[pa.Array | int]:
        path = self._path(layer, name)
        if self.format == "parquet":
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=at_once, columns=columns):
                    yield what(batch)
            return
        only_ids = columns != ["DATA"]
        with pyogrio.open_arrow(
            path,
            layer=name,
            columns=[] if only_ids else columns,
            read_geometry=False,
            return_fids=only_ids,
            batch_size=at_once,
        ) as (_, stream):
            for batch in pa.RecordBatchReader.from_stream(stream):
                yield what(batch)


def _noting(
    batches: Iterator[pa.RecordBatch], columns: tuple[str, str], parents: set[int], global_ids: dict[int, str]
) -> Iterator[pa.RecordBatch]:
    """Pass batches on, and note the GlobalIDs of the rows that have attachments; `columns` hold the two ids."""
    for batch in batches:
        pairs = zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
        global_ids.update((row, found) for row, found in pairs if row in parents)
        yield batch
