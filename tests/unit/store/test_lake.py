from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from storekit import DAY_NS, NOW_NS, TABLE, rows

from hauberk.errors import BadWire, LostLease, StorageFull
from hauberk.store.lake import CHECKPOINT_EVERY, Lake, day_of
from hauberk.store.lake_files import FolderFiles


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(FolderFiles(tmp_path / "lake"), app_id="inbox:1")


def read(lake: Lake, tenant: str = "default") -> pa.Table:
    return DeltaTable(str(lake.where.root / tenant / TABLE)).to_pyarrow_table()


def test_append_once_per_position(lake: Lake) -> None:
    assert lake.append("default", TABLE, rows(first=0), position=3) is True
    assert lake.append("default", TABLE, rows(first=0), position=3) is False
    assert lake.append("default", TABLE, rows(first=10), position=4) is True
    assert sorted(read(lake)["pid"].to_pylist()) == [0, 1, 10, 11]


def test_position_survives_reopening(lake: Lake) -> None:
    lake.append("default", TABLE, rows(), position=9)
    again = Lake(lake.where, app_id="inbox:1")
    assert again.written("default", TABLE) == 9
    assert again.append("default", TABLE, rows(), position=9) is False
    other = Lake(lake.where, app_id="inbox:2")
    assert other.written("default", TABLE) == 0


def test_rows_lie_in_the_received_day(lake: Lake) -> None:
    both = pa.concat_tables([rows(received_ns=NOW_NS), rows(received_ns=NOW_NS + DAY_NS)])
    lake.append("default", TABLE, both, position=1)
    assert [f.day for f in lake.files("default", TABLE)] == [
        day_of(NOW_NS),
        day_of(NOW_NS + DAY_NS),
    ]
    assert read(lake).num_rows == 4


def test_new_columns_are_added_and_older_files_read_as_null(lake: Lake) -> None:
    lake.append("default", TABLE, rows(1), position=1)
    wider = rows(1).append_column("novel", pa.array(["x"]))
    lake.append("default", TABLE, wider, position=2)
    assert sorted(read(lake)["novel"].to_pylist(), key=str) == [None, "x"]
    with pytest.raises(BadWire, match="novel"):
        lake.append("default", TABLE, rows(1).append_column("novel", pa.array([1])), position=3)


def test_tenants_have_tables_of_their_own(lake: Lake) -> None:
    lake.append("default", TABLE, rows(1, first=1), position=1)
    lake.append("other", TABLE, rows(1, first=2), position=1)
    assert read(lake, "default")["pid"].to_pylist() == [1]
    assert read(lake, "other")["pid"].to_pylist() == [2]
    assert lake.tables() == [("default", TABLE), ("other", TABLE)]
    with pytest.raises(BadWire):
        lake.append("../x", TABLE, rows(1), position=1)


@pytest.mark.parametrize("torn", [b"", b'{"commitInfo":{"hauberk":"1"}}\n{"add":{"pat'])
def test_torn_last_entry_is_removed_and_its_rows_come_again(lake: Lake, torn: bytes) -> None:
    lake.append("default", TABLE, rows(first=0), position=1)
    lake.append("default", TABLE, rows(first=5), position=2)
    log = lake.where.root / "default" / TABLE / "_delta_log"
    newest = max(log.glob("*.json"))
    newest.write_bytes(torn)
    again = Lake(lake.where, app_id="inbox:1")
    assert again.written("default", TABLE) == 1
    assert again.append("default", TABLE, rows(first=5), position=2) is True
    assert sorted(read(again)["pid"].to_pylist()) == [0, 1, 5, 6]


def test_entry_cut_at_a_line_end_is_torn_too(lake: Lake) -> None:
    lake.append("default", TABLE, rows(first=0), position=1)
    lake.append("default", TABLE, rows(first=5), position=2)
    newest = max((lake.where.root / "default" / TABLE / "_delta_log").glob("*.json"))
    lines = newest.read_bytes().splitlines(keepends=True)
    newest.write_bytes(b"".join(line for line in lines if b'"txn"' not in line))
    again = Lake(lake.where, app_id="inbox:1")
    assert again.append("default", TABLE, rows(first=5), position=2) is True
    assert sorted(read(again)["pid"].to_pylist()) == [0, 1, 5, 6]


def test_checkpoint_then_log_cleanup_keep_everything(lake: Lake) -> None:
    for n in range(1, CHECKPOINT_EVERY + 3):
        lake.append("default", TABLE, rows(1, first=n), position=n)
    log = lake.where.root / "default" / TABLE / "_delta_log"
    assert (log / "_last_checkpoint").exists()
    lake.checkpoint("default", TABLE)
    again = Lake(lake.where, app_id="inbox:1")
    assert again.written("default", TABLE) == CHECKPOINT_EVERY + 2
    assert read(again).num_rows == CHECKPOINT_EVERY + 2
    (log / "_last_checkpoint").write_bytes(b"{")
    assert Lake(lake.where, app_id="inbox:1").written("default", TABLE) == CHECKPOINT_EVERY + 2


