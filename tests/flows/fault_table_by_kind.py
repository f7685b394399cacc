"""Bad days of what only some items have, or the organization: rows, attachments, exports, listings, the sign-in."""

from __future__ import annotations

import random
from collections.abc import Callable

from fault_table import ALL, HTML, BadDay, Json, error, noted, recovered, spoiled
from fault_town import IDS
from saved import zipped

from agolkit.errors import CheckFailed, NotAnAnswer
from agolkit.sandbox import Fault, Sandbox
from agolkit.sandbox.organization import Bytes

EXPORTED = r"^/objects/(?!0{20})"
"""Where the portal redirects to for the data of an export item."""
TREES, SURVEY = "/trees/FeatureServer", "/survey/FeatureServer"
DATA = {kind: f"/items/{item_id}/data$" for kind, item_id in IDS.items()}


def rows_changed(change: Callable[[list[Json]], list[Json]]) -> Callable[[Json], Json]:
    """The answer to a query, with other rows in it."""
    return lambda answer: answer | {"features": change(answer["features"])} if "features" in answer else answer


def ids_moved(answer: Json) -> Json:
    """The ids of rows as they would be had all rows been loaded anew."""
    if "objectIds" in answer:
        return answer | {"objectIds": [each + 100 for each in answer["objectIds"]]}
    for feature in answer.get("features", ()):
        feature["attributes"]["OBJECTID"] += 200
    return answer


def listed_changed(change: Callable[[list[Json]], list[Json]]) -> Callable[[Json], Json]:
    """A page of a listing or a search, with other rows in it."""

    def changed(answer: Json) -> Json:
        return {key: change(value) if key in ("items", "results") else value for key, value in answer.items()}

    return changed


def with_item(change: Callable[[Sandbox, str], object]) -> Callable[[Sandbox, list[Fault]], None]:
    """Let somebody else do this to the map right before its data is answered."""

    def arrange(sandbox: Sandbox, faults: list[Fault]) -> None:
        faults[0].action = lambda: change(sandbox, IDS["map"])

    return arrange


def edit(sandbox: Sandbox, item_id: str) -> None:
    item = sandbox.org.items[item_id]
    item.data, item.title = Bytes(b'{"operationalLayers": [], "edited": true}'), "Edited"
    item.modified += 1


def keep_editing(sandbox: Sandbox, item_id: str) -> None:
    sandbox.org.items[item_id].modified += 1


def move(sandbox: Sandbox, item_id: str) -> None:
    sandbox.org.items[item_id].folder = "e" * 32


def give_away(sandbox: Sandbox, item_id: str) -> None:
    sandbox.org.items[item_id].owner, sandbox.org.items[item_id].folder = "boss", None


def revoke(sandbox: Sandbox, faults: list[Fault]) -> None:
    for fault in faults:
        fault.action = fault.action or sandbox.revoke_tokens


def shuffled(rows: list[Json]) -> list[Json]:
    return random.Random(len(rows)).sample(rows, len(rows))


def without(kind: str) -> Callable[[list[Json]], list[Json]]:
    return lambda rows: [row for row in rows if row.get("id") != IDS[kind]]


NO_ROWS = "rows of layer"
AS_ROWS = "saved as rows, because there is no geodatabase"
lost_job = error(400, "Item does not exist or is inaccessible.", messageCode="CONT_0001")
status_unknown = {"status": "", "itemId": "[itemID]", "statusMessage": "Item status doesn't exist"}
task_error = {
    "status": "failed",
    "statusMessage": '{"code":400,"message":"Index was outside the bounds of the array."}',
}

