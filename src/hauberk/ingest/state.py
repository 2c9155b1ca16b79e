"""Consumer of the inbox that keeps the inventory state."""

from __future__ import annotations

from sqlalchemy import Connection

from hauberk.errors import BadWire, Unreachable
from hauberk.ingest.live import Live
from hauberk.ingest.poison import Poison
from hauberk.ingest.positions import Positions
from hauberk.ingest.receive import tables_of
from hauberk.ports import Clock, InboxItem, Log
from hauberk.store.assets import CONSUMER, Applied, Assets
from hauberk.store.marks import Marks
from hauberk.store.sets import Incoming

MAX_ITEMS, MAX_BYTES = 256, 8 * 1024 * 1024
# Decoded batches of one transaction.
MAX_RAW = 64 * 1024 * 1024
_IDLE_NS = 2_000_000_000


class _Unstored(Exception):
    """Envelopes that are poison, found in a transaction that is rolled back now."""

    def __init__(self, items: list[InboxItem]) -> None:
        super().__init__()
        self.items = items


class StateConsumer:
    """`step` applies what has come. One thread."""

    def __init__(
        self,
        log: Log,
        assets: Assets,
        positions: Positions,
        live: Live,
        poison: Poison,
        clock: Clock,
        *,
        marks: Marks | None = None,
    ) -> None:
        """`marks`: needed for a log that may give a batch twice."""
        self._inbox, self._assets, self._positions = log, assets, positions
        self._live, self._poison, self._clock, self._marks = live, poison, clock, marks
        self._begin()

    def _begin(self) -> None:
        if self._marks is not None:
            self._marks.reset()
        self.position = self._stored = self._positions.of(CONSUMER)
        self._stored_ns = self._clock.mono_ns()
        self._unsure = False

    def reset(self) -> None:
        """Forget what is in memory and begin at what is stored.

        Raises:
            LostLease: another process has this log now.
        """
        self._begin()
        self._positions.check()

    def step(self) -> bool:
        """Apply the next batches; False when there were none.

        Raises:
            Busy, StorageFull: nothing was applied; call again later.
            Unreachable: it may have been applied; the next step asks.
            LostLease: another process has this log now; `reset` before the next step.
        """
        if self._unsure:
            self.reset()
        if self._marks is not None:
            self._marks.undo()
        items, incoming = self._next()
        newest = items[-1].position if items else self.position
        idle = self._clock.mono_ns() - self._stored_ns >= _IDLE_NS and newest > self._stored
        if incoming or idle:
            done = self._apply(items, incoming, newest)
            self._live.applied(done, self._clock.wall_ns())
            self._positions.trim()
        elif self._marks is not None:
            self._marks.keep()
        self.position = newest
        return bool(items)

    def flush(self) -> None:
        """Keep the position now."""
        if self._unsure:
            self.reset()
        if self.position > self._stored:
            self._apply([], [], self.position)

    def _apply(self, items: list[InboxItem], incoming: list[Incoming], newest: int) -> Applied:
        stored: dict[int, str] = {}
        try:
            while True:
                try:
                    done = self._together(items, incoming, newest, stored)
                    break
                except _Unstored as error:
                    # Nobody waits for the write lock while bytes go to the blobs.
                    stored |= {item.position: self._poison.store(item) for item in error.items}
        except Unreachable:
            # The state may have it all the same.
            self._unsure = True
            raise
        if self._marks is not None:
            self._marks.stored()
        self.position = self._stored = newest
        self._stored_ns = self._clock.mono_ns()
        for tenant in {batch.tenant for batch, _, _ in done.poison}:
            self._poison.tidy(tenant)
        return done

    def _together(
        self,
        items: list[InboxItem],
        incoming: list[Incoming],
        newest: int,
        stored: dict[int, str],
    ) -> Applied:
        """Apply in one transaction. Raises _Unstored for poison whose bytes are not in `stored`."""
        by_position = {item.position: item for item in items}

        def keep(db: Connection, done: Applied) -> None:
            bad = [by_position[batch.position] for batch, _, _ in done.poison]
            if missing := [item for item in bad if item.position not in stored]:
                raise _Unstored(missing)
            for item, (_, table, reason) in zip(bad, done.poison, strict=True):
                self._poison.note(item, CONSUMER, table.name, reason, stored[item.position])
            self._positions.advance(db, CONSUMER, newest)
            if self._marks is not None:
                self._marks.store(db)

        return self._assets.apply(incoming, keep)

    def _next(self) -> tuple[list[InboxItem], list[Incoming]]:
        found = self._inbox.read(self.position, max_items=MAX_ITEMS, max_bytes=MAX_BYTES)
        items: list[InboxItem] = []
        incoming: list[Incoming] = []
        raw = 0
        if self._marks is not None:
            self._marks.load(found)
        for item in found:
            items.append(item)
            if self._marks is not None:
                if self._marks.repeated(item):
                    continue
                self._marks.note(item)
            batch = self._incoming(item)
            if batch is None:
                continue
            incoming.append(batch)
            raw += sum(len(column.data) for table in batch.tables for column in table.columns)
            if raw >= MAX_RAW:
                break
        return items, incoming

    def _incoming(self, item: InboxItem) -> Incoming | None:
        try:
            tables = tables_of(item, inventory=True)
        except BadWire as error:
            self._poison.keep(item, CONSUMER, "", str(error))
            return None
        if not tables:
            return None
        return Incoming(item.tenant, item.workload, item.received_ns, item.position, tables)
