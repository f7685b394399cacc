"""One verification on its way: what was looked at so far, and what is damaged."""

from __future__ import annotations

import hashlib

from agolkit.model import Blob, Item
from agolkit.store.base import Store
from agolkit.store.blobs import blob_key
from agolkit.verify.near import Near
from agolkit.verify.report import Damage


class Inspection:
    """Looks at files of a store, each blob once, and collects damages. It keeps no content."""

    def __init__(self, store: Store, backup: str, *, deep: bool) -> None:
        self.store = store
        self.backup = backup
        self.deep = deep
        self.damages: list[Damage] = []
        self.sizes: dict[str, int] = {}
        """Bytes of everything that is there, by key."""
        self.frozen: dict[str, int] = {}
        """Bytes of the blobs that cannot be read before a thaw, by their hash."""
        self.near = Near(store)
        self._blobs: dict[str, str] = {}

    def add(self, path: str, what: str, item: Item | None = None) -> None:
        """Note a damage; of an item, where it is not a file of the backup itself."""
        item_id, title = (item.id, item.title) if item else ("", "")
        self.damages.append(Damage(item_id=item_id, title=title, path=path, what=what))

    def key(self, path: str) -> str:
        """The key of a file in the backup's folder."""
        return f"backups/{self.backup}/{path}"

    def blob_trouble(self, blob: Blob) -> str:
        """What is wrong with a blob; empty where nothing is."""
        if blob.sha256 not in self._blobs:
            found = self.store.blob_size(blob.sha256)
            self._blobs[blob.sha256] = self._trouble(blob_key(blob.sha256), blob, found)
        return self._blobs[blob.sha256]

    def trouble(self, key: str, wanted: Blob) -> str:
        """What is wrong with the content of a key; empty where nothing is."""
        return self._trouble(key, wanted, self.store.size(key))

    def _trouble(self, key: str, wanted: Blob, found: int | None) -> str:
        if found is None:
            return "it is missing"
        self.sizes[key] = found
        if found != wanted.size:
            return f"it has {found:,} bytes instead of {wanted.size:,}"
        try:
            changed = self.deep and wanted.sha256 not in self.frozen and self._hash(key) != wanted.sha256
        except OSError as error:
            return f"it cannot be read ({error.strerror}); the disk may be failing"
        return "its content was changed" if changed else ""

    def _hash(self, key: str) -> str:
        sha256 = key.rpartition("/")[2]
        if key == blob_key(sha256) and self.near.holds(sha256):
            return sha256
        with self.store.open(key) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]  # IO[bytes] has readinto
