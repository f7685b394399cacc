"""The attachments of a hosted layer, each a file of its own, so that one new photo costs one photo."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial

from agolkit.errors import CheckFailed
from agolkit.kinds.parts import length_reach
from agolkit.kinds.saving import Saving
from agolkit.layout import extension
from agolkit.model import Reach
from agolkit.portal import AttachmentFact, FeatureService, ServiceLayer

AT_ONCE = 4


def save_attachments(saving: Saving, service: FeatureService, layer: ServiceLayer, object_ids: Iterable[int]) -> None:
    """Save every attachment of these rows, and the list of what belongs to which row.

    The list, `attachments/<layer>.jsonl`, holds a line for each: what the service says of it, and its `path`.
    """
    rows = {object_id: str(object_id) for object_id in object_ids}
    facts = list(service.attachments(layer, rows))
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="agolkit-attachments") as executor:
        saves = [partial(_save_one, saving, service, layer, fact) for fact in facts]
        futures = [
            executor.submit(copy_context().run, saving.part, f"attachment {fact.name} of row {fact.object_id}", save)
            for fact, save in zip(facts, saves, strict=True)
        ]
        for future in futures:
            future.result()
    lines = [json.dumps({**fact.raw, "path": _path(layer, fact)}, ensure_ascii=False) for fact in facts]
    with saving.context.spool() as spool:
        for line in lines:
            spool.write(line.encode() + b"\n")
        proof = f"layer {layer.id}, {len(facts):,} listed"
        saving.keep("attachments", spool, f"attachments/{layer.id}.jsonl", Reach.PARSED, proof)


def _save_one(saving: Saving, service: FeatureService, layer: ServiceLayer, fact: AttachmentFact) -> None:
    with saving.context.spool() as spool:
        received = service.fetch_attachment(layer, fact, spool)
        if received.size != fact.size:
            raise CheckFailed(f"{received.size:,} bytes came, the service lists {fact.size:,}.")
        saving.keep("attachment", spool, _path(layer, fact), length_reach(received), exact_name=fact.name)


def _path(layer: ServiceLayer, fact: AttachmentFact) -> str:
    return f"attachments/{layer.id}/{fact.object_id}-{fact.id}{extension(fact.name)}"
