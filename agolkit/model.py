"""The words of agolkit as frozen dataclasses: item, part, blob, outcome, summary.

Pure data, shared by every floor. Times are timezone-aware UTC datetimes, sizes are bytes, durations seconds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

RUN_MIME = "application/vnd.agolkit.run+json"
"""Type of the output by which an executed notebook says how its run ended."""


class Result(StrEnum):
    """The verdict on one item."""

    VERIFIED = "verified"
    PARTIAL = "partial"
    DESCRIBED = "described"
    FAILED = "failed"
    EXCLUDED = "excluded"
    STOPPED = "stopped"


class Reach(StrEnum):
    """How far the check of a part reaches."""

    CONTENT = "content"
    """Ids, hashes or bytes were compared with what the portal states."""
    LENGTH = "length"
    """The number of bytes is the one that the portal states."""
    PARSED = "parsed"
    """Well-formed and of the right type; the portal offers no more."""


FEW_LAYERS = 3
"""Layers of one item that are each told in `checked`; more are summed up."""
_NUMBER = re.compile(r"\d[\d,]*")
PAYLOADS = ("geodatabase", "rows", "source", "tiles", "data", "resource")
"""Parts that are the content of an item; the others describe it."""


class Sink(Protocol):
    """Where a transfer writes to. A transfer that starts again calls `restart` first."""

    def expect(self, size: int) -> None:
        """Hear how many bytes will be written, where that is known; raises an error where they are too many."""

    def write(self, chunk: bytes, /) -> object: ...

    def restart(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Blob:
    """One saved file, named by the SHA-256 of its content."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """One saved part of an item: which file, which blob, and what was proven of it."""

    name: str
    """Which part it is: `item`, `data`, `thumbnail`, … Parts of the same name, such as resources, differ in `path`."""
    path: str
    """Where it stands inside the item's folder of the tree, always safe: `data.json`, `resources/a/b.png`."""
    blob: Blob
    reach: Reach
    proof: str = ""
    """The numbers of the proof, such as `layer 0, 12,408 of 12,408 ids`."""
    exact_name: str | None = None
    """The portal's own name, where it differs from what `path` says."""


def from_epoch_ms(stamp: object) -> datetime | None:
    """The UTC time of an epoch-milliseconds stamp; `None` for the portal's -1, 0, missing and impossible stamps."""
    if not isinstance(stamp, int | float) or stamp <= 0:
        return None
    try:
        return datetime.fromtimestamp(stamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):  # no year that there is; which of them depends on the system
        return None


def to_stamp(moment: datetime) -> str:
    """A time as it is saved and shown: ISO 8601 in UTC, ending in `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def shown(text: str) -> str:
    """`text`; half a surrogate pair, which is no character but can stand in a portal's JSON, as `\\ud800`."""
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(text: str) -> str:
    """`text` on one line, with `?` for what would steer a terminal or turn the reading around."""
    joiners = "\u200c\u200d"  # not seen, and needed to write Persian and many emoji
    return "".join(each if each.isprintable() or each in joiners else "?" for each in shown(text))


