"""Hunts over the event lake by Daft on a Ray cluster: the filter grammar, the same rows.

The tree that `lake_filter` makes DuckDB SQL of becomes Daft expressions over the live files that
the searched time leaves. Patterns are RE2 on both sides: Daft's own are of another dialect, so
pyarrow's RE2 runs in the workers, which need nothing of Hauberk.

Nothing is reported to anybody: usage statistics of Daft and Ray are off, so is Ray's dashboard. A
cluster that this process starts takes connections on loopback only, with a token of its own.
"""

from __future__ import annotations

import functools
import operator
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hauberk.errors import Busy, Unreachable, Unsupported
from hauberk.schema.asset import ColumnKind, columns_of
from hauberk.schema.event import EVENT_CLASSES
from hauberk.schema.view import EventRow
from hauberk.store import regex, typed
from hauberk.store.filter import And, Compare, Filter, In, IsNull, Not, Or, Value
from hauberk.store.lake import Lake
from hauberk.store.lake_files import DataFile
from hauberk.store.lake_filter import hosts, kinds, literal
from hauberk.store.lake_query import KEYS, Search, event_row, group_column, live, names

_MS = 1_000_000
_QUIET = {
    "DAFT_ANALYTICS_ENABLED": "0",
    "DO_NOT_TRACK": "1",
    "SCARF_NO_ANALYTICS": "1",
    "DAFT_PROGRESS_BAR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
}
# Named after other systems, it keeps every socket of a cluster on loopback.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105  a name
_LOCAL_OBJECTS = 256 * 1024 * 1024
_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class DaftHunt:
    """`lake_query.Hunt` on Ray. Safe for several threads.

    Args:
        lake: tells each table's live files; its place must be reachable from the cluster.
        ray_address: HOST:PORT of the cluster; empty: processes on this machine, started with the
            first hunt.
        slots: hunts at once.
        processes: of a cluster on this machine; None: one per processor.
    """

    def __init__(
        self, lake: Lake, *, ray_address: str = "", slots: int = 2, processes: int | None = None
    ) -> None:
        """Import the engine. Raises Unsupported when it is not installed."""
        # Read by both when they are imported, and by the processes that they start.
        os.environ.update(_QUIET if ray_address else _QUIET | _LOOPBACK)
        try:
            import daft  # noqa: PLC0415  an extra
            import ray  # noqa: PLC0415  an extra
        except ImportError as error:
            raise Unsupported(
                'hunt = "ray" needs the extra `hunt`: install hauberk[hunt]'
            ) from error
        self._lake, self._address, self._processes = lake, ray_address, processes
        self._daft, self._ray = daft, ray
        self._slots = threading.BoundedSemaphore(slots)
        self._lock = threading.Lock()
        self._matches = _re2(daft)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        self._ray.shutdown()

    def rows(self, search: Search, hostnames: Mapping[str, str]) -> Iterator[EventRow]:
        """Every event of the search in the order of the pages, without a cap.

        Raises:
            BadFilter: the filter is wrong.
            Busy: too many hunts at once, or a file went away meanwhile.
            Unreachable: the cluster or the lake's store does not answer.
        """
        files, wanted = live(self._lake, search), self._wanted(search, hostnames)
        days = sorted({f.day for f in files}, reverse=True)
        with self._running():
            for day in days:
                frame = self._frame(search, [f for f in files if f.day == day]).where(wanted)
                frame = frame.select(*KEYS, "workload", *_others(search.table))
                ordered = frame.sort(list(KEYS), desc=True, nulls_first=False)
                for batch in ordered.to_arrow_iter():
                    for row in batch.to_pylist():
                        values = tuple(row[n] for n in (*KEYS, "workload", *names(search.table)))
                        yield event_row(search.table, values, hostnames)

    def counts_by(
        self, search: Search, hostnames: Mapping[str, str], by: str, limit: int
    ) -> list[tuple[Any, int]]:
        """Events of the search per value of a column; see `LakeQuery.counts_by`."""
        files, wanted = live(self._lake, search), self._wanted(search, hostnames)
        column = self._column(group_column(by, search.table))
        if not files:
            return []
        with self._running():
            frame = self._frame(search, files).where(wanted).select(column.alias("value"))
            counted = frame.groupby("value").agg(
                self._daft.col("value").count(mode="all").alias("rows")
            )
            ranked = counted.sort(["rows", "value"], desc=[True, False], nulls_first=False)
            found = ranked.limit(limit).to_pydict()
        return list(zip(found["value"], found["rows"], strict=True))

    def _wanted(self, search: Search, hostnames: Mapping[str, str]) -> Any:
        col, lit = self._daft.col, self._daft.lit
        tree = typed.read(search.text, kinds(search.table))
        parts = [lit(True)]  # noqa: FBT003
        if not search.include_self:
            parts.append(~col("is_self").fill_null(lit(False)))  # noqa: FBT003
        if search.workload is not None:
            parts.append((col("workload") == lit(search.workload)).fill_null(lit(False)))  # noqa: FBT003
        if search.since_ms is not None:
            parts.append(col("received_ns") >= lit(search.since_ms * _MS))
        if search.until_ms is not None:
            parts.append(col("received_ns") < lit(search.until_ms * _MS))
        if tree is not None:
            parts.append(self._compile(tree, search.table, hostnames))
        return functools.reduce(operator.and_, parts)

    def _compile(self, tree: Filter, table: str, hostnames: Mapping[str, str]) -> Any:
        """A bound filter as an expression that is never null."""
        if isinstance(tree, Not):
            return ~self._compile(tree.item, table, hostnames)
        if isinstance(tree, And | Or):
            parts = [self._compile(item, table, hostnames) for item in tree.items]
            return functools.reduce(operator.and_ if isinstance(tree, And) else operator.or_, parts)
        if tree.field == "hostname":
            return self._any_of(self._daft.col("workload"), "str", hosts(tree, hostnames))
        column, kind = self._column(tree.field), kinds(table)[tree.field]
        if isinstance(tree, IsNull):
            return column.is_null()
        if isinstance(tree, In):
            return self._any_of(column, kind, tree.values)
        return self._compare(tree, column, kind)

    def _compare(self, item: Compare, column: Any, kind: ColumnKind) -> Any:
        lit = self._daft.lit
        if item.op in ("=", "!="):
            same = self._any_of(column, kind, (item.value,))
            return same if item.op == "=" else ~same
        whole = column.list_join(" ") if kind == "list" else column
        if item.op == "~":
            found = whole.regexp(literal(str(item.value)))
        elif item.op == "=~":
            regex.check(str(item.value))
            found = self._matches(whole, str(item.value))
        else:
            found = _ORDER[item.op](whole, lit(item.value))
        return found.fill_null(lit(False))  # noqa: FBT003

    def _any_of(self, column: Any, kind: ColumnKind, values: Sequence[Value]) -> Any:
        lit = self._daft.lit
        no = lit(False)  # noqa: FBT003
        if not values:
            return no
        if kind == "list":
            found = [column.list_contains(lit(value)).fill_null(no) for value in values]
        else:
            found = [(column == lit(value)).fill_null(no) for value in values]
        return functools.reduce(operator.or_, found)

    def _column(self, name: str) -> Any:
        if name in ("received_ms", "time_ms"):
            return self._daft.col(name.replace("_ms", "_ns")) // self._daft.lit(_MS)
        return self._daft.col(name)

    def _frame(self, search: Search, files: Sequence[DataFile]) -> Any:
        home = self._lake.where.home(search.tenant, search.table)
        return self._daft.read_parquet(
            [home.shared(f) for f in files],
            infer_schema=False,
            schema=self._schema(search.table),
            io_config=self._io(),
        )

    def _schema(self, table: str) -> dict[str, Any]:
        """Types of what is read; a file without a column reads as null."""
        kind = self._daft.DataType
        by_kind: dict[ColumnKind, Any] = {
            "str": kind.string(),
            "int": kind.int64(),
            "float": kind.float64(),
            "bool": kind.bool(),
            "list": kind.list(kind.string()),
        }
        text, number = by_kind["str"], by_kind["int"]
        keys = {n: text if n in ("agent", "boot") else number for n in KEYS}
        own = {c.name: by_kind[c.kind] for c in columns_of(EVENT_CLASSES[table])}
        return {**keys, "workload": text, **own}

    def _io(self) -> Any:
        target = self._lake.where.target
        if target is None:
            return None
        from daft.io import IOConfig, S3Config  # noqa: PLC0415  an extra

        return IOConfig(
            s3=S3Config(
                region_name=target.region,
                endpoint_url=target.endpoint or None,
                key_id=target.key_id or None,
                access_key=target.secret or None,
                use_ssl=not target.endpoint.startswith("http://"),
                connect_timeout_ms=3000,
                read_timeout_ms=20_000,
                num_tries=2,
            )
        )

    @contextmanager
    def _running(self) -> Iterator[None]:
        if not self._slots.acquire(timeout=20.0):
            raise Busy("too many hunts at once", retry_after=30)
        try:
            self._connect()
            yield
        except (self._daft.exceptions.DaftCoreException, FileNotFoundError) as error:
            raise Busy(f"the hunt failed: {_line(error)}: try again", retry_after=5) from error
        except self._ray.exceptions.RayError as error:
            raise Unreachable(f"the Ray cluster failed: {_line(error)}", retry_after=10) from error
        finally:
            self._slots.release()

    def _connect(self) -> None:
        with self._lock:
            if self._ray.is_initialized():
                return
            quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
            try:
                if self._address:
                    self._ray.init(address=self._address, **quiet)
                else:
                    os.environ.setdefault(_TOKEN, secrets.token_hex(32))
                    self._ray.init(
                        num_cpus=self._processes or os.cpu_count(),
                        object_store_memory=_LOCAL_OBJECTS,
                        include_dashboard=False,
                        _node_ip_address="127.0.0.1",
                        **quiet,
                    )
            except (ConnectionError, OSError, RuntimeError, ValueError) as error:
                where = self._address or "this machine"
                raise Unreachable(f"no Ray cluster at {where}: {_line(error)}") from error
            self._daft.set_runner_ray(noop_if_initialized=True)


def _others(table: str) -> tuple[str, ...]:
    return tuple(n for n in names(table) if n not in KEYS and n != "workload")


def _re2(daft: Any) -> Any:
    """RE2 search as a function over columns; made here, so that workers get its code by value."""

    def matches(values: Any, pattern: str) -> Any:
        import pyarrow.compute as pc  # noqa: PLC0415  in the worker

        return daft.Series.from_arrow(pc.match_substring_regex(values.to_arrow(), pattern))

    matches.__annotations__ = {"values": daft.Series, "pattern": str, "return": daft.Series}
    matches.__module__ = "__main__"
    return daft.func.batch(return_dtype=daft.DataType.bool())(matches)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
