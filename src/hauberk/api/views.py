"""Saved views of the console: one's own and those that others share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from litestar import delete, get, post, put
from litestar.params import JSONBody

from hauberk.api import params
from hauberk.api.auditing import Entry, audited
from hauberk.api.context import Context, Ctx, Identity, Who
from hauberk.schema.view import Page, SavedViewInput
from hauberk.schema.view_fleet import SavedView
from hauberk.store import views
from hauberk.store.database import write


@get("/views", opt={"role": "viewer"}, sync_to_thread=True)
def list_views(
    ctx: Ctx,
    who: Who,
    filter_: params.FilterText = "",
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[SavedView]:
    """One's own views and those shared in the tenant, by name."""
    return views.page(
        ctx.engine,
        who.tenant,
        owner_of(who),
        text=filter_,
        cursor=cursor,
        limit=limit,
        now_ms=ctx.now_ms(),
    )


@post("/views", opt={"role": "viewer"}, sync_to_thread=True)
def create_view(ctx: Ctx, who: Who, data: JSONBody[SavedViewInput]) -> SavedView:
    """Save a page with its filter, sort and columns."""
    with _told(ctx, who, "view.create", data.name, shared=data.shared) as entry:
        made = views.create(ctx.engine, who.tenant, owner_of(who), data, now_ns=ctx.clock.wall_ns())
        entry.detail["id"] = made.id
        return made


@put("/views/{view_id:str}", opt={"role": "viewer"}, sync_to_thread=True)
def replace_view(
    ctx: Ctx, who: Who, view_id: params.PathId, data: JSONBody[SavedViewInput]
) -> SavedView:
    """Replace one's own view."""
    owner = owner_of(who)
    before = views.find(ctx.engine, who.tenant, owner, view_id)
    with _told(ctx, who, "view.replace", view_id, shared=data.shared or before.shared) as entry:
        entry.detail |= {"name": data.name, "shared": data.shared, "path": data.path}
        return views.replace(
            ctx.engine, who.tenant, owner, view_id, data, now_ns=ctx.clock.wall_ns()
        )


@delete("/views/{view_id:str}", opt={"role": "viewer"}, sync_to_thread=True)
def delete_view(ctx: Ctx, who: Who, view_id: params.PathId) -> None:
    """Delete one's own view; an admin deletes shared ones of others too."""
    owner = owner_of(who)
    before = views.find(ctx.engine, who.tenant, owner, view_id)
    with _told(ctx, who, "view.delete", view_id, shared=before.shared) as entry:
        entry.detail |= {"name": before.name, "owner": before.owner}
        views.remove(ctx.engine, who.tenant, owner, view_id, admin=who.role == "admin")


def owner_of(who: Identity) -> str:
    """Whose a view is: a user's name, "token:NAME" or "local:root" (no user's name has a colon)."""
    if who.via == "token":
        return views.token_owner(who.name)
    return who.name if who.via == "session" else f"{who.via}:{who.name}"


@contextmanager
def _told(
    ctx: Context, who: Identity, action: str, target: str, *, shared: bool
) -> Iterator[Entry]:
    """What concerns others goes into the audit chain."""
    if shared:
        with audited(ctx, who, action, target) as entry:
            yield entry
    else:
        with write(ctx.engine):
            yield Entry(target)


ROUTES = (list_views, create_view, replace_view, delete_view)
