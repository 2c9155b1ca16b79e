"""Data files of the lake: written, fsynced and described for the Delta log."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from hauberk.store.files import make_folder, room

ROW_GROUP = 40_000
# Key in the file's footer: bytes that its rows take in memory, which its size does not tell.
_UNPACKED = b"hauberk.unpacked"
_STATS = ("received_ns", "time_ns")


def write(folder: Path, day: str, rows: Any, *, level: int, change: bool = True) -> AddAction:
    """Write one file of a table's partition, fsynced; its folder's names are not.

    Args:
        folder: the table.
        day: partition value.
        rows: a pyarrow.Table without the partition column.
        level: zstd level.
        change: False when the rows were in the table before (compaction).

    Raises:
        StorageFull: no room; no file is left.
    """
    name = f"day={day}/part-{secrets.token_hex(16)}.parquet"
    path = folder / name
    make_folder(path.parent)
    try:
        with room(str(folder)), path.open("xb") as out:
            pq.write_table(
                rows.replace_schema_metadata({_UNPACKED: str(rows.nbytes)}),
                out,
                compression="zstd",
                compression_level=level,
                row_group_size=ROW_GROUP,
            )
            out.flush()
            os.fsync(out.fileno())
            size = out.tell()
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return AddAction(
        path=name,
        size=size,
        partition_values={"day": day},
        modification_time=time.time_ns() // 1_000_000,
        data_change=change,
        stats=_stats(rows),
    )


def unpacked(path: Path) -> int:
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
