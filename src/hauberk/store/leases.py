"""Who may do something alone, for a while: rows of `lease`, fenced.

A lease that is not renewed in time goes to whoever takes it next, with a higher fence. Its former
owner may not know yet, so everything it writes is checked against its fence in the transaction of
the write itself (`Fence.check`). Times are wall clocks of several machines: a skew makes leases
change hands too early or late, never two owners' writes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Engine, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from hauberk.errors import LostLease
from hauberk.ports import Clock
from hauberk.store.database import read, write
from hauberk.store.tables_fleet import lease

TTL_S = 10.0


@dataclass(frozen=True, slots=True)
class Fence:
    """A lease as its owner got it."""

    name: str
    owner: str
    number: int

    def check(self, db: Connection) -> None:
        """Raise LostLease unless the lease is still this one; it stays so until the commit."""
        mine = select(lease.c.fence).where(
            lease.c.name == self.name,
            lease.c.owner == self.owner,
            lease.c.fence == self.number,
        )
        if db.execute(mine.with_for_update(read=True)).first() is None:
            raise LostLease(f"{self.name}: another process has it now", retry_after=1.0)


class Leases:
    """The leases of one process, named `owner`."""

    def __init__(self, engine: Engine, clock: Clock, *, owner: str, ttl_s: float = TTL_S) -> None:
        self._engine, self._clock, self.owner = engine, clock, owner
        self._ttl_ns = int(ttl_s * 1e9)

    def take(self, name: str) -> Fence | None:
        """Take a free or expired lease; None when another process has it."""
        now = self._clock.wall_ns()
        # Further ahead than any lease: written before a clock jumped back.
        free = or_(
            lease.c.owner == "", lease.c.until_ns < now, lease.c.until_ns > now + 4 * self._ttl_ns
        )
        empty = insert(lease).values(name=name, owner="", until_ns=0, fence=0)
        with write(self._engine) as db:
            db.execute(empty.on_conflict_do_nothing())
            taken = db.execute(
                update(lease)
                .where(lease.c.name == name, free)
                .values(owner=self.owner, until_ns=now + self._ttl_ns, fence=lease.c.fence + 1)
            )
            if not taken.rowcount:
                return None
            number = db.execute(select(lease.c.fence).where(lease.c.name == name)).scalar_one()
        return Fence(name, self.owner, int(number))

    def renew(self, fences: Collection[Fence]) -> list[Fence]:
        """Keep them for another while; those that are lost."""
        until = self._clock.wall_ns() + self._ttl_ns
        lost: list[Fence] = []
        with write(self._engine) as db:
            for fence in fences:
                done = db.execute(update(lease).where(_is(fence)).values(until_ns=until))
                if not done.rowcount:
                    lost.append(fence)
        return lost

    def release(self, fence: Fence) -> None:
        """Give it back at once; fine when it is lost."""
        with write(self._engine) as db:
            db.execute(update(lease).where(_is(fence)).values(owner="", until_ns=0))

    def owners(self, names: Sequence[str]) -> dict[str, str]:
        """Owner by name of the leases that somebody has now."""
        query = select(lease.c.name, lease.c.owner).where(
            lease.c.name.in_(names),
            lease.c.owner != "",
            lease.c.until_ns >= self._clock.wall_ns(),
        )
        with read(self._engine) as db:
            return {str(name): str(owner) for name, owner in db.execute(query)}


def _is(fence: Fence) -> ColumnElement[bool]:
    return (
        (lease.c.name == fence.name)
        & (lease.c.owner == fence.owner)
        & (lease.c.fence == fence.number)
    )
