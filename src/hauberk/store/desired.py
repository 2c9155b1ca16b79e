"""Versioned desired state of a workload: schedule, budget and package, signed for each agent."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, Engine, and_, select, update

from hauberk.errors import Conflict, NotFound
from hauberk.link.gateway.identity import Peer
from hauberk.schema.link import Budget, Desired, Package, Schedule
from hauberk.store.database import write
from hauberk.store.keys import Keys
from hauberk.store.tables import agent, workload
from hauberk.store.tables_fleet import package

_MANY = 500


def replace(
    engine: Engine, tenant: str, home: str, *, version: int, schedule: Schedule, budget: Budget
) -> int:
    """Commit a new desired state; it stays until replaced.

    Args:
        engine: the state.
        tenant: from the credential.
        home: the workload's id.
        version: the version that is being replaced, as the caller saw it.
        schedule: seconds between collections.
        budget: grants of the agent.

    Returns:
        The new version.

    Raises:
        NotFound: no such workload in this tenant.
        Conflict: somebody else replaced that version meanwhile.
    """
    with write(engine) as db:
        where = (workload.c.tenant == tenant) & (workload.c.id == home)
        current = db.execute(select(workload.c.desired_version).where(where)).scalar()
        if current is None:
            raise NotFound(f"no workload {home} in this tenant")
        if current != version:
            raise Conflict(f"the desired state is at version {current}, not {version}: read it")
        db.execute(
            update(workload)
            .where(where)
            .values(
                desired_version=version + 1,
                schedule=msgspec.json.encode(schedule).decode(),
                budget=msgspec.json.encode(budget).decode(),
            )
        )
    return version + 1


def for_agent(db: Connection, keys: Keys, peer: Peer, has: int) -> bytes | None:
    """The signed desired state that an agent with version `has` lacks, or None.

    An agent ahead of us means that this state was restored from a backup: go past it.
    """
    where = (workload.c.tenant == peer.tenant) & (workload.c.id == peer.workload)
    c = workload.c
    query = select(c.desired_version, c.schedule, c.budget, c.facts).where(where)
    version, schedule, budget, facts = db.execute(query).one()
    if has == version:
        return None
    if has > version:
        version = has + 1
        db.execute(update(workload).where(where).values(desired_version=version))
    return keys.sign(
        "desired",
        Desired(
            tenant=peer.tenant,
            workload=peer.workload,
            agent=peer.agent,
            version=version,
            key_id=keys.task_key_id,
            schedule=msgspec.json.decode(schedule, type=Schedule),
            budget=msgspec.json.decode(budget, type=Budget),
            package=_package(db, keys, peer, facts),
            release_key=keys.release_public,
        ),
    )


def renew(db: Connection, tenant: str, homes: Sequence[str]) -> None:
    """Have the agents of these workloads fetch their desired state anew."""
    for at in range(0, len(homes), _MANY):
        some = homes[at : at + _MANY]
        db.execute(
            update(workload)
            .where(workload.c.tenant == tenant, workload.c.id.in_(some))
            .values(desired_version=workload.c.desired_version + 1)
        )


def _package(db: Connection, keys: Keys, peer: Peer, facts: str) -> bytes:
    """The signed package that this agent is to run; none where it would not run."""
    wanted = (
        select(agent.c.downgrade, package)
        .join(
            package,
            and_(package.c.tenant == agent.c.tenant, package.c.sha256 == agent.c.package),
        )
        .where(agent.c.id == peer.agent, agent.c.tenant == peer.tenant)
    )
    row = db.execute(wanted).mappings().first()
    if row is None or msgspec.json.decode(facts).get("arch", "") != row["arch"]:
        return b""
    if not row["downgrade"]:
        return bytes(row["signed"])
    names = ("version", "sequence", "arch", "sha256", "size")
    return keys.sign_package(Package(**{name: row[name] for name in names}, downgrade=True))


def request_resync(db: Connection, tenant: str, home: str) -> None:
    """Ask the workload's agent for full snapshots with its next beat."""
    db.execute(
        update(workload)
        .where(workload.c.tenant == tenant, workload.c.id == home)
        .values(resync=True)
    )
