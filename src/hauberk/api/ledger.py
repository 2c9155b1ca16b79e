"""What protection costs the fleet."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import get
from litestar.params import QueryParameter

from hauberk.api import params
from hauberk.api.context import Ctx, Who
from hauberk.schema.view import Page
from hauberk.schema.view_fleet import LedgerRow
from hauberk.store import ledger_fleet

By = Annotated[
    Literal["capability", "workload"], QueryParameter(name="by", description="what a row is of")
]
MachineFilter = Annotated[
    str,
    QueryParameter(
        name="filter", max_length=4096, description="filter expression over the workloads' fields"
    ),
]


@get("/ledger", opt={"role": "viewer"}, sync_to_thread=True)
def fleet_ledger(
    ctx: Ctx,
    who: Who,
    by: By = "capability",
    since_ms: params.SinceMs = None,
    filter_: MachineFilter = "",
    sort: params.Sort = "",
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[LedgerRow]:
    """CPU, bytes, rows and what was shed, since a time (default: an hour ago), dearest first."""
    return ledger_fleet.page(
        ctx.engine,
        who.tenant,
        by=by,
        since_ns=None if since_ms is None else since_ms * 1_000_000,
        text=filter_,
        sort=sort,
        cursor=cursor,
        limit=limit,
        now_ns=ctx.clock.wall_ns(),
    )


ROUTES = (fleet_ledger,)
