"""Everything with a file payload: streamed, proven by its own check sums or the length that the portal states."""

from __future__ import annotations

import zipfile
import zlib
from functools import partial

from agolkit.errors import CheckFailed
from agolkit.kinds.parts import extension_of, fetch_data, length_reach
from agolkit.kinds.saving import Saving
from agolkit.model import Reach
from agolkit.portal import Received
from agolkit.progress import beat
from agolkit.store import Spool

ZIP = b"PK\x03\x04"
SIGNATURES = {
    ".7z": b"7z\xbc\xaf\x27\x1c",
    ".docx": ZIP,
    ".gif": b"GIF8",
    ".gpkg": b"SQLite format 3\x00",
    ".jpg": b"\xff\xd8\xff",
    ".kmz": ZIP,
    ".parquet": b"PAR1",
    ".pdf": b"%PDF-",
    ".png": b"\x89PNG",
    ".pptx": ZIP,
    ".xlsx": ZIP,
}
"""How a file with this ending must begin. Endings that are used for several formats are not listed."""


def save_file(saving: Saving) -> None:
    """Save the file. An item of a file type without a file is only described."""
    saving.part("data", partial(_save_data, saving))


def _save_data(saving: Saving) -> None:
    with saving.context.spool() as spool:
        received = fetch_data(saving, spool)
        if received.size > 0:
            keep_file(saving, spool, received)
        elif saving.item.url:
            saving.described = "The file lives at the item's url, outside this portal."


def keep_file(saving: Saving, spool: Spool, received: Received) -> None:
    """Check what was received as a file and keep it.

    Raises
    ------
    CheckFailed
        It is not of its type, damaged, or not as long as the portal states.
    """
    extension = extension_of(received, saving.item)
    stated = saving.item.size
    if stated and stated != received.size:
        raise CheckFailed(f"{received.size:,} bytes came, the portal states {stated:,}.")
    with spool.open() as stream:
        head = stream.read(16)
    if not head.startswith(SIGNATURES.get(extension, b"")):
        raise CheckFailed(f"what the portal sent is not a {extension} file.")
    if head.startswith(ZIP):
        saving.keep("data", spool, f"data{extension}", Reach.CONTENT, f"zip, {proven_members(spool):,} files")
    elif stated:
        saving.keep("data", spool, f"data{extension}", Reach.LENGTH, f"{stated:,} bytes")
    else:
        saving.keep("data", spool, f"data{extension}", length_reach(received), f"{received.size:,} bytes")


def proven_members(spool: Spool) -> int:
    """Number of files in the zip, after the check sum of each was compared with its bytes.

    Raises
    ------
    CheckFailed
        The zip is cut off or a member is damaged. Fetching it again may help.
    """
    try:
        with spool.open() as stream, zipfile.ZipFile(stream) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            for info in members:
                with archive.open(info) as member:
                    while member.read(1 << 20):
                        beat()
            return len(members)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise CheckFailed(f"the zip is damaged ({error}).") from None
