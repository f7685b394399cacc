"""What all tests share: practice portals that are closed when a test ends, and an empty store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agolkit.sandbox import Sandbox, Settings
from agolkit.sandbox.organization import Organization
from agolkit.store import LocalStore


@pytest.fixture
def open_sandbox() -> Iterator[Callable[..., Sandbox]]:
    """Open a practice portal: `open_sandbox(org, latency=0.05)`."""
    with ExitStack() as stack:

        def start(org: Organization, **settings: object) -> Sandbox:
            return stack.enter_context(Sandbox(org, Settings(**settings)))  # type: ignore[arg-type]

        yield start


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """An empty store in the test's own folder."""
    return LocalStore(tmp_path / "store")
