"""Logging in and out."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.datastructures import Cookie
from litestar.params import JSONBody
from litestar.status_codes import HTTP_200_OK

from hauberk.api.auditing import audited
from hauberk.api.context import Ctx, Identity, Who
from hauberk.schema.view import Login, Me

COOKIE = "__Host-hauberk"


@post("/session", opt={"role": "public"}, sync_to_thread=True, status_code=HTTP_200_OK)
def log_in(ctx: Ctx, request: Request[Any, Any, Any], data: JSONBody[Login]) -> Response[Me]:
    """Open a session: the answer sets an HttpOnly cookie and carries the CSRF token."""
    client = request.client.host if request.client else "local"
    opened = ctx.access.log_in(data.name, data.password, client=client)
    cookie = Cookie(
        key=COOKIE,
        value=opened.token,
        path="/",
        httponly=True,
        secure=True,
        samesite="strict",
        max_age=ctx.access.session_s,
    )
    me = Me(
        name=opened.name,
        tenant=opened.tenant,
        role=opened.role,
        via="session",
        operator=opened.tenant == "default" and opened.role == "admin",
        csrf=opened.csrf,
        expires_ms=opened.expires_ns // 1_000_000,
    )
    return Response(me, cookies=[cookie])


@delete(
    "/session",
    opt={"role": "viewer"},
    sync_to_thread=True,
    response_cookies=[
        Cookie(key=COOKIE, value="", path="/", httponly=True, secure=True, max_age=0)
    ],
)
def log_out(ctx: Ctx, who: Who) -> None:
    """Close this session."""
    with audited(ctx, who, "session.close"):
        ctx.access.log_out(who.key)


@get("/me", opt={"role": "viewer"}, sync_to_thread=False)
def me(who: Who) -> Me:
    """Who is asking."""
    return of(who)


def of(who: Identity) -> Me:
    """The view of an identity."""
    return Me(
        name=who.name,
        tenant=who.tenant,
        role=who.role,
        via=who.via,
        operator=who.operator,
        csrf=who.csrf,
        expires_ms=who.expires_ms,
    )


ROUTES = (log_in, log_out, me)
