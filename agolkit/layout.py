"""Names inside a backup. Pure: nothing here touches a file system.

Whatever the portal calls its things, a path made here is relative, shorter than 150 characters, and means the same
file on Linux, macOS and Windows. Lengths are counted in UTF-16 units, as Windows counts them.
"""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

from agolkit.model import Item, Part

LONGEST_PATH = 149
"""Of a path inside a backup: `type/title~id/part`."""
LONGEST_PART = 44
"""Of the part's path inside the item's folder."""
LONGEST_FOLDER = LONGEST_PATH - 1 - LONGEST_PART
LONGEST_TYPE = 40
LONGEST_TITLE = 40

HASHED_FOLDER = "r"
"""Stands in for names that cannot be paths: `resources/r/<12 hex>.<ext>`."""

OWN_NAMES = frozenset(
    name.casefold()
    for name in (
        *("AllItems.csv", "manifest.jsonl.gz", "SHA256SUMS", "organization.json", "report.html", "log.jsonl"),
        *("backup.ipynb", "backup.json", "unpinned.json", "journal", "log"),
    )
)
"""What stands beside the item types in a backup's folder, in lower case; an item type never takes such a name."""

# "Naming files, paths, and namespaces" (learn.microsoft.com): reserved with any extension, and the superscripts too.
_DEVICES = frozenset(["con", "prn", "aux", "nul", "conin$", "conout$"]) | frozenset(
    port + digit for port in ("com", "lpt") for digit in "0123456789¹²³"
)
_NOT_ON_WINDOWS = frozenset('<>:"\\|?*')
_BACKUP_NAME = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z(-\d+)?")
_HASHED_PATH = re.compile(rf"(?P<prefix>.*/){HASHED_FOLDER}/[0-9a-f]{{12}}(\.[a-z0-9]{{1,8}})?")


def backup_name(moment: datetime) -> str:
    """The name of a backup that began at `moment`: `2026-11-23T020000Z`, so that names sort by time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H%M%SZ")


def backup_moment(name: str) -> datetime:
    """When the backup of that name began, to the second."""
    return datetime.strptime(name[: len("2026-11-23T020000Z")], "%Y-%m-%dT%H%M%SZ").replace(tzinfo=UTC)


def is_backup_name(name: str) -> bool:
    """Whether `name` is one that `backup_name` makes, with `-2` and so on for runs that began in the same second."""
    return bool(_BACKUP_NAME.fullmatch(name))


def zip_name(organization: str, backup: str) -> str:
    """The name of a backup's zip: `springfield_2026-11-23T020000Z.zip`, in plain ASCII whatever the organization's
    name is."""
    plain = unicodedata.normalize("NFKD", organization).encode("ascii", "ignore").decode().lower()
    short = re.sub("[^a-z0-9]+", "-", plain)[:LONGEST_TITLE].strip("-")
    return f"{short or 'organization'}_{backup}.zip"


@lru_cache(maxsize=1024)  # asked for once for each part of an item
def item_folder(item: Item) -> str:
    """The item's folder in the tree: `Web Map/Water~9c8d…`. The title is decoration; the id makes it unique."""
    kind = _plain(item.type, LONGEST_TYPE) or "no type"
    if kind.casefold() in OWN_NAMES:
        kind += "_"
    ending = folder_ending(item.id)
    title = _plain(item.title, min(LONGEST_TITLE, LONGEST_FOLDER - _units(kind) - len(f"/{ending}")))
    return f"{kind}/{title or 'untitled'}{ending}"


def folder_ending(item_id: str) -> str:
    """How the name of an item's folder ends, whatever its title was: `~9c8d…`. No other item's ends so."""
    # Ids are 32 hexadecimal digits; anything else did not come from a portal that behaves, and is not let into a path.
    known = re.fullmatch("[0-9a-f]{32}", item_id)
    return f"~{item_id if known else _digest(item_id)[:32]}"


def tree_path(item: Item, part: Part) -> str:
    """Where a part stands in the tree of its backup."""
    return f"{item_folder(item)}/{part.path}"


def extension(name: str) -> str:
    """The extension of a file name in lower case, dot included; empty where it has none that is safe to use."""
    found = re.search(r"\.[A-Za-z0-9]{1,8}\Z", name)
    return found.group().lower() if found else ""


