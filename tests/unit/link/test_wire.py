import importlib.util
import json
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.errors import BadWire
from hauberk.link import wire
from hauberk.schema.asset import column

GOLDEN = Path(__file__).parents[2] / "golden/wire"
CASES = sorted(GOLDEN.glob("*.in.json"))
_spec = importlib.util.spec_from_file_location("golden_wire_update", GOLDEN / "update.py")
golden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    i: Annotated[int, column("I", "I")]
    f: Annotated[float, column("F", "F")]
    b: Annotated[bool, column("B", "B")]
    s: Annotated[str, column("S", "S")]
    many: Annotated[list[str], column("L", "L")]
    oi: Annotated[int | None, column("OI", "OI")] = None
    of: Annotated[float | None, column("OF", "OF")] = None
    ob: Annotated[bool | None, column("OB", "OB")] = None
    os: Annotated[str | None, column("OS", "OS")] = None
    ol: Annotated[list[str] | None, column("OL", "OL")] = None


INT64 = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3)
FLOAT = st.floats(allow_nan=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from("ab")
LIST = st.lists(TEXT, max_size=4)
ROWS = st.lists(
    st.builds(
        Row,
        i=INT64,
        f=FLOAT,
        b=st.booleans(),
        s=TEXT,
        many=LIST,
        oi=st.none() | INT64,
        of=st.none() | FLOAT,
        ob=st.none() | st.booleans(),
        os=st.none() | TEXT,
        ol=st.none() | LIST,
    ),
    max_size=30,
)


@pytest.mark.parametrize("case", CASES, ids=lambda p: p.name.removesuffix(".in.json"))
def test_golden_bytes_in_both_directions(case):
    expected = bytes.fromhex(golden.output(case).read_text())
    assert golden.encode(case) == expected
    batch = wire.decode_batch(expected)
    wanted = json.loads(case.read_text("utf-8"))["tables"]
    assert [t.name for t in batch.tables] == [t["name"] for t in wanted]
    for table, want in zip(batch.tables, wanted, strict=True):
        assert table.meta == want["meta"]
        rows = wire.decode_rows(table)
        assert len(rows) == len(want["rows"])
        for row, given_row in zip(rows, want["rows"], strict=True):
            assert {k: row[k] for k in given_row} == given_row


def test_there_are_golden_cases():
    assert len(CASES) >= 3


@given(ROWS)
def test_rows_survive_the_round_trip(rows):
    data = wire.encode_batch([wire.encode_table("t", Row, rows, {"epoch": 1})])
    (table,) = wire.decode_batch(data).tables
    assert table.rows == len(rows)
    assert wire.decode_rows(table) == [msgspec.structs.asdict(r) for r in rows]


@given(st.binary(max_size=400))
def test_random_bytes_give_only_badwire(data):
    try:
        batch = wire.decode_batch(data)
        for table in batch.tables:
            wire.decode_rows(table)
    except BadWire:
        return
    assert batch.version == wire.VERSION


@settings(max_examples=300)
@given(ROWS.filter(bool), st.data())
def test_damaged_batches_give_only_badwire(rows, data):
    raw = bytearray(wire.encode_batch([wire.encode_table("t", Row, rows)]))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for damaged in (bytes(raw), bytes(raw[:cut])):
        try:
            for table in wire.decode_batch(damaged).tables:
                wire.decode_rows(table)
        except BadWire:
            continue


COLUMN = st.builds(
    wire.Column,
    name=st.just("c"),
    kind=st.sampled_from("ifbsl"),
    data=st.recursive(
        st.binary(max_size=16) | st.integers(-(2**63), 2**64 - 1) | st.none(),
        lambda inner: st.lists(inner, max_size=4),
        max_leaves=8,
    ).map(lambda v: msgspec.Raw(msgspec.msgpack.encode(v))),
    mask=st.none() | st.binary(max_size=4),
)


@settings(max_examples=500)
@given(COLUMN, st.integers(0, 4))
def test_a_column_of_any_content_is_total(column_, rows):
    try:
        values = wire.column_values(column_, rows)
    except BadWire:
        return
    assert len(values) == rows


def test_deep_nesting_and_bad_text_are_badwire():
    for inner in (b"\x91" * 200_000 + b"\xc0", b"\xa1\x80"):
        with pytest.raises(BadWire):
            wire.decode_batch(b"\x92\x01\x91\x94\xa1t\x00\x80\x91\x94\xa1c\xa1i" + inner)
    with pytest.raises(BadWire):
        wire.decode_batch(b"\x92\x01\x91\x94\xa1\x80\x00\x80\x90")


def test_a_row_count_without_data_is_bounded():
    table = wire.Table("t", wire.MAX_ROWS + 1, {}, [])
    with pytest.raises(BadWire, match="rows"):
        wire.decode_batch(wire.encode_batch([table]))
    many = [wire.Table("t", 0, {}, [])] * (wire.MAX_TABLES + 1)
    with pytest.raises(BadWire, match="tables"):
        wire.decode_batch(wire.encode_batch(many))


def test_another_version_is_named():
    with pytest.raises(BadWire, match="version 2 is not 1"):
        wire.decode_batch(msgspec.msgpack.encode([2, []]))


def test_an_unknown_column_is_carried():
    table = wire.encode_table("t", Row, [])
    extra = wire.Column("new", "i", msgspec.Raw(msgspec.msgpack.encode([7, 0, b""])))
    wider = msgspec.structs.replace(table, rows=2, columns=[extra])
    (read,) = wire.decode_batch(wire.encode_batch([wider])).tables
    assert wire.decode_rows(read) == [{"new": 7}, {"new": 7}]


def test_repeated_strings_cost_a_byte_each():
    row = Row(i=1, f=0.0, b=True, s="a-rather-long-repeated-text", many=[])
    one = len(wire.encode_batch([wire.encode_table("t", Row, [row] * 100)]))
    two = len(wire.encode_batch([wire.encode_table("t", Row, [row] * 200)]))
    assert two - one < 100 * (1 + 1 + 8 + 4 + 5 + 8 + 10)


def test_small_batches_that_grow_are_badwire():
    zero = msgspec.Raw(msgspec.msgpack.encode(wire.Ints(0, 0, b"")))
    columns = [wire.Column(f"c{i}", "i", zero) for i in range(200)]
    body = wire.encode_batch([wire.Table("t", wire.MAX_ROWS, {}, columns)])
    assert len(body) < 5000
    with pytest.raises(BadWire, match="cells"):
        wire.decode_batch(body)


class Words(msgspec.Struct):
    words: Annotated[str, column("Words", "文字")]


def test_repeated_text_is_counted_each_time(monkeypatch):
    monkeypatch.setattr(wire, "MAX_TEXT", 1000)
    rows = [Words(words="x" * 100) for _ in range(11)]
    table = wire.decode_batch(wire.encode_batch([wire.encode_table("t", Words, rows)])).tables[0]
    with pytest.raises(BadWire, match="1000 characters"):
        wire.decode_rows(table)
