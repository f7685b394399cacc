"""One item being saved: what it works with, what it has kept so far, and the verdict at the end."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agolkit.errors import AgolkitError, CheckFailed, JobFailed, PortalError, SignInError, Stopped, StoreError
from agolkit.kinds.earlier import EarlierBackups
from agolkit.kinds.exports import ExportLedger
from agolkit.kinds.under_way import UnderWay
from agolkit.model import PAYLOADS, Item, Outcome, Part, Reach, Result, shown
from agolkit.options import BackupOptions
from agolkit.portal import Portal
from agolkit.progress import TimedOut
from agolkit.retry import with_retries
from agolkit.store import Spool, Store
from agolkit.trace import step_of, tell_part

log = logging.getLogger(__name__)

MOST_SAID = 10
"""Missing parts that a message names one by one."""


class ByteCount:
    """A number of bytes that many threads add to."""

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        with self._lock:
            self.total += size


@dataclass(frozen=True)
class RunContext:
    """What every job of a run shares. Safe to use from many threads."""

    portal: Portal
    store: Store
    options: BackupOptions
    exports: ExportLedger
    scratch: Path
    group_titles: Mapping[str, str]
    earlier: EarlierBackups
    under_way: UnderWay
    in_scope: Set[str] = frozenset()
    """Ids of the items that this run saves."""
    shared: Mapping[str, Set[str]] = field(default_factory=dict)
    """Ids of the items that each group has, of the groups whose content could be read."""
    new_bytes: ByteCount = field(default_factory=ByteCount)
    """What the store did not hold before."""
    reused_bytes: ByteCount = field(default_factory=ByteCount)
    """What was taken from an earlier run instead of the portal."""
    in_work: dict[str, Saving] = field(default_factory=dict)
    """Items that are being saved, by id: what there is of an item whose time ran out."""

    def spool(self) -> Spool:
        return Spool(self.scratch)


class Saving:
    """Collects the parts of one item and what is missing; `outcome` draws the conclusion."""

    def __init__(self, context: RunContext, item: Item) -> None:
        self.context = context
        self.item = item
        self.portal = context.portal
        self.parts: list[Part] = []
        self.missing: list[str] = []
        self.notes: list[str] = []
        """What an administrator should know of an item although nothing is missing."""
        self.left_out: list[str] = []
        self.groups: tuple[str, ...] = ()
        self.resources: Mapping[str, int] | None = None
        """The resources that the portal lists, with the sizes that it states; `None` until the list is had."""
        self.described = "The portal holds no data for this item."
        """Why there is nothing to save but a description, where that turns out to be so."""
        self.lives_elsewhere = False
        """The data is somebody else's; what is saved of it here does not make the item `verified`."""
        self.stamps: dict[str, Any] = {}
        """The fingerprint: what the portal said when this was saved, so that it can be compared the next time."""
        self.is_whole_as_defined = False
        """There is nothing to save but the definition, as of a view whose rows are saved with their source."""
        self.observed = datetime.now(UTC)

    def part(self, name: str, save: Callable[[], None]) -> None:
        """Run `save` for one part and note it as missing where it cannot be had; the other parts go on."""
        trouble = self.attempt(name, save)
        if trouble:
            self.missing.append(trouble)

    def attempt(self, name: str, save: Callable[[], None], *, is_one_of_many: bool = False) -> str:
        """Run `save` for one part; a sentence where it cannot be had, else nothing.

        The log hears of each that saved something, failed or took several attempts; of those that there may be
        thousands of (`is_one_of_many`) it does not hear that they were saved.

        What was received but did not pass its check is asked for again, as are failed jobs on the server; single
        requests have been tried again already.
        """
        began, before = time.monotonic(), len(self.parts)
        trouble = "it was not finished, because the run or the time of this item ended"
        try:
            with step_of(name) as step:
                trouble = self._attempted(name, save)
        finally:
            saved = 0 if is_one_of_many else sum(part.blob.size for part in self.parts[before:])
            if trouble or saved or step.attempts > 1:
                result, seconds = "missing" if trouble else "saved", round(time.monotonic() - began, 3)
                tell_part(step, name, saved, seconds=seconds, result=result, message=trouble)
        return trouble

    def _attempted(self, name: str, save: Callable[[], None]) -> str:
        attempts = self.context.options.attempts
        try:
            with_retries(save, attempts=attempts, on=(CheckFailed, JobFailed), sleep=self.portal.sleep)
        except (TimedOut, Stopped, SignInError, StoreError):
            raise
        except AgolkitError as error:
            return f"{name}: {in_words(error)}"
        except Exception as error:  # a defect of ours must cost one part, and not all that was saved of the item
            log.exception("Unexpected error at %s of item %s", name, self.item.id)
            return f"{name}: agolkit itself failed ({type(error).__name__}: {error}); please report it"
        return ""

    def keep(
        self, name: str, spool: Spool, path: str, reach: Reach, proof: str = "", *, exact_name: str | None = None
    ) -> None:
        """Put a checked part into the store. `path` is safe; `exact_name` is the portal's where that one is not."""
        self.parts.append(self.stored(name, spool, path, reach, proof, exact_name))

    def stored(
        self, name: str, spool: Spool, path: str, reach: Reach, proof: str = "", exact_name: str | None = None
    ) -> Part:
        """A part, put into the store without being one of the item's own."""
        blob, is_new = self.context.store.add_blob(spool)
        if is_new:
            self.context.new_bytes.add(blob.size)
        return Part(name, path, blob, reach, proof, exact_name)

    def keep_json(self, name: str, path: str, value: Any, proof: str = "") -> None:
        """Put what is not kept as it was received, such as what several answers told, into one JSON file."""
        with self.context.spool() as spool:
            spool.write(shown(json.dumps(value, ensure_ascii=False, indent=1)).encode())
            self.keep(name, spool, path, Reach.PARSED, proof)

    def outcome(self, *, kind: str, attempts: int, seconds: float) -> Outcome:
        """The verdict, exactly as the words define it."""
        if self.parts and not any(part.name == "item" for part in self.parts):
            self.keep_json("item", "item.json", self.item.raw)  # as it was listed: better than none
        contents = (*PAYLOADS, "definition") if self.is_whole_as_defined else PAYLOADS
        has_payload = any(part.name in contents for part in self.parts) and not self.lives_elsewhere
        said = [*self.missing, *self.notes]
        message = "; ".join(said[:MOST_SAID])
        if len(said) > MOST_SAID:
            message += f"; and {len(said) - MOST_SAID:,} more"
        if not self.parts:
            result = Result.FAILED
        elif self.missing:
            result = Result.PARTIAL
        elif has_payload:
            result = Result.VERIFIED
        else:
            result = Result.DESCRIBED
            message = "; ".join([self.described, *self.notes])
        return Outcome(
            item=self.item,
            result=result,
            observed=self.observed,
            kind=kind,
            parts=tuple(self.parts),
            groups=self.groups,
            how="fetched" if self.parts else "",
            left_out=tuple(self.left_out),
            attempts=attempts,
            seconds=seconds,
            message=message,
            fingerprint=self.stamps if result in (Result.VERIFIED, Result.DESCRIBED) else {},
        )


def in_words(error: Exception) -> str:
    """What went wrong with a part, in the portal's words where it gave some: the address that failed says nothing."""
    if isinstance(error, PortalError) and error.words:
        return f"the portal says: {error.words}"
    return str(error)
