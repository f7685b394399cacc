"""A store copied to another one: only what is missing there, every byte of it checked on its way."""

from __future__ import annotations

import shlex
import tempfile
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agolkit.copying.copied import Copied
from agolkit.copying.own_files import complete_tree, copy_added, copy_files
from agolkit.copying.steps import Step, find_steps, forgotten_items
from agolkit.copying.zips import copy_zip, holds_forgotten, zips_left, zips_to_copy
from agolkit.errors import Archived, NoSuchBackup, StoreBusy, StoreDamaged, StoreError, UsageError
from agolkit.manifest import read_outcomes
from agolkit.model import Blob, counted, in_bytes
from agolkit.store import Lease, Store
from agolkit.store.blobs import blob_key
from agolkit.store.holder import user_name

if TYPE_CHECKING:
    import pandas

__all__ = ["Copied", "copy", "plan_copy"]

THREADS = 8
BATCH = 64
"""Files that are on their way until the leases are looked at again."""
CHECK_SECONDS = 30.0
FROZEN = "it lies in an archive"


def plan_copy(source: Store, target: Store, backups: Collection[str] = ()) -> pandas.DataFrame:
    """What `copy` would do: one row per backup, oldest first. Changes nothing.

    Columns: `name`, `state`, `action`, `reason`, `blobs` and `bytes` (`Int64`: what it needs and the target lacks, each
    counted with the first backup that needs it). The action is `copy`, `replace` (the target has an earlier state of
    it), `same`, `keep` (the target has a later state of it), `leave out` (it is not finished), `differs` (a person has
    to decide) or `damaged`.

    Raises
    ------
    NoSuchBackup
        The source has no backup, or none of a name. Final.
    StoreError
        The target is another organization's. Final.
    """
    import pandas

    target.check_owner(source.portal_id, source.portal_name)
    rows = [
        (step.name, step.state, step.action, step.reason, len(step.missing), sum(blob.size for blob in step.missing))
        for step in find_steps(source, target, _chosen(source, target, backups))
    ]
    table = pandas.DataFrame(rows, columns=["name", "state", "action", "reason", "blobs", "bytes"])
    return table.astype(
        dict.fromkeys(("name", "state", "action", "reason"), str) | {"blobs": "Int64", "bytes": "Int64"}
    )


def copy(
    source: Store,
    target: Store,
    backups: Collection[str] = (),
    *,
    zips: bool = False,
    scratch: str | None = None,
    say: Callable[[str], object] | None = None,
) -> Copied:
    """Bring all finished backups of a store, or the named ones, to another one of the same organization.

    Only files that the target lacks are transferred, each with its hash checked. Backups come oldest first, each
    complete before the next, so that the target is a store at any moment; a copy that was interrupted is gone on with
    by calling it again. A damaged file of the source, or one in an archive, costs no other: the backups that need it
    are copied without it.
    Nothing of the target is removed but what a later state of a backup does not list any more.

    Parameters
    ----------
    zips
        Copy the zips for download as well.
    scratch
        Folder for files that are on their way; eight at a time. The system's, where none is named.
    say
        Called with a sentence for each backup before it is copied.

    Raises
    ------
    NoSuchBackup
        The source has no backup, or none of a name. Final.
    StoreBusy
        A run holds one of the stores. Trying again helps when it has ended.
    StoreError
        The target is another organization's, full or not writable; or a backup was changed meanwhile in a source that
        cannot be locked. What has been copied stays, and the next call goes on from there.
    """
    names = _chosen(source, target, backups)
    target.check_owner(source.portal_id, source.portal_name)
    target.bind(source.portal_id, source.portal_name)
    with ExitStack() as stack:
        leases = [lease for lease in (_held(stack, source, must=False), _held(stack, target, must=True)) if lease]
        folder = stack.enter_context(_scratch_folder(scratch))
        copying = _Copying(source, target, leases, Path(folder), stack.enter_context(ThreadPoolExecutor(THREADS)))
        for step in find_steps(source, target, names):
            if say and step.action in ("copy", "replace"):
                size = in_bytes(sum(blob.size for blob in step.missing))
                say(f"Copying {step.name}: {counted(len(step.missing), 'file')}, {size}")
            copying.take(step)
        if zips:
            copying.take_zips()
        return copying.report()


