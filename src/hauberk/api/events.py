"""Search and export of the event lake."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import get
from litestar.params import QueryParameter
from litestar.response import Stream

from hauberk.api import columns, export, params
from hauberk.api.context import Context, Ctx, Who
from hauberk.api.words import WORDS
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
    with ctx.searches.taken(who.asker):
        return ctx.lake.page(search, _names(ctx, who.tenant), cursor, limit, ctx.now_ms())


@get("/events/export", opt={"role": "viewer"}, sync_to_thread=True)
def export_events(
    ctx: Ctx,
    who: Who,
    *,
    table: EventTable = "process_activity",
    format_: params.Format = "csv",
    lang: params.Language = "en",
    columns_: params.Columns = "",
    zone: params.Zone = "UTC",
    filter_: params.FilterText = "",
    workload: params.WorkloadId = None,
    since_ms: params.SinceMs = None,
    until_ms: params.UntilMs = None,
    include_self: params.IncludeSelf = False,
) -> Stream:
    """All events of the list as a file."""
    form = export.form(format_, lang, columns_, zone)
    search = lake_query.Search(
        who.tenant, table, filter_, workload, since_ms, until_ms, include_self
    )
    rows = ctx.lake.rows(search, _names(ctx, who.tenant))
    told = {
        "filter": filter_,
        "workload": workload,
        "since": form.reader.stamp(since_ms),
        "until": form.reader.stamp(until_ms),
        "self": include_self and form.reader.word("value.yes"),
    }
    listed = export.Listed(table, WORDS[f"event.{table}"], columns.events(table), rows, told)
    return export.answer(ctx, who, form, listed)


def _names(ctx: Context, tenant: str) -> dict[str, str]:
    return fleet.hostnames(ctx.engine, tenant)


ROUTES = (list_events, export_events)
