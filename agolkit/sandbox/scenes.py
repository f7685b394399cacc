"""Hosted scenes: their layer, and the package that an export makes of it.

Source: Esri's "Indexed 3d Scene Layer (I3S) and Scene Layer Package Format Specification". One node, without textures.
"""

from __future__ import annotations

import gzip
import json
import struct
import zipfile
import zlib
from pathlib import Path

from agolkit.sandbox.answers import Json
from agolkit.sandbox.organization import Service

_CORNERS = (0.0, 0.0, 0.0, 20.0, 0.0, 0.0, 0.0, 20.0, 15.0)


def _extent(service: Service) -> list[float]:
    """Some place of its own for each scene."""
    west, south = (zlib.crc32(f"{axis} {service.item_id}".encode()) % 16_000 / 100 - 80 for axis in "xy")
    return [west, south, west + 0.02, south + 0.02]


def describe_scene_layer(service: Service) -> Json:
    """Return the one layer of a scene service."""
    return {
        "id": 0,
        "layerType": "3DObject",
        "name": service.name,
        "version": "A1B2C3D4-0000-4000-8000-000000000000",
        "capabilities": service.capabilities.split(","),
        "spatialReference": {"wkid": 4326, "latestWkid": 4326},
        "store": {
            "id": f"store {service.item_id}",
            "profile": "meshpyramids",
            "version": "1.7",
            "extent": _extent(service),
            "rootNode": "./nodes/root",
        },
        "nodePages": {"nodesPerPage": 64, "lodSelectionMetricType": "maxScreenThresholdSQ"},
    }


def node_page(service: Service) -> Json:
    """Return the first page of nodes."""
    west, south, east, north = _extent(service)
    center = [(west + east) / 2, (south + north) / 2, 8.0]
    box = {"center": center, "halfSize": [10.0, 10.0, 8.0], "quaternion": [0.0, 0.0, 0.0, 1.0]}
    geometry = {"definition": 0, "resource": 0, "vertexCount": len(_CORNERS) // 3}
    return {"nodes": [{"index": 0, "obb": box, "mesh": {"geometry": geometry}, "name": service.name}]}


def geometry() -> bytes:
    """Return the geometry of the node: a number of vertices, a number of features, and the vertices."""
    return struct.pack(f"<II{len(_CORNERS)}f", len(_CORNERS) // 3, 0, *_CORNERS)


def write_scene_package(path: Path, service: Service) -> None:
    """Write the scene as a package: a zip that is not compressed, of parts that are."""
    layer = describe_scene_layer(service)
    parts = {
        "3dSceneLayer.json.gz": json.dumps(layer).encode(),
        "nodepages/0.json.gz": json.dumps(node_page(service)).encode(),
        "nodes/0/geometries/0.bin.gz": geometry(),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(name, gzip.compress(content, mtime=0))
        archive.writestr("metadata.json", json.dumps({"I3SVersion": "1.7", "nodeCount": 1, "folderPattern": "BASIC"}))
