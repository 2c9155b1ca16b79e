"""Search of the event lake: the filter grammar as DuckDB SQL over the table's live files.

Only columns that the event's Struct declares, and values only as bound parameters. Days are read
from the newest on, until a page is full.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import duckdb
from deltalake.exceptions import TableNotFoundError

from hauberk.errors import Busy
from hauberk.schema.asset import ColumnKind, columns_of
from hauberk.schema.event import EVENT_CLASSES
from hauberk.schema.view import EventRow, Page
from hauberk.store import query, regex, typed
from hauberk.store.filter import And, Compare, Filter, In, IsNull, Not, Or
from hauberk.store.lake import Lake, day_of

_MS = 1_000_000
_EXPORT_CHUNK = 5000
_KEYS = ("received_ns", "agent", "boot", "sequence", "ordinal")
_EXTRA: dict[str, tuple[ColumnKind, str]] = {
    "workload": ("str", '"workload"'),
    "agent": ("str", '"agent"'),
    "boot": ("str", '"boot"'),
    "received_ms": ("int", '("received_ns" // 1000000)'),
    "time_ms": ("int", '("time_ns" // 1000000)'),
    # Not in the lake: a name is turned into workloads before the search.
    "hostname": ("str", ""),
}
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
        """Every event of the search in the order of the pages, without a cap."""
        last: Sequence[Any] | None = None
        while True:
            rows = self._rows(search, hostnames, last, _EXPORT_CHUNK)
            for row in rows:
                yield _event(search.table, row, hostnames)
            if len(rows) < _EXPORT_CHUNK:
                return
            last = rows[-1][: len(_KEYS)]

    def counts(self, tenant: str, since_ms: int) -> dict[str, int] | None:
        """Events per table received since then; None when the tenant has no event table at all."""
        found: dict[str, int] = {}
        for table in EVENT_CLASSES:
            paths = [
                p for _, ps in self._days(Search(tenant, table, since_ms=since_ms)) for p in ps
            ]
            if not self._exists(tenant, table):
                continue
            found[table] = 0
            if paths:
                sql = (
                    "SELECT count(*) FROM read_parquet(?, union_by_name = true)"
                    ' WHERE "received_ns" >= ?'
                )
                found[table] = self._run(sql, [paths, since_ms * _MS])[0][0]
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
            keys = ", ".join(f'"{k}"' for k in _KEYS)
            where.add(f"({keys}) < ({', '.join('?' * len(_KEYS))})", *last)
        rows: list[tuple[Any, ...]] = []
        for day, paths in self._days(search):
            if last is not None and day > day_of(last[0]):
                continue
            rows += self._select(search.table, paths, where, limit - len(rows))
            if len(rows) >= limit:
                break
        return rows

    def _select(
        self, table: str, paths: list[str], where: _Clause, limit: int
    ) -> list[tuple[Any, ...]]:
        names = [c.name for c in columns_of(EVENT_CLASSES[table])]
        shown = ", ".join(f'"{n}"' for n in (*_KEYS, "workload", *names))
        order = ", ".join(f'"{k}" DESC' for k in _KEYS)
        tail = f" WHERE {' AND '.join(where.sql) or 'true'} ORDER BY {order} LIMIT ?"
        source = "read_parquet(?, union_by_name = true, hive_partitioning = false)"
        values = [paths, *where.values, limit]
        try:
            return self._run(f"SELECT {shown} FROM {source}{tail}", values)  # noqa: S608
        except duckdb.BinderException:
            # No file of the day has a column that this version declares: it reads as null.
            empty = ", ".join(
                f'NULL::{_DUCK[c.kind]} AS "{c.name}"' for c in columns_of(EVENT_CLASSES[table])
            )
            whole = f"(FROM {source} UNION ALL BY NAME SELECT {empty} WHERE false)"
            return self._run(f"SELECT {shown} FROM {whole}{tail}", values)  # noqa: S608

    def _exists(self, tenant: str, table: str) -> bool:
        return (self._lake.root / tenant / table / "_delta_log").is_dir()

    def _days(self, search: Search) -> list[tuple[str, list[str]]]:
        """(day, files) from the newest day on, within the searched time."""
        if not self._exists(search.tenant, search.table):
            return []
        folder = self._lake.root.resolve() / search.tenant / search.table
        first = day_of(search.since_ms * _MS) if search.since_ms is not None else ""
        final = day_of(search.until_ms * _MS) if search.until_ms is not None else "~"
        try:
            files = self._lake.files(search.tenant, search.table)
        except TableNotFoundError:
            return []
        wanted = [f for f in files if first <= f.day <= final]
        grouped = groupby(sorted(wanted, key=lambda f: f.day, reverse=True), key=lambda f: f.day)
        return [(day, [str(folder / f.path) for f in some]) for day, some in grouped]

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


def kinds(table: str) -> dict[str, ColumnKind]:
    """Columns of a table that can be filtered, with their kind."""
    found: dict[str, ColumnKind] = {name: kind for name, (kind, _) in _EXTRA.items()}
    return found | {c.name: c.kind for c in columns_of(EVENT_CLASSES[table])}


def compile_filter(tree: Filter, table: str, hostnames: Mapping[str, str]) -> tuple[str, list[Any]]:
    """DuckDB SQL of a bound filter, never null, and its parameters."""
    if isinstance(tree, Not):
        sql, values = compile_filter(tree.item, table, hostnames)
        return f"(NOT {sql})", values
    if isinstance(tree, And | Or):
        parts = [compile_filter(item, table, hostnames) for item in tree.items]
        word = " AND " if isinstance(tree, And) else " OR "
        return f"({word.join(sql for sql, _ in parts)})", [v for _, vs in parts for v in vs]
    if tree.field == "hostname":
        known = _hosts(tree, hostnames)
        return '(coalesce(list_contains(?::VARCHAR[], "workload"), false))', [known]
    if isinstance(tree, Compare):
        return _compare(tree, table)
    name, kind = _column(tree.field, table)
    if isinstance(tree, IsNull):
        return f"({name} IS NULL)", []
    return _any_of(name, kind, tree.values), list(tree.values)


def _column(field_name: str, table: str) -> tuple[str, ColumnKind]:
    name = _EXTRA[field_name][1] if field_name in _EXTRA else f'"{field_name}"'
    return name, kinds(table)[field_name]


def _compare(item: Compare, table: str) -> tuple[str, list[Any]]:
    name, kind = _column(item.field, table)
    if item.op in ("=", "!="):
        same = _any_of(name, kind, (item.value,))
        return same if item.op == "=" else f"(NOT {same})", [item.value]
    whole = f"array_to_string({name}, ' ')" if kind == "list" else name
    if item.op == "~":
        return f"coalesce(regexp_matches({whole}, ?), false)", [_literal(str(item.value))]
    if item.op == "=~":
        regex.check(str(item.value))
        return f"coalesce(regexp_matches({whole}, ?), false)", [item.value]
    return f"coalesce({whole} {item.op} ?, false)", [item.value]


def _any_of(name: str, kind: ColumnKind, values: Sequence[Any]) -> str:
    if kind == "list":
        some = " OR ".join([f"list_contains({name}, ?)"] * len(values))
        return f"coalesce({some}, false)"
    return f"coalesce({name} IN ({', '.join('?' * len(values))}), false)"


def _literal(needle: str) -> str:
    """A pattern that finds the needle in any case of its ASCII letters, and of these only."""
    out = []
    for char in needle:
        if char.isascii() and char.isalpha():
            out.append(f"[{char.lower()}{char.upper()}]")
        elif char.isascii() and not char.isalnum():
            out.append(f"\\x{{{ord(char):x}}}")
        else:
            out.append(char)
    return "".join(out)


def _hosts(tree: Compare | In | IsNull, hostnames: Mapping[str, str]) -> list[str]:
    if isinstance(tree, IsNull):
        return []
    if isinstance(tree, In):
        return [w for w, name in hostnames.items() if name in tree.values]
    value = str(tree.value)
    if tree.op == "=~":
        names = set(regex.matching(hostnames.values(), value))
        return [w for w, name in hostnames.items() if name in names]
    return [w for w, name in hostnames.items() if _holds(name, tree.op, value)]


def _holds(name: str, op: str, value: str) -> bool:
    if op == "~":
        return value.translate(query.UPPER) in name.translate(query.UPPER)
    if op in ("=", "!="):
        return (name == value) is (op == "=")
    if op in ("<", "<="):
        return name < value or (op == "<=" and name == value)
    return name > value or (op == ">=" and name == value)


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
    names = [c.name for c in columns_of(EVENT_CLASSES[table])]
    fields = {n: query.plain(v) for n, v in zip(names, row[len(_KEYS) + 1 :], strict=True)}
    home = row[len(_KEYS)] or ""
    time_ns = dict(zip(names, row[len(_KEYS) + 1 :], strict=True))["time_ns"]
    return EventRow(
        table=table,
        workload=home,
        hostname=hostnames.get(home, ""),
        received_ms=row[0] // _MS,
        time_ms=(time_ns or 0) // _MS,
        fields=fields,
    )
