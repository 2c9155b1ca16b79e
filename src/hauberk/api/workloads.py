"""Workloads: what they are, what they spend, and orders to them."""

from __future__ import annotations

from litestar import delete, get, post, put
from litestar.params import JSONBody
from litestar.response import Stream

from hauberk.api import columns, export, params
from hauberk.api.auditing import audited
from hauberk.api.context import Ctx, Who
from hauberk.api.words import WORDS
from hauberk.schema.link import LedgerEntry
from hauberk.schema.view import (
    DesiredInput,
    Notice,
    Page,
    TaskInput,
    TaskView,
    WorkloadDetail,
    WorkloadView,
)
from hauberk.store import desired, fleet, orders, removal, tasks


@get("/workloads", opt={"role": "viewer"}, sync_to_thread=True)
def list_workloads(
    ctx: Ctx,
    who: Who,
    filter_: params.FilterText = "",
    sort: params.Sort = "",
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[WorkloadView]:
    """Protected machines."""
    return fleet.workloads(
        ctx.engine,
        who.tenant,
        text=filter_,
        sort=sort,
        cursor=cursor,
        limit=limit,
        now_ns=ctx.clock.wall_ns(),
    )


@get("/workloads/export", opt={"role": "viewer"}, sync_to_thread=True)
def export_workloads(
    ctx: Ctx,
    who: Who,
    *,
    format_: params.Format = "csv",
    lang: params.Language = "en",
    columns_: params.Columns = "",
    zone: params.Zone = "UTC",
    filter_: params.FilterText = "",
    sort: params.Sort = "",
) -> Stream:
    """All workloads of the list as a file."""
    form = export.form(format_, lang, columns_, zone)
    rows = fleet.all_workloads(
        ctx.engine, who.tenant, text=filter_, sort=sort, now_ns=ctx.clock.wall_ns()
    )
    told = {"filter": filter_, "sort": sort}
    listed = export.Listed("workloads", WORDS["nav.workloads"], columns.workloads(), rows, told)
    return export.answer(ctx, who, form, listed)


@get("/workloads/{workload_id:str}", opt={"role": "viewer"}, sync_to_thread=True)
def show_workload(ctx: Ctx, who: Who, workload_id: params.PathId) -> WorkloadDetail:
    """One machine: identity, collections, desired state, what protection costs it."""
    return fleet.workload_detail(ctx.engine, who.tenant, workload_id, ctx.clock.wall_ns())


@get("/workloads/{workload_id:str}/ledger", opt={"role": "viewer"}, sync_to_thread=True)
def show_ledger(
    ctx: Ctx, who: Who, workload_id: params.PathId, since_ms: params.SinceMs = None
) -> list[LedgerEntry]:
    """What each capability spent, newest window first; at most the last 5,000 entries."""
    return fleet.ledger_entries(ctx.engine, who.tenant, workload_id, since_ms)


@get("/workloads/{workload_id:str}/tasks", opt={"role": "viewer"}, sync_to_thread=True)
def list_tasks(
    ctx: Ctx,
    who: Who,
    workload_id: params.PathId,
    filter_: params.FilterText = "",
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[TaskView]:
    """Orders to this machine, newest first."""
    return orders.tasks(
        ctx.engine,
        who.tenant,
        workload_id,
        text=filter_,
        cursor=cursor,
        limit=limit,
        now_ns=ctx.clock.wall_ns(),
    )


@post("/workloads/{workload_id:str}/tasks", opt={"role": "analyst"}, sync_to_thread=True)
def create_task(
    ctx: Ctx, who: Who, workload_id: params.PathId, data: JSONBody[TaskInput]
) -> TaskView:
    """Order the workload's agent to collect now."""
    with audited(ctx, who, "task.create", workload_id, kind=data.kind) as entry:
        orders.check_task(data.subclasses, data.ttl_s)
        made = tasks.create(
            ctx.engine,
            ctx.agents.keys,
            ctx.clock,
            who.tenant,
            workload_id,
            kind=data.kind,
            args={"subclasses": data.subclasses},
            ttl_s=data.ttl_s,
            created_by=who.name,
        )
        entry.detail |= {"tasks": made, "subclasses": data.subclasses}
    ctx.feed.publish(who.tenant, Notice(topic="tasks", at_ms=ctx.now_ms(), workload=workload_id))
    return orders.task_view(ctx.engine, who.tenant, made[0], ctx.clock.wall_ns())


@put("/workloads/{workload_id:str}/desired", opt={"role": "analyst"}, sync_to_thread=True)
def replace_desired(
    ctx: Ctx, who: Who, workload_id: params.PathId, data: JSONBody[DesiredInput]
) -> WorkloadDetail:
    """Replace schedule and budget; 409 when somebody else did meanwhile."""
    with audited(ctx, who, "desired.replace", workload_id, replaced=data.version) as entry:
        orders.check_desired(data)
        entry.detail["version"] = desired.replace(
            ctx.engine,
            who.tenant,
            workload_id,
            version=data.version,
            schedule=data.schedule,
            budget=data.budget,
        )
    return fleet.workload_detail(ctx.engine, who.tenant, workload_id, ctx.clock.wall_ns())


@delete("/workloads/{workload_id:str}", opt={"role": "admin"}, sync_to_thread=True)
def remove_workload(ctx: Ctx, who: Who, workload_id: params.PathId) -> None:
    """Forget a machine whose agents are revoked, uninstalled or silent for a day."""
    with audited(ctx, who, "workload.remove", workload_id) as entry:
        names = removal.remove(ctx.engine, ctx.clock, who.tenant, workload_id)
        entry.detail["agents"] = names
    for name in names:
        ctx.agents.on_change(who.tenant, workload_id, name)


ROUTES = (
    list_workloads,
    export_workloads,
    show_workload,
    show_ledger,
    list_tasks,
    create_task,
    replace_desired,
    remove_workload,
)
