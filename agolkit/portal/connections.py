"""Connections on which no answer takes for ever: not its headers, and not a byte a minute.

A time-out of a socket ends silence only. A server that sends a little now and then keeps it from ever being reached.
"""

from __future__ import annotations

import http.client
import io
import math
import socket
import time
from typing import Any

from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

PATIENCE = 5
"""So many idle time-outs long an answer may trickle."""
SLOWEST = 16 * 1024
"""Bytes that have to arrive in each such time."""
LARGEST_HEAD = 8 * 1024 * 1024
"""Bytes before the body begins: as many headers, as long, as Python takes."""


class Trickle(TimeoutError):
    """Bytes arrive, but too few of them to be waited for."""


class _Paced(io.RawIOBase):
    """The bytes of one answer, as long as they come at a pace that leads somewhere."""

    def __init__(self, raw: io.RawIOBase, idle_timeout: float | None) -> None:
        self._raw = raw
        self._allowed = math.inf if idle_timeout is None else PATIENCE * idle_timeout
        self._since = time.monotonic()
        self._count = 0
        self.head_left = float(LARGEST_HEAD)
        """How many bytes the head may have yet."""

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() - self._since > self._allowed:
            if self._count < SLOWEST:
                raise Trickle(f"{self._count:,} bytes arrived within {self._allowed:,.0f} seconds")
            self._since, self._count = time.monotonic(), 0
        count = self._raw.readinto(buffer) or 0
        self._count += count
        self.head_left -= count
        if self.head_left < 0:
            raise http.client.HTTPException("the head of the answer has no end")
        return count

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._paced = _Paced(self.fp.detach(), sock.gettimeout())
        self.fp = io.BufferedReader(self._paced)

    def begin(self) -> None:
        super().begin()
        self._paced.head_left = math.inf


class _Connection(HTTPSConnection):
    response_class = _Answer


class ConnectionPool(HTTPSConnectionPool):
    """Connections to one host, whose answers keep a pace."""

    ConnectionCls = _Connection
