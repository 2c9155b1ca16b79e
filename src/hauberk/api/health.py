"""Liveness, readiness and metrics, outside the API."""

from __future__ import annotations

import ipaddress
from typing import Any

from anyio.to_thread import run_sync
from litestar import Request, Response, get
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from hauberk.api.context import Context, Ctx, Identity
from hauberk.api.identity import authenticate
from hauberk.errors import Unauthenticated
from hauberk.schema.ids import DEFAULT_TENANT
from hauberk.schema.view import Health, PartHealth

_HIDDEN = "it cannot work: the server's log says why"


@get("/healthz", opt={"role": "public"}, sync_to_thread=False)
def healthz() -> Health:
    """The process answers."""
    return Health(ok=True)


@get("/readyz", opt={"role": "public"}, sync_to_thread=True)
def readyz(ctx: Ctx, request: Request[Any, Any, Any]) -> Response[Health]:
    """Each part by name; 503 when one cannot work. What is wrong is told to the operator alone."""
    checks = {"inbox": ctx.inbox.wrong, **ctx.checks}
    found = {name: check() for name, check in sorted(checks.items())}
    ok = not any(found.values())
    # Messages may name tenants and their data.
    told = ok or _operator(ctx, request)
    parts = [_part(name, wrong if told or not wrong else _HIDDEN) for name, wrong in found.items()]
    return Response(Health(ok=ok, parts=parts), status_code=200 if ok else 503)


def _part(name: str, wrong: str) -> PartHealth:
    return PartHealth(name=name, ok=not wrong, message=wrong)


@get("/metrics", opt={"role": "public"}, media_type="text/plain")
async def metrics(ctx: Ctx, request: Request[Any, Any, Any]) -> Response[bytes]:
    """Prometheus text, for loopback, the local socket, or a token of the tenant "default"."""
    if not await run_sync(_operator, ctx, request):
        raise Unauthenticated('metrics need an API token of the tenant "default", or loopback')
    body = await run_sync(generate_latest, ctx.registry)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


def _operator(ctx: Context, request: Request[Any, Any, Any]) -> bool:
    if request.app.state.local or from_loopback(request):
        return True
    who = authenticate(ctx, request)
    return isinstance(who, Identity) and who.tenant == DEFAULT_TENANT


def from_loopback(request: Request[Any, Any, Any]) -> bool:
    """Whether the peer is this machine. A forwarded request is not."""
    if request.client is None or "forwarded" in request.headers:
        return False
    if "x-forwarded-for" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


ROUTES = (healthz, readyz, metrics)
