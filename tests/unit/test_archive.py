"""Archives, gzip and XML whose sender means harm: they are refused in little time and memory, with a reason."""

from __future__ import annotations

import gzip
import io
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from saved import zipped

from agolkit import packed
from agolkit.errors import CheckFailed
from agolkit.kinds import archive
from agolkit.kinds.archive import open_archive, proven_members, read_member
from agolkit.kinds.feature_service.geodatabase import geodatabase_in
from agolkit.kinds.metadata import root_name
from agolkit.kinds.scenes import _layer_in
from agolkit.kinds.tile_package import _unpacked, read_package
from agolkit.packed import unpacked, unpacked_lines, unpacked_list
from agolkit.store import Spool

MB = 1 << 20


@contextmanager
def bounded(*, megabytes: int, seconds: float = 10) -> Iterator[None]:
    """Fails where the block takes more memory at once, or more time, than this."""
    tracemalloc.start()
    began = time.monotonic()
    try:
        yield
        took, peak = time.monotonic() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * MB
    assert took < seconds


def entry(
    name: bytes, *, size: int, packed_size: int, check: int, at: int = 0, method: int = 8, flags: int = 0
) -> bytes:
    """One file in an archive's list of files."""
    times, rest = struct.pack("<HH", 0, 33), struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, at)
    head = b"PK\x01\x02" + struct.pack("<HHHH", 20, 20, flags, method) + times
    return head + struct.pack("<III", check, packed_size, size) + rest + name


def local(name: bytes, content: bytes, *, size: int, check: int, method: int = 8) -> bytes:
    """One file in an archive, with its own header."""
    head = struct.pack("<HHHHHIIIHH", 20, 0, method, 0, 33, check, len(content), size, len(name), 0)
    return b"PK\x03\x04" + head + name + content


def archive_of(body: bytes, listed: list[bytes], *, stated_list: int | None = None) -> bytes:
    """An archive with this list of files, however long."""
    whole = b"".join(listed)
    length, count = len(whole) if stated_list is None else stated_list, len(listed)
    large = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, length, len(body))
    where = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(body) + len(whole), 1)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return body + whole + large + where + end


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def overlapping(files: int, each: int) -> bytes:
    """A bomb whose files all share the same few packed bytes."""
    zeros = bytes(each)
    content, check = deflated(zeros), zlib.crc32(zeros)
    listed = [
        entry(b"%06d" % at, size=each, packed_size=len(content), check=check) for at in range(files)
    ]  # fmt: skip
    return archive_of(local(b"000000", content, size=each, check=check), listed)


def lying(size: int) -> bytes:
    """A bomb that states to be a hundred bytes long."""
    content = deflated(bytes(size))
    listed = [entry(b"a", size=100, packed_size=len(content), check=zlib.crc32(bytes(100)))]
    return archive_of(local(b"a", content, size=100, check=0), listed)


