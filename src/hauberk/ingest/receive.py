"""One envelope: who, signature, size, form; then the inbox; then it is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from hauberk.errors import BadWire, Forbidden, Refused
from hauberk.link import envelope, wire
from hauberk.link.gateway.identity import Peer
from hauberk.link.wire import Batch, Table
from hauberk.ports import Clock, InboxItem
from hauberk.schema.link import BatchReply
from hauberk.store.assets import is_inventory

MAX_BOOT = 128


class Durable(Protocol):
    """The inbox, as ingest uses it."""

    def submit(self, items: list[InboxItem]) -> Future[list[int | None]]:
        """Store durably; the future gives positions, None for repetitions."""


@dataclass(slots=True)
class Counters:
    """What came since the start."""

    batches: int = 0
    duplicates: int = 0
    rows: int = 0
    bytes: int = 0
    refused: int = 0


Live = Callable[[InboxItem, Batch], None]
"""Called right after a batch is durable, on the event loop; must not block."""


class Receiver:
    """The gateway's batch callback."""

    def __init__(self, inbox: Durable, clock: Clock, live: Live) -> None:
        self._inbox, self._clock, self._live = inbox, clock, live
        self.counters = Counters()

    async def __call__(self, peer: Peer, body: bytes) -> BatchReply:
        """Verify and store one envelope; on return it is durable.

        Raises:
            Refused: wrong signature.
            Forbidden: another agent's envelope.
            BadWire: cannot be decoded, or larger than it may be.
            Conflict: this sequence came before with other bytes.
            Busy, StorageFull: try later.
        """
        try:
            batch, item = self._verified(peer, body)
        except (BadWire, Refused):
            self.counters.refused += 1
            raise
        positions = await asyncio.wrap_future(self._inbox.submit([item]))
        position = positions[0]
        self.counters.batches += 1
        if position is None:
            self.counters.duplicates += 1
            return BatchReply(sequence=item.sequence, duplicate=True)
        self.counters.rows += sum(t.rows for t in batch.tables)
        self.counters.bytes += len(body)
        self._live(item, batch)
        return BatchReply(sequence=item.sequence)

    def _verified(self, peer: Peer, body: bytes) -> tuple[Batch, InboxItem]:
        sealed, header = envelope.parse(body)
        if header.agent != peer.agent:
            raise Forbidden("the envelope names another agent than the certificate")
        if not header.boot or len(header.boot) > MAX_BOOT or header.sequence >= 1 << 63:
            raise BadWire("the envelope's boot or sequence is out of bounds")
        envelope.check(sealed, peer.key)
        batch = wire.decode_batch(envelope.unpack(sealed, header))
        _check_lane(header, batch)
        item = InboxItem(
            tenant=peer.tenant,
            workload=peer.workload,
            agent=peer.agent,
            boot=header.boot,
            sequence=header.sequence,
            received_ns=self._clock.wall_ns(),
            body=body,
            digest=envelope.digest(sealed),
        )
        return batch, item


def _check_lane(header: envelope.Header, batch: Batch) -> None:
    """Raises BadWire when the header says other than what is in: consumers go by it unopened."""
    told = {"e": False, "i": True}.get(header.lane)
    if told is not None and any(is_inventory(t.name) is not told for t in batch.tables):
        raise BadWire(f"the envelope says lane {header.lane!r} and carries other tables")


def tables_of(item: InboxItem, *, inventory: bool) -> list[Table]:
    """The inventory tables of a stored item, or the others; its signature held when it came.

    A batch whose header says that it has none of them is not unpacked.

    Raises:
        BadWire: it cannot be decoded.
    """
    sealed, header = envelope.parse(item.body)
    if header.lane == ("e" if inventory else "i"):
        return []
    batch = wire.decode_batch(envelope.unpack(sealed, header))
    return [t for t in batch.tables if is_inventory(t.name) is inventory]
