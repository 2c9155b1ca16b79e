from __future__ import annotations

from typing import Annotated

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storekit import processes

from hauberk.errors import BadWire
from hauberk.link import wire
from hauberk.schema.asset import column
from hauberk.schema.event import ProcessActivity
from hauberk.store import arrow
from hauberk.store.arrow import to_arrow


class Row(msgspec.Struct, frozen=True):
    i: Annotated[int, column("i", "i")]
    o: Annotated[int | None, column("o", "o")]
    f: Annotated[float, column("f", "f")]
    b: Annotated[bool, column("b", "b")]
    s: Annotated[str, column("s", "s")]
    t: Annotated[str | None, column("t", "t")]
    l: Annotated[list[str], column("l", "l")]  # noqa: E741


INT = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(max_size=8)
ROW = st.builds(
    Row,
    i=INT,
    o=st.none() | INT,
    f=st.floats(allow_nan=False),
    b=st.booleans(),
    s=TEXT,
    t=st.none() | TEXT,
    l=st.lists(TEXT, max_size=4),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(ROW, max_size=40))
def test_arrow_holds_what_the_rows_hold(rows: list[Row]) -> None:
    table = wire.encode_table("t", Row, rows)
    arrow = to_arrow(table)
    arrow.validate(full=True)
    assert arrow.to_pylist() == [msgspec.structs.asdict(r) for r in rows]


def test_events_keep_their_columns() -> None:
    rows = processes(5)
    arrow = to_arrow(wire.encode_table("process_activity", ProcessActivity, rows))
    assert arrow["pid"].to_pylist() == [0, 1, 2, 3, 4]
    assert arrow["exit_code"].to_pylist() == [0, None, 2, None, 4]


def column_of(kind: str, data: object, mask: bytes | None = None, name: str = "c") -> wire.Table:
    raw = msgspec.Raw(msgspec.msgpack.encode(data))
    return wire.Table("t", 2, {}, [wire.Column(name, kind, raw, mask)])  # type: ignore[arg-type]


U32 = (0).to_bytes(4, "little")


@pytest.mark.parametrize(
    "table",
    [
        column_of("i", [0, 1, b"\0"]),
        column_of("i", [0, 3, b"\0\0\0\0\0\0"]),
        column_of("i", [2**63 - 1, 1, b"\0\xff"]),
        column_of("i", [2**63, 0, b""]),
        column_of("i", "text"),
        column_of("f", b"\0" * 15),
        column_of("b", b"\1\1\1"),
        column_of("b", b"\1\1", mask=b"\1"),
        column_of("s", [U32 * 2, b"abc", 0, b""]),
        column_of("s", [b"\0\0\0\0\5\0\0\0\2\0\0\0", b"ab", 0, b""]),
        column_of("s", [b"\0\0\0\0\1\0\0\0\2\0\0\0", b"\xff\xfe", 0, b""]),
        column_of("s", [b"\0\0\0\0\1\0\0\0", b"a", 1, b"\0\7"]),
        column_of("s", [b"\0\0\0\0\1\0\0\0", b"a", 3, b"\0\0\0"]),
        column_of("s", [b"", b"", 0, b""]),
        column_of("s", [b"\0\0\0\0\1\0\0\0", b"a", 1, b"\0"]),
        column_of("l", [b"\0\0\0\0\2\0\0\0\1\0\0\0", [b"\0\0\0\0\1\0\0\0", b"a", 0, b""]]),
        column_of("l", [b"\0\0\0\0", [b"\0\0\0\0", b"", 0, b""]]),
        column_of("l", [b"\0\0\0\0\0\0\0\0\x09\0\0\0", [b"\0\0\0\0", b"", 0, b""]]),
        column_of("b", b"\1\1", name="Bad Name"),
        column_of("x", b"\1\1"),
    ],
)
def test_hostile_columns_are_refused(table: wire.Table) -> None:
    with pytest.raises(BadWire):
        to_arrow(table)


def test_one_name_twice_is_refused() -> None:
    one = column_of("b", b"\1\1").columns[0]
    with pytest.raises(BadWire, match="twice"):
        to_arrow(wire.Table("t", 2, {}, [one, one]))


def test_text_that_repeats_is_bounded_before_it_is_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrow, "MAX_BYTES", 1000)
    word = wire.Strings(b"\0\0\0\0\x64\0\0\0", b"x" * 100, 1, bytes(11))
    raw = msgspec.Raw(msgspec.msgpack.encode(word))
    with pytest.raises(BadWire, match="1100 bytes of text"):
        to_arrow(wire.Table("t", 11, {}, [wire.Column("s", "s", raw)]))
    zero = msgspec.Raw(msgspec.msgpack.encode(wire.Ints(0, 0, b"")))
    with pytest.raises(BadWire, match="over 1000 bytes"):
        to_arrow(wire.Table("t", 100, {}, [wire.Column(n, "i", zero) for n in ("a", "b")]))
