"""Wire columns to Arrow by buffer, checked: counts, offsets, codes and UTF-8."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hauberk.errors import BadWire
from hauberk.link import wire
from hauberk.link.wire import Column, Ints, Lists, Strings, Table

COLUMN_NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}")
# Of one table, with what its dictionaries repeat.
MAX_BYTES = 128 * 1024 * 1024
LIST = pa.list_(pa.field("element", pa.string()))
TYPES: dict[str, Any] = {
    "i": pa.int64(),
    "f": pa.float64(),
    "b": pa.bool_(),
    "s": pa.string(),
    "l": LIST,
}
_CODES = {1: pa.uint8(), 2: pa.uint16(), 4: pa.uint32()}


def to_arrow(table: Table) -> Any:
    """A pyarrow.Table with the columns of a wire table; their types are those of `TYPES`.

    Raises:
        BadWire: bytes, offsets, codes or text don't fit.
    """
    names: dict[str, Any] = {}
    # No column can grow to more than its bytes for each row: ordinary batches need no measuring.
    raw = sum(len(column.data) + 8 for column in table.columns)
    small, size = table.rows * raw <= MAX_BYTES, 0
    for column in table.columns:
        if not COLUMN_NAME.fullmatch(column.name) or column.name in names:
            raise BadWire(f"table {table.name!r}: column {column.name!r}: not a name, or twice")
        names[column.name] = _array(column, table.rows)
        size += 0 if small else names[column.name].nbytes
        if size > MAX_BYTES:
            raise BadWire(f"table {table.name!r}: over {MAX_BYTES} bytes when unpacked")
    return pa.table(names)


def _array(column: Column, rows: int) -> Any:
    build = _BUILD.get(column.kind)
    if build is None:
        raise BadWire(f"column {column.name!r}: kind {column.kind!r}")
    try:
        return build(column, rows, _validity(column.mask, rows))
    except (*wire.UNDECODABLE, pa.ArrowException, ValueError, OverflowError) as error:
        raise BadWire(f"column {column.name!r}: {error}") from error


def _validity(mask: bytes | None, rows: int) -> Any:
    """Arrow's bitmap from one byte a row; None when every row has a value."""
    if mask is None:
        return None
    return pc.cast(_raw(pa.uint8(), rows, mask), pa.bool_()).buffers()[1]


def _raw(kind: Any, rows: int, data: bytes, validity: Any = None) -> Any:
    width = kind.bit_width // 8
    if len(data) != rows * width:
        raise ValueError(f"{len(data)} bytes for {rows} values of {width}")
    return pa.Array.from_buffers(kind, rows, [validity, pa.py_buffer(data)])


def _masked(values: Any, validity: Any) -> Any:
    if validity is None:
        return values
    return pa.Array.from_buffers(values.type, len(values), [validity, *values.buffers()[1:]])


def _ints(column: Column, rows: int, validity: Any) -> Any:
    ints: Ints = wire.ints_of(column)
    if ints.width == 0:
        return _masked(pa.repeat(pa.scalar(ints.minimum, pa.int64()), rows), validity)
    if ints.width == 8:
        return _raw(pa.int64(), rows, ints.data, validity)
    if ints.width not in _CODES:
        raise ValueError(f"integer width {ints.width}")
    small = _raw(_CODES[ints.width], rows, ints.data)
    low = pa.scalar(ints.minimum, pa.int64())
    return _masked(pc.add_checked(pc.cast(small, pa.int64()), low), validity)


def _floats(column: Column, rows: int, validity: Any) -> Any:
    return _raw(pa.float64(), rows, wire.bytes_of(column), validity)


def _bools(column: Column, rows: int, validity: Any) -> Any:
    return _masked(pc.cast(_raw(pa.uint8(), rows, wire.bytes_of(column)), pa.bool_()), validity)


def _strings(column: Column, rows: int, validity: Any) -> Any:
    values = _text(wire.strings_of(column))
    if len(values) != rows:
        raise ValueError(f"{len(values)} values for {rows} rows")
    return _masked(values, validity)


def _lists(column: Column, rows: int, validity: Any) -> Any:
    lists: Lists = wire.lists_of(column)
    items = _text(lists.items)
    offsets = pa.py_buffer(lists.offsets)
    if len(lists.offsets) != (rows + 1) * 4:
        raise ValueError(f"{len(lists.offsets)} offset bytes for {rows} rows")
    values = pa.Array.from_buffers(LIST, rows, [validity, offsets], children=[items])
    values.validate(full=True)
    if lists.offsets[:4] != b"\0\0\0\0" or int.from_bytes(lists.offsets[-4:], "little") != len(
        items
    ):
        raise ValueError("list offsets do not span the items")
    return values


def _text(strings: Strings) -> Any:
    count = len(strings.offsets) // 4 - 1
    if count < 0 or len(strings.offsets) % 4 or strings.offsets[:4] != b"\0\0\0\0":
        raise ValueError("string offsets do not start the blob")
    if int.from_bytes(strings.offsets[-4:], "little") != len(strings.blob):
        raise ValueError("string offsets do not span the blob")
    buffers = [None, pa.py_buffer(strings.offsets), pa.py_buffer(strings.blob)]
    words = pa.Array.from_buffers(pa.string(), count, buffers)
    words.validate(full=True)
    if strings.width == 0:
        return words
    kind = _CODES.get(strings.width)
    if kind is None or len(strings.codes) % strings.width:
        raise ValueError(f"code width {strings.width}")
    codes = _raw(kind, len(strings.codes) // strings.width, strings.codes)
    long = len(strings.blob) * len(codes)
    if long > MAX_BYTES:
        long = pc.sum(pc.take(pc.binary_length(words), codes)).as_py() or 0
    if long > MAX_BYTES:
        raise ValueError(f"{long} bytes of text when unpacked; at most {MAX_BYTES}")
    return pa.DictionaryArray.from_arrays(codes, words).dictionary_decode()


_BUILD: dict[str, Callable[[Column, int, Any], Any]] = {
    "i": _ints,
    "f": _floats,
    "b": _bools,
    "s": _strings,
    "l": _lists,
}
