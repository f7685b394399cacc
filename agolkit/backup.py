"""The main verb: one dated, proven backup of everything in scope."""

from __future__ import annotations

import getpass
import json
import logging
import os
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from agolkit.engine import Finished, run_jobs
from agolkit.errors import AgolkitError, SignInError, Stopped, StoreDamaged, StoreError
from agolkit.inventory import take_inventory
from agolkit.journal import Journal, read_announcements
from agolkit.kinds.earlier import EarlierBackups
from agolkit.kinds.exports import ExportLedger
from agolkit.kinds.organization import organization_file, save_organization
from agolkit.kinds.registry import EXPORTS, kind_of, lane_of, save_item
from agolkit.kinds.saving import RunContext
from agolkit.layout import tree_path
from agolkit.manifest import backup_facts, close_backup, write_manifest
from agolkit.model import Inventory, Item, Outcome, Result, RunSummary, counted, to_stamp
from agolkit.options import BackupOptions
from agolkit.plan import in_order
from agolkit.portal import Portal
from agolkit.portal.check import of_sign_in
from agolkit.progress import Event, Progress, Pulse, TimedOut, pulse_of_job
from agolkit.report import REPORT, make_report
from agolkit.resume import Interrupted, find_interrupted
from agolkit.store import Draft, Store

log = logging.getLogger(__name__)


def backup(
    portal: Portal,
    store: Store,
    options: BackupOptions | None = None,
    *,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> RunSummary:
    """Make one dated backup of all items in scope, each proven, and say what became of it.

    The organization is only read, but for the temporary items of exports, which are deleted permanently.
    An item that fails never ends the run; a stopped run leaves everything finished so far readable. A backup of the
    same `scope_name` that was stopped or killed is taken up within `resume_within`: what it has proven, and what is
    certainly unchanged, is kept.

    Parameters
    ----------
    progress
        Called with an `agolkit.progress.Event` at each piece of news. What it raises is logged and has no effect.
    cancel
        Set it, from any thread, to stop the run.

    Raises
    ------
    UsageError
        The scope names something that the portal does not have, or is empty. Nothing was started.
    StoreError
        The store is another organization's, in use by another run (`StoreBusy`), full or not writable.
    Unreachable, PortalError
        The items could not be listed completely. Trying again later may help.
    Stopped
        `cancel` was set before the first item was begun.
    """
    options = options or BackupOptions()
    cancel = cancel or threading.Event()
    news = News(progress)
    began = time.monotonic()
    if options.dry_run:
        return _summary("", store, "planned", [], options, began)

    store.bind(portal.org_id, portal.org_name)
    run_id, started = uuid.uuid4().hex[:12], datetime.now(UTC)
    limits = portal.limits(
        attempts=options.attempts,
        connect_timeout=options.connect_timeout,
        idle_timeout=options.idle_timeout,
        connections=options.workers,
        say=lambda sentence: news(Event("items", sentence)),
    )
    with limits, store.lock(run_id, _who()) as lease, _scratch_folder(options) as scratch:
        if not portal.renewable:
            news(Event("inventory", of_sign_in(portal).text))
        inventory = take_inventory(portal, options, progress=news, cancel=cancel)
        with pulse_of_job(Pulse(cancel)):
            groups = portal.groups()
        group_titles = {group["id"]: group["title"] for group in groups}
        organization = save_organization(portal, inventory, groups, options, cancel=cancel)
        if cancel.is_set():
            raise Stopped("The run was stopped before the first item was begun.")
        earlier = EarlierBackups(store)
        interrupted = find_interrupted(store, options, started)
        draft = _draft(store, options, started, interrupted)
        draft.write("organization.json", organization_file(organization))
        journal = Journal(draft)
        if interrupted:
            journal.resumed({"run_id": run_id, "started": to_stamp(started)})
            news(Event("plan", _taking_up(interrupted)))
        exports = ExportLedger(portal, run_id, announce=journal.announce)
        in_scope = frozenset(item.id for item in inventory.items)
        context = RunContext(portal, store, options, exports, Path(scratch), group_titles, earlier, in_scope)
        announced = list(_announced_before(store))
        left_behind = exports.sweep(inventory.exports, announced)
        inventory = _without(inventory, announced)
        outcomes: list[Outcome] = []
        endings: list[AgolkitError] = []
        total = len(inventory.items) + len(inventory.excluded)
        try:
            save = partial(interrupted.save if interrupted else save_item, context)
            for each in _outcomes(inventory, context, save, cancel, journal, endings):
                outcome = interrupted.known(context, each) if interrupted else each
                for part in outcome.parts:
                    draft.link(tree_path(outcome.item, part), part.blob)
                journal.add(outcome)
                outcomes.append(outcome)
                news(Event("items", done=len(outcomes), total=total, outcome=outcome))
        finally:
            try:
                left_behind += exports.close_all()
            finally:
                journal.close()
        was_stopped = any(outcome.result is Result.STOPPED for outcome in outcomes)
        state = "stopped" if was_stopped or (interrupted and interrupted.unchecked) else "complete"
        summary = _summary(draft.name, store, state, outcomes, options, began, context, left_behind, endings)
        if interrupted:
            summary = replace(summary, kept=len(interrupted.kept))
        news(Event("finish", str(summary), done=len(outcomes), total=total))
        lease.check()
        _finish(draft, outcomes, news, summary, context)
    return summary


class News:
    """Passes events on to whoever listens and keeps them for the log; a listener cannot break a run."""

    def __init__(self, listener: Progress | None) -> None:
        self._listener = listener
        self.lines: list[bytes] = []

    def __call__(self, event: Event) -> None:
        facts: dict[str, Any] = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "stage": event.stage}
        if event.text:
            facts["text"] = event.text
            log.info(event.text)
        if event.outcome is not None:
            facts |= {
                "item_id": event.outcome.item.id,
                "result": event.outcome.result,
                "seconds": round(event.outcome.seconds, 3),
                "bytes": event.outcome.saved_bytes,
                "attempts": event.outcome.attempts,
                "message": event.outcome.message,
            }
        self.lines.append(json.dumps(facts, ensure_ascii=False).encode(errors="backslashreplace"))
        if self._listener is not None:
            try:
                self._listener(event)
            except Exception:  # somebody else's code: a form that was closed must not end the run
                log.warning("The progress callback failed.", exc_info=True)


