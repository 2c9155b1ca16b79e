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
from hauberk.schema.view import Health, PartHealth


@get("/healthz", opt={"role": "public"}, sync_to_thread=False)
def healthz() -> Health:
    """The process answers."""
    return Health(ok=True)


@get("/readyz", opt={"role": "public"}, sync_to_thread=True)
def readyz(ctx: Ctx) -> Response[Health]:
    """Each part by name; 503 when one cannot work."""
    parts = [_part(name, check()) for name, check in sorted(ctx.checks.items())]
    ok = all(part.ok for part in parts)
    return Response(Health(ok=ok, parts=parts), status_code=200 if ok else 503)


def _part(name: str, wrong: str) -> PartHealth:
    return PartHealth(name=name, ok=not wrong, message=wrong)


@get("/metrics", opt={"role": "public"}, media_type="text/plain")
async def metrics(ctx: Ctx, request: Request[Any, Any, Any]) -> Response[bytes]:
    """Prometheus text, for loopback, the local socket, or a token of the tenant "default"."""
    if not (request.app.state.local or from_loopback(request)):
        await run_sync(_need_token, ctx, request)
    body = await run_sync(generate_latest, ctx.registry)
    return Response(body, media_type=CONTENT_TYPE_LATEST)


def _need_token(ctx: Context, request: Request[Any, Any, Any]) -> None:
    who = authenticate(ctx, request)
    if not isinstance(who, Identity) or who.tenant != "default":
        raise Unauthenticated('metrics need an API token of the tenant "default", or loopback')


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
