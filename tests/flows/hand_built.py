"""A small organization, built by hand: three users, two folders, a group, a few items of each sort."""

from __future__ import annotations

from agolkit.sandbox.organization import Bytes, Folder, Group, Item, Organization, Repeated, User

PASSWORD = "correct horse battery staple"
FILE_ID = f"{1:032x}"
MAP_ID = f"{2:032x}"
ODD_ID = f"{3:032x}"
EMPTY_ID = f"{4:032x}"
BIG_ID = f"{5:032x}"
ZIP = bytes(range(256)) * 4096


def small_organization(mode: str = "online") -> Organization:
    """An organization with one administrator (`boss`), and two members (`ann`, `bob`)."""
    org = Organization(id="0123456789abcdef", name="Smallville", url_key="small", mode=mode, admin="boss")  # type: ignore[arg-type]
    org.add(
        User("boss", "The Boss", PASSWORD, "org_admin", id="u" * 32),
        User("ann", "Ann", PASSWORD, "org_publisher", id="a" * 32),
        User("bob", "Bob", PASSWORD, "org_user", id="b" * 32),
        Folder("f" * 32, "Water", "ann"),
        Folder("e" * 32, "Roads/2024", "bob"),
        Group("d" * 32, "Field crew", "boss", members=["ann"], access="private"),
        Item(FILE_ID, "boss", "Shapefile", "Parcels", name="parcels.zip", data=Bytes(ZIP), data_type="application/zip"),
        Item(
            MAP_ID, "ann", "Web Map", "Water", folder="f" * 32, data=Bytes(b'{"operationalLayers": []}'), tags=["blue"]
        ),
        Item(ODD_ID, "bob", "Web Map", "Odd", folder="e" * 32, data=Bytes(b'{"error": {"code": 1}, "version": "2"}')),
        Item(EMPTY_ID, "bob", "Web Map", "Empty", data=Bytes(b""), groups=["d" * 32]),
        Item(
            BIG_ID,
            "boss",
            "File Geodatabase",
            "Big",
            name="big.gdb.zip",
            data=Repeated(ZIP, 300_000_000),
            data_type="application/zip",
        ),
    )
    for number, item in enumerate(org.items.values()):
        item.created = item.modified = 1_700_000_000_000 + number * 1000
    return org


class Memory:
    """A sink that keeps what it is given, and counts how often it was restarted."""

    def __init__(self) -> None:
        self.content = b""
        self.restarts = 0
        self.expected = 0

    def expect(self, size: int) -> None:
        self.expected = size

    def restart(self) -> None:
        self.content = b""
        self.restarts += 1

    def write(self, chunk: bytes) -> None:
        self.content += chunk


class Nowhere:
    """A sink that counts and forgets."""

    size = 0

    def expect(self, size: int) -> None:
        """Any size is welcome."""

    def restart(self) -> None:
        self.size = 0

    def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
