"""Users and API tokens."""

from __future__ import annotations

from litestar import delete, get, patch, post
from litestar.params import JSONBody

from hauberk.api import params
from hauberk.api.auditing import audited
from hauberk.api.context import Ctx, Who
from hauberk.schema.view import TokenInput, TokenView, UserInput, UserPatch, UserView


@get("/users", opt={"role": "admin"}, sync_to_thread=True)
def list_users(ctx: Ctx, who: Who) -> list[UserView]:
    """The tenant's users."""
    return ctx.access.users(who.tenant)


@post("/users", opt={"role": "admin"}, sync_to_thread=True)
def create_user(ctx: Ctx, who: Who, data: JSONBody[UserInput]) -> UserView:
    """Add a user; without a password one is made, and only this answer carries it."""
    with audited(ctx, who, "user.create", data.name, role=data.role) as entry:
        view = ctx.access.create_user(who.tenant, data)
        entry.detail["id"] = view.id
    return view


@patch("/users/{user_id:str}", opt={"role": "admin"}, sync_to_thread=True)
def change_user(ctx: Ctx, who: Who, user_id: params.PathId, data: JSONBody[UserPatch]) -> UserView:
    """Change a role, or disable a user and end the sessions."""
    with audited(ctx, who, "user.change", user_id, role=data.role, disabled=data.disabled):
        return ctx.access.change_user(who.tenant, user_id, data)


@post("/users/{user_id:str}/reset", opt={"role": "admin"}, sync_to_thread=True, status_code=200)
def reset_user(ctx: Ctx, who: Who, user_id: params.PathId) -> UserView:
    """Make a new password, shown once, and end the user's sessions."""
    with audited(ctx, who, "user.reset", user_id):
        return ctx.access.reset_user(who.tenant, user_id)


@delete("/users/{user_id:str}", opt={"role": "admin"}, sync_to_thread=True)
def delete_user(ctx: Ctx, who: Who, user_id: params.PathId) -> None:
    """Remove a user and end the sessions."""
    with audited(ctx, who, "user.delete", user_id):
        ctx.access.delete_user(who.tenant, user_id)


@get("/tokens", opt={"role": "admin"}, sync_to_thread=True)
def list_tokens(ctx: Ctx, who: Who) -> list[TokenView]:
    """The tenant's API tokens, without their secret."""
    return ctx.access.tokens(who.tenant)


@post("/tokens", opt={"role": "admin"}, sync_to_thread=True)
def create_token(ctx: Ctx, who: Who, data: JSONBody[TokenInput]) -> TokenView:
    """Make an API token; only this answer carries it."""
    with audited(ctx, who, "token.create", data.name, role=data.role) as entry:
        view = ctx.access.create_token(who.tenant, data, created_by=who.name)
        entry.detail["id"] = view.id
    return view


@delete("/tokens/{token_id:str}", opt={"role": "admin"}, sync_to_thread=True)
def delete_token(ctx: Ctx, who: Who, token_id: params.PathId) -> None:
    """Revoke an API token."""
    with audited(ctx, who, "token.delete", token_id):
        ctx.access.delete_token(who.tenant, token_id)


ROUTES = (
    list_users,
    create_user,
    change_user,
    reset_user,
    delete_user,
    list_tokens,
    create_token,
    delete_token,
)
