"""The scheduled main job: the backup notebook through papermill, ended by agolkit's exit codes.

The notebook is the function, its parameters cell the signature, its executed copy the log. Parameters are checked
before anything starts, a failure in the notebook becomes our error, and the executed notebook is kept with the backup.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import papermill
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

from agolkit import errors
from agolkit.addresses import without_secrets
from agolkit.errors import AgolkitError, Stopped, UsageError
from agolkit.model import RUN_MIME
from agolkit.options import BackupOptions, nearest
from agolkit.portal import connect
from agolkit.progress import cancel_on_interrupt
from agolkit.pruning import plan_prune, prune
from agolkit.store import open_store
from agolkit.tiering import read_rules

SECRET = re.compile(r"passw|token|secret|credential|api_?key", re.IGNORECASE)

LOOK_EVERY = 0.2
"""Seconds between two looks at whether the user has asked to stop."""

PRUNE = "prune"
"""The parameter that is no notebook's: what to keep of the older backups of the scope, once the run is complete."""

ASK_AGAIN = 60.0
"""Seconds after which a kernel that has not ended is interrupted again: between two cells it ignores an interrupt."""


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """How a run of the backup notebook ended."""

    summary: Mapping[str, Any]
    """The notebook's `RunSummary` as JSON values."""
    notebook: str
    """Where the executed notebook is: inside the backup, where one was made."""

    @property
    def exit_code(self) -> int:
        return int(self.summary["exit_code"])


def shipped(name: str) -> Path:
    """The folder `notebooks` or `scheduled` that came with agolkit: in the installed package or the source checkout."""
    package = Path(__file__).parent
    installed = package / "_shipped" / name
    return installed if installed.is_dir() else package.parent / name


