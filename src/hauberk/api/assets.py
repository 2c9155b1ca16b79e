"""Asset lists, facets, exports, details and the change log."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter
from litestar.response import Stream

from hauberk.api import columns, export, params
from hauberk.api.context import Ctx, Who
from hauberk.api.words import WORDS
from hauberk.schema.taxonomy import SUBCLASSES
from hauberk.schema.view import AssetDetail, AssetRow, Change, Facets, Page
from hauberk.store import inventory

Gone = Annotated[bool, QueryParameter(name="gone", description="also those that are gone")]
Changed = Annotated[
    int | None,
    QueryParameter(
        name="changed_since", ge=0, le=params.MAX_MS, description="changed at or after, ms"
    ),
]
FieldName = Annotated[str, QueryParameter(name="field", max_length=100, description="column")]


@get("/assets/{subclass:str}", opt={"role": "viewer"}, sync_to_thread=True)
def list_assets(
    ctx: Ctx,
    who: Who,
    subclass: params.PathId,
    *,
    filter_: params.FilterText = "",
    sort: params.Sort = "",
    workload: params.WorkloadId = None,
    gone: Gone = False,
    changed_since: Changed = None,
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[AssetRow]:
    """Rows of one subclass."""
    scope = inventory.AssetScope(who.tenant, subclass, filter_, sort, workload, gone, changed_since)
    return inventory.assets(ctx.engine, scope, cursor, limit, ctx.now_ms())


@get("/assets/{subclass:str}/facets", opt={"role": "viewer"}, sync_to_thread=True)
def asset_facets(
    ctx: Ctx,
    who: Who,
    subclass: params.PathId,
    *,
    field: FieldName,
    filter_: params.FilterText = "",
    workload: params.WorkloadId = None,
    gone: Gone = False,
    changed_since: Changed = None,
) -> Facets:
    """The most frequent values of one column among the rows that the filter leaves."""
    scope = inventory.AssetScope(who.tenant, subclass, filter_, "", workload, gone, changed_since)
    with ctx.searches.taken(who.asker):
        return inventory.facets(ctx.engine, scope, field, ctx.now_ms())


@get("/assets/{subclass:str}/export", opt={"role": "viewer"}, sync_to_thread=True)
def export_assets(
    ctx: Ctx,
    who: Who,
    subclass: params.PathId,
    *,
    format_: params.Format = "csv",
    lang: params.Language = "en",
    columns_: params.Columns = "",
    zone: params.Zone = "UTC",
    filter_: params.FilterText = "",
    sort: params.Sort = "",
    workload: params.WorkloadId = None,
    gone: Gone = False,
    changed_since: Changed = None,
) -> Stream:
    """All rows of the list as a file."""
    form = export.form(format_, lang, columns_, zone)
    scope = inventory.AssetScope(who.tenant, subclass, filter_, sort, workload, gone, changed_since)
    rows = inventory.all_assets(ctx.engine, scope)
    told = {
        "filter": filter_,
        "sort": sort,
        "workload": workload,
        "gone": gone and form.reader.word("value.yes"),
        "since": form.reader.stamp(changed_since),
    }
    title = SUBCLASSES[subclass].title
    listed = export.Listed(subclass, title, columns.assets(subclass), rows, told)
    return export.answer(ctx, who, form, listed)


@get("/asset/{asset_id:str}", opt={"role": "viewer"}, sync_to_thread=True)
def show_asset(ctx: Ctx, who: Who, asset_id: params.PathId) -> AssetDetail:
    """One asset with its columns, relations and history."""
    return inventory.detail(ctx.engine, who.tenant, asset_id)


@get("/changes", opt={"role": "viewer"}, sync_to_thread=True)
def list_changes(
    ctx: Ctx,
    who: Who,
    filter_: params.FilterText = "",
    workload: params.WorkloadId = None,
    since_ms: params.SinceMs = None,
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[Change]:
    """The change log, newest first."""
    scope = inventory.ChangeScope(who.tenant, filter_, workload, since_ms)
    return inventory.changes(ctx.engine, scope, cursor, limit, ctx.now_ms())


@get("/changes/export", opt={"role": "viewer"}, sync_to_thread=True)
def export_changes(
    ctx: Ctx,
    who: Who,
    *,
    format_: params.Format = "csv",
    lang: params.Language = "en",
    columns_: params.Columns = "",
    zone: params.Zone = "UTC",
    filter_: params.FilterText = "",
    workload: params.WorkloadId = None,
    since_ms: params.SinceMs = None,
) -> Stream:
    """The change log as a file."""
    form = export.form(format_, lang, columns_, zone)
    rows = inventory.all_changes(
        ctx.engine, inventory.ChangeScope(who.tenant, filter_, workload, since_ms)
    )
    told = {"filter": filter_, "workload": workload, "since": form.reader.stamp(since_ms)}
    listed = export.Listed("changes", WORDS["nav.changes"], columns.changes(), rows, told)
    return export.answer(ctx, who, form, listed)


ROUTES = (list_assets, asset_facets, export_assets, show_asset, list_changes, export_changes)
