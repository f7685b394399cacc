"""Whether a backup is still what was saved."""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import IO, Any

from agolkit.errors import StoreDamaged
from agolkit.layout import extension, tree_path
from agolkit.manifest import SUMS, read_outcomes, sha256_sums
from agolkit.model import Outcome, Part, Reach, counted
from agolkit.store.base import Store, blob_key

SAID = 50
"""Damages that the text of a report names; all are in `damages`."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is missing or is not what was saved."""

    item_id: str
    """Empty where it is a file of the backup itself."""
    title: str
    path: str
    """Where it stands: below the backup's folder, or `blobs/…` below the store's."""
    what: str
    """What is wrong with it, in words an administrator understands."""

    def __str__(self) -> str:
        of = f" of {self.title} ({self.item_id})" if self.item_id else ""
        return f"{self.path}{of}: {self.what}"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was looked at, and what is damaged. `str()` and `repr()` say it in plain words."""

    backup: str
    state: str
    """Of the backup: `complete`, `stopped` or `unfinished`."""
    deep: bool
    """Whether every byte was read again."""
    files: int
    """Different files looked at: blobs, and the files of the backup itself."""
    bytes: int
    damages: tuple[Damage, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damages

    @property
    def exit_code(self) -> int:
        """0, or 4 where something is damaged, as the command line ends."""
        return StoreDamaged.exit_code if self.damages else 0

    def to_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {"ok": self.ok, **asdict(self)}

    def __str__(self) -> str:
        how = "read again and compared" if self.deep else "found with the right size"
        seen = f"{counted(self.files, 'file')}, {self.bytes:,} bytes"
        if self.ok:
            return f"Backup {self.backup} ({self.state}) is unharmed: {seen}, {how}."
        places = counted(len(self.damages), "place")
        lines = [f"Backup {self.backup} ({self.state}) is damaged in {places}, of {seen}:"]
        lines += [f"  {damage}" for damage in self.damages[:SAID]]
        if len(self.damages) > SAID:
            lines.append(f"  and {len(self.damages) - SAID:,} more.")
        return "\n".join(lines)

    __repr__ = __str__


def verify(store: Store, backup: str = "latest", *, deep: bool = False) -> VerifyReport:
    """Whether everything that a backup lists is there and unharmed.

    Always: the manifest is the one that `backup.json` names, every blob and file is there with its size, SHA256SUMS
    says what the manifest says, and the tree is whole. With `deep`, every byte is read again and its hash compared,
    and archives and JSON that were well-formed when they were saved are opened again. Changes nothing.

    Raises
    ------
    NoSuchBackup
        There is no such backup. Damage is no error here: it is in the report.
    """
    name = store.resolve(backup)
    checking = _Checking(store, name, deep)
    checking.check_all()
    return VerifyReport(
        backup=name,
        state=checking.state,
        deep=deep,
        files=len(checking.sizes),
        bytes=sum(checking.sizes.values()),
        damages=tuple(checking.damages),
    )


class _Checking:
    """One verification on its way."""

    def __init__(self, store: Store, name: str, deep: bool) -> None:
        self._store = store
        self._name = name
        self._deep = deep
        self._known: dict[str, str] = {}
        self.state = "unknown"
        self.damages: list[Damage] = []
        self.sizes: dict[str, int] = {}

    def check_all(self) -> None:
        try:
            facts = self._store.summary(self._name)
            self.state = facts["state"]
            self._check_own_files(facts.get("files", {}))
            outcomes = read_outcomes(self._store, self._name)
        except StoreDamaged as error:
            self._add("backup.json" if self.state == "unknown" else "manifest.jsonl.gz", str(error))
            return
        finished = self.state != "unfinished"
        if finished and self._store.find(self._key(SUMS)) not in (sha256_sums(outcomes), None):
            self._add(SUMS, "it does not say what the manifest says")
        has_tree = finished and facts.get("tree") in ("links", "copy")
        for outcome in outcomes:
            for part in outcome.parts:
                self._check_part(outcome, part)
                if has_tree:
                    self._check_in_tree(outcome, part)

    def _check_own_files(self, files: dict[str, dict[str, Any]]) -> None:
        for path, expected in files.items():
            what = self._compare(self._key(path), expected["sha256"], expected["size"])
            if what:
                self._add(path, what)

    def _check_part(self, outcome: Outcome, part: Part) -> None:
        digest = part.blob.sha256
        if digest not in self._known:
            self._known[digest] = self._compare(blob_key(digest), digest, part.blob.size)
        what = self._known[digest]
        if not what and self._deep:
            what = self._open_again(part)
        if what:
            self._add(blob_key(digest), f"{what} (part {part.path})", outcome)

    def _check_in_tree(self, outcome: Outcome, part: Part) -> None:
        path = tree_path(outcome.item, part)
        key = self._key(path)
        if not self._store.is_linked(part.blob.sha256, key):
            what = self._compare(key, part.blob.sha256, part.blob.size)
            if what:
                self._add(path, f"{what}, in the tree; fetch takes the blob instead", outcome)

    def _compare(self, key: str, sha256: str, size: int) -> str:
        """What is wrong with the content of a key; empty where nothing is."""
        found = self._store.size(key)
        if found is None:
            return "it is missing"
        self.sizes[key] = found
        if found != size:
            return f"it has {found:,} bytes instead of {size:,}"
        try:
            changed = self._deep and self._hash(key) != sha256
        except OSError as error:
            return f"it cannot be read ({error.strerror}); the disk may be failing"
        return "its content was changed" if changed else ""

    def _open_again(self, part: Part) -> str:
        # A payload of which only the length was proven may have been no valid archive in the portal either, and a
        # resource may be anything: their hash is all there is to say.
        if part.reach is Reach.LENGTH or part.name == "resource":
            return ""
        with self._store.open_blob(part.blob.sha256) as stream:
            return _trouble_inside(part.path, stream)

    def _hash(self, key: str) -> str:
        with self._store.open(key) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]  # IO[bytes] has readinto

    def _key(self, path: str) -> str:
        return f"backups/{self._name}/{path}"

    def _add(self, path: str, what: str, outcome: Outcome | None = None) -> None:
        item_id, title = (outcome.item.id, outcome.item.title) if outcome else ("", "")
        self.damages.append(Damage(item_id=item_id, title=title, path=path, what=what))


def _trouble_inside(path: str, stream: IO[bytes]) -> str:
    """What is wrong inside an archive or a JSON file; empty where nothing is, or nothing can be said."""
    try:
        if extension(path) == ".zip":
            with zipfile.ZipFile(stream) as archive:
                # What is encrypted cannot be tested, and was not when it was saved.
                open_to_all = not any(member.flag_bits & 1 for member in archive.infolist())
                bad = archive.testzip() if open_to_all else None
            return f"{bad} inside it is damaged" if bad else ""
        if extension(path) == ".json":
            _parse(stream.read())
        elif path.endswith(".jsonl.gz"):
            with gzip.open(stream) as lines:
                _parse_lines(lines)
        elif path.endswith(".jsonl"):
            _parse_lines(stream)
    except (zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile, ValueError) as error:
        return f"it is not well-formed: {error}"
    except (NotImplementedError, RecursionError):
        return ""  # a compression method that Python does not know, or JSON that is nested deeper than it goes
    return ""


def _parse_lines(lines: Iterable[bytes]) -> None:
    for line in lines:
        _parse(line)


def _parse(text: bytes) -> None:
    # As text, because Python refuses to make numbers of more than 4,300 digits, which are well-formed JSON.
    json.loads(text, parse_int=str)