def check_parameters(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """Refuse, before a kernel starts, what the notebook does not declare, wrong types and secrets.

    Raises
    ------
    UsageError
        The message names the parameter, and the nearest known one. Trying again does not help.
    """
    declared = list(papermill.inspect_notebook(str(notebook)))
    if PRUNE in parameters:
        read_rules(parameters[PRUNE])
    for name in (each for each in parameters if each != PRUNE):
        if SECRET.search(name):
            raise UsageError(
                f"{name!r} looks like a secret, and parameters are saved in the executed notebook. "
                "Set it in the environment instead (AGOLKIT_PASSWORD, AGOLKIT_PASSWORD_FILE, AGOLKIT_TOKEN, "
                "AGOLKIT_CLIENT_SECRET) or keep it in a profile (AGOLKIT_PROFILE)."
            )
        if name not in declared:
            raise UsageError(f"The notebook {notebook.name} has no parameter {name!r}." + nearest(name, declared))
    for name in ("url", "profile", "store"):
        if not isinstance(parameters.get(name, ""), str):
            raise UsageError(f"{name} must be a text, not {parameters[name]!r}.")
    address = str(parameters.get("url", ""))
    if without_secrets(address) != address:
        raise UsageError("The url holds a secret, and parameters are saved in the executed notebook. Leave it out.")
    if parameters.get("interactive", False) is not False:
        raise UsageError("interactive must be false here: a scheduled run has nobody to show a form to.")
    known = {each.name for each in fields(BackupOptions)}
    BackupOptions.from_mapping({name: value for name, value in parameters.items() if name in known})


def run(
    parameters: Mapping[str, Any],
    *,
    notebook: Path | None = None,
    environment: Mapping[str, str] | None = None,
    say: Callable[[str], object] = print,
) -> ScheduledRun:
    """Execute the backup notebook without a form, and tell how the run ended.

    The notebook's printed lines go to `say` while it runs. It signs in from `environment` (added to this process's
    own). SIGINT and SIGTERM end the run in good order: what it has saved becomes a stopped backup. After a complete run
    the parameter `prune`, where given, removes older backups of its scope.

    Raises
    ------
    AgolkitError
        What ended the notebook, as the class it was raised as; an error that is not ours names the executed notebook.
    """
    notebook = notebook or shipped("notebooks") / "backup.ipynb"
    check_parameters(notebook, parameters)
    folder = Path(tempfile.mkdtemp(prefix="agolkit-"))
    executed = folder / "backup.ipynb"
    try:
        given = {name: value for name, value in parameters.items() if name != PRUNE}
        finished = _execute(notebook, executed, {**given, "interactive": False}, environment or {}, say)
        summary = _summary_in(finished)
    except PapermillExecutionError as failure:
        raise _our_error(failure, executed) from None
    if not summary["backup"]:
        return ScheduledRun(summary, str(executed))
    kept = f"backups/{summary['backup']}/backup.ipynb"
    store = open_store(summary["store"])
    store.put(kept, executed.read_bytes())
    shutil.rmtree(folder)
    if PRUNE in parameters and summary["state"] == "complete":
        summary = {**summary, **_pruned(parameters, summary, say)}
    return ScheduledRun(summary, f"{store.location}/{kept}")


def _pruned(parameters: Mapping[str, Any], summary: Mapping[str, Any], say: Callable[[str], object]) -> dict[str, Any]:
    """What the summary of a run says of the removal of older backups of its scope; trouble there undoes no run."""
    try:
        store = open_store(summary["store"])
        portal = connect(parameters.get("url") or None, profile=parameters.get("profile") or None)
        scope = parameters.get("scope_name", BackupOptions.scope_name)
        keep, archive = read_rules(parameters[PRUNE])
        done = prune(store, plan_prune(store, keep, scope=scope, archive=archive), portal=portal)
    except AgolkitError as error:
        say(f"No older backup was removed, or not all: {error}")
        return {"exit_code": summary["exit_code"] or error.exit_code}
    say(str(done))
    return {"pruned": asdict(done)}


def _execute(
    notebook: Path,
    executed: Path,
    parameters: Mapping[str, Any],
    environment: Mapping[str, str],
    say: Callable[[str], object],
) -> NotebookNode:
    """The executed notebook. Papermill works in a thread, so that signals reach us and not its event loop."""
    kernels: list[AsyncKernelManager] = []
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    cancel = cancel_on_interrupt(*before)
    with ThreadPoolExecutor(1) as executor:
        running: Future[NotebookNode] = executor.submit(
            _papermill,
            notebook,
            executed,
            parameters,
            progress_bar=False,
            stdout_file=_Lines(say),
            kernel_manager_class=_kernel_class(environment, kernels),
        )
        try:
            ask_at = 0.0
            while not wait([running], LOOK_EVERY).done:
                if cancel.is_set() and kernels and kernels[0].has_kernel and time.monotonic() >= ask_at:
                    say("Stopping: no new item begins, the backup so far is kept …")
                    asyncio.run(_send(kernels[0], signal.SIGINT))
                    ask_at = time.monotonic() + ASK_AGAIN
        except KeyboardInterrupt:
            for kernel in kernels:
                asyncio.run(_send(kernel, signal.SIGTERM))
            raise
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
        if running.exception() and cancel.is_set():
            raise Stopped("The run was stopped before a backup was begun.")
        return running.result()


def _papermill(*args: Any, **kwargs: Any) -> NotebookNode:
    """`papermill.execute_notebook`, without leaving the event loop behind that it makes for its thread."""
    try:
        executed: NotebookNode = papermill.execute_notebook(*args, **kwargs)
        return executed
    finally:
        with suppress(RuntimeError):  # it failed before it had one
            asyncio.get_event_loop().close()


def _kernel_class(environment: Mapping[str, str], started: list[AsyncKernelManager]) -> type[AsyncKernelManager]:
    """Kernels of this very Python, whatever kernelspecs are installed; each puts itself into `started`."""
    python = [sys.executable, "-Xfrozen_modules=off"]  # else ipykernel 6 warns, in the log of every run
    command = [*python, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=ERROR"]
    spec = KernelSpec(argv=command, display_name="agolkit", language="python", env=dict(environment))

    class Kernel(AsyncKernelManager):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            started.append(self)

        @property
        def kernel_spec(self) -> KernelSpec:
            return spec

        async def _async_interrupt_kernel(self) -> None:
            """Not before a shutdown: there is nothing left to interrupt, and the kernel would log an error."""
            if not self.shutting_down:
                await super()._async_interrupt_kernel()

    return Kernel


async def _send(kernel: AsyncKernelManager, what: signal.Signals) -> None:
    await kernel.signal_kernel(what)


class _Lines:
    """A text file that hands each whole line to `say`."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._rest = ""

    def write(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._say(line)

    def flush(self) -> None:
        """Nothing waits but an unfinished line."""


def _summary_in(executed: NotebookNode) -> Mapping[str, Any]:
    for cell in reversed(executed.cells):
        for output in cell.get("outputs", []):
            if RUN_MIME in output.get("data", {}):
                summary: Mapping[str, Any] = output["data"][RUN_MIME]
                return summary
    raise AgolkitError("The notebook ended without a run: its last cells must display what `agolkit.backup` returns.")


def _our_error(failure: PapermillExecutionError, executed: Path) -> AgolkitError:
    """The notebook's error as the class that it was raised as in there."""
    known = getattr(errors, failure.ename, None)
    if isinstance(known, type) and issubclass(known, AgolkitError):
        shutil.rmtree(executed.parent)
        ours: AgolkitError = known(failure.evalue)
        return ours
    return AgolkitError(
        f"The notebook failed: {failure.ename}: {failure.evalue} (the executed notebook is {executed})."
    )
