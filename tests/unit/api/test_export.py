from __future__ import annotations

import csv
import io

import msgspec
import pytest

from hauberk.api import export
from hauberk.schema.text import from_bytes
from hauberk.schema.view import AssetRow


def row(number, **fields):
    return AssetRow(
        id=str(number),
        workload="w",
        hostname="h",
        subclass="access.user",
        key="k",
        label="l",
        first_seen_ms=0,
        last_seen_ms=0,
        changed_ms=0,
        fields=fields,
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        (-5, -5),
        (1.5, 1.5),
        (["a", "b"], "a b"),
        (["=cmd()", "b"], "'=cmd() b"),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\t=1", "'\\t=1"),
        ("\r\n=1", "'\\r\\n=1"),
        ("\uff1d1", "'\uff1d1"),
        ("plain", "plain"),
        ("名字", "名字"),
        (from_bytes(b"\xff"), "\\xff"),
    ],
)
def test_cells(value, shown):
    assert export.cell(value) == shown


def test_csv_reads_back():
    text = 'a "quoted", cell\nwith <script>'
    columns = export.asset_columns("access.user")
    rows = [row(n, name=text) for n in range(3)]
    raw = b"".join(export.csv_chunks(rows, columns)).decode()
    read = list(csv.DictReader(io.StringIO(raw)))
    assert [r["id"] for r in read] == ["0", "1", "2"]
    assert {r["name"] for r in read} == {'a "quoted", cell\\nwith <script>'}
    assert {r["gone"] for r in read} == {""}
    assert {r["first_seen"] for r in read} == {"1970-01-01T00:00:00.000+00:00"}


def test_chunks_are_bounded_and_whole():
    rows = [row(n, name="x" * 1000) for n in range(500)]
    chunks = list(export.json_chunks(rows))
    assert len(chunks) > 5
    assert max(len(c) for c in chunks) < 100_000
    assert msgspec.json.decode(b"".join(chunks), type=list[AssetRow]) == rows
    assert b"".join(export.json_chunks([])) == b"[]"
    chunks = list(export.csv_chunks(rows, export.asset_columns("access.user")))
    assert max(len(c) for c in chunks) < 100_000


def test_absurd_times_are_numbers():
    made = msgspec.structs.replace(row(1), first_seen_ms=2**62)
    raw = b"".join(export.csv_chunks([made], export.asset_columns("access.user"))).decode()
    assert str(2**62) in raw
