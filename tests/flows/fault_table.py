"""The bad days that every kind of item is put through, and what has to come of each."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fault_town import IDS

from agolkit.errors import AgolkitError
from agolkit.sandbox import Fault, Sandbox

Json = dict[str, Any]
ALL = " ".join(IDS)
OURS = rf"/items/({'|'.join(IDS.values())})"
LASTING = r"^(?!/objects/|/exports/|.*/jobs/)"
"""Addresses that are the same at the next attempt; those of redirects and jobs are made anew."""
STREAMED = r"/data$|/query$|/resources|/info/|/attachments/|/tile/"
PARTS = "/content/items/|/services/(?!.*/jobs/)"
SOON = {"idle_timeout": 0.5}
HTML = "<html><body><h1>504 Gateway Time-out</h1></body></html>"


@dataclass
class BadDay:
    """Faults, and what a backup comes to under them."""

    faults: Sequence[Fault] = ()
    expected: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Kinds → (result, words of the message); kinds that are not named are `verified`, without a word about them."""
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    ends: type[AgolkitError] | None = None
    """What ends the run instead, before any item is saved."""
    arrange: Callable[[Sandbox, list[Fault]], None] | None = None
    """What else is different in the organization; it may point the faults to it."""
    left_behind: str = ""
    """Words about what could not be removed from the portal."""

    def expectation(self, kind: str) -> tuple[str, str]:
        told = next((told for kinds, told in self.expected.items() if kind in kinds.split()), ("verified", ""))
        # The rows of the view are those of the survey, and it can be no better.
        if kind == "view" and told[0] == "verified" and self.expectation("rows")[0] != "verified":
            return "partial", "its source, which is not verified"
        return told


def error(code: int, message: str, *details: str, **more: Any) -> Json:
    """An error inside HTTP 200."""
    return {"error": {"code": code, "message": message, "details": list(details), **more}}


def recovered(*faults: Fault, **more: Any) -> BadDay:
    """A day on which everything is verified in the end."""
    return BadDay(faults, **more)


def spoiled(kinds: str, words: str, *faults: Fault, result: str = "partial", **more: Any) -> BadDay:
    """A day on which some kinds are not verified, with these words."""
    return BadDay(faults, {kinds: (result, words)}, **more)


def noted(kinds: str, words: str, *faults: Fault, **more: Any) -> BadDay:
    """A day on which some kinds are verified in another way than usual, with these words."""
    return spoiled(kinds, words, *faults, result="verified", **more)


def damaged_gzip(body: bytes) -> bytes:
    return b"\x1f\x8b\x08\x00" + body[4:]


EVERYWHERE: dict[str, BadDay] = {}
for code, words in ((429, "Too many requests."), (500, "Oh."), (502, "Bad gateway."), (503, "Busy."), (504, "Late.")):
    twice: dict[str, Any] = {"times": 2, "by_path": True}
    wait = {"headers": {"Retry-After": "30"}}
    EVERYWHERE |= {
        f"HTTP {code} twice at each address": recovered(Fault(LASTING, status=code, **twice)),
        f"HTTP {code} with Retry-After twice at each part": recovered(Fault(PARTS, status=code, **wait, **twice)),
        f"{code} inside HTTP 200 twice at each part": recovered(Fault(PARTS, body=error(code, words), **twice)),
        f"HTTP {code} for good at the data": spoiled(ALL, f"HTTP {code}", Fault(OURS + "/data$", status=code)),
        f"HTTP {code} for good where the portal redirects to": spoiled(
            "file form", f"HTTP {code}", Fault("^/objects/0{20}", status=code)
        ),
    }
once: dict[str, Any] = {"times": 1, "by_path": True}
in_gzip: dict[str, Any] = {"headers": {"Content-Encoding": "gzip"}, **once}
EVERYWHERE |= {
    "a web page in place of each answer once": recovered(Fault(LASTING, body=HTML, **once)),
    "each answer empty once": recovered(Fault(r"^(?!/objects/|/exports/|.*/(data|info/.*)$)", body="", **once)),
    "each part cut off once": recovered(Fault(STREAMED, cut_after=5, **once)),
    "each part stalls once": recovered(
        Fault(r"/data$|/query$|/resources|/FeatureServer$", cut_after=5, stalls=True, **once), options=SOON
    ),
    "each part silent once": recovered(Fault(r"/data$|/query$", cut_after=0, stalls=True, **once), options=SOON),
    "each part states more than it has once": recovered(Fault(STREAMED, longer=7, **once)),
    "a picture shorter than it is, of that length, once": recovered(Fault(r"/info/.*png$", longer=-5, **once)),
    "each answer chunked": recovered(Fault("", chunked=True)),
    "each part in wrong compression once": recovered(Fault(PARTS, rewrite=damaged_gzip, **in_gzip)),
    "each part in compression that is cut once": recovered(
        Fault(PARTS, rewrite=lambda body: gzip.compress(body)[:-9], **in_gzip)
    ),
    "503 at random": recovered(Fault(LASTING, status=503, chance=0.05)),
    "cut off at random": recovered(Fault(LASTING, cut_after=40, chance=0.05)),
    "web pages at random": recovered(Fault(LASTING, body=HTML, status=502, chance=0.05)),
    "all answers slow": recovered(Fault("/data$|/query$", bandwidth=20_000)),
}

NO_PERMISSION = "You do not have permissions to access this resource or perform this operation."
INVALID_FIELD = "'Invalid field: date' parameter is invalid"
RECORDED: dict[str, tuple[Json, str]] = {
    "invalid field": (
        error(400, "Cannot perform query. Invalid query parameters.", INVALID_FIELD),
        "Invalid field: date",
    ),
    "no folder": (
        error(400, "User folder does not exist.", messageCode="CONT_0004"),
        "folder does not exist (400 CONT",
    ),
    "no group": (
        error(400, "Group does not exist or is inaccessible.", messageCode="CONT_0006"),
        "Group does not exist",
    ),
    "client id": (error(400, "Invalid client_id", error="invalid_client_id"), "Invalid client_id (400)"),
    "client secret": (error(400, "Invalid client_secret", error="invalid_request"), "client_secret"),
    "invalid url": (error(400, "Invalid URL", "Invalid URL"), "Invalid URL (400)"),
    "no item": (error(400, "Item does not exist or is inaccessible.", messageCode="CONT_0001"), "Item does not exist"),
    "no title": (error(400, "'type' and 'title' property required."), "'title' property required"),
    "no results": (error(400, "unable to get results"), "unable to get results (400)"),
    "no permission": (error(403, NO_PERMISSION, messageCode="GWM_0003"), "You do not have permissions"),
    "invalid token": (error(498, "Token Invalid.", "The token is either invalid or has expired."), "Token Invalid"),
    "no token": (
        error(499, "Token Required", "Token Required", messageCode="GWM_0003"),
        "Required (499 GWM_0003)",
    ),
    "no token there": (error(499, "Token Required", messageCode="SB_0005"), "Token Required (499 SB_0005)"),
    "no token at a service": (error(499, "Token required.", "Token required."), "Token required (499)"),
    "an error occurred": (error(500, "An error occurred.", "An error occurred."), "An error occurred (500)"),
    "an error occurred, busy": (error(503, "An error occurred."), "An error occurred (503)"),
    "billing": ({"code": 200, "message": None, "status": "failure"}, "no reason given (200)"),
}
"""Bodies of errors as portals and services have been seen to send them, and the words that must be told of them."""
ERRORS = {
    f"recorded error: {name}": spoiled(ALL, words, Fault(OURS + "/data$", body=body))
    for name, (body, words) in RECORDED.items()
}
