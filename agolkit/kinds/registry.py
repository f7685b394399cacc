"""Item type → kind. A type that is not known is saved as what the portal answers for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from agolkit.kinds.document import save_document
from agolkit.kinds.feature_service import is_same_beside_rows, save_feature_service
from agolkit.kinds.file import save_file
from agolkit.kinds.fingerprint import content_stamp, description_stamp
from agolkit.kinds.parts import save_description, save_parts
from agolkit.kinds.reference import HOSTED, save_reference
from agolkit.kinds.saving import RunContext, Saving
from agolkit.kinds.types import known_type
from agolkit.model import Item, Outcome
from agolkit.progress import attempts_noted


@dataclass(frozen=True, slots=True)
class Kind:
    """A family of item types that are saved the same way."""

    name: str
    save: Callable[[Saving], None]
    plan: str
    """What a run will do to such an item, in plain words."""
    recipe: int = 1
    """Raised when what is saved of such an item, or how it is checked, changes: older copies are not reused then."""


LOOKS = 2
"""How often an item is saved that is edited meanwhile."""

EXPORTS = "exports"

DOCUMENT = Kind("document", save_document, "save its JSON, resources and description")
FILE = Kind("file", save_file, "save its file, resources and description")
FEATURE_SERVICE = Kind(
    "feature service", save_feature_service, "save its layers, as a File Geodatabase or as rows, and its definition"
)
REFERENCE = Kind(
    "reference", save_reference, "save the package that it was published from, or else export it where that is allowed"
)
KINDS = {kind.name: kind for kind in (DOCUMENT, FILE, FEATURE_SERVICE, REFERENCE)}


def kind_of(item: Item) -> Kind:
    """The kind that saves this item; never an error."""
    known = known_type(item.type)
    if known is not None:
        return KINDS[known.kind]
    # What a service serves is not among the item's own files, so that it would look as if there were nothing to save.
    return REFERENCE if HOSTED in item.type_keywords else DOCUMENT


def lane_of(item: Item) -> str:
    """The lane that an item waits in: `EXPORTS` where the server may have to make an export of it, else none."""
    return EXPORTS if kind_of(item) is FEATURE_SERVICE or HOSTED in item.type_keywords else ""


def save_item(context: RunContext, item: Item) -> Outcome:
    """Save one item with all its parts, and judge it: the job that the engine runs for each item.

    Raises
    ------
    Stopped, TimedOut
        The run, or this item's time, has ended.
    StoreError, SignInError
        The store cannot be written to, or the portal not be read, any more: no item can be saved.
    """
    began = time.monotonic()
    kind = kind_of(item)
    for look in range(1, LOOKS + 1):
        saving = context.in_work[item.id] = Saving(context, item)
        save_parts(saving)
        kind.save(saving)
        saving.part("item", partial(save_description, saving))
        content = content_stamp(item, modified=saving.item.raw.get("modified"))
        description = description_stamp(item, saved=saving.item)
        saving.stamps |= {"recipe": kind.recipe, "content": content, "description": description}
        # The rows of a service have edit stamps of their own, and its export may move `modified`.
        if saving.item.modified == item.modified or (kind is FEATURE_SERVICE and is_same_beside_rows(saving)):
            break
        if look == LOOKS:
            saving.missing.append(
                "it was edited while it was saved; the parts may be of different moments. Run again when nobody "
                "edits it"
            )
        item = saving.item
    context.in_work.pop(item.id, None)  # it is gone already where the item was given up meanwhile
    return saving.outcome(kind=kind.name, attempts=attempts_noted(), seconds=time.monotonic() - began)