def _without(inventory: Inventory, announced: Iterable[Mapping[str, str]]) -> Inventory:
    """The inventory without the export items of killed runs: they are removed, and nobody's content."""
    gone = {(line["owner"], line["title"]) for line in announced}
    excluded = tuple(pair for pair in inventory.excluded if (pair[0].owner, pair[0].title) not in gone)
    return replace(inventory, excluded=excluded)


def _draft(store: Store, options: BackupOptions, started: datetime, interrupted: Interrupted | None) -> Draft:
    """The folder that the run writes into: a new one, or that of the run that was interrupted."""
    if interrupted:
        return store.resume(interrupted.name, started, label=options.label, tree=options.tree)
    return store.begin(started, options.scope_name, label=options.label, tree=options.tree, options=asdict(options))


def _taking_up(interrupted: Interrupted) -> str:
    finished = counted(len(interrupted.proven), "item")
    return f"Taking up the backup {interrupted.name}, which was interrupted: {finished} finished, kept where unchanged."


def _outcomes(
    inventory: Inventory,
    context: RunContext,
    save: Callable[[Item], Outcome],
    cancel: threading.Event,
    journal: Journal,
    endings: list[AgolkitError],
) -> Iterator[Outcome]:
    """An outcome for each item of the inventory, as it is known; what ends the run before its time is in `endings`."""
    for item, reason in inventory.excluded:
        yield Outcome(item, Result.EXCLUDED, datetime.now(UTC), message=reason)
    options = context.options
    over = threading.Event()  # not the caller's event: theirs is not ours to set

    def meanwhile() -> None:
        journal.tick()
        if context.portal.brake.gave_up is not None and not endings:
            endings.append(context.portal.brake.gave_up)
        if cancel.is_set() or endings:
            over.set()

    # Twice as wide as the limit, so that jobs which were given up do not hold up those that follow.
    executor = ThreadPoolExecutor(2 * options.workers, thread_name_prefix="agolkit")
    try:
        for finished in run_jobs(
            in_order(inventory.items),
            save,
            executor=executor,
            limit=options.workers,
            lane=lane_of,
            lanes={EXPORTS: options.exports},
            idle_timeout=options.item_timeout,
            cancel=over,
            meanwhile=meanwhile,
        ):
            if isinstance(finished.error, SignInError):
                endings.append(finished.error)
            yield _outcome_of(finished, context)
    finally:
        over.set()  # whatever ended the loop, nothing goes on behind it
        executor.shutdown(wait=False, cancel_futures=True)


