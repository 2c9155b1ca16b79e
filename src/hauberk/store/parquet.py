"""Data files of the lake: encoded, and described for the Delta log."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

ROW_GROUP = 40_000
# Key in the file's footer: bytes that its rows take in memory, which its size does not tell.
_UNPACKED = b"hauberk.unpacked"
_STATS = ("received_ns", "time_ns")


def name(day: str) -> str:
    """A new file's path below its table."""
    return f"day={day}/part-{secrets.token_hex(16)}.parquet"


def encode(rows: Any, out: Any, *, level: int) -> int:
    """Write rows (a pyarrow.Table without the partition column) to a sink; bytes written.

    Args:
        rows: what the file holds.
        out: a binary file, or a pyarrow sink.
        level: zstd level.
    """
    pq.write_table(
        rows.replace_schema_metadata({_UNPACKED: str(rows.nbytes)}),
        out,
        compression="zstd",
        compression_level=level,
        row_group_size=ROW_GROUP,
    )
    return int(out.tell())


def added(path: str, day: str, rows: Any, *, size: int, change: bool) -> AddAction:
    """What the log says of a file; `change` is False when its rows were in the table before."""
    return AddAction(
        path=path,
        size=size,
        partition_values={"day": day},
        modification_time=time.time_ns() // 1_000_000,
        data_change=change,
        stats=_stats(rows),
    )


def unpacked(path: str) -> int:
    """Bytes of a file's rows in memory; a guess where the file does not say."""
    footer = pq.read_metadata(path)
    told = (footer.metadata or {}).get(_UNPACKED, b"")
    if told.isdigit():
        return int(told)
    return 4 * sum(int(footer.row_group(i).total_byte_size) for i in range(footer.num_row_groups))


def _stats(rows: Any) -> str:
    low: dict[str, int] = {}
    high: dict[str, int] = {}
    nulls: dict[str, int] = {}
    for name in _STATS:
        if name in rows.column_names and rows.num_rows:
            column = rows.column(name)
            ends = pc.min_max(column).as_py()
            if ends["min"] is not None:
                low[name], high[name] = ends["min"], ends["max"]
            nulls[name] = column.null_count
    return json.dumps(
        {"numRecords": rows.num_rows, "minValues": low, "maxValues": high, "nullCount": nulls}
    )
