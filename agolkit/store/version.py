"""Which version of the format a store is written in, and by which agolkit."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

FORMAT = "1.0"
"""Major and minor version of the format. A reader ignores fields it does not know; a newer major is read-only."""


def agolkit_version() -> str:
    """The version that writes this."""
    try:
        return version("agolkit")
    except PackageNotFoundError:  # run from a source tree that nobody has installed
        return "unknown"
