"""The main verb: one dated, proven backup of everything in scope."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from agolkit.closing import PARTIAL, close, planned, summarize
from agolkit.engine import Finished, run_jobs
from agolkit.errors import AgolkitError, SignInError, Stopped, StoreDamaged, StoreError
from agolkit.inventory import take_inventory
from agolkit.journal import Journal, read_announcements
from agolkit.kinds.earlier import EarlierBackups
from agolkit.kinds.exports import ExportLedger
from agolkit.kinds.feature_service.views import settle
from agolkit.kinds.organization import ORGANIZATION, load_groups, organization_file, save_organization, shared_items
from agolkit.kinds.registry import EXPORTS, kind_of, lane_of
from agolkit.kinds.saving import RunContext
from agolkit.kinds.under_way import UnderWay
from agolkit.layout import tree_path
from agolkit.model import Inventory, Item, Outcome, Result, RunSummary, counted, to_stamp
from agolkit.options import BackupOptions
from agolkit.plan import in_order
from agolkit.portal import Portal
from agolkit.portal.check import of_sign_in
from agolkit.progress import Event, Progress, Pulse, TimedOut, pulse_of_job
from agolkit.resume import Interrupted, Known, look_back
from agolkit.runlog import RunLog
from agolkit.store import Draft, Lease, Store
from agolkit.store.holder import user_name
from agolkit.store.version import agolkit_version
from agolkit.trace import tell, telling
from agolkit.zips import pack

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
    news = RunLog(progress)
    began = time.monotonic()
    if options.dry_run:
        return planned(store.location)

    is_new = not store.portal_id
    store.bind(portal.org_id, portal.org_name)
    run_id, started = uuid.uuid4().hex[:12], datetime.now(UTC)
    limits = portal.limits(
        attempts=options.attempts,
        connect_timeout=options.connect_timeout,
        idle_timeout=options.idle_timeout,
        connections=options.workers,
        say=lambda sentence: news(Event("items", sentence)),
    )
    with (
        telling(news.hear),
        limits,
        store.lock(run_id, user_name()) as lease,
        _scratch_folder(options) as scratch,
    ):
        tell("begun", run_id=run_id, scope=options.scope_name, agolkit=agolkit_version())
        if is_new:
            news(Event("plan", f"A new store was begun in {store.location}: there was none. Is that the right place?"))
        if not portal.renewable:
            news(Event("inventory", of_sign_in(portal).text))
        known = look_back(store, options, started)
        interrupted = known.interrupted
        inventory = take_inventory(portal, options, known=known.ids, progress=news, cancel=cancel)
        with pulse_of_job(Pulse(cancel)):
            groups = portal.groups()
        backups = known.backups(store)
        before = load_groups(store, backups)
        organization = save_organization(portal, inventory, groups, options, before=before, cancel=cancel)
        if cancel.is_set():
            raise Stopped("The run was stopped before the first item was begun.")
        draft = _draft(store, options, started, known)
        draft.write(ORGANIZATION, organization_file(organization))
        journal = Journal(draft)
        news.keep_in(draft)
        if interrupted:
            journal.resumed({"run_id": run_id, "started": to_stamp(started)})
            news(Event("plan", _taking_up(interrupted)))
        under_way = UnderWay(draft, journal)
        exports = ExportLedger(portal, run_id, announce=journal.announce)
        context = RunContext(
            portal,
            store,
            options,
            exports,
            Path(scratch),
            group_titles={group["id"]: group["title"] for group in groups},
            earlier=EarlierBackups(store, backups, taken_up=interrupted.name if interrupted else ""),
            under_way=under_way,
            in_scope=frozenset(item.id for item in inventory.items),
            shared=shared_items(organization),
        )
        announced = list(_announced_before(store))
        left_behind = exports.sweep(inventory.exports, announced)
        inventory = _without(inventory, announced)
        outcomes: list[Outcome] = []
        endings: list[AgolkitError] = []
        total = len(inventory.items) + len(inventory.excluded)
        try:
            save = partial(_saved, known.save, context, news)
            for each in _outcomes(inventory, context, save, cancel, (journal.tick, news.tick), endings):
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
                news.flush()
        outcomes = settle(outcomes)
        seconds = time.monotonic() - began
        summary = summarize(
            context, draft.name, known, outcomes, seconds=seconds, left_behind=left_behind, endings=endings
        )
        news(Event("finish", str(summary), done=len(outcomes), total=total))
        tell("ended", result=summary.state, seconds=round(summary.seconds, 3), bytes=summary.fetched_bytes)
        lease.check()
        close(draft, outcomes, news, summary, context)
        if summary.state == "complete":
            under_way.clear()
            if options.zip:
                summary = _zipped(summary, store, lease, Path(scratch), news, cancel)
    return summary


def _zipped(
    summary: RunSummary, store: Store, lease: Lease, scratch: Path, news: RunLog, cancel: threading.Event
) -> RunSummary:
    """The summary with the zip of the backup, or why there is none: the backup is complete without it."""
    try:
        return replace(summary, zip=pack(store, summary.backup, lease, scratch, progress=news, cancel=cancel).key)
    except AgolkitError as error:
        why = f"{error} `agolkit zip {store.location} {summary.backup}` publishes it."
        news(Event("zip", f"The backup is complete, but no zip of it was published: {why}"))
        return replace(summary, not_zipped=why, exit_code=summary.exit_code or PARTIAL)


def _without(inventory: Inventory, announced: Iterable[Mapping[str, str]]) -> Inventory:
    """The inventory without the export items of killed runs: they are removed, and nobody's content."""
    gone = {(line["owner"], line["title"]) for line in announced}
    excluded = tuple(pair for pair in inventory.excluded if (pair[0].owner, pair[0].title) not in gone)
    return replace(inventory, excluded=excluded)


