"""How far each consumer of one log has got, durably; what all have, the log may forget."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.postgresql import insert

from hauberk.ports import Log
from hauberk.store.database import read, sync, write
from hauberk.store.leases import Fence
from hauberk.store.tables import consumer

CONSUMERS = ("state", "lake")


def key(name: str, log: Log) -> str:
    """The row of a consumer: positions of a log that was made anew begin anew."""
    return f"{name}:{log.name}:{log.id}" if log.name else name


class Positions:
    """Positions of the consumers in one log, kept by whoever has its lease."""

    def __init__(
        self,
        engine: Engine,
        log: Log,
        names: Sequence[str] = CONSUMERS,
        *,
        fence: Fence | None = None,
    ) -> None:
        """`fence`: the lease on this log; None when no other process can have it."""
        self._engine, self._log, self._names = engine, log, names
        self._fence = fence
        self._trimmed = 0

    def of(self, name: str) -> int:
        """Position of a consumer, 0 at first."""
        with read(self._engine) as db:
            query = select(consumer.c.position).where(consumer.c.name == key(name, self._log))
            return int(db.execute(query).scalar() or 0)

    def newest(self) -> int:
        """Position of the consumer that is ahead."""
        return max(self.of(name) for name in self._names)

    def check(self) -> None:
        """Raise LostLease when another process has this log now."""
        if self._fence is not None:
            with write(self._engine) as db:
                self._fence.check(db)

    def advance(self, db: Connection, name: str, position: int) -> None:
        """Keep a consumer's position in a transaction of the caller's.

        Raises:
            LostLease: another process has this log now.
        """
        if self._fence is not None:
            self._fence.check(db)
        statement = insert(consumer).values(name=key(name, self._log), position=position)
        db.execute(
            statement.on_conflict_do_update(index_elements=["name"], set_={"position": position})
        )

    def set(
        self, name: str, position: int, also: Callable[[Connection], None] = lambda _db: None
    ) -> None:
        """Keep a consumer's position and, in the same transaction, what `also` writes.

        Durably enough: what is lost is repeated, never skipped. Raises LostLease.
        """
        with write(self._engine) as db:
            self.advance(db, name, position)
            also(db)

    def trim(self) -> int:
        """Forget what every consumer has; the position trimmed to."""
        upto = min(self.of(name) for name in self._names)
        if upto > self._trimmed:
            # Positions and what they stand for must outlive the batches.
            sync(self._engine)
            self._log.trim(upto)
            self._trimmed = upto
        return upto
