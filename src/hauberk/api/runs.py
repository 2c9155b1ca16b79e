"""Runs: the same order to many machines, with the progress of each."""

from __future__ import annotations

from litestar import get, post
from litestar.params import JSONBody
from litestar.response import Stream

from hauberk.api import columns, export, params
from hauberk.api.auditing import audited
from hauberk.api.context import Context, Ctx, Identity, Who
from hauberk.api.words import WORDS
from hauberk.schema.view import Notice, Page, RunInput, TaskView
from hauberk.schema.view_fleet import RunTaskView, RunView
from hauberk.store import orders, runs


@get("/runs", opt={"role": "viewer"}, sync_to_thread=True)
def list_runs(
    ctx: Ctx,
    who: Who,
    filter_: params.FilterText = "",
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[RunView]:
    """Runs with their progress, newest first."""
    return runs.page(
        ctx.engine,
        who.tenant,
        text=filter_,
        cursor=cursor,
        limit=limit,
        now_ns=ctx.clock.wall_ns(),
    )


@post("/runs", opt={"role": "analyst"}, sync_to_thread=True)
def create_run(ctx: Ctx, who: Who, data: JSONBody[RunInput]) -> RunView:
    """Give the same order to every machine that the filter leaves."""
    with audited(ctx, who, "run.create", kind=data.kind, filter=data.filter) as entry:
        entry.detail["subclasses"] = data.subclasses
        entry.target = runs.create(
            ctx.engine, ctx.agents.keys, ctx.clock, who.tenant, data, created_by=who.name
        )
    return _told(ctx, who, entry.target)


@get("/runs/{run_id:str}", opt={"role": "viewer"}, sync_to_thread=True)
def show_run(ctx: Ctx, who: Who, run_id: params.PathId) -> RunView:
    """One run with its progress."""
    return runs.view(ctx.engine, who.tenant, run_id, ctx.clock.wall_ns())


@get("/runs/{run_id:str}/tasks", opt={"role": "viewer"}, sync_to_thread=True)
def list_run_tasks(
    ctx: Ctx,
    who: Who,
    run_id: params.PathId,
    filter_: params.FilterText = "",
    sort: params.Sort = "",
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[RunTaskView]:
    """Each machine's part of a run, by host name."""
    return runs.run_tasks(
        ctx.engine,
        who.tenant,
        run_id,
        text=filter_,
        sort=sort,
        cursor=cursor,
        limit=limit,
        now_ns=ctx.clock.wall_ns(),
    )


@get("/runs/{run_id:str}/tasks/export", opt={"role": "viewer"}, sync_to_thread=True)
def export_run_tasks(
    ctx: Ctx,
    who: Who,
    run_id: params.PathId,
    *,
    format_: params.Format = "csv",
    lang: params.Language = "en",
    columns_: params.Columns = "",
    zone: params.Zone = "UTC",
    filter_: params.FilterText = "",
    sort: params.Sort = "",
) -> Stream:
    """Each machine's part of a run as a file."""
    form = export.form(format_, lang, columns_, zone)
    rows = runs.all_run_tasks(
        ctx.engine, who.tenant, run_id, text=filter_, sort=sort, now_ns=ctx.clock.wall_ns()
    )
    told = {"run": run_id, "filter": filter_, "sort": sort}
    title = WORDS["workload.tab.tasks"]
    listed = export.Listed("run-tasks", title, columns.run_tasks(), rows, told)
    return export.answer(ctx, who, form, listed)


@post("/runs/{run_id:str}/cancel", opt={"role": "analyst"}, sync_to_thread=True, status_code=200)
def cancel_run(ctx: Ctx, who: Who, run_id: params.PathId) -> RunView:
    """Call off what is still open; agents that have their task already are asked to stop."""
    with audited(ctx, who, "run.cancel", run_id) as entry:
        entry.detail["cancelled"], entry.detail["asked"] = runs.cancel(
            ctx.engine,
            ctx.agents.keys,
            who.tenant,
            run_id,
            created_by=who.name,
            now_ns=ctx.clock.wall_ns(),
        )
    return _told(ctx, who, run_id)


@post("/tasks/{task_id:str}/cancel", opt={"role": "analyst"}, sync_to_thread=True, status_code=200)
def cancel_task(ctx: Ctx, who: Who, task_id: params.PathId) -> TaskView:
    """Call off one machine's task; an agent that has it already is asked to stop."""
    with audited(ctx, who, "task.cancel", task_id):
        runs.cancel_task(
            ctx.engine,
            ctx.agents.keys,
            who.tenant,
            task_id,
            created_by=who.name,
            now_ns=ctx.clock.wall_ns(),
        )
    view = orders.task_view(ctx.engine, who.tenant, task_id, ctx.clock.wall_ns())
    for topic in ("tasks", "runs"):
        notice = Notice(topic=topic, at_ms=ctx.now_ms(), workload=view.workload)
        ctx.feed.publish(who.tenant, notice)
    return view


def _told(ctx: Context, who: Identity, run_id: str) -> RunView:
    ctx.feed.publish(who.tenant, Notice(topic="runs", at_ms=ctx.now_ms()))
    return runs.view(ctx.engine, who.tenant, run_id, ctx.clock.wall_ns())


ROUTES = (
    list_runs,
    create_run,
    show_run,
    list_run_tasks,
    export_run_tasks,
    cancel_run,
    cancel_task,
)
