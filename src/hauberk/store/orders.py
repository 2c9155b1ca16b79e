"""Orders of people: enrolment tokens, tasks, desired state; and the server's jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Engine, Select, and_, case, delete, func, literal, select
from sqlalchemy.engine import RowMapping

from hauberk.errors import BadInput, Conflict, NotFound
from hauberk.schema import window
from hauberk.schema.link import Window
from hauberk.schema.taxonomy import SUBCLASSES
from hauberk.schema.view import (
    DesiredInput,
    EnrolmentInput,
    EnrolmentView,
    JobView,
    Page,
    TaskView,
)
from hauberk.store import query
from hauberk.store.database import read, write
from hauberk.store.fleet import MS, find_workload, ms_of
from hauberk.store.query import Field, Listing
from hauberk.store.tables import enrolment, job, task

MIN_TTL_S, MAX_TTL_S = 60, 30 * 86_400
MIN_EVERY_S, MAX_EVERY_S = 10, 7 * 86_400


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
        "state": Field("str", task_state(now_ns), nullable=False),
        "created_by": Field("str", c.created_by, nullable=False),
        "created_ms": Field("int", c.created_ns // MS, nullable=False),
        "ended_ms": Field("int", c.ended_ns // MS),
        "message": Field("str", c.message, nullable=False),
    }
    rows = task_rows(tenant, now_ns).where(c.workload == workload_id)
    scope = ("tasks", tenant, workload_id)
    listing = Listing(rows, fields, c.id, "-created_ms", scope)
    with read(engine) as db:
        find_workload(db, tenant, workload_id)
        found = query.page(db, listing, text=text, sort="", cursor=cursor, limit=limit)
    items = [task_of(row) for row in found.rows]
    return Page(items=items, next=found.next, total=found.total, as_of_ms=now_ns // MS)


def task_view(engine: Engine, tenant: str, task_id: str, now_ns: int) -> TaskView:
    """One task. Raises NotFound."""
    with read(engine) as db:
        rows = db.execute(task_rows(tenant, now_ns).where(task.c.id == task_id))
        row = rows.mappings().first()
    if row is None:
        raise NotFound("no such task in this tenant")
    return task_of(row)


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
            started_ms=ms_of(r["started_ns"]),
            ended_ms=ms_of(r["ended_ns"]),
            message=r["message"],
        )
        for r in rows
    ]


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
    if not 2**26 <= budget.memory_bytes <= 2**40:
        raise BadInput("64 MiB to 1 TiB", source="memory_bytes")
    if not 1 <= budget.pressure_pct <= 100:
        raise BadInput("1 to 100 %", source="pressure_pct")
    _check_windows(schedule.windows)
    if not 0 <= desired.version < 2**31:
        raise Conflict("there is no such version: read the workload")


def _check_windows(windows: Sequence[Window]) -> None:
    if len(windows) > window.MAX_WINDOWS:
        raise BadInput(f"at most {window.MAX_WINDOWS}", source="windows")
    for number, one in enumerate(windows, 1):
        try:
            window.check(one)
        except ValueError as error:
            raise BadInput(str(error), source=f"window {number}") from error


def task_state(now_ns: int) -> ColumnElement[str]:
    """A task whose time is over has expired, whether or not the job has written it down yet."""
    over = and_(task.c.state.in_(("pending", "sent")), task.c.not_after_ns <= now_ns)
    return case((over, literal("expired")), else_=task.c.state)


def task_rows(tenant: str, now_ns: int) -> Select[Any]:
    """The tasks of a tenant, each with its state as people see it: `shown`."""
    return select(task, task_state(now_ns).label("shown")).where(task.c.tenant == tenant)


def _enrolment(row: RowMapping) -> EnrolmentView:
    return EnrolmentView(
        id=row["id"],
        note=row["note"],
        created_by=row["created_by"],
        created_ms=row["created_ns"] // MS,
        expires_ms=row["expires_ns"] // MS,
        used_ms=ms_of(row["used_ns"]),
        used_by=row["used_by"],
    )


def task_of(row: RowMapping) -> TaskView:
    """The view of a row of `task_rows`."""
    return TaskView(
        id=row["id"],
        workload=row["workload"],
        kind=row["kind"],
        state=row["shown"],
        created_ms=row["created_ns"] // MS,
        not_after_ms=row["not_after_ns"] // MS,
        created_by=row["created_by"],
        message=row["message"],
        ended_ms=ms_of(row["ended_ns"]),
    )
