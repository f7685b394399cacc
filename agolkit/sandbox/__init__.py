"""The practice portal: an HTTPS server on 127.0.0.1 that speaks the REST API of ArcGIS Online and ArcGIS Enterprise.

It knows nothing of the toolkit and stands on its own; it needs the extra `agolkit[sandbox]`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agolkit.sandbox import city
    from agolkit.sandbox.faults import Fault
    from agolkit.sandbox.log import Entry, RequestLog
    from agolkit.sandbox.server import Sandbox
    from agolkit.sandbox.settings import Settings

__all__ = ["Entry", "Fault", "RequestLog", "Sandbox", "Settings", "city"]

_HOME = {"Entry": "log", "Fault": "faults", "RequestLog": "log", "Sandbox": "server", "Settings": "settings"}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: the server's packages are an extra."""
    if name == "city":
        return import_module("agolkit.sandbox.city")
    if name in _HOME:
        return getattr(import_module(f"agolkit.sandbox.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
