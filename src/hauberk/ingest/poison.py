"""Where tables go that could be decoded by nobody: kept with the reason, bounded, counted.

The envelope lies in the blobs and the note in the state, so that every process of a deployment sees
what any of them set aside. One table of one batch is noted once, however often it is met.
"""

from __future__ import annotations

import io
import logging

import msgspec
from sqlalchemy import Engine, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from hauberk.ports import Blobs, Clock, InboxItem
from hauberk.store.database import read, write
from hauberk.store.tables_fleet import poison

MAX_KEPT = 200
_MAX_REASON = 1000
_log = logging.getLogger(__name__)


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """The note on a kept envelope, whose bytes are the tenant's blob `blob`."""

    tenant: str
    consumer: str
    agent: str
    boot: str
    sequence: int
    table: str
    workload: str
    reason: str
    blob: str
    size: int
    at_ns: int


class Poison:
    """Envelopes that a consumer could not use: at most MAX_KEPT a tenant, the oldest go first."""

    def __init__(self, engine: Engine, blobs: Blobs, clock: Clock) -> None:
        self._engine, self._blobs, self._clock = engine, blobs, clock
        self.count = 0

    def keep(self, item: InboxItem, consumer: str, table: str, reason: str) -> None:
        """Set an envelope aside; the rest of the batch and of the inbox goes on.

        Raises:
            Busy, StorageFull, Unreachable: it could not be kept; the batch must come again.
        """
        self.note(item, consumer, table, reason, self.store(item))
        self.tidy(item.tenant)

    def store(self, item: InboxItem) -> str:
        """Keep an envelope's bytes; their digest. Not within a transaction: it takes its time."""
        return self._blobs.put(item.tenant, io.BytesIO(item.body))

    def note(self, item: InboxItem, consumer: str, table: str, reason: str, blob: str) -> None:
        """Say why an envelope, stored as `blob`, was set aside; also in the caller's transaction.

        What becomes too much goes with the next `tidy`.
        """
        self.count += 1
        _log.error(
            "%s: %s of batch %s/%d of agent %s set aside: %s",
            consumer,
            table or "the batch",
            item.boot,
            item.sequence,
            item.agent,
            reason,
        )
        row = {
            "tenant": item.tenant,
            "consumer": consumer,
            "agent": item.agent,
            "boot": item.boot,
            "sequence": item.sequence,
            "table_name": table[:200],
            "workload": item.workload,
            "reason": reason[:_MAX_REASON],
            "blob": blob,
            "size": len(item.body),
            "at_ns": self._clock.wall_ns(),
        }
        with write(self._engine) as db:
            db.execute(insert(poison).values(row).on_conflict_do_nothing())

    def usage(self) -> tuple[int, int]:
        """(tables, bytes) that are set aside."""
        query = select(func.count(), func.coalesce(func.sum(poison.c.size), 0)).select_from(poison)
        with read(self._engine) as db:
            count, size = db.execute(query).one()
        return int(count), int(size)

    def kept(self, tenant: str) -> list[Reason]:
        """What is set aside of a tenant, newest first."""
        return kept(self._engine, tenant)

    def tidy(self, tenant: str) -> None:
        """Let the oldest go, over MAX_KEPT."""
        stale = self.kept(tenant)[MAX_KEPT:]
        for note in stale:
            mine = (
                (poison.c.tenant == note.tenant)
                & (poison.c.consumer == note.consumer)
                & (poison.c.agent == note.agent)
                & (poison.c.boot == note.boot)
                & (poison.c.sequence == note.sequence)
                & (poison.c.table_name == note.table)
            )
            same = select(func.count()).where(
                poison.c.tenant == note.tenant, poison.c.blob == note.blob
            )
            with write(self._engine) as db:
                db.execute(delete(poison).where(mine))
                needed = int(db.execute(same).scalar() or 0)
            if not needed:
                self._blobs.delete(note.tenant, note.blob)


def kept(engine: Engine, tenant: str) -> list[Reason]:
    """What is set aside of a tenant, newest first, by whichever process; about MAX_KEPT."""
    query = (
        select(poison)
        .where(poison.c.tenant == tenant)
        .order_by(poison.c.at_ns.desc(), poison.c.sequence.desc())
    )
    with read(engine) as db:
        rows = db.execute(query).mappings().all()
    return [
        Reason(table=row["table_name"], **{k: v for k, v in row.items() if k != "table_name"})
        for row in rows
    ]
