"""Time for what deletes by age: after a forward jump of the clock it follows slowly.

A wrong clock must not empty the stores. The newest time that was believed is kept durably; it
goes on with the monotonic clock and catches up with the wall clock by CATCH_UP times that, so
that a jump of years leaves people a day to notice, while a server that was off for a week is
back in step within hours.
"""

from __future__ import annotations

from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert

from hauberk.ports import Clock
from hauberk.store.database import write
from hauberk.store.tables import consumer

NAME = "retention"
CATCH_UP = 48
DAY_NS = 86_400 * 1_000_000_000


class Steady:
    """Safe for several threads; one per server."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self._mono: int | None = None

    def now_ns(self) -> int:
        """The time that is believed; never ahead of the wall clock. Raises Busy, StorageFull."""
        with write(self._engine) as db:
            wall, mono = self._clock.wall_ns(), self._clock.mono_ns()
            known = db.execute(select(consumer.c.position).where(consumer.c.name == NAME)).scalar()
            passed = 0 if self._mono is None else max(0, mono - self._mono)
            believed = wall if known is None else min(wall, known + passed * (1 + CATCH_UP))
            statement = insert(consumer).values(name=NAME, position=believed)
            db.execute(
                statement.on_conflict_do_update(
                    index_elements=["name"], set_={"position": believed}
                )
            )
            self._mono = mono
        return believed

    def doubt(self, believed_ns: int) -> str:
        """A line for people when the wall clock is a day or more ahead, else ""."""
        days = (self._clock.wall_ns() - believed_ns) // DAY_NS
        return f"; the clock jumped {days} days ahead: deletion follows slowly" if days else ""
