"""`log.jsonl`: what a run did, one event a line; written while it works, so that a killed run has its log too."""

from __future__ import annotations

import gzip
import json
import logging
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from agolkit.progress import Event, Progress
from agolkit.store.draft import Draft

log = logging.getLogger(__name__)

LOG = "log.jsonl"
"""Its name in a backup."""
SEGMENTS = "log"
"""The folder of its segments: no store has to append to a file."""

SEGMENT_SECONDS = 10.0
SEGMENT_BYTES = 1_000_000


class RunLog:
    """Keeps what a run tells, and passes its news on to whoever listens; a listener cannot break a run.

    It is the `progress` of what a run calls, and the listener of `trace.telling`. Safe in threads. Lines wait in memory
    until `tick` writes them, some seconds or a megabyte later: as a segment, compressed, beside the journal.
    """

    def __init__(self, listener: Progress | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._listener = listener
        self._clock = clock
        self._lock = threading.Lock()
        self._stage = "inventory"
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._draft: Draft | None = None
        self._segment = 0
        self._due = 0.0

    def __call__(self, event: Event) -> None:
        """Keep a piece of news, and pass it on."""
        self._stage = event.stage
        if event.text:
            log.info(event.text)
            self.hear({"event": "said", "text": event.text})
        if event.outcome is not None:
            self.hear(
                {
                    "event": "item",
                    "item_id": event.outcome.item.id,
                    "result": event.outcome.result,
                    "attempt": event.outcome.attempts,
                    "seconds": round(event.outcome.seconds, 3),
                    "bytes": event.outcome.saved_bytes,
                    "message": event.outcome.message,
                }
            )
        if self._listener is not None:
            try:
                self._listener(event)
            except Exception:  # somebody else's code: a form that was closed must not end the run
                log.warning("The progress callback failed.", exc_info=True)

    def hear(self, facts: Mapping[str, Any]) -> None:
        """Keep what a step has told."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = json.dumps({"time": now, "stage": self._stage, **facts}, ensure_ascii=False) + "\n"
        with self._lock:
            self._waiting.append(line.encode(errors="backslashreplace"))
            self._bytes += len(line)

    def keep_in(self, draft: Draft) -> None:
        """Write to this backup from now on, after what an interrupted run has written there."""
        self._draft = draft
        self._segment = len(draft.store.names(f"backups/{draft.name}/{SEGMENTS}"))
        self._due = self._clock() + SEGMENT_SECONDS

    def tick(self) -> None:
        """Write what has waited for 10 seconds, or has become much. Call it now and then, from one thread."""
        if self._clock() >= self._due or self._bytes >= SEGMENT_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            lines, self._waiting, self._bytes = self._waiting, [], 0
        if lines and self._draft is not None:
            content = gzip.compress(b"".join(lines), compresslevel=6, mtime=0)
            self._draft.write(f"{SEGMENTS}/{self._segment:06}.jsonl.gz", content)
            self._segment += 1
        self._due = self._clock() + SEGMENT_SECONDS

    def finish(self, draft: Draft) -> None:
        """Write `log.jsonl`: all segments, those of an interrupted run first. Nothing is kept after that."""
        self.flush()
        draft.write_pieces(LOG, _pieces(draft))


def _pieces(draft: Draft) -> Iterator[bytes]:
    """The content of each segment. One that cannot be read is left out: a log must not cost a backup."""
    for name in draft.store.names(f"backups/{draft.name}/{SEGMENTS}"):
        try:
            yield gzip.decompress(draft.store.get(f"backups/{draft.name}/{SEGMENTS}/{name}"))
        except (OSError, EOFError, zlib.error):
            log.warning("The segment %s of the log of the backup %s cannot be read; it is left out.", name, draft.name)
