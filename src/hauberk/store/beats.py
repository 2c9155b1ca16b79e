"""What a beat writes and asks, as few statements as it takes: thousands of agents beat.

Statements are made once: making one costs more than running it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Connection, and_, bindparam, delete, exists, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.engine import RowMapping

from hauberk.errors import Unauthenticated
from hauberk.link.gateway.identity import Peer
from hauberk.schema.link import Beat
from hauberk.store import tasks
from hauberk.store.agents_words import (
    MAX_TEXT,
    MAX_WORD,
    budget_of,
    facts_of,
    json_of,
    package_of,
    sensor_of,
)
from hauberk.store.tables import agent, agent_instance, task, workload

MAX_INSTANCES = 1000
_HOUR_NS = 3600 * 1_000_000_000

_HEARD = (
    select(
        agent,
        workload.c.resync,
        workload.c.desired_version,
        exists()
        .where(
            task.c.agent == agent.c.id,
            task.c.state.in_(tasks.OPEN),
            task.c.not_after_ns > bindparam("now", type_=BigInteger),
        )
        .label("ordered"),
    )
    .join(
        workload,
        and_(workload.c.tenant == agent.c.tenant, workload.c.id == agent.c.workload),
    )
    .where(agent.c.id == bindparam("agent_id"))
)
_TOLD = (
    update(agent)
    .where(agent.c.id == bindparam("agent_id"))
    .values(
        {
            name: bindparam(f"new_{name}", type_=agent.c[name].type)
            for name in (
                "version",
                "last_beat_ns",
                "skew_ns",
                "instance",
                "boot",
                "sensor",
                "resources",
                "acknowledged_version",
                "package_state",
                "budget_state",
                "goodbye",
            )
        }
    )
)
_HOME = (
    update(workload)
    .where(workload.c.tenant == bindparam("of_tenant"), workload.c.id == bindparam("home_id"))
    .values(
        {
            name: bindparam(f"new_{name}", type_=workload.c[name].type)
            for name in ("hostname", "facts", "last_seen_ns")
        }
        | {"resync": False}
    )
)


def hear(db: Connection, name: str, *, now_ns: int) -> RowMapping:
    """The agent before this beat, with its workload's `resync` and `desired_version`.

    `ordered`: whether a task waits for it. Raises Unauthenticated for an agent that was removed.
    """
    row = db.execute(_HEARD, {"agent_id": name, "now": now_ns}).mappings().first()
    if row is None:
        raise Unauthenticated("this agent was removed here: enrol it anew")
    return row


def record(db: Connection, peer: Peer, beat: Beat, now: int) -> None:
    """Keep what a beat says."""
    facts = facts_of(beat.facts)
    told = {
        "version": beat.version[:MAX_TEXT],
        "last_beat_ns": now,
        "skew_ns": beat.wall_ns - now,
        "instance": beat.instance,
        "boot": beat.boot[:MAX_TEXT],
        "sensor": json_of(sensor_of(beat.sensor)),
        "resources": json_of(beat.resources),
        "acknowledged_version": beat.desired_version,
        "package_state": json_of(package_of(beat.package)),
        "budget_state": json_of(budget_of(beat.budget)),
        "goodbye": beat.goodbye[:MAX_WORD],
    }
    db.execute(_TOLD, {"agent_id": peer.agent} | {f"new_{k}": v for k, v in told.items()})
    home = {"hostname": facts.hostname, "facts": json_of(facts), "last_seen_ns": now}
    where = {"of_tenant": peer.tenant, "home_id": peer.workload}
    db.execute(_HOME, where | {f"new_{k}": v for k, v in home.items()})


def is_clone(db: Connection, row: RowMapping, instance: str, now: int) -> bool:
    """An instance that another one had replaced cannot come back: instances are random.

    `row` is of the agent before this beat.
    """
    name, current = row["id"], row["instance"]
    if instance == current and (row["last_beat_ns"] or 0) // _HOUR_NS == now // _HOUR_NS:
        return False  # noted within this hour
    if current and instance != current:
        known = db.execute(
            select(agent_instance.c.instance).where(
                agent_instance.c.agent == name, agent_instance.c.instance == instance
            )
        ).first()
        if known is not None:
            return True
    seen = upsert(agent_instance).values(agent=name, instance=instance, first_ns=now, last_ns=now)
    db.execute(
        seen.on_conflict_do_update(index_elements=["agent", "instance"], set_={"last_ns": now})
    )
    if instance != current:
        newest = (
            select(agent_instance.c.instance)
            .where(agent_instance.c.agent == name)
            .order_by(agent_instance.c.last_ns.desc())
            .limit(MAX_INSTANCES)
        )
        db.execute(
            delete(agent_instance).where(
                agent_instance.c.agent == name, agent_instance.c.instance.not_in(newest)
            )
        )
    return False


def forget_instances(db: Connection, *, before_ns: int) -> int:
    """Drop instances not heard of since; the number of rows."""
    old = delete(agent_instance).where(agent_instance.c.last_ns < before_ns)
    return db.execute(old).rowcount
