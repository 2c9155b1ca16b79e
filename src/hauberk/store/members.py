"""The processes of this deployment: each says every few seconds that it is there."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Engine, delete, select
from sqlalchemy.dialects.postgresql import insert

from hauberk.ports import Clock
from hauberk.store.database import read, write
from hauberk.store.tables_fleet import member

LIVE_S = 10.0
_FORGET_NS = 7 * 86_400 * 1_000_000_000
_encode, _decode = msgspec.json.encode, msgspec.json.Decoder(dict[str, Any]).decode


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One process. `live`: it was there within the last seconds. `detail`: what it says of itself.

    `role` is server or worker; `consumes` whether it takes partitions of the inbox.
    """

    id: str
    role: str
    host: str
    pid: int
    version: str
    started_ns: int
    seen_ns: int
    live: bool
    consumes: bool
    detail: dict[str, Any]


class Members:
    """This process among the others."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        id_: str,
        role: str,
        host: str,
        pid: int,
        version: str,
        consumes: bool,
        live_s: float = LIVE_S,
    ) -> None:
        """`live_s`: seconds of silence after which a process counts as gone."""
        self._engine, self._clock, self.id = engine, clock, id_
        self._consumes, self._live_ns = consumes, int(live_s * 1e9)
        self._fixed = {
            "id": id_,
            "role": role,
            "host": host,
            "pid": pid,
            "version": version,
            "started_ns": clock.wall_ns(),
        }

    def beat(self, detail: dict[str, Any]) -> None:
        """Say that this process is there, and how it is."""
        now = self._clock.wall_ns()
        told = detail | {"consumes": self._consumes}
        changing = {"seen_ns": now, "detail": _encode(told).decode()}
        statement = insert(member).values(self._fixed | changing)
        with write(self._engine) as db:
            db.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changing))
            db.execute(delete(member).where(member.c.seen_ns < now - _FORGET_NS))

    def leave(self) -> None:
        """This process ends."""
        with write(self._engine) as db:
            db.execute(delete(member).where(member.c.id == self.id))

    def all(self) -> list[Member]:
        """Everybody who was there in the last week, by role and id."""
        oldest = self._clock.wall_ns() - self._live_ns
        with read(self._engine) as db:
            rows = db.execute(select(member).order_by(member.c.role, member.c.id)).mappings().all()
        found = []
        for row in rows:
            values = dict(row)
            detail = _decode(values.pop("detail"))
            consumes = bool(detail.pop("consumes", False))
            live = int(values["seen_ns"]) >= oldest
            found.append(Member(**values, live=live, consumes=consumes, detail=detail))
        return found

    def consuming(self) -> list[str]:
        """Ids of the live processes that take partitions, this one among them, sorted."""
        found = {m.id for m in self.all() if m.live and m.consumes}
        return sorted(found | ({self.id} if self._consumes else set()))
