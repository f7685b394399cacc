"""A repair that is cut off at any step does no harm, and repairing again ends as if nothing had been."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from cut_off import Failing, PowerCut
from dated import save
from saved import files_below

import agolkit as ak
from agolkit.errors import StoreError
from agolkit.manifest import read_outcomes
from agolkit.store import Lease, LocalStore
from agolkit.store.blobs import blob_key


def made(root: Path) -> LocalStore:
    """A store of three backups in which everything is damaged that can be."""
    store = LocalStore(root)
    maps = [{"a": "same", "b": f"night {day}", "c": "flipped", "d": "lost"} for day in range(3)]
    names = [save(store, day, each, tree="auto") for day, each in enumerate(maps)]
    found = {store.get(blob_key(each)): root / blob_key(each) for each in store.blobs()}
    found[b'"night 1"'].unlink()
    for content in (b'"flipped"', b'"lost"'):
        os.chmod(found[content], 0o600)
        found[content].write_bytes(bytes(len(content)))
    (root / "backups" / names[2] / "Web Map" / f"Map c~{'c' * 32}" / "data.json").unlink()
    (root / "backups" / names[2] / "Web Map" / f"Map c~{'c' * 32}" / "data.json").write_bytes(b'"flipped"')
    (root / "backups" / names[2] / "Web Map" / f"Map a~{'a' * 32}" / "data.json").unlink()
    (root / "backups" / names[0] / "manifest.jsonl.gz").write_bytes(b"nothing")
    (root / "backups" / names[0] / "SHA256SUMS").unlink()
    (root / "backups" / names[1] / "backup.json").write_bytes(b"{}")
    (root / "backups" / names[2] / "report.html").unlink()
    (root / "store.json").unlink()
    (root / "README.txt").unlink()
    return store


def content(store: LocalStore) -> dict[str, object]:
    """Every file, but for who held the store when, and without the times of the repair."""
    files: dict[str, object] = {}
    for key, each in files_below(store.root).items():
        if key.endswith(("store.json", "backup.json")):
            facts = json.loads(each)
            facts.get("files", {}).pop("report.html", None)
            files[key] = {name: facts[name] for name in facts.keys() - {"created", "repaired", "own_sha256"}}
        elif key.endswith("report.html"):
            files[key] = b"it names the folder of the store"
        elif not key.startswith("lock"):
            files[key] = each
    return files


def opened(root: Path, lasts: float = float("inf")) -> Failing:
    store = Failing(root, lasts)
    with suppress(StoreError):
        store.inspect(create=False)
    return store


@pytest.mark.slow
def test_it_may_be_cut_off_at_any_step(tmp_path: Path) -> None:
    """Nothing that was whole is lost on the way, and what comes of it in the end is the same."""
    made(tmp_path / "undisturbed")
    undisturbed = opened(tmp_path / "undisturbed")
    done = ak.repair(undisturbed, deep=True)
    assert {each.item_id for each in done.lost} == {"d" * 32}
    assert {each.action for each in done.mended} == {"rebuild", "restore", "show"}
    expected = content(undisturbed)
    assert undisturbed.changes > 20
    for lasts in range(undisturbed.changes - 1):  # the last one releases the lease
        root = tmp_path / f"cut after {lasts}"
        made(root)
        with pytest.raises(PowerCut):
            ak.repair(opened(root, lasts), deep=True)
        store = opened(root)
        with Lease(store, "nobody", "the test", stale_after=0):
            pass
        ak.repair(store, deep=True)
        assert content(store) == expected, f"cut after {lasts} changes"
    for name in undisturbed.backup_names():
        assert {outcome.item.id[0] for outcome in read_outcomes(undisturbed, name)} == set("abcd")
        damages = ak.verify(undisturbed, name, deep=True).damages
        assert {each.item_id for each in damages} <= {"d" * 32}
