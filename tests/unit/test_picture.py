"""Pictures are known by how they begin, and whole ones by how they end."""

from __future__ import annotations

import pytest

from agolkit.kinds.picture import has_its_end, picture_ending
from agolkit.sandbox.city.payloads import png

SMALL_JPEG = b"\xff\xd8\xff\xda pixels \xff\xd9"
PICTURES = {
    ".png": png((9, 9, 9), 16, 16),
    ".jpg": b"\xff\xd8\xff\xe1 in the head " + SMALL_JPEG + b" and then \xff\xda pixels \xff\xd9",
    ".gif": b"GIF89a pixels ;",
    ".webp": b"RIFF" + (10).to_bytes(4, "little") + b"WEBPpixels",
    ".bmp": b"BM" + (20).to_bytes(4, "little") + b"fourteen bytes",
    ".svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><g/></svg>\n',
}


@pytest.mark.parametrize("ending", PICTURES)
def test_a_picture_is_whole_with_its_end_only(ending: str) -> None:
    """Every format has its end; a picture that lost some bytes lacks it, and one with more behind it does not."""
    picture = PICTURES[ending]
    assert picture_ending(picture[:512]) == ending
    assert has_its_end(picture)
    assert not any(has_its_end(picture.rstrip()[:-lost]) for lost in (1, 2, 5))
    if ending != ".gif":
        assert has_its_end(picture + b"\0\0 more")


def test_what_begins_like_no_picture_has_no_ending() -> None:
    """A web page or nothing at all is no picture."""
    assert picture_ending(b"<html>") == picture_ending(b"") == ""