class _Copying:
    """One copy on its way."""

    def __init__(
        self, source: Store, target: Store, leases: Collection[Lease], scratch: Path, pool: ThreadPoolExecutor
    ) -> None:
        self._source = source
        self._target = target
        self._leases = leases
        self._scratch = scratch
        self._pool = pool
        self._checked = time.monotonic()
        self._trees = _can_link(target), _can_link(source)
        self._steps: list[Step] = []
        self._moved: list[Blob] = []
        self._zips = 0
        self._withheld: dict[str, str] = {}
        self._frozen: dict[str, str] = {}
        """What has to be asked back before it can be copied, by the name of its backup or the key of its zip."""
        self._damages: list[str] = []
        self._lost: dict[str, str] = {}
        """What is wrong with blobs of the source that could not be copied, by hash."""

    def take(self, step: Step) -> None:
        """Do what one step says; what ends it is raised when no file is on its way any more."""
        self._steps.append(step)
        missing = {blob.sha256: blob for blob in step.missing}
        frozen = []
        for sha256, trouble in zip(missing, self._each(self._move, missing), strict=True):
            if trouble == FROZEN:
                frozen.append(missing[sha256])
            elif trouble:
                self._lost[sha256] = trouble
            else:
                self._moved.append(missing[sha256])
        if frozen:
            self._frozen[step.name] = _ask_back(self._source, step.name, frozen)
        self._check(now=True)
        if step.action in ("copy", "replace"):
            tree = self._tree(step.facts)
            self._damages += copy_files(
                self._source,
                self._target,
                step,
                tree=tree,
                scratch=self._scratch,
                each=self._each,
                check=partial(self._check, now=True),
            )
        elif step.action == "same":
            self._target.flush()
            copy_added(self._source, self._target, step, self._scratch)
            if self._moved:  # what was damaged, or in an archive, when this backup was copied
                complete_tree(self._source, self._target, step.name)
        elif step.action == "damaged":
            self._damages.append(f"The backup {step.name} is not copied: {step.reason}")

    def take_zips(self) -> None:
        """Bring the zips that the target does not list, but for those with items that were forgotten there."""
        if not (zips := zips_to_copy(self._source, self._target)):
            return
        forgotten = forgotten_items(self._target)
        for published in zips:
            try:
                if holds_forgotten(self._source, published, forgotten):
                    self._withheld[published.key] = (
                        f"it holds items that were forgotten in {self._target.location}, and would come back"
                    )
                    continue
                copy_zip(self._source, self._target, published, self._check)
                self._zips += 1
            except Archived:
                self._frozen[published.key] = f"{FROZEN}. Ask it back in the console of the bucket, then copy again"
            except StoreDamaged as error:
                self._damages.append(str(error))

    def report(self) -> Copied:
        """What was done."""
        done = [step.name for step in self._steps if step.action in ("copy", "replace")]
        return Copied(
            source=self._source.location,
            target=self._target.location,
            backups=tuple(done),
            same=sum(step.action in ("same", "keep") for step in self._steps),
            blobs=len(self._moved),
            bytes=sum(blob.size for blob in self._moved),
            zips=self._zips,
            left_out={each.name: each.reason for each in self._steps if each.action in ("leave out", "keep")}
            | self._withheld,
            differing={each.name: each.reason for each in self._steps if each.action == "differs"}
            | self._frozen
            | dict(self._zips_to_remove()),
            damages=(*self._damages, *self._lost_blobs()),
        )

    def _move(self, sha256: str) -> str:
        """Copy one blob; why not, where the source has it no more as it was."""
        try:
            spool = self._source.copied(sha256, self._scratch)
        except Archived:
            return FROZEN
        except StoreDamaged as error:
            return str(error)
        with spool:
            self._target.add_blob(spool)
        return ""

    def _each(self, work: Callable[[str], str], keys: Iterable[str]) -> Iterator[str]:
        """What `work` returns for each key, in several threads; the leases are looked at now and then."""
        waiting = list(keys)
        for start in range(0, len(waiting), BATCH):
            self._check()
            yield from self._pool.map(work, waiting[start : start + BATCH])

    def _check(self, *, now: bool = False) -> None:
        if now or time.monotonic() - self._checked > CHECK_SECONDS:
            for lease in self._leases:
                lease.check()
            self._checked = time.monotonic()

    def _zips_to_remove(self) -> Iterator[tuple[str, str]]:
        """For each zip of the target that holds what the source has forgotten, its key and a sentence."""
        forgotten = {
            each.name: {note["item_id"] for note in each.facts.get("forgotten", ())}
            for each in self._steps
            if each.content
        }
        for published in zips_left(self._target, forgotten):
            named = " ".join(f"--item {item_id}" for item_id in sorted(forgotten[published.backup]))
            advice = f"agolkit forget {self._target.location} {named} removes it"
            yield published.key, f"it is in the copy, and may hold items that were forgotten since; {advice}"

    def _tree(self, facts: dict[str, Any]) -> Literal["links", "copy", "none"]:
        """How the target shows a backup: as the source does; one of a source that has no links, as a run would."""
        here, source_has_links = self._trees
        if facts["tree"] == "copy":
            return "copy"
        wanted = facts["tree"] == "links" or not (source_has_links or facts["options"].get("tree") == "none")
        return "links" if wanted and here else "none"

    def _lost_blobs(self) -> Iterator[str]:
        """For each blob that could not be copied, a sentence with the items that need it."""
        users: dict[str, dict[str, str]] = {}
        backups: dict[str, list[str]] = {}
        for step in self._steps if self._lost else ():
            is_copied = step.action in ("copy", "replace", "same")
            for outcome in read_outcomes(self._source, step.name) if is_copied else ():
                for part in outcome.parts:
                    if part.blob.sha256 in self._lost:
                        users.setdefault(part.blob.sha256, {})[outcome.item.id] = outcome.item.title
                        if step.name not in backups.setdefault(part.blob.sha256, []):
                            backups[part.blob.sha256].append(step.name)
        for sha256, trouble in self._lost.items():
            items = ", ".join(f"{title} ({item_id})" for item_id, title in users.get(sha256, {}).items())
            named = backups.get(sha256, [])
            needed = f" Needed by {items} in {counted(len(named), 'backup')}, the newest {named[-1]}." if named else ""
            yield f"{blob_key(sha256)}: {trouble}{needed}"


