"""Agents and the tokens that enrol them."""

from __future__ import annotations

import shlex

import msgspec
from litestar import delete, get, post
from litestar.params import JSONBody
from litestar.response import Stream

from hauberk.api import columns, export, params
from hauberk.api.auditing import audited
from hauberk.api.context import Ctx, Who
from hauberk.api.words import WORDS
from hauberk.schema.view import AgentView, EnrolmentInput, EnrolmentView, Page
from hauberk.schema.view_fleet import PackageView
from hauberk.store import fleet, orders


@get("/agents", opt={"role": "viewer"}, sync_to_thread=True)
def list_agents(
    ctx: Ctx,
    who: Who,
    filter_: params.FilterText = "",
    sort: params.Sort = "",
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[AgentView]:
    """Agents with their health."""
    return fleet.agents(
        ctx.engine,
        who.tenant,
        text=filter_,
        sort=sort,
        cursor=cursor,
        limit=limit,
        now_ns=ctx.clock.wall_ns(),
    )


@get("/agents/export", opt={"role": "viewer"}, sync_to_thread=True)
def export_agents(
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
    """All agents of the list as a file."""
    form = export.form(format_, lang, columns_, zone)
    rows = fleet.all_agents(
        ctx.engine, who.tenant, text=filter_, sort=sort, now_ns=ctx.clock.wall_ns()
    )
    told = {"filter": filter_, "sort": sort}
    listed = export.Listed("agents", WORDS["nav.agents"], columns.agents(), rows, told)
    return export.answer(ctx, who, form, listed)


@post("/agents/{agent_id:str}/revoke", opt={"role": "admin"}, sync_to_thread=True, status_code=200)
def revoke_agent(ctx: Ctx, who: Who, agent_id: params.PathId) -> AgentView:
    """Refuse this agent from now on; it must enrol anew."""
    with audited(ctx, who, "agent.revoke", agent_id):
        ctx.agents.revoke(who.tenant, agent_id)
    return fleet.agent_view(ctx.engine, who.tenant, agent_id, ctx.clock.wall_ns())


@get("/enrolments", opt={"role": "admin"}, sync_to_thread=True)
def list_enrolments(
    ctx: Ctx,
    who: Who,
    filter_: params.FilterText = "",
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[EnrolmentView]:
    """Enrolment tokens, newest first, without their secret."""
    return orders.enrolments(
        ctx.engine, who.tenant, text=filter_, cursor=cursor, limit=limit, now_ms=ctx.now_ms()
    )


@post("/enrolments", opt={"role": "admin"}, sync_to_thread=True)
def create_enrolment(ctx: Ctx, who: Who, data: JSONBody[EnrolmentInput]) -> EnrolmentView:
    """Make a one-time token; this answer alone carries it and the command to copy."""
    with audited(ctx, who, "enrolment.create", note=data.note) as entry:
        orders.check_enrolment(data)
        url = ctx.facts().gateway_url
        entry.target, token, _ = ctx.agents.invite(
            who.tenant, url=url, note=data.note, ttl_s=data.ttl_s, created_by=who.name
        )
    view = orders.enrolment_view(ctx.engine, who.tenant, entry.target)
    command = f"hauberk enroll {url} --token {token}"
    newest = ctx.packages.newest(who.tenant)
    install = None if newest is None else install_line(newest, url, token)
    return msgspec.structs.replace(view, token=token, command=command, install=install)


@delete("/enrolments/{enrolment_id:str}", opt={"role": "admin"}, sync_to_thread=True)
def delete_enrolment(ctx: Ctx, who: Who, enrolment_id: params.PathId) -> None:
    """Withdraw a token; agents that used it stay."""
    with audited(ctx, who, "enrolment.delete", enrolment_id):
        orders.delete_enrolment(ctx.engine, who.tenant, enrolment_id)


def install_line(package: PackageView, url: str, token: str) -> str:
    """What root types on a machine that has nothing but curl, tar and xz.

    The digest vouches for what comes, so the gateway's own certificate need not be known.
    """
    place = shlex.quote(f"{url}/v1/install/{package.sha256}")
    steps = (
        f'[ "$(uname -m)" = {package.arch} ]',
        "d=$(mktemp -d)",
        'cd "$d"',
        f"curl -fsSk -o h.txz {place}",
        f'echo "{package.sha256}  h.txz" | sha256sum -c -',
        "tar -xJf h.txz",
        f"./bin/hauberk enroll {shlex.quote(url)} --token {token}",
        'cd / && rm -rf "$d"',
    )
    return " && ".join(steps)


ROUTES = (
    list_agents,
    export_agents,
    revoke_agent,
    list_enrolments,
    create_enrolment,
    delete_enrolment,
)
