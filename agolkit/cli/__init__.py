"""The command line. It answers at once: what takes seconds to import is imported by the command that needs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from agolkit import console
from agolkit.cli import (  # noqa: F401  each adds its commands to the group
    buckets,
    keeping,
    moving,
    pruning,
    reading,
    running,
    thawing,
)
from agolkit.cli.arguments import commands
from agolkit.errors import AgolkitError

STOPPED = 130


def main(args: Sequence[str] | None = None) -> NoReturn:
    """End the process with an exit code: 0, or that of the error, which is said in one sentence."""
    given = list(sys.argv[1:] if args is None else args)
    for stream in (sys.stdout, sys.stderr):  # a title in any script must not end a run on an old console
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        code = commands.main(given, prog_name="agolkit", standalone_mode=False)
    except click.ClickException as error:
        _fail("UsageError", error.format_message(), error.exit_code, given)
    except AgolkitError as error:
        _fail(type(error).__name__, str(error), error.exit_code, given)
    except (click.Abort, KeyboardInterrupt):
        _fail("Stopped", "Stopped by the user.", STOPPED, given)
    sys.exit(code or 0)


def _fail(kind: str, message: str, code: int, given: Sequence[str]) -> NoReturn:
    said = {"error": kind, "message": message, "exit_code": code}
    click.echo(json.dumps(said) if "--json" in given else f"agolkit: {console.plain(message)}", err=True)
    sys.exit(code)
