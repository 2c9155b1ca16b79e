"""Who asks, and whether they may: credential -> identity, role guard, CSRF, strict parameters.

Order: middleware finds the identity (bearer token, else cookie, else none; the local socket is the
operator), then guards compare the route's `opt["role"]` with it. A route without a role cannot be
built into the application.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.params import QueryParameter
from litestar.types import ASGIApp, Receive, Scope, Send

from hauberk.api.context import Context, Identity
from hauberk.api.session import COOKIE
from hauberk.errors import BadInput, Forbidden, NotFound, Unauthenticated
from hauberk.schema.ids import DEFAULT_TENANT
from hauberk.store import audit

CSRF_HEADER = "X-Hauberk-CSRF"
TENANT_HEADER = "X-Hauberk-Tenant"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
RANK = {"viewer": 1, "analyst": 2, "admin": 3, "operator": 4}
AnyConnection = ASGIConnection[Any, Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Anonymous:
    """No valid credential; `why` goes into the 401."""

    why: str = "log in, or send an API token as Authorization: Bearer"


class Authenticate:
    """ASGI middleware: puts an Identity or Anonymous into scope["user"]."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, then go on."""
        connection: AnyConnection = ASGIConnection(scope)
        scope["user"] = await run_sync(_find, connection)
        scope["auth"] = None
        await self._app(scope, receive, send)


def _find(connection: AnyConnection) -> Identity | Anonymous:
    ctx: Context = connection.app.state.context
    tenant = connection.headers.get(TENANT_HEADER)
    if connection.app.state.local:
        return _operator(ctx, tenant or DEFAULT_TENANT)
    if tenant is not None:
        raise Forbidden(f"{TENANT_HEADER} is for the local socket; a tenant comes from the login")
    return authenticate(ctx, connection)


def _operator(ctx: Context, tenant: str) -> Identity:
    if not ctx.access.tenant_exists(tenant):
        raise NotFound(f"no tenant {tenant[:80]!r}; `hauberk tenants` lists them")
    return Identity(name="root", tenant=tenant, role="admin", via="local", local=True)


def authenticate(ctx: Context, connection: AnyConnection) -> Identity | Anonymous:
    """The identity behind a request's token or cookie. Touches the database."""
    header = connection.headers.get("Authorization")
    if header is not None:
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer":
            return Anonymous("only Authorization: Bearer is understood")
        known = ctx.access.by_token(token.strip())
        if known is None:
            return Anonymous("this API token is unknown, expired or revoked")
        return Identity(name=known.name, tenant=known.tenant, role=known.role, via="token")
    cookie = connection.cookies.get(COOKIE)
    if not cookie:
        return Anonymous()
    session = ctx.access.by_session(cookie)
    if session is None:
        return Anonymous("the session has ended: log in again")
    return Identity(
        name=session.name,
        tenant=session.tenant,
        role=session.role,
        via="session",
        csrf=session.csrf,
        expires_ms=session.expires_ns // 1_000_000,
        key=session.key,
    )


async def allow(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Guard: role, CSRF, and no query parameter that the route doesn't know."""
    # The framework's own answer, which tells the methods alone.
    needed = "public" if _method(connection) == "OPTIONS" else str(handler.opt["role"])
    who = connection.scope.get("user")
    refuse_unknown(connection, handler)
    if needed == "public":
        if _method(connection) not in SAFE:
            refuse_foreign(connection)
        return
    if not isinstance(who, Identity):
        raise Unauthenticated(who.why if isinstance(who, Anonymous) else Anonymous().why)
    try:
        _check(connection, who, needed)
    except Forbidden as error:
        if _method(connection) not in SAFE:
            await run_sync(_note, connection.app.state.context, connection, who, str(error))
        raise


def _check(connection: AnyConnection, who: Identity, needed: str) -> None:
    if needed == "operator":
        if not who.operator:
            raise Forbidden('only an admin of the tenant "default" may do this')
    elif RANK[who.role] < RANK[needed]:
        raise Forbidden(f"this needs the role {needed}; you are {who.role}")
    if who.via == "session" and _method(connection) not in SAFE:
        refuse_foreign(connection)
        given = connection.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(given.encode(), who.csrf.encode()):
            raise Forbidden(f"send the session's csrf value (GET /me) as {CSRF_HEADER}")


def refuse_foreign(connection: AnyConnection) -> None:
    """A page of another site must not act with this browser's session, nor log it in.

    What the browser says of the site counts; `Origin` where it says nothing. Other clients send
    neither. A proxy in front may have changed `Host`, but not `Sec-Fetch-Site`.

    Raises:
        Forbidden: the request comes from another site's page.
    """
    site = connection.headers.get("Sec-Fetch-Site")
    origin = connection.headers.get("Origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        host = connection.headers.get("Host", "")
        foreign = origin is not None and origin.partition("://")[2].lower() != host.lower()
    if foreign:
        raise Forbidden("the request comes from a page of another site")


def _note(ctx: Context, connection: AnyConnection, who: Identity, reason: str) -> None:
    audit.append(
        ctx.engine,
        tenant=who.tenant,
        at_ns=ctx.clock.wall_ns(),
        actor=f"{who.via}:{who.name}",
        action="request.refused",
        target=f"{_method(connection)} {connection.scope['path']}"[:300],
        detail={"reason": reason, "outcome": "refused"},
    )


def refuse_unknown(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """A mistyped parameter must not silently widen a list."""
    known = _parameters(handler)
    for name in connection.query_params:
        if name not in known:
            listed = ", ".join(sorted(known)) or "none"
            raise BadInput(f"unknown parameter; known: {listed}", source=name[:100])


def _parameters(handler: BaseRouteHandler) -> frozenset[str]:
    cached: frozenset[str] | None = handler.opt.get("query_names")
    if cached is None:
        cached = frozenset(
            str(definition.kwarg_definition.name)
            for definition in handler.parsed_fn_signature.parameters.values()
            if isinstance(definition.kwarg_definition, QueryParameter)
        )
        handler.opt["query_names"] = cached
    return cached


def _method(connection: AnyConnection) -> str:
    return str(connection.scope.get("method", ""))


def who_asks(request: Request[Any, Any, Any]) -> Identity:
    """Dependency `who`: the identity that the guard let through."""
    who = request.scope["user"]
    if not isinstance(who, Identity):
        raise Unauthenticated(Anonymous().why)
    return who
