"""Workloads, agents, enrolments, tasks and jobs as the API shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    case,
    func,
    select,
)
from sqlalchemy.engine import RowMapping

from hauberk.errors import NotFound
from hauberk.schema.asset import Problem
from hauberk.schema.link import (
    Budget,
    BudgetState,
    LedgerEntry,
    PackageState,
    Resources,
    Schedule,
    SensorHealth,
    WorkloadFacts,
)
from hauberk.schema.taxonomy import SUBCLASSES, Title
from hauberk.schema.view import (
    AgentState,
    AgentView,
    CollectionView,
    Page,
    RoleView,
    WorkloadDetail,
    WorkloadView,
)
from hauberk.store import dialect, query
from hauberk.store import ledger as ledger_store
from hauberk.store.database import read
from hauberk.store.dialect import json_text
from hauberk.store.query import Field, Listing
from hauberk.store.tables import agent, collection, ledger, role, workload
from hauberk.store.tables_fleet import alarm

_S, MS = 1_000_000_000, 1_000_000
LATE_S, OFFLINE_S = 30, 180
MAX_LEDGER = 5000


def workloads(
    engine: Engine,
    tenant: str,
    *,
    text: str,
    sort: str,
    cursor: str | None,
    limit: int,
    now_ns: int,
) -> Page[WorkloadView]:
    """One page of the machines, by host name. Raises BadFilter, BadInput."""
    listing = workload_listing(tenant)
    with read(engine) as db:
        found = query.page(db, listing, text=text, sort=sort, cursor=cursor, limit=limit)
        items = _workload_views(db, tenant, found.rows, now_ns)
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ns // MS)


def workload_listing(tenant: str) -> Listing:
    """The list of machines, for whoever narrows it by a filter."""
    c = workload.c
    roles = (
        select(dialect.json_group(role.c.role))
        .where(role.c.tenant == c.tenant, role.c.workload == c.id)
        .scalar_subquery()
    )
    fields = {
        "id": Field("str", c.id, nullable=False),
        "hostname": Field("str", c.hostname, nullable=False),
        "site": Field("str", c.site, nullable=False),
        "created_ms": Field("int", c.created_ns // MS, nullable=False),
        "last_seen_ms": Field("int", c.last_seen_ns // MS),
        "role": Field("list", roles),
        "addresses": Field("list", dialect.json_field(c.facts, "addresses", "list")),
        "cpus": Field("int", dialect.json_int(c.facts, "cpus")),
        "memory_bytes": Field("int", dialect.json_int(c.facts, "memory_bytes")),
    }
    for name in ("machine_id", "os", "os_version", "kernel", "arch", "kind"):
        fields[name] = Field("str", dialect.json_text(c.facts, name))
    rows = select(workload).where(c.tenant == tenant)
    return Listing(rows, fields, c.id, "hostname", ("workloads", tenant))


def all_workloads(
    engine: Engine, tenant: str, *, text: str, sort: str, now_ns: int
) -> Iterator[WorkloadView]:
    """Every machine of the list, without a cap. Raises BadFilter."""
    listing = workload_listing(tenant)
    for found in query.pages(partial(read, engine), listing, text=text, sort=sort):
        with read(engine) as db:
            items = _workload_views(db, tenant, found, now_ns)
        yield from items


def workload_detail(engine: Engine, tenant: str, workload_id: str, now_ns: int) -> WorkloadDetail:
    """One machine. Raises NotFound."""
    with read(engine) as db:
        row = find_workload(db, tenant, workload_id)
        view = _workload_views(db, tenant, [row], now_ns)[0]
        looks = db.execute(
            select(collection)
            .where(collection.c.tenant == tenant, collection.c.workload == workload_id)
            .order_by(collection.c.subclass)
        ).mappings()
        collections = [_collection(r) for r in looks]
        spent = ledger_store.totals(db, tenant, workload_id, since_ns=now_ns - 3600 * _S)
    return WorkloadDetail(
        workload=view,
        collections=collections,
        schedule=msgspec.json.decode(row["schedule"], type=Schedule),
        budget=msgspec.json.decode(row["budget"], type=Budget),
        desired_version=row["desired_version"],
        ledger=spent,
    )


def ledger_entries(
    engine: Engine, tenant: str, workload_id: str, since_ms: int | None
) -> list[LedgerEntry]:
    """Windows of one machine, newest first, at most MAX_LEDGER. Raises NotFound."""
    query_ = select(ledger).where(ledger.c.tenant == tenant, ledger.c.workload == workload_id)
    if since_ms is not None:
        query_ = query_.where(ledger.c.window_start_ns >= since_ms * MS)
    order = (ledger.c.window_start_ns.desc(), ledger.c.capability, ledger.c.agent)
    with read(engine) as db:
        find_workload(db, tenant, workload_id)
        rows = db.execute(query_.order_by(*order).limit(MAX_LEDGER)).mappings().all()
    names = LedgerEntry.__struct_fields__
    return [LedgerEntry(**{name: row[name] for name in names}) for row in rows]


def agents(
    engine: Engine,
    tenant: str,
    *,
    text: str,
    sort: str,
    cursor: str | None,
    limit: int,
    now_ns: int,
) -> Page[AgentView]:
    """One page of the agents, by host name. Raises BadFilter, BadInput."""
    listing = agent_listing(tenant, now_ns)
    with read(engine) as db:
        found = query.page(db, listing, text=text, sort=sort, cursor=cursor, limit=limit)
    items = [_agent(row) for row in found.rows]
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ns // MS)


def agent_listing(tenant: str, now_ns: int) -> Listing:
    """The list of agents, for whoever narrows it by a filter."""
    c = agent.c
    fields = {
        "id": Field("str", c.id, nullable=False),
        "workload": Field("str", c.workload, nullable=False),
        "hostname": Field("str", workload.c.hostname),
        "site": Field("str", workload.c.site),
        "state": Field("str", state_of(now_ns), nullable=False),
        "version": Field("str", c.version, nullable=False),
        "tier": Field("str", dialect.json_text(c.sensor, "tier")),
        "lost": Field("int", dialect.json_int(c.sensor, "lost")),
        "enrolled_ms": Field("int", c.enrolled_ns // MS, nullable=False),
        "last_beat_ms": Field("int", c.last_beat_ns // MS),
        "certificate_expires_ms": Field("int", c.certificate_expires_ns // MS),
        "skew_ms": Field("int", c.skew_ns // MS),
        "goodbye": Field("str", c.goodbye, nullable=False),
        "alarms": Field("int", _open_alarms(), nullable=False),
        "slot": Field("str", json_text(c.package_state, "slot")),
        "package": Field("str", json_text(c.package_state, "sha256")),
        "package_state": Field("str", json_text(c.package_state, "state")),
        "arch": Field("str", json_text(workload.c.facts, "arch")),
    }
    rows = _agent_rows(tenant, now_ns)
    return Listing(rows, fields, c.id, "hostname", ("agents", tenant))


def all_agents(
    engine: Engine, tenant: str, *, text: str, sort: str, now_ns: int
) -> Iterator[AgentView]:
    """Every agent of the list, without a cap. Raises BadFilter."""
    listing = agent_listing(tenant, now_ns)
    rows = query.every(partial(read, engine), listing, text=text, sort=sort)
    return (_agent(row) for row in rows)


def agent_view(engine: Engine, tenant: str, agent_id: str, now_ns: int) -> AgentView:
    """One agent. Raises NotFound."""
    with read(engine) as db:
        rows = db.execute(_agent_rows(tenant, now_ns).where(agent.c.id == agent_id))
        row = rows.mappings().first()
    if row is None:
        raise NotFound("no such agent in this tenant")
    return _agent(row)


def hostnames(engine: Engine, tenant: str) -> dict[str, str]:
    """Host name per workload."""
    with read(engine) as db:
        return hostnames_in(db, tenant)


def hostnames_in(db: Connection, tenant: str) -> dict[str, str]:
    """`hostnames` within a transaction."""
    rows = db.execute(select(workload.c.id, workload.c.hostname).where(workload.c.tenant == tenant))
    return {row[0]: row[1] for row in rows}


def find_workload(db: Connection, tenant: str, workload_id: str) -> RowMapping:
    """The row of a workload. Raises NotFound."""
    where = (workload.c.tenant == tenant, workload.c.id == workload_id)
    row = db.execute(select(workload).where(*where)).mappings().first()
    if row is None:
        raise NotFound("no such workload in this tenant")
    return row


def _workload_views(
    db: Connection, tenant: str, rows: Sequence[RowMapping], now_ns: int
) -> list[WorkloadView]:
    ids = [row["id"] for row in rows]
    theirs: dict[str, list[AgentView]] = {i: [] for i in ids}
    for a in db.execute(
        _agent_rows(tenant, now_ns).where(agent.c.workload.in_(ids)).order_by(agent.c.enrolled_ns)
    ).mappings():
        theirs[a["workload"]].append(_agent(a))
    tags: dict[str, list[RoleView]] = {i: [] for i in ids}
    for r in db.execute(
        select(role)
        .where(role.c.tenant == tenant, role.c.workload.in_(ids))
        .order_by(role.c.confidence.desc(), role.c.role)
    ).mappings():
        tags[r["workload"]].append(
            RoleView(
                role=r["role"],
                title=Title(r["title_en"], r["title_zh"]),
                confidence=r["confidence"],
                evidence=msgspec.json.decode(r["evidence"], type=list[str]),
            )
        )
    return [
        WorkloadView(
            id=row["id"],
            hostname=row["hostname"],
            facts=_facts(row["facts"], row["hostname"]),
            site=row["site"],
            created_ms=row["created_ns"] // MS,
            last_seen_ms=ms_of(row["last_seen_ns"]),
            agents=theirs[row["id"]],
            roles=tags[row["id"]],
        )
        for row in rows
    ]


def _facts(text: str, hostname: str) -> WorkloadFacts:
    # A workload that has not said anything yet has {}.
    if text == "{}":
        return WorkloadFacts(hostname=hostname)
    return msgspec.json.decode(text, type=WorkloadFacts)


def state_of(now_ns: int) -> ColumnElement[str]:
    """SQL of an agent's state as people see it."""
    c = agent.c
    return case(
        (c.state != "active", c.state),
        (c.last_beat_ns >= now_ns - LATE_S * _S, "online"),
        (c.last_beat_ns >= now_ns - OFFLINE_S * _S, "late"),
        else_="offline",
    )


