"""How far each consumer has got, durably; what all have, the inbox may forget."""

from __future__ import annotations

from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert

from hauberk.ports import Inbox
from hauberk.store.database import read, sync, write
from hauberk.store.tables import consumer


class Positions:
    """Positions of the consumers in one inbox."""

    def __init__(self, engine: Engine, inbox: Inbox, names: tuple[str, ...]) -> None:
        self._engine, self._inbox, self._names = engine, inbox, names
        self._trimmed = 0

    def of(self, name: str) -> int:
        """Position of a consumer, 0 at first."""
        with read(self._engine) as db:
            query = select(consumer.c.position).where(consumer.c.name == name)
            return int(db.execute(query).scalar() or 0)

    def newest(self) -> int:
        """Position of the consumer that is ahead."""
        return max(self.of(name) for name in self._names)

    def set(self, name: str, position: int) -> None:
        """Keep a consumer's position durably enough: what is lost is repeated, never skipped."""
        statement = insert(consumer).values(name=name, position=position)
        with write(self._engine) as db:
            db.execute(
                statement.on_conflict_do_update(
                    index_elements=["name"], set_={"position": position}
                )
            )

    def trim(self) -> int:
        """Forget what every consumer has; the position trimmed to."""
        upto = min(self.of(name) for name in self._names)
        if upto > self._trimmed:
            # Positions and what they stand for must outlive the batches.
            sync(self._engine)
            self._inbox.trim(upto)
            self._trimmed = upto
        return upto
