from __future__ import annotations

from pathlib import Path

import pytest
from storekit import TABLE, rows

from hauberk.store import delta_log
from hauberk.store.lake import Lake
from hauberk.store.lake_files import FolderFiles

OURS = b'{"commitInfo":{"hauberk":"1"}}\n'


def entry(table: Path, version: int, data: bytes) -> Path:
    folder = table / "_delta_log"
    folder.mkdir(exist_ok=True)
    path = folder / f"{version:020d}.json"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"", False),
        (b"\0" * 40, False),
        (b'{"add":', False),
        (OURS + b'{"add":{}}\n', False),
        (OURS + b'{"add":{}}\n{"txn":{}}\n', True),
        (OURS + b'{"remove":{}}\n', False),
        (b'{"commitInfo":{}}\n{"add":{}}\n', True),
        (b'{"protocol":{}}\n{"metaData":{}}\n', True),
        (b"[1]\n", False),
    ],
)
def test_torn_last_entries_are_removed(tmp_path: Path, data: bytes, whole: bool) -> None:
    first = entry(tmp_path, 0, b'{"protocol":{}}\n')
    last = entry(tmp_path, 1, data)
    removed = delta_log.repair(tmp_path)
    assert last.exists() is whole
    assert removed == ([] if whole else [last.name])
    assert first.exists()


def test_torn_checkpoint_is_removed_with_its_pointer(tmp_path: Path) -> None:
    entry(tmp_path, 0, b'{"protocol":{}}\n')
    log = tmp_path / "_delta_log"
    (log / "_last_checkpoint").write_text('{"version": 0}')
    (log / f"{0:020d}.checkpoint.parquet").write_bytes(b"PAR1 torn")
    assert delta_log.checkpoint_version(tmp_path) == 0
    assert len(delta_log.repair(tmp_path)) == 2
    assert delta_log.checkpoint_version(tmp_path) == -1


def test_no_table_is_no_trouble(tmp_path: Path) -> None:
    assert delta_log.repair(tmp_path / "none") == []


def test_sync_accepts_gaps(tmp_path: Path) -> None:
    entry(tmp_path, 3, b"{}")
    delta_log.sync(tmp_path, 0, 5)
    assert entry(tmp_path, 3, b"{}").exists()


def test_torn_checkpoint_without_a_pointer_is_removed(tmp_path: Path) -> None:
    lake = Lake(FolderFiles(tmp_path), app_id="inbox:1")
    for n in range(3):
        lake.append("t", TABLE, rows(1, first=n), position=n + 1)
    torn = tmp_path / "t" / TABLE / "_delta_log" / f"{2:020d}.checkpoint.parquet"
    torn.write_bytes(b"PAR1 torn")
    again = Lake(FolderFiles(tmp_path), app_id="inbox:1")
    assert again.written("t", TABLE) == 3
    assert sum(f.rows for f in again.files("t", TABLE)) == 3
    assert not torn.exists()
