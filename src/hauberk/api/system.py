"""The server itself: tenants, jobs, audit chain, sizes."""

from __future__ import annotations

from litestar import get, post
from litestar.params import JSONBody
from litestar.response import Stream

from hauberk.api import columns, export, params
from hauberk.api.auditing import audited
from hauberk.api.context import Context, Ctx, Deployment, Identity, Who
from hauberk.api.words import WORDS
from hauberk.schema.ids import DEFAULT_TENANT
from hauberk.schema.view import (
    AuditCheck,
    AuditView,
    JobView,
    Page,
    SystemView,
    TenantInput,
    TenantView,
)
from hauberk.store import audit, orders


@get("/audit", opt={"role": "admin"}, sync_to_thread=True)
def list_audit(
    ctx: Ctx,
    who: Who,
    filter_: params.FilterText = "",
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[AuditView]:
    """The tenant's audit chain, newest first."""
    return audit.page(ctx.engine, who.tenant, filter_, cursor, limit, ctx.now_ms())


@get("/audit/export", opt={"role": "admin"}, sync_to_thread=True)
def export_audit(
    ctx: Ctx,
    who: Who,
    *,
    format_: params.Format = "csv",
    lang: params.Language = "en",
    columns_: params.Columns = "",
    zone: params.Zone = "UTC",
    filter_: params.FilterText = "",
) -> Stream:
    """The tenant's audit chain as a file."""
    form = export.form(format_, lang, columns_, zone)
    rows = audit.every(ctx.engine, who.tenant, filter_)
    title = WORDS["settings.tab.audit"]
    listed = export.Listed("audit", title, columns.audit(), rows, {"filter": filter_})
    return export.answer(ctx, who, form, listed)


@get("/audit/verify", opt={"role": "admin"}, sync_to_thread=True)
def verify_audit(ctx: Ctx, who: Who) -> AuditCheck:
    """Walk the chain. Keep `head` elsewhere: it proves later that nothing was cut off."""
    return audit.verify(ctx.engine, who.tenant)


@get("/tenants", opt={"role": "operator"}, sync_to_thread=True)
def list_tenants(ctx: Ctx) -> list[TenantView]:
    """All tenants; for the operator alone."""
    return ctx.access.tenants()


@post("/tenants", opt={"role": "operator"}, sync_to_thread=True)
def create_tenant(ctx: Ctx, who: Who, data: JSONBody[TenantInput]) -> TenantView:
    """Add a tenant with its first admin; only this answer carries the password."""
    with audited(ctx, who, "tenant.create", data.id, title=data.title):
        return ctx.access.create_tenant(data)


@get("/jobs", opt={"role": "viewer"}, sync_to_thread=True)
def list_jobs(ctx: Ctx, who: Who) -> list[JobView]:
    """The server's jobs, newest first; they are the operator's tenant's."""
    return _jobs(ctx, who)


@get("/system", opt={"role": "viewer"}, sync_to_thread=True)
def show_system(ctx: Ctx, who: Who) -> SystemView:
    """This server: version, certificate, queue; stores and jobs for the tenant "default" alone."""
    facts = ctx.facts()
    items, size = ctx.inbox.depth()
    around = ctx.deployment() if _mine(who) else Deployment()
    return SystemView(
        version=facts.version,
        started_ms=facts.started_ms,
        user=facts.user,
        unprivileged=facts.unprivileged,
        urls=list(facts.urls),
        certificate_sha256=facts.certificate_sha256,
        certificate_names=list(facts.certificate_names),
        certificate_expires_ms=facts.certificate_expires_ms,
        own_certificate=facts.own_certificate,
        ca_sha256=facts.ca_sha256,
        stores=ctx.stores() if _mine(who) else [],
        jobs=_jobs(ctx, who),
        inbox_items=items,
        inbox_bytes=size,
        partitions=list(around.partitions),
        members=list(around.members),
        poison=around.poison,
    )


def _mine(who: Identity) -> bool:
    # Sizes and messages of jobs tell of other tenants.
    return who.local or who.tenant == DEFAULT_TENANT


def _jobs(ctx: Context, who: Identity) -> list[JobView]:
    return orders.jobs(ctx.engine) if _mine(who) else []


ROUTES = (
    list_audit,
    export_audit,
    verify_audit,
    list_tenants,
    create_tenant,
    list_jobs,
    show_system,
)
