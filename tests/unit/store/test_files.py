from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hauberk.errors import StorageFull
from hauberk.store.files import make_folder, name_of, room, sync_file, sync_folder, write_atomic


def test_write_atomic_replaces_with_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_atomic(path, b"one")
    write_atomic(path, b"two", mode=0o644)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in tmp_path.iterdir()] == ["key"]


def test_failure_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_atomic(tmp_path / "folder", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_room_translates_full_disks_only() -> None:
    with pytest.raises(StorageFull), room("x"):
        raise OSError(errno.ENOSPC, "full")
    with pytest.raises(PermissionError), room("x"):
        raise PermissionError(errno.EACCES, "no")


def test_folders_and_syncs(tmp_path: Path) -> None:
    make_folder(tmp_path / "a/b")
    make_folder(tmp_path / "a/b")
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "a/f").write_bytes(b"x")
    sync_file(tmp_path / "a/f")
    sync_folder(tmp_path / "a")


def test_a_folder_keeps_its_name_whoever_asks_first(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: name_of(tmp_path), range(32)))
    assert len(names) == 1
    assert [path.name for path in tmp_path.iterdir()] == [".name"]
