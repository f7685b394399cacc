"""A real S3 server for tests: a Ceph cluster of one monitor, one disk and one RADOS Gateway, all in one folder.

Needs Debian's packages ceph-mon, ceph-osd, radosgw, ceph-common. It enforces signatures, policies and conditions.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph-authtool", "monmaptool", "ceph")
ARCHIVE_CLASSES = ("STANDARD_IA", "GLACIER", "DEEP_ARCHIVE")
PATIENCE = 60.0

_CONFIGURATION = """
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{mon_port}
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
keyring = {folder}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
mon allow pool size one = true
mon max pg per osd = 2000
osd crush chooseleaf type = 0
osd objectstore = bluestore
bluestore block size = 21474836480
osd memory target = 1073741824
run dir = {folder}
pid file = {folder}/$name.pid
log file = {folder}/$name.log
admin socket = {folder}/$name.asok
crash dir = {folder}/crash
setuser match path =
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
[client.admin]
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw thread pool size = 64
rgw dynamic resharding = false
rgw crypt require ssl = false
rgw dns name = localhost
debug rgw = 0
"""


def is_installed() -> bool:
    """Whether this computer has all that the cluster needs."""
    return all(map(shutil.which, PROGRAMS))


@contextmanager
def cluster(folder: Path, users: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """A running gateway with users (access key, secret key); its address. It is ended with the block."""
    port, configuration = _free_port(), folder / "ceph.conf"
    for name in ("mon", "osd", "crash"):
        (folder / name).mkdir(parents=True)
    fsid = str(uuid.uuid4())
    configuration.write_text(
        _CONFIGURATION.format(fsid=fsid, folder=folder, port=port, mon_port=_free_port()), encoding="ascii"
    )

    def run(*command: str) -> None:
        done = subprocess.run(
            [command[0], "-c", str(configuration), *command[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")

    def auth(*arguments: str) -> None:
        subprocess.run(["ceph-authtool", str(folder / "keyring"), *arguments], check=True, capture_output=True)

    try:
        auth("--create-keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        everything = [word for who in ("mon", "osd", "mgr", "mds") for word in ("--cap", who, "allow *")]
        auth("--gen-key", "-n", "client.admin", *everything)
        auth("--gen-key", "-n", "osd.0", "--cap", "mon", "allow profile osd", "--cap", "osd", "allow *")
        monmap = str(folder / "monmap")
        mon_host = next(line.split(" = ")[1] for line in configuration.read_text().splitlines() if "mon host" in line)
        subprocess.run(
            ["monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[{mon_host}]", monmap],
            check=True,
            capture_output=True,
        )
        run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", str(folder / "keyring"))
        run("ceph-mon", "-i", "a")
        disk = str(uuid.uuid4())
        run("ceph", "--connect-timeout", "20", "osd", "new", disk)
        run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        run("ceph-osd", "-i", "0")
        for name, (access_key, secret_key) in users.items():
            keys = [f"--access-key={access_key}", f"--secret-key={secret_key}"]
            run("radosgw-admin", "user", "create", f"--uid={name}", f"--display-name={name}", *keys)
        for tier in ARCHIVE_CLASSES:
            place = ["--placement-id", "default-placement", "--storage-class", tier]
            run("radosgw-admin", "zonegroup", "placement", "add", "--rgw-zonegroup", "default", *place)
            pool = ["--data-pool", f"default.rgw.{tier.lower()}.data"]
            run("radosgw-admin", "zone", "placement", "add", "--rgw-zone", "default", *place, *pool)
        run("radosgw", "-n", "client.admin")
        address = f"http://127.0.0.1:{port}"
        _wait_for(address)
        yield address
    finally:
        for pid_file in folder.glob("*.pid"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(pid_file.read_text()), signal.SIGKILL)  # the gateway does not always heed SIGTERM


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(address: str) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
        else:
            return