def safe_path(exact_name: str, prefix: str) -> tuple[str, str | None]:
    """The path for one of the portal's own names below `prefix` (such as `resources/`), and the name if it differs.

    A name that is a safe path everywhere is kept as it is and `None` is returned with it; any other becomes
    `<prefix>r/<12 hex>.<ext>`, and is returned to be kept in the manifest as `Part.exact_name`.
    Where an item has several names, use `safe_paths`: two safe names may still collide.
    """
    return safe_paths([exact_name], prefix)[exact_name]


def safe_paths(exact_names: Iterable[str], prefix: str) -> dict[str, tuple[str, str | None]]:
    """Paths as `safe_path` makes them for all names of one item, none of which is another's file or folder.

    Names that differ in case only, and a name that is also another's folder, are hashed. The answer does not depend
    on the order of the names.
    """
    names = sorted(set(exact_names))
    alike: dict[str, int] = {}
    folders: set[str] = set()
    for name in names:
        folded = fold(name)
        alike[folded] = alike.get(folded, 0) + 1
        folders.update(folders_of(folded))
    paths: dict[str, tuple[str, str | None]] = {}
    taken: set[str] = set()
    for name in names:
        folded = fold(name)
        safe = allowed(name) and folded.split("/")[0] != HASHED_FOLDER and _units(prefix + name) <= LONGEST_PART
        if safe and alike[folded] == 1 and folded not in folders:
            paths[name] = (prefix + name, None)
        else:
            digest, at = _digest(name), 0
            # Twelve digits are few enough for somebody to find two names that share them.
            while (path := f"{prefix}{HASHED_FOLDER}/{digest[at : at + 12]}{extension(name)}") in taken:
                at += 1
            taken.add(path)
            paths[name] = (path, name)
    return paths


def exact_path(part: Part) -> str:
    """The part's path with the portal's own name put back where it was hashed. It may not be a safe path."""
    hashed = _HASHED_PATH.fullmatch(part.path)
    return hashed["prefix"] + part.exact_name if hashed and part.exact_name is not None else part.path


def allowed(path: str, *, windows: bool = True) -> bool:
    """Whether `path` is a relative path that stays below where it starts, and that a file system takes as it is.

    With `windows`, it must be one on every system: no reserved names or characters, no blank or dot at an end that
    would be dropped, no invisible characters or ends of lines, Unicode in its composed form (macOS would change it).
    """
    return all(_allowed_name(name, windows) for name in path.split("/"))


def is_short(path: str) -> bool:
    """Whether `path` is short enough for a path inside a backup."""
    return _units(path) <= LONGEST_PATH


def fold(path: str) -> str:
    """Equal for two paths that a file system may take for one: letters by case, accents by composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).upper().casefold())


def folders_of(path: str) -> list[str]:
    """The folders that a path leads through: `a` and `a/b` for `a/b/c.png`."""
    return [path[:at] for at, character in enumerate(path) if character == "/"]


@functools.lru_cache(maxsize=4096)  # a store asks for each file, and most of a path is the same each time
def _allowed_name(name: str, windows: bool) -> bool:
    categories = set() if name.isprintable() else {unicodedata.category(character) for character in name}
    if name in ("", ".", "..") or categories & {"Cc", "Cs"} or len(name.encode()) > 255:
        return False
    return not windows or not (
        name[-1] in " ."
        or name[0] == " "
        or _NOT_ON_WINDOWS & set(name)
        or categories & {"Cf", "Cn", "Co", "Zl", "Zp"}
        or _is_device(name)
        or not unicodedata.is_normalized("NFC", name)
    )


def _is_device(name: str) -> bool:
    return name.split(".")[0].rstrip(" ").casefold() in _DEVICES


def _plain(text: str, room: int) -> str:
    """`text` as decoration of a name: letters, digits, blank, `-`, `_`, `.`; at most `room` long; may be empty."""
    text = unicodedata.normalize("NFC", text)
    text = "".join(character if _is_plain(character) else "_" for character in text)
    text = re.sub("_{2,}", "_", re.sub(" {2,}", " ", text)).strip(" .")
    if _is_device(text):
        text = "_" + text
    while _units(text) > room:
        text = text[:-1]
    return text.strip(" .")


def _is_plain(character: str) -> bool:
    category = unicodedata.category(character)
    return character in " -_." or category[0] in "LM" or category == "Nd"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _digest(name: str) -> str:
    # A portal's JSON can hold half a surrogate pair; its name must still get a path.
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
