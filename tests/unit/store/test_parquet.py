from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from storekit import NOW_NS, rows

from hauberk.store import parquet


def test_file_is_described_as_it_is(tmp_path: Path) -> None:
    added = parquet.write(tmp_path, "2026-09-21", rows(3), level=1)
    path = tmp_path / added.path
    assert path.parent.name == "day=2026-09-21"
    assert path.stat().st_size == added.size
    assert pq.read_table(path).num_rows == 3
    stats = json.loads(added.stats)
    assert stats["numRecords"] == 3
    assert stats["minValues"] == {"received_ns": NOW_NS, "time_ns": NOW_NS}
    assert stats["maxValues"]["time_ns"] == NOW_NS + 2


def test_failure_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        parquet.write(tmp_path, "2026-09-21", object(), level=1)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
