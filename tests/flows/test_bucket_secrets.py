"""A server that repeats in its errors what it was sent: the keys and the token are in nothing that anybody sees."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from buckets import new_bucket, sign_in

from agolkit.errors import NoSuchBackup, StoreError
from agolkit.store import Spool, open_store
from agolkit.store import bucket as bucket_module
from agolkit.store import objects as objects_module
from agolkit.store.objects import BucketStore

SECRET, TOKEN = "planted-secret-5d1f0a", "planted-token-5d1f0a"
ANSWERS = {
    "ExpiredToken": 400,
    "SignatureDoesNotMatch": 403,
    "AccessDenied": 403,
    "NoSuchUpload": 404,
    "OperationAborted": 409,
    "PreconditionFailed": 412,
    "MovedElsewhere": 301,
}
"""Codes and statuses of errors that a server may answer anything with."""


@pytest.fixture(params=ANSWERS)
def echo(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server that refuses everything in the same way, and repeats all headers, with the secret key."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            sent = f"{self.headers} {SECRET} {TOKEN}"
            body = f"<Error><Code>{request.param}</Code><CanonicalRequest>{sent}</CanonicalRequest></Error>".encode()
            self.send_response(ANSWERS[request.param])
            self.send_header("content-length", str(len(body)))
            self.send_header("location", f"http://127.0.0.1:1/?X-Amz-Security-Token={TOKEN}&X-Amz-Signature={SECRET}")
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body)

        def log_message(self, *args: Any) -> None:
            pass

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any  # noqa: N815  the names are http.server's

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def spool() -> Spool:
    with Spool() as made:
        made.write(b"x")
        return made


DEEDS: dict[str, Callable[[BucketStore], Any]] = {
    "opening the store": lambda store: open_store(store.location),
    "reading": lambda store: store.get("a"),
    "reading a blob": lambda store: store.copied("0" * 64),
    "looking": lambda store: store.size("a"),
    "listing": lambda store: store.names(""),
    "listing blobs": lambda store: list(store.stored()),
    "writing": lambda store: store.put("a", b"x"),
    "writing a blob": lambda store: store.keep("blobs/00/0", spool(), read_only=True),
    "writing in pieces": lambda store: store.stream("zips/a.zip", iter([b"x"])),
    "writing on a condition": lambda store: store.swap("a", None, b"x"),
    "asking the time": lambda store: store.now(),
    "asking the age": lambda store: store.age("a"),
    "removing": lambda store: store.remove("a"),
    "removing blobs": lambda store: store.remove_blobs(["0" * 64]),
    "taking the lease": lambda store: store.lock("run", "somebody").__enter__(),
    "tidying": lambda store: store.tidy(),
}


@contextmanager
def suppress_ours() -> Iterator[list[Exception]]:
    """What is raised in the block, where it is one of our errors, or says that a key is not there."""
    raised: list[Exception] = []
    try:
        yield raised
    except (StoreError, NoSuchBackup, FileNotFoundError) as error:
        raised.append(error)


def test_nothing_that_a_server_repeats_is_said(moto: str, echo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is done and however it is refused, what is raised is ours, and no secret is in it or what led to it."""
    sign_in(moto, monkeypatch)
    location = f"s3://{new_bucket()}/agol"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", echo)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setattr(objects_module, "RETRIES", 0)
    monkeypatch.setattr(bucket_module, "ATTEMPTS", 1)
    with monkeypatch.context() as patch:  # the server refuses that too
        patch.setattr(bucket_module.Bucket, "_headers", lambda _: {})
        store = BucketStore(location, sleep=lambda _: None)
    for name, deed in DEEDS.items():
        with suppress_ours() as raised:
            deed(store)
        for error in raised:
            said = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
            assert [each for each in (SECRET, TOKEN, "CanonicalRequest") if each in said] == [], name


@pytest.mark.parametrize("profile", ["broken", "unknown"])
def test_a_profile_that_gives_no_credentials_is_said(
    moto: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str
) -> None:
    """It is not taken for a server that does not answer, and what its program prints is not repeated."""
    sign_in(moto, monkeypatch)
    (tmp_path / "config").write_text(f"[profile broken]\ncredential_process = /bin/sh -c 'echo {SECRET}; exit 1'\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", profile)
    with pytest.raises(StoreError, match=r"no credentials to use .* Check AWS_PROFILE") as raised:
        open_store("s3://some-bucket/agol")
    assert SECRET not in "".join(traceback.format_exception(raised.value))
