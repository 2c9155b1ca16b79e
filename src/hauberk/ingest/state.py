"""Consumer of the inbox that keeps the inventory state."""

from __future__ import annotations

from collections.abc import Callable

from hauberk.errors import BadWire
from hauberk.ingest.live import Live
from hauberk.ingest.poison import Poison
from hauberk.ingest.receive import tables_of
from hauberk.ports import Clock, Inbox, InboxItem
from hauberk.store.assets import CONSUMER, Assets
from hauberk.store.sets import Incoming

MAX_ITEMS, MAX_BYTES = 256, 8 * 1024 * 1024
# Decoded batches of one transaction.
MAX_RAW = 64 * 1024 * 1024
_IDLE_NS = 2_000_000_000


class StateConsumer:
    """`step` applies what has come. One thread."""

    def __init__(
        self,
        inbox: Inbox,
        assets: Assets,
        live: Live,
        poison: Poison,
        clock: Clock,
        *,
        trim: Callable[[], object] = lambda: None,
    ) -> None:
        """`trim` is called after the position was kept."""
        self._inbox, self._assets, self._live = inbox, assets, live
        self._poison, self._clock, self._trim = poison, clock, trim
        self.position = assets.position()
        self._stored = self.position
        self._stored_ns = clock.mono_ns()

    def step(self) -> bool:
        """Apply the next batches; False when there were none.

        Raises:
            Busy, StorageFull: nothing was applied; call again later.
        """
        items, incoming = self._next()
        newest = items[-1].position if items else self.position
        idle = self._clock.mono_ns() - self._stored_ns >= _IDLE_NS and newest > self._stored
        if incoming or idle:
            done = self._assets.apply(incoming, newest)
            by_position = {item.position: item for item in items}
            for batch, table, reason in done.poison:
                self._poison.keep(by_position[batch.position], CONSUMER, table.name, reason)
            self._live.applied(done, self._clock.wall_ns())
            self._stored, self._stored_ns = newest, self._clock.mono_ns()
            self._trim()
        self.position = newest
        return bool(items)

    def flush(self) -> None:
        """Keep the position now."""
        if self.position > self._stored:
            self._assets.apply([], self.position)
            self._stored, self._stored_ns = self.position, self._clock.mono_ns()

    def _next(self) -> tuple[list[InboxItem], list[Incoming]]:
        found = self._inbox.read(self.position, max_items=MAX_ITEMS, max_bytes=MAX_BYTES)
        items: list[InboxItem] = []
        incoming: list[Incoming] = []
        raw = 0
        for item in found:
            items.append(item)
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
