"""What the event lake may keep: days and bytes, and how many days are left."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from deltalake import Transaction
from deltalake.transaction import RemoveAction

from hauberk.store.lake import Lake, day_of
from hauberk.store.lake_files import DataFile

DAY_NS = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes and rows of the lake, by day over all tenants; the disk's free bytes, if a disk."""

    bytes: int
    rows: int
    by_day: dict[str, int]
    disk_free: int | None

    def days_left(self, *, days: int, max_bytes: int, today: str) -> float | None:
        """Days that new events still find room before old ones must go; None when not known.

        The rate is the mean of the last seven whole days that have events.
        """
        whole = [self.by_day[d] for d in sorted(self.by_day) if d < today][-7:]
        if not whole or not sum(whole):
            return None
        rate = sum(whole) / len(whole)
        room = max(max_bytes - self.bytes, 0)
        if self.disk_free is not None:
            room = min(room, self.disk_free)
        left = room / rate
        return min(left, float(days))


def usage(lake: Lake) -> Usage:
    """Measure the lake."""
    by_day: dict[str, int] = defaultdict(int)
    total = rows = 0
    for tenant, table in lake.tables():
        for file in lake.files(tenant, table):
            by_day[file.day] += file.bytes
            total += file.bytes
            rows += file.rows
    return Usage(total, rows, dict(by_day), lake.where.free())


def enforce(lake: Lake, *, now_ns: int, days: int, max_bytes: int, today: str) -> int:
    """Drop whole days: those past `days`, then the oldest while over `max_bytes`. Rows dropped.

    The files themselves go with the next vacuum. Events of `today`, the day that is being written,
    are never dropped. `now_ns` is steady (`store.steady`).
    """
    first = day_of(now_ns - days * DAY_NS)
    found = {key: lake.files(*key) for key in lake.tables()}
    by_day: dict[str, int] = defaultdict(int)
    for files in found.values():
        for file in files:
            by_day[file.day] += file.bytes
    kept = sum(by_day.values())
    drop: set[str] = set()
    for day in sorted(by_day):
        if day != today and (day < first or kept > max_bytes):
            drop.add(day)
            kept -= by_day[day]
    rows = 0
    for (tenant, table), files in found.items():
        old = [file for file in files if file.day in drop]
        if old:
            rows += sum(file.rows for file in old)
            _remove(lake, tenant, table, old)
    return rows


def _remove(lake: Lake, tenant: str, table: str, files: Sequence[DataFile]) -> None:
    handle = lake.locked(tenant, table)
    now = time.time_ns() // 1_000_000
    actions = [
        RemoveAction(file.path, True, now, file.bytes, {"day": file.day})  # noqa: FBT003
        for file in files
    ]
    with handle.lock:
        lake.commit(handle, actions, Transaction("retention", handle.table.version() + 1))