ROWS = {
    "a page of rows is shorter once": recovered(Fault("/query$", change=rows_changed(lambda rows: rows[:-1]), times=1)),
    "pages of rows are always shorter": spoiled(
        "rows fgdb", NO_ROWS, Fault("/query$", change=rows_changed(lambda rows: rows[:-1]))
    ),
    "rows come twice": spoiled("rows", NO_ROWS, Fault("/query$", change=rows_changed(lambda rows: rows * 2))),
    "rows come twice once": recovered(
        Fault("/query$", method="GET", change=rows_changed(lambda rows: rows * 2), times=1)
    ),
    "no rows come": spoiled("rows fgdb", NO_ROWS, Fault("/query$", change=rows_changed(lambda _rows: []))),
    "the count of rows lies": spoiled(
        "rows fgdb",
        "while it counts 13",
        Fault("/query$", change=lambda answer: answer | {"count": 13} if "count" in answer else answer),
    ),
    "the count of rows lies once": recovered(
        Fault("/query$", change=lambda answer: answer | {"count": 13} if "count" in answer else answer, times=8)
    ),
    "ids change between pages": spoiled("rows fgdb", NO_ROWS, Fault("/query$", change=ids_moved)),
    "rows without ids": spoiled(
        "rows fgdb",
        NO_ROWS,
        Fault("/query$", change=rows_changed(lambda rows: [{"attributes": {"Name": "?"}} for _ in rows])),
    ),
    "queries fail with HTTP 200": spoiled(
        "rows fgdb", "unable to get results", Fault("/query$", body=error(400, "unable to get results"))
    ),
    "the server takes one row at a time": recovered(
        Fault(
            "/query$",
            method="GET",
            change=lambda answer: answer if len(answer.get("features", ())) < 2 else error(500, "Too much."),
        )
    ),
    "layers without a definition": spoiled("rows fgdb view", "definition", Fault("/FeatureServer/layers$", body={})),
    "layers named and not described": spoiled(
        "rows fgdb view", "describes the layers []", Fault("/FeatureServer/layers$", body={"layers": [], "tables": []})
    ),
    "the service is down": spoiled("rows fgdb view", "HTTP 503", Fault("/FeatureServer", status=503)),
    "an attachment is cut off once": recovered(Fault(r"/attachments/\d+$", cut_after=9, times=2)),
    "attachments are always cut off": spoiled("rows", "attachment photo1.jpg", Fault(r"/attachments/1$", cut_after=9)),
    "an attachment is another one": spoiled(
        "rows", "bytes came, the service lists", Fault(r"/attachments/1$", body=b"x")
    ),
    "an attachment is a web page": spoiled("rows", "web page", Fault(r"/attachments/1$", body=HTML)),
    "attachments are not listed": spoiled("rows", "Oh (500)", Fault("/queryAttachments$", body=error(500, "Oh."))),
    "attachments are listed twice": recovered(
        Fault("/queryAttachments$", change=lambda answer: answer | {"attachmentGroups": answer["attachmentGroups"] * 2})
    ),
}
EXPORTS = {
    "the export job fails once": recovered(
        Fault("/status$", body={"status": "failed", "statusMessage": "No."}, times=1)
    ),
    "the export job always fails": noted("fgdb", "Index was outside", Fault("/status$", body=task_error)),
    "the export job is processing for ever": noted(
        "fgdb", "'processing'", Fault("/status$", body={"status": "processing"}), options={"attempts": 1}
    ),
    "the export job is in a state that nobody knows": noted(
        "fgdb", "'pondering'", Fault("/status$", body={"status": "pondering"}), options={"attempts": 1}
    ),
    "the export job has no state": noted(
        "fgdb", AS_ROWS, Fault("/status$", body=status_unknown), options={"attempts": 1}
    ),
    "the export job is lost": noted("fgdb", "lost on the server", Fault("/status$", body=lost_job)),
    "the export fails in the answer and succeeds": recovered(
        Fault("/export$", change=lambda _: error(500, "Oh."), times=1)
    ),
    "the answer to the export is lost": recovered(Fault("/export$", cut_after=0, times=1)),
    "the export may not be made": noted("fgdb", "Not yours", Fault("/export$", body=error(403, "Not yours."))),
    "the export is a zip of zero bytes": noted("fgdb", AS_ROWS, Fault(EXPORTED, status=200, body="")),
    "the export is a zip of nothing": noted("fgdb", "the zip holds 0", Fault(EXPORTED, body=zipped({}))),
    "the export is no zip": noted("fgdb", "zip is damaged", Fault(EXPORTED, body=b"\0\1" * 999)),
    "the export is another service's": noted(
        "fgdb", AS_ROWS, Fault(EXPORTED, body=zipped({"other.gdb/gdb": b"0" * 99}))
    ),
    "the export is cut off once": recovered(Fault(EXPORTED, cut_after=99, times=1)),
    "the export is shorter than it is": noted("fgdb", AS_ROWS, Fault(EXPORTED, longer=-99)),
    "deleting fails twice": recovered(Fault("/delete$", status=503, times=2)),
    "deleting seems to fail": recovered(Fault("/delete$", change=lambda _: error(500, "Oh."))),
    "deleting fails": BadDay([Fault("/delete$", body=error(403, "No."))], left_behind="by hand"),
    "the job of tiles fails": spoiled(
        "tiles", "Out of room", Fault("/jobs/", body={"jobStatus": "esriJobFailed", "message": "Out of room."})
    ),
    "the job of tiles never ends": spoiled(
        "tiles", "not done after", Fault("/jobs/", body={"jobStatus": "esriJobExecuting"}), options={"attempts": 1}
    ),
    "the package of tiles is another one": spoiled(
        "tiles", "tiles:", Fault("^/exports/", body=zipped({"tile/a.bundle": b"0" * 99}))
    ),
    "the package of tiles is empty": spoiled("tiles", "zip is damaged", Fault("^/exports/", status=200, body="")),
    "the package of tiles is cut off once": recovered(Fault("^/exports/", cut_after=99, times=1)),
    "tiles may not be exported": spoiled(
        "tiles", "Not supported", Fault("/exportTiles$", body=error(400, "Not supported."))
    ),
}
FILES = {
    "a file that states less than it has": spoiled(
        "file form", "the portal states", Fault("^/objects/0{20}", longer=-5)
    ),
    "a file is another one": spoiled("file form", "the portal states", Fault("^/objects/0{20}", body=b"%PDF else")),
    "a file is a web page": spoiled("file form", "web page", Fault("^/objects/0{20}", status=200, body=HTML)),
    "a file is nothing": spoiled("file form", "nothing", Fault("^/objects/0{20}", status=200, body="")),
    "the redirect has expired": BadDay(
        expected={
            "file form tiles": ("partial", "the server that the portal redirected to answered HTTP 403"),
            "fgdb": ("verified", AS_ROWS),
        },
        settings={"redirect_seconds": -1},
    ),
    "a document is a web page": spoiled("map", "data", Fault(DATA["map"], status=200, body=HTML)),
    "a document is empty": spoiled("map", "empty document", Fault(DATA["map"], status=200, body="{}")),
    "a document is cut in the middle": spoiled("map", "data", Fault(DATA["map"], longer=-5)),
    "a resource is shorter": spoiled(
        "map", "resource images/logo.png", Fault("/resources/images/logo.png$", longer=-5)
    ),
    "resources cannot be listed": spoiled(
        ALL, "resources: the portal says: Oh", Fault("/resources$", body=error(500, "Oh."))
    ),
    "the picture is none": spoiled("map", "thumbnail", Fault("/info/thumbnail", body=b"no picture")),
    "the metadata is none": spoiled("map", "metadata", Fault("/metadata.xml$", body=b"<metadata><open>")),
    "a file of the form is none": spoiled("form", "form.json", Fault("/info/form.json$", body=b"{open")),
    "relations fail": spoiled(ALL, "relations: the portal says: Oh", Fault("/relatedItems$", body=error(500, "Oh."))),
    "the description fails": spoiled(
        ALL, "item: the portal says: Oh", Fault(r"/items/0{20}\w+$", body=error(500, "Oh."))
    ),
}
MEANWHILE = {
    "an item is edited while it is saved": recovered(Fault(DATA["map"], times=1), arrange=with_item(edit)),
    "an item is edited again and again": spoiled(
        "map", "edited while it was saved", Fault(DATA["map"]), arrange=with_item(keep_editing)
    ),
    "an item is deleted while it is saved": spoiled(
        "map", "does not exist", Fault(DATA["map"], times=1), arrange=with_item(lambda box, key: box.org.items.pop(key))
    ),
    "an item is moved while it is saved": recovered(Fault(DATA["map"], times=1), arrange=with_item(move)),
    "an item changes its owner while it is saved": spoiled(
        "map", "item: ", Fault(DATA["map"], times=1), arrange=with_item(give_away)
    ),
}
LISTINGS = {
    "a search in another order at each page": recovered(Fault("/search$", change=listed_changed(shuffled))),
    "a search without an item": recovered(Fault("/search$", change=listed_changed(without("map")))),
    "a listing without an item": BadDay(
        [Fault("/content/users/ann/f{32}$", change=listed_changed(without("map")))], ends=NotAnAnswer
    ),
    "a listing without an item once": recovered(
        Fault("/content/users/ann/f{32}$", change=listed_changed(without("map")), times=1)
    ),
    "items are listed twice": recovered(Fault("/content/users/ann", change=listed_changed(lambda rows: rows * 2))),
    "a search that counts too many": BadDay(
        [Fault("/search$", change=lambda answer: answer | {"total": answer["total"] + 1})], ends=CheckFailed
    ),
}
REFUSED = Fault("/generateToken$", body=error(400, "Invalid username or password."), action=str)
SIGN_IN = {
    "the token is revoked once": recovered(Fault(DATA["map"], times=1), arrange=revoke),
    "the token is revoked at each part": recovered(
        Fault("/data$|/thumbnail/", times=1, by_path=True), arrange=revoke, options={"workers": 1}
    ),
    "the token is revoked at an attachment": recovered(Fault("/attachments/1$", times=1), arrange=revoke),
    "tokens live for two seconds": recovered(settings={"token_minutes": 0.034}),
    "the portal falters while it signs in anew": recovered(
        # Once only: a tile cannot ask for a new token itself, because a rejected one gets it a web page.
        Fault(DATA["map"], times=1),
        Fault("/generateToken$", status=503, times=1, action=str),
        arrange=revoke,
    ),
}
BY_KIND: dict[str, BadDay] = ROWS | EXPORTS | FILES | MEANWHILE | LISTINGS | SIGN_IN
