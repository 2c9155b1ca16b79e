"""Staged upgrades of agents."""

from __future__ import annotations

from litestar import get, post
from litestar.params import JSONBody

from hauberk.api import params
from hauberk.api.auditing import audited
from hauberk.api.context import Context, Ctx, Identity, Who
from hauberk.schema.view import Notice, Page, RolloutInput
from hauberk.schema.view_fleet import RolloutAgentView, RolloutView
from hauberk.store import rollouts


@get("/rollouts", opt={"role": "viewer"}, sync_to_thread=True)
def list_rollouts(
    ctx: Ctx,
    who: Who,
    filter_: params.FilterText = "",
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[RolloutView]:
    """Rollouts with their progress, newest first."""
    return rollouts.page(
        ctx.engine,
        who.tenant,
        text=filter_,
        cursor=cursor,
        limit=limit,
        now_ns=ctx.clock.wall_ns(),
    )


@post("/rollouts", opt={"role": "admin"}, sync_to_thread=True)
def create_rollout(ctx: Ctx, who: Who, data: JSONBody[RolloutInput]) -> RolloutView:
    """Upgrade the agents that the filter leaves: a canary ring first, then all others."""
    with audited(ctx, who, "rollout.create", filter=data.filter) as entry:
        entry.detail |= {"sha256": data.sha256[:64], "canary": data.canary}
        entry.target = rollouts.create(
            ctx.engine, who.tenant, data, created_by=who.name, now_ns=ctx.clock.wall_ns()
        )
    return _told(ctx, who, entry.target)


@get("/rollouts/{rollout_id:str}", opt={"role": "viewer"}, sync_to_thread=True)
def show_rollout(ctx: Ctx, who: Who, rollout_id: params.PathId) -> RolloutView:
    """One rollout with its progress."""
    return rollouts.view(ctx.engine, who.tenant, rollout_id)


@get("/rollouts/{rollout_id:str}/agents", opt={"role": "viewer"}, sync_to_thread=True)
def list_rollout_agents(
    ctx: Ctx,
    who: Who,
    rollout_id: params.PathId,
    filter_: params.FilterText = "",
    sort: params.Sort = "",
    cursor: params.Cursor = None,
    limit: params.Limit = 100,
) -> Page[RolloutAgentView]:
    """Each agent's way through a rollout; those that were skipped say why."""
    return rollouts.agents(
        ctx.engine,
        who.tenant,
        rollout_id,
        text=filter_,
        sort=sort,
        cursor=cursor,
        limit=limit,
        now_ns=ctx.clock.wall_ns(),
    )


@post(
    "/rollouts/{rollout_id:str}/pause", opt={"role": "admin"}, sync_to_thread=True, status_code=200
)
def pause_rollout(ctx: Ctx, who: Who, rollout_id: params.PathId) -> RolloutView:
    """Offer the package to nobody else until it is resumed."""
    return _order(ctx, who, rollout_id, "pause")


@post(
    "/rollouts/{rollout_id:str}/resume",
    opt={"role": "admin"},
    sync_to_thread=True,
    status_code=200,
)
def resume_rollout(ctx: Ctx, who: Who, rollout_id: params.PathId) -> RolloutView:
    """Go on with a rollout that is paused."""
    return _order(ctx, who, rollout_id, "resume")


@post(
    "/rollouts/{rollout_id:str}/cancel",
    opt={"role": "admin"},
    sync_to_thread=True,
    status_code=200,
)
def cancel_rollout(ctx: Ctx, who: Who, rollout_id: params.PathId) -> RolloutView:
    """End it; agents that have not started keep what they run."""
    return _order(ctx, who, rollout_id, "cancel")


def _order(ctx: Context, who: Identity, rollout_id: str, what: rollouts.Order) -> RolloutView:
    with audited(ctx, who, f"rollout.{what}", rollout_id):
        rollouts.order(ctx.engine, who.tenant, rollout_id, what, now_ns=ctx.clock.wall_ns())
    return _told(ctx, who, rollout_id)


def _told(ctx: Context, who: Identity, rollout_id: str) -> RolloutView:
    ctx.feed.publish(who.tenant, Notice(topic="rollouts", at_ms=ctx.now_ms()))
    return rollouts.view(ctx.engine, who.tenant, rollout_id)


ROUTES = (
    list_rollouts,
    create_rollout,
    show_rollout,
    list_rollout_agents,
    pause_rollout,
    resume_rollout,
    cancel_rollout,
)
