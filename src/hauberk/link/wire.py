"""Columnar wire form, version 1: rows of Structs -> columns -> msgpack, and back.

Written by the agent without pyarrow, read into Arrow by buffer on the server. Integers are packed
little-endian after subtracting the column's minimum; strings are dictionary-coded where that is
smaller, else plain; lists are row offsets over a string column; optional columns carry a byte mask.
The form describes itself, so an unknown column of a newer agent is carried, not refused.

Layout (msgpack arrays)::

    batch   = [version, [table, ...]]
    table   = [name, row count, meta map, [column, ...]]
    column  = [name, kind, data, mask | nil]       mask: one byte a row, 1 = value, 0 = null
    "i" data = [minimum, width 0|1|2|4|8, bytes]    width 0: every value is the minimum
                                                    width 8: minimum is 0, two's complement
    "f" data = bytes of float64                     "b" data = one byte a row
    "s" data = [offsets u32 (k+1), blob, code width 0|1|2|4, codes]   width 0: k = rows, plain
    "l" data = [row offsets u32 (n+1), "s" data of all items]
"""

from __future__ import annotations

import itertools
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from hauberk.errors import BadWire
from hauberk.schema.asset import columns_of

VERSION = 1
# What decoding hostile msgpack raises: msgspec tells bad UTF-8 and deep nesting apart.
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
MAX_ROWS = 100_000
MAX_TABLES = 64
MAX_COLUMNS = 256
# A column may say its rows in a few bytes: what a batch grows to is bounded as well.
MAX_CELLS = 4_000_000
MAX_TEXT = 64 * 1024 * 1024
_CODES: dict[int, str] = {1: "B", 2: "H", 4: "I", 8: "q"}
_SHIFTED: dict[int, str] = {1: "B", 2: "H", 4: "I"}
_KIND: dict[str, Kind] = {"int": "i", "float": "f", "bool": "b", "str": "s", "list": "l"}
_LITTLE = sys.byteorder == "little"

Kind = Literal["i", "f", "b", "s", "l"]
Scalar = str | int | float | bool | list[str] | None


class Ints(msgspec.Struct, array_like=True, frozen=True):
    """Packed integers."""

    minimum: int
    width: int
    data: bytes


class Strings(msgspec.Struct, array_like=True, frozen=True):
    """Plain or dictionary-coded UTF-8."""

    offsets: bytes
    blob: bytes
    width: int
    codes: bytes


class Lists(msgspec.Struct, array_like=True, frozen=True):
    """Lists of strings."""

    offsets: bytes
    items: Strings


class Column(msgspec.Struct, array_like=True, frozen=True):
    """One column; `data` by `kind` is Ints, bytes, Strings or Lists (decoded on use)."""

    name: str
    kind: Kind
    data: msgspec.Raw
    mask: bytes | None = None


class Table(msgspec.Struct, array_like=True, frozen=True):
    """Rows of one kind, as columns."""

    name: str
    rows: int
    meta: dict[str, str | int]
    columns: list[Column]


class Batch(msgspec.Struct, array_like=True, frozen=True):
    """What one envelope carries."""

    version: int
    tables: list[Table]


_encoder = msgspec.msgpack.Encoder()
_batch = msgspec.msgpack.Decoder(Batch)
_ints = msgspec.msgpack.Decoder(Ints)
_strings = msgspec.msgpack.Decoder(Strings)
_lists = msgspec.msgpack.Decoder(Lists)
_bytes = msgspec.msgpack.Decoder(bytes)
_plans: dict[type[msgspec.Struct], tuple[tuple[str, Kind, bool], ...]] = {}


def encode_table(
    name: str,
    struct: type[msgspec.Struct],
    rows: Sequence[msgspec.Struct],
    meta: Mapping[str, str | int] | None = None,
) -> Table:
    """Turn rows of one Struct (fields declared with `column`) into a table."""
    plan = _plans.get(struct)
    if plan is None:
        plan = tuple((c.name, _KIND[c.kind], c.optional) for c in columns_of(struct))
        _plans[struct] = plan
    columns = [_column(n, k, opt, [getattr(r, n) for r in rows]) for n, k, opt in plan]
    return Table(name, len(rows), dict(meta or {}), columns)