def _outcome_of(finished: Finished[Item, Outcome], context: RunContext) -> Outcome:
    """The job's own outcome, or one that says how the job ended; an unusable store ends the run."""
    if finished.value is not None:
        return finished.value
    error = finished.error
    if isinstance(error, StoreError):
        raise error
    if isinstance(error, Stopped | SignInError):
        return Outcome(finished.job, Result.STOPPED, datetime.now(UTC), message=str(error))
    begun = context.in_work.pop(finished.job.id, None)
    if isinstance(error, TimedOut) and begun is not None:
        begun.missing.append(str(error))
        return begun.outcome(kind=kind_of(finished.job).name, attempts=1, seconds=context.options.item_timeout)
    message = str(error)
    if not isinstance(error, AgolkitError):
        log.error("Unexpected error at item %s", finished.job.id, exc_info=error)
        message = f"agolkit itself failed ({type(error).__name__}: {error}); please report it."
    return Outcome(finished.job, Result.FAILED, datetime.now(UTC), message=message)


def _summary(
    name: str,
    store: Store,
    state: str,
    outcomes: list[Outcome],
    options: BackupOptions,
    began: float,
    context: RunContext | None = None,
    left_behind: Sequence[str] = (),
    endings: Sequence[AgolkitError] = (),
) -> RunSummary:
    counts = Counter(outcome.result for outcome in outcomes)
    failures = [
        outcome
        for outcome in outcomes
        if outcome.result in (Result.FAILED, Result.PARTIAL) and outcome.accepted(options.accept) is None
    ]
    failures.sort(key=lambda outcome: (outcome.result is not Result.FAILED, outcome.item.type, outcome.item.title))
    stopped_by = endings[0] if endings else Stopped("The user stopped the run.")
    return RunSummary(
        backup=name,
        store=store.location,
        state=state,
        counts={result: counts[result] for result in Result},
        fetched_bytes=sum(outcome.saved_bytes for outcome in outcomes) - (context.reused_bytes.total if context else 0),
        new_bytes=context.new_bytes.total if context else 0,
        seconds=time.monotonic() - began,
        failures=tuple(failures),
        left_behind=tuple(left_behind),
        exit_code=stopped_by.exit_code if state == "stopped" else 3 if failures or left_behind else 0,
        stopped_by=str(stopped_by) if state == "stopped" else "",
    )


def _finish(draft: Draft, outcomes: list[Outcome], news: News, summary: RunSummary, context: RunContext) -> None:
    """Write what describes the backup as a whole; `backup.json` comes last."""
    write_manifest(draft, outcomes)
    draft.write("log.jsonl", b"".join(line + b"\n" for line in news.lines))
    facts = backup_facts(
        draft,
        outcomes,
        state=summary.state,
        finished=datetime.now(UTC),
        options=context.options,
        reused_bytes=context.reused_bytes.total,
        new_bytes=summary.new_bytes,
        portal_url=context.portal.url,
        left_behind=summary.left_behind,
        stopped_by=summary.stopped_by,
    )
    draft.write(REPORT, make_report(draft.store, outcomes, facts).encode())
    close_backup(draft, facts)


def _announced_before(store: Store) -> Iterator[Mapping[str, str]]:
    """What killed runs of this store announced to make in the portal; it may appear after another took them up."""
    for name in store.backup_names():
        with suppress(StoreDamaged):  # an old backup that is damaged is for `verify` to tell; this run must go on
            facts = store.summary(name)
            if facts["state"] == "unfinished" or "resumed" in facts:
                yield from read_announcements(store, name)


def _who() -> str:
    """Who runs this, for those who find the store locked."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"user {os.getuid()}"


def _scratch_folder(options: BackupOptions) -> tempfile.TemporaryDirectory[str]:
    """A folder of this run's own for transfers; it is removed at the end."""
    try:
        return tempfile.TemporaryDirectory(prefix="agolkit-", dir=options.scratch, ignore_cleanup_errors=True)
    except OSError as error:
        raise StoreError(f"The scratch folder {options.scratch!r} cannot be used: {error.strerror}.") from None
