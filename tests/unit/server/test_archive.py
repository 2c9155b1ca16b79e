from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from backports import zstd

from hauberk.errors import BadInput
from hauberk.server import archive


def made(path: Path, **content: bytes) -> Path:
    with archive.create(path) as writer:
        for name, data in content.items():
            writer.add(name, data)
    return path


def content(path: Path) -> dict[str, bytes]:
    return {name: archive.small(name, size, r) for name, size, r in archive.members(path)}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = made(tmp_path / "a", one=b"1" * 3_000_000, two=b"")
    assert path.stat().st_mode & 0o777 == 0o600
    found = archive.check(path)
    assert sorted(found) == ["one", "two"]
    assert content(path)["one"] == b"1" * 3_000_000
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"mine")
    with pytest.raises(BadInput, match="exists"):
        made(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"mine"


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds 2 bytes, not 5"), archive.create(tmp_path / "a") as w:
        w.stream("short", io.BytesIO(b"12"), 5)
    with pytest.raises(ZeroDivisionError), archive.create(tmp_path / "a") as w:
        w.add("x", b"1")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="already"), archive.create(tmp_path / "a") as writer:
        writer.add("x", b"1")
        writer.add("x", b"2")


@pytest.mark.parametrize("keep", [0, 1, 10, 200, -1, -30])
def test_a_cut_file_is_no_backup(tmp_path: Path, keep: int) -> None:
    path = made(tmp_path / "a", one=bytes(range(256)) * 500)
    data = path.read_bytes()
    path.write_bytes(data[:keep])
    with pytest.raises(BadInput, match=str(path)):
        archive.check(path)


def test_any_changed_byte_is_found(tmp_path: Path) -> None:
    path = made(tmp_path / "a", one=b"content " * 100)
    data = path.read_bytes()
    for at in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        with pytest.raises(BadInput):
            archive.check(path)


def packed(path: Path, members: list[tarfile.TarInfo]) -> Path:
    with zstd.open(path, "wb") as out, tarfile.open(fileobj=out, mode="w|") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def test_hostile_members(tmp_path: Path) -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(BadInput, match="'link', no file"):
        archive.check(packed(tmp_path / "a", [link]))
    plain = tarfile.TarInfo("../../etc/cron.d/x")
    with pytest.raises(BadInput, match="has no end"):
        archive.check(packed(tmp_path / "b", [plain]))
    big = tarfile.TarInfo("end.json")
    big.size = archive.MAX_SMALL + 1
    with pytest.raises(BadInput, match="at most"):
        archive.check(packed(tmp_path / "c", [big]))
    with pytest.raises(BadInput, match="no such file"):
        archive.check(tmp_path / "missing")