def encode_batch(tables: Iterable[Table]) -> bytes:
    """Bytes of a batch."""
    return _encoder.encode(Batch(VERSION, list(tables)))


def decode_batch(data: bytes) -> Batch:
    """Read a batch; columns are checked when they are used.

    Raises:
        BadWire: not a batch, another version, or absurd counts.
    """
    try:
        batch = _batch.decode(data)
    except UNDECODABLE as error:
        raise BadWire(f"not a batch: {error}") from error
    if batch.version != VERSION:
        raise BadWire(f"wire version {batch.version} is not {VERSION}: upgrade the older side")
    if len(batch.tables) > MAX_TABLES:
        raise BadWire(f"{len(batch.tables)} tables in one batch; at most {MAX_TABLES}")
    for table in batch.tables:
        if not 0 <= table.rows <= MAX_ROWS or len(table.columns) > MAX_COLUMNS:
            raise BadWire(f"table {table.name!r}: {table.rows} rows x {len(table.columns)} columns")
    cells = sum(table.rows * max(1, len(table.columns)) for table in batch.tables)
    if cells > MAX_CELLS:
        raise BadWire(f"{cells} cells in one batch; at most {MAX_CELLS}: split it")
    return batch


def decode_rows(table: Table) -> list[dict[str, Any]]:
    """A table's rows as dicts.

    Raises:
        BadWire: a column's bytes do not fit its row count.
    """
    names = [c.name for c in table.columns]
    lists: list[list[Scalar]] = []
    text = 0
    for column in table.columns:
        lists.append(column_values(column, table.rows))
        text += _text_of(lists[-1])
        if text > MAX_TEXT:
            raise BadWire(f"table {table.name!r}: over {MAX_TEXT} characters of text")
    if not lists:
        return [{} for _ in range(table.rows)]
    return [dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True)]


def column_values(column: Column, rows: int) -> list[Scalar]:
    """One column's values, nulls as None.

    Raises:
        BadWire: the bytes do not fit `rows`.
    """
    try:
        values = _values(column, rows)
    except (*UNDECODABLE, ValueError, IndexError) as error:
        raise BadWire(f"column {column.name!r}: {error}") from error
    if len(values) != rows:
        raise BadWire(f"column {column.name!r}: {len(values)} values for {rows} rows")
    if column.mask is None:
        return values
    if len(column.mask) != rows:
        raise BadWire(f"column {column.name!r}: mask of {len(column.mask)} for {rows} rows")
    return [v if m else None for v, m in zip(values, column.mask, strict=True)]


def ints_of(column: Column) -> Ints:
    """The packed form of an "i" column, for reading by buffer."""
    return _ints.decode(column.data)


def strings_of(column: Column) -> Strings:
    """The packed form of an "s" column, for reading by buffer."""
    return _strings.decode(column.data)


def lists_of(column: Column) -> Lists:
    """The packed form of an "l" column, for reading by buffer."""
    return _lists.decode(column.data)


def bytes_of(column: Column) -> bytes:
    """The packed form of an "f" or "b" column, for reading by buffer."""
    return _bytes.decode(column.data)


def _text_of(values: list[Scalar]) -> int:
    """Characters that a column's rows have together, repeated ones counted each time."""
    total = 0
    for value in values:
        if isinstance(value, str):
            total += len(value)
        elif isinstance(value, list):
            total += sum(map(len, value)) + 8 * len(value)
    return total


def _column(name: str, kind: Kind, optional: bool, values: list[Any]) -> Column:  # noqa: FBT001
    mask = None
    if optional:
        mask = bytes(0 if v is None else 1 for v in values)
        if all(mask):
            mask = None
        else:
            filler: Any = {"i": 0, "f": 0.0, "b": False, "s": "", "l": []}[kind]
            values = [filler if v is None else v for v in values]
    data: object
    if kind == "i":
        data = _pack_ints(values)
    elif kind == "f":
        data = _raw(array("d", values))
    elif kind == "b":
        data = bytes(values)
    elif kind == "s":
        data = _pack_strings(values)
    else:
        data = _pack_lists(values)
    return Column(name, kind, msgspec.Raw(_encoder.encode(data)), mask)


