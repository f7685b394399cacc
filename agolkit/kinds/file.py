"""Everything with a file payload: streamed, proven by its own check sums or the length that the portal states."""

from __future__ import annotations

from functools import partial

from agolkit.errors import CheckFailed
from agolkit.kinds.archive import ZIP, is_zip, proven_members
from agolkit.kinds.parts import extension_of, fetch_data, length_reach
from agolkit.kinds.picture import IMAGES
from agolkit.kinds.saving import Saving
from agolkit.layout import extension
from agolkit.model import Item, Reach
from agolkit.portal import Received
from agolkit.store import Spool

OLE = b"\xd0\xcf\x11\xe0"
"""An Office document that is protected by a password, whatever its ending."""
SIGNATURES = {
    **{ending: (magic,) for magic, ending in IMAGES.items()},
    ".7z": (b"7z\xbc\xaf\x27\x1c",),
    ".docx": (ZIP, OLE),
    ".gpkg": (b"SQLite format 3\x00",),
    ".kmz": (ZIP,),
    ".parquet": (b"PAR1", b"PARE"),
    ".pdf": (b"%PDF-",),
    ".pptx": (ZIP, OLE),
    ".xlsx": (ZIP, OLE),
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


def keep_file(saving: Saving, spool: Spool, received: Received, *, of: Item | None = None, part: str = "data") -> None:
    """Check what was received as the file of an item (of `saving`'s, unless named) and keep it.

    A file that is exactly as long as the portal states is the portal's file, also where it does not open: people do
    upload damaged and encrypted ones. It is kept, with a note.

    Raises
    ------
    CheckFailed
        It is not as long as the portal states; or it states nothing, and the file is not of its type or damaged.
    """
    item = of or saving.item
    path = f"{part}{extension_of(received, item)}"
    stated = item.size
    # The size of an item counts its resources too.
    in_resources = 0 if of else sum((saving.resources or {}).values())
    if stated and stated not in (received.size, received.size + in_resources):
        raise CheckFailed(
            f"{received.size:,} bytes came, the portal states {stated:,}. Run again; if it stays so, the file in the "
            "portal is not whole: let its owner upload it again."
        )
    reach, proof = length_reach(received), f"{received.size:,} bytes"
    try:
        check_signature(spool, path)
        if is_zip(spool):
            reach, proof = Reach.CONTENT, f"zip, {proven_members(spool):,} files"
    except CheckFailed as error:
        if not stated:
            raise
        saving.notes.append(f"{part}: saved as the portal has it, but {error}")
    saving.keep(part, spool, path, Reach.LENGTH if stated and reach is Reach.PARSED else reach, proof)


def check_signature(spool: Spool, path: str) -> None:
    """Raise `CheckFailed` where a file does not begin as files with its ending do."""
    ending = extension(path)
    beginnings = SIGNATURES.get(ending, (b"",))
    with spool.open() as stream:
        head = stream.read(1024)
    if not any(head.startswith(each) for each in beginnings) and not (ending == ".pdf" and b"%PDF-" in head):
        raise CheckFailed(f"it is not a {ending} file.")
