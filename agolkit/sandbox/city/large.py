"""Layers and photographs of any size, made when they are asked for: what benchmarks back up."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

from agolkit.sandbox.city.features import CENTER, WEB_MERCATOR, Json, field
from agolkit.sandbox.city.ids import DAY, FIRST_STAMP, LAST_STAMP
from agolkit.sandbox.organization import Attachment, Layer, Payload
from agolkit.sandbox.sorted_rows import SortedRows

_PIECE = 1 << 20
_JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x48\x00\x48\x00\x00"
_KINDS = ("HYDRANT", "VALVE", "METER", "MANHOLE", "Über/Druck", "消火栓")
_YEARS = (LAST_STAMP - FIRST_STAMP) // 1000
_STEP = 10.0
"""Meters between two points of the grid."""


@dataclass(frozen=True)
class Photo:
    """A payload that begins like a JPEG and cannot be compressed."""

    seed: int
    size: int

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes from `start` on; each piece is the hash of its number."""
        for number in range(start // _PIECE, math.ceil(self.size / _PIECE)):
            begin = number * _PIECE
            piece = hashlib.shake_128(f"{self.seed}/{number}".encode()).digest(min(_PIECE, self.size - begin))
            if number == 0:
                piece = (_JPEG + piece[len(_JPEG) :])[: self.size]
            yield piece[max(0, start - begin) :]


def photo(seed: int, size: int) -> Payload:
    """A photograph of `size` bytes, another one for each seed, that takes no memory."""
    return Photo(seed, size)


def large_layer(
    layer_id: int, name: str, rows: int, *, attachments_per_row: int = 0, photo_bytes: int = 200_000
) -> Layer:
    """A point layer with `rows` rows and photographs; neither rows nor photographs are held in memory.

    Object ids are odd numbers, so there is a gap between any two. Points stand on a grid. Without photographs the layer
    has no attachments at all.
    """
    west, south = CENTER[WEB_MERCATOR]
    width = math.isqrt(max(0, rows - 1)) + 1

    def make(object_id: int) -> Json:
        at = object_id // 2
        draw = (object_id * 2_654_435_761 >> 4) % 2**32
        attributes = {
            "OBJECTID": object_id,
            "GlobalID": _global_id(layer_id, object_id),
            "Name": f"{name} {object_id}",
            "Kind": _KINDS[draw % len(_KINDS)],
            "Amount": draw % 500,
            "Height": draw / 7,
            "Checked": FIRST_STAMP + draw % _YEARS * 1000,
            "Remarks": None if draw % 3 else f"Seen on round {draw % 90}; nothing to report.",
        }
        return {
            "attributes": attributes,
            "geometry": {"x": west + at % width * _STEP, "y": south + at // width * _STEP},
        }

    object_ids = range(1, 2 * rows, 2)
    attachments = {
        object_id: [
            Attachment(
                at * attachments_per_row + nth,
                f"photo{nth}.jpg",
                "image/jpeg",
                photo((layer_id << 40) + (object_id << 8) + nth, photo_bytes),
                _global_id(layer_id, object_id, nth),
            )
            for nth in range(1, attachments_per_row + 1)
        ]
        for at, object_id in enumerate(object_ids if attachments_per_row else ())
    }
    return Layer(
        id=layer_id,
        name=name,
        fields=[
            field("OBJECTID", "OID", "OBJECTID"),
            field("GlobalID", "GlobalID", "GlobalID"),
            field("Name", length=120),
            field("Kind", length=20),
            field("Amount", "Integer"),
            field("Height", "Double"),
            field("Checked", "Date"),
            field("Remarks"),
        ],
        features=SortedRows(object_ids, make),
        geometry_type="esriGeometryPoint",
        wkid=WEB_MERCATOR,
        attachments=attachments if attachments_per_row else None,
        last_edit=LAST_STAMP,
        schema_last_edit=FIRST_STAMP + DAY,
        extent={
            "xmin": west,
            "ymin": south,
            "xmax": west + (width - 1) * _STEP,
            "ymax": south + (width - 1) * _STEP,
            "spatialReference": {"wkid": WEB_MERCATOR, "latestWkid": 3857},
        },
    )


def _global_id(layer_id: int, object_id: int, nth: int = 0) -> str:
    """Cheap, unlike the hashes of the other cities: a million of them are made on every pass."""
    return f"{{{layer_id:08X}-{nth:04X}-4000-8000-{object_id:012X}}}"
