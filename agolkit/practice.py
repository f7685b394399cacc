"""The practice portal as the command line opens it, and how programs sign in to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agolkit.errors import UsageError

if TYPE_CHECKING:
    from agolkit.sandbox import Sandbox


def open_sandbox(port: int = 0, count: int | None = None) -> Sandbox:
    """The practice portal, started."""
    try:
        from agolkit.sandbox import Sandbox, Settings, city
    except ModuleNotFoundError as error:
        raise UsageError(
            f"The practice portal needs packages that are not installed ({error.name}). "
            "Install them with: pip install 'agolkit[sandbox]' (in a source checkout: pip install '.[sandbox]')"
        ) from error
    if count is None:
        org = city.springfield()
    else:
        org = city.generated(
            items=count,
            owners=min(250, max(1, count // 16)),
            folders=min(600, count // 16),
            groups=min(120, count // 32),
            services=min(500, count // 8),
        )
    made = Sandbox(org, Settings(port=port))
    try:
        return made.start()
    except OSError as error:
        made.stop()
        raise UsageError(
            f"The practice portal cannot use port {port}; another program may have it. "
            "Name another one with --port, or leave it out to get a free one."
        ) from error


def environment_for(sandbox: Sandbox) -> Mapping[str, str]:
    """The environment variables by which every agolkit program signs in to the practice portal."""
    return {
        "AGOLKIT_URL": sandbox.url,
        "AGOLKIT_USERNAME": sandbox.username,
        "AGOLKIT_PASSWORD": sandbox.password,
        "AGOLKIT_CA_BUNDLE": str(sandbox.ca_bundle),
    }
