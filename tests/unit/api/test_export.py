from __future__ import annotations

import asyncio
import csv
import gc
import io

import msgspec
import pytest

from hauberk.api import columns, export
from hauberk.api.reader import Reader
from hauberk.errors import BadInput
from hauberk.schema.view import AssetRow

USERS = columns.assets("access.user")


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
        ("", ""),
        (-5, -5),
        (1.5, 1.5),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\uff1d1", "'\uff1d1"),
        ("plain", "plain"),
        ("名字", "名字"),
    ],
)
def test_cells(value, shown):
    assert export.cell(value) == shown


@pytest.mark.parametrize("text", ["\t=1", "\r\n=1", "=1", 'a "quoted", cell\nwith <script>'])
def test_csv_reads_back(text):
    rows = [row(n, name=text) for n in range(3)]
    raw = b"".join(export.csv_chunks(rows, USERS, Reader())).decode()
    read = list(csv.DictReader(io.StringIO(raw)))
    assert [r["ID"] for r in read] == ["0", "1", "2"]
    assert {r["First seen"] for r in read} == {"1970-01-01 00:00:00.000+00:00"}
    shown = {r["User"] for r in read}.pop()
    assert not shown.startswith(("=", "\t", "\r"))
    assert shown.isprintable()


def test_only_chinese_has_a_byte_order_mark():
    for language, marked in (("en", False), ("zh-CN", True)):
        raw = b"".join(export.csv_chunks([], USERS, Reader(language)))
        assert raw.startswith("\ufeff".encode()) is marked


def test_chunks_are_bounded_and_whole():
    rows = [row(n, name="x" * 1000) for n in range(500)]
    chunks = list(export.json_chunks(rows))
    assert len(chunks) > 5
    assert max(len(c) for c in chunks) < 100_000
    assert msgspec.json.decode(b"".join(chunks), type=list[AssetRow]) == rows
    assert b"".join(export.json_chunks([])) == b"[]"
    chunks = list(export.csv_chunks(rows, USERS, Reader()))
    assert max(len(c) for c in chunks) < 100_000


def test_a_form_knows_its_zone():
    assert export.form("csv", "en", "a,b", "UTC").columns == "a,b"
    with pytest.raises(BadInput):
        export.form("csv", "en", "", "Nowhere")


async def read(body):
    return [chunk async for chunk in body]


def test_a_body_ends_once():
    done = []
    body = export.Body(iter([b"a", b"b"]), lambda: done.append(1))
    assert asyncio.run(read(body)) == [b"a", b"b"]
    assert done == [1]


@pytest.mark.parametrize("error", [ValueError, msgspec.DecodeError, KeyError, OSError])
def test_a_failure_in_the_middle_is_no_end(error):
    done = []

    def chunks():
        yield b"a"
        raise error("torn")

    with pytest.raises(error, match="torn"):
        asyncio.run(read(export.Body(chunks(), lambda: done.append(1))))
    assert done == [1]


def test_a_body_that_nobody_reads_gives_back_at_once():
    done = []
    gc.disable()
    try:
        body = export.Body(iter([b"a"]), lambda: done.append(1))
        del body
        assert done == [1]
    finally:
        gc.enable()