def counted(number: int, word: str) -> str:
    """The number with the word: `1 item`, `1,200 items`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def in_bytes(size: float) -> str:
    """`340 B`, `1.2 KB`, `25 MB`, in powers of 1,000."""
    units = ["TB", "GB", "MB", "KB", "B"]
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        units.pop()
    return f"{size:,.1f} {units[-1]}" if size < 9.95 and units[-1] != "B" else f"{size:,.0f} {units[-1]}"


def plain(word: str) -> str:
    """The form in which item types, and ids, are compared: no case, no blanks."""
    return "".join(word.split()).casefold()


def _text(value: object) -> str:
    """A text as it is, a number as text; nothing for anything else."""
    return value if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""


def _texts(values: object) -> tuple[str, ...]:
    """The texts and numbers of a list, as texts."""
    return tuple(filter(None, map(_text, values))) if isinstance(values, list | tuple) else ()


@dataclass(frozen=True, slots=True)
class Item:
    """One content item as the inventory saw it. `raw` is the portal's own JSON, untouched."""

    id: str
    title: str
    type: str
    owner: str
    folder: str = ""
    """Title of the owner's folder; empty for the root."""
    access: str = "private"
    tags: tuple[str, ...] = ()
    type_keywords: tuple[str, ...] = ()
    created: datetime | None = None
    modified: datetime | None = None
    size: int | None = None
    """Bytes as the portal states them; `None` where it says -1 or nothing."""
    url: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any], *, folder: str = "") -> Item:
        """Make an item of the portal's item JSON; absent fields are allowed, a missing id is not (`KeyError`).

        What is not of the type that the field should have is made text, or dropped; `raw` keeps it.
        """
        size = raw.get("size")
        return cls(
            id=raw["id"],
            title=_text(raw.get("title")),
            type=_text(raw.get("type")),
            owner=_text(raw.get("owner")),
            folder=folder,
            access=_text(raw.get("access")) or "private",
            tags=_texts(raw.get("tags")),
            type_keywords=_texts(raw.get("typeKeywords")),
            created=from_epoch_ms(raw.get("created")),
            modified=from_epoch_ms(raw.get("modified")),
            size=size if isinstance(size, int) and 0 <= size < 2**63 else None,
            url=_text(raw.get("url")),
            raw=raw,
        )


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder of an owner; the root has none."""

    id: str
    title: str
    owner: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """Every item that the account can see, and which of them the scope takes."""

    items: tuple[Item, ...]
    """In scope, ordered by created, then id."""
    excluded: tuple[tuple[Item, str], ...]
    """(item, reason in plain words), for what the scope leaves out by an exclusion (`exclude_*`)."""
    exports: tuple[Item, ...]
    """Temporary items that some run made for an export and that are still there, in scope or not."""
    owners: int
    folders: tuple[Folder, ...]
    """Every folder of these owners, empty ones included."""
    requests: int
    counted: str
    """How completeness was proven, for people: `12,000 items listed, 12,000 counted by search`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item in one run."""

    item: Item
    result: Result
    observed: datetime
    """When the item was looked at."""
    kind: str = ""
    parts: tuple[Part, ...] = ()
    groups: tuple[str, ...] = ()
    """Titles of the groups it is shared with."""
    how: str = ""
    """`fetched` or `reused`; empty where nothing was saved."""
    left_out: tuple[str, ...] = ()
    """Parts that an option switched off."""
    attempts: int = 0
    """The most attempts that one of its requests or jobs took."""
    seconds: float = 0.0
    message: str = ""
    """What is missing and why, in words an administrator understands."""
    fingerprint: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    """The stamps by which a later run knows that nothing has changed; empty where it has to fetch the item anyway."""

    def accepted(self, accept: Mapping[str, str]) -> str | None:
        """The reason for which `accept` (item ids or types) takes this item as it is; `None` where it does not."""
        if self.result not in (Result.FAILED, Result.PARTIAL):
            return None
        names = plain(self.item.id), plain(self.item.type)
        return next((reason for word, reason in accept.items() if plain(word) in names), None)

    @property
    def saved_bytes(self) -> int:
        return sum(part.blob.size for part in self.parts)

    @property
    def checked(self) -> str:
        """What was proven, payload first: `geodatabase content: 3 layers, 120 of 120 rows; item parsed; …`.

        Of a few layers each has its own numbers (`rows content: layer 0, 120 of 120 ids`), of many there is the sum.
        """
        proofs: dict[str, list[str]] = {}
        order = (*PAYLOADS, "definition")
        for part in sorted(self.parts, key=lambda part: order.index(part.name) if part.name in order else len(order)):
            proofs.setdefault(f"{part.name} {part.reach}", []).append(part.proof)
        said: list[str] = []
        for what, each in proofs.items():
            if len(each) > FEW_LAYERS and all(proof.startswith("layer ") for proof in each):
                said.append(f"{what}: {_of_layers(each)}")
            else:
                said += [
                    what + (f": {proof}" if proof else "") + (f" ({count})" if count > 1 else "")
                    for proof, count in Counter(each).items()
                ]
        return "; ".join(said)


def _of_layers(proofs: Sequence[str]) -> str:
    """The sum of what was proven of each layer: of `layer 0, 3 of 4 ids` and so on, `5 layers, 30 of 40 ids`."""
    sums: dict[str, list[int]] = {}
    for proof in proofs:
        for fact in proof.split(", ")[1:]:
            numbers = [int(number.replace(",", "")) for number in _NUMBER.findall(fact)]
            words = _NUMBER.sub("{:,}", fact)
            sums[words] = [one + other for one, other in zip(sums.get(words, [0] * len(numbers)), numbers, strict=True)]
    return ", ".join([counted(len(proofs), "layer"), *(words.format(*numbers) for words, numbers in sums.items())])


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run has made. `str()` and `repr()` say it in a sentence, failures in plain words below."""

    backup: str
    """Name of the backup in the store, such as `2026-11-23T020000Z`; empty for a dry run."""
    store: str
    state: str
    """`complete` or `stopped`."""
    counts: Mapping[Result, int]
    fetched_bytes: int
    new_bytes: int
    """Bytes that the store did not hold before."""
    seconds: float
    failures: tuple[Outcome, ...]
    """Partial and failed items that are not accepted, worst first."""
    left_behind: tuple[str, ...]
    """What could not be removed from the portal, each with what to do."""
    exit_code: int
    """0, 3 (also where a zip was asked for and none published), 7 while a mass-change alarm stands, or that of what
    stopped the run, as the command line ends."""
    stopped_by: str = ""
    """Why the run ended before its time, and what to do; empty for a complete one."""
    kept: int | None = None
    """Items that were kept of a run that was interrupted; `None` where the backup was begun anew."""
    reused: int = 0
    """Items that have not changed since an earlier backup, and were taken from there."""
    unsigned: tuple[Outcome, ...] = ()
    """Of a run that fetched everything: items that had changed although the portal gave no sign of it."""
    alarms: tuple[str, ...] = ()
    """What changed on a suspicious scale since the backup before; older backups are pinned until somebody unpins."""
    standing: tuple[str, ...] = ()
    """Earlier backups of the scope whose alarms nobody has ended yet."""
    zip: str = ""
    """Where the backup is published as one zip, in the store; empty where it is not."""
    not_zipped: str = ""
    """Why it is not, although that was asked for."""

    def __str__(self) -> str:
        if self.state == "planned":
            return "Dry run: nothing was saved. `plan_backup` shows what a run would do."
        total = sum(self.counts.values())
        said = ", ".join(f"{count:,} {result}" for result, count in self.counts.items() if count)
        how = f"{counted(total, 'item')} ({said or 'nothing in scope'}) in {self.seconds:,.0f} s"
        lines = [f"Backup {self.backup} is {self.state}: {how}."]
        if self.kept is not None:
            lines[0] += f" It was taken up after an interruption; {counted(self.kept, 'item')} kept."
        if self.reused:
            lines[0] += f" {counted(self.reused, 'item')} unchanged since an earlier backup and taken from there."
        lines[0] = f"{lines[0]} {self.stopped_by}".rstrip()
        lines += [f"  ALARM: {sentence}" for sentence in self.alarms]
        lines += [f"  ALARM: The alarm of the backup {name} still stands." for name in self.standing]
        if self.alarms or self.standing:
            lines.append("  Older backups are pinned: prune removes none until `agolkit unpin` says that it was meant.")
        for outcome in self.unsigned:
            item = outcome.item
            lines.append(f"  had changed without a sign, and is saved now: {item.title} ({item.type}, {item.id})")
        for outcome in self.failures:
            item = outcome.item
            lines.append(one_line(f"  {outcome.result}: {item.title} ({item.type}, {item.id}): {outcome.message}"))
        lines += [one_line(f"  left behind: {sentence}") for sentence in self.left_behind]
        lines += [f"  published as {self.zip}"] if self.zip else []
        lines += [one_line(f"  no zip was published: {self.not_zipped}")] if self.not_zipped else []
        return "\n".join(lines)

    __repr__ = __str__

    def to_json(self) -> dict[str, Any]:
        """The summary as plain JSON values, for `--json` and for whoever runs the notebook."""
        return {
            "backup": self.backup,
            "store": self.store,
            "state": self.state,
            "counts": {str(result): count for result, count in self.counts.items()},
            "fetched_bytes": self.fetched_bytes,
            "new_bytes": self.new_bytes,
            "seconds": round(self.seconds, 3),
            "kept": self.kept,
            "reused": self.reused,
            "unsigned": [outcome.item.id for outcome in self.unsigned],
            "failures": [
                {
                    "item_id": outcome.item.id,
                    "title": outcome.item.title,
                    "type": outcome.item.type,
                    "owner": outcome.item.owner,
                    "message": outcome.message,
                    "result": str(outcome.result),
                }
                for outcome in self.failures
            ],
            "left_behind": list(self.left_behind),
            "exit_code": self.exit_code,
            "alarms": list(self.alarms),
            "standing": list(self.standing),
            "stopped_by": self.stopped_by,
            "zip": self.zip,
            "not_zipped": self.not_zipped,
        }

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """What a notebook keeps of a run: the sentence for people, the JSON for the program that ran the notebook."""
        return {"text/plain": str(self), RUN_MIME: self.to_json()}
