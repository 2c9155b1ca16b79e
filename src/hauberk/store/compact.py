"""Many small files of a day into few sorted ones, in bounded memory, with data durable first."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import Transaction
from deltalake.transaction import RemoveAction

from hauberk.errors import Conflict
from hauberk.store import parquet
from hauberk.store.lake import Lake
from hauberk.store.lake_files import DataFile

TARGET_ROWS = 100_000
# In memory: few rows may be large.
TARGET_BYTES = 128 * 1024 * 1024
MIN_FILES = 8
_log = logging.getLogger(__name__)
SORT = [("received_ns", "ascending"), ("agent", "ascending"), ("sequence", "ascending")]


def compact(lake: Lake, tenant: str, table: str, *, today: str) -> int:
    """Join small files; how many went.

    Args:
        lake: the event lake.
        tenant: folder below the lake.
        table: event class.
        today: partition that is still being written; there, only MIN_FILES or more are joined.

    Raises:
        StorageFull: no room; nothing changed.
        Unreachable: the store does not answer.
    """
    gone = 0
    home = lake.where.home(tenant, table)
    for group in _groups(lake.files(tenant, table), today):
        with home.local(group) as paths:
            where = dict(zip(group, paths, strict=True))
            for part in _light(where, today):
                try:
                    _join(lake, tenant, table, {file: where[file] for file in part})
                except Conflict as error:
                    # Another process compacted or dropped them first.
                    _log.info("lake: %s", error)
                    return gone
                gone += len(part)
    return gone


def _groups(files: Sequence[DataFile], today: str) -> Iterator[list[DataFile]]:
    group: list[DataFile] = []
    rows = 0
    for file in files:
        if file.rows > TARGET_ROWS // 2:
            continue
        if group and (file.day != group[0].day or rows + file.rows > TARGET_ROWS):
            if _worth(group, today):
                yield group
            group, rows = [], 0
        group.append(file)
        rows += file.rows
    if group and _worth(group, today):
        yield group


def _light(group: Mapping[DataFile, str], today: str) -> Iterator[list[DataFile]]:
    """Parts of a group that fit into memory; a file that is large by itself stays as it is."""
    part: list[DataFile] = []
    size = 0
    for file, path in group.items():
        own = parquet.unpacked(path)
        if own > TARGET_BYTES // 2:
            continue
        if part and size + own > TARGET_BYTES:
            if _worth(part, today):
                yield part
            part, size = [], 0
        part.append(file)
        size += own
    if part and _worth(part, today):
        yield part


def _worth(group: list[DataFile], today: str) -> bool:
    return len(group) >= (MIN_FILES if group[0].day == today else 2)


def _join(lake: Lake, tenant: str, table: str, group: Mapping[DataFile, str]) -> None:
    handle = lake.locked(tenant, table)
    day = next(iter(group)).day
    parts = [_read(path) for path in group.values()]
    rows = pa.concat_tables(parts, promote_options="default").sort_by(SORT)
    del parts
    added = handle.home.write(day, rows, level=3, change=False)
    del rows
    handle.home.settle([added])
    now = time.time_ns() // 1_000_000
    removed = [
        RemoveAction(file.path, False, now, file.bytes, {"day": day})  # noqa: FBT003
        for file in group
    ]
    with handle.lock:
        mark = Transaction("compact", handle.table.version() + 1)
        lake.commit(handle, [added, *removed], mark)
    pa.default_memory_pool().release_unused()


def _read(path: str) -> pa.Table:
    # One file at a time, without threads: the memory is bounded by TARGET_ROWS.
    return pq.ParquetFile(path).read(use_threads=False)
