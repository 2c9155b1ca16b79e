"""Search of the event lake: the filter grammar as DuckDB SQL over the table's live files.

Only columns that the event's Struct declares, and values only as bound parameters.

Rows are found by their narrow keys first, and read whole afterwards: sorting wide rows would need
memory for each row that was ever among the newest. Files are read from the newest on, until a page
is full and no file that is left can hold a newer row.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa
from deltalake.exceptions import TableNotFoundError

from hauberk.errors import Busy
from hauberk.schema.asset import ColumnKind, columns_of
from hauberk.schema.event import EVENT_CLASSES
from hauberk.schema.view import EventRow, Page
from hauberk.store import query, typed
from hauberk.store.lake import PARTITION, Lake
from hauberk.store.lake_filter import compile_filter, kinds

_MS = 1_000_000
_INT64 = 2**63 - 1
_SECOND = 1_000_000_000
_WINDOW = 20_000
_GROUP_ROWS = 250_000
_KEYS = ("received_ns", "agent", "boot", "sequence", "ordinal")
_KEY_LIST = ", ".join(f'"{k}"' for k in _KEYS)
_ORDER = ", ".join(f'"{k}" DESC' for k in _KEYS)
_SOURCE = "read_parquet(?, union_by_name = true, hive_partitioning = false)"
_DUCK: dict[ColumnKind, str] = {
    "str": "VARCHAR",
    "int": "BIGINT",
    "float": "DOUBLE",
    "bool": "BOOLEAN",
    "list": "VARCHAR[]",
}


@dataclass(frozen=True, slots=True)
class Search:
    """Which events. Times are received times, ms; `until_ms` is exclusive."""

    tenant: str
    table: str
    text: str = ""
    workload: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    include_self: bool = False


@dataclass(slots=True)
class _Clause:
    sql: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, sql: str, *values: Any) -> None:
        self.sql.append(sql)
        self.values.extend(values)

    def copy(self) -> _Clause:
        return _Clause(list(self.sql), list(self.values))

    def text(self) -> str:
        return f" WHERE {' AND '.join(self.sql)}" if self.sql else ""


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    day: str
    rows: int
    oldest_ns: int
    newest_ns: int


class LakeQuery:
    """Searches of all tenants. Safe for several threads.

    Args:
        lake: tells each table's live files.
        memory_mb: bound of DuckDB's memory, for all searches together.
        timeout_s: a search that takes longer is stopped.
        slots: searches at once.
    """

    def __init__(
        self, lake: Lake, *, memory_mb: int = 256, timeout_s: float = 20.0, slots: int = 3
    ) -> None:
        self._lake = lake
        self._timeout_s = timeout_s
        self._slots = threading.BoundedSemaphore(slots)
        self._db = duckdb.connect(
            ":memory:", config={"threads": 1, "memory_limit": f"{memory_mb}MB"}
        )
        self._db.execute("SET autoinstall_known_extensions = false")
        self._db.execute("SET autoload_known_extensions = false")
        self._db.execute("SET preserve_insertion_order = false")
        # The process may read the lake's folder and nothing else through SQL.
        root = str(lake.root.resolve()).replace("'", "''")
        self._db.execute(f"SET allowed_directories = ['{root}/']")
        self._db.execute("SET enable_external_access = false")
        self._db.execute("SET lock_configuration = true")

    def close(self) -> None:
        """Free DuckDB."""
        self._db.close()

    def page(
        self,
        search: Search,
        hostnames: Mapping[str, str],
        cursor: str | None,
        limit: int,
        now_ms: int,
    ) -> Page[EventRow]:
        """One page, newest received first.

        Args:
            search: which events.
            hostnames: name per workload of the tenant.
            cursor: `next` of the page before.
            limit: rows.
            now_ms: server's time.

        Raises:
            BadFilter: the filter is wrong.
            BadInput: the cursor belongs to another search.
            Busy: too many searches, or this one took too long.
        """
        digest = query.digest_of("events", *_scope(search))
        last = None
        if cursor is not None:
            last = query.decode_cursor(cursor, digest, (int, str, str, int, int))
        rows = self._rows(search, hostnames, last, limit + 1)
        more = len(rows) > limit
        rows = rows[:limit]
        following = query.encode_cursor(digest, *rows[-1][: len(_KEYS)]) if more else None
        items = [_event(search.table, row, hostnames) for row in rows]
        return Page(items=items, next=following, as_of_ms=now_ms)

    def rows(self, search: Search, hostnames: Mapping[str, str]) -> Iterator[EventRow]:
        """Every event of the search in the order of the pages, without a cap.

        Each day is cut into windows of received time that hold a few thousand rows.
        """
        where = _where(search, hostnames)
        files = self._files(search)
        for day in sorted({f.day for f in files}, reverse=True):
            of_day = [f for f in files if f.day == day]
            for low, high in self._windows(of_day, search.table, where):
                window = where.copy()
                window.add('"received_ns" BETWEEN ? AND ?', low, high)
                touched = [f for f in of_day if f.oldest_ns <= high and f.newest_ns >= low]
                for row in self._whole(search.table, touched, window):
                    yield _event(search.table, row, hostnames)

    def counts(self, tenant: str, since_ms: int) -> dict[str, int] | None:
        """Events per table received since then; None when the tenant has no event table at all."""
        found: dict[str, int] = {}
        for table in EVENT_CLASSES:
            if not self._exists(tenant, table):
                continue
            files = self._files(Search(tenant, table, since_ms=since_ms))
            found[table] = 0
            if files:
                sql = f'SELECT count(*) FROM {_SOURCE} WHERE "received_ns" >= ?'  # noqa: S608
                found[table] = self._run(sql, [_paths(files), since_ms * _MS])[0][0]
        return found or None

    def _rows(
        self,
        search: Search,
        hostnames: Mapping[str, str],
        last: Sequence[Any] | None,
        limit: int,
    ) -> list[tuple[Any, ...]]:
        where = _where(search, hostnames)
        if last is not None:
            where.add('"received_ns" <= ?', last[0])
            where.add(f"({_KEY_LIST}) < (?, ?, ?, ?, ?)", *last)
        files = [f for f in self._files(search) if last is None or f.oldest_ns <= last[0]]
        keys: list[tuple[Any, ...]] = []
        used: list[_File] = []
        for group, newest_left in _groups(files):
            keys += self._keys(search.table, group, where, limit)
            keys = sorted(keys, reverse=True)[:limit]
            used += group
            if len(keys) == limit and keys[-1][0] > newest_left:
                break
        if not keys:
            return []
        low, high = keys[-1], keys[0]
        where.add('"received_ns" BETWEEN ? AND ?', low[0], high[0])
        where.add(f"({_KEY_LIST}) >= (?, ?, ?, ?, ?)", *low)
        used = [f for f in used if f.oldest_ns <= high[0] and f.newest_ns >= low[0]]
        return self._whole(search.table, used, where)

    def _keys(
        self, table: str, files: list[_File], where: _Clause, limit: int
    ) -> list[tuple[Any, ...]]:
        tail = f"{where.text()} ORDER BY {_ORDER} LIMIT ?"
        return self._select(table, files, _KEY_LIST, tail, [*where.values, limit])

    def _whole(self, table: str, files: list[_File], where: _Clause) -> list[tuple[Any, ...]]:
        names = _names(table)
        shown = ", ".join(f'"{n}"' for n in (*_KEYS, "workload", *names))
        return self._select(table, files, shown, f"{where.text()} ORDER BY {_ORDER}", where.values)

    def _windows(self, files: list[_File], table: str, where: _Clause) -> Iterator[tuple[int, int]]:
        """(oldest, newest) received times that hold about _WINDOW rows each, newest first."""
        tail = f"{where.text()} GROUP BY 1 ORDER BY 1 DESC"
        # By the second: a day may have more received times than fit into memory.
        shown = f'"received_ns" // {_SECOND}, count(*)'
        counts = self._select(table, files, shown, tail, where.values)
        high, rows = None, 0
        for second, count in counts:
            high = (second + 1) * _SECOND - 1 if high is None else high
            rows += count
            if rows >= _WINDOW:
                yield second * _SECOND, high
                high, rows = None, 0
        if high is not None:
            yield counts[-1][0] * _SECOND, high

    def _select(
        self, table: str, files: list[_File], shown: str, tail: str, values: list[Any]
    ) -> list[tuple[Any, ...]]:
        bound = [_paths(files), *values]
        try:
            return self._run(f"SELECT {shown} FROM {_SOURCE}{tail}", bound)  # noqa: S608
        except duckdb.BinderException:
            # No file has a column that this version declares: it reads as null.
            empty = ", ".join(
                f'NULL::{_DUCK[c.kind]} AS "{c.name}"' for c in columns_of(EVENT_CLASSES[table])
            )
            whole = f"(FROM {_SOURCE} UNION ALL BY NAME SELECT {empty} WHERE false)"
            return self._run(f"SELECT {shown} FROM {whole}{tail}", bound)  # noqa: S608

    def _exists(self, tenant: str, table: str) -> bool:
        return (self._lake.root / tenant / table / "_delta_log").is_dir()

    def _files(self, search: Search) -> list[_File]:
        """Live files within the searched time, newest first."""
        if not self._exists(search.tenant, search.table):
            return []
        folder = self._lake.root.resolve() / search.tenant / search.table
        try:
            handle = self._lake.locked(search.tenant, search.table)
        except TableNotFoundError:
            return []
        with handle.lock:
            actions = pa.table(handle.table.get_add_actions(flatten=True))
        low = (search.since_ms or 0) * _MS
        high = search.until_ms * _MS if search.until_ms is not None else _INT64
        found = [
            _File(
                path=str(folder / row["path"]),
                day=row[f"partition.{PARTITION}"],
                rows=row["num_records"] or 0,
                # A file without statistics may hold anything.
                oldest_ns=row.get("min.received_ns") or 0,
                newest_ns=row.get("max.received_ns") or _INT64,
            )
            for row in actions.to_pylist()
        ]
        wanted = [f for f in found if f.newest_ns >= low and f.oldest_ns < high]
        return sorted(wanted, key=lambda f: (f.newest_ns, f.path), reverse=True)

    def _run(self, sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
        if not self._slots.acquire(timeout=self._timeout_s):
            raise Busy("too many searches at once", retry_after=5)
        cursor = self._db.cursor()
        timer = threading.Timer(self._timeout_s, cursor.interrupt)
        timer.start()
        try:
            return cursor.execute(sql, values).fetchall()
        except duckdb.InterruptException as error:
            raise Busy(
                f"the search took over {self._timeout_s:g} s: narrow its time or filter",
                retry_after=1,
            ) from error
        except duckdb.IOException as error:
            # Compaction and vacuum may have removed a file that a long search had listed.
            raise Busy("a file of the lake is gone or unreadable: try again") from error
        except duckdb.OutOfMemoryException as error:
            raise Busy("the search needs too much memory: narrow it", retry_after=1) from error
        finally:
            timer.cancel()
            cursor.close()
            self._slots.release()


@cache
def _names(table: str) -> tuple[str, ...]:
    return tuple(c.name for c in columns_of(EVENT_CLASSES[table]))


def _paths(files: Sequence[_File]) -> list[str]:
    return [f.path for f in files]


def _groups(files: Sequence[_File]) -> Iterator[tuple[list[_File], int]]:
    """Files in the order given, some at a time, with the newest time that is left behind them."""
    group: list[_File] = []
    for number, file in enumerate(files):
        group.append(file)
        if sum(f.rows for f in group) >= _GROUP_ROWS or number == len(files) - 1:
            left = files[number + 1].newest_ns if number + 1 < len(files) else -1
            yield group, left
            group = []


def _where(search: Search, hostnames: Mapping[str, str]) -> _Clause:
    where = _Clause()
    tree = typed.read(search.text, kinds(search.table))
    if not search.include_self:
        where.add('coalesce("is_self", false) = false')
    if search.workload is not None:
        where.add('"workload" = ?', search.workload)
    if search.since_ms is not None:
        where.add('"received_ns" >= ?', search.since_ms * _MS)
    if search.until_ms is not None:
        where.add('"received_ns" < ?', search.until_ms * _MS)
    if tree is not None:
        sql, values = compile_filter(tree, search.table, hostnames)
        where.add(sql, *values)
    return where


def _scope(search: Search) -> tuple[object, ...]:
    return (
        search.tenant,
        search.table,
        search.text,
        search.workload,
        search.since_ms,
        search.until_ms,
        search.include_self,
    )


def _event(table: str, row: tuple[Any, ...], hostnames: Mapping[str, str]) -> EventRow:
    values = dict(zip(_names(table), row[len(_KEYS) + 1 :], strict=True))
    home = row[len(_KEYS)] or ""
    return EventRow(
        table=table,
        workload=home,
        hostname=hostnames.get(home, ""),
        received_ms=row[0] // _MS,
        time_ms=(values["time_ns"] or 0) // _MS,
        fields={name: query.plain(value) for name, value in values.items()},
    )
