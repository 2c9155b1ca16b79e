"""Signed, expiring orders to agents, and their fate."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, case, insert, select, update

from hauberk.errors import BadWire, NotFound
from hauberk.link.gateway.identity import Peer
from hauberk.ports import Clock
from hauberk.schema.ids import uuid_from
from hauberk.schema.link import Task, TaskKind, TaskResult
from hauberk.store.database import write
from hauberk.store.dialect import storable
from hauberk.store.keys import Keys
from hauberk.store.tables import agent, task
from hauberk.store.tables_fleet import run

OPEN = ("pending", "sent")
STATES = (*OPEN, "done", "refused", "failed", "expired", "cancelled")
CHUNK = 500
# So begins an agent's answer to a task that it gave up because it was ordered to.
CALLED_OFF = "cancelled by "
_MAX_PER_BEAT = 64
_MAX_MESSAGE = 4096
_SECOND = 1_000_000_000
# A cancel order lives at least so long, also when what it cancels is about to expire.
_MIN_CANCEL_S = 60


@dataclass(frozen=True, slots=True)
class Order:
    """What the tasks of one order have in common. `run` is "" for an order to one machine."""

    tenant: str
    kind: TaskKind
    not_after_ns: int
    ttl_s: float
    created_by: str
    run: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom one task is for; `message` is what people read until the agent answers."""

    agent: str
    workload: str
    sequence: int
    args: Mapping[str, Sequence[str]]
    message: str = ""


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
    order = Order(tenant, kind, now + int(ttl_s * _SECOND), ttl_s, created_by)
    with write(engine) as db:
        rows = next_sequences(db, tenant, agent.c.workload == workload)
        if not rows:
            raise NotFound(f"no active agent on workload {workload} in this tenant")
        targets = [Target(name, home, sequence, args) for name, home, sequence in rows]
        return issue(db, keys, order, targets, now_ns=now)


def next_sequences(
    db: Connection, tenant: str, which: ColumnElement[bool]
) -> list[tuple[str, str, int]]:
    """(agent, workload, its next task's sequence) of the active agents that `which` leaves."""
    rows = db.execute(
        update(agent)
        .where(agent.c.tenant == tenant, agent.c.state == "active", which)
        .values(task_sequence=agent.c.task_sequence + 1)
        .returning(agent.c.id, agent.c.workload, agent.c.task_sequence)
    )
    return [(row[0], row[1], row[2]) for row in rows]


def issue(
    db: Connection, keys: Keys, order: Order, targets: Iterable[Target], *, now_ns: int
) -> list[str]:
    """Sign and store one task per target; their ids."""
    ids: list[str] = []
    waiting = iter(targets)
    while part := list(islice(waiting, CHUNK)):
        rows = [_signed(keys, order, target, now_ns) for target in part]
        db.execute(insert(task), rows)
        ids += [row["id"] for row in rows]
    return ids


def _signed(keys: Keys, order: Order, target: Target, now_ns: int) -> dict[str, Any]:
    whole = Task(
        id=new_id(),
        tenant=order.tenant,
        workload=target.workload,
        agent=target.agent,
        sequence=target.sequence,
        key_id=keys.task_key_id,
        kind=order.kind,
        args={key: list(values) for key, values in target.args.items()},
        not_before_ns=now_ns - 60 * _SECOND,
        not_after_ns=order.not_after_ns,
        ttl_s=order.ttl_s,
    )
    return {
        "id": whole.id,
        "tenant": whole.tenant,
        "workload": whole.workload,
        "agent": whole.agent,
        "sequence": whole.sequence,
        "kind": whole.kind,
        "signed": keys.sign("task", whole),
        "created_by": order.created_by,
        "created_ns": now_ns,
        "not_after_ns": whole.not_after_ns,
        "message": target.message,
        "run": order.run,
    }


def new_id() -> str:
    """The id of a new task or run."""
    return uuid_from(secrets.token_bytes(16))


