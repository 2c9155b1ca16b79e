"""Signed, expiring orders to agents, and their fate."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Engine, insert, select, update

from hauberk.errors import BadWire, NotFound
from hauberk.link.gateway.identity import Peer
from hauberk.ports import Clock
from hauberk.schema.ids import uuid_from
from hauberk.schema.link import Task, TaskKind, TaskResult
from hauberk.store.database import write
from hauberk.store.keys import Keys
from hauberk.store.tables import agent, task

_OPEN = ("pending", "sent")
_MAX_PER_BEAT = 64
_MAX_MESSAGE = 4096


def create(
    engine: Engine,
    keys: Keys,
    clock: Clock,
    tenant: str,
    workload: str,
    *,
    kind: TaskKind,
    args: Mapping[str, Sequence[str]],
    ttl_s: float,
    created_by: str,
) -> list[str]:
    """Order something from every active agent of a workload.

    Returns:
        The ids of the tasks, one per agent.

    Raises:
        NotFound: no active agent on this workload in this tenant.
    """
    now = clock.wall_ns()
    ids: list[str] = []
    with write(engine) as db:
        rows = db.execute(
            update(agent)
            .where(
                agent.c.tenant == tenant, agent.c.workload == workload, agent.c.state == "active"
            )
            .values(task_sequence=agent.c.task_sequence + 1)
            .returning(agent.c.id, agent.c.task_sequence)
        ).all()
        if not rows:
            raise NotFound(f"no active agent on workload {workload} in this tenant")
        for name, sequence in rows:
            order = Task(
                id=uuid_from(secrets.token_bytes(16)),
                tenant=tenant,
                workload=workload,
                agent=name,
                sequence=sequence,
                key_id=keys.task_key_id,
                kind=kind,
                args={key: list(values) for key, values in args.items()},
                not_before_ns=now - 60_000_000_000,
                not_after_ns=now + int(ttl_s * 1e9),
                ttl_s=ttl_s,
            )
            db.execute(
                insert(task).values(
                    id=order.id,
                    tenant=tenant,
                    workload=workload,
                    agent=name,
                    sequence=sequence,
                    kind=kind,
                    signed=keys.sign("task", order),
                    created_by=created_by,
                    created_ns=now,
                    not_after_ns=order.not_after_ns,
                )
            )
            ids.append(order.id)
    return ids


def pending(db: Connection, name: str, *, now_ns: int) -> list[bytes]:
    """Signed tasks that an agent has not answered, in sequence; they count as sent."""
    rows = db.execute(
        select(task.c.id, task.c.signed)
        .where(task.c.agent == name, task.c.state.in_(_OPEN), task.c.not_after_ns > now_ns)
        .order_by(task.c.sequence)
        .limit(_MAX_PER_BEAT)
    ).all()
    if rows:
        db.execute(update(task).where(task.c.id.in_([r[0] for r in rows])).values(state="sent"))
    return [bytes(r[1]) for r in rows]


def finish(engine: Engine, peer: Peer, result: TaskResult) -> bool:
    """Take an answer; the first one counts, more are fine.

    Returns:
        True when the task changed.

    Raises:
        NotFound: no such task of this agent.
        BadWire: absurd values.
    """
    if not 0 <= result.ended_ns < 2**63:
        raise BadWire("an answer that ended at an absurd time")
    with write(engine) as db:
        where = (task.c.id == result.task) & (task.c.agent == peer.agent)
        state = db.execute(select(task.c.state).where(where)).scalar()
        if state is None:
            raise NotFound(f"no task {result.task} of this agent")
        if state not in (*_OPEN, "expired"):
            return False
        db.execute(
            update(task)
            .where(where)
            .values(
                state=result.outcome,
                message=result.message[:_MAX_MESSAGE],
                ended_ns=result.ended_ns,
            )
        )
    return True


def expire(db: Connection, *, now_ns: int) -> int:
    """Mark unanswered tasks whose time is over; the number of rows."""
    over = (
        update(task)
        .where(task.c.state.in_(_OPEN), task.c.not_after_ns <= now_ns)
        .values(state="expired", ended_ns=now_ns)
    )
    return db.execute(over).rowcount
