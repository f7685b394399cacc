"""Signing in to a practice portal as its administrator."""

from __future__ import annotations

import agolkit as ak
from agolkit.sandbox import Sandbox


def connect(sandbox: Sandbox) -> ak.Portal:
    """The portal, signed in; where a request is tried again, nobody waits."""
    return ak.connect(
        sandbox.url,
        username=sandbox.username,
        password=sandbox.password,
        ca_bundle=str(sandbox.ca_bundle),
        sleep=lambda _seconds: None,
    )
