"""Builds the application from a Context."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from litestar import Litestar, Request, Router
from litestar.datastructures import CacheControlHeader, MutableScopeHeaders, State
from litestar.di import Provide
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import Message, Scope

from hauberk.api import (
    agents,
    alarms,
    assets,
    console,
    document,
    events,
    failures,
    health,
    identity,
    ledger,
    overview,
    packages,
    poison,
    rollouts,
    runs,
    session,
    stream,
    system,
    users,
    views,
    workloads,
)
from hauberk.api.context import Context
from hauberk.api.metrics import Requests
from hauberk.schema.view import Failure

PREFIX = "/api/v1"
MAX_BODY = 1024 * 1024
V1: tuple[HTTPRouteHandler, ...] = (
    *session.ROUTES,
    *overview.ROUTES,
    *assets.ROUTES,
    *workloads.ROUTES,
    *agents.ROUTES,
    *alarms.ROUTES,
    *ledger.ROUTES,
    *packages.ROUTES,
    *poison.ROUTES,
    *rollouts.ROUTES,
    *events.ROUTES,
    *runs.ROUTES,
    *views.ROUTES,
    *stream.ROUTES,
    *users.ROUTES,
    *system.ROUTES,
)
_FAILURES = {
    status: ResponseSpec(Failure, description=text, generate_examples=False)
    for status, text in (
        (400, "the request is wrong"),
        (401, "no valid credential"),
        (403, "not allowed, or the CSRF header is missing"),
        (404, "no such thing in this tenant"),
        (409, "it changed meanwhile, or exists already"),
        (413, "the body is too large"),
        (415, "the body is not JSON"),
        (429, "try again after Retry-After seconds"),
        (503, "a part does not answer; try again"),
    )
}


def create(ctx: Context, *, local: bool = False) -> Litestar:
    """The application. `local`: served on the local socket alone, whoever asks is the operator."""
    requests = Requests(ctx.registry)
    api = Router(
        PREFIX,
        route_handlers=described(),
        middleware=[identity.Authenticate],
        guards=[identity.allow],
        before_request=require_json,
        dependencies={"who": Provide(identity.who_asks, sync_to_thread=False)},
        cache_control=CacheControlHeader(no_store=True),
    )
    return Litestar(
        [api, *health.ROUTES, *console.ROUTES],
        dependencies={"ctx": Provide(lambda: ctx, sync_to_thread=False)},
        exception_handlers=failures.HANDLERS,
        openapi_config=document.CONFIG,
        plugins=document.PLUGINS,
        request_max_body_size=MAX_BODY,
        before_send=[
            Secure(lambda: not local and ctx.facts().own_certificate),
            requests.count,
        ],
        state=State({"context": ctx, "local": local, "streams": stream.Streams()}),
        debug=False,
        logging_config=None,
    )


def described() -> list[HTTPRouteHandler]:
    """The routes of /api/v1, each with its failures described.

    Raises:
        TypeError: a route names no role.
    """
    for handler in V1:
        if handler.opt.get("role") not in {"public", *identity.RANK}:
            raise TypeError(f"{handler}: the route names no role")
        handler.responses = {**_FAILURES, **(handler.responses or {})}
    return list(V1)


async def require_json(request: Request[Any, Any, Any]) -> None:
    """Bodies are JSON and say so: a form of another site cannot.

    A route whose `opt["body"]` names another type takes that alone.
    """
    if request.method in identity.SAFE:
        return
    if wanted := request.route_handler.opt.get("body"):
        if request.content_type[0] == wanted:
            return
        raise HTTPException(status_code=415, detail=f"send the body as Content-Type: {wanted}")
    length = request.headers.get("content-length", "")
    chunked = "transfer-encoding" in request.headers
    if (length in ("", "0") and not chunked) or request.content_type[0] == MediaType.JSON:
        return
    raise HTTPException(status_code=415, detail="send the body as Content-Type: application/json")


class Secure:
    """Puts the security headers on every answer.

    Args:
        strict: whether browsers shall come by HTTPS alone; asked at the first answer.
    """

    def __init__(self, strict: Callable[[], bool]) -> None:
        self._strict = strict

    @cached_property
    def _headers(self) -> dict[str, str]:
        more = {"Strict-Transport-Security": console.HSTS} if self._strict() else {}
        return console.SECURITY_HEADERS | more

    async def __call__(self, message: Message, scope: Scope) -> None:
        """The hook."""
        del scope
        if message["type"] == "http.response.start":
            headers = MutableScopeHeaders.from_message(message)
            for name, value in self._headers.items():
                headers[name] = value