def cancel(
    db: Connection,
    keys: Keys,
    tenant: str,
    which: ColumnElement[bool],
    *,
    created_by: str,
    now_ns: int,
) -> tuple[int, int]:
    """Call off the open tasks that `which` leaves.

    What no agent has got is cancelled at once; an agent that has it is ordered to stop, and its
    answer counts.

    Returns:
        (tasks cancelled now, tasks whose agents were asked).
    """
    open_ = and_(task.c.tenant == tenant, which, task.c.kind != "cancel")
    sent = and_(open_, task.c.state == "sent", task.c.not_after_ns > now_ns)
    where = and_(open_, task.c.state == "pending", task.c.not_after_ns > now_ns)
    done = {"state": "cancelled", "ended_ns": now_ns, "message": CALLED_OFF + created_by}
    closed = db.execute(update(task).where(where).values(done)).rowcount
    theirs: dict[str, list[str]] = {}
    until = now_ns + _MIN_CANCEL_S * _SECOND
    for name, id_, not_after in db.execute(
        select(task.c.agent, task.c.id, task.c.not_after_ns).where(sent)
    ):
        theirs.setdefault(name, []).append(id_)
        until = max(until, not_after)
    if not theirs:
        return closed, 0
    asked = next_sequences(db, tenant, agent.c.id.in_(select(task.c.agent).where(sent)))
    order = Order(tenant, "cancel", until, (until - now_ns) / _SECOND, created_by)
    args = {name: {"task": found, "by": [created_by]} for name, found in theirs.items()}
    targets = (
        Target(name, home, sequence, args[name], f"cancels {', '.join(theirs[name])}")
        for name, home, sequence in asked
    )
    issue(db, keys, order, targets, now_ns=now_ns)
    # An agent that may not come back (revoked, cloned) answers nothing any more.
    mute = [id_ for name in theirs.keys() - {a[0] for a in asked} for id_ in theirs[name]]
    for first in range(0, len(mute), CHUNK):
        part = mute[first : first + CHUNK]
        db.execute(update(task).where(task.c.id.in_(part)).values(done))
    return closed + len(mute), sum(map(len, theirs.values())) - len(mute)


def pending(db: Connection, name: str, *, now_ns: int) -> list[bytes]:
    """Signed tasks that an agent has not answered, in sequence; they count as sent."""
    rows = db.execute(
        select(task.c.id, task.c.signed)
        .where(task.c.agent == name, task.c.state.in_(OPEN), task.c.not_after_ns > now_ns)
        .order_by(task.c.sequence)
        .limit(_MAX_PER_BEAT)
    ).all()
    if rows:
        db.execute(update(task).where(task.c.id.in_([r[0] for r in rows])).values(state="sent"))
    return [bytes(r[1]) for r in rows]


def finish(engine: Engine, peer: Peer, result: TaskResult, *, now_ns: int) -> bool:
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
        known = db.execute(select(task.c.state, task.c.run).where(where)).first()
        if known is None:
            raise NotFound(f"no task {result.task} of this agent")
        if known.state not in (*OPEN, "expired"):
            return False
        called_off = result.outcome == "failed" and result.message.startswith(CALLED_OFF)
        db.execute(
            update(task)
            .where(where)
            .values(
                state="cancelled" if called_off else result.outcome,
                message=storable(result.message[:_MAX_MESSAGE]),
                ended_ns=result.ended_ns,
            )
        )
        if known.run:
            close_runs(db, now_ns=now_ns, run_id=known.run)
    return True


def expire(db: Connection, *, now_ns: int) -> int:
    """Mark unanswered tasks whose time is over; the number of rows."""
    over = (
        update(task)
        .where(task.c.state.in_(OPEN), task.c.not_after_ns <= now_ns)
        .values(state="expired", ended_ns=now_ns)
    )
    count = db.execute(over).rowcount
    close_runs(db, now_ns=now_ns)
    return count


def close_runs(db: Connection, *, now_ns: int, run_id: str | None = None) -> None:
    """Write down that runs without an open task have ended: one of them, or all."""
    left = select(task.c.id).where(
        task.c.tenant == run.c.tenant, task.c.run == run.c.id, task.c.state.in_(OPEN)
    )
    over = update(run).where(run.c.ended_ns.is_(None), ~left.exists())
    if run_id is not None:
        over = over.where(run.c.id == run_id)
    state = case((run.c.state == "running", "done"), else_=run.c.state)
    db.execute(over.values(ended_ns=now_ns, state=state))
