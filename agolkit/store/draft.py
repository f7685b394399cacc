"""A backup while it is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agolkit.errors import StoreError
from agolkit.layout import OWN_NAMES
from agolkit.model import Blob, to_stamp
from agolkit.store.seal import sealed
from agolkit.store.spool import Spool, copy_hashed
from agolkit.store.version import FORMAT

if TYPE_CHECKING:
    from agolkit.store.base import Store


_BEGINNING = ("started", "scope", "label", "agolkit", "full", "since_full", "options", "forgotten", "forgetting")
"""What `backup.json` says of how a backup began, and of what was removed from it since."""


class Draft:
    """The folder of one backup, open for writing. Begun by `Store.begin` or `Store.resume`; safe in threads.

    `Draft(store, name)` opens a finished backup to put a file beside the others, such as the executed notebook.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        facts: Mapping[str, Any] | None = None,
        *,
        tree: Literal["links", "copy", "none"] = "none",
    ) -> None:
        self.store = store
        self.name = name
        self.facts = dict(facts or {})
        """How it began: `started`, `scope`, `label`, `agolkit`, `options`; and when it was `resumed`."""
        self.tree = tree
        """What the tree is made of: `links`, `copy` or `none`."""
        self.files: dict[str, Blob] = {}
        """What was written beside the tree, the journal and the log's segments, by path; `backup.json` lists it."""

    @property
    def location(self) -> str:
        """Where the backup stands, for people."""
        return f"{self.store.location}/backups/{self.name}"

    def write(self, path: str, content: bytes) -> None:
        """Write a file of the backup, whole and durably, replacing one of that name."""
        with Spool(in_memory=len(content)) as spool:
            spool.write(content)
            self._keep(path, spool)

    def write_pieces(self, path: str, pieces: Iterable[bytes]) -> None:
        """Write a file of the backup as `write` does, of pieces that need not fit into memory together."""
        with Spool() as spool:
            for piece in pieces:
                spool.write(piece)
            self._keep(path, spool)

    def put_file(self, path: str, source: Path) -> None:
        """Copy a file from elsewhere into the backup, whole and durably."""
        with Spool() as spool, source.open("rb") as stream:
            copy_hashed(stream, spool)
            self._keep(path, spool)

    def link(self, tree_path: str, blob: Blob) -> None:
        """Show a blob in the tree under `tree_path` (see `layout.tree_path`): as a link, as a copy, or not at all."""
        key = f"backups/{self.name}/{tree_path}"
        try:
            if self.tree == "links":
                self.store.link(blob.sha256, key)
            elif self.tree == "copy":
                with self.store.copied(blob.sha256) as spool:
                    self.store.keep(key, spool, read_only=True)
        except FileNotFoundError as error:
            raise StoreError(f"Blob {blob.sha256} is not in the store {self.store.location}.") from error

    def flush(self) -> None:
        """Return when every blob and link made so far survives a power cut.

        Saving a blob flushes its content, in the thread that saves it, but not the folder that holds its name: after a
        power cut a blob is whole or is not there. That is enough until something refers to it, so the folders (256 at
        most) are flushed once for many blobs: here, before a segment of the journal or the manifest is written.
        """
        self.store.flush()

    def _keep(self, path: str, spool: Spool) -> None:
        self.store.keep(f"backups/{self.name}/{path}", spool)
        self.store.flush()
        if not path.startswith(("journal/", "log/")):
            self.files[path] = Blob(spool.sha256, spool.size)


def reopened(store: Store, backup: str, resumed: datetime, label: str) -> dict[str, Any]:
    """How an unfinished or stopped backup began, after it was made ready to be written to again."""
    found = store.summary(backup)
    facts: dict[str, Any] = {key: found[key] for key in _BEGINNING if key in found}
    facts |= {"label": label or facts["label"], "resumed": to_stamp(resumed)}
    # From here on the manifest of a stopped run, which is about to be replaced, does not count any more.
    store.put(
        f"backups/{backup}/backup.json", sealed({"format": FORMAT, "name": backup, "state": "unfinished", **facts})
    )
    for name in store.names(f"backups/{backup}"):
        if name.casefold() not in OWN_NAMES:
            store.clear(f"backups/{backup}/{name}")
    return facts