def _raw(values: array[Any]) -> bytes:
    if not _LITTLE:
        values = array(values.typecode, values)
        values.byteswap()
    return values.tobytes()


def _array(code: str, data: bytes) -> array[Any]:
    values: array[Any] = array(code)
    values.frombytes(data)
    if not _LITTLE:
        values.byteswap()
    return values


def _pack_ints(values: list[int]) -> Ints:
    if not values:
        return Ints(0, 0, b"")
    low, high = min(values), max(values)
    span = high - low
    if span == 0:
        return Ints(low, 0, b"")
    for width, top in ((1, 0xFF), (2, 0xFFFF), (4, 0xFFFFFFFF)):
        if span <= top:
            return Ints(low, width, _raw(array(_CODES[width], [v - low for v in values])))
    return Ints(0, 8, _raw(array("q", values)))


def _pack_strings(values: list[str]) -> Strings:
    index: dict[str, int] = {}
    codes = [index.setdefault(v, len(index)) for v in values]
    if len(index) * 4 > len(values) * 3:
        return Strings(*_blob(values), 0, b"")
    width = 1 if len(index) <= 0x100 else 2 if len(index) <= 0x10000 else 4
    return Strings(*_blob(list(index)), width, _raw(array(_CODES[width], codes)))


def _blob(values: list[str]) -> tuple[bytes, bytes]:
    parts = [v.encode("utf-8", "replace") for v in values]
    offsets = array("I", [0])
    total = 0
    for part in parts:
        total += len(part)
        offsets.append(total)
    return _raw(offsets), b"".join(parts)


def _pack_lists(values: list[list[str]]) -> Lists:
    offsets = array("I", [0])
    items: list[str] = []
    for value in values:
        items.extend(value)
        offsets.append(len(items))
    return Lists(_raw(offsets), _pack_strings(items))


def _values(column: Column, rows: int) -> list[Any]:
    if column.kind == "i":
        return unpack_ints(_ints.decode(column.data), rows)
    if column.kind == "f":
        return _array("d", _bytes.decode(column.data)).tolist()
    if column.kind == "b":
        return [bool(b) for b in _bytes.decode(column.data)]
    if column.kind == "s":
        return unpack_strings(_strings.decode(column.data))
    return _unpack_lists(_lists.decode(column.data))


def unpack_ints(ints: Ints, rows: int) -> list[int]:
    """The values; a width-0 column has `rows` of its minimum."""
    if ints.width == 0:
        return [ints.minimum] * rows
    if ints.width not in _CODES:
        raise ValueError(f"integer width {ints.width}")
    raw = _array(_CODES[ints.width], ints.data).tolist()
    return raw if ints.width == 8 else [v + ints.minimum for v in raw]


def unpack_strings(strings: Strings) -> list[str]:
    """The values, with the dictionary applied."""
    offsets = _array("I", strings.offsets).tolist()
    if not offsets or offsets[0] != 0 or offsets[-1] != len(strings.blob):
        raise ValueError("string offsets do not span the blob")
    blob = strings.blob
    words: list[str] = []
    last = 0
    for end in offsets[1:]:
        if end < last:
            raise ValueError("string offsets fall")
        words.append(blob[last:end].decode())
        last = end
    if strings.width == 0:
        return words
    if strings.width not in _SHIFTED:
        raise ValueError(f"code width {strings.width}")
    return [words[c] for c in _array(_SHIFTED[strings.width], strings.codes)]


def _unpack_lists(lists: Lists) -> list[list[str]]:
    offsets = _array("I", lists.offsets).tolist()
    items = unpack_strings(lists.items)
    if not offsets or offsets[0] != 0 or offsets[-1] != len(items):
        raise ValueError("list offsets do not span the items")
    out: list[list[str]] = []
    for start, end in itertools.pairwise(offsets):
        if end < start:
            raise ValueError("list offsets fall")
        out.append(items[start:end])
    return out
