"""Workloads, agents, enrolments, tasks and jobs as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    case,
    delete,
    func,
    literal,
    select,
)
from sqlalchemy.engine import RowMapping

from hauberk.errors import BadInput, Conflict, NotFound
from hauberk.schema.asset import Problem
from hauberk.schema.link import (
    Budget,
    LedgerEntry,
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
    DesiredInput,
    EnrolmentInput,
    EnrolmentView,
    JobView,
    Page,
    RoleView,
    TaskView,
    WorkloadDetail,
    WorkloadView,
)
from hauberk.store import ledger as ledger_store
from hauberk.store import query
from hauberk.store.database import read, write
from hauberk.store.query import Field, Listing
from hauberk.store.tables import agent, collection, enrolment, job, ledger, role, task, workload

_S, MS = 1_000_000_000, 1_000_000
LATE_S, OFFLINE_S = 30, 180
MAX_LEDGER = 5000
MIN_TTL_S, MAX_TTL_S = 60, 30 * 86_400
MIN_EVERY_S, MAX_EVERY_S = 10, 7 * 86_400


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
    c = workload.c
    roles = (
        select(func.json_group_array(role.c.role))
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
        "addresses": Field("list", func.json_extract(c.facts, "$.addresses")),
        "cpus": Field("int", func.json_extract(c.facts, "$.cpus")),
        "memory_bytes": Field("int", func.json_extract(c.facts, "$.memory_bytes")),
    }
    for name in ("machine_id", "os", "os_version", "kernel", "arch", "kind"):
        fields[name] = Field("str", func.json_extract(c.facts, f"$.{name}"))
    rows = select(workload).where(c.tenant == tenant)
    listing = Listing(rows, fields, c.id, "hostname", ("workloads", tenant))
    with read(engine) as db:
        found = query.page(db, listing, text=text, sort=sort, cursor=cursor, limit=limit)
        items = _workload_views(db, tenant, found.rows, now_ns)
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ns // MS)


def workload_detail(engine: Engine, tenant: str, workload_id: str, now_ns: int) -> WorkloadDetail:
    """One machine. Raises NotFound."""
    with read(engine) as db:
        row = _find_workload(db, tenant, workload_id)
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
        _find_workload(db, tenant, workload_id)
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
    c = agent.c
    fields = {
        "id": Field("str", c.id, nullable=False),
        "workload": Field("str", c.workload, nullable=False),
        "hostname": Field("str", workload.c.hostname),
        "site": Field("str", workload.c.site),
        "state": Field("str", state_of(now_ns), nullable=False),
        "version": Field("str", c.version, nullable=False),
        "tier": Field("str", func.json_extract(c.sensor, "$.tier")),
        "lost": Field("int", func.json_extract(c.sensor, "$.lost")),
        "enrolled_ms": Field("int", c.enrolled_ns // MS, nullable=False),
        "last_beat_ms": Field("int", c.last_beat_ns // MS),
        "certificate_expires_ms": Field("int", c.certificate_expires_ns // MS),
        "skew_ms": Field("int", c.skew_ns // MS),
    }
    listing = Listing(_agent_rows(tenant, now_ns), fields, c.id, "hostname", ("agents", tenant))
    with read(engine) as db:
        found = query.page(db, listing, text=text, sort=sort, cursor=cursor, limit=limit)
    items = [_agent(row) for row in found.rows]
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ns // MS)


def agent_view(engine: Engine, tenant: str, agent_id: str, now_ns: int) -> AgentView:
    """One agent. Raises NotFound."""
    with read(engine) as db:
        rows = db.execute(_agent_rows(tenant, now_ns).where(agent.c.id == agent_id))
        row = rows.mappings().first()
    if row is None:
        raise NotFound("no such agent in this tenant")
    return _agent(row)


def enrolments(
    engine: Engine, tenant: str, *, text: str, cursor: str | None, limit: int, now_ms: int
) -> Page[EnrolmentView]:
    """One page of the enrolment tokens, newest first. Raises BadFilter, BadInput."""
    c = enrolment.c
    fields = {
        "id": Field("str", c.id, nullable=False),
        "note": Field("str", c.note, nullable=False),
        "created_by": Field("str", c.created_by, nullable=False),
        "created_ms": Field("int", c.created_ns // MS, nullable=False),
        "expires_ms": Field("int", c.expires_ns // MS, nullable=False),
        "used_ms": Field("int", c.used_ns // MS),
        "used_by": Field("str", c.used_by, nullable=False),
    }
    rows = select(enrolment).where(c.tenant == tenant)
    listing = Listing(rows, fields, c.id, "-created_ms", ("enrolments", tenant))
    with read(engine) as db:
        found = query.page(db, listing, text=text, sort="", cursor=cursor, limit=limit)
    items = [_enrolment(row) for row in found.rows]
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ms)


def enrolment_view(engine: Engine, tenant: str, enrolment_id: str) -> EnrolmentView:
    """One enrolment. Raises NotFound."""
    where = (enrolment.c.tenant == tenant, enrolment.c.id == enrolment_id)
    with read(engine) as db:
        row = db.execute(select(enrolment).where(*where)).mappings().first()
    if row is None:
        raise NotFound("no such enrolment in this tenant")
    return _enrolment(row)


def delete_enrolment(engine: Engine, tenant: str, enrolment_id: str) -> None:
    """Withdraw a token; agents that used it stay. Raises NotFound."""
    where = (enrolment.c.tenant == tenant, enrolment.c.id == enrolment_id)
    with write(engine) as db:
        if db.execute(delete(enrolment).where(*where)).rowcount == 0:
            raise NotFound("no such enrolment in this tenant")


def tasks(
    engine: Engine,
    tenant: str,
    workload_id: str,
    *,
    text: str,
    cursor: str | None,
    limit: int,
    now_ns: int,
) -> Page[TaskView]:
    """One page of the orders to a machine, newest first. Raises NotFound, BadFilter, BadInput."""
    c = task.c
    fields = {
        "id": Field("str", c.id, nullable=False),
        "kind": Field("str", c.kind, nullable=False),
        "state": Field("str", _task_state(now_ns), nullable=False),
        "created_by": Field("str", c.created_by, nullable=False),
        "created_ms": Field("int", c.created_ns // MS, nullable=False),
        "ended_ms": Field("int", c.ended_ns // MS),
        "message": Field("str", c.message, nullable=False),
    }
    rows = _task_rows(tenant, now_ns).where(c.workload == workload_id)
    scope = ("tasks", tenant, workload_id)
    listing = Listing(rows, fields, c.id, "-created_ms", scope)
    with read(engine) as db:
        _find_workload(db, tenant, workload_id)
        found = query.page(db, listing, text=text, sort="", cursor=cursor, limit=limit)
    items = [_task(row) for row in found.rows]
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ns // MS)


def task_view(engine: Engine, tenant: str, task_id: str, now_ns: int) -> TaskView:
    """One task. Raises NotFound."""
    with read(engine) as db:
        rows = db.execute(_task_rows(tenant, now_ns).where(task.c.id == task_id))
        row = rows.mappings().first()
    if row is None:
        raise NotFound("no such task in this tenant")
    return _task(row)


def jobs(engine: Engine) -> list[JobView]:
    """The server's jobs, the newest 200."""
    order = func.coalesce(job.c.started_ns, job.c.due_ns).desc()
    with read(engine) as db:
        rows = db.execute(select(job).order_by(order, job.c.id).limit(200)).mappings().all()
    return [
        JobView(
            id=r["id"],
            kind=r["kind"],
            state=r["state"],
            started_ms=_ms(r["started_ns"]),
            ended_ms=_ms(r["ended_ns"]),
            message=r["message"],
        )
        for r in rows
    ]


