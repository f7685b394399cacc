"""Whom we trust and who may read: certificates are always checked, and files are their owner's alone."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_town import IDS, fault_town
from portals import connect

import agolkit as ak
from agolkit.errors import Unreachable
from agolkit.sandbox import Sandbox
from agolkit.store import Spool

RUN = [sys.executable, "-c", "from agolkit.cli import main; main()"]
OFF = {
    "PYTHONHTTPSVERIFY": "0",
    "REQUESTS_CA_BUNDLE": "",
    "CURL_CA_BUNDLE": "",
    "SSL_CERT_FILE": "",
    "AGOLKIT_CA_BUNDLE": "",
    "AGOLKIT_VERIFY": "0",
    "NODE_TLS_REJECT_UNAUTHORIZED": "0",
}
"""What switches the check of certificates off in other programs, or might."""
posix = pytest.mark.skipif(os.name == "nt", reason="on Windows the folder's own list says who may read")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(fault_town()) as sandbox:
        yield sandbox


def modes(folder: Path) -> dict[str, str]:
    """What of a folder, and of all that is in it, others than the owner may do; empty where that is nothing."""
    found = {str(path): stat.filemode(path.lstat().st_mode) for path in [folder, *folder.rglob("*")]}
    return {path: mode for path, mode in found.items() if mode[4:] != "------"}


def test_an_untrusted_certificate_ends_the_command(sandbox: Sandbox) -> None:
    """Exit code 5 and what to do, whatever the environment says; not a byte of a password is sent."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AGOLKIT_")}
    account = {"AGOLKIT_USERNAME": sandbox.username, "AGOLKIT_PASSWORD": sandbox.password}
    sandbox.log.clear()
    done = subprocess.run(
        [*RUN, "check", "--url", sandbox.url], env=kept | account | OFF, capture_output=True, text=True, check=False
    )
    assert done.returncode == 5
    assert "certificate is not trusted" in done.stderr
    assert "AGOLKIT_CA_BUNDLE" in done.stderr
    assert sandbox.log.entries == []


def test_no_argument_switches_the_check_off(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither our session nor that of `arcgis` can be talked into trusting anybody."""
    for name, value in OFF.items():
        monkeypatch.setenv(name, value)
    portal = connect(sandbox)
    with Sandbox(fault_town()) as stranger:  # signed by an authority of its own
        address = f"{stranger.url}/sharing/rest/info?f=json"
        session = portal._session
        session.verify = False
        with pytest.raises(Exception, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
            session.get(address, verify=False)
        session.verify = True
        with pytest.raises(Unreachable, match="not trusted"):
            ak.connect(stranger.url, username="boss", password="x", ca_bundle=sandbox.ca_bundle)
        assert stranger.log.entries == []
    assert portal.gis._con._session.verify is True
    with pytest.raises(AttributeError):
        portal.gis._con._session.verify = False


@posix
def test_what_is_written_is_its_owners_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    """Store, lock, tree, fetched folders and zip files, converted layers: nobody else may read or even list them."""
    before = os.umask(0)
    try:
        (tmp_path / "scratch").mkdir(mode=0o755)
        store = ak.open_store(tmp_path / "store")
        seen: dict[str, str] = {}

        def look(_: object) -> None:
            for each in [tmp_path / "store", *(tmp_path / "scratch").iterdir()]:
                seen.update(modes(each))

        ak.backup(connect(sandbox), store, ak.BackupOptions(scratch=str(tmp_path / "scratch")), progress=look)
        store.put(f"backups/{store.backup_names()[0]}/backup.ipynb", b"{}")
        ak.fetch(store, "latest", tmp_path / "out")
        ak.fetch(store, "latest", tmp_path / "out.zip")
        ak.fetch(store, "latest", tmp_path / "gdb", items=[IDS["rows"]], format="gdb")
        with Spool(tmp_path / "new" / "scratch") as spool:
            spool.write(b"x")
            seen |= modes(spool.path())
    finally:
        os.umask(before)
    for each in ("store", "out", "out.zip", "gdb"):
        seen |= modes(tmp_path / each)
    assert seen == {}
    blobs = [path for path in (tmp_path / "store" / "blobs").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in blobs} == {0o400}
