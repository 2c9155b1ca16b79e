"""The highest sequence that a consumer has of every (agent, boot): what comes again is left out.

For logs that may give a batch twice. An agent sends its spool in order, one batch in flight, so a
repetition always has a sequence that is not above the highest one. Marks are written in the
transaction that keeps the consumer's position: after a crash both are those of one moment.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from sqlalchemy import Connection, Engine, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from hauberk.ports import Clock, InboxItem
from hauberk.store.database import read
from hauberk.store.tables_fleet import mark

_MAX = 50_000
_CHUNK = 200
Key = tuple[str, str]


class Marks:
    """Marks of one consumer over one partition. One thread."""

    def __init__(self, engine: Engine, consumer: str, clock: Clock) -> None:
        self._engine, self._consumer, self._clock = engine, consumer, clock
        self._stored: OrderedDict[Key, int] = OrderedDict()
        self._kept: dict[Key, int] = {}
        self._tried: dict[Key, int] = {}

    def load(self, items: Iterable[InboxItem]) -> None:
        """Look up what is not in memory; call it before `repeated`."""
        wanted = {(item.agent, item.boot) for item in items} - self._stored.keys()
        keys = sorted(wanted)
        for start in range(0, len(keys), _CHUNK):
            part = keys[start : start + _CHUNK]
            query = select(mark.c.agent, mark.c.boot, mark.c.sequence).where(
                mark.c.consumer == self._consumer, tuple_(mark.c.agent, mark.c.boot).in_(part)
            )
            with read(self._engine) as db:
                found = {(str(a), str(b)): int(n) for a, b, n in db.execute(query)}
            for key in part:
                self._stored[key] = found.get(key, 0)

    def repeated(self, item: InboxItem) -> bool:
        """Whether the consumer has it already."""
        key = (item.agent, item.boot)
        known = self._tried.get(key) or self._kept.get(key) or self._stored[key]
        return item.sequence <= known

    def note(self, item: InboxItem) -> None:
        """It is being taken; counts as taken after `keep`."""
        self._tried[item.agent, item.boot] = item.sequence

    def keep(self) -> None:
        """What was noted is taken."""
        self._kept |= self._tried
        self._tried.clear()

    def undo(self) -> None:
        """What was noted since `keep` was not taken after all."""
        self._tried.clear()

    def store(self, db: Connection) -> None:
        """Write what was noted and kept, in the transaction of the position."""
        fresh = self._kept | self._tried
        if not fresh:
            return
        rows = [
            {
                "consumer": self._consumer,
                "agent": agent,
                "boot": boot,
                "sequence": sequence,
                "at_ns": self._clock.wall_ns(),
            }
            for (agent, boot), sequence in sorted(fresh.items())
        ]
        statement = insert(mark)
        set_ = {name: statement.excluded[name] for name in ("sequence", "at_ns")}
        db.execute(
            statement.on_conflict_do_update(index_elements=mark.primary_key, set_=set_), rows
        )

    def stored(self) -> None:
        """The transaction of `store` is committed."""
        self.keep()
        self._stored |= self._kept
        self._kept.clear()
        while len(self._stored) > _MAX:
            self._stored.popitem(last=False)

    def reset(self) -> None:
        """Forget what is in memory."""
        for one in (self._stored, self._kept, self._tried):
            one.clear()
