"""What all tests share: practice portals that are closed when a test ends, and an empty store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import buckets
import ceph as ceph_cluster
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


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of a moto server, which plays S3 for tests that need no enforced sign-in."""
    with buckets.moto() as address:
        yield address


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Ceph RADOS Gateway, a real S3 server; `buckets.KEYS` sign in to it."""
    if not ceph_cluster.is_installed():
        pytest.skip("Ceph is not installed (Debian: ceph-mon ceph-osd radosgw ceph-common)")
    keys = buckets.KEYS["AWS_ACCESS_KEY_ID"], buckets.KEYS["AWS_SECRET_ACCESS_KEY"]
    with ceph_cluster.cluster(tmp_path_factory.mktemp("ceph"), {"agol": keys, "other": ("other", "othersecret")}) as at:
        yield at