def hostnames(engine: Engine, tenant: str) -> dict[str, str]:
    """Host name per workload."""
    with read(engine) as db:
        return hostnames_in(db, tenant)


def hostnames_in(db: Connection, tenant: str) -> dict[str, str]:
    """`hostnames` within a transaction."""
    rows = db.execute(select(workload.c.id, workload.c.hostname).where(workload.c.tenant == tenant))
    return {row[0]: row[1] for row in rows}


def check_subclasses(names: Sequence[str]) -> None:
    """Raises BadInput that names the first unknown subclass."""
    for name in names:
        if name not in SUBCLASSES:
            raise BadInput(f"no asset subclass {name[:60]!r}; GET /taxonomy lists them")


def check_task(subclasses: Sequence[str], ttl_s: float) -> None:
    """Raises BadInput for an unknown subclass or an absurd life."""
    check_subclasses(subclasses)
    if not 10 <= ttl_s <= 86_400:
        raise BadInput("10 to 86400 seconds", source="ttl_s")


def check_enrolment(order: EnrolmentInput) -> None:
    """Raises BadInput for an absurd life or note."""
    if not MIN_TTL_S <= order.ttl_s <= MAX_TTL_S:
        raise BadInput(f"{MIN_TTL_S} to {MAX_TTL_S} seconds", source="ttl_s")
    if len(order.note) > 200:
        raise BadInput("at most 200 characters", source="note")


