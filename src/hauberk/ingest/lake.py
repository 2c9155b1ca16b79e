"""Consumer of the inbox that writes the event lake, every two seconds at most."""

from __future__ import annotations

import logging
from array import array
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from hauberk.errors import BadWire, LostLease
from hauberk.ingest.poison import Poison
from hauberk.ingest.positions import Positions
from hauberk.ingest.receive import tables_of
from hauberk.link.wire import Table
from hauberk.ports import Clock, InboxItem, Log
from hauberk.store.arrow import to_arrow
from hauberk.store.lake import ADDED, MAX_COLUMNS, PARTITION, Lake
from hauberk.store.marks import Marks

CONSUMER = "lake"
MAX_ITEMS, MAX_BYTES = 512, 8 * 1024 * 1024
FLUSH_NS, FLUSH_ROWS, FLUSH_BYTES = 1_500_000_000, 100_000, 32 * 1024 * 1024

_FIRST = array("q", range(1024))
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Group:
    """Rows that wait for one table; `written` is the position it has already."""

    columns: dict[str, Any]
    written: int
    parts: list[tuple[InboxItem, Any]] = field(default_factory=list)


class LakeConsumer:
    """`step` gathers and writes. One thread."""

    def __init__(
        self,
        log: Log,
        lake: Lake,
        positions: Positions,
        poison: Poison,
        clock: Clock,
        *,
        marks: Marks | None = None,
    ) -> None:
        """`marks`: needed for a log that may give a batch twice."""
        self._inbox, self._lake, self._positions = log, lake, positions
        self._poison, self._clock, self._marks = poison, clock, marks
        self._app_id = f"inbox:{log.id}"
        self._groups: dict[tuple[str, str], _Group] = {}
        self.rows_written = 0
        self._begin()

    def _begin(self) -> None:
        self._groups.clear()
        self._rows = self._bytes = 0
        if self._marks is not None:
            self._marks.reset()
        self.position = self._stored = self._positions.of(CONSUMER)
        self._since = self._clock.mono_ns()

    def reset(self) -> None:
        """Forget what is in memory and begin at what is stored.

        Raises:
            LostLease: another process has this log now.
        """
        self._begin()
        self._positions.check()

    def step(self) -> bool:
        """Take the next batches and write when it is time; False when there was nothing.

        Raises:
            StorageFull, Temporary: what was gathered is kept; call again later.
            LostLease: another process wrote for this log; `reset` before the next step.
        """
        if self._due():
            self.flush()
        items = self._inbox.read(self.position, max_items=MAX_ITEMS, max_bytes=MAX_BYTES)
        if items and self.position == self._stored:
            self._since = self._clock.mono_ns()
        if self._marks is not None:
            self._marks.load(items)
        for item in items:
            if self._marks is None or not self._marks.repeated(item):
                self._take(item)
                if self._marks is not None:
                    self._marks.note(item)
                    self._marks.keep()
            self.position = item.position
            if self._full():
                break  # a small envelope may hold much: write before taking more
        return bool(items)

    def _due(self) -> bool:
        return self._full() or self._clock.mono_ns() - self._since >= FLUSH_NS

    def _full(self) -> bool:
        return self._rows >= FLUSH_ROWS or self._bytes >= FLUSH_BYTES

    def flush(self) -> None:
        """Write what waits, then keep the position and trim the log."""
        if self.position == self._stored:
            return
        for (tenant, table), group in self._groups.items():
            if group.parts:
                self._write(tenant, table, group)
        marks = self._marks
        if marks is None:
            self._positions.set(CONSUMER, self.position)
        else:
            self._positions.set(CONSUMER, self.position, marks.store)
            marks.stored()
        self._stored, self._since = self.position, self._clock.mono_ns()
        self._rows = self._bytes = 0
        self._positions.trim()

    def _write(self, tenant: str, table: str, group: _Group) -> None:
        rows = _stamped(group.parts)
        try:
            fresh = self._lake.append(
                tenant, table, rows, position=self.position, app_id=self._app_id
            )
        except BadWire as error:
            # Batch by batch these columns were good: another process gave the table others since.
            raise LostLease(f"{table}: taken anew: {error}", retry_after=1.0) from error
        if fresh:
            self.rows_written += rows.num_rows
        group.parts.clear()
        group.written = self.position

    def _take(self, item: InboxItem) -> None:
        try:
            tables = [t for t in tables_of(item, inventory=False) if t.rows]
        except BadWire as error:
            self._poison.keep(item, CONSUMER, "", str(error))
            return
        # Tables are opened, rows converted and poison set aside before any row is taken: what fails
        # on the way fails for the whole batch, which comes again.
        ready: list[tuple[_Group, Any]] = []
        wider: dict[int, dict[str, Any]] = {}
        for table in tables:
            group = self._group(item, table)
            if group is None or item.position <= group.written:
                continue
            try:
                rows = self._rows_of(table, wider.get(id(group), group.columns))
            except BadWire as error:
                self._poison.keep(item, CONSUMER, table.name, str(error))
            except Exception as error:  # noqa: BLE001  one batch must not stop the consumer
                _log.exception("lake: %s of batch %d", table.name, item.sequence)
                self._poison.keep(item, CONSUMER, table.name, f"{type(error).__name__}: {error}")
            else:
                types = dict(zip(rows.column_names, rows.schema.types, strict=True))
                wider[id(group)] = wider.get(id(group), group.columns) | types
                ready.append((group, rows))
        for group, rows in ready:
            group.columns = wider[id(group)]
            group.parts.append((item, rows))
            self._rows += rows.num_rows
            self._bytes += rows.get_total_buffer_size()

    def _group(self, item: InboxItem, table: Table) -> _Group | None:
        group = self._groups.get((item.tenant, table.name))
        if group is None:
            try:
                columns = self._lake.columns(item.tenant, table.name)
            except BadWire as error:
                self._poison.keep(item, CONSUMER, table.name, str(error))
                return None
            written = self._lake.written(item.tenant, table.name, self._app_id)
            group = _Group(columns, written)
            self._groups[item.tenant, table.name] = group
        return group

    def _rows_of(self, table: Table, columns: dict[str, Any]) -> Any:
        """The rows for Arrow. Raises BadWire when they do not fit `columns`."""
        rows = to_arrow(table)
        types = dict(zip(rows.column_names, rows.schema.types, strict=True))
        if clash := types.keys() & (ADDED.keys() | {PARTITION}):
            raise BadWire(f"columns {sorted(clash)} are the server's own")
        for name, kind in types.items():
            if columns.get(name, kind) != kind:
                raise BadWire(f"column {name!r} is {kind} here and {columns[name]} before")
        if len(columns | types) > MAX_COLUMNS:
            raise BadWire(f"{table.name} would get over {MAX_COLUMNS} columns")
        return rows


def _stamped(parts: list[tuple[InboxItem, Any]]) -> Any:
    """The rows of all parts with where they came from; columns are made once for all."""
    indices, sequence, received, ordinal = array("i"), array("q"), array("q"), array("q")
    for index, (item, rows) in enumerate(parts):
        count = rows.num_rows
        indices += array("i", [index]) * count
        sequence += array("q", [item.sequence]) * count
        received += array("q", [item.received_ns]) * count
        ordinal += _ordinals(count)
    table = pa.concat_tables([rows for _, rows in parts], promote_options="default")
    which = _packed(pa.int32(), indices)
    texts = {
        name: pa.array([getattr(item, name) for item, _ in parts], pa.string()).take(which)
        for name in ("workload", "agent", "boot")
    }
    numbers = {
        name: _packed(pa.int64(), values)
        for name, values in (
            ("sequence", sequence),
            ("ordinal", ordinal),
            ("received_ns", received),
        )
    }
    columns = dict(zip(table.column_names, table.columns, strict=True))
    return pa.table({**columns, **texts, **numbers})


def _packed(kind: Any, values: array[int]) -> Any:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _ordinals(count: int) -> array[int]:
    return _FIRST[:count] if count <= len(_FIRST) else array("q", range(count))
