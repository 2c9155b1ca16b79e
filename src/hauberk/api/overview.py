"""The first page and the taxonomy."""

from __future__ import annotations

from litestar import get

from hauberk.api.context import Ctx, Who
from hauberk.schema.view import ClassState
from hauberk.schema.view_overview import Overview
from hauberk.store import inventory, overview


@get("/overview", opt={"role": "viewer"}, sync_to_thread=True)
def show_overview(ctx: Ctx, who: Who) -> Overview:
    """Counts of what exists; what nothing has assessed is null."""
    return overview.overview(ctx.engine, ctx.lake, who.tenant, ctx.clock.wall_ns())


@get("/taxonomy", opt={"role": "viewer"}, sync_to_thread=True)
def show_taxonomy(ctx: Ctx, who: Who) -> list[ClassState]:
    """The 9 classes and 38 subclasses with their columns, states and counts."""
    return inventory.taxonomy(ctx.engine, who.tenant)


ROUTES = (show_overview, show_taxonomy)
