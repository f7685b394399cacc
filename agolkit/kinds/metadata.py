"""The metadata of an item: an XML document of its owner's, which is looked at without being built up in memory."""

from __future__ import annotations

from typing import IO
from xml.parsers import expat

from agolkit.errors import CheckFailed, NotFound
from agolkit.kinds.fingerprint import file_stamp
from agolkit.kinds.saving import Saving
from agolkit.model import Reach
from agolkit.portal import Portal
from agolkit.progress import beat

NO_METADATA = "CONT_0036"
ADVICE = "Open the item's metadata in the portal and save it again."
AT_ONCE = 8 << 20
"""Bytes that the parser is given at once: older ones begin anew with each piece where a word does not end in it."""


def save_metadata(saving: Saving) -> None:
    """Save the metadata document where the item says that it has one."""
    if "Metadata" not in saving.item.type_keywords:
        return
    with saving.context.spool() as spool:
        try:
            received = saving.portal.download(address(saving.item.id), spool, params={"f": "json"})
        except NotFound as error:
            if NO_METADATA in error.words:  # the keyword outlives a deleted document
                return
            raise
        try:
            with spool.open() as stream:
                name = root_name(stream)
        except ValueError as error:
            raise CheckFailed(f"what the portal sent is not XML that can be read ({error}). {ADVICE}") from None
        if name.casefold() == "html":
            raise CheckFailed(f"the portal sent a web page instead of metadata. {ADVICE}")
        saving.keep("metadata", spool, "metadata.xml", Reach.PARSED)
        saving.stamps["metadata"] = file_stamp(received)


def same_metadata(portal: Portal, item_id: str, stamp: str | None) -> bool:
    """Whether the portal says of the metadata what it said when they were saved; they are not sent."""
    return stamp is not None and stamp == file_stamp(portal.look(address(item_id)))


def address(item_id: str) -> str:
    return f"content/items/{item_id}/info/metadata/metadata.xml"


def root_name(stream: IO[bytes]) -> str:
    """The name of the outermost element of an XML document, without its namespace.

    Nothing outside the document is read, and entities in its text are left as they are, so that a document has the
    size that it has.

    Raises
    ------
    ValueError
        It is not well-formed, or its entities would make it many times as long.
    """
    names: list[str] = []

    def note(name: str, _: object) -> None:
        names.append(name)
        parser.StartElementHandler = None

    parser = expat.ParserCreate()
    parser.StartElementHandler = note
    parser.DefaultHandler = lambda _: None  # its presence is what leaves entities as they are
    try:
        while piece := stream.read(AT_ONCE):
            parser.Parse(piece, False)
            beat()
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError) as error:
        raise ValueError(str(error)) from None
    return names[0].rpartition(":")[2]
