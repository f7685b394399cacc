"""Finished backups of the practice city, made once for all tests that only read them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from city_run import Run, backed_up_springfield

import agolkit as ak


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """With the default options."""
    with backed_up_springfield(tmp_path_factory.mktemp("backups"), ak.BackupOptions()) as run:
        yield run


@pytest.fixture(scope="session")
def run_in_rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The hosted layers and views alone, all of them as rows."""
    options = ak.BackupOptions(types=["Feature Service"], feature_format="rows", views="rows")
    with backed_up_springfield(tmp_path_factory.mktemp("rows"), options) as run:
        yield run
