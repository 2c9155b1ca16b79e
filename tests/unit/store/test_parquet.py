from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from storekit import NOW_NS, rows

from hauberk.store import parquet


def test_file_is_described_as_it_is(tmp_path: Path) -> None:
    name = parquet.name("2026-09-21")
    assert name != parquet.name("2026-09-21")
    path = tmp_path / Path(name).name
    with path.open("xb") as out:
        size = parquet.encode(rows(3), out, level=1)
    added = parquet.added(name, "2026-09-21", rows(3), size=size, change=True)
    assert Path(added.path).parent == Path("day=2026-09-21")
    assert path.stat().st_size == added.size
    assert pq.read_table(path).num_rows == 3
    assert parquet.unpacked(str(path)) == pytest.approx(rows(3).nbytes, rel=0.2)
    stats = json.loads(added.stats)
    assert stats["numRecords"] == 3
    assert stats["minValues"] == {"received_ns": NOW_NS, "time_ns": NOW_NS}
    assert stats["maxValues"]["time_ns"] == NOW_NS + 2