def _agent_rows(tenant: str, now_ns: int) -> Select[Any]:
    home = and_(workload.c.tenant == agent.c.tenant, workload.c.id == agent.c.workload)
    return (
        select(
            agent,
            state_of(now_ns).label("shown"),
            workload.c.hostname,
            workload.c.site,
            workload.c.desired_version,
            _open_alarms().label("open_alarms"),
        )
        .select_from(agent.outerjoin(workload, home))
        .where(agent.c.tenant == tenant)
    )


def _open_alarms() -> ColumnElement[int]:
    mine = and_(
        alarm.c.tenant == agent.c.tenant, alarm.c.agent == agent.c.id, alarm.c.until_ns.is_(None)
    )
    return select(func.count()).select_from(alarm).where(mine).correlate(agent).scalar_subquery()


def _agent(row: RowMapping) -> AgentView:
    state: AgentState = row["shown"]
    return AgentView(
        id=row["id"],
        workload=row["workload"],
        hostname=row["hostname"] or "",
        state=state,
        version=row["version"],
        site=row["site"] or "",
        enrolled_ms=row["enrolled_ns"] // MS,
        last_beat_ms=ms_of(row["last_beat_ns"]),
        certificate_expires_ms=ms_of(row["certificate_expires_ns"]),
        skew_ms=ms_of(row["skew_ns"]),
        sensor=msgspec.json.decode(row["sensor"], type=SensorHealth | None),
        resources=msgspec.json.decode(row["resources"], type=Resources | None),
        desired_version=row["desired_version"] or 0,
        acknowledged_version=row["acknowledged_version"],
        package=msgspec.json.decode(row["package_state"], type=PackageState | None),
        budget=msgspec.json.decode(row["budget_state"], type=BudgetState | None),
        goodbye=row["goodbye"],
        alarms=row["open_alarms"],
    )


def _collection(row: RowMapping) -> CollectionView:
    known = SUBCLASSES.get(row["subclass"])
    return CollectionView(
        subclass=row["subclass"],
        title=known.title if known else Title(row["subclass"], row["subclass"]),
        outcome=row["outcome"],
        rows=row["rows"],
        # A workload's clock may be ahead, but not of its own report.
        ended_ms=min(row["ended_ns"], row["received_ns"]) // MS,
        cpu_s=row["cpu_s"],
        problems=msgspec.json.decode(row["problems"], type=list[Problem]),
    )


def ms_of(ns: int | None) -> int | None:
    """Nanoseconds, where there are any, as milliseconds."""
    return None if ns is None else ns // MS
