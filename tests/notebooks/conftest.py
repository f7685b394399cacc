"""One practice portal for all notebook tests, and the environment that signs in to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agolkit.sandbox import Sandbox, city


@pytest.fixture(scope="session")
def city_sandbox() -> Iterator[Sandbox]:
    with Sandbox(city.springfield()) as sandbox:
        yield sandbox


@pytest.fixture
def springfield(city_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The practice portal, as quick as it can be; what a test changes in its behaviour is undone."""
    city_sandbox.log.clear()
    yield city_sandbox
    city_sandbox.faults.clear()
    city_sandbox.settings.latency = 0


@pytest.fixture
def signed_in(springfield: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    """The practice portal, with the environment set to sign in to it, and an empty working folder."""
    for name in [name for name in os.environ if name.startswith("AGOLKIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AGOLKIT_URL", springfield.url)
    monkeypatch.setenv("AGOLKIT_USERNAME", springfield.username)
    monkeypatch.setenv("AGOLKIT_PASSWORD", springfield.password)
    monkeypatch.setenv("AGOLKIT_CA_BUNDLE", str(springfield.ca_bundle))
    monkeypatch.chdir(tmp_path)
    return springfield
