"""The numbers of the first page: what exists; what nothing assessed is None."""

from __future__ import annotations

from sqlalchemy import Engine, func, select

from hauberk.schema.taxonomy import Title
from hauberk.schema.view_overview import Overview, RoleCount
from hauberk.store import dialect, fleet, inventory, query
from hauberk.store.database import read
from hauberk.store.lake_query import LakeQuery, Search
from hauberk.store.tables import agent, asset_change, collection, role, workload

_MS = 1_000_000
_DAY_MS = 86_400_000
_MAX_BLIND = 20


def overview(engine: Engine, lake: LakeQuery, tenant: str, now_ns: int) -> Overview:
    """Counts of one tenant; 24 h are counted back from `now_ns`."""
    since_ms = now_ns // _MS - _DAY_MS
    tier = func.coalesce(dialect.json_text(agent.c.sensor, "tier"), "unknown")
    with read(engine) as db:
        machines = db.execute(
            select(func.count()).select_from(workload).where(workload.c.tenant == tenant)
        ).scalar_one()
        shown = fleet.state_of(now_ns)
        states = db.execute(
            select(shown, func.count()).where(agent.c.tenant == tenant).group_by(shown)
        ).all()
        tiers = db.execute(
            select(tier, func.count())
            .where(agent.c.tenant == tenant, agent.c.state == "active")
            .group_by(tier)
        ).all()
        roles = db.execute(
            select(role.c.role, func.max(role.c.title_en), func.max(role.c.title_zh), func.count())
            .where(role.c.tenant == tenant)
            .group_by(role.c.role)
            .order_by(func.count().desc(), role.c.role)
        ).all()
        looked = db.execute(
            select(func.max(collection.c.received_ns)).where(collection.c.tenant == tenant)
        ).scalar()
        heard = db.execute(
            select(func.max(agent.c.last_beat_ns)).where(agent.c.tenant == tenant)
        ).scalar()
        changed = db.execute(
            select(asset_change.c.kind, func.count())
            .where(asset_change.c.tenant == tenant, asset_change.c.at_ns >= since_ms * _MS)
            .group_by(asset_change.c.kind)
        ).all()
        names = fleet.hostnames_in(db, tenant)
    blind = lake.page(
        Search(tenant, "blind_time", since_ms=since_ms, include_self=True),
        names,
        None,
        _MAX_BLIND,
        now_ns // _MS,
    )
    events = lake.counts(tenant, since_ms)
    changes = {"added": 0, "changed": 0, "removed": 0} | query.counted(changed)
    return Overview(
        workloads=machines,
        agents=query.counted(states),
        tiers=query.counted(tiers),
        assets=inventory.taxonomy(engine, tenant),
        # Where nothing reported in all that time, none is not the same as 0.
        changes_24h=changes if _since(looked, since_ms) or any(changes.values()) else None,
        events_24h=events if _since(heard, since_ms) or any((events or {}).values()) else None,
        blind=blind.items,
        roles=[
            RoleCount(role=name, title=Title(en, zh), workloads=number)
            for name, en, zh, number in roles
        ],
        first_run=machines == 0,
    )


def _since(at_ns: int | None, since_ms: int) -> bool:
    return at_ns is not None and at_ns >= since_ms * _MS