def compressed_by(method: int) -> bytes:
    """Thirty million zeros in a few bytes, by a method of which Python unpacks whole pieces."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as packed_files:
        packed_files.writestr("a", bytes(30 * MB))
    return stream.getvalue()


def nested(levels: int) -> bytes:
    content = bytes(MB)
    for level in range(levels):
        content = zipped({f"{level}-{at}.zip": content for at in range(10)})
    return content


def in_spool(content: bytes) -> Spool:
    spool = Spool()
    spool.write(content)
    return spool


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: overlapping(20_000, MB), r"would unpack to 20,971,520,000 bytes"),
        (lambda: archive_of(b"", [entry(b"a", size=1, packed_size=0, check=0)] * 1_500_000), "its list of files has"),
        (lambda: archive_of(b"", [], stated_list=1 << 60), "damaged"),
        (lambda: compressed_by(zipfile.ZIP_BZIP2), "a is compressed by method 12"),
        (lambda: compressed_by(zipfile.ZIP_LZMA), "a is compressed by method 14"),
        (lambda: lying(30 * MB), None),
        (lambda: zipped({"a": b"1"}).replace(b"\x14\x00\x00\x00", b"\x14\x00\x01\x00"), "damaged or encrypted"),
    ],
    ids=["overlapping", "endless list", "lying list", "bzip2", "lzma", "lying size", "encrypted"],
)
def test_a_hostile_zip_is_refused_in_bounds(content: Callable[[], bytes], said: str | None) -> None:
    """Whatever an archive states or hides, it costs some megabytes and seconds; a lying size does not even unpack."""
    spool = in_spool(content())
    with bounded(megabytes=12):
        if said is None:
            assert proven_members(spool) == 1
        else:
            with pytest.raises(CheckFailed, match=said):
                proven_members(spool)
    spool.close()


def test_archives_in_archives_are_files(tmp_path: Path) -> None:
    """Nothing is unpacked twice: an archive inside another is a file like any other."""
    with in_spool(nested(2)) as spool, bounded(megabytes=12):
        assert proven_members(spool) == 10
    assert not list(tmp_path.iterdir())


def test_an_archive_of_many_files_is_read() -> None:
    """Bounds do not refuse what is only large: twenty thousand files are all tested."""
    with in_spool(zipped({f"{at}": b"" for at in range(20_000)})) as spool:
        assert proven_members(spool) == 20_000


def test_one_file_of_an_archive_is_read_in_bounds() -> None:
    """A description of a package that has no end is refused."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed_files:
        packed_files.writestr("root.json", bytes(50 * MB))
    with bounded(megabytes=5), open_archive(stream) as opened:
        with pytest.raises(CheckFailed, match=r"root.json in the package has more than 1,000,000 bytes"):
            read_member(opened, "root.json", most=1_000_000)
        assert archive.METHODS == (0, 8)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.gdb": b"<OGRVRTDataSource/>"}, "holds 0 geodatabases"),
        ({"a.gdb/x.vrt": b"<OGRVRTDataSource/>"}, "has no a00000001.gdbtable"),
        ({"a.gdb/a00000001.gdbtable": b"", "b.gdb/a00000001.gdbtable": b""}, "holds 2 geodatabases"),
        ({"../a.gdb/a00000001.gdbtable": b""}, "holds 0 geodatabases"),
    ],
)
def test_only_a_geodatabase_is_given_to_gdal(files: dict[str, bytes], said: str, tmp_path: Path) -> None:
    """What only looks like one could be a file that leads GDAL to other files, or to other servers."""
    path = tmp_path / "x.zip"
    path.write_bytes(zipped(files))
    with pytest.raises(CheckFailed, match=said):
        geodatabase_in(path)


def test_a_gzip_bomb_is_not_unpacked() -> None:
    """More than was allowed, or than lists can shrink to, is refused before it is in memory."""
    bomb = gzip.compress(bytes(100 * MB), 1)
    with bounded(megabytes=200):
        with pytest.raises(ValueError, match="unpacks to more than 100 bytes"):
            unpacked(bomb, most=100)
        with pytest.raises(ValueError, match="unpacks to more than"):
            unpacked(bomb)
    assert unpacked(gzip.compress(b"a" * 100), most=100) == b"a" * 100


def test_a_list_is_unpacked_line_by_line() -> None:
    """A million lines take the room of one; more than a list can shrink to is refused."""
    long = gzip.compress(b"0123456789abcdef\n" * 1_000_000)
    bomb = gzip.compress((bytes(MB - 1) + b"\n") * 100, 1)
    with bounded(megabytes=32):
        assert sum(map(len, unpacked_list(long))) == 17_000_000
        with pytest.raises(ValueError, match="unpacks to more than"):
            sum(map(len, unpacked_list(bomb)))


