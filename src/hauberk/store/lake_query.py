"""Search of the event lake: the filter grammar as DuckDB SQL over the table's live files.

Only columns that the event's Struct declares, and values only as bound parameters.

Rows are found by their narrow keys first, and read whole afterwards: sorting wide rows would need
memory for each row that was ever among the newest. Files are read from the newest on, until a page
is full and no file that is left can hold a newer row.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import duckdb
from deltalake.exceptions import TableNotFoundError

from hauberk.errors import BadFilter, Busy
from hauberk.schema.asset import ColumnKind, columns_of
from hauberk.schema.event import EVENT_CLASSES
from hauberk.schema.view import EventRow, Page
from hauberk.store import query, typed
from hauberk.store.lake import Lake
from hauberk.store.lake_files import DataFile, Home
from hauberk.store.lake_filter import column_of, compile_filter, kinds

_MS = 1_000_000
_INT64 = 2**63 - 1
_SECOND = 1_000_000_000
_WINDOW = 20_000
_GROUP_ROWS = 250_000
KEYS = ("received_ns", "agent", "boot", "sequence", "ordinal")
_KEY_LIST = ", ".join(f'"{k}"' for k in KEYS)
_log = logging.getLogger(__name__)
_ORDER = ", ".join(f'"{k}" DESC' for k in KEYS)
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


class Hunt(Protocol):
    """Another engine for what has no page limit."""

    def rows(self, search: Search, hostnames: Mapping[str, str]) -> Iterator[EventRow]:
        """Every event of the search, newest received first; see `LakeQuery.rows`."""

    def counts_by(
        self, search: Search, hostnames: Mapping[str, str], by: str, limit: int
    ) -> list[tuple[Any, int]]:
        """Events per value of a column; see `LakeQuery.counts_by`."""

    def close(self) -> None:
        """Let go of the engine."""


class _Unreadable(Exception):
    """A data file is gone or broken."""


class LakeQuery:
    """Searches of all tenants. Safe for several threads.

    Where the lake is in a store, only files that the searched time leaves are fetched.

    Args:
        lake: tells each table's live files.
        memory_mb: bound of DuckDB's memory, for all searches together.
        timeout_s: a search that takes longer is stopped.
        slots: searches at once.
        hunt: runs exports and counts by value; None: DuckDB does.
    """

    def __init__(
        self,
        lake: Lake,
        *,
        memory_mb: int = 256,
        timeout_s: float = 20.0,
        slots: int = 3,
        hunt: Hunt | None = None,
    ) -> None:
        self._lake, self._hunt = lake, hunt
        self._timeout_s = timeout_s
        self._slots = threading.BoundedSemaphore(slots)
        self._db = duckdb.connect(
            ":memory:", config={"threads": 1, "memory_limit": f"{memory_mb}MB"}
        )
        self._db.execute("SET autoinstall_known_extensions = false")
        self._db.execute("SET autoload_known_extensions = false")
        self._db.execute("SET preserve_insertion_order = false")
        # The process may read the lake's folder and nothing else through SQL.
        root = str(lake.where.reads.resolve()).replace("'", "''")
        self._db.execute(f"SET allowed_directories = ['{root}/']")
        self._db.execute("SET enable_external_access = false")
        self._db.execute("SET lock_configuration = true")

    def close(self) -> None:
        """Free the engines."""
        self._db.close()
        if self._hunt is not None:
            self._hunt.close()

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
            Unreachable: the lake's store does not answer.
        """
        digest = query.digest_of("events", *_scope(search))
        last = None
        if cursor is not None:
            last = query.decode_cursor(cursor, digest, (int, str, str, int, int))
        rows = self._rows(search, hostnames, last, limit + 1)
        more = len(rows) > limit
        rows = rows[:limit]
        following = query.encode_cursor(digest, *rows[-1][: len(KEYS)]) if more else None
        items = [event_row(search.table, row, hostnames) for row in rows]
        return Page(items=items, next=following, as_of_ms=now_ms)

    def rows(self, search: Search, hostnames: Mapping[str, str]) -> Iterator[EventRow]:
        """Every event of the search in the order of the pages, without a cap.

        Each day is cut into windows of received time that hold a few thousand rows.
        """
        if self._hunt is not None:
            yield from self._hunt.rows(search, hostnames)
            return
        where = _where(search, hostnames)
        files = self._files(search)
        for day in sorted({f.day for f in files}, reverse=True):
            of_day = [f for f in files if f.day == day]
            for low, high in self._windows(of_day, search, where):
                window = where.copy()
                window.add('"received_ns" BETWEEN ? AND ?', low, high)
                touched = [f for f in of_day if f.first_ns <= high and f.last_ns >= low]
                for row in self._whole(search, touched, window):
                    yield event_row(search.table, row, hostnames)

    def counts(self, tenant: str, since_ms: int) -> dict[str, int] | None:
        """Events per table received since then; None when the tenant has no event table at all."""
        found: dict[str, int] = {}
        for table in EVENT_CLASSES:
            if not self._lake.exists(tenant, table):
                continue
            search = Search(tenant, table, since_ms=since_ms)
            files = self._files(search)
            # Files that are newer as a whole need no reading.
            whole = [f for f in files if f.first_ns >= since_ms * _MS]
            found[table] = sum(f.rows for f in whole)
            where = ' WHERE "received_ns" >= ?'
            for group, _ in _groups([f for f in files if f.first_ns < since_ms * _MS]):
                rows = self._select(search, group, "count(*)", where, [since_ms * _MS])
                found[table] += rows[0][0]
        return found or None

    def counts_by(
        self, search: Search, hostnames: Mapping[str, str], by: str, limit: int
    ) -> list[tuple[Any, int]]:
        """Events of the search per value of a column: most frequent first, then by value.

        Raises:
            BadFilter: the filter is wrong, or `by` is a list or no column of the lake.
            Busy, Unreachable: see `page`.
        """
        if self._hunt is not None:
            return self._hunt.counts_by(search, hostnames, by, limit)
        column, _ = column_of(group_column(by, search.table), search.table)
        where, files = _where(search, hostnames), self._files(search)
        if not files:
            return []
        tail = f"{where.text()} GROUP BY 1 ORDER BY 2 DESC, 1 NULLS LAST LIMIT ?"
        return self._select(search, files, f"{column}, count(*)", tail, [*where.values, limit])

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
        files = [f for f in self._files(search) if last is None or f.first_ns <= last[0]]
        keys: list[tuple[Any, ...]] = []
        used: list[DataFile] = []
        for group, newest_left in _groups(files):
            keys += self._keys(search, group, where, limit)
            keys = sorted(keys, reverse=True)[:limit]
            used += group
            if len(keys) == limit and keys[-1][0] > newest_left:
                break
        if not keys:
            return []
        low, high = keys[-1], keys[0]
        where.add('"received_ns" BETWEEN ? AND ?', low[0], high[0])
        where.add(f"({_KEY_LIST}) >= (?, ?, ?, ?, ?)", *low)
        used = [f for f in used if f.first_ns <= high[0] and f.last_ns >= low[0]]
        return self._whole(search, used, where)

    def _keys(
        self, search: Search, files: list[DataFile], where: _Clause, limit: int
    ) -> list[tuple[Any, ...]]:
        tail = f"{where.text()} ORDER BY {_ORDER} LIMIT ?"
        return self._select(search, files, _KEY_LIST, tail, [*where.values, limit])

    def _whole(
        self, search: Search, files: list[DataFile], where: _Clause
    ) -> list[tuple[Any, ...]]:
        shown = ", ".join(f'"{n}"' for n in (*KEYS, "workload", *names(search.table)))
        tail = f"{where.text()} ORDER BY {_ORDER}"
        return self._select(search, files, shown, tail, where.values)

    def _windows(
        self, files: list[DataFile], search: Search, where: _Clause
    ) -> Iterator[tuple[int, int]]:
        """(oldest, newest) received times that hold about _WINDOW rows each, newest first."""
        # By the second: a day may have more received times than fit into memory.
        shown = f'"received_ns" // {_SECOND}, count(*)'
        counts: dict[int, int] = {}
        for group, _ in _groups(files):
            tail = f"{where.text()} GROUP BY 1"
            for second, count in self._select(search, group, shown, tail, where.values):
                counts[second] = counts.get(second, 0) + count
        high, rows = None, 0
        for second in sorted(counts, reverse=True):
            high = (second + 1) * _SECOND - 1 if high is None else high
            rows += counts[second]
            if rows >= _WINDOW:
                yield second * _SECOND, high
                high, rows = None, 0
        if high is not None:
            yield min(counts) * _SECOND, high

    def _select(
        self, search: Search, files: list[DataFile], shown: str, tail: str, values: list[Any]
    ) -> list[tuple[Any, ...]]:
        home = self._lake.where.home(search.tenant, search.table)
        try:
            return self._read(home, search.table, files, shown, tail, values)
        except _Unreadable as error:
            if not home.distrust(files):
                raise _gone() from error
        try:
            return self._read(home, search.table, files, shown, tail, values)
        except _Unreadable as error:
            raise _gone() from error

    def _read(
        self,
        home: Home,
        table: str,
        files: list[DataFile],
        shown: str,
        tail: str,
        values: list[Any],
    ) -> list[tuple[Any, ...]]:
        with ExitStack() as held:
            try:
                paths = held.enter_context(home.local(files))
            except FileNotFoundError as error:
                raise _Unreadable(str(error)) from error
            try:
                return self._run(f"SELECT {shown} FROM {_SOURCE}{tail}", [paths, *values])  # noqa: S608
            except duckdb.BinderException:
                # No file has a column that this version declares: it reads as null.
                empty = ", ".join(
                    f'NULL::{_DUCK[c.kind]} AS "{c.name}"' for c in columns_of(EVENT_CLASSES[table])
                )
                whole = f"(FROM {_SOURCE} UNION ALL BY NAME SELECT {empty} WHERE false)"
                return self._run(f"SELECT {shown} FROM {whole}{tail}", [paths, *values])  # noqa: S608

    def _files(self, search: Search) -> list[DataFile]:
        """Live files within the searched time, newest first."""
        return live(self._lake, search)

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
        except duckdb.OutOfMemoryException as error:
            raise Busy("the search needs too much memory: narrow it", retry_after=1) from error
        except duckdb.BinderException:
            raise
        except duckdb.Error as error:
            # A broken Parquet file gives errors of many classes; patterns were checked before.
            _log.warning("lake: a search failed: %s", error)
            raise _Unreadable(str(error)) from error
        finally:
            timer.cancel()
            cursor.close()
            self._slots.release()


