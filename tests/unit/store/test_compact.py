from __future__ import annotations

import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from storekit import DAY_NS, NOW_NS, TABLE, rows

from hauberk.store import compact as compaction
from hauberk.store import parquet
from hauberk.store.compact import compact
from hauberk.store.lake import Lake, day_of
from hauberk.store.lake_files import FolderFiles

TODAY = day_of(NOW_NS)


def pids(lake: Lake) -> list[int]:
    return sorted(
        DeltaTable(str(lake.where.root / "t" / TABLE)).to_pyarrow_table()["pid"].to_pylist()
    )


def test_many_small_files_become_one_sorted_file(tmp_path: Path) -> None:
    lake = Lake(FolderFiles(tmp_path), app_id="inbox:1")
    for n in range(12):
        lake.append("t", TABLE, rows(2, first=n * 2, received_ns=NOW_NS - n), position=n + 1)
    assert compact(lake, "t", TABLE, today=TODAY) == 12
    files = lake.files("t", TABLE)
    assert len(files) == 1
    times = pq.read_table(lake.where.root / "t" / TABLE / files[0].path)["received_ns"].to_pylist()
    assert times == sorted(times)
    assert pids(lake) == list(range(24))
    assert compact(lake, "t", TABLE, today=TODAY) == 0


def test_today_waits_for_more_files_and_days_stay_apart(tmp_path: Path) -> None:
    lake = Lake(FolderFiles(tmp_path), app_id="inbox:1")
    for n in range(3):
        lake.append("t", TABLE, rows(1, first=n), position=n + 1)
    for n in range(3, 6):
        lake.append("t", TABLE, rows(1, first=n, received_ns=NOW_NS - DAY_NS), position=n + 1)
    assert compact(lake, "t", TABLE, today=TODAY) == 3
    assert [f.day for f in lake.files("t", TABLE)].count(TODAY) == 3
    assert pids(lake) == list(range(6))


def test_groups_are_bounded(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(compaction, "TARGET_ROWS", 20)
    lake = Lake(FolderFiles(tmp_path), app_id="inbox:1")
    for n in range(20):
        lake.append("t", TABLE, rows(2, first=n * 2, received_ns=NOW_NS + n), position=n + 1)
    compact(lake, "t", TABLE, today=TODAY)
    assert [f.rows for f in lake.files("t", TABLE)] == [20, 20]


def test_appends_meanwhile_are_kept(tmp_path: Path) -> None:
    lake = Lake(FolderFiles(tmp_path), app_id="inbox:1")
    for n in range(30):
        lake.append("t", TABLE, rows(1, first=n), position=n + 1)
    done = threading.Event()

    def write() -> None:
        for n in range(30, 60):
            lake.append("t", TABLE, rows(1, first=n), position=n + 1)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        compact(lake, "t", TABLE, today=TODAY)
    writer.join()
    compact(lake, "t", TABLE, today=TODAY)
    assert pids(lake) == list(range(60))
    assert Lake(FolderFiles(tmp_path), app_id="inbox:1").written("t", TABLE) == 60


def test_groups_are_bounded_by_what_they_take_in_memory(tmp_path: Path, monkeypatch) -> None:
    lake = Lake(FolderFiles(tmp_path), app_id="inbox:1")
    for n in range(20):
        lake.append("t", TABLE, rows(2, first=n * 2, received_ns=NOW_NS + n), position=n + 1)
    one = parquet.unpacked(str(tmp_path / "t" / TABLE / lake.files("t", TABLE)[0].path))
    assert one == pytest.approx(rows(2).nbytes, rel=0.2)
    monkeypatch.setattr(compaction, "TARGET_BYTES", one * 10 + one // 2)
    compact(lake, "t", TABLE, today=TODAY)
    assert [f.rows for f in lake.files("t", TABLE)] == [20, 20]
    monkeypatch.setattr(compaction, "TARGET_BYTES", one)
    assert compact(lake, "t", TABLE, today="2000-01-01") == 0
