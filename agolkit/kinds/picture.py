"""Pictures: which sort it is, and whether its end is there. The portal states no length for them."""

from __future__ import annotations

IMAGES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"RIFF": ".webp", b"BM": ".bmp"}
END_OF_PNG, END_OF_JPEG, SCAN_OF_JPEG = b"IEND\xaeB`\x82", b"\xff\xd9", b"\xff\xda"


def picture_ending(head: bytes) -> str:
    """The ending of the picture that begins so; empty where it is none."""
    ending = next((ext for magic, ext in IMAGES.items() if head.startswith(magic)), "")
    return ending or (".svg" if b"<svg" in head else "")


def has_its_end(picture: bytes) -> bool:
    """Whether a picture goes on to the end that its format prescribes. More may follow, as some cameras write it."""
    match picture_ending(picture):
        case ".png":
            return END_OF_PNG in picture
        case ".jpg":  # a small picture may stand in its head, so only an end behind the last scan counts
            return picture.rfind(END_OF_JPEG) > picture.rfind(SCAN_OF_JPEG)
        case ".gif":
            return picture.rstrip(b"\0").endswith(b";")
        case ".webp":
            return len(picture) >= 8 + int.from_bytes(picture[4:8], "little")
        case ".bmp":
            return len(picture) >= int.from_bytes(picture[2:6], "little")
        case _:
            return b"</svg>" in picture
