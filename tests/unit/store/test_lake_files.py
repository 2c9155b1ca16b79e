"""What both places promise is in tests/contract/test_lake_contract.py."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from deltalake.exceptions import DeltaError
from storekit import rows

from hauberk.errors import StorageFull
from hauberk.store.lake_files import DataFile, FolderFiles

DAY = "2026-09-21"


def test_a_folder_is_there_once_it_has_a_log(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path / "lake")
    home = files.home("t", "process_activity")
    assert not home.exists()
    home.prepare()
    assert files.tables() == []
    assert files.names("t") == ["process_activity"]
    (home.folder / "_delta_log").mkdir()
    assert home.exists()
    assert files.tables() == [("t", "process_activity")]
    assert (files.free() or 0) > 0


def test_a_file_is_fsynced_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = FolderFiles(tmp_path).home("t", "x")
    home.prepare()
    synced: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    action = home.write(DAY, rows(3), level=1)
    home.settle([action])
    assert synced[-2:] == [str(home.folder / action.path), str(home.folder / f"day={DAY}")]
    with home.local([DataFile(action.path, action.size, 3, DAY, 0, 1)]) as paths:
        assert paths == [str(home.folder / action.path)]
    assert home.distrust([]) is False


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    home = FolderFiles(tmp_path).home("t", "x")
    with pytest.raises(AttributeError):
        home.write(DAY, object(), level=1)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), DeltaError("io: os error 28")]
)
def test_no_room_is_told_of_any_call(tmp_path: Path, error: Exception) -> None:
    home = FolderFiles(tmp_path).home("t", "x")
    with pytest.raises(StorageFull, match=re.escape(str(tmp_path))), home.guard():
        raise error
    with pytest.raises(DeltaError, match="other"), home.guard():
        raise DeltaError("other")
