"""Repair on a disk that does not always give what is on it: no content is taken away because it could not be read."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from typing import IO

import pytest
from dated import save
from saved import files_below

import agolkit as ak
from agolkit.manifest import read_outcomes
from agolkit.store import LocalStore
from agolkit.store.blobs import blob_key


class Refusing(io.BytesIO):
    """A file whose end cannot be read."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise OSError(errno.EIO, "Input/output error")
        return super().read(1 if size else 0)


class Failing(LocalStore):
    """A store on a disk that gives one blob as `given` makes it, the first times that it is read."""

    bad = ""
    times = 0
    given: Callable[[bytes], IO[bytes]] = Refusing

    def open(self, key: str) -> IO[bytes]:
        stream = super().open(key)
        if key == blob_key(self.bad) and self.times > 0:
            self.times -= 1
            with stream:
                return type(self).given(stream.read())
        return stream


class Short(Failing):
    """A disk that gives less than there is, and no error."""

    given = staticmethod(lambda content: io.BytesIO(content[:-1]))


def failing(kind: type[Failing], store: LocalStore, times: int) -> Failing:
    name = save(store, 0, {"a": "same"}, tree="auto")
    found = kind(store.root)
    found.inspect(create=False)
    found.bad, found.times = read_outcomes(store, name)[0].parts[1].blob.sha256, times
    return found


@pytest.mark.parametrize("kind", [Failing, Short])
def test_a_blob_that_is_whole_when_it_is_read_again_stays(store: LocalStore, kind: type[Failing]) -> None:
    """What looked like damage once is read again before anything is done to it."""
    flaky = failing(kind, store, 1)
    before = files_below(store.root / "blobs")
    done = ak.repair(flaky, deep=True)
    assert ("whole when it is read again" in done.mended[0].how, done.lost) == (True, ())
    assert files_below(store.root / "blobs") == before
    assert ak.verify(store, deep=True).ok


def test_a_blob_that_cannot_be_read_stays_and_is_named(store: LocalStore) -> None:
    """No copy of it can be made, so it is left where it is; when the disk gives it again, nothing is damaged."""
    broken = failing(Failing, store, 99)
    before = files_below(store.root / "blobs")
    (lost,) = ak.repair(broken, deep=True).lost
    assert (lost.action, "left in its place, because it cannot be read (Input/output error)" in lost.how) == (
        "lost",
        True,
    )
    assert files_below(store.root / "blobs") == before
    assert not (store.root / "damaged").exists()
    assert ak.verify(store, deep=True).ok


def test_a_blob_that_cannot_be_read_comes_from_a_copy(
    store: LocalStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The content of another store takes its place."""
    broken = failing(Failing, store, 99)
    copy = LocalStore(tmp_path_factory.mktemp("copy"))
    ak.copy(store, copy)
    done = ak.repair(broken, deep=True, other=copy)
    assert ([each.action for each in done.mended], done.lost) == (["restore"], ())
    assert ak.verify(store, deep=True).ok