def check_desired(desired: DesiredInput) -> None:
    """Raises BadInput for values that would blind or starve an agent, or kill the machine."""
    schedule, budget = desired.schedule, desired.budget
    check_subclasses([*schedule.every_s, *schedule.paused])
    for name, every in schedule.every_s.items():
        if not MIN_EVERY_S <= every <= MAX_EVERY_S:
            raise BadInput(f"{MIN_EVERY_S} to {MAX_EVERY_S} seconds", source=name)
    if not 0 <= schedule.jitter <= 1:
        raise BadInput("0 to 1", source="jitter")
    if not 0.05 <= budget.background_pct <= 100:
        raise BadInput("0.05 to 100 %", source="background_pct")
    if not 0.5 <= budget.event_pct <= 100:
        raise BadInput("0.5 to 100 %", source="event_pct")
    if not 2**20 <= budget.spool_bytes <= 2**40:
        raise BadInput("1 MiB to 1 TiB", source="spool_bytes")
    if not 0 <= desired.version < 2**31:
        raise Conflict("there is no such version: read the workload")


def _find_workload(db: Connection, tenant: str, workload_id: str) -> RowMapping:
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
            last_seen_ms=_ms(row["last_seen_ns"]),
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


def _task_state(now_ns: int) -> ColumnElement[str]:
    """A task whose time is over has expired, whether or not the job has written it down yet."""
    over = and_(task.c.state.in_(("pending", "sent")), task.c.not_after_ns <= now_ns)
    return case((over, literal("expired")), else_=task.c.state)


def _task_rows(tenant: str, now_ns: int) -> Select[Any]:
    return select(task, _task_state(now_ns).label("shown")).where(task.c.tenant == tenant)


def _agent_rows(tenant: str, now_ns: int) -> Select[Any]:
    home = and_(workload.c.tenant == agent.c.tenant, workload.c.id == agent.c.workload)
    return (
        select(
            agent,
            state_of(now_ns).label("shown"),
            workload.c.hostname,
            workload.c.site,
            workload.c.desired_version,
        )
        .select_from(agent.outerjoin(workload, home))
        .where(agent.c.tenant == tenant)
    )


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
        last_beat_ms=_ms(row["last_beat_ns"]),
        certificate_expires_ms=_ms(row["certificate_expires_ns"]),
        skew_ms=_ms(row["skew_ns"]),
        sensor=msgspec.json.decode(row["sensor"], type=SensorHealth | None),
        resources=msgspec.json.decode(row["resources"], type=Resources | None),
        desired_version=row["desired_version"] or 0,
        acknowledged_version=row["acknowledged_version"],
    )


def _collection(row: RowMapping) -> CollectionView:
    known = SUBCLASSES.get(row["subclass"])
    return CollectionView(
        subclass=row["subclass"],
        title=known.title if known else Title(row["subclass"], row["subclass"]),
        outcome=row["outcome"],
        rows=row["rows"],
        ended_ms=row["ended_ns"] // MS,
        cpu_s=row["cpu_s"],
        problems=msgspec.json.decode(row["problems"], type=list[Problem]),
    )


def _enrolment(row: RowMapping) -> EnrolmentView:
    return EnrolmentView(
        id=row["id"],
        note=row["note"],
        created_by=row["created_by"],
        created_ms=row["created_ns"] // MS,
        expires_ms=row["expires_ns"] // MS,
        used_ms=_ms(row["used_ns"]),
        used_by=row["used_by"],
    )


def _task(row: RowMapping) -> TaskView:
    return TaskView(
        id=row["id"],
        workload=row["workload"],
        kind=row["kind"],
        state=row["shown"],
        created_ms=row["created_ns"] // MS,
        not_after_ms=row["not_after_ns"] // MS,
        created_by=row["created_by"],
        message=row["message"],
        ended_ms=_ms(row["ended_ns"]),
    )


def _ms(ns: int | None) -> int | None:
    return None if ns is None else ns // MS