def _chosen(source: Store, target: Store, backups: Collection[str]) -> list[str]:
    if source.location == target.location:
        raise UsageError(f"{source.location} cannot be copied to itself; name another store.")
    names = source.backup_names()
    if not source.portal_id or not names:
        raise NoSuchBackup(f"The store {source.location} has no backup.")
    asked = [backups] if isinstance(backups, str) else backups
    return list(dict.fromkeys(map(source.resolve, asked))) if asked else names


def _held(stack: ExitStack, store: Store, *, must: bool) -> Lease | None:
    """The lease of a store; `None` where it need not be held and cannot be, because this account may only read it."""
    lease = store.lock(uuid.uuid4().hex[:12], user_name())
    try:
        return stack.enter_context(lease)
    except StoreBusy:
        raise
    except StoreError:
        if must:
            raise
        return None


def _ask_back(source: Store, backup: str, blobs: Collection[Blob]) -> str:
    what = f"{counted(len(blobs), 'file')}, {in_bytes(sum(blob.size for blob in blobs))}"
    command = shlex.join(["agolkit", "thaw", source.location, backup])
    return f"{what}, not copied, because that lies in an archive. Ask for it, then copy again: {command}"


def _can_link(store: Store) -> bool:
    try:
        return store.can_link()
    except StoreError:  # only a folder has to be written to for an answer
        return True


def _scratch_folder(scratch: str | None) -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="agolkit-", dir=scratch, ignore_cleanup_errors=True)
    except OSError as error:
        raise StoreError(f"The scratch folder {scratch!r} cannot be used: {error.strerror}.") from None
