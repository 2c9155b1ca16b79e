"""From the sensor to the spool: buffers rows per table, sheds over budget, tells what was lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

import msgspec

from hauberk.agent import batches
from hauberk.agent.batches import EVENT_ROWS, chunks, grouped
from hauberk.agent.budget import EventPath
from hauberk.agent.ledger import Ledger
from hauberk.errors import BadInput
from hauberk.link.client.spool import Spool
from hauberk.link.wire import Table
from hauberk.ports import Clock
from hauberk.schema.event import EVENT_CLASSES, BlindTime, ProcessActivity

SHED, SOURCE_DOWN, SPOOL_DROPPED = 2, 3, 4
TELL_LOSSES_S = 5.0
MAX_BUFFERED = 20_000
# Of arguments, in memory: a few huge command lines weigh more than thousands of rows.
MAX_WEIGHT = 8 * 1024 * 1024
OBJECT_BYTES = 60
_NS = 1_000_000_000
_log = logging.getLogger(__name__)


class EventBuffer:
    """`ports.EventSink` of the sensor. Calling it is cheap and never raises for lack of room."""

    def __init__(
        self,
        spool: Spool,
        path: EventPath,
        ledger: Ledger,
        clock: Clock,
        *,
        flush_s: float,
        own_pid: int,
        inventory_lost: Callable[[], None],
    ) -> None:
        """Nothing is written before `turn`.

        Args:
            spool: where batches go.
            path: the event path's grant.
            ledger: counts rows and the CPU of encoding.
            clock: time.
            flush_s: longest time that a row waits here.
            own_pid: the pid that loss reports carry.
            inventory_lost: called when the spool gave up inventory, which must be sent anew.
        """
        self._spool, self._path, self._ledger, self._clock = spool, path, ledger, clock
        self._flush_ns = int(flush_s * _NS)
        self._own_pid = own_pid
        self._inventory_lost = inventory_lost
        self._lock = threading.Lock()
        self._rows: dict[str, list[msgspec.Struct]] = {}
        self._count = self._weight = 0
        self._first_ns = 0
        self._told_ns = clock.mono_ns()

    def __call__(self, table: str, rows: Sequence[msgspec.Struct]) -> None:
        """Take rows of one table."""
        if not rows:
            return
        kept = self._path.admit(rows)
        if len(kept) < len(rows):
            self._ledger.add("events", shed=len(rows) - len(kept))
        if not kept:
            return
        weight = sum(map(_weight, kept)) if table == ProcessActivity.TABLE else 0
        with self._lock:
            if not self._count:
                self._first_ns = self._clock.mono_ns()
            self._rows.setdefault(table, []).extend(kept)
            self._count += len(kept)
            self._weight += weight
            full = self._count >= MAX_BUFFERED or self._weight >= MAX_WEIGHT
        if full:
            self.flush()

    def turn(self) -> None:
        """Flush when rows have waited long enough or a batch is full; tell losses."""
        shed = self._path.turn()
        if shed is not None:
            self._blind(SHED, shed.rows, shed.since_ns, shed.until_ns, "budget", shed.reason)
        self._tell_losses()
        due = self._clock.mono_ns() - self._first_ns >= self._flush_ns
        if self._count and (due or self._count >= EVENT_ROWS):
            self.flush()

    def flush(self) -> None:
        """Move everything to the spool, which counts what finds no room."""
        with self._lock:
            taken, self._rows, self._count, self._weight = self._rows, {}, 0, 0
        tables: list[Table] = []
        with self._ledger.measure("encode"):
            for name, rows in taken.items():
                tables.extend(self._tables(name, rows))
            for batch, rows_in in _batches(tables):
                self._spool.append("e", batch, rows_in)
                self._ledger.add("encode", rows=rows_in)

    def source_down(self, source: str, reason: str) -> None:
        """A source stopped or restarted: the gap is told."""
        now = self._clock.wall_ns()
        self._blind(SOURCE_DOWN, -1, now, now, source, reason)

    def _tables(self, name: str, rows: list[msgspec.Struct]) -> list[Table]:
        struct = EVENT_CLASSES[name]
        try:
            return list(chunks(name, struct, rows, EVENT_ROWS))
        except BadInput as error:
            _log.warning("events: %s; rows are encoded one by one", error)
        out: list[Table] = []
        for row in rows:
            try:
                out.extend(_single(name, struct, row))
            except BadInput as error:
                now = self._clock.wall_ns()
                self._blind(SHED, 1, now, now, name, str(error))
        return out

    def _tell_losses(self) -> None:
        now = self._clock.mono_ns()
        if now - self._told_ns < TELL_LOSSES_S * _NS:
            return
        self._told_ns = now
        losses = self._spool.take_losses()
        if losses is None:
            return
        if losses.inventory:
            self._inventory_lost()
        lost = losses.events + losses.inventory
        reason = f"{losses.reason} ({losses.events} events, {losses.inventory} inventory rows)"
        row = self._row(SPOOL_DROPPED, lost, losses.since_ns, losses.until_ns, "spool", reason)
        for batch, rows in grouped(list(chunks(BlindTime.TABLE, BlindTime, [row], 1))):
            if self._spool.append("e", batch, rows, counted=False) is not None:
                self._spool.losses_told(losses)

    def _blind(
        self, activity: int, lost: int, since_ns: int, until_ns: int, source: str, reason: str
    ) -> None:
        row = self._row(activity, lost, since_ns, until_ns, source, reason)
        with self._lock:
            if not self._count:
                self._first_ns = self._clock.mono_ns()
            self._rows.setdefault(BlindTime.TABLE, []).append(row)
            self._count += 1

    def _row(
        self, activity: int, lost: int, since_ns: int, until_ns: int, source: str, reason: str
    ) -> BlindTime:
        return BlindTime(
            activity_id=activity,
            time_ns=since_ns,
            mono_ns=self._clock.mono_ns(),
            pid=self._own_pid,
            is_self=True,
            until_ns=until_ns,
            lost=lost,
            source=source,
            reason=reason,
        )


def _weight(row: msgspec.Struct) -> int:
    """Bytes of its arguments in memory, roughly."""
    argv = row.argv if isinstance(row, ProcessActivity) else []
    return len(argv) * OBJECT_BYTES + sum(map(len, argv))


def _single(name: str, struct: type[msgspec.Struct], row: msgspec.Struct) -> list[Table]:
    """One row as a table; a command line that is too long for a batch is cut, never left out.

    Raises:
        BadInput: it is too large without its arguments.
    """
    try:
        return list(chunks(name, struct, [row], 1))
    except BadInput:
        if not isinstance(row, ProcessActivity):
            raise
    # A character takes four bytes at most, and so does the length of an argument.
    left = batches.MAX_BYTES // 8
    kept: list[str] = []
    for text in row.argv:
        if left <= 0:
            break
        kept.append(text[:left])
        left -= len(text) + 1
    cut = msgspec.structs.replace(row, argv=kept, argv_truncated=True)
    return list(chunks(name, struct, [cut], 1))


def _batches(tables: list[Table]) -> list[tuple[bytes, int]]:
    """Group tables so that a batch holds at most EVENT_ROWS rows."""
    out: list[tuple[bytes, int]] = []
    group: list[Table] = []
    rows = 0
    for table in tables:
        if group and rows + table.rows > EVENT_ROWS:
            out.extend(grouped(group))
            group, rows = [], 0
        group.append(table)
        rows += table.rows
    out.extend(grouped(group))
    return out
