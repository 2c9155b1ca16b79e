"""Alarms of tampering with agents."""

from __future__ import annotations

from litestar import get, post

from hauberk.api import params
from hauberk.api.auditing import audited
from hauberk.api.context import Ctx, Who
from hauberk.schema.view import Notice, Page
from hauberk.schema.view_fleet import AlarmView
from hauberk.store import alarms


@get("/alarms", opt={"role": "viewer"}, sync_to_thread=True)
def list_alarms(
    ctx: Ctx,
    who: Who,
    filter_: params.FilterText = "",
    sort: params.Sort = "",
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[AlarmView]:
    """Alarms: those that are open first, then the newest."""
    return alarms.page(
        ctx.engine,
        who.tenant,
        text=filter_,
        sort=sort,
        cursor=cursor,
        limit=limit,
        now_ns=ctx.clock.wall_ns(),
    )


@post(
    "/alarms/{alarm_id:str}/acknowledge",
    opt={"role": "analyst"},
    sync_to_thread=True,
    status_code=200,
)
def acknowledge_alarm(ctx: Ctx, who: Who, alarm_id: params.PathId) -> AlarmView:
    """Note that you have seen it; it stays open for as long as its cause lasts."""
    with audited(ctx, who, "alarm.acknowledge", alarm_id):
        view = alarms.acknowledge(
            ctx.engine, who.tenant, alarm_id, by=who.name, now_ns=ctx.clock.wall_ns()
        )
    ctx.feed.publish(who.tenant, Notice(topic="alarms", at_ms=ctx.now_ms(), workload=view.workload))
    return view


ROUTES = (list_alarms, acknowledge_alarm)
