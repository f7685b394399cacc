"""A practice portal in a process of its own, so that it does not share an interpreter with what is measured."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import pytest

from agolkit.sandbox import Sandbox, Settings
from agolkit.sandbox.organization import Organization


@dataclass(frozen=True)
class Served:
    """Where the practice portal is, and how to sign in."""

    url: str
    ca_bundle: str
    username: str
    password: str
    pipe: Connection | None = None

    def sent(self) -> int:
        """Bytes that the portal has sent since it was last asked."""
        assert self.pipe
        self.pipe.send("sent")
        return int(self.pipe.recv())


def _serve(
    make: Callable[..., Organization], sizes: dict[str, Any], settings: dict[str, Any], pipe: Connection
) -> None:
    with Sandbox(make(**sizes), Settings(**settings)) as sandbox:
        pipe.send(Served(sandbox.url, str(sandbox.ca_bundle), sandbox.username, sandbox.password))
        while pipe.recv() == "sent":
            pipe.send(sum(entry.bytes_out for entry in sandbox.log.entries))
            sandbox.log.clear()


@contextmanager
def _served(make: Callable[..., Organization], sizes: dict[str, Any], settings: dict[str, Any]) -> Iterator[Served]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(make, sizes, settings, theirs))
    process.start()
    try:
        yield replace(ours.recv(), pipe=ours)
        ours.send("stop")
    finally:
        process.join(20)
        process.kill()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Start a practice portal: `serve(city.generated, {"items": 1000}, latency=0.05)`."""
    with ExitStack() as stack:
        yield lambda make, sizes, **settings: stack.enter_context(_served(make, sizes, settings))
