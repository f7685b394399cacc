"""The practice city, and somebody who asks it for things, for the modules that have no portal of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from caller import Caller

from agolkit.sandbox import Sandbox, city


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(city.springfield()) as opened:
        yield opened


@pytest.fixture(scope="module")
def caller(sandbox: Sandbox) -> Iterator[Caller]:
    """The administrator, signed in."""
    with Caller(sandbox, "city_admin") as signed_in:
        yield signed_in