def test_a_line_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines come one by one; one that is longer than any row is refused."""
    monkeypatch.setattr(packed, "LONGEST_LINE", MB)
    assert list(unpacked_lines(io.BytesIO(gzip.compress(b"a\nb" + b"c" * (MB - 1))))) == [
        b"a\n",
        b"b" + b"c" * (MB - 1),
    ]
    endless = io.BytesIO(gzip.compress(b"a\n" + bytes(100 * MB), 1))
    with bounded(megabytes=16), pytest.raises(ValueError, match="a line of more than 1,048,576 bytes"):
        list(unpacked_lines(endless))


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"a" * 999)[:-9], gzip.compress(b"a") + b"tail"])
def test_what_is_no_gzip_is_one_error(content: bytes) -> None:
    """Cut off, followed by something else, or no gzip at all."""
    if content:
        with pytest.raises(ValueError, match="no whole gzip"):
            unpacked(content)
        with pytest.raises(ValueError, match="no whole gzip"):
            list(unpacked_lines(io.BytesIO(content)))
    else:
        assert unpacked(content) == b""


LAUGHS = b'<!DOCTYPE m [<!ENTITY a "' + b"ha" * 50 + b'">' + b"".join(
    b'<!ENTITY %c "%b">' % (ord("a") + at, b"&%c;" % (ord("a") + at - 1) * 10) for at in range(1, 12)
) + b"]>"  # fmt: skip


@pytest.mark.parametrize(
    ("document", "name"),
    [
        (b"<metadata><a/></metadata>", "metadata"),
        (b"<gmd:MD_Metadata xmlns:gmd='http://x'/>", "MD_Metadata"),
        ('<?xml version="1.0" encoding="UTF-16"?><m/>'.encode("utf-16"), "m"),
        (b'<?xml version="1.0" encoding="windows-1252"?><m>\xe9</m>', "m"),
        (b'<!DOCTYPE m SYSTEM "http://127.0.0.1:9/esriprof80.dtd"><m/>', "m"),
        (b'<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><m>&x;</m>', "m"),
        (b'<!DOCTYPE m [<!ENTITY co "Company"> <!ENTITY % p SYSTEM "http://127.0.0.1:9/p.dtd"> %p;]><m>&co;</m>', "m"),
        (LAUGHS + b"<m>&l;</m>", "m"),
        (LAUGHS + b'<m a="&l;"/>', None),
        (b"<m>" * 100_000, None),
        (b"<m>" + b"<a/>" * 100_000 + b"</m>", "m"),
        (b"<m><!--" + b"-" * 8 + b" " * 10 * MB + b"--></m>", None),
        (b"<m a='" + b" " * 10 * MB + b"'/>", "m"),
        (b"", None),
        (b"<m>&undefined;</m>", None),
        (b"<m/><m/>", None),
        (b"\x1f\x8b\x08", None),
    ],
)
def test_metadata_is_read_without_being_built(document: bytes, name: str | None) -> None:
    """Entities stay as they are, nothing else is opened, and neither depth, width nor long words cost much."""
    with bounded(megabytes=60):
        if name is None:
            with pytest.raises(ValueError, match=r"line \d+, column \d+"):
                root_name(io.BytesIO(document))
        else:
            assert root_name(io.BytesIO(document)) == name


def test_what_packages_say_of_themselves_is_read_in_bounds(tmp_path: Path) -> None:
    """The settings of tiles, the description of a scene and a tile may each be a bomb, as may the name of a level."""
    zeros = gzip.compress(bytes(100 * MB), 1)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("root.json", bytes(100 * MB))
        made.writestr("3dSceneLayer.json.gz", zeros)
    path = tmp_path / "package"
    path.write_bytes(stream.getvalue())
    with bounded(megabytes=75):
        with pytest.raises(CheckFailed, match=r"root.json in the package has more than"):
            read_package(path, ".tpkx")
        with pytest.raises(CheckFailed, match=r"3dSceneLayer.json in the package is not JSON"):
            _layer_in(path)
        assert _unpacked(zeros) == zeros
    path.write_bytes(zipped({"root.json": b"{}", f"tile/L{'9' * 5000}/R0000C0000.bundle": b""}))
    with pytest.raises(CheckFailed, match="holds no tiles"):
        read_package(path, ".tpkx")
