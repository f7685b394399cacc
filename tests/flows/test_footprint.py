"""What a backup asks and writes: nothing but export items is written, and the token stays with the portal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_town import IDS, fault_town
from portals import connect

import agolkit as ak
from agolkit.manifest import read_outcomes
from agolkit.model import Outcome
from agolkit.sandbox import Fault, Sandbox
from agolkit.sandbox.city.payloads import png
from agolkit.sandbox.organization import Bytes, Item

BY_URL, BY_NAME = "a" * 32, "b" * 32


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The portal is 127.0.0.1; `localhost`, which is served too, is none of the hosts that it names as its own."""
    with Sandbox(fault_town()) as sandbox:
        yield sandbox


def foreign(sandbox: Sandbox, path: str) -> str:
    """An address on the foreign host."""
    return sandbox.url.replace("127.0.0.1", "localhost").replace("/portal", path)


def asked_elsewhere(sandbox: Sandbox) -> set[str]:
    """The first part of each path that was asked of the foreign host; nothing there came with a token."""
    entries = [entry for entry in sandbox.log.entries if entry.host.startswith("localhost")]
    assert not [entry.path for entry in entries if entry.token_came]
    return {entry.path.split("/")[1] for entry in entries}


def backed_up(sandbox: Sandbox, store: Path) -> dict[str, Outcome]:
    opened = ak.open_store(store)
    # A portal that never tells how far a job is, is asked until the job has to be done.
    summary = ak.backup(connect(sandbox), opened, ak.BackupOptions(export_timeout=1))
    return {outcome.item.id: outcome for outcome in read_outcomes(opened, summary.backup)}


def test_only_export_items_are_written(sandbox: Sandbox, tmp_path: Path) -> None:
    """Each export is of an item in scope, each deletion of an export item, for good; all else is as it was."""
    before = {item.id: (item.title, item.modified, item.owner, item.folder) for item in sandbox.org.items.values()}
    backed_up(sandbox, tmp_path / "store")
    writes = [entry.path.rsplit("/", 1)[-1] for entry in sandbox.log.writes()]
    assert sorted(writes) == ["delete", "export"]
    after = {item.id: (item.title, item.modified, item.owner, item.folder) for item in sandbox.org.items.values()}
    assert after == before
    assert not sandbox.org.recycle_bin
    assert not [entry for entry in sandbox.log.unsigned_content() if not entry.host.startswith("localhost")]


@pytest.mark.parametrize("item_type", ["Feature Service", "Map Service", "Scene Service", "Web Map"])
@pytest.mark.parametrize("keywords", [[], ["Hosted Service"]])
def test_an_item_that_points_elsewhere_is_not_followed(
    sandbox: Sandbox, tmp_path: Path, item_type: str, keywords: list[str]
) -> None:
    """Whoever can edit an item can write any address into it; that host is not asked, with or without the token."""
    url = foreign(sandbox, f"/{sandbox.org.id}/arcgis/rest/services/trees/FeatureServer")
    sandbox.org.add(Item(BY_URL, "ann", item_type, "Elsewhere", url=url, type_keywords=keywords, data=Bytes(b"{}")))
    outcome = backed_up(sandbox, tmp_path / "store")[BY_URL]
    assert outcome.item.url == url
    assert asked_elsewhere(sandbox) <= {"objects", "exports"}


def test_names_that_are_addresses_are_names(sandbox: Sandbox, tmp_path: Path) -> None:
    """A resource, a picture or a thumbnail that is called like an address is asked of the portal, or not at all."""
    names = [foreign(sandbox, "/x.png"), foreign(sandbox, "/y.png").partition(":")[2], "../../../../z.png"]
    sandbox.org.add(
        Item(
            BY_NAME,
            "ann",
            "Web Map",
            "Named",
            data=Bytes(b"{}"),
            resources=dict.fromkeys(names, png((1, 2, 3))),
            screenshots=names,
            stated={"thumbnail": names[0], "banner": names[1]},
        )
    )
    backed_up(sandbox, tmp_path / "store")
    assert asked_elsewhere(sandbox) <= {"objects", "exports"}


@pytest.mark.parametrize("path", ["/data$", "/resources/", "/info/", "/FeatureServer", "/attachments/", "/status$"])
def test_a_redirect_elsewhere_gets_no_token(sandbox: Sandbox, tmp_path: Path, path: str) -> None:
    """Wherever a portal redirects to, the token does not go along."""
    there = {"Location": foreign(sandbox, "/collect")}
    fault = sandbox.faults.add(Fault(path, status=302, body="", headers=there))
    outcomes = backed_up(sandbox, tmp_path / "store")
    assert fault.struck
    assert "collect" in asked_elsewhere(sandbox)
    assert set(outcomes) == set(IDS.values())
    assert set(sandbox.org.items) == set(IDS.values())