def _draft(store: Store, options: BackupOptions, started: datetime, known: Known) -> Draft:
    """The folder that the run writes into: a new one, or that of the run that was interrupted."""
    if known.interrupted:
        return store.resume(known.interrupted.name, started, label=options.label, tree=options.tree)
    return store.begin(
        started,
        options.scope_name,
        label=options.label,
        tree=options.tree,
        since_full=known.since_full,
        options=asdict(options),
    )


def _taking_up(interrupted: Interrupted) -> str:
    finished = counted(len(interrupted.proven), "item")
    return f"Taking up the backup {interrupted.name}, which was interrupted: {finished} finished, kept where unchanged."


def _outcomes(
    inventory: Inventory,
    context: RunContext,
    save: Callable[[Item], Outcome],
    cancel: threading.Event,
    ticks: Iterable[Callable[[], None]],
    endings: list[AgolkitError],
) -> Iterator[Outcome]:
    """An outcome for each item of the inventory, as it is known; what ends the run before its time is in `endings`."""
    for item, reason in inventory.excluded:
        yield Outcome(item, Result.EXCLUDED, datetime.now(UTC), message=reason)
    options = context.options
    over = threading.Event()  # not the caller's event: theirs is not ours to set

    def meanwhile() -> None:
        for tick in ticks:
            tick()
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


def _saved(save: Callable[[RunContext, Item], Outcome], context: RunContext, news: RunLog, item: Item) -> Outcome:
    """What `save` makes of the item; what its steps tell is about this item."""
    with telling(news.hear, item_id=item.id):
        return save(context, item)


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


def _announced_before(store: Store) -> Iterator[Mapping[str, str]]:
    """What killed runs of this store announced to make in the portal; it may appear after another took them up."""
    for name in store.backup_names():
        with suppress(StoreDamaged):  # an old backup that is damaged is for `verify` to tell; this run must go on
            facts = store.summary(name)
            if facts["state"] == "unfinished" or "resumed" in facts:
                yield from read_announcements(store, name)


def _scratch_folder(options: BackupOptions) -> tempfile.TemporaryDirectory[str]:
    """A folder of this run's own for transfers; it is removed at the end."""
    try:
        return tempfile.TemporaryDirectory(prefix="agolkit-", dir=options.scratch, ignore_cleanup_errors=True)
    except OSError as error:
        raise StoreError(f"The scratch folder {options.scratch!r} cannot be used: {error.strerror}.") from None
