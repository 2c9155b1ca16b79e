import pytest

from hauberk.agent import batches
from hauberk.errors import BadInput
from hauberk.link import wire
from hauberk.link.rows import GoneRow


def rows(count, size=10):
    return [GoneRow(f"{n}".rjust(size, "k")) for n in range(count)]


def test_chunks_are_bounded_in_rows_and_keep_order():
    tables = list(batches.chunks("t", GoneRow, rows(1001), 500))
    assert [t.rows for t in tables] == [500, 500, 1]
    assert [r["key"] for t in tables for r in wire.decode_rows(t)] == [r.key for r in rows(1001)]
    assert [t.rows for t in batches.chunks("t", GoneRow, [], 500)] == [0]


def test_chunks_are_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(batches, "MAX_BYTES", 2000)
    tables = list(batches.chunks("t", GoneRow, rows(100, 100), 500))
    assert sum(t.rows for t in tables) == 100
    assert len(tables) > 5
    for data, count in batches.grouped(tables):
        assert len(data) < 2300
        assert count > 0
    with pytest.raises(BadInput, match="one row"):
        list(batches.chunks("t", GoneRow, rows(1, 5000), 500))


def test_groups_are_bounded_in_tables():
    tables = list(batches.chunks("t", GoneRow, rows(200), 1))
    groups = list(batches.grouped(tables))
    assert sum(count for _, count in groups) == 200
    assert all(len(wire.decode_batch(d).tables) <= wire.MAX_TABLES for d, _ in groups)
    assert list(batches.grouped([])) == []


def test_meta_is_replaced():
    (table,) = batches.chunks("t", GoneRow, rows(1), 5)
    assert batches.with_meta(table, {"epoch": 3}).meta == {"epoch": 3}
