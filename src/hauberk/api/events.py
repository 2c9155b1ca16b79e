"""Search and export of the event lake."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import get
from litestar.params import QueryParameter
from litestar.response import Stream

from hauberk.api import export, params
from hauberk.api.context import Context, Ctx, Who
from hauberk.schema.view import EventRow, Page
from hauberk.store import fleet, lake_query

EventTable = Annotated[
    Literal["process_activity", "network_activity", "blind_time"],
    QueryParameter(name="table", description="class of events"),
]


@get("/events", opt={"role": "viewer"}, sync_to_thread=True)
def list_events(
    ctx: Ctx,
    who: Who,
    *,
    table: EventTable = "process_activity",
    filter_: params.FilterText = "",
    workload: params.WorkloadId = None,
    since_ms: params.SinceMs = None,
    until_ms: params.UntilMs = None,
    include_self: params.IncludeSelf = False,
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[EventRow]:
    """Events of one class, newest first by the time the server received them."""
    search = lake_query.Search(
        who.tenant, table, filter_, workload, since_ms, until_ms, include_self
    )
    return ctx.lake.page(search, _names(ctx, who.tenant), cursor, limit, ctx.now_ms())


@get("/events/export", opt={"role": "viewer"}, sync_to_thread=True)
def export_events(
    ctx: Ctx,
    who: Who,
    *,
    table: EventTable = "process_activity",
    format_: params.Format = "csv",
    filter_: params.FilterText = "",
    workload: params.WorkloadId = None,
    since_ms: params.SinceMs = None,
    until_ms: params.UntilMs = None,
    include_self: params.IncludeSelf = False,
) -> Stream:
    """All events of the list, streamed as CSV or as a JSON array."""
    search = lake_query.Search(
        who.tenant, table, filter_, workload, since_ms, until_ms, include_self
    )
    rows = ctx.lake.rows(search, _names(ctx, who.tenant))
    return export.stream(rows, export.event_columns(table), format_, table)


def _names(ctx: Context, tenant: str) -> dict[str, str]:
    return fleet.hostnames(ctx.engine, tenant)


ROUTES = (list_events, export_events)
