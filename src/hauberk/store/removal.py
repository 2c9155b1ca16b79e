"""Removing a machine for good: all that the state knows of it, except what it did (its events)."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, delete, select

from hauberk.errors import Conflict
from hauberk.ports import Clock
from hauberk.store.database import write
from hauberk.store.fleet import find_workload
from hauberk.store.tables import (
    agent,
    agent_instance,
    asset,
    asset_change,
    collection,
    ledger,
    relation,
    role,
    snapshot_part,
    task,
    workload,
)
from hauberk.store.tables_fleet import alarm

# An agent that is silent for less may only be restarting, and would have to enrol anew.
SILENT_S = 86_400
_S = 1_000_000_000
_THEIRS = (asset, asset_change, collection, relation, role, ledger, task, snapshot_part, alarm)


def remove(engine: Engine, clock: Clock, tenant: str, home: str) -> list[str]:
    """Delete a workload with its agents, inventory, changes, tasks, ledger and alarms.

    Events stay in the lake until their retention. Its agents, should they come back, must enrol
    anew.

    Returns:
        The agents that were removed: caches must forget them.

    Raises:
        NotFound: no such workload in this tenant.
        Conflict: an agent of it is neither revoked nor silent for SILENT_S.
    """
    with write(engine) as db:
        find_workload(db, tenant, home)
        names = _agents(db, tenant, home, clock.wall_ns())
        for table in _THEIRS:
            where = (table.c.tenant == tenant, table.c.workload == home)
            db.execute(delete(table).where(*where))
        db.execute(delete(agent_instance).where(agent_instance.c.agent.in_(names)))
        db.execute(delete(agent).where(agent.c.tenant == tenant, agent.c.workload == home))
        db.execute(delete(workload).where(workload.c.tenant == tenant, workload.c.id == home))
    return names


def _agents(db: Connection, tenant: str, home: str, now_ns: int) -> list[str]:
    c = agent.c
    rows = db.execute(
        select(c.id, c.state, c.last_beat_ns, c.enrolled_ns, c.goodbye).where(
            c.tenant == tenant, c.workload == home
        )
    ).all()
    for name, state, last, enrolled, goodbye in rows:
        silent = now_ns - max(last or 0, enrolled) >= SILENT_S * _S
        if state == "active" and not silent and goodbye != "uninstall":
            raise Conflict(
                f"agent {name} is neither revoked nor silent for {SILENT_S // 3600} hours: "
                "uninstall or revoke it first"
            )
    return [row[0] for row in rows]
