"""Blobs in a folder and in a real S3 store: the same promises."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import obstore
import pytest
import s3kit

from hauberk.errors import BadInput, NotFound, StorageFull, Unreachable
from hauberk.ports import Blobs
from hauberk.store import blobs as blobs_module
from hauberk.store import objects
from hauberk.store.blobs import FolderBlobs, S3Blobs

Make = Callable[..., FolderBlobs | S3Blobs]
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def s3() -> s3kit.S3:
    return s3kit.shared()


@pytest.fixture(params=["folder", "s3"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "folder":
        return lambda **more: FolderBlobs(tmp_path / "blobs", **more)
    target = request.getfixturevalue("s3").target(f"blobs/{tmp_path.name}")
    return lambda **more: S3Blobs(target, **more)


class Endless(io.RawIOBase):
    """Bytes until `size`, then an error if one is wanted."""

    def __init__(self, size: int, error: Exception | None = None) -> None:
        self.left, self.error = size, error

    def read(self, size: int = -1) -> bytes:
        if self.left <= 0 and self.error is not None:
            raise self.error
        count = min(size, self.left)
        self.left -= count
        return bytes(count)


def test_bytes_come_back_by_digest_within_the_tenant(make: Make) -> None:
    blobs: Blobs = make()
    for data in (b"", b"evidence", os.urandom(3 * MIB)):
        digest = blobs.put("default", io.BytesIO(data))
        assert digest == hashlib.sha256(data).hexdigest()
        assert blobs.put("default", io.BytesIO(data)) == digest
        with blobs.get("default", digest) as stored:
            assert stored.read() == data
        with pytest.raises(NotFound):
            blobs.get("other", digest)
        blobs.delete("default", digest)
        blobs.delete("default", digest)
        with pytest.raises(NotFound):
            blobs.get("default", digest)


def test_a_stream_can_seek_and_be_read_in_parts(make: Make) -> None:
    blobs = make()
    data = os.urandom(2 * MIB + 17)
    digest = blobs.put("default", io.BytesIO(data))
    with blobs.get("default", digest) as stored:
        assert stored.read(10) == data[:10]
        stored.seek(-5, io.SEEK_END)
        assert stored.read() == data[-5:]
        stored.seek(MIB)
        assert stored.read(MIB) == data[MIB : 2 * MIB]
        assert stored.tell() == 2 * MIB
        assert b"".join(iter(lambda: stored.read(4096), b"")) == data[2 * MIB :]


def resident(name: str) -> int:
    """Bytes of a line of /proc/self/status; VmHWM is the peak since it was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def test_large_blobs_go_up_in_parts_with_little_memory(make: Make) -> None:
    blobs = make()
    size = 120 * MIB + 1
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmHWM")
    digest = blobs.put("default", _binary(Endless(size)))
    assert resident("VmHWM") - before < 60 * MIB
    expected = hashlib.sha256()
    for _ in range(120):
        expected.update(bytes(MIB))
    expected.update(b"\0")
    assert digest == expected.hexdigest()
    with blobs.get("default", digest) as stored:
        assert stored.seek(0, io.SEEK_END) == size
    assert blobs.bytes() == size


@pytest.mark.parametrize("size", [11, 20 * MIB])
def test_the_bound_leaves_nothing(make: Make, size: int) -> None:
    blobs = make(max_bytes=size - 1)
    with pytest.raises(BadInput, match="longer"):
        blobs.put("default", io.BytesIO(bytes(size)))
    assert blobs.bytes() == 0


def test_an_upload_that_breaks_off_leaves_nothing(make: Make) -> None:
    blobs = make()
    with pytest.raises(BadInput, match="cut"):
        blobs.put("default", _binary(Endless(20 * MIB, BadInput("cut"))))
    assert blobs.bytes() == 0


def test_names_cannot_leave_their_place(make: Make) -> None:
    blobs = make()
    with pytest.raises(BadInput):
        blobs.put("../x", io.BytesIO(b""))
    for digest in ("../../etc/passwd", "", "A" * 64):
        with pytest.raises(NotFound):
            blobs.get("default", digest)


def test_tenants_with_equal_bytes_do_not_share(make: Make) -> None:
    blobs = make()
    digest = blobs.put("a", io.BytesIO(b"same"))
    assert blobs.put("b", io.BytesIO(b"same")) == digest
    blobs.delete("a", digest)
    with blobs.get("b", digest) as stored:
        assert stored.read() == b"same"


def test_a_store_that_is_cut_off_is_told(
    s3: s3kit.S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs_module, "_REQUEST_S", 1)
    monkeypatch.setattr(objects, "CONNECT_S", 1)
    blobs = S3Blobs(s3.target(f"blobs/{tmp_path.name}"))
    digest = blobs.put("default", io.BytesIO(b"before"))
    with s3.paused():
        with pytest.raises(Unreachable, match="does not answer"):
            blobs.put("default", io.BytesIO(b"during"))
        with pytest.raises(Unreachable):
            blobs.get("default", digest)
    again = S3Blobs(s3.target(f"blobs/{tmp_path.name}"))
    with again.get("default", digest) as stored:
        assert stored.read() == b"before"


def test_errors_of_a_store_are_told(s3: s3kit.S3) -> None:
    for status, kind in ((507, StorageFull), (503, Unreachable)):
        with s3kit.failing(status) as endpoint:
            with pytest.raises(kind):
                S3Blobs(s3.target("x", endpoint)).put("default", io.BytesIO(b"x"))
            with pytest.raises(kind):
                S3Blobs(s3.target("x", endpoint)).put("default", io.BytesIO(bytes(9 * MIB)))


def test_a_part_of_an_upload_is_never_under_a_digest(s3: s3kit.S3, tmp_path: Path) -> None:
    target = s3.target(f"blobs/{tmp_path.name}")
    seen: list[str] = []

    class Watching(Endless):
        def read(self, size: int = -1) -> bytes:
            if self.left < 4 * MIB:
                found = obstore.list(target.open()).collect()
                seen.extend(str(item["path"]) for item in found)
            return super().read(size)

    digest = S3Blobs(target).put("default", _binary(Watching(20 * MIB)))
    assert not [path for path in seen if "/new/" not in path]
    (only,) = obstore.list(target.open()).collect()
    assert only["path"] == f"default/{digest[:2]}/{digest}"


def _binary(stream: io.RawIOBase) -> BinaryIO:
    return stream  # type: ignore[return-value]  # it reads
