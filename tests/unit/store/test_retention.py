from __future__ import annotations

from pathlib import Path

from storekit import DAY_NS, NOW_NS, TABLE, rows

from hauberk.store.lake import Lake, day_of
from hauberk.store.lake_files import FolderFiles
from hauberk.store.retention import Usage, enforce, usage

TODAY = day_of(NOW_NS)


def days(lake: Lake) -> list[str]:
    return [f.day for key in lake.tables() for f in lake.files(*key)]


def filled(folder: Path) -> Lake:
    lake = Lake(FolderFiles(folder), app_id="inbox:1")
    for n in range(4):
        lake.append("t", TABLE, rows(5, first=n, received_ns=NOW_NS - n * DAY_NS), position=n + 1)
    return lake


def test_days_past_their_time_go(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    assert enforce(lake, now_ns=NOW_NS, days=1, max_bytes=10**12, today=TODAY) == 10
    assert sorted(days(lake)) == [day_of(NOW_NS - DAY_NS), day_of(NOW_NS)]
    assert lake.written("t", TABLE) == 4


def test_oldest_days_go_while_over_the_bytes_but_never_today(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    whole = usage(lake)
    assert (whole.rows, len(whole.by_day)) == (20, 4)
    enforce(lake, now_ns=NOW_NS, days=99, max_bytes=whole.bytes * 3 // 5, today=TODAY)
    assert sorted(days(lake)) == [day_of(NOW_NS - DAY_NS), day_of(NOW_NS)]
    enforce(lake, now_ns=NOW_NS, days=99, max_bytes=0, today=TODAY)
    assert days(lake) == [day_of(NOW_NS)]


def test_forecast() -> None:
    used = Usage(600, 1, {"2026-01-01": 100, "2026-01-02": 300, "2026-01-03": 200}, 10**9)
    assert used.days_left(days=30, max_bytes=1600, today="2026-01-03") == 5.0
    assert used.days_left(days=30, max_bytes=10**9, today="2026-01-03") == 30.0
    assert used.days_left(days=30, max_bytes=500, today="2026-01-03") == 0.0
    assert Usage(0, 0, {}, 1).days_left(days=30, max_bytes=1, today="2026-01-03") is None
    full = Usage(600, 1, {"2026-01-01": 200}, 400)
    assert full.days_left(days=30, max_bytes=10**9, today="2026-01-03") == 2.0


def test_days_ahead_of_a_clock_that_went_back_make_room_too(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    yesterday = day_of(NOW_NS - DAY_NS)
    enforce(lake, now_ns=NOW_NS - DAY_NS, days=99, max_bytes=0, today=yesterday)
    assert days(lake) == [yesterday]