def test_commits_of_another_writer_are_no_obstacle(lake: Lake) -> None:
    lake.append("default", TABLE, rows(first=0), position=1)
    other = Lake(lake.where, app_id="inbox:2")
    other.append("default", TABLE, rows(first=7), position=1)
    threads = [
        threading.Thread(
            target=each.append, args=("default", TABLE, rows(first=n)), kwargs={"position": 2}
        )
        for n, each in ((20, lake), (30, other))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read(lake)["pid"].to_pylist()) == [0, 1, 7, 8, 20, 21, 30, 31]


def test_commit_whose_answer_got_lost_counts(lake: Lake) -> None:
    lake.append("default", TABLE, rows(first=0), position=1)
    handle = lake.locked("default", TABLE)
    stale = Lake(lake.where, app_id="inbox:1")
    stale.append("default", TABLE, rows(first=5), position=2)
    handle.written["inbox:1"] = 1  # as if the commit of position 2 had been ours, unanswered
    assert lake.append("default", TABLE, rows(first=5), position=2) is True
    assert sorted(read(lake)["pid"].to_pylist()) == [0, 1, 5, 6]


def test_a_stale_writer_of_one_log_adds_nothing(lake: Lake) -> None:
    lake.append("default", TABLE, rows(first=0), position=4)
    owner = Lake(lake.where, app_id="inbox:1")
    assert owner.written("default", TABLE) == 4
    owner.append("default", TABLE, rows(first=10), position=9)
    for refreshed in (False, True):
        if refreshed:  # as a compaction in this process does
            lake.locked("default", TABLE)
        with pytest.raises(LostLease, match="up to 9"):
            lake.append("default", TABLE, rows(first=10), position=7)
        with pytest.raises(LostLease):
            lake.append("default", TABLE, rows(first=10), position=12)
    assert lake.written("default", TABLE) == 9
    lake.append("default", TABLE, rows(first=20), position=12)
    assert sorted(read(lake)["pid"].to_pylist()) == [0, 1, 10, 11, 20, 21]


def test_two_logs_in_one_lake_each_have_their_position(lake: Lake) -> None:
    lake.append("default", TABLE, rows(first=0), position=9, app_id="log:a")
    lake.append("default", TABLE, rows(first=5), position=3, app_id="log:b")
    assert lake.append("default", TABLE, rows(first=5), position=3, app_id="log:b") is False
    again = Lake(lake.where, app_id="inbox:1")
    assert [again.written("default", TABLE, log) for log in ("log:a", "log:b", "")] == [9, 3, 0]


def test_columns_that_another_process_added_are_known(lake: Lake) -> None:
    lake.append("default", TABLE, rows(first=0), position=1)
    other = Lake(lake.where, app_id="inbox:2")
    other.columns("default", TABLE)
    wider = rows(first=5).append_column("fresh", pa.array(["x", "y"]))
    lake.append("default", TABLE, wider, position=2)
    other.append("default", TABLE, wider, position=2)
    clash = rows(first=9).append_column("later", pa.array([1, 2]))
    lake.append("default", TABLE, clash, position=3)
    with pytest.raises(BadWire, match="later"):
        other.append(
            "default", TABLE, rows().append_column("later", pa.array(["a", "b"])), position=3
        )
    assert read(lake).num_rows == 8


def test_failed_checkpoint_keeps_the_rows(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hauberk.store.lake.CHECKPOINT_EVERY", 1)
    monkeypatch.setattr(Lake, "_checkpoint", fail)
    assert lake.append("default", TABLE, rows(), position=1) is True
    assert read(lake).num_rows == 2


def test_vacuum_deletes_what_no_version_names(lake: Lake) -> None:
    lake.append("default", TABLE, rows(), position=1)
    stray = lake.where.root / "default" / TABLE / f"day={day_of(NOW_NS)}" / "part-stray.parquet"
    stray.write_bytes(b"left by a crash")
    assert lake.vacuum("default", TABLE, hours=0) == 1
    assert not stray.exists()
    lake.append("default", TABLE, rows(first=4), position=2)
    assert read(lake).num_rows == 4


@pytest.mark.root
def test_full_disk_commits_nothing_and_goes_on_later(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", mount], check=True)
    try:
        lake = Lake(FolderFiles(mount / "lake"), app_id="inbox:1")
        position = 0
        with pytest.raises(StorageFull):
            while True:
                lake.append("default", TABLE, rows(2, first=position * 2), position=position + 1)
                position += 1
        assert read(lake).num_rows == position * 2
        subprocess.run(["mount", "-o", "remount,size=8m", mount], check=True)
        assert lake.append("default", TABLE, rows(2, first=position * 2), position=position + 1)
        assert sorted(read(lake)["pid"].to_pylist()) == list(range(position * 2 + 2))
        assert Lake(lake.where, app_id="inbox:1").written("default", TABLE) == position + 1
    finally:
        subprocess.run(["umount", mount], check=True)
