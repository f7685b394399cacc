"""A store inside another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from agolkit.errors import StoreError
from agolkit.store import LocalStore, open_store


@pytest.mark.parametrize("below", ["backups/2026-11-23T020000Z/copy", "incoming", "blobs/aa", "link/x"])
def test_no_store_is_made_in_another_one(store: LocalStore, tmp_path: Path, below: str) -> None:
    """What the outer one removes, a backup or what a killed run has left, would take the inner one with it."""
    store.bind("0123456789abcdef", "Smallville")
    (tmp_path / "elsewhere").symlink_to(store.root)
    for root in (store.root, tmp_path / "elsewhere"):
        with pytest.raises(StoreError, match=r"lies in the store .*/store, .* Name a folder outside of it"):
            open_store(root / below)
    assert open_store(tmp_path / "beside").portal_id == ""
