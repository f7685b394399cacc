"""The end of a run: what became of it, in a summary, and the files that describe the backup as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from agolkit.alarms import find_alarms, standing_in
from agolkit.errors import AgolkitError, Stopped
from agolkit.kinds.saving import RunContext
from agolkit.manifest import backup_facts, close_backup, write_manifest
from agolkit.model import Outcome, Result, RunSummary
from agolkit.report import REPORT, make_report
from agolkit.resume import Known
from agolkit.runlog import RunLog
from agolkit.store import Draft
from agolkit.unchanged import changed_without_sign

PARTIAL = 3
ALARM = 7


def planned(store: str) -> RunSummary:
    """The summary of a run that only shows its plan."""
    return RunSummary("", store, "planned", dict.fromkeys(Result, 0), 0, 0, 0.0, (), (), 0)


def summarize(
    context: RunContext,
    backup: str,
    known: Known,
    outcomes: Sequence[Outcome],
    *,
    seconds: float,
    left_behind: Sequence[str],
    endings: Sequence[AgolkitError],
) -> RunSummary:
    """What became of a run: its state, numbers, failures and alarms, and the exit code that follows from them.

    Parameters
    ----------
    endings
        What ended it before its time, if not the user.
    """
    options, interrupted = context.options, known.interrupted
    counts = Counter(outcome.result for outcome in outcomes)
    is_stopped = bool(counts[Result.STOPPED] or (interrupted and interrupted.unchecked))
    stopped_by = endings[0] if endings else Stopped("The user stopped the run.")
    failures = [
        outcome
        for outcome in outcomes
        if outcome.result in (Result.FAILED, Result.PARTIAL) and outcome.accepted(options.accept) is None
    ]
    failures.sort(key=lambda outcome: (outcome.result is not Result.FAILED, outcome.item.type, outcome.item.title))
    alarms: Sequence[str] = ()
    standing: Sequence[str] = ()
    if is_stopped:
        exit_code = stopped_by.exit_code
    else:
        alarms = find_alarms(context.store, outcomes, options=options, privileges=context.portal.privileges)
        standing = standing_in(context.store, options.scope_name)
        exit_code = ALARM if alarms or standing else PARTIAL if failures or left_behind else 0
    return RunSummary(
        backup=backup,
        store=context.store.location,
        state="stopped" if is_stopped else "complete",
        counts={result: counts[result] for result in Result},
        fetched_bytes=sum(outcome.saved_bytes for outcome in outcomes) - context.reused_bytes.total,
        new_bytes=context.new_bytes.total,
        seconds=seconds,
        failures=tuple(failures),
        left_behind=tuple(left_behind),
        exit_code=exit_code,
        stopped_by=str(stopped_by) if is_stopped else "",
        kept=len(interrupted.kept) if interrupted else None,
        reused=sum(outcome.how == "reused" for outcome in outcomes),
        unsigned=tuple(changed_without_sign(known.proven, outcomes)) if known.is_full else (),
        alarms=tuple(alarms),
        standing=tuple(standing),
    )


def close(draft: Draft, outcomes: list[Outcome], news: RunLog, summary: RunSummary, context: RunContext) -> None:
    """Write what describes the backup as a whole; `backup.json` comes last."""
    write_manifest(draft, outcomes)
    news.finish(draft)
    facts = backup_facts(
        draft,
        outcomes,
        state=summary.state,
        finished=datetime.now(UTC),
        options=context.options,
        reused_bytes=context.reused_bytes.total,
        new_bytes=summary.new_bytes,
        portal_url=context.portal.url,
        url_key=context.portal.url_key,
        left_behind=summary.left_behind,
        unsigned=[outcome.item.id for outcome in summary.unsigned],
        stopped_by=summary.stopped_by,
        account={"username": context.portal.username, "privileges": sorted(context.portal.privileges)},
        alarms=summary.alarms,
    )
    draft.write(REPORT, make_report(draft.store, outcomes, facts).encode())
    close_backup(draft, facts)
