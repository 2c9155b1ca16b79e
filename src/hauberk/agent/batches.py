"""Rows -> batches that fit the link: bounded rows, bounded bytes, parts numbered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from hauberk.errors import BadInput
from hauberk.link import wire

EVENT_ROWS = 500
INVENTORY_ROWS = 2000
MAX_BYTES = 4 * 1024 * 1024
_encoder = msgspec.msgpack.Encoder()


def chunks(
    name: str, struct: type[msgspec.Struct], rows: Sequence[msgspec.Struct], most: int
) -> Iterator[wire.Table]:
    """Tables of at most `most` rows and MAX_BYTES bytes each; one empty table for no rows.

    Raises:
        BadInput: a single row is larger than a batch may be.
    """
    if not rows:
        yield wire.encode_table(name, struct, ())
    for start in range(0, len(rows), most):
        yield from _fitting(name, struct, rows[start : start + most])


def _fitting(
    name: str, struct: type[msgspec.Struct], rows: Sequence[msgspec.Struct]
) -> Iterator[wire.Table]:
    table = wire.encode_table(name, struct, rows)
    size = len(_encoder.encode(table))
    if size <= MAX_BYTES:
        yield table
    elif len(rows) == 1:
        raise BadInput(f"one row of {size} bytes; at most {MAX_BYTES} travel", source=name)
    else:
        half = len(rows) // 2
        yield from _fitting(name, struct, rows[:half])
        yield from _fitting(name, struct, rows[half:])


def with_meta(table: wire.Table, meta: Mapping[str, str | int]) -> wire.Table:
    """The same table with other meta."""
    return msgspec.structs.replace(table, meta=dict(meta))


def grouped(tables: Sequence[wire.Table]) -> Iterator[tuple[bytes, int]]:
    """Batches (bytes, rows) of the tables in order, as few as the bounds allow."""
    group: list[wire.Table] = []
    size = 0
    for table in tables:
        own = len(_encoder.encode(table))
        if group and (size + own > MAX_BYTES or len(group) >= wire.MAX_TABLES):
            yield _batch(group)
            group, size = [], 0
        group.append(table)
        size += own
    if group:
        yield _batch(group)


def _batch(tables: list[wire.Table]) -> tuple[bytes, int]:
    return wire.encode_batch(tables), sum(t.rows for t in tables)