def live(lake: Lake, search: Search) -> list[DataFile]:
    """Live files within the searched time, newest first. Raises Unreachable."""
    if not lake.exists(search.tenant, search.table):
        return []
    try:
        found = lake.files(search.tenant, search.table)
    except TableNotFoundError:
        return []
    low = (search.since_ms or 0) * _MS
    high = search.until_ms * _MS if search.until_ms is not None else _INT64
    wanted = [f for f in found if f.last_ns >= low and f.first_ns < high]
    return sorted(wanted, key=lambda f: (f.last_ns, f.path), reverse=True)


def group_column(by: str, table: str) -> str:
    """`by`, when events can be counted by it. Raises BadFilter."""
    if typed.kind_of(by, kinds(table)) == "list" or by == "hostname":
        raise BadFilter(f"events cannot be counted by {by}: choose a column of one value")
    return by


def _gone() -> Busy:
    """Compaction and vacuum may have removed a file that a long search had listed."""
    return Busy("a file of the lake is gone or unreadable: try again")


@cache
def names(table: str) -> tuple[str, ...]:
    """Columns of an event's view."""
    return tuple(c.name for c in columns_of(EVENT_CLASSES[table]))


def _groups(files: Sequence[DataFile]) -> Iterator[tuple[list[DataFile], int]]:
    """Files in the order given, some at a time, with the newest time that is left behind them."""
    group: list[DataFile] = []
    for number, file in enumerate(files):
        group.append(file)
        if sum(f.rows for f in group) >= _GROUP_ROWS or number == len(files) - 1:
            left = files[number + 1].last_ns if number + 1 < len(files) else -1
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


def event_row(table: str, row: tuple[Any, ...], hostnames: Mapping[str, str]) -> EventRow:
    """The view of a row: `KEYS`, the workload, then the columns of `names`."""
    values = dict(zip(names(table), row[len(KEYS) + 1 :], strict=True))
    home = row[len(KEYS)] or ""
    return EventRow(
        table=table,
        workload=home,
        hostname=hostnames.get(home, ""),
        received_ms=row[0] // _MS,
        time_ms=(values["time_ns"] or 0) // _MS,
        fields={name: query.plain(value) for name, value in values.items()},
    )
